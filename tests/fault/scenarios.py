# SPDX-License-Identifier: Apache-2.0
"""The commands that are run on a system that fails, with their inputs: all of them are quick, so
that they can be run thousands of times. One more command is one more Scenario here."""
import os
import re
import shutil

import faults
from faults import e2e


def titles(n, seed):
    return [" ".join(x.split()) or "gold" for x in e2e.random_titles(seed, n)]


def small_model(t):
    """One with every file that may be left out: what cannot be read is not to be taken for that."""
    model = e2e.copy_model(t, faults.MODEL)
    e2e.edit_json(model + "/config.json", id2label=None, label2id=None)
    e2e.write(model, "labels.txt", "business\nhealth\n")
    e2e.write(model, "calibration.json", '{"temperature": 1.5, "thresholds": {"health": 0.8}}')
    return model


def all_of(t, full):
    """The scenarios, one after the other, or a few of them; `--only` chooses."""
    few = ("file to file", "stdin to stdout", "three to a directory", "replacing", "saving",
           "convert")
    for name, arguments, more in described(t):
        if re.search(t.args.only, name) if t.args.only else full or name in few:
            yield faults.Scenario(t, name, arguments, **more)


def described(t):
    """Name, arguments and the rest of each."""
    model = small_model(t)
    data = e2e.titled(titles(60, t.seed))
    packed = e2e.gzip_bytes(data)
    label = ["label", "--threads", "1", "--model", model]
    one = {"a.jsonl.gz": packed}
    three = {"a.jsonl.gz": packed, "b.txt": "\n".join(titles(20, t.seed + 1)) + "\n",
             "c.tsv": "".join("%d\t%s\n" % x for x in enumerate(titles(20, t.seed + 2)))}
    gold = "".join("%s\t%s\n" % (x, ("business", "health")[i % 2])
                   for i, x in enumerate(titles(30, t.seed + 3)))
    to_file = label + ["-o", "{work}/out.jsonl.gz", "{inputs}/a.jsonl.gz"]
    convert = ["convert", "--model", model, "-o", "{work}/new"]
    torch = os.path.join(e2e.GOLDEN, "bert_torch")

    def made_by(*args):
        def prepare(work):
            path = e2e.write(t.directory(), "a.jsonl.gz", packed)
            done = t.run(*label, "-o", work + "/out.jsonl.gz", *args, path)
            assert done.code == e2e.OK, done
        return prepare

    previous = os.path.join(t.directory(), "out.jsonl.gz")
    made_by("--force")(os.path.dirname(previous))

    def strange(work):
        e2e.write(work, "out.jsonl.gz", "somebody's\n")

    def converted(work):
        shutil.copytree(e2e.OTHER_MODEL, work + "/new")

    return (
        ("file to file", to_file, {"inputs": one}),
        ("stdin to stdout", label + ["--input-format", "jsonl"], {"stdin": data}),
        ("three to a directory", label + ["-o", "{work}/out", "{inputs}"], {"inputs": three}),
        ("replacing", to_file, {"inputs": one, "prepare": made_by("--scores", "all")}),
        ("done already", to_file, {"inputs": one, "prepare": made_by()}),
        ("a stranger's file", to_file, {"inputs": one, "prepare": strange,
                                        "succeeds": e2e.USAGE}),
        ("saving", to_file + ["--checkpoint-seconds", "0", "--batch-tokens", "200", "--on-bad",
                              "reject", "--max-bad", "50%", "--count-duplicates"],
         {"inputs": {"a.jsonl.gz": e2e.gzip_bytes(data + b"bad\n" + data)}}),
        ("reusing", to_file + ["--previous", previous],
         {"inputs": {"a.jsonl.gz": e2e.gzip_bytes(e2e.titled(titles(70, t.seed)))}}),
        ("observed", to_file + ["--report", "{inputs}/run.json", "--metrics",
                                "{inputs}/night.prom"],
         {"inputs": one}),
        ("audited", to_file + ["--audit", "1000"], {"inputs": one}),
        ("convert", convert, {"whole": "new/", "repeated": e2e.USAGE}),
        ("convert, replacing", convert + ["--force"], {"prepare": converted, "whole": "new/"}),
        ("convert from torch", ["convert", "--model", torch, "-o", "{work}/new"],
         {"whole": "new/", "repeated": e2e.USAGE}),
        ("eval", ["eval", "--threads", "1", "--model", model, "--svg", "{work}/eval.svg",
                  "{inputs}/gold.tsv"], {"inputs": {"gold.tsv": gold}}),
        ("tokenize", ["tokenize", "--model", model, "{inputs}/a.txt"],
         {"inputs": {"a.txt": "\n".join(titles(300, t.seed))}}),
    )
