#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""calibration.json: probabilities at a temperature, titles that abstain, and that the file is a
part of the model. What is wanted is computed here, from the raw logits of the plain model."""
import json
import math
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

NAME = "calibration.json"
MULTILABEL = os.path.join(e2e.GOLDEN, "bert_multilabel")
JSONL = ("--input-format", "jsonl")


def calibrated(t, source, value):
    """A copy of a model with that calibration: text, or what becomes JSON."""
    model = e2e.copy_model(t, source)
    e2e.write(model, NAME, value if isinstance(value, (str, bytes)) else json.dumps(value))
    return model


def probabilities(logits, temperature, multi):
    if multi:
        return [0.5 + 0.5 * math.tanh(x / temperature / 2) for x in logits]  # a sigmoid
    parts = [math.exp((x - max(logits)) / temperature) for x in logits]
    return [x / sum(parts) for x in parts]


class Titles:
    """Titles, and what the plain model makes of them."""

    def __init__(self, t, model, n=400):
        self.t, self.model, self.multi = t, model, model == MULTILABEL
        self.data = e2e.titled(e2e.random_titles(t.seed, n))
        self.rows = self.label(model, "--scores", "logits").rows()
        self.names = list(self.label(model, "--scores", "all").rows()[0]["scores"])

    def label(self, model, *args):
        return self.t.label(*JSONL, "--batch-tokens", "300", *args, model=model, stdin=self.data)

    def wanted(self, temperature):
        """Of each title the label and all probabilities."""
        for row in self.rows:
            scores = probabilities(row["logits"], temperature, self.multi)
            yield row["label"], scores


# ---- temperature

def check_temperature(t, what, titles, temperature):
    model = calibrated(t, titles.model, {"temperature": temperature})
    rows = titles.label(model, "--scores", "all").rows()
    worst, wrong = 0.0, []
    for row, plain, (label, scores) in zip(rows, titles.rows, titles.wanted(temperature),
                                           strict=True):
        got = list(row["scores"].values())
        worst = max([worst, abs(row["score"] - max(scores))] +
                    [abs(a - b) for a, b in zip(got, scores, strict=True)])
        if row["label"] != label or row.get("status") != plain.get("status"):
            wrong.append(row)
    t.equal("%s: labels and statuses are the plain model's" % what, wrong, [])
    t.check("%s: scores (worst %.1e)" % (what, worst), worst < 2e-6)
    top = titles.label(model).rows()
    t.equal("%s: the score alone" % what, [r["score"] for r in top], [r["score"] for r in rows])
    raw = titles.label(model, "--scores", "logits").rows()
    t.equal("%s: logits are raw, their score is not" % what,
            [(r["logits"], r["score"]) for r in raw],
            [(p["logits"], r["score"]) for p, r in zip(titles.rows, rows, strict=True)])
    return rows


def test_temperature(t):
    for source in (e2e.MODEL, MULTILABEL):
        name = os.path.basename(source)
        titles = Titles(t, source)
        plain = [titles.label(source, "--scores", s).out for s in ("top", "all", "logits")]
        for value in ({"temperature": 1}, {"temperature": 1.0, "thresholds": {}}, {},
                      {"thresholds": 0}):
            model = calibrated(t, source, value)
            t.check("%s, %s: the bytes of a model without the file" % (name, value),
                    [titles.label(model, "--scores", s).out for s in ("top", "all", "logits")]
                    == plain)
        seen = [check_temperature(t, "%s at %g" % (name, x), titles, x)
                for x in (0.001, 0.4, 1.37, 5, 1000)]
        means = [sum(r["score"] for r in rows) / len(rows) for rows in seen]
        t.check("%s: the higher the temperature, the less sure" % name,
                means == sorted(means, reverse=True) and means[0] - means[-1] > 0.3, means)


# ---- thresholds

def check_thresholds(t, what, titles, temperature, thresholds):
    """Rows in every form. Returns how many abstain."""
    model = calibrated(t, titles.model, {"temperature": temperature, "thresholds": thresholds})
    calm = calibrated(t, titles.model, {"temperature": temperature})
    n = 0
    for scores in ("top", "all", "logits"):
        result = titles.label(model, "--scores", scores)
        table = titles.label(model, "--scores", scores, "--output-format", "tsv")
        cells = [line.split("\t") for line in table.out.decode().split("\n")[:-1]]
        plain = titles.label(calm, "--scores", scores)
        n, wrong = 0, []
        for row, cell, was, (label, values) in zip(result.rows(), cells, plain.rows(),
                                                   titles.wanted(temperature), strict=True):
            least = thresholds if not isinstance(thresholds, dict) else thresholds.get(label, 0)
            if max(values) < least:
                n += 1
                was = dict(was, label=None, status="abstain")
            tsv = [str(row["id"]), row["label"] or "", row.get("status", "")]
            if row != was or [cell[0], cell[1], cell[-1]] != tsv or (
                    float(cell[2]) != row["score"]):
                wrong.append((row, was, cell))
        t.equal("%s, --scores %s: rows, JSONL and TSV" % (what, scores), wrong[:2], [])
        t.exits("%s, --scores %s: the summary" % (what, scores), result, e2e.OK,
                "%d titles labelled" % (len(cells) - n), "0 bad rows",
                *(["%d abstained, " % n] if n > 0 else []))
        t.check("%s, --scores %s: abstained is said only if so" % (what, scores),
                ("abstained" in result.err) == (n > 0), result.err)
    return n


def test_thresholds(t):
    for source in (e2e.MODEL, MULTILABEL):
        titles, name = Titles(t, source), os.path.basename(source)
        middle = sorted(max(values) for _, values in titles.wanted(1.5))[len(titles.rows) // 2]
        count = check_thresholds(t, "%s, one threshold" % name, titles, 1.5, round(middle, 4))
        t.check("%s: about half abstain (%d)" % (name, count), 100 < count < 300)
        labels = [r["label"] for r in titles.rows]
        usual = max(set(labels), key=labels.count)
        count = check_thresholds(t, "%s, one label's threshold" % name, titles, 1.5,
                                 {usual: round(middle, 4), titles.names[-1]: 1e-9})
        t.check("%s: only that label's titles can abstain (%d)" % (name, count),
                0 < count < labels.count(usual))
        t.equal("%s: all that is not certain abstains" % name, check_thresholds(
            t, "%s, thresholds of 1" % name, titles, 1.5, {n: 1 for n in titles.names}),
            len(titles.rows))
        t.equal("%s: nothing abstains" % name, check_thresholds(
            t, "%s, thresholds that none is below" % name, titles, 1.5,
            {n: 1e-9 for n in titles.names}), 0)


def test_counts(t):
    """Abstaining is not being bad; it wins over being truncated."""
    model = calibrated(t, e2e.MODEL, {"thresholds": 1})
    titles = ["gold", "oil " * 60, "tea \udcff".encode("utf-8", "surrogateescape")]
    lines = [json.dumps({"id": i, "title": "@"}).encode().replace(
        b"@", x if isinstance(x, bytes) else x.encode()) for i, x in enumerate(titles)]
    source = e2e.write(t.directory(), "in.jsonl", b"\n".join(lines) + b"\n{}\n")
    out = os.path.join(t.directory(), "out.jsonl.gz")
    command = ["--max-bad", "1", "-o", out, source]
    plain = t.label("--max-bad", "1", source)
    t.equal("without thresholds one is truncated",
            [r.get("status") for r in plain.rows()], [None, "truncated", None, "missing_title"])
    result = t.label(*command, model=model)
    t.exits("all abstain, one is bad", result, e2e.OK, "0 titles labelled", "0 truncated",
            "3 abstained", "1 bad rows", "ill-formed UTF-8")
    t.equal("statuses", [r["status"] for r in e2e.parse_rows(e2e.read_output(out))],
            ["abstain"] * 3 + ["missing_title"])
    record = json.loads(e2e.read(out + ".meta.json"))
    t.equal("record: rows", record["rows"], {
        "in": 4, "out": 4, "labelled": 0, "truncated": 0, "abstained": 3, "ill_formed_utf8": 1,
        "bad": 1, "missing_title": 1})
    said = re.search(r"([\d,]+) tokens", plain.err).group(1).replace(",", "")
    t.equal("record: tokens are those of the plain model", record["tokens"], int(said))
    good = e2e.write(t.directory(), "good.jsonl", b"\n".join(lines) + b"\n")
    t.exits("--on-bad fail and --max-bad 0 do not mind",
            t.label("--on-bad", "fail", "--max-bad", "0", good, model=model), e2e.OK,
            "3 abstained")


# ---- a part of the model

def test_again(t):
    """The file decides what is in an output: when it comes, changes or goes, all is done anew."""
    model = e2e.copy_model(t)
    file = os.path.join(model, NAME)
    source = e2e.write(t.directory(), "in.txt", "gold\noil\n" * 20)
    out = os.path.join(t.directory(), "out.jsonl")
    hashes, outputs = [], []

    def step(what, *words):
        result = t.label("-o", out, source, model=model)
        t.exits(what, result, e2e.OK, *words)
        t.exits("%s: once" % what, t.label("-o", out, source, model=model), e2e.OK, "done already")
        hashes.append(json.loads(e2e.read(out + ".meta.json"))["model"]["sha256"])
        outputs.append(e2e.read(out))

    step("no calibration", "labelled")
    e2e.write(model, NAME, '{"temperature": 2}')
    step("a calibration appears", "anew")
    e2e.write(model, NAME, '{"temperature": 4}')
    step("it changes", "anew")
    e2e.write(model, NAME, '{"temperature": 4, "thresholds": 1}')
    step("it gets thresholds", "anew", "40 abstained")
    os.remove(file)
    step("it disappears", "anew")
    t.check("rows and the model's hash follow it", hashes[0] == hashes[4] and
            outputs[0] == outputs[4] and len(set(hashes)) == len(set(outputs)) == 4, hashes)


def test_changes_meanwhile(t):
    """A run that sees the file change ends without an output."""
    for change in ("written", "removed"):
        model = calibrated(t, e2e.MODEL, {"temperature": 2})
        fifo = os.path.join(t.directory(), "in.txt")
        os.mkfifo(fifo)
        directory = t.directory()
        process = t.start("label", "--model", model, "-o", directory + "/out.jsonl", fifo)
        with open(fifo, "wb") as file:  # opens when the model was read
            if change == "written":
                e2e.write(model, NAME, '{"temperature": 3}')
            else:
                os.remove(os.path.join(model, NAME))
            file.write(b"gold\n")
        _, err = process.communicate(timeout=60)
        result = e2e.Result(process.returncode, b"", err, 0)
        if change == "written":
            t.exits("written meanwhile", result, e2e.UNUSABLE, NAME, "changed while it was in use")
        else:  # whoever misses it first: the hash, or the check before the commit
            t.check("removed meanwhile", result.code in (e2e.IO, e2e.UNUSABLE) and
                    NAME in result.err, result)
        t.equal("%s meanwhile: no output" % change, e2e.listing(directory), [])


# ---- info and convert

def info(t, model, *args):
    result = t.run("info", "--model", model, *args)
    return json.loads(result.out) if "--json" in args else " ".join(result.out.decode().split())


def test_info(t):
    names = list(json.loads(e2e.read(MULTILABEL + "/config.json"))["id2label"].values())
    for value, wanted, words in (
            ({}, {"temperature": 1, "thresholds": None}, "temperature 1, no thresholds"),
            ({"temperature": 1.37}, {"temperature": 1.37, "thresholds": None},
             "temperature 1.37, no thresholds"),
            ({"temperature": 0.3333333333, "thresholds": {"sport": 0.4, "health": 1e-9}},
             {"temperature": 0.33333334, "thresholds": dict(
                 dict.fromkeys(names, 0), sport=0.4, health=1e-9)},
             "temperature 0.33333334, thresholds health 1e-09, sport 0.4"),
            ({"thresholds": 0.25}, {"temperature": 1, "thresholds": dict.fromkeys(names, 0.25)},
             ", ".join("%s 0.25" % n for n in names))):
        model = calibrated(t, MULTILABEL, value)
        found = info(t, model, "--json")
        t.equal("info --json: %s" % value, found["calibration"], wanted)
        t.check("info --json: the file is listed", NAME in [f["name"] for f in found["files"]])
        screen = info(t, model)
        t.check("info: %s" % words, "calibration temperature" in screen and words in screen
                and NAME in screen, screen)
    found, screen = info(t, MULTILABEL, "--json"), info(t, MULTILABEL)
    t.equal("info --json: no file", found["calibration"], {"temperature": 1, "thresholds": None})
    t.check("info: no file, no word of it", "calibration" not in screen, screen)
    broken = calibrated(t, MULTILABEL, "{")
    found = info(t, broken, "--json")
    t.check("info --json: a broken file", found["calibration"] is None and
            NAME in found["error"], found)
    t.exits("info: a broken file", t.run("info", "--model", broken), e2e.UNUSABLE, NAME,
            "not JSON at byte 1")


def test_convert(t):
    titles = Titles(t, MULTILABEL, 50)
    text = '{ "thresholds": {"sport": 0.9, "health": 0.8},\n "temperature": 1.7 }'
    model = calibrated(t, MULTILABEL, text)
    wanted = titles.label(model, "--scores", "all").out
    for args in ([], ["--dtype", "bf16"]):
        new = os.path.join(t.directory(), "new")
        t.exits("convert", t.run("convert", "--model", model, "-o", new, *args), e2e.OK)
        t.equal("convert: the file as it is", e2e.read(os.path.join(new, NAME)).decode(), text)
        got = titles.label(new, "--scores", "all")
        t.check("convert: the new directory labels %s" % args, got.code == e2e.OK and
                b'"abstain"' in got.out and (got.out == wanted) == (not args), got)
    e2e.write(model, NAME, '{"temperature": 0}')
    parent = t.directory()
    t.exits("convert: a broken one", t.run("convert", "--model", model, "-o", parent + "/new"),
            e2e.UNUSABLE, NAME, "temperature")
    t.equal("convert: leaves nothing", e2e.listing(parent), [])


# ---- names and refusals

def test_names(t):
    """Thresholds go by the names that rows have, wherever these are from."""
    model = calibrated(t, e2e.MODEL, {"thresholds": {"vier": 1}})
    e2e.edit_json(model + "/config.json", id2label=None, label2id=None)
    names = e2e.write(t.directory(), "names.txt", "null\neins\nzwei\ndrei\nvier\n")
    t.exits("numbered labels", t.label(model=model, stdin=b"gold\n"), e2e.UNUSABLE, NAME,
            '"vier"', '"LABEL_0", "LABEL_1"')
    t.exits("--labels", t.label("--labels", names, model=model, stdin=b"gold\n"), e2e.OK)
    shutil.copy(names, model + "/labels.txt")
    t.exits("labels.txt", t.label(model=model, stdin=b"gold\n"), e2e.OK)
    e2e.write(model, NAME, '{"thresholds": {"LABEL_4": 1}}')
    t.exits("labels.txt, by number", t.label(model=model, stdin=b"gold\n"), e2e.UNUSABLE, NAME,
            '"LABEL_4"', "none of the model's labels", '"null", "eins"')


def test_refused(t):
    for what, text, *words in (
            ("empty", "", "not JSON at byte 0"), ("cut off", '{"temperature": 1', "byte 17"),
            ("an array", "[1]", "an array", "an object"),
            ("a typo", '{"temperatur": 2}', '"temperatur"', "byte 1,", "not known"),
            ("a key twice", '{"temperature": 1, "temperature": 2}', "twice", "byte 19"),
            ("a label twice", '{"thresholds": {"science": 0.1, "science": 0.1}}', "twice",
             '"science"'),
            ("temperature 0", '{"temperature": 0}', "temperature is 0", "0.001 to 1000"),
            ("temperature -1", '{"temperature": -1}', "temperature is -1"),
            ("temperature 1e999", '{"temperature": 1e999}', "temperature is 1e999"),
            ("temperature NaN", '{"temperature": NaN}', "not JSON at byte 16"),
            ("temperature in quotes", '{"temperature": "2"}', 'temperature is "2"'),
            ("a threshold of 50", '{"thresholds": {"science": 50}}', '"science" is 50',
             "from 0 to 1"),
            ("one threshold of -0.1", '{"thresholds": -0.1}', "thresholds is -0.1"),
            ("a list of thresholds", '{"thresholds": [0.1]}', "an array"),
            ("no such label", '{"thresholds": {"sciences": 0.5}}', '"sciences"', "byte 16",
             "none of the model's labels", '"science"'),
            ("4 MiB and a byte", "{}" + " " * ((4 << 20) - 1), "4194305 bytes")):
        model = calibrated(t, MULTILABEL, text)
        t.exits("label, %s" % what, t.label(model=model, stdin=b"gold\n"), e2e.UNUSABLE,
                os.path.join(model, NAME), *words)
    for what in ("directory", "named pipe", "link to nothing"):
        model = e2e.copy_model(t)
        path = os.path.join(model, NAME)
        if what == "directory":
            os.mkdir(path)
        elif what == "named pipe":
            os.mkfifo(path)
        else:
            os.symlink("nowhere", path)
        t.exits("label, a %s" % what, t.label(model=model, stdin=b"gold\n"), e2e.UNUSABLE, path,
                "no such file" if "link" in what else "regular file")


def main():
    t = e2e.Suite(__doc__)
    for test in (test_temperature, test_thresholds, test_counts, test_again,
                 test_changes_meanwhile, test_info, test_convert, test_names, test_refused):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
