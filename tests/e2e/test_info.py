#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader info`: both forms tell what the files say, what `label` would say, and fit a screen."""
import hashlib
import json
import math
import os
import shutil
import sys
import unicodedata

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

KEYS = ["wader", "model", "config", "weights", "tokenizer", "labels", "calibration", "files",
        "device", "error"]
SIZES = {"F32": 4, "F16": 2, "BF16": 2}


def info(t, model, *args, **kwargs):
    return t.run("info", "--model", model, *args, **kwargs)


def facts(t, what, model, *args, code=e2e.OK):
    result = info(t, model, "--json", *args)
    t.check("%s: exit %d, one line of JSON" % (what, code),
            result.code == code and result.out.count(b"\n") == 1, result)
    value = json.loads(result.out)
    t.equal("%s: keys" % what, list(value), KEYS)
    return value


def columns(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def text(t, what, model, *args, code=e2e.OK):
    """The screen: of printable lines of at most 100 columns."""
    result = info(t, model, *args)
    t.exits("%s: as text" % what, result, code)
    screen = result.out.decode()
    wide = [line for line in screen.split("\n")
            if columns(line) > 100 or line != line.rstrip() or not line.isprintable()]
    t.check("%s: short and clean lines" % what, not wide, wide)
    return screen


def words(screen):
    return " ".join(screen.split())


def config_of(model):
    with open(model + "/config.json", encoding="utf-8") as file:
        return json.load(file)


# ---- what is there

def check_config(t, name, value, config):
    distil = config["model_type"] == "distilbert"
    keys = {"layers": "n_layers" if distil else "num_hidden_layers",
            "hidden_size": "dim" if distil else "hidden_size",
            "heads": "n_heads" if distil else "num_attention_heads",
            "intermediate_size": "hidden_dim" if distil else "intermediate_size",
            "vocab_size": "vocab_size", "max_positions": "max_position_embeddings"}
    got = value["config"]
    t.equal("%s: the figures" % name, {k: got[k] for k in keys},
            {k: config[key] for k, key in keys.items()})
    t.equal("%s: what kind" % name,
            (got["class"], got["token_types"], got["head_activation"], got["head_size"]),
            (("DistilBertForSequenceClassification", 0, "relu") if distil else
             ("BertForSequenceClassification", config["type_vocab_size"], "tanh")) +
            (got["hidden_size"] // got["heads"],))
    multi = config.get("problem_type") == "multi_label_classification"
    t.equal("%s: the problem" % name, got["problem"], "multi_label" if multi else "single_label")


def tensors_of(model):
    names = [n for n in os.listdir(model) if n.endswith(".safetensors")]
    out = {}
    for name in names:
        out.update(e2e.safetensors_read(os.path.join(model, name)))
    return {n: x for n, x in out.items() if x[0] in SIZES}, names


def check_weights(t, name, value, model):
    tensors, names = tensors_of(model)
    if not names:
        t.check("%s: another format" % name, value["weights"]["format"] != "safetensors")
        return
    by_dtype = {}
    for dtype, shape, _ in tensors.values():
        by_dtype[dtype] = by_dtype.get(dtype, 0) + math.prod(shape)
    weights = value["weights"]
    t.equal("%s: tensors and parameters" % name,
            (weights["format"], weights["tensors"], weights["parameters"], weights["dtypes"]),
            ("safetensors", len(tensors), sum(by_dtype.values()), by_dtype))
    names += [n for n in os.listdir(model) if n.endswith(".index.json")]
    t.equal("%s: bytes" % name, weights["nbytes"],
            sum(os.path.getsize(os.path.join(model, n)) for n in names))


def check_files(t, name, value, model):
    got = {f["name"]: (f["nbytes"], f["sha256"]) for f in value["files"]}
    weights = (".safetensors", ".index.json", ".h5", ".bin")
    used = [n for n in os.listdir(model) if n.endswith(weights)
            or n in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json")
            or n == "labels.txt" and value["labels"]["source"] == n]
    data = {n: e2e.read(os.path.join(model, n)) for n in used}
    t.equal("%s: every file used, its size and SHA-256" % name, got,
            {n: (len(d), hashlib.sha256(d).hexdigest()) for n, d in data.items()})


def check_screen(t, name, value, model):
    screen = text(t, name, model)
    flat = words(screen)
    config, weights = value["config"], value["weights"]
    parts = [config["class"], "%d layers" % config["layers"], "%d wide" % config["hidden_size"],
             "%d heads of %d" % (config["heads"], config["head_size"]),
             "{:,} word pieces".format(config["vocab_size"]),
             "{:,} in {:,} tensors".format(weights["parameters"], weights["tensors"]),
             "{:,} bytes".format(weights["nbytes"]),
             "uncased" if value["tokenizer"]["lowercase"] else "cased"]
    parts += ["%d %s" % item for item in enumerate(value["labels"]["names"])]
    parts += ["%s %s" % (f["sha256"], f["name"]) for f in value["files"]]
    missing = [p for p in parts if p not in flat]
    t.check("%s: all of it is on the screen" % name, not missing, (missing, screen))
    t.check("%s: one screen" % name, screen.count("\n") <= 40, screen)


def test_fixtures(t):
    for name in e2e.FIXTURES:
        model = os.path.join(e2e.GOLDEN, name)
        value = facts(t, name, model)
        config = config_of(model)
        check_config(t, name, value, config)
        check_weights(t, name, value, model)
        check_files(t, name, value, model)
        check_screen(t, name, value, model)
        named = list((config.get("id2label") or {}).values())
        if named and named[0] != "LABEL_0":
            t.equal("%s: labels" % name, value["labels"], {"source": "id2label", "names": named})
        t.equal("%s: no error" % name, value["error"], None)


def test_demo_model(t):
    value = facts(t, "demo", os.path.join(e2e.ROOT, "data", "model"))
    screen = text(t, "demo", os.path.join(e2e.ROOT, "data", "model"))
    t.check("thousands are parted", "{:,}".format(value["weights"]["parameters"]) in screen and
            value["weights"]["parameters"] > 10**6)


# ---- where labels come from

def test_labels(t):
    model = e2e.copy_model(t)
    e2e.edit_json(model + "/config.json", id2label=None, label2id=None)
    names = ["ein s", "zwei", "三 \u0007bell\u009b", "x" * 300, "fünf"]
    file = e2e.write(t.directory(), "my names.txt", "".join(n + "\n" for n in names))
    value = facts(t, "numbered", model)
    t.equal("numbered", value["labels"],
            {"source": "none", "names": ["LABEL_%d" % k for k in range(5)]})
    t.check("numbered: it says so", "--labels FILE does" in words(text(t, "numbered", model)))
    value = facts(t, "--labels", model, "--labels", file)
    t.equal("--labels", value["labels"], {"source": "--labels", "names": names})
    t.equal("--labels: its file", [f["sha256"] for f in value["files"] if f["name"] == file],
            [hashlib.sha256(e2e.read(file)).hexdigest()])
    screen = text(t, "--labels", model, "--labels", file)
    t.check("--labels: nothing that a terminal acts on", "三 ?bell?" in words(screen), screen)
    shutil.copy(file, model + "/labels.txt")
    t.equal("labels.txt", facts(t, "labels.txt", model)["labels"],
            {"source": "labels.txt", "names": names})


def test_many_labels(t):
    model = e2e.copy_model(t)
    names = {str(k): "%s number %d" % ("今日" if k % 3 else "label", k) for k in range(3000)}
    e2e.edit_json(model + "/config.json", id2label=names, label2id=None)
    tensors = e2e.safetensors_read(model + "/model.safetensors")
    tensors["classifier.weight"] = ("F32", [3000, 32], bytes(3000 * 128))
    tensors["classifier.bias"] = ("F32", [3000], bytes(3000 * 4))
    e2e.safetensors_write(model + "/model.safetensors", tensors)
    t.equal("3,000 labels in JSON", facts(t, "many", model)["labels"]["names"],
            list(names.values()))
    screen = text(t, "many", model)
    t.check("3,000 labels on one screen", "and 2,960 more" in words(screen) and
            screen.count("\n") < 45, screen)


# ---- what label would say

def test_device(t):
    model = e2e.MODEL
    label = t.label(stdin=b"gold\n")
    line = [x for x in label.err.split("\n") if "device: " in x][0]
    screen = words(text(t, "auto", model))
    what, why = line.split("device: ")[1].rstrip(")").split(" (", 1)
    t.check("device and why are those of label: %s" % line,
            "device %s; " % what in screen and "why %s memory" % why in screen, screen)
    value = facts(t, "auto", model)["device"]
    t.equal("as JSON", "%s, %s, %s" % (value["device"], value["precision"], value["workers"]), what)
    value = facts(t, "threads", model, "--device", "cpu", "--threads", "3")["device"]
    t.equal("--device cpu --threads 3", (value["device"], value["workers"], value["hardware"],
                                         value["why_no_gpu"], value["max_length"]),
            ("cpu", "3 threads", None, None, 40))
    one = facts(t, "one thread", model, "--device", "cpu", "--threads", "1", "--batch-tokens",
                "640", "--max-length", "20")["device"]
    two = facts(t, "two threads", model, "--device", "cpu", "--threads", "2", "--batch-tokens",
                "640", "--max-length", "20")["device"]
    t.equal("what was asked for", (one["batch_tokens"], one["max_length"]), (640, 20))
    t.check("more threads take more memory", two["memory"]["working_nbytes"] >
            one["memory"]["working_nbytes"] > 0)
    t.equal("but share the weights", two["memory"]["weights_nbytes"],
            one["memory"]["weights_nbytes"])
    t.equal("of the shape", one["memory"]["weights_nbytes"], 2 * (4 * 32 * 32 + 2 * 32 * 72) * 4)
    t.check("so does all else, of which each tokenizer has its part",
            two["memory"]["rest_nbytes"] > one["memory"]["rest_nbytes"] > 100e6)
    keras = facts(t, "Keras", os.path.join(e2e.GOLDEN, "bert_tf4_15"), "--device", "cpu",
                  "--threads", "1")["device"]["memory"]
    t.check("and weights that cannot stay where they lie", keras["rest_nbytes"] >=
            one["memory"]["rest_nbytes"] + keras["weights_nbytes"], keras)
    for precision in e2e.cpu_precisions():
        args = ("--device", "cpu", "--threads", "1", "--precision", precision, "--batch-tokens",
                "640", "--max-length", "20")
        value = facts(t, precision, model, *args)["device"]
        t.equal("%s" % precision, value["precision"], precision)
        t.equal("%s: of the shape" % precision, value["memory"]["weights_nbytes"],
                2 * (4 * 32 * 32 + 2 * 32 * 72) * {"bf16": 2, "int8": 1}[precision])
        t.check("%s: and memory to work with" % precision, value["memory"]["working_nbytes"] > 0)
    for what, args, code in (
            ("a GPU where there is none", ("--device", "cuda"), e2e.UNUSABLE),
            ("fp16 on the CPU", ("--device", "cpu", "--precision", "fp16"), e2e.UNUSABLE),
            ("no such device", ("--device", "tpu"), e2e.USAGE),
            ("too long", ("--max-length", "41"), e2e.USAGE),
            ("too short", ("--max-length", "0"), e2e.USAGE),
            ("too small a batch", ("--batch-tokens", "39"), e2e.USAGE),
            ("too large a batch", ("--batch-tokens", "2000000000"), e2e.USAGE)):
        hidden = {"CUDA_VISIBLE_DEVICES": ""}
        want = t.label(*args, stdin=b"gold\n", env=hidden)
        got = info(t, model, *args, env=hidden)
        t.exits(what, got, code)
        if "MiB" not in want.err:  # what is free changes
            t.equal("%s: the message is that of label" % what, got.err.split("\n")[-2],
                    want.err.split("\n")[-2])


def broken(t, change):
    model = e2e.copy_model(t)
    change(model)
    return model


def test_broken(t):
    """What can be told, then the error of `label`, and its exit code."""
    def remove(*names):
        return lambda m: [os.remove(os.path.join(m, n)) for n in names]

    def cut(model):
        e2e.write(model, "model.safetensors", e2e.read(model + "/model.safetensors")[:-1])

    def cut_vocabulary(model):
        os.remove(model + "/tokenizer.json")
        words = e2e.read(model + "/vocab.txt").decode().split("\n")
        e2e.write(model, "vocab.txt", "".join(w + "\n" for w in words[:-2]))
    no_weights = ["config", "tokenizer", "labels", "device"]
    cases = (("no weights", remove("model.safetensors"), no_weights),
             ("damaged weights", cut, no_weights),
             ("no vocabulary", remove("vocab.txt", "tokenizer.json"),
              ["config", "weights", "labels", "calibration", "device"]),
             ("another vocabulary", cut_vocabulary,
              ["config", "weights", "tokenizer", "labels", "calibration", "device"]),
             ("a config.json of another model",
              lambda m: e2e.edit_json(m + "/config.json", model_type="roberta"), ["tokenizer"]),
             ("a config.json that is none", lambda m: e2e.write(m, "config.json", "{"),
              ["tokenizer"]),
             ("labels that do not fit",
              lambda m: e2e.edit_json(m + "/config.json", num_labels=4), ["tokenizer"]))
    for what, change, known in cases:
        model = broken(t, change)
        want = t.label(model=model, stdin=b"gold\n")
        t.exits("%s: label" % what, want, e2e.UNUSABLE)
        value = facts(t, what, model, code=e2e.UNUSABLE)
        t.equal("%s: what is known" % what,
                [k for k in KEYS[2:-1] if value[k] is not None and k != "files"], known)
        t.check("%s: files" % what, value["files"] and
                all(len(f["sha256"]) == 64 for f in value["files"]))
        screen = text(t, what, model, code=e2e.UNUSABLE)
        result = info(t, model)
        t.equal("%s: the message is that of label" % what, result.err, want.err)
        t.equal("%s: and in JSON" % what, "wader: error: %s\n" % value["error"], want.err)
        t.check("%s: the screen" % what, all(
            (part in screen) == (key in known) for key, part in (
                ("config", "architecture "), ("weights", "parameters "),
                ("tokenizer", "tokenizer "), ("labels", "labels "), ("device", "device "))), screen)
    path = t.directory()
    for what, model in (("no such directory", path + "/none"), ("an empty one", path),
                        ("a file", e2e.write(path, "file", ""))):
        result = info(t, model)
        t.check("%s: an error alone" % what, result.code == e2e.UNUSABLE and not result.out and
                result.err == t.label(model=model, stdin=b"gold\n").err, result)
        value = facts(t, what, model, code=e2e.UNUSABLE)
        t.check("%s: and in JSON" % what, model in value["error"] and value["config"] is None)


def test_usage(t):
    t.exits("no --model", t.run("info"), e2e.USAGE, "--model DIR is required")
    t.exits("an INPUT", info(t, e2e.MODEL, "titles"), e2e.USAGE, "titles", "no INPUT")
    t.exits("an option of label", info(t, e2e.MODEL, "--header"), e2e.USAGE, "no such option")
    t.check("from the environment", t.run("info", env={"WADER_MODEL": e2e.MODEL,
                                                       "WADER_JSON": "1"}).out[:1] == b"{")
    t.check("help", b"--json" in t.run("info", "--help").out)
    with open("/dev/full", "wb") as full:
        t.exits("stdout is full", info(t, e2e.MODEL, stdout=full), e2e.IO, "stdout")
    read, write = os.pipe()
    os.close(read)
    t.exits("nobody reads stdout", info(t, e2e.MODEL, stdout=write), e2e.PIPE)
    os.close(write)
    model = os.path.join(t.directory(), "a model  mit \u2028 \x1b[31m name")
    shutil.copytree(e2e.MODEL, model)
    t.equal("a strange name in JSON", facts(t, "a strange name", model)["model"], model)
    result = info(t, model)
    t.check("and on the screen", b"\x1b" not in result.out and result.code == e2e.OK, result)


def main():
    t = e2e.Suite(__doc__)
    for test in (test_fixtures, test_demo_model, test_labels, test_many_labels, test_device,
                 test_broken, test_usage):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
