#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a night costs when little has changed: a catalog is labelled, a share of its titles is
edited and their order shuffled, and it is labelled again, whole and with --previous. The outputs
must be the same bytes.

    tests/bench/nightly.py --wader build/release/wader --model data/model --titles 200000

The titles are made up of words of this project's own titles, none twice.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def words():
    text = " ".join(path.read_text(encoding="utf-8")
                    for path in sorted((ROOT / "data" / "titles").glob("*.tsv")))
    return sorted({word for word in text.split() if word.isalpha()})


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for i, title in rows:
            file.write(json.dumps({"id": i, "title": title}, ensure_ascii=False) + "\n")


def label(args, output, source, *more):
    """Seconds, how many titles were encoded, and the output's bytes."""
    begun = time.monotonic()
    done = subprocess.run([args.wader, "label", "--model", args.model, *more, "-o", output, source],
                          check=True, stderr=subprocess.PIPE, text=True)
    seconds = time.monotonic() - begun
    told = re.search(r"([\d,]+) titles encoded", done.stderr)
    n = int(told.group(1).replace(",", "")) if told else args.titles
    return seconds, n, output.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wader", required=True)
    parser.add_argument("--model", default=str(ROOT / "data" / "model"))
    parser.add_argument("--titles", type=int, default=200000)
    parser.add_argument("--changed", type=float, default=0.01, help="the share, default 0.01")
    args = parser.parse_args()
    rng, known = random.Random(1), words()
    rows = [(i, " ".join(rng.choice(known) for _ in range(rng.randrange(4, 14))) + " %d" % i)
            for i in range(args.titles)]
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch)
        write(path / "first.jsonl", rows)
        label(args, path / "first.out.jsonl.gz", path / "first.jsonl")
        changed = set(rng.sample(range(args.titles), round(args.changed * args.titles)))
        rows = [(i, title + " anew") if i in changed else (i, title) for i, title in rows]
        rng.shuffle(rows)
        write(path / "second.jsonl", rows)
        whole = label(args, path / "whole.out.jsonl.gz", path / "second.jsonl")
        part = label(args, path / "part.out.jsonl.gz", path / "second.jsonl", "--previous",
                     path / "first.out.jsonl.gz")
        kept = (path / ".first.out.jsonl.gz.scores").stat().st_size
    print("%d titles, %d of them changed, in another order" % (args.titles, len(changed)))
    print("kept scores: %.1f bytes a title" % (kept / args.titles))
    for what, (seconds, n, _) in (("whole", whole), ("--previous", part)):
        print("%-10s %8.2f s, %8d titles encoded" % (what, seconds, n))
    print("%.2f %% of the titles encoded, %.1f times as quick, %s" %
          (100 * part[1] / whole[1], whole[0] / part[0],
           "the same bytes" if whole[2] == part[2] else "OTHER BYTES"))
    return whole[2] != part[2]


sys.exit(main())
