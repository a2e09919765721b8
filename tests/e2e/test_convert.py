#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader convert`: the same labels from the new directory, what its files hold, what is refused.
test_convert_whole.py has what happens when something goes wrong."""
import hashlib
import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

COPIED = ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
          "added_tokens.json", "labels.txt")
CLASSES = {"bert": "BertForSequenceClassification",
           "distilbert": "DistilBertForSequenceClassification"}
TORCH_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
SCORES = ("--scores", "logits", "--input-format", "jsonl")


def convert(t, model, output, *args, **kwargs):
    return t.run("convert", "--model", model, "-o", output, *args, **kwargs)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def header(path):
    data = e2e.read(path)
    (n,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + n]), n


def converted(t, what, model, *args):
    """A new directory; the run is checked, and that nothing else is beside it."""
    parent = t.directory()
    t.exits("%s: converts" % what, convert(t, model, parent + "/new model", *args), e2e.OK,
            "parameters")
    t.equal("%s: nothing else is left" % what, e2e.listing(parent), ["new model"])
    return parent + "/new model"


# ---- what is in it

def check_files(t, what, model, new):
    wanted = [n for n in COPIED if os.path.exists(os.path.join(model, n))]
    t.equal("%s: the files" % what, e2e.listing(new),
            sorted(wanted + ["config.json", "model.safetensors"]))
    for name in wanted:
        if e2e.read(os.path.join(new, name)) != e2e.read(os.path.join(model, name)):
            t.check("%s: %s is copied" % (what, name), False)


def check_config(t, what, model, new, dtype):
    old, config = load(model + "/config.json"), load(new + "/config.json")
    changed = {k for k in config if k not in old or old[k] != config[k]}
    allowed = {"torch_dtype", "dtype", "architectures", "id2label", "label2id"}
    t.check("%s: config.json changes no other key" % what,
            changed <= allowed and not set(old) - set(config), changed)
    t.equal("%s: its dtype" % what, {config[k] for k in ("torch_dtype", "dtype") if k in config},
            {TORCH_NAMES[dtype]})
    t.equal("%s: its class" % what, config["architectures"],
            [CLASSES[config["model_type"]]])
    if not changed:
        t.check("%s: not a byte of config.json changes" % what,
                e2e.read(model + "/config.json") == e2e.read(new + "/config.json"))


def check_header(t, what, model, new):
    value, n = header(new + "/model.safetensors")
    metadata = value["__metadata__"]
    t.equal("%s: format" % what, metadata["format"], "pt")
    t.check("%s: version" % what, t.run("--version").out.decode().split()[1] == metadata["wader"])
    lines = [line.split("  ") for line in metadata["source_sha256"].split("\n")[:-1]]
    t.equal("%s: hashes of the sources" % what, [h for h, _ in lines],
            [hashlib.sha256(e2e.read(os.path.join(model, name))).hexdigest() for _, name in lines])
    t.check("%s: config.json and weights are among them" % what,
            lines[0][1] == "config.json" and len(lines) > 1, lines)
    t.equal("%s: the header ends at a multiple of 8" % what, n % 8, 0)


def labels_of(t, model, data):
    result = t.label(*SCORES, model=model, stdin=data)
    return result.out if result.code == e2e.OK else str(result)


def test_all(t, data):
    for name in e2e.FIXTURES:
        model = os.path.join(e2e.GOLDEN, name)
        new = converted(t, name, model)
        check_files(t, name, model, new)
        tensors = e2e.safetensors_read(new + "/model.safetensors")
        dtypes = {dtype for dtype, _, _ in tensors.values()}
        check_config(t, name, model, new, dtypes.pop() if len(dtypes) == 1 else "F32")
        check_header(t, name, model, new)
        t.check("%s: label gives the same bytes" % name,
                labels_of(t, new, data) == labels_of(t, model, data))
        again = converted(t, name + ", the new one", new)
        t.check("%s: converting again changes no tensor" % name,
                e2e.safetensors_read(again + "/model.safetensors") == tensors)


def bits(data):
    return struct.unpack("<%dI" % (len(data) // 4), data)


def bf16(data):
    """Round to nearest, ties to even: of floats' bytes."""
    return b"".join(struct.pack("<H", (x + 0x7FFF + (x >> 16 & 1)) >> 16) for x in bits(data))


def fp16(data):
    n = len(data) // 4
    return struct.pack("<%de" % n, *struct.unpack("<%df" % n, data))


def test_dtypes(t, data):
    old = e2e.safetensors_read(e2e.MODEL + "/model.safetensors")
    for word, dtype, rounded in (("fp32", "F32", bytes), ("bf16", "BF16", bf16),
                                 ("fp16", "F16", fp16)):
        new = converted(t, word, e2e.MODEL, "--dtype", word)
        check_config(t, word, e2e.MODEL, new, dtype)
        tensors = e2e.safetensors_read(new + "/model.safetensors")
        t.check("%s: every tensor, rounded to nearest even" % word,
                {n: (dtype, s, rounded(d)) for n, (_, s, d) in old.items()} == tensors)
        t.exits("%s: labels" % word, t.label(*SCORES, model=new, stdin=data), e2e.OK)
        back = converted(t, word + " and back", new, "--dtype", "fp32")
        t.check("%s: back in fp32 labels are the same bytes" % word,
                labels_of(t, back, data) == labels_of(t, new, data))
    half = os.path.join(e2e.GOLDEN, "bert_fp16")
    new = converted(t, "fp16 to fp32", half, "--dtype", "fp32")
    t.check("fp16 to fp32: the same labels", labels_of(t, new, data) == labels_of(t, half, data))

    mixed = e2e.copy_model(t)
    name = "bert.encoder.layer.0.attention.self.query.weight"
    tensors = dict(old)
    tensors[name] = ("BF16", old[name][1], bf16(old[name][2]))
    e2e.safetensors_write(mixed + "/model.safetensors", tensors)
    new = converted(t, "mixed", mixed)
    t.check("mixed: each keeps its own", e2e.safetensors_read(new + "/model.safetensors") ==
            tensors)
    check_config(t, "mixed", mixed, new, "F32")
    offsets = [(e["data_offsets"][0], {"F32": 4, "BF16": 2}[e["dtype"]])
               for n, e in header(new + "/model.safetensors")[0].items() if n != "__metadata__"]
    t.check("mixed: each begins at a multiple of its element",
            all(at % size == 0 for at, size in offsets), offsets)


def test_overflow(t):
    model = e2e.copy_model(t)
    tensors = e2e.safetensors_read(model + "/model.safetensors")
    name = "bert.encoder.layer.1.output.dense.bias"
    dtype, shape, data = tensors[name]
    for value, fits in ((65519.0, True), (-65520.0, False), (float("inf"), True)):
        tensors[name] = (dtype, shape, data[:8] + struct.pack("<f", value) + data[12:])
        e2e.safetensors_write(model + "/model.safetensors", tensors)
        parent = t.directory()
        result = convert(t, model, parent + "/new", "--dtype", "fp16")
        if fits:
            t.exits("%g in fp16" % value, result, e2e.OK)
        else:
            t.exits("%g in fp16" % value, result, e2e.UNUSABLE, name, "element 2", "-65520", "fp32")
            t.equal("nothing is left", e2e.listing(parent), [])
    t.exits("and in bf16", convert(t, model, parent + "/b", "--dtype", "bf16"), e2e.OK)


def unnamed(t, **changes):
    """A model whose config.json names no labels."""
    model = e2e.copy_model(t)
    e2e.edit_json(model + "/config.json", **{"id2label": None, "label2id": None, **changes})
    return model


def test_labels(t, data):
    names = ["one", "zwei", "три", 'four "4"', "five"]
    text = "".join(n + "\n" for n in names)
    filled = {"id2label": {str(k): n for k, n in enumerate(names)},
              "label2id": {n: k for k, n in enumerate(names)}}

    def part(path):
        config = load(path + "/config.json")
        return {k: config.get(k) for k in filled}
    model = unnamed(t)
    e2e.write(model, "labels.txt", text)
    new = converted(t, "labels.txt", model)
    t.equal("labels.txt goes into config.json", part(new), filled)
    t.check("labels.txt is copied too", e2e.read(new + "/labels.txt").decode() == text)
    t.check("the labels are the same", labels_of(t, new, data) == labels_of(t, model, data))

    model = unnamed(t, id2label={str(k): "LABEL_%d" % k for k in range(5)})
    file = e2e.write(t.directory(), "names of mine.txt", text)
    new = converted(t, "--labels", model, "--labels", file)
    t.equal("--labels goes into config.json", part(new), filled)
    t.check("--labels: the file's name is in the header, where it lies is not",
            "  names of mine.txt\n" in
            header(new + "/model.safetensors")[0]["__metadata__"]["source_sha256"])
    t.equal("--labels: the same labels", labels_of(t, new, data),
            t.label(*SCORES, "--labels", file, model=model, stdin=data).out)

    new = converted(t, "id2label wins", e2e.MODEL, "--labels", file)
    t.check("id2label stays", e2e.read(new + "/config.json") ==
            e2e.read(e2e.MODEL + "/config.json"))
    t.equal("LABEL_n where config.json does not even say how many",
            part(converted(t, "no labels", unnamed(t)))["id2label"],
            {str(k): "LABEL_%d" % k for k in range(5)})
    t.equal("num_labels is enough", part(converted(t, "num_labels", unnamed(t, num_labels=5))),
            {"id2label": None, "label2id": None})
    new = converted(t, "bare config", unnamed(t, architectures=None, torch_dtype=None))
    check_config(t, "bare config", e2e.MODEL, new, "F32")


# ---- what is refused

def test_usage(t):
    parent = t.directory()
    model = os.path.join(parent, "a model")
    shutil.copytree(e2e.MODEL, model)
    os.mkdir(parent + "/there")
    e2e.write(parent, "file", "mine")
    os.symlink(model, parent + "/link")
    before = e2e.listing(parent)
    new = parent + "/new"
    for what, args, words in (
            ("no -o", ("-m", model), ["-o NEWDIR is required"]),
            ("-o is empty", ("-m", model, "-o", ""), ["-o NEWDIR is required"]),
            ("-o -", ("-m", model, "-o", "-"), ["stdout"]),
            ("an INPUT", ("-m", model, "-o", new, "titles"), ["titles", "no INPUT"]),
            ("no --model", ("-o", new), ["--model DIR is required"]),
            ("another dtype", ("-m", model, "-o", new, "--dtype", "fp8"), ["keep|fp32|bf16|fp16"]),
            ("-o is there", ("-m", model, "-o", parent + "/there"), ["there", "--force"]),
            ("-o is a file", ("-m", model, "-o", parent + "/file", "--force"), ["directory"]),
            ("-o is the model", ("-m", model, "-o", model, "--force"), ["the model itself"]),
            ("-o is the model, by a link", ("-m", model, "-o", parent + "/link/", "--force"),
             ["the model itself"]),
            ("-o is in the model", ("-m", model, "-o", model + "/new"), ["inside"]),
            ("-o is in the model, by a link", ("-m", model, "-o", parent + "/link/new"),
             ["inside"]),
            ("-o has the model in it", ("-m", model, "-o", parent, "--force"), ["the model"]),
            ("-o has no name", ("-m", model, "-o", parent + "/there/.."), [])):
        t.exits(what, t.run("convert", *args), e2e.USAGE, *words)
    t.exits("-o in this directory, which is the model",
            t.run("convert", "-m", ".", "-o", "new", cwd=model), e2e.USAGE, "inside")
    t.equal("nothing changed", e2e.listing(parent), before)
    t.equal("nor in the model", e2e.listing(model), e2e.listing(e2e.MODEL))
    t.equal("nor the file", e2e.read(parent + "/file"), b"mine")
    t.exits("-o in a directory that is not there", convert(t, model, parent + "/none/new"), e2e.IO,
            "none/new")
    t.exits("-o in a file", convert(t, model, parent + "/file/new"), e2e.IO, "file/new")
    t.exits("-o where nobody can write", convert(t, model, "/proc/new"), e2e.IO, "/proc/new")
    t.exits("no model", convert(t, parent + "/none", new), e2e.UNUSABLE, "no such directory")
    os.remove(model + "/model.safetensors")
    t.exits("no weights", convert(t, model, new), e2e.UNUSABLE, "weights")
    t.equal("still nothing changed", e2e.listing(parent), before)
    result = t.run("convert", env={"WADER_MODEL": e2e.MODEL, "WADER_OUTPUT": new,
                                   "WADER_DTYPE": "bf16", "WADER_QUIET": "1"})
    t.exits("all options from the environment", result, e2e.OK)
    t.equal("quiet", result.err, "")
    t.equal("its dtype", load(new + "/config.json")["torch_dtype"], "bfloat16")
    t.check("help", b"--dtype" in t.run("convert", "--help").out and
            b"NEWDIR" in t.run("help", "convert").out)


def test_no_tokenizer(t):
    model = e2e.copy_model(t)
    for name in ("vocab.txt", "tokenizer.json"):
        os.remove(os.path.join(model, name))
    result = convert(t, model, t.directory() + "/new")
    t.exits("without a vocabulary: a warning", result, e2e.OK, "warning", "vocab.txt")


def main():
    t = e2e.Suite(__doc__)
    data = e2e.titled(e2e.random_titles(t.seed, 60))
    test_all(t, data)
    test_dtypes(t, data)
    test_overflow(t)
    test_labels(t, data)
    test_usage(t)
    test_no_tokenizer(t)
    t.finish()


if __name__ == "__main__":
    main()
