#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader diff`: every figure beside a plain computation, whatever order, form and packing of the
rows; damage. Its page is test_diff_html.py's, gates are test_diff_gates.py's."""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import drift  # noqa: E402
import e2e  # noqa: E402
from drift import FORMS, LABELS, Row, diff, write  # noqa: E402

IDS = [None, "", "a\tb", "c\\nd", "e\nf", "\"", "é数🎬", 7, -1.5, "7x", {"k": [1]}, "null", True]


# ---- random outputs

def random_row(rng, row_id, like=None):
    roll = rng.random()
    if roll < 0.03:
        return Row(row_id, None, None, rng.choice(drift.STATUSES[3:]))
    score = rng.choice([0, 1000000, rng.randrange(1000001), rng.randrange(900000, 1000001)])
    if like is not None and like.score is not None and rng.random() < 0.7:
        score = min(1000000, max(0, like.score + rng.randrange(-30000, 30000)))
    if roll < 0.08:
        return Row(row_id, None, score, "abstain")
    label = rng.choice(LABELS[:6])
    if like is not None and like.label is not None and rng.random() < 0.8:
        label = like.label
    return Row(row_id, label, score, "truncated" if roll < 0.15 else "ok")


def random_outputs(rng, n):
    """Two runs with shared, new, gone and repeated ids."""
    ids = [rng.choice(IDS) if rng.random() < 0.1 else "i%d" % rng.randrange(2 * n + 1)
           for _ in range(n)]
    old = [random_row(rng, x) for x in ids]
    new = [random_row(rng, r.id, r) for r in old if rng.random() < 0.95]
    new += [random_row(rng, "n%d" % k) for k in range(rng.randrange(n // 10 + 1))]
    return old, new


def diff_json(t, what, old, new, *args):
    result = diff(t, old, new, "--json", *args)
    t.exits(what, result, e2e.OK)
    return json.loads(result.out) if result.code == 0 else {}


def test_figures(t):
    rng = random.Random(t.seed)
    for n in (0, 1, 2, 30, 1000):
        old, new = random_outputs(rng, n)
        orders = {"in order": lambda rows: rows,
                  "NEW shuffled": lambda rows: rng.sample(rows, len(rows))}
        for name, reorder in orders.items():
            rows = reorder(new)
            # A test that compares the same with the same would prove less.
            what = "%d rows, %s" % (n, name)
            paths = [write(t, "jsonl.gz", old), write(t, "jsonl", rows)]
            drift.check_figures(t, what, diff_json(t, what, *paths), drift.figures(old, rows))
    both_empty = diff_json(t, "nothing on both sides", write(t, "jsonl", []), write(t, "tsv", []))
    drift.check_figures(t, "nothing on both sides", both_empty, drift.figures([], []))


def test_forms(t):
    rng = random.Random(t.seed + 1)
    old, new = random_outputs(rng, 300)
    new = rng.sample(new, len(new))
    plain = drift.figures(old, new)
    ordered = drift.figures(old, new, LABELS)
    for form in FORMS:
        for other in ("jsonl", "tsv.gz with scores", form):
            got = diff_json(t, "%s and %s" % (form, other), write(t, form, old),
                            write(t, other, new))
            told = "header" in form or form == "jsonl with scores" and old[0].score is not None
            if "header" in form + other:  # names that are escaped there are ordered by name
                told = None
            if told is not None and "scores" not in other:
                drift.check_figures(t, "%s and %s" % (form, other), got,
                                    ordered if told else plain)
            else:
                keys = ("ids", "flips", "psi", "score_psi", "change", "falls")
                t.check("%s and %s: the same figures" % (form, other),
                        all(drift.close(got[k], plain[k]) for k in keys if k != "change"))
    # Rows that somebody's tool wrote anew: spaces, short numbers, no escapes where none need be.
    loose = "".join('{"id" : %s, %s }\n' % (drift.dumps(r.id), json.dumps(
        {"label": r.label} | ({} if r.score is None else {"score": r.score / 1e6}) |
        ({} if r.status == "ok" else {"status": r.status}))[1:-1]) for r in new).encode()
    path = e2e.write(t.directory(), "a.labels.jsonl", loose)
    drift.check_figures(t, "written anew", diff_json(t, "written anew", write(t, "tsv", old), path),
                        plain)


def test_many_repeats(t):
    """Thousands of rows of one id, on one side before the other's: a queue, not a walk."""
    rng = random.Random(t.seed + 2)
    old = [random_row(rng, None) for _ in range(20000)]
    old += [random_row(rng, "i%d" % (k % 50)) for k in range(5000)]
    new = [random_row(rng, "i%d" % (k % 70)) for k in range(5000)]
    new += [random_row(rng, None) for _ in range(15000)]
    result = diff_json(t, "repeated ids", write(t, "jsonl", old), write(t, "tsv", new))
    wanted = drift.figures(old, new)
    drift.check_figures(t, "repeated ids", result, wanted)


def test_directories(t):
    rng = random.Random(t.seed + 3)
    old, new = random_outputs(rng, 400)
    one, two = t.directory(), t.directory()
    for k, name in enumerate(("b", "a-b", "a")):
        part = old[k * 150:(k + 1) * 150]
        drift.record(os.path.join(one, name + ".labels.jsonl.gz"), drift.to_jsonl(part), len(part))
    third = len(new) // 2
    drift.record(os.path.join(two, "z.labels.tsv"), drift.to_tsv(new[:third]), third,
                 model__sha256="c" * 64, settings={"precision": "bf16", "max_length": 64})
    drift.record(os.path.join(two, "y.labels.tsv"), drift.to_tsv(new[third:]), len(new) - third,
                 model__sha256="c" * 64, settings={"precision": "bf16", "max_length": 64})
    e2e.write(two, "notes.txt", "no output")
    e2e.write(two, ".hidden.labels.jsonl", "no output")
    # The order that counts is that of names: it decides which of several rows of an id come first.
    in_order = old[300:450] + old[150:300] + old[:150], new[third:] + new[:third]
    got = diff_json(t, "directories", one, two)
    drift.check_figures(t, "directories", got, drift.figures(*in_order))
    t.equal("files and records", [[got[s][k] for k in ("files", "records")] for s in
                                  ("old", "new")], [[3, 3], [2, 2]])
    t.equal("what made them", got["same"],
            {"model": "different", "tokenizer": "same", "settings": "different"})
    t.equal("settings that differ", got["settings"], [
        {"key": "precision", "old": "fp32", "new": "bf16"},
        {"key": "max_length", "old": None, "new": 64}])
    t.equal("the models", [got[s]["model_sha256"] for s in ("old", "new")], ["a" * 64, "c" * 64])
    drift.record(os.path.join(two, "x.labels.tsv"), b"", 0)
    got = diff_json(t, "two models in one directory", one, two)
    t.equal("several", (got["same"]["model"], got["new"]["model_sha256"]), ("several", None))
    e2e.write(two, "w.labels.jsonl", "")
    got = diff_json(t, "one without a record", one, two)
    t.equal("unknown", got["same"]["model"], "unknown")
    e2e.write(two, "x.labels.jsonl.gz", e2e.gzip_bytes(b""))
    t.exits("two outputs of one input", diff(t, one, two), e2e.USAGE, "x.labels.tsv")
    t.exits("no output there", diff(t, one, t.directory()), e2e.INPUT, "no .labels.jsonl")


def test_line_numbers(t):
    """Of text, ids are the numbers of lines; they start anew in every file."""
    one, two = t.directory(), t.directory()
    rows = [Row(k, LABELS[k % 2], 900000, "ok") for k in range(1, 6)]
    other = [Row(k, LABELS[(k + 1) % 2], 900000, "ok") for k in range(1, 6)]
    text = {"settings": {"input_format": "text"}}
    for directory, names in ((one, "ac"), (two, "abc")):
        for name in names:
            part = rows if name == "a" else other
            drift.record(os.path.join(directory, name + ".labels.jsonl"), drift.to_jsonl(part), 5,
                         **text)
    got = diff_json(t, "numbers of lines", one, two)
    t.equal("a file that came between moves nothing",
            (got["ids"], got["flips"]["n"]), ({"common": 10, "new": 5, "gone": 0}, 0))
    got = diff_json(t, "single files", os.path.join(one, "a.labels.jsonl"),
                    os.path.join(two, "b.labels.jsonl"))
    t.equal("two files are compared whatever their names", got["flips"]["n"], 5)


# ---- damage

def test_damage(t):
    rng = random.Random(t.seed + 4)
    old, _ = random_outputs(rng, 50)
    good, data = write(t, "jsonl", old), drift.to_jsonl(old)
    where = t.directory()

    def refused(what, path, *words):
        for args in (((path, good), (good, path))[rng.randrange(2)],):
            result = t.run("diff", "--json", *args)
            t.exits(what, result, e2e.INPUT, path, *words)
            t.equal("%s: nothing is printed" % what, result.out, b"")

    def bad(name, content, *words):
        refused(name + ": " + repr(content[-40:]),
                e2e.write(t.directory(), "a" + name, content), *words)

    packed = e2e.gzip_bytes(data)
    bad(".labels.jsonl.gz", packed[:-9], "ends")
    bad(".labels.jsonl.gz", packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:], "gzip")
    bad(".labels.jsonl.gz", data, "gzip")
    bad(".labels.jsonl", data[:-1], "line %d" % len(old), "cut")
    bad(".labels.jsonl", data[:-7], "cut")
    bad(".labels.jsonl", data + b"\n", "line %d" % (len(old) + 1), "byte %d" % len(data))
    bad(".labels.jsonl", b"x" * 70000000, "64 MiB")
    for line in (b'{"id":1}', b'{"label":"a","id":1}', b'{"id":1,"label":2,"score":0.5}', b"[]",
                 b'{"id":1,"label":"a"}', b'{"id":1,"label":"a","score":1.5}', b'1\ta\t0.5\t',
                 b'{"id":1,"label":"a","score":',
                 b'{"id":1,"label":"a","score":0.5,"status":"odd"}',
                 b'{"id":1,"label":"a","score":0.5,"status":"abstain"}',
                 b'{"id":1,"label":null,"score":0.5}', b'{"id":1,"label":null}',
                 b'{"id":1,"label":null,"score":0.5,"status":"bad_json"}',
                 b'{"id":1,"label":"a","score":0.5,"status":""}'):
        bad(".labels.jsonl", line + b"\n", "line 1")
    for line in (b"1", b"1\ta", b"1\ta\t0.5", b"1\ta\tx\t", b"1\ta\t0.5\todd", b"1\ta\t-0.5\t",
                 b"1\ta\t0.5\tabstain", b"1\ta\\x\t0.5\t", b"1\\\ta\t0.5\t", b"1\ta\t\t",
                 b"1\t\t0.5\tbad_json", b"1\ta\t0.5\t0.1\t0.2", b"\n"):
        bad(".labels.tsv", line + b"\n", "line 1")
    refused("not there", os.path.join(where, "nothing"), "No such file")
    records = {"another size": {"output__nbytes": 3}, "another hash": {"output__sha256": "f" * 64},
               "other rows": {"rows__out": 49}, "another file size": {"output__file_nbytes": 1},
               "no hash": {"output__sha256": 5}, "a hash of odd letters":
               {"model__sha256": "x" * 64}, "less than none": {"rows__out": -1}}
    for what, change in records.items():
        path = drift.record(os.path.join(where, "r.labels.jsonl.gz"), data, len(old), **change)
        refused("commit record: " + what, path)
    path = drift.record(os.path.join(where, "r.labels.jsonl.gz"), data, len(old))
    t.exits("a good commit record", diff(t, path, good), e2e.OK)
    for text in ("", "{", "[]", '{"schema": 2}', '{"schema": 1}'):
        e2e.write(where, "r.labels.jsonl.gz.meta.json", text)
        refused("commit record %r" % text, path, "meta.json")
    many = b"".join(b"%d\tlabel %d\t0.500000\t\n" % (k, k) for k in range(65536))
    t.exits("65,536 labels", diff(t, e2e.write(where, "m.tsv", many), good), e2e.INPUT, "65535")
    t.exits("65,535 labels", diff(t, e2e.write(where, "m.tsv", many[:many[:-1].rindex(b"\n") + 1]),
                                  e2e.write(where, "e.tsv", b"")), e2e.OK)
    for args in ((), (good,), (good, good, good), ("-", good)):
        t.exits("wader diff %s" % " ".join(args), t.run("diff", *args), e2e.USAGE)


# ---- text

def test_text(t):
    rng = random.Random(t.seed + 5)
    for n_labels in (2, 9, 10, 11, 200, 1100):
        rows = [Row("i%d" % k, "l%d" % rng.randrange(n_labels), 1000 * k, "ok")
                for k in range(1000)]
        new = [r._replace(label="l%d" % rng.randrange(n_labels)) for r in rows]
        text = diff(t, write(t, "jsonl", rows), write(t, "jsonl", new))
        t.exits("%d labels" % n_labels, text, e2e.OK)
        lines = text.out.decode().splitlines()
        t.check("%d labels: a screen" % n_labels, len(lines) <= 60 and
                max(map(len, lines)) <= 105, text.out.decode())
        got = diff_json(t, "%d labels" % n_labels, write(t, "jsonl", rows),
                        write(t, "jsonl", new))
        drift.check_figures(t, "%d labels" % n_labels, got,
                            dict(drift.figures(rows, new), **(
                                {"matrix": None} if len(got["labels"]) > 1000 else {})))
    odd = [Row("\x1b[31m\u202eid\x7f\u0085", "\x1b]0;x\x07", 500000, "ok")]
    new = [odd[0]._replace(label="other")]
    text = diff(t, write(t, "jsonl", odd), write(t, "jsonl", new)).out.decode()
    t.check("nothing that a terminal acts on", not any(
        ord(c) < 32 and c != "\n" or 0x7f <= ord(c) < 0xa0 or c == "\u202e" for c in text), text)
    closed = t.run("diff", write(t, "jsonl", odd), write(t, "jsonl", new),
                   stdout=open("/dev/full", "wb"))
    t.exits("a full disk behind stdout", closed, e2e.IO)


def test_label(t):
    """What `wader label` itself writes, in every form of it, is what diff reads."""
    where = t.directory()
    records = [{"id": "t\t%d" % k, "title": title} for k, title in
               enumerate(e2e.random_titles(t.seed, 60))] + [{"id": 9}, {"title": 3, "id": None}]
    source = e2e.write(where, "in.jsonl", e2e.jsonl(records) + b"\nno json\n")
    outputs = []
    for k, args in enumerate(([], ["--scores", "all"], ["--scores", "logits", "--header"],
                              ["--passthrough", "title"])):
        for suffix in (".labels.jsonl", ".labels.tsv.gz"):
            path = os.path.join(where, "o%d%s" % (k, suffix))
            t.exits("label %s" % path, t.label("--max-bad", "10", "-q", "-o", path, *args, source),
                    e2e.OK)
            outputs.append(path)
    for path in outputs[1:]:
        got = diff_json(t, path, outputs[0], path)
        t.check("%s: all the same" % os.path.basename(path), got["ids"]["common"] == 64 and
                got["flips"]["n"] == 0 and got["psi"] == 0 and got["change"]["mean"] == 0 and
                got["new"]["bad"] == 4 and got["same"]["model"] == "same", got)
    with open(outputs[0], "rb+") as file:
        data = file.read().replace(b"0.", b"1.", 1)
        file.seek(0)
        file.write(data)
    t.exits("a byte was changed since", diff(t, *outputs[:2]), e2e.INPUT, outputs[0])


def main():
    t = e2e.Suite(__doc__)
    for test in (test_figures, test_forms, test_many_repeats, test_directories, test_line_numbers,
                 test_damage, test_text, test_label):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
