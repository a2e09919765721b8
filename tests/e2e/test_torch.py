#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pytorch_model.bin: the rows of the same weights in safetensors, and exit 6 for everything else.

The files are those of tests/golden/make_torch_fixtures.py, and pickles made here that would run
something if they were loaded.
"""
import builtins
import collections
import io
import os
import pickle
import random
import resource
import shutil
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

SOURCE = os.path.join(e2e.GOLDEN, "bert_torch")
OTHER = os.path.join(SOURCE, "other")
BIN = "pytorch_model.bin"
LEGACY_HEAD = [0x1950a86a20f9469cfc6c, 1001,
               {"protocol_version": 1001, "little_endian": True,
                "type_sizes": {"short": 2, "int": 4, "long": 4}}]


def with_weights(t, *paths, name=None):
    """The fixture's model with these files, under their own names or `name`, as its weights."""
    model = t.directory()
    for entry in os.listdir(SOURCE):
        if entry not in (BIN, "expected.json", "other"):
            shutil.copy(os.path.join(SOURCE, entry), model)
    for path in paths:
        shutil.copy(path, os.path.join(model, name or os.path.basename(path)))
    return model


def with_bytes(t, data):
    model = with_weights(t)
    e2e.write(model, BIN, data)
    return model


def logits_of(t, model, titles):
    result = t.label("--scores", "logits", "--max-length", "24", stdin=titles, model=model)
    t.exits("labelled", result, e2e.OK)
    return result.out


def test_same_rows(t):
    titles = "".join(x.replace("\n", " ").replace("\r", " ") + "\n"
                     for x in e2e.random_titles(t.seed, 300)).encode("utf-8", "replace")
    twin = {kind: logits_of(t, with_weights(t, os.path.join(OTHER, kind + ".safetensors"),
                                            name="model.safetensors"), titles)
            for kind in ("twin", "half", "bfloat16")}
    t.check("half, bfloat16 and single precision differ", len(set(twin.values())) == 3)
    t.equal("the model as transformers 4.15 saved it", logits_of(t, SOURCE, titles), twin["twin"])
    for name in sorted(n for n in os.listdir(OTHER) if n.endswith(".bin")):
        model = with_weights(t, os.path.join(OTHER, name), name=BIN)
        t.equal("%s: logits as by safetensors" % name, logits_of(t, model, titles),
                twin.get(name[:-len(".bin")], twin["twin"]))
    sharded = os.path.join(OTHER, "sharded")
    shards = [os.path.join(sharded, n) for n in os.listdir(sharded)]
    t.equal("sharded: logits as by safetensors",
            logits_of(t, with_weights(t, *shards), titles), twin["twin"])


def test_choice(t):
    """Which weights are taken where there are several."""
    titles, twin = b"gold\n", os.path.join(OTHER, "twin.safetensors")
    bad, good = os.path.join(SOURCE, "config.json"), os.path.join(SOURCE, BIN)
    model = with_weights(t, bad, name=BIN)
    shutil.copy(twin, model + "/model.safetensors")
    wanted = logits_of(t, model, titles)
    shutil.copy(good, model + "/" + BIN)
    e2e.write(model, BIN + ".index.json", "{}")
    e2e.write(model, "tf_model.h5", "")
    t.equal("safetensors before the others", logits_of(t, model, titles), wanted)
    os.remove(model + "/model.safetensors")
    t.equal("then pytorch_model.bin", logits_of(t, model, titles), wanted)
    os.remove(model + "/" + BIN)
    refused(t, "then its index", model, BIN + ".index.json", "weight_map")
    model = with_weights(t, *[os.path.join(OTHER, "sharded", n)
                              for n in os.listdir(os.path.join(OTHER, "sharded"))])
    os.remove(model + "/pytorch_model-00002-of-00002.bin")
    refused(t, "a shard is missing", model, "pytorch_model-00002-of-00002.bin")


def refused(t, what, model, *words, limit=None):
    out = t.directory()
    result = t.label("-o", out + "/out.jsonl", stdin=b"gold\n", model=model, preexec_fn=limit)
    t.exits(what, result, e2e.UNUSABLE, *words)
    if e2e.listing(out):
        t.equal("%s: nothing is left" % what, e2e.listing(out), [])


class Call:
    """Something that Python would run when it loads the pickle."""

    def __init__(self, function, *args):
        self.what = function, args

    def __reduce__(self):
        return self.what


def zip_of(data, compression=zipfile.ZIP_STORED, **more):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        for name, content in more.items():
            archive.writestr("archive/" + name, content)
    return file.getvalue()


def legacy_of(data, protocol=2):
    return b"".join(pickle.dumps(x, protocol) for x in LEGACY_HEAD) + data + pickle.dumps([], 2)


def test_malicious(t):
    """Real attacks. Each would make a file if anything of it were run."""
    path = os.path.join(t.directory(), "ran")
    command, code = "touch " + path, "open(%r, 'w')" % path
    attacks = (
        ("os.system", Call(os.system, command), "posix.system"),
        ("eval", Call(builtins.eval, code), "eval"),
        ("exec", Call(builtins.exec, code), "exec"),
        ("a call in a call", Call(getattr, Call(__import__, "os"), "system"), "getattr"),
        ("a call beside tensors", collections.OrderedDict(
            [("bert.embeddings.word_embeddings.weight", 1), ("x", Call(os.system, command))]),
         "posix.system"),
        ("pickle.loads", Call(pickle.loads, pickle.dumps(Call(os.system, command))), "loads"))
    for what, value, name in attacks:
        for protocol in range(6):
            data = pickle.dumps(value, protocol)
            # Before protocol 2 an opcode that torch never writes may come first.
            words = [BIN, "refused", "nothing of it was run"] + [name] * (protocol >= 2)
            for kind, file in (("zip", zip_of(data)), ("legacy", legacy_of(data))):
                refused(t, "%s, protocol %d, %s" % (what, protocol, kind), with_bytes(t, file),
                        *words)
    t.check("none of it was run", not os.path.exists(path))
    pickle.loads(pickle.dumps(attacks[0][1]))
    t.check("and it would have been", os.path.exists(path))
    head = pickle.dumps(Call(os.system, "rm " + path), 2)
    refused(t, "in the place of the magic number", with_bytes(t, head), "posix.system")
    t.check("nor was that", os.path.exists(path))


def memory_limit(t):
    """For preexec_fn: 1 GiB of address space; None where the program, a build with sanitizers, does
    not even run a good model in that."""
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    if t.label(stdin=b"gold\n", model=SOURCE, preexec_fn=limit).code == e2e.OK:
        return limit
    t.exits("a good model without a limit of memory, which this build exceeds by itself",
            t.label(stdin=b"gold\n", model=SOURCE), e2e.OK)
    return None


def test_hostile(t):
    limit = memory_limit(t)
    bomb = zip_of(b"\0" * (200 << 20), zipfile.ZIP_DEFLATED)
    laughs = b"]q\0" + b"".join(b"](" + bytes([104, i]) * 10 + b"eq" + bytes([i + 1])
                                for i in range(40)) + b"0" * 40 + b"."
    for what, data, words in (
            ("a zip bomb", bomb, ["data.pkl", "compressed"]),
            ("a TorchScript program", zip_of(b"N.", **{"constants.pkl": b"N."}), ["TorchScript"]),
            ("big-endian", zip_of(b"N.", byteorder=b"big"), ["big", "byte order"]),
            ("a wheel", zip_of(b"N.").replace(b"data.pkl", b"data.txt"), ["data.pkl"]),
            ("a billion laughs", zip_of(laughs), ["no dict"]),
            ("a huge memo index", zip_of(b"\x80\2Nr\xff\xff\xff\xff."), ["memo"]),
            ("a long of 2 GB", zip_of(b"\x80\2\x8b\xff\xff\xff\x7f\1."), ["ends in the middle"]),
            ("a string of 2 EB", zip_of(b"\x80\4\x8d" + b"\xff" * 7 + b"\x1fx."),
             ["ends in the middle"]),
            ("a million marks", zip_of(b"(" * 10**6 + b"."), ["missing on the stack"]),
            ("ten million values", zip_of(b"N" * 10**7 + b"."), ["1048576 values"]),
            ("deep nesting", zip_of(b"]" + b"\x85" * 10**6 + b"."), ["no dict"]),
            ("a whole model", zip_of(b"ctransformers.models.bert.modeling_bert\n"
                                     b"BertForSequenceClassification\n)\x81."),
             ["BertForSequenceClassification", "state_dict"]),
            ("a list", zip_of(pickle.dumps([1, 2], 2)), ["no dict"]),
            ("a training checkpoint of another kind",
             zip_of(pickle.dumps({"model": {}, "epoch": 1}, 2)), ["model", "epoch", "state_dict"]),
            ("empty", b"", [BIN]), ("an HTML page", b"<!DOCTYPE html>", ["DOCTYPE"]),
            ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", ["Git LFS"])):
        refused(t, what, with_bytes(t, data), BIN, *words, limit=limit)


def test_damaged(t):
    """Cut and flipped files, in 1 GiB of address space: 6 with a reason, or, where no checksum
    covers the byte, 0 or a row without a label. More of them: tests/unit/test_torch_files.c.
    """
    rng = random.Random(t.seed)
    limit = memory_limit(t)
    for name in ("torch2.bin", "views.bin", "python2.bin"):
        whole = e2e.read(os.path.join(OTHER, name))
        wrong = []
        n = 20 if t.short else 60
        for cut in sorted(rng.sample(range(len(whole)), n)):
            result = t.label(stdin=b"gold\n", model=with_bytes(t, whole[:cut]), preexec_fn=limit)
            if result.code != e2e.UNUSABLE or BIN not in result.err:
                wrong.append((cut, str(result)))
        t.check("%s cut at %d places: 6 and the file's name" % (name, n), not wrong, wrong)
        wrong, codes = [], collections.Counter()
        for _ in range(n):
            at = rng.choice((rng.randrange(len(whole)), rng.randrange(4000),
                             len(whole) - 1 - rng.randrange(3000)))
            data = bytearray(whole)
            data[at] ^= 1 << rng.randrange(8)
            result = t.label(stdin=b"gold\n", model=with_bytes(t, bytes(data)), preexec_fn=limit)
            codes[result.code] += 1
            if result.code not in (e2e.OK, e2e.ROWS, e2e.UNUSABLE) or (
                    result.code == e2e.UNUSABLE and BIN not in result.err):
                wrong.append((at, str(result)))
        t.check("%s with one bit flipped, %d times: %s" % (name, n, dict(codes)), not wrong, wrong)


def main():
    t = e2e.Suite(__doc__)
    for test in (test_same_rows, test_choice, test_malicious, test_hostile, test_damaged):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
