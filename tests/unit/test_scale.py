#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/bench/scale.py and its model, held to what can be told in closed form."""
import dataclasses
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "bench"))
import scale  # noqa: E402
import scale_model  # noqa: E402

PROGRAM = os.path.join(TESTS, "bench", "scale.py")
# Nothing but the work itself: files of one size, and no limit, start or failure.
BARE = scale_model.Setting(titles=1e9, gpus=1, rate=2e5, files=64, sigma=0.0)
FAULTS = []


def check(what, good, seen=""):
    if not good:
        FAULTS.append(what)
        print("FAIL: %s: %s" % (what, str(seen)[:2000]))


def near(what, got, wanted, tolerance=1e-9):
    check(what, abs(got - wanted) <= tolerance * max(abs(wanted), 1e-300), (got, wanted))


def run(n=1, **changes):
    """One run of BARE with changes, or n of them."""
    runs = scale_model.simulate_many(dataclasses.replace(BARE, **changes), n, 7)
    return runs[0] if n == 1 else runs


def test_work():
    one = run()
    near("one GPU takes work by rate", one.seconds(), 1e9 / 2e5)
    for gpus in (2, 4, 8, 64):
        near("%d GPUs take a share of it" % gpus, run(gpus=gpus).seconds(), 1e9 / 2e5 / gpus)
    near("beyond the files GPUs gain nothing", run(gpus=128).seconds(), 1e9 / 2e5 / 64)
    near("and the others wait", run(gpus=128).losses["waiting for the last"],
         64 * 1e9 / 2e5 / 64)
    near("three GPUs for four files: as long as two files", run(gpus=3, files=4).seconds(), 2500)
    near("so with a queue of a share for each file",
         run(gpus=3, files=4, shares=2).seconds(), 2500)


def test_limits():
    near("host cores", run(host_seconds=1e-5, cores=0.5).seconds(), 1e9 / 5e4)
    near("a stage of one thread", run(thread_rate=1e5, gpus=2).seconds(), 1e9 / 1e5 / 2)
    slow = run(store_rate=1e8, in_bytes=30, out_bytes=20, gpus=32)
    near("the file system gives its bytes/s, whatever the GPUs", slow.label_seconds, 500)
    near("what is lost by it", slow.losses["slow host or store"], 32 * 500 - 1e9 / 2e5)
    near("the weights, once for each host", run(store_rate=1e9, weights_bytes=7e8, gpus=64,
                                                files=64).label_seconds, 1e9 / 2e5 / 64 + 8 * 0.7)
    near("a start for each process, not for each GPU",
         run(start_seconds=10, gpus=2, shares=4).label_seconds, 1e9 / 2e5 / 2 + 4 * 10)
    near("a gap for each file", run(file_seconds=0.5, gpus=2).label_seconds,
         1e9 / 2e5 / 2 + 32 * 0.5)
    near("verifying, on one host", run(merge_rate=1e8, merge_cores=4, row_bytes=50).merge_seconds,
         1e9 * 50 / 4e8)
    near("or as fast as it can be read", run(merge_rate=1e12, row_bytes=50, in_bytes=30,
                                             out_bytes=20, store_rate=1e9).merge_seconds, 50)


def test_sizes():
    rng = random.Random(3)
    s = dataclasses.replace(BARE, files=20000, sigma=0.5)
    sizes = scale_model.file_titles(s, rng)
    near("files hold the titles", math.fsum(sizes), 1e9)
    near("their logarithms spread as asked", statistics.stdev(map(math.log, sizes)), 0.5, 0.03)
    uneven = run(gpus=64, files=640, sigma=0.8)
    check("uneven files make somebody wait", uneven.label_seconds > 1.1 * 1e9 / 2e5 / 64 and
          uneven.losses["waiting for the last"] > 0, uneven)
    queued = run(gpus=64, files=640, sigma=0.8, shares=10)
    check("a queue of smaller shares makes them wait less",
          queued.label_seconds < uneven.label_seconds, queued)


def test_failures():
    for gpus, mtbf in ((1, 0.05), (16, 0.3), (64, 0.01)):
        runs = run(100, gpus=gpus, mtbf_hours=mtbf, checkpoint_seconds=0.0)
        hours = 1e9 / 2e5 / 3600
        wanted, n = hours / mtbf, len(runs)
        got = statistics.fmean(r.failures for r in runs)
        near("failures are hours by MTBF, on %d GPUs" % gpus, got, wanted,
             4 / math.sqrt(wanted * n))
        check("progress that is saved at once is never lost", all(r.redone == 0 for r in runs))
    # Rare failures: what is done again is anywhere between two saves alike.
    for kept, wanted in ((10.0, 5.0), (math.inf, 1250 / 2)):
        runs = run(2000, files=4, mtbf_hours=10, checkpoint_seconds=kept)
        n = sum(r.failures for r in runs)
        near("half of what lies between two saves (%s s) is done again" % kept,
             sum(r.redone for r in runs) / n, wanted, 0.12)
    kept = run(mtbf_hours=0.5, requeue_seconds=100, start_seconds=10, checkpoint_seconds=10)
    near("a failure costs what is done again, the wait and a new start", kept.label_seconds,
         1e9 / 2e5 + 10 + kept.redone + kept.failures * 110)
    check("there were some", kept.failures > 0 and kept.redone > 0, kept)


def test_shares_add_up():
    s = dataclasses.replace(BARE, gpus=24, files=500, sigma=0.6, shares=3, store_rate=5e7,
                            in_bytes=30, out_bytes=10, weights_bytes=7e8, start_seconds=5,
                            file_seconds=0.1, mtbf_hours=2, requeue_seconds=60)
    for r in scale_model.simulate_many(s, 5, 1):
        near("useful and lost time are all the time there is",
             r.useful + math.fsum(r.losses.values()), r.label_seconds * s.gpus, 1e-9)
        check("none of it is negative", min(r.losses.values()) >= -1e-6, r)


def test_figures():
    with open(os.path.join(TESTS, "..", "cuda", "run_feed.c"), encoding="utf-8") as file:
        text = file.read()
    write = float(re.search(r"\.write = 1 / ([\d.]+)", text).group(1))
    cores, rate = map(float, re.search(r"\.whole = ([\d.]+) / ([\d.]+)", text).groups())
    near("the host's core is run_model's", scale.FIGURES["host_seconds"][0], cores / rate)
    tokenize = float(re.search(r"\.tokenize = 1 / ([\d.]+)", text).group(1))
    near("and its tokenizer", scale.TOKENIZE_SECONDS, 1 / tokenize)
    near("and its writer", scale.FIGURES["thread_rate"][0], write)
    wrong = [n for n, (_, how, what, _) in scale.FIGURES.items() if not what or how not in (
        "measured", "modelled", "assumed", "published", "default")]
    check("each figure says how it is known", not wrong, wrong)


def scale_py(*args):
    done = subprocess.run([sys.executable, PROGRAM, *args], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def test_program():
    few = ["--runs", "2", "--gpus", "1,16", "--files", "200"]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "a.svg")
        code, out, err = scale_py(*few, "--svg", path)
        text = " ".join(xml.etree.ElementTree.parse(path).getroot().itertext())
        check("the picture says what it is", code == 0 and "Modelled, not measured" in text, err)
    check("so does the text, first of all", out.startswith("MODELLED, nothing here was run"), out)
    check("the same seed, the same bytes", scale_py(*few)[1] == out)
    check("another seed, others", scale_py(*few, "--seed", "2")[1].splitlines()[1:] !=
          out.splitlines()[1:])
    check("no price, no cost", "cost" not in out.split("(--price")[0] and "no price" in out, out)
    code, out, err = scale_py("--runs", "1", "--gpus", "4", "--files", "4", "--sigma", "0",
                              "--titles", "1.44e9", "--rate", "1e5", "--price", "2.5",
                              *(x for name in ("start-seconds", "file-seconds", "mtbf-hours",
                                               "store-rate") for x in ("--" + name, "0")))
    row = [line.split() for line in out.splitlines() if line.startswith("    4 ")]
    check("four GPU hours at 2.50 are 10", code == 0 and row and row[0][1] == "1:00:00" and
          row[0][6:8] == ["4.00", "10.00"], (out, err))
    for args in (["--gpus", "0"], ["--gpus", "1.5"], ["--rate", "0"], ["--files", "0"],
                 ["--price", "-1"], ["--titles", "nan"], ["--runs", "0"], ["--store-rate", "-1"]):
        code, _, err = scale_py(*args)
        check("%s is refused" % " ".join(args), code == 2 and "error" in err, (code, err))


def main():
    for test in (test_work, test_limits, test_sizes, test_failures, test_shares_add_up,
                 test_figures, test_program):
        test()
    print("%d failures" % len(FAULTS))
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
