#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The race of tests/peers/encoders.py, run with wader alone on a small model: what it compares,
what it takes out of the race, and what it prints. No peer is needed."""
import argparse
import os
import shutil
import stat
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "support")]
from e2e import MODEL, ROOT, Suite, expected, write  # noqa: E402

sys.path.append(os.path.join(ROOT, "tests", "peers"))
import encoder_race  # noqa: E402
import encoder_report  # noqa: E402

OURS = "wader-fp32"


def make_race(suite, wader=None, change=0.0):
    """A race whose models are a fixture, and whose reference is what PyTorch gave for it, but for
    `change` in one logit."""
    work = suite.directory()
    cases = [case for case in expected(os.path.basename(MODEL))["cases"] if case["title"].strip()]
    race = encoder_race.Race(argparse.Namespace(work=work, wader=wader or suite.wader, quick=True,
                                                repeats=2))
    shutil.copytree(MODEL, os.path.join(work, "tiny", "hf"))
    race.folders["random"] = (os.path.join(work, "tiny"), {})
    race.add_titles("race", [case["title"].replace("\t", " ") for case in cases])
    logits = [list(case["logits"]) for case in cases]
    logits[3][1] += change
    race.references[("random", "race")] = logits
    return race


def program(suite, text):
    path = write(suite.directory(), "wader", "#!/bin/sh\n" + text + "\n")
    os.chmod(path, stat.S_IRWXU)
    return path


def test_check(suite):
    race = make_race(suite)
    race.check(OURS, "random", "race")
    suite.check("logits as float64 are let in", not race.out and not race.failed, race.skipped)
    suite.equal("every label is as float64's", [c["same"] for c in race.checks],
                [len(race.files["race"][1])])
    scale = race.checks[0]["scale"]
    for change, is_out in ((3e-5 * scale, False), (2e-4 * scale, True)):
        race = make_race(suite, change=change)
        race.check(OURS, "random", "race")
        suite.equal("a logit %.0e of the scale away: out of the race, and a failure" % (
            change / scale), (OURS in race.out, race.failed), (is_out, is_out))


def test_compare(suite):
    nan = float("nan")
    found = encoder_race.compare([[0.0, 2.0], [nan, 1.0]], [[0.5, -4.0], [3.0, 1.0]])
    suite.equal("a logit that is no number is no small difference", found["apart"], float("inf"))
    found = encoder_race.compare([[0.0, 2.0], [5.0, 1.0]], [[0.5, -4.0], [3.0, 1.0]])
    suite.equal("difference, scale and labels",
                (found["apart"], found["scale"], found["same"], found["n"]), (6.0, 4.0, 1, 2))


def test_programs_that_fail(suite):
    for code, failed, words in ((6, False, "not there: no such tier"), (3, True, "exited 3")):
        race = make_race(suite, program(suite, "echo no such tier >&2; exit %d" % code))
        race.check(OURS, "random", "race")
        suite.check("exit %d takes it out of the race" % code,
                    OURS in race.out and words in race.skipped[0], race.skipped)
        suite.equal("exit %d fails the race" % code, race.failed, failed)


def test_time(suite):
    race = make_race(suite)
    race.time([OURS], 1)
    suite.equal("nothing is left out", race.skipped, [])
    row = race.speeds.get((OURS, 1))
    if suite.check("it is timed", row is not None):
        n = len(race.files["race"][1])
        suite.check("twice, at rates and starts above 0",
                    len(row["rates"]) == 2 and min(row["rates"] + row["starts"]) > 0, row)
        suite.equal("all its labels are as float64's", (row["n"], row["same"]), (n, [n, n]))
        suite.check("start-up is little of the run: the titles are there often", row["copies"] > 1)
    race = make_race(suite, change=100.0)
    race.time([OURS], 1)
    n = len(race.files["race"][1])
    suite.equal("another label is counted", race.speeds[(OURS, 1)]["same"], [n - 1, n - 1])


def made_up():
    def speed(engine, rates, cores=1, batch=None, copies=None):
        return {"engine": engine, "cores": cores, "rates": rates, "starts": [2.0, 1.0, 3.0],
                "busy": [0.98, 0.4, 0.99], "same": [99, 100, 99], "n": 100, "variant": "",
                "layout": (1, cores), "batch": batch, "copies": copies}
    check = {"engine": OURS, "model": "demo", "variant": "", "n": 10, "same": 9, "apart": 1e-5,
             "scale": 2.0}
    return {"header": {"machine": "m", "date": "d"}, "repeats": 3, "checks": [check],
            "skipped": ["SKIP x: y"],
            "titles": {"titles": 100, "bytes": 70.0, "tokens": 20.0, "median": 18, "p90": 30,
                       "most": 60},
            "speeds": [speed(OURS, [30.0, 36.0, 33.0], copies=2), speed(OURS, [64.0], 2, copies=2),
                       speed("onnx-runtime-fp32", [27.0, 30.0, 26.0], batch=8),
                       speed("ctranslate2-fp32", [30.0], batch=16),
                       speed("pytorch-int8", [80.0], batch=4)]}


def test_report(suite):
    lines = list(encoder_report.text(made_up()))
    text = "\n".join(lines)
    suite.check("the text begins with the machine", lines[0] == "machine: m", text)
    ours = next(line for line in lines if "wader" in line and "titles 2 times" in line)
    suite.check("the median, slowest and quickest, and tokens/s",
                " 33.0 " in ours and "30.0–36.0" in ours and " 660 " in ours and " 98% " in ours,
                ours)
    for words in ("wader-fp32 / onnx-runtime-fp32 on 1 core: 1.22, wanted 1.15: reached",
                  "wader-fp32 / ctranslate2-fp32 on 1 core: 1.10, wanted 1.15: missed",
                  "wader-fp32 on 2 cores / on 1 core: 1.94"):
        suite.check(words, words in lines, text)
    suite.check("what was skipped is told", "SKIP x: y" in lines, text)
    rows = [line for line in "\n".join(encoder_report.markdown(made_up())).split("\n")
            if line.startswith("|")]
    suite.equal("a row each, with two lines above", len(rows), 6)
    suite.equal("all as wide", len({row.count("|") for row in rows}), 1)
    suite.check("ratio in the row of a peer", any("ONNX Runtime" in row and "1.22 ×" in row
                                                  for row in rows), rows)


def main():
    suite = Suite(__doc__)
    test_compare(suite)
    test_check(suite)
    test_programs_that_fail(suite)
    test_time(suite)
    test_report(suite)
    suite.finish()


if __name__ == "__main__":
    main()
