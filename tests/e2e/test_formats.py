#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same weights as safetensors, pytorch_model.bin and tf_model.h5: `label`, `info` and `convert`
see one model. Each fixture's twin.safetensors has the weights that its own file has; what neither
torch nor TensorFlow wrote is written here, as they write it."""
import hashlib
import io
import json
import os
import shutil
import struct
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

SAFETENSORS, BIN, KERAS = "model.safetensors", "pytorch_model.bin", "tf_model.h5"
FORMATS = {SAFETENSORS: "safetensors", BIN: "PyTorch", KERAS: "Keras HDF5"}
MODELS = ("bert_torch", "bert_tf4_15", "bert_tf4_37", "distilbert_tf4_15")
CARD = ["config.json", "special_tokens_map.json", "tf_model.h5", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt"]
CLASSES = {"bert": "BertForSequenceClassification",
           "distilbert": "DistilBertForSequenceClassification"}


# ---- pytorch_model.bin, as torch saves a state dict

def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def pickled(tensors, mark):
    """The object alone: a dict of tensors, each with a storage of its own, named by its number and
    what stands before that."""
    out = b"\x80\2}("
    for key, (name, (dtype, shape, data)) in enumerate(tensors.items()):
        size = {"F32": 4, "I64": 8}[dtype]
        kind = {"F32": b"Float", "I64": b"Long"}[dtype]
        strides = [1]
        for n in reversed(shape[1:]):
            strides.insert(0, strides[0] * n)
        storage = tuple_of(text("storage"), b"ctorch\n" + kind + b"Storage\n",
                           text(mark + str(key)), text("cpu"), number(len(data) // size)) + b"Q"
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(
            storage, number(0), tuple_of(*map(number, shape)), tuple_of(*map(number, strides)),
            b"\x89", b"ccollections\nOrderedDict\n)R") + b"R"
    return out + b"u."


def bin_of(tensors, mark=""):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(tensors, mark))
        for key, (_, _, data) in enumerate(tensors.values()):
            archive.writestr("archive/data/%d" % key, data)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


# ---- models

def source(name):
    return os.path.join(e2e.GOLDEN, name)


def twin(name):
    path = os.path.join(source(name), "other", "twin.safetensors")
    return {n: x for n, x in e2e.safetensors_read(path).items() if x[0] == "F32"}


def model_with(t, name, weights, **config):
    """The fixture's directory with these files as its weights: {name: bytes}."""
    path = t.directory()
    for entry in CARD:
        if entry != KERAS:
            shutil.copy(os.path.join(source(name), entry), path)
    for entry, data in weights.items():
        e2e.write(path, entry, data)
    if config:
        e2e.edit_json(path + "/config.json", **config)
    return path


def shards_of(tensors, prefix=""):
    """Three files and their index: every third tensor in each."""
    names, out, where = list(tensors), {}, {}
    for i in range(3):
        shard = "pytorch_model-%05d-of-00003.bin" % (i + 1)
        out[shard] = bin_of({prefix + n: tensors[n] for n in names[i::3]})
        where.update({prefix + n: shard for n in names[i::3]})
    out[BIN + ".index.json"] = json.dumps({"metadata": {"total_size": 1}, "weight_map": where})
    return out


def with_others(tensors, distil):
    """What else checkpoints hold: a buffer of positions, the heads of pre-training."""
    base = "distilbert" if distil else "bert"
    out = {base + ".embeddings.position_ids": ("I64", [1, 4], struct.pack("<4q", 0, 1, 2, 3)),
           "cls.predictions.bias": ("F32", [5], bytes(20))}
    out.update(tensors)
    out["cls.seq_relationship.weight"] = ("F32", [2, 3], bytes(24))
    return out


def forms_of(t, name):
    """[(what, name of the weights, model)], all of the same weights; the first is safetensors."""
    tensors, distil = twin(name), name.startswith("distil")
    own = BIN if name == "bert_torch" else KERAS
    whole = e2e.read(os.path.join(source(name), "other", "twin.safetensors"))
    forms = [("safetensors", SAFETENSORS, {SAFETENSORS: whole}),
             ("its own file", own, {own: e2e.read(os.path.join(source(name), own))}),
             ("a .bin", BIN, {BIN: bin_of(tensors)}),
             (".bin with more", BIN, {BIN: bin_of(with_others(tensors, distil))}),
             (".bin of DataParallel", BIN,
              {BIN: bin_of({"module." + n: x for n, x in tensors.items()})}),
             ("shards", BIN + ".index.json", shards_of(with_others(tensors, distil))),
             ("shards of DataParallel", BIN + ".index.json", shards_of(tensors, "module."))]
    return [("%s, %s" % (name, what), file, model_with(t, name, weights))
            for what, file, weights in forms]


def logits_of(t, what, model, data):
    result = t.label("--scores", "logits", "--input-format", "jsonl", stdin=data, model=model)
    t.exits("%s: labels" % what, result, e2e.OK)
    return result.out


def converted(t, what, model, *args):
    new = os.path.join(t.directory(), "new")
    t.exits("%s: converts" % what, t.run("convert", "-m", model, "-o", new, "-q", *args), e2e.OK)
    return new


def info_of(t, what, model):
    result = t.run("info", "--model", model, "--json")
    t.exits("%s: info" % what, result, e2e.OK)
    return json.loads(result.out)


def metadata(path):
    data = e2e.read(path)
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + n])["__metadata__"]


def with_weights_alone(value):
    """What `info` says, but for names and bytes of files, and the memory of copies of what does not
    lie in its file as it is used: the same for every format."""
    if value["device"] is not None:
        value["device"]["memory"].pop("rest_nbytes", None)
    weights = {k: value["weights"][k] for k in ("tensors", "parameters", "dtypes")}
    return [weights] + [value[k] for k in ("config", "tokenizer", "labels", "device", "error")]


# ---- tests

def check_convert(t, what, model, weights_name, wanted, data, rows):
    """A new directory: its rows, its files, where it says that it comes from, once more converted.
    `wanted` is [config.json, tensors in order] of the model in safetensors."""
    new = converted(t, what, model)
    t.equal("%s: the new directory" % what, e2e.listing(new),
            sorted([n for n in CARD if n != KERAS] + [SAFETENSORS]))
    got = [e2e.read(new + "/config.json"),
           list(e2e.safetensors_read(new + "/" + SAFETENSORS).items())]
    t.check("%s: converted as from safetensors" % what, got == wanted)
    t.check("%s: the new directory's rows" % what, logits_of(t, what, new, data) == rows)
    lines = metadata(new + "/" + SAFETENSORS)["source_sha256"].split("\n")[:-1]
    t.check("%s: it says where it comes from" % what,
            lines[1].endswith("  " + weights_name) and
            lines == ["%s  %s" % (hashlib.sha256(e2e.read(os.path.join(model, n))).hexdigest(), n)
                      for n in (line.split("  ")[1] for line in lines)], lines)
    again = converted(t, what + ", again", new)
    t.check("%s: converted again, nothing changes" % what,
            [e2e.read(again + "/config.json"),
             list(e2e.safetensors_read(again + "/" + SAFETENSORS).items())] == wanted)


def test_one_model(t, name, data):
    forms = forms_of(t, name)
    what, _, model = forms[0]
    rows = logits_of(t, what, model, data)
    facts = info_of(t, what, model)
    new = converted(t, what, model)
    wanted = [e2e.read(new + "/config.json"),
              list(e2e.safetensors_read(new + "/" + SAFETENSORS).items())]
    t.equal("%s: convert keeps the weights" % name, dict(wanted[1]), twin(name))
    with open(model + "/config.json", encoding="utf-8") as file:
        config = json.load(file)
    t.equal("%s: class, labels and parameters" % name,
            (facts["config"]["class"], facts["labels"], facts["weights"]["parameters"]),
            (CLASSES[config["model_type"]],
             {"source": "id2label", "names": list(config["id2label"].values())},
             sum(len(d) // 4 for _, _, d in twin(name).values())))
    rounded = {word: e2e.safetensors_read(
        converted(t, "%s in %s" % (what, word), model, "--dtype", word) + "/" + SAFETENSORS)
        for word in ("bf16", "fp16")}
    for what, weights_name, model in forms:
        t.check("%s: the same rows" % what, logits_of(t, what, model, data) == rows)
        value = info_of(t, what, model)
        t.equal("%s: info says the same of the model" % what, with_weights_alone(value),
                with_weights_alone(facts))
        weights = {n for n in e2e.listing(model) if n.endswith((".bin", ".h5", ".safetensors",
                                                                 ".index.json"))}
        t.equal("%s: and what it is in" % what,
                (value["weights"]["name"], value["weights"]["format"], value["weights"]["nbytes"]),
                (weights_name, FORMATS[weights_name.replace(".index.json", "")],
                 sum(os.path.getsize(os.path.join(model, n)) for n in weights)))
        t.check("%s: every file of it is listed" % what,
                weights <= {f["name"] for f in value["files"]}, value["files"])
        check_convert(t, what, model, weights_name, wanted, data, rows)
    for what, _, model in forms[1:3]:
        for word, tensors in rounded.items():
            new = converted(t, "%s in %s" % (what, word), model, "--dtype", word)
            t.check("%s in %s: rounded as from safetensors" % (what, word),
                    e2e.safetensors_read(new + "/" + SAFETENSORS) == tensors)


def biased(tensors, label):
    """The weights with one label that always wins."""
    dtype, shape, data = tensors["classifier.bias"]
    values = list(struct.unpack("<%df" % shape[0], data))
    values[label] = 1000.0
    return dict(tensors, **{"classifier.bias":
                            (dtype, shape, struct.pack("<%df" % shape[0], *values))})


def test_all_three(t, data):
    """One directory with all formats, of weights that differ: which are taken, and who says so."""
    name = "bert_tf4_15"
    tensors, labels = twin(name), None
    keras = e2e.read(os.path.join(source(name), KERAS))
    model = model_with(t, name, {KERAS: keras, BIN: bin_of(biased(tensors, 1))})
    e2e.safetensors_write(os.path.join(model, SAFETENSORS), biased(tensors, 0))
    for weights_name, winner in ((SAFETENSORS, 0), (BIN, 1), (KERAS, None)):
        value = info_of(t, "all three, " + weights_name, model)
        labels = value["labels"]["names"]
        t.equal("%s is next" % weights_name, (value["weights"]["name"], value["weights"]["format"]),
                (weights_name, FORMATS[weights_name]))
        t.check("%s: the others are not looked at" % weights_name, not [
            f for f in value["files"] if f["name"] in FORMATS and f["name"] != weights_name])
        screen = t.run("info", "--model", model)
        shown = (weights_name, FORMATS[weights_name])
        t.check("%s is on the screen" % weights_name,
                all(word in screen.out.decode() for word in shown))
        got = {row["label"] for row in e2e.parse_rows(logits_of(t, weights_name, model, data))}
        if winner is None:
            t.check("%s: labels of many kinds" % weights_name, len(got) > 2, got)
        else:
            t.equal("%s: its labels" % weights_name, got, {labels[winner]})
        result = t.run("convert", "-m", model, "-o", t.directory() + "/new")
        t.exits("%s: convert says it" % weights_name, result, e2e.OK, "from " + weights_name)
        t.exits("%s: and does not write into it" % weights_name,
                t.run("convert", "-m", model, "-o", model + "/new"), e2e.USAGE, "inside")
        os.remove(os.path.join(model, weights_name))
    t.exits("none is left", t.run("info", "--model", model), e2e.UNUSABLE, SAFETENSORS, BIN, KERAS)


def test_card(t, data):
    """The directory that the card's model is published as, with no step in between."""
    name = "bert_tf4_15"
    model = model_with(t, name, {KERAS: e2e.read(os.path.join(source(name), KERAS))})
    t.equal("the card's files", e2e.listing(model), CARD)
    cases = e2e.expected(name)["cases"]
    rows = e2e.parse_rows(logits_of(t, "the card's layout", model,
                                    e2e.titled(case["title"] for case in cases)))
    scale = max(abs(x) for case in cases for x in case["logits"])
    worst = max(abs(a - b) for row, case in zip(rows, cases)
                for a, b in zip(row["logits"], case["logits"]))
    t.check("the card's layout: logits are TensorFlow's (apart by %.1e)" % (worst / scale),
            len(rows) == len(cases) and worst < 1e-5 * scale)
    titles = b"".join(case["title"].encode().hex().encode() + b"\n" for case in cases)
    result = t.run("tokenize", "--model", model, "--hex", stdin=titles)
    t.equal("the card's layout: token ids are those of transformers",
            [[int(x) for x in line.split()] for line in result.out.decode().splitlines()],
            [case["ids"] for case in cases])
    info_of(t, "the card's layout", model)
    t.exits("the card's layout: the screen", t.run("info", "--model", model), e2e.OK)
    new = converted(t, "the card's layout", model)
    t.check("the card's layout: the same rows converted",
            logits_of(t, "the card's, converted", new, data) ==
            logits_of(t, "the card's layout", model, data))
    t.equal("the card's layout: nothing was added", e2e.listing(model), CARD)


def test_misfits(t):
    """Files of one model with the config.json of another are refused alike in every format."""
    name = "bert_tf4_15"
    for key, value, words in (("hidden_size", 14, ["12", "14"]), ("vocab_size", 77, ["77"]),
                              ("intermediate_size", 5, ["5", "28"]), ("num_labels", 3, ["3"]),
                              ("num_hidden_layers", 2, ["layer.1", "missing"]),
                              ("type_vocab_size", 1, ["token_type", "1", "2"])):
        change = {key: value}
        if key == "num_labels":
            change.update(id2label=None, label2id=None)
        for weights_name, weights in (
                (SAFETENSORS, e2e.read(os.path.join(source(name), "other", "twin.safetensors"))),
                (BIN, bin_of(twin(name))), (KERAS, e2e.read(os.path.join(source(name), KERAS)))):
            model = model_with(t, name, {weights_name: weights}, **change)
            for command in ("label", "info", "convert"):
                args = ("-o", t.directory() + "/new") if command == "convert" else ()
                t.exits("%s: %s %s: %s" % (weights_name, key, value, command),
                        t.run(command, "--model", model, *args, stdin=b"gold\n"), e2e.UNUSABLE,
                        weights_name, *words)


def test_names_in_messages(t):
    """What a file calls its parts reaches no terminal as it is."""
    name = "bert_torch"
    tensors = twin(name)
    cases = [("a storage's key", {BIN: bin_of(tensors, "\x1b[2J\n")})]
    shards = shards_of(tensors)
    index = BIN + ".index.json"
    cases += [("a shard's name", dict(shards, **{index: shards[index].replace("-of-", mark)}))
              for mark in ("\\u001b[2J", "\\n", "\\u007f")]
    for what, weights in cases:
        result = t.label(stdin=b"gold\n", model=model_with(t, name, weights))
        t.exits("%s: refused" % what, result, e2e.UNUSABLE, BIN)
        t.check("%s: one clean line" % what,
                result.err.rstrip("\n").isprintable(), ascii(result.err))
    del shards["pytorch_model-00002-of-00003.bin"]
    t.exits("a shard that is not there: both are named",
            t.label(stdin=b"gold\n", model=model_with(t, name, shards)), e2e.UNUSABLE, index,
            "pytorch_model-00002-of-00003.bin")


def main():
    t = e2e.Suite(__doc__)
    data = e2e.titled(e2e.random_titles(t.seed, 60))
    model = source("bert_tf4_15")
    has_hdf5 = "without HDF5" not in t.label(stdin=b"gold\n", model=model).err
    test_one_model(t, "bert_torch", data)
    test_names_in_messages(t)
    if has_hdf5:
        for name in MODELS[1:]:
            test_one_model(t, name, data)
        test_all_three(t, data)
        test_card(t, data)
        test_misfits(t)
    else:
        print("built without HDF5: nothing of tf_model.h5 was tested")
    t.finish()


if __name__ == "__main__":
    main()
