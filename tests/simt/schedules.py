#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What kernels write does not depend on the order in which threads run: runs each test program
with the same seed in several schedules and compares the digests of all results.

usage: schedules.py [--seed N] PROGRAM...
"""
import argparse
import os
import random
import subprocess
import sys

SCHEDULES = ["forward", "reverse", "random:1", "random:2"]


def digest(program, seed, order):
    run = subprocess.run([program, "--seed", str(seed), "--digest"], capture_output=True, text=True,
                         env={**os.environ, "SIMT_ORDER": order}, timeout=600, check=False)
    lines = [line for line in run.stdout.splitlines() if line.startswith("digest ")]
    if run.returncode != 0 or len(lines) != 1:
        sys.exit(f"{program} --seed {seed}, {order}: exit code {run.returncode}, "
                 f"{len(lines)} digests\n{run.stderr[-2000:]}")
    return lines[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("programs", nargs="+")
    args = parser.parse_args()
    print(f"seed {args.seed}")
    failed = False
    for program in args.programs:
        digests = {order: digest(program, args.seed, order) for order in SCHEDULES}
        same = len(set(digests.values())) == 1
        failed |= not same
        print(os.path.basename(program), digests["forward"] if same else f"DIFFER: {digests}")
    return 1 if failed else 0


sys.exit(main())
