#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models and devices that cannot be used: exit 6, a message that says what is wrong, no output."""
import json
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

WEIGHTS = "model.safetensors"


def refused(t, what, model, *words, args=()):
    out = t.directory()
    result = t.label(*args, "-o", out + "/out.jsonl", stdin=b"gold\n", model=model)
    t.exits(what, result, e2e.UNUSABLE, *words)
    if e2e.listing(out):
        t.equal("%s: nothing is left" % what, e2e.listing(out), [])


def changed(t, change, source=e2e.MODEL):
    """A copy of a model after `change(path)`."""
    model = e2e.copy_model(t, source)
    change(model)
    return model


def with_config(t, **changes):
    return changed(t, lambda m: e2e.edit_json(m + "/config.json", **changes))


def with_tensors(t, change):
    def edit(model):
        tensors = e2e.safetensors_read(os.path.join(model, WEIGHTS))
        change(tensors)
        e2e.safetensors_write(os.path.join(model, WEIGHTS), tensors)
    return changed(t, edit)


def test_directory(t):
    path = t.directory()
    refused(t, "no such directory", path + "/none", path + "/none", "no such directory")
    refused(t, "an empty directory", path, path, "config.json")
    refused(t, "a file", e2e.write(path, "file", b""), "not a directory")
    for name, words in (("config.json", ["config.json"]), (WEIGHTS, ["model.safetensors"])):
        refused(t, "without " + name, changed(t, lambda m, n=name: os.remove(m + "/" + n)), *words)

    def no_vocabulary(model):
        os.remove(model + "/vocab.txt")
        os.remove(model + "/tokenizer.json")
    refused(t, "without vocabulary", changed(t, no_vocabulary), "vocab.txt", "tokenizer.json")

    def no_shard(model):
        os.remove(model + "/model-00002-of-00003.safetensors")
    refused(t, "without one shard of three",
            changed(t, no_shard, os.path.join(e2e.GOLDEN, "bert_sharded")),
            "model-00002-of-00003.safetensors")
    if os.geteuid() != 0:
        refused(t, "unreadable weights",
                changed(t, lambda m: os.chmod(os.path.join(m, WEIGHTS), 0)), WEIGHTS)


def test_config(t):
    for what, data in (("empty", b""), ("not JSON", b"{'a': 1}"), ("an array", b"[]"),
                       ("truncated", b'{"vocab_size": 2'), ("binary", bytes(range(256)))):
        refused(t, "config.json is " + what, changed(
            t, lambda m, d=data: e2e.write(m, "config.json", d)), "config.json")
    for key, value, words in (
            ("model_type", "roberta", ["roberta", "bert"]),
            ("architectures", ["BertForMaskedLM"], ["BertForMaskedLM",
                                                    "BertForSequenceClassification"]),
            ("hidden_act", "swish", ["hidden_act", "swish", "gelu"]),
            ("position_embedding_type", "relative_key", ["relative_key", "absolute"]),
            ("vocab_size", 291, ["290", "291"]), ("hidden_size", 64, ["32", "64"]),
            ("num_hidden_layers", 3, ["layer.2"]), ("num_hidden_layers", 0, ["num_hidden_layers"]),
            ("num_attention_heads", 5, ["32", "5"]), ("intermediate_size", 73, ["72", "73"]),
            ("max_position_embeddings", 41, ["40", "41"]), ("type_vocab_size", 3, ["2", "3"]),
            ("hidden_size", "32", ["hidden_size"]), ("hidden_size", -32, ["hidden_size"]),
            ("hidden_size", 1 << 40, ["hidden_size"]), ("vocab_size", None, ["vocab_size"]),
            ("layer_norm_eps", "small", ["layer_norm_eps"]),
            ("id2label", {"0": "a", "1": "b"}, ["2", "5"]),
            ("id2label", {str(i + 1): "x%d" % i for i in range(5)}, ["id2label"])):
        refused(t, "config.json: %s is %s" % (key, json.dumps(value)),
                with_config(t, **{key: value}), "config.json" if "layer.2" not in words else "",
                *words)


def test_weights(t):
    whole = e2e.read(os.path.join(e2e.MODEL, WEIGHTS))
    (n,) = struct.unpack("<Q", whole[:8])
    for what, data in (
            ("empty", b""), ("7 bytes", whole[:7]), ("cut inside the header", whole[:n // 2]),
            ("cut behind the header", whole[:8 + n]), ("one byte short", whole[:-1]),
            ("one byte long", whole + b"\0"), ("a header of garbage", whole[:8] + bytes(n)),
            ("garbage", bytes(b ^ 0xa5 for b in whole)), ("a huge header", b"\xff" * 8 + whole[8:]),
            ("a header that is an array", struct.pack("<Q", 2) + b"[]"),
            ("an HTML page", b"<!DOCTYPE html><html>not found</html>"),
            ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
            ("offsets out of range", whole.replace(b'"data_offsets":[0,', b'"data_offsets":[9,'))):
        refused(t, "weights: " + what, changed(
            t, lambda m, d=data: e2e.write(m, WEIGHTS, d)), WEIGHTS)
    name = "bert.encoder.layer.1.attention.output.dense.weight"

    def shape(dtype, dims):
        def change(tensors):
            tensors[name] = (dtype, dims, tensors[name][2])
        return change
    refused(t, "weights: a tensor is missing", with_tensors(t, lambda x: x.pop(name)), name)
    refused(t, "weights: a tensor of another shape", with_tensors(t, shape("F32", [16, 64])), name,
            "16", "64", "32")
    refused(t, "weights: a tensor of one dimension", with_tensors(t, shape("F32", [1024])), name,
            "1024")
    refused(t, "weights: a tensor of integers", with_tensors(t, shape("I32", [32, 32])), name,
            "I32")
    refused(t, "weights: a tensor of another size", with_tensors(t, shape("F32", [32, 33])), name)
    refused(t, "weights: no classifier", with_tensors(t, lambda x: x.pop("classifier.weight")),
            "classifier.weight")


def test_nonfinite(t):
    def change(tensors):
        dtype, dims, data = tensors["classifier.bias"]
        tensors["classifier.bias"] = (dtype, dims, struct.pack("<f", float("nan")) + data[4:])
    model = with_tensors(t, change)
    out = t.directory()
    result = t.label("-o", out + "/out.jsonl", stdin=b"gold\n", model=model)
    t.check("a NaN in the weights gives no label: refused (6), or bad rows (1)",
            result.code in (e2e.ROWS, e2e.UNUSABLE) and not e2e.listing(out), result)
    row = t.label("--max-bad", "1", stdin=b"gold\n", model=model)
    if row.code == e2e.OK:
        t.equal("the row says so", row.rows()[0],
                {"id": 1, "label": None, "status": "nonfinite_logits"})


def test_vocabulary(t):
    words = e2e.read(os.path.join(e2e.MODEL, "vocab.txt")).decode().split("\n")[:-1]

    def vocabulary(lines):
        def change(model):
            os.remove(model + "/tokenizer.json")
            e2e.write(model, "vocab.txt", "".join(w + "\n" for w in lines))
        return changed(t, change)
    t.exits("vocab.txt alone is enough", t.label(stdin=b"gold\n", model=vocabulary(words)), e2e.OK)
    refused(t, "one word too few", vocabulary(words[:-1]), "289", "290",
            "add 1 unused")
    refused(t, "one word too many", vocabulary(words + ["more"]), "291", "290")
    refused(t, "no [CLS]", vocabulary(["x" if w == "[CLS]" else w for w in words]), "[CLS]")
    refused(t, "an empty vocabulary", vocabulary([]), "vocabulary")
    for data in (b"", b"{}", b'{"model": {"type": "BPE"}}', b"{\"model\""):
        refused(t, "tokenizer.json is %r" % data.decode(), changed(
            t, lambda m, d=data: e2e.write(m, "tokenizer.json", d)), "tokenizer.json")


def with_tokenizer(t, normalizer=None, drop=(), **config):
    """The model with another normalizer, other entries of tokenizer_config.json, fewer files."""
    def change(model):
        path = model + "/tokenizer.json"
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
        value["normalizer"].update(normalizer or {})
        e2e.write(model, "tokenizer.json", json.dumps(value))
        e2e.edit_json(model + "/tokenizer_config.json", **config)
        for name in drop:
            os.remove(model + "/" + name)
    return changed(t, change)


def test_case(t):
    titles = b"Gold PRICES rise\nG\xc3\xb6ld\n"
    lowered = b"gold prices rise\ngold\n"

    def ids(data, model):
        result = t.run("tokenize", "--model", model, stdin=data)
        t.exits("tokenize", result, e2e.OK)
        return result.out
    cased, small = ids(titles, e2e.MODEL), ids(lowered, e2e.MODEL)
    t.check("case makes a difference", cased != small)
    config = "tokenizer_config.json"
    lower = {"lowercase": True}
    for what, model in (
            ("an uncased tokenizer.json", with_tokenizer(t, lower, drop=[config])),
            ("both files uncased", with_tokenizer(t, lower, do_lower_case=True)),
            ("do_lower_case alone", with_tokenizer(t, drop=["tokenizer.json"], do_lower_case=True)),
            ("do_lower_case over tokenizer.json", with_tokenizer(t, do_lower_case=True))):
        t.equal(what, ids(titles, model), small)
        t.exits(what + ": a label", t.label(stdin=titles, model=model), e2e.OK)
    t.equal("do_lower_case false over tokenizer.json",
            ids(titles, with_tokenizer(t, lower, do_lower_case=False)), cased)
    model = with_tokenizer(t, do_lower_case=None)
    refused(t, "cased, and no do_lower_case", model, "lowercase is false", "do_lower_case", config)
    t.exits("tokenize refuses it too", t.run("tokenize", "--model", model, stdin=titles),
            e2e.UNUSABLE, "do_lower_case")
    refused(t, "tokenize_chinese_chars against tokenizer.json",
            with_tokenizer(t, tokenize_chinese_chars=False), "tokenize_chinese_chars is false",
            "tokenizer.json is true")
    refused(t, "another normalizer", with_tokenizer(t, {"type": "NFKC"}), "normalizer", "NFKC",
            "BertNormalizer")


def test_labels(t):
    path = t.directory()

    def numbered(model):
        e2e.edit_json(model + "/config.json",
                      id2label={str(i): "LABEL_%d" % i for i in range(5)}, label2id=None)
    model = changed(t, numbered)
    result = t.label(stdin=b"gold\n", model=model)
    t.exits("labels without names: a warning", result, e2e.OK, "LABEL_0", "--labels")
    t.check("and LABEL_n", result.rows()[0]["label"].startswith("LABEL_"))
    for lines in (["a", "b", "c", "d"], ["a", "b", "c", "d", "e", "f"], ["a", "", "c", "d", "e"],
                  ["a", "b", "c", "d", "b"]):
        names = e2e.write(path, "names.txt", "\n".join(lines) + "\n")
        result = t.label("--labels", names, stdin=b"gold\n", model=model)
        t.exits("--labels with %s" % lines, result, e2e.UNUSABLE, "names.txt")
        shutil.copy(names, model + "/labels.txt")
        refused(t, "labels.txt with %s" % lines, model, "labels.txt")
        os.remove(model + "/labels.txt")
    t.exits("--labels without a file", t.label("--labels", path + "/none", stdin=b"gold\n",
                                               model=model), e2e.UNUSABLE, path + "/none")
    refused(t, "two names of one kind", with_config(
        t, id2label={str(i): "\x1b[2J%d" % (i % 4) for i in range(5)}), "config.json",
            '"?[2J0"', "tell them apart")
    names = e2e.write(path, "names.txt", "one\ntwo\nthrée\nfour \"4\"\nfive\n")
    got = t.label("--labels", names, "--scores", "all", stdin=b"gold\n", model=model).rows()
    t.equal("--labels names them", list(got[0]["scores"]),
            ["one", "two", "thrée", 'four "4"', "five"])
    titles = e2e.write(path, "titles.txt", "gold\n")
    result = t.run("label", "--model", model, "--labels", "names.txt", "-o", "out.jsonl", titles,
                   cwd=path)
    t.exits("--labels with a name in this directory, not the model's", result, e2e.OK)


def test_device(t):
    for device in ("cuda", "cuda:0", "cuda:0,1"):
        result = t.label("--device", device, stdin=b"gold\n", env={"CUDA_VISIBLE_DEVICES": ""})
        t.exits("--device %s where there is none" % device, result, e2e.UNUSABLE, device, "cpu")
    for precision in ("fp16", "fp8"):
        refused(t, "--precision %s on a CPU" % precision, e2e.MODEL, precision, "fp32",
                args=("--device", "cpu", "--precision", precision))
    rows = t.label("--device", "cpu", "--precision", "fp32", stdin=b"gold\n").rows()
    t.equal("--device cpu --precision fp32", len(rows), 1)


def test_cpu_precisions(t):
    """bf16 and int8 where this processor has them: near to fp32, by name in the record, refused
    where oneDNN's own environment variable takes the instructions away."""
    texts = "".join("title number %d\n" % i for i in range(300)).encode()
    wanted = t.label("--scores", "logits", "--device", "cpu", stdin=texts).rows()
    scale = max(abs(x) for row in wanted for x in row["logits"])
    for precision, tolerance in (("bf16", 0.05), ("int8", 0.1)):
        args = ("--scores", "logits", "--precision", precision)
        if precision not in e2e.cpu_precisions():
            t.exits("%s on a processor without" % precision, t.label(*args, stdin=texts),
                    e2e.UNUSABLE, precision, "--precision fp32")
            continue
        result = t.label(*args, stdin=texts, env={"CUDA_VISIBLE_DEVICES": ""})
        t.exits("--precision %s takes the CPU" % precision, result, e2e.OK,
                "device: cpu, %s" % precision)
        rows = result.rows()
        apart = max(abs(x - y) for a, b in zip(rows, wanted)
                    for x, y in zip(a["logits"], b["logits"]))
        t.check("%s: logits near those of fp32, and not the same" % precision,
                0 < apart <= tolerance * scale, "%g of %g" % (apart, scale))
        source = e2e.write(t.directory(), "titles.txt", texts)
        output = source + ".jsonl"
        t.exits("%s into a file" % precision, t.label(*args, "-o", output, source), e2e.OK)
        record = json.loads(e2e.read(output + ".meta.json"))
        t.equal("%s: in the record" % precision, record["settings"]["precision"], precision)
        t.exits("%s: the same again" % precision, t.label(*args, "-o", output, source), e2e.OK,
                "is done already")
        t.exits("fp32 after %s: labelled anew" % precision,
                t.label("--scores", "logits", "-o", output, source), e2e.OK, "labelled in")
        for isa in ("AVX512_CORE", "AVX2"):
            result = t.label(*args, stdin=texts, env={"DNNL_MAX_CPU_ISA": isa})
            t.exits("%s with %s and no more" % (precision, isa), result, e2e.UNUSABLE, precision,
                    "--precision fp32", "AVX-512")


def main():
    t = e2e.Suite(__doc__)
    for test in (test_directory, test_config, test_weights, test_nonfinite, test_vocabulary,
                 test_case, test_labels, test_device, test_cpu_precisions):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
