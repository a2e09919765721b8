#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader eval`: every figure anew in Python from `wader label --scores logits`, what it reads and
what it refuses. Its drawing is test_eval_svg.py's, calibration.json test_eval_calibration.py's."""
import collections
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
from evaluation import (DEMO, HELDOUT, SUBJECTS, check_multi_label, check_one_label, heldout,
                        logits_of, run_eval, tsv, with_labels)  # noqa: E402


# ---- figures

def test_one_label(t):
    pairs = heldout()
    logits = logits_of(t, [title for title, _ in pairs])
    gold = [SUBJECTS.index(subject) for _, subject in pairs]
    result = run_eval(t, "--json", HELDOUT)
    t.exits("the held-out titles are evaluated", result, e2e.OK)
    got = json.loads(result.out)
    t.equal("324 of 432 are right", (got["right"], got["titles"]), (324, 432))
    check_one_label(t, "the demo model", got, logits, gold, SUBJECTS)
    text = run_eval(t, HELDOUT).out.decode()
    t.check("text: 75.0 % (324 of 432", "75.0 %  (324 of 432;" in text, text)
    t.check("text: it fits a screen of 100 columns and 60 lines",
            max(map(len, text.splitlines())) <= 100 and text.count("\n") <= 60, text)
    line = next(x for x in text.splitlines() if x.startswith("calibration.json"))
    t.equal("text: the line for calibration.json is JSON's", json.loads(line.split(None, 1)[1]),
            got["calibration"])
    matrix = [line.split() for line in text.splitlines() if line[:3].strip().isdigit()
              and line[3:5] == "  "]
    t.equal("text: the matrix is JSON's", [
        [0 if x == "." else int(x) for x in row[-8:]] for row in matrix], got["confusion"])


def test_many_classes(t):
    names = ["name %d" % k for k in range(70)]
    model, rng = with_labels(t, names), random.Random(8)
    titles = [title for title, _ in heldout()]
    logits = logits_of(t, titles, model)
    # Half of them right, and never the last ten labels.
    gold = [max(range(70), key=row.__getitem__) if rng.random() < 0.5 else rng.randrange(60)
            for row in logits]
    data = tsv((title, names[k]) for title, k in zip(titles, gold))
    result = run_eval(t, "--json", "--input-format", "tsv", "-", model=model, stdin=data)
    t.exits("70 labels", result, e2e.OK)
    check_one_label(t, "70 labels", json.loads(result.out), logits, gold, names)
    text = run_eval(t, "--input-format", "tsv", "-", model=model, stdin=data).out.decode()
    worst = collections.Counter((g, max(range(70), key=row.__getitem__))
                                for g, row in zip(gold, logits))
    most = max(n for (a, b), n in worst.items() if a != b)
    pairs = text.split("confused most")[1].split("\n\n")[0].splitlines()[1:]
    t.check("text: of many labels the pairs confused most, not the matrix",
            len(pairs) == 12 and int(pairs[0].split()[0]) == most, text)
    t.check("text: no more than 60 labels", "and 10 more (--json has all)" in text, text)
    t.check("nothing is NaN or infinite", "nan" not in text and "inf" not in text)


def test_multi_label(t):
    model, rng = with_labels(t, SUBJECTS, multi_label=True), random.Random(5)
    titles = [title for title, _ in heldout()]
    logits = logits_of(t, titles, model)
    gold = [[int(z + rng.gauss(0, 2) > 1) for z in row] for row in logits]
    lists = [[SUBJECTS[k] for k in range(8) if members[k]] for members in gold]
    data = e2e.jsonl({"title": title, "label": names} for title, names in zip(titles, lists))
    result = run_eval(t, "--json", "--input-format", "jsonl", "-", model=model, stdin=data)
    t.exits("a multi-label model", result, e2e.OK)
    got = json.loads(result.out)
    check_multi_label(t, got, logits, gold, SUBJECTS)
    bars = tsv((title, "|".join(names)) for title, names in zip(titles, lists))
    t.equal("labels parted by bars are the same", json.loads(run_eval(
        t, "--json", "--input-format", "tsv", "-", model=model, stdin=bars).out), got)
    text = run_eval(t, "--input-format", "tsv", "-", model=model, stdin=bars).out.decode()
    t.check("text: says why there is no matrix", "no confusion matrix" in text, text)
    bad = run_eval(t, "--input-format", "tsv", "-", model=model, stdin=b"a\tart|nothing\n")
    t.exits("one of several labels unknown", bad, e2e.INPUT, "record 1", '"nothing"')


def test_temperature(t):
    """Where there is no best temperature, nothing else fails."""
    pairs, logits = heldout(), logits_of(t, [title for title, _ in heldout()])
    best = [(title, SUBJECTS[max(range(8), key=row.__getitem__)])
            for (title, _), row in zip(pairs, logits)]
    worst = [(title, SUBJECTS[min(range(8), key=row.__getitem__)])
             for (title, _), row in zip(pairs, logits)]
    for what, rows, place in (("all right", best, "none"), ("all wrong", worst, "at_max")):
        got = json.loads(run_eval(t, "--json", "--input-format", "tsv", "-",
                                  stdin=tsv(rows)).out)
        t.equal("%s: the best temperature is %s" % (what, place),
                (got["best_temperature"]["place"], got["calibration"]), (place, None))
        text = run_eval(t, "--input-format", "tsv", "-", stdin=tsv(rows)).out.decode()
        t.check("%s: text says so" % what, "calibration.json" not in text and (
            "every title is right" in text if place == "none" else "20 or more" in text), text)
    t.equal("all right: the temperature is null", json.loads(run_eval(
        t, "--json", "--input-format", "tsv", "-", stdin=tsv(best)).out)["best_temperature"],
        {"place": "none", "temperature": None, "nll": None, "ece": None, "bins": None})


# ---- what it reads

def test_inputs(t):
    pairs = heldout()[:60]
    wanted = json.loads(run_eval(t, "--json", "--input-format", "tsv", "-",
                                 stdin=tsv(pairs)).out)
    t.equal("60 titles", wanted["titles"], 60)
    numbers = [(title, str(SUBJECTS.index(s))) for title, s in pairs]
    three = [("x%d" % i, *pair) for i, pair in enumerate(pairs)]
    records = [{"title": title, "label": s} for title, s in pairs]
    escaped = "".join(json.dumps(r) + "\n" for r in [
        dict(r, label="".join("\\u%04x" % ord(c) for c in r["label"])) for r in records])
    nested = e2e.jsonl({"a": {"t": title, "l": [0, s]}} for title, s in pairs)
    cases = [
        ("numbers of classes", "tsv", tsv(numbers), []),
        ("id, title, label", "tsv", tsv(three), []),
        ("four columns", "tsv", tsv(row + ("more",) for row in three), []),
        ("a header", "tsv", tsv([("title", "label")] + pairs), []),
        ("a header in another order", "tsv",
         tsv([("label", "x", "title")] + [(s, "0", title) for title, s in pairs]), []),
        ("a byte order mark, CRLF", "tsv", b"\xef\xbb\xbf" + tsv(
            [("id", "title", "label")] + three).replace(b"\n", b"\r\n"), []),
        ("flags over the defaults", "tsv", tsv((s, title, "art") for title, s in pairs),
         ["--title-field", "2", "--label-field", "1"]),
        ("flags over a header, which is left out", "tsv",
         tsv([("title", "label", "c")] + [("x", s, title) for title, s in pairs]),
         ["--title-field", "3", "--label-field", "2"]),
        ("one flag", "tsv", tsv((title, s, "art") for title, s in pairs),
         ["--title-field", "1", "--label-field", "2"]),
        ("JSONL", "jsonl", e2e.jsonl(records), []),
        ("JSONL, labels in escapes", "jsonl", escaped.replace("\\\\u", "\\u").encode(), []),
        ("JSONL, numbers", "jsonl", e2e.jsonl(
            {"label": SUBJECTS.index(s), "title": title} for title, s in pairs), []),
        ("JSONL, numbers in strings", "jsonl", e2e.jsonl(
            {"label": k, "title": title} for title, k in numbers), []),
        ("JSONL, pointers", "jsonl", nested, ["--title-field", "/a/t", "--label-field", "/a/l/1"]),
    ]
    for what, kind, data, args in cases:
        result = run_eval(t, "--json", "--input-format", kind, *args, "-", stdin=data)
        t.check(what, result.code == 0 and json.loads(result.out) == wanted, result)
    directory = t.directory()
    a = e2e.write(directory, "a.tsv", tsv(pairs[:20]))
    b = e2e.write(directory, "b.jsonl.gz", e2e.gzip_bytes(e2e.jsonl(records[20:])))
    c = e2e.write(directory, "c.tsv.gz", e2e.gzip_bytes(tsv(three)))
    t.equal("two inputs, by name, one gzip", json.loads(run_eval(t, "--json", a, b).out), wanted)
    t.equal("gzip", json.loads(run_eval(t, "--json", c).out), wanted)
    t.equal("environment", json.loads(run_eval(
        t, a, b, env={"WADER_JSON": "1", "WADER_LABEL_FIELD": ""}).out), wanted)
    # Where `label` and `title` are labels, a first line of them is a record.
    odd = with_labels(t, ["title", "label", "c"])
    got = json.loads(run_eval(t, "--json", "--input-format", "tsv", "-", model=odd,
                              stdin=b"title\tlabel\nx\t2\n").out)
    t.equal("no header where label is a label", [x["support"] for x in got["labels"]], [0, 1, 1])


def test_invariance(t):
    model = os.path.join(e2e.GOLDEN, "bert_three_heads")
    titles = [title for title, _ in heldout() * 12][:4700]
    rows = [(title, ("business", "health")[i % 2]) for i, title in enumerate(titles)]
    path = e2e.write(t.directory(), "in.tsv", tsv(rows))
    wanted = run_eval(t, "--json", path, "--threads", "1", "--batch-tokens", "512",
                      model=model)
    t.exits("4,700 titles", wanted, e2e.OK)
    for args in (["--threads", "3"], ["--threads", "2", "--batch-tokens", "4096"]):
        result = run_eval(t, "--json", path, *args, model=model)
        t.equal("the same bytes with %s" % " ".join(args), result.out, wanted.out)
    long = e2e.write(t.directory(), "in.tsv", tsv([("word " * 600, "health"), ("a", "health")]))
    t.equal("a truncated title is counted", json.loads(
        run_eval(t, "--json", long, model=model).out)["truncated"], 1)
    loud = t.run("eval", "--model", model, path)
    t.exits("without -q: a summary on stderr", loud, e2e.OK, "4,700 titles evaluated")
    t.equal("-q: silent", run_eval(t, path, model=model).err, "")


# ---- what it refuses

def test_refusals(t):
    directory = t.directory()
    text = e2e.write(directory, "titles.txt", "a\tart\n")
    t.exits("text", run_eval(t, text), e2e.USAGE, "titles.txt", "TSV or JSONL", "--input-format")
    t.exits("stdin without a format", run_eval(t, "-"), e2e.USAGE, "--input-format")
    t.exits("no input", run_eval(t), e2e.USAGE, "- for stdin")
    t.exits("-o", run_eval(t, "-o", "x", HELDOUT), e2e.USAGE, "no such option")
    t.exits("one column for both", run_eval(t, "--label-field", "2", HELDOUT), e2e.USAGE,
            "column 2", "--label-field")
    t.exits("a column by name", run_eval(t, "--label-field", "label", HELDOUT), e2e.USAGE,
            "--label-field label", "column numbers")
    t.exits("no such file", run_eval(t, os.path.join(directory, "x.tsv")), e2e.INPUT, "x.tsv")
    names = ['"art"', '"technology"']
    cases = [
        ("an unknown label", "tsv", b"a\tart\nbb\tArt\n", ["record 2 at byte 6", '"Art"', *names]),
        ("an empty label", "tsv", b"a\t\n", ["record 1 at byte 0", '""', *names]),
        ("a number too large", "tsv", b"a\t8\n", ['"8"', "0 to 7"]),
        ("a record without a label", "tsv", b"a\tart\nb\n", ["record 2", "no column 2", *names]),
        ("after a header", "tsv", b"label\ttitle\nart\ta\nx\tb\n", ["record 3 at byte 18", '"x"']),
        ("a blank line", "tsv", b"a\tart\n\n", ["record 2 at byte 6", "blank line"]),
        ("JSONL without a label", "jsonl", b'{"title":"a"}\n', ["no field", '"label"', *names]),
        ("null as a label", "jsonl", b'{"title":"a","label":null}\n', ["null", "neither a string"]),
        ("a list", "jsonl", b'{"title":"a","label":["art"]}\n', ['["art"]'.replace('"', '"')]),
        ("1.0", "jsonl", b'{"title":"a","label":1.0}\n', ["1.0"]),
        ("no title", "jsonl", b'{"label":"art"}\n', ["record 1", "no title"]),
        ("a title that is a number", "jsonl", b'{"title":1,"label":"art"}\n', ["not a string"]),
        ("no JSON", "jsonl", b'{"title":"a","label":"art"}\n{"title":\n', ["record 2", "JSON"]),
        ("a line too long", "tsv", b"a\tart\n" + b"x" * (1 << 20) + b"\tart\n",
         ["record 2", "1 MiB"]),
        ("nothing", "tsv", b"", ["no record"]),
        ("nothing but a header", "tsv", b"title\tlabel\n", ["no record"]),
        ("a label with control characters", "tsv", b"a\t\x1b[31mred\n", ["?[31mred"]),
    ]
    for what, kind, data, words in cases:
        result = run_eval(t, "--input-format", kind, "-", stdin=data)
        t.exits(what, result, e2e.INPUT, *words)
        t.check("%s: nothing on stdout" % what, result.out == b"" and "\x1b" not in result.err)
    good = e2e.write(directory, "good.tsv", "a\tart\n")
    empty = e2e.write(directory, "empty.tsv", "")
    t.exits("one of two inputs is empty", run_eval(t, good, empty), e2e.INPUT, "empty.tsv")
    cut = e2e.write(directory, "cut.tsv.gz", e2e.gzip_bytes(e2e.read(HELDOUT))[:-4])
    t.exits("a gzip cut short", run_eval(t, cut), e2e.INPUT, "truncated")
    with open("/dev/full", "wb") as full:
        t.exits("stdout is full", run_eval(t, good, stdout=full), e2e.IO, "No space left")
    many = with_labels(t, ["l%d" % k for k in range(300)])
    result = run_eval(t, "--input-format", "tsv", "-", model=many, stdin=b"a\tx\n")
    t.exits("of 300 names some are shown", result, e2e.INPUT, '"l0"', "more", "0 to 299")


def main():
    t = e2e.Suite(__doc__)
    for test in (test_one_label, test_many_classes, test_multi_label, test_temperature,
                 test_inputs, test_invariance, test_refusals):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
