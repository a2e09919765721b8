# SPDX-License-Identifier: Apache-2.0
"""What the tests of engines share: a catalog of real titles, what one machine makes of it, and
whether an engine made the same."""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

ENGINES = os.path.join(e2e.ROOT, "host", "engines")
DEMO_MODEL = os.path.join(e2e.ROOT, "data", "model")
TINY_MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
SUFFIX = ".labels.jsonl.gz"


def titles():
    """Those of data/titles."""
    directory = os.path.join(e2e.ROOT, "data", "titles")
    lines = [line for name in sorted(os.listdir(directory))
             for line in e2e.read(os.path.join(directory, name)).decode().splitlines()]
    return [line.split("\t")[-1] for line in lines if line and not line.startswith("#")]


def make(directory, n_files, n_rows, seed=1):
    """Gzipped JSONL files of titles that differ all, since one that came before costs nothing;
    returns their names."""
    rng = random.Random(seed)
    known = titles()
    names = []
    for i in range(n_files):
        records = ({"id": "%d-%d" % (i, row), "title": "%s, %d" % (rng.choice(known),
                                                                   i * n_rows + row)}
                   for row in range(n_rows))
        names.append("part%02d.jsonl.gz" % i)
        e2e.write(directory, names[-1], e2e.gzip_bytes(e2e.jsonl(records)))
    return names


def outputs(directory):
    """{name: bytes} of the labels in a directory."""
    return {name: e2e.read(os.path.join(directory, name)) for name in sorted(os.listdir(directory))
            if name.endswith(SUFFIX) and not name.startswith(".")}


def hash_of(directory):
    """The SHA-256 that _SUCCESS gives to all rows; "" where nothing was published."""
    path = os.path.join(directory, "_SUCCESS")
    return json.loads(e2e.read(path))["sha256"] if os.path.exists(path) else ""


def label_here(t, inputs, model, *args):
    """One machine's labels of a catalog, merged; the directory."""
    directory = t.directory()
    t.exits("one machine labels it", t.run("label", "--model", model, "-o", directory, *args,
                                           inputs, timeout=600), e2e.OK)
    t.exits("and merges", t.run("merge", directory, inputs), e2e.OK)
    return directory


def is_same(t, what, directory, golden):
    """Byte for byte, published, and nothing else is left, but for what --previous looks up."""
    got, wanted = outputs(directory), outputs(golden)
    differing = sorted(n for n in got.keys() | wanted.keys() if got.get(n) != wanted.get(n))
    t.check("%s: %d outputs, byte for byte those of one machine" % (what, len(wanted)),
            not differing and wanted, differing)
    t.equal("%s: published, of the same hash" % what, hash_of(directory), hash_of(golden))
    t.equal("%s: nothing else is left" % what,
            [n for n in e2e.listing(directory) if n[0] == "." and not n.endswith(".scores")], [])
