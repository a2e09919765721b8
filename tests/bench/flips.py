#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How often a lower tier gives another label than the CPU in fp32, and by what margin in fp32 each
such title was decided: of the CPU encoder,

    tests/bench/flips.py --wader build/release/wader --device cpu --precision bf16,int8

or of the CUDA one on the stand-in, which has the kernels' and products' own roundings, not those of
tensor cores (200 titles a second):

    LD_LIBRARY_PATH=build/release/tests/standin/lib tests/bench/flips.py \\
        --wader build/release/tests/standin/wader_standin_plain --device cuda --precision bf16,fp16

The titles are those of ../shared, or of WADER_SHARED: half English subjects, half sentences of many
languages, or with --english the former alone.
"""
import argparse
import gzip
import json
import os
import pathlib
import platform
import random
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def titles_of(shared, n, names):
    """As many of each file."""
    out = []
    for name in names:
        with gzip.open(shared / "titles" / name, "rt", encoding="utf-8", errors="replace") as file:
            lines = [line.rstrip("\n").split("\t", 1)[-1] for line in file]
        out += random.Random(1).sample([line for line in lines if line], n // len(names))
    random.Random(2).shuffle(out)
    return out


def logits(wader, model, source, *args):
    """Logits and labels of every title; wader's summary on stderr."""
    done = subprocess.run([wader, "label", "--model", model, "--scores", "logits", *args, source],
                          stdout=subprocess.PIPE, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [r["logits"] for r in rows], [r["label"] for r in rows]


def compare(precision, got, wanted):
    margins = []
    for label, (exact, exact_label) in zip(got[1], zip(*wanted)):
        if label != exact_label:
            best, second = sorted(exact, reverse=True)[:2]
            margins.append(best - second)
    apart = [max(abs(a - b) for a, b in zip(x, y)) for x, y in zip(got[0], wanted[0])]
    n = len(apart)
    print("%s: %d of %d labels differ (%.4f %%); logits apart: mean %.5f, worst %.4f" %
          (precision, len(margins), n, 100 * len(margins) / n, sum(apart) / n, max(apart)))
    margins.sort()
    print("  margins in fp32 of those: %s" % " ".join("%.4f" % m for m in margins), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wader", required=True)
    parser.add_argument("--model", default=str(ROOT / "data" / "model"))
    parser.add_argument("--titles", type=int, default=100000)
    parser.add_argument("--english", action="store_true")
    parser.add_argument("--device", required=True)
    parser.add_argument("--precision", required=True, help="one or more, with commas between")
    parser.add_argument("--threads", default="1", help="of wader on the CPU")
    parser.add_argument("--shared", default=os.environ.get("WADER_SHARED", ROOT.parent / "shared"))
    args = parser.parse_args()
    names = ["reddit_subjects.tsv.gz"] + ["common_voice.tsv.gz"] * (not args.english)
    threads = ("--threads", args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "titles.txt")
        with open(source, "w", encoding="utf-8") as file:
            file.writelines(title.replace("\r", " ") + "\n"
                            for title in titles_of(pathlib.Path(args.shared), args.titles, names))
        print("%s, %s, model %s" % (platform.processor() or platform.machine(),
                                    time.strftime("%Y-%m-%d"), os.path.basename(args.model)))
        wanted = logits(args.wader, args.model, source, "--device", "cpu", *threads)
        scale = max(abs(x) for row in wanted[0] for x in row)
        print("%d titles; the largest logit is %.2f" % (len(wanted[0]), scale), flush=True)
        for precision in args.precision.split(","):
            compare(precision, logits(args.wader, args.model, source, "--device", args.device,
                                      "--precision", precision, *threads), wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
