#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo model on the titles it never saw: the program agrees with what transformers measured
(data/train/heldout.json), README shows those figures, the data is what it is said to be, and the
sample catalog comes through whole."""
import collections
import glob
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

DATA = os.path.join(e2e.ROOT, "data")
SUBJECTS = ["art", "personal development", "world", "health", "science", "business", "humanities",
            "technology"]


def read_titles():
    """(subject, lang, title, held_out) for every line of data/titles, in file order."""
    for subject in SUBJECTS:
        path = os.path.join(DATA, "titles", subject.replace(" ", "_") + ".tsv")
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                lang, title = line.rstrip("\n").split("\t")
                yield subject, lang, title, number % 5 == 0


def group(lang):
    return lang if lang in ("en", "zh") else "others"


def check_data(suite, titles):
    suite.check("at least 2,000 titles: %d" % len(titles), len(titles) >= 2000)
    suite.check("at least 400 are held out", sum(held for *_, held in titles) >= 400)
    counts = collections.Counter(subject for subject, *_ in titles)
    suite.check("balanced over the subjects: %s" % dict(counts), len(set(counts.values())) == 1)
    english = sum(lang == "en" for _, lang, *_ in titles) / len(titles)
    suite.check("about two thirds English: %.2f" % english, 0.6 < english < 0.73)
    texts = collections.Counter(title.casefold() for _, _, title, _ in titles)
    suite.check("no title twice", max(texts.values()) == 1)
    size = sum(os.path.getsize(path) for path in glob.glob(os.path.join(DATA, "model", "*")))
    suite.check("the model takes at most 20 MB: %d bytes" % size, size <= 20e6)


def check_accuracy(suite, held):
    with open(os.path.join(DATA, "train", "heldout.json"), encoding="utf-8") as file:
        measured = json.load(file)
    lines = "".join(json.dumps({"id": i, "title": title}) + "\n"
                    for i, (_, _, title, _) in enumerate(held))
    result = suite.run("label", "--model", os.path.join(DATA, "model"), "--input-format", "jsonl",
                       "-q", stdin=lines.encode())
    rows = result.rows()
    if not suite.check("a label for every held-out title", len(rows) == len(held), result):
        return
    right, of = collections.Counter(), collections.Counter()
    for (subject, lang, _, _), row in zip(held, rows):
        for key in ("all", group(lang), subject):
            of[key] += 1
            right[key] += row["label"] == subject
    wanted = {"all": measured["overall"], **measured["by_group"], **measured["by_subject"]}
    for key, figures in wanted.items():
        # The two compute in fp32 in different orders: a title on the edge may fall either way.
        suite.check("%s: %d of %d right, transformers %d of %d" %
                    (key, right[key], of[key], figures["right"], figures["of"]),
                    of[key] == figures["of"] and abs(right[key] - figures["right"]) <= 1)
    with open(os.path.join(e2e.ROOT, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    for key, figures in wanted.items():
        cell = "%d of %d" % (figures["right"], figures["of"])
        suite.check("README shows %s for %s" % (cell, key), cell in readme)


def check_sample(suite):
    path = os.path.join(DATA, "sample", "catalog.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    with open(os.path.join(DATA, "sample", "labels.tsv"), encoding="utf-8") as file:
        subjects = dict(line.rstrip("\n").split("\t") for line in file)
    out = os.path.join(suite.directory(), "out.jsonl.gz")
    result = suite.run("label", "--model", os.path.join(DATA, "model"), "-o", out, path)
    suite.exits("the sample catalog is labelled", result, e2e.OK)
    with gzip.open(out, "rb") as file:
        rows = e2e.parse_rows(file.read())
    suite.equal("the same %d ids in the same order" % len(records),
                [row["id"] for row in rows], [record["id"] for record in records])
    suite.check("every title has a label", all(row["label"] in SUBJECTS for row in rows))
    right = sum(subjects.get(str(row["id"])) == row["label"] for row in rows)
    suite.check("%d of the %d held-out titles in it right" % (right, len(subjects)),
                right >= 0.6 * len(subjects))


def main():
    suite = e2e.Suite(__doc__)
    titles = list(read_titles())
    check_data(suite, titles)
    check_accuracy(suite, [title for title in titles if title[3]])
    check_sample(suite)
    suite.finish()


main()
