#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Killed (SIGKILL) before the n-th call that changes the disk, for n from 1 until a run has no more
of them, and at random moments: what is there then is what was there before, or what should be, and
the same command again gives the rest and leaves nothing else.

ctest runs a share; `--full` every call, `--cycles N` as many kills at random moments."""
import os
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
import scenarios  # noqa: E402
from faults import e2e  # noqa: E402

SHARE = 6  # calls of a scenario, without --full
UNTOUCHED = ("stdin to stdout", "eval", "tokenize", "done already", "a stranger's file")


def state_is_wrong(scenario, work):
    """What is wrong with what a killed run left, "" if nothing."""
    wrong = scenario.outputs(faults.snapshot(work))
    if wrong:
        return wrong
    strange = [n for n in scenario.leftovers(faults.snapshot(work))
               if not any(part.startswith(".") for part in n.split("/"))]
    return "left in the open: %s" % strange if strange else ""


def at_calls(t, scenario, places):
    wrong, n_killed = [], 0
    for n in places:
        result, fired, work = scenario.with_fault("disk:%d:kill" % n)
        if not fired:
            shutil.rmtree(work)
            break
        n_killed += 1
        what = "" if result.code == -signal.SIGKILL else "is not killed"
        what = what or state_is_wrong(scenario, work)
        what = what or scenario.again(work, faults.snapshot(work))
        if what:
            wrong.append("call %d (%s): %s" % (n, faults.where(t, fired), what))
        shutil.rmtree(work)
    t.check("%s: killed at %d calls" % (scenario.name, n_killed), n_killed > 0 and not wrong,
            "\n".join(wrong[:5]))
    return n_killed, len(wrong)


def at_random(t, cycles):
    """One directory of three outputs, killed again and again until it is done; then anew."""
    rng = random.Random(t.seed)
    inputs = {name: "\n".join(scenarios.titles(1500, t.seed + i)) + "\n"
              for i, name in enumerate(("a.txt", "b.txt", "c.txt"))}
    scenario = faults.Scenario(t, "random moments", [
        "label", "--threads", "1", "--checkpoint-seconds", "0", "--model", faults.MODEL, "-o",
        "{work}/out", "{inputs}"],
        inputs=inputs)
    begun = time.monotonic()
    scenario.run(scenario.fresh())
    longest = 1.2 * (time.monotonic() - begun)
    n_killed = n_done = 0
    wrong, work = [], scenario.fresh()
    while n_killed < cycles and not wrong:
        process = t.start(*scenario.command(work), stdin=-3, stdout=-3, stderr=-3)
        time.sleep(rng.random() * longest)
        process.kill()
        if process.wait() == -signal.SIGKILL:
            n_killed += 1
            what = state_is_wrong(scenario, work)
            if what:
                wrong.append("after kill %d: %s" % (n_killed, what))
            if rng.random() < 0.7:
                continue
        result = scenario.run(work)
        if result.code != e2e.OK or faults.snapshot(work) != scenario.golden:
            wrong.append("at the end of kill %d: %s" % (n_killed, result))
        n_done += 1
        shutil.rmtree(work)
        work = scenario.fresh()
    t.check("killed at %d random moments, done %d times" % (n_killed, n_done), not wrong,
            "\n".join(wrong))


def main():
    def options(parser):
        faults.options(parser)
        parser.add_argument("--cycles", type=int, default=0, help="kills at random moments")

    t = e2e.Suite(__doc__, options)
    faults.need_inject(t)
    rng = random.Random(t.seed)
    n_killed = n_wrong = 0
    for scenario in scenarios.all_of(t, t.args.full):
        if scenario.name in UNTOUCHED or t.args.cycles:
            continue
        n_calls = scenario.calls()["disk"]
        places = range(1, n_calls + 1)
        if not t.args.full:
            places = sorted(rng.sample(places, min(SHARE, n_calls)))
        killed, wrong = at_calls(t, scenario, places)
        n_killed, n_wrong = n_killed + killed, n_wrong + wrong
    if t.args.cycles or not t.args.full:
        at_random(t, t.args.cycles or 5)
    print("%d kills at calls, %d wrong" % (n_killed, n_wrong))
    t.finish()


if __name__ == "__main__":
    main()
