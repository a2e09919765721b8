#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Devices that fail or hang, on the stand-in: whichever call it is, the run ends with 75 or 6 and
names the device, nothing is committed that is not whole, and the same command again gives the bytes
of a run without a fault."""
import concurrent.futures
import os
import random
import re

import rig
from rig import e2e

KINDS = ("device", "alloc", "pinned", "stream", "event", "query", "copy", "launch", "product",
         "choose", "graph")
CODES = {"alloc": 2, "pinned": 2, "product": 13, "choose": 14}  # else 719, a launch failure
# Some calls of these kinds do not matter: which driver it is, which names a cache; whether a stream
# is idle, before anything ran and after everything did.
NEEDLESS = ("device", "query")
# A capture that fails is no fault: the batch does without a graph.
CAPTURED = ("graph", "launch", "product", "choose")
WORKERS = 6  # a run mostly waits
NAME = re.compile(r"CUDA device \d+ \(.+, GPU-[0-9a-f-]{36}\)")


class Job:
    """Two files to label, the first of which may be done when a device fails in the second."""

    def __init__(self, t, model, **standin):
        self.t, self.model, self.standin = t, model, standin
        self.inputs = t.directory()
        rng_titles = e2e.random_titles(t.seed + 7, 90)
        self.sources = [e2e.write(self.inputs, "a.jsonl", e2e.titled(rng_titles[:30])),
                        e2e.write(self.inputs, "b.jsonl", e2e.titled(rng_titles[30:]))]
        result, self.golden = self.run(t.directory())
        t.exits("without a fault", result, e2e.OK)

    def run(self, out, **standin):
        patience = "1" if "HANG" in standin else "60"  # a busy machine is no hung device
        result = self.t.cuda("-o", out, "--scores", "logits", "--batch-tokens", "128",
                             "--gpu-timeout", patience, *self.sources, model=self.model,
                             standin=dict(self.standin, **standin))
        names = sorted(n for n in os.listdir(out) if n.endswith(".labels.jsonl.gz"))
        return result, {n: e2e.read_output(os.path.join(out, n)) for n in names}

    def fails(self, what, may_succeed=False, **fault):
        """One run with a fault, and one without. (whether it came, what is wrong or None)"""
        out = self.t.directory()
        result, outputs = self.run(out, **fault)
        fired = result.report.get("fired", False)
        if not fired:
            return False, None if result.code == 0 else "%s: %s" % (what, result)
        if result.code == 0 and may_succeed:
            good = outputs == self.golden
            return True, None if good else "%s: other bytes: %s" % (what, result)
        if result.code not in (e2e.AGAIN, e2e.UNUSABLE):
            return True, "%s: %s" % (what, result)
        if not NAME.search(result.err) and "device" not in str(fault):
            return True, "%s: the device is not named: %s" % (what, result)
        wrong = [n for n, data in outputs.items() if data != self.golden[n]]
        stray = [n for n in e2e.listing(out) if ".labels.jsonl.gz" not in n]
        if wrong or stray or len(outputs) == len(self.golden):
            return True, "%s: left %s, stray %s: %s" % (what, wrong, stray, result)
        again, outputs = self.run(out)
        if again.code != 0 or outputs != self.golden:
            return True, "%s: and again: %s" % (what, again)
        return True, None


def sweep(job, kind, how, step):
    """Every step-th call of a kind, from one of the first on, until a run has no more of them."""
    t, n_fired, wrong = job.t, 0, []
    n = random.Random("%s %s %s" % (t.seed, kind, how)).randint(1, step)
    code = CODES.get(kind, 719)
    may_succeed = code == 2 or kind in NEEDLESS or (how == "once" and kind in CAPTURED)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        while True:
            batch = [n + i * step for i in range(WORKERS)]
            n += WORKERS * step
            results = list(pool.map(lambda k: job.fails(
                "%s, call %d, %s" % (kind, k, how), may_succeed,
                FAIL="%s:%d:%d:%s" % (kind, k, code, how)), batch))
            n_fired += sum(fired for fired, _ in results)
            wrong += [what for _, what in results if what]
            if not results[-1][0] or len(wrong) > 3:
                break
    t.check("%s fails %s: %d places" % (kind, how, n_fired), n_fired > 0 and not wrong,
            "\n".join(wrong))


def hangs(job, kind, calls):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda n: job.fails("%s, call %d" % (kind, n), kind in NEEDLESS,
                                                    HANG="%s:%d" % (kind, n)), calls))
    wrong = [what for _, what in results if what]
    t = job.t
    n_fired = sum(fired for fired, _ in results)
    t.check("%s hangs: %d places" % (kind, n_fired), n_fired > 0 and not wrong, "\n".join(wrong))


def main():
    t = rig.Suite(__doc__)
    model = rig.model(t, layers=1)
    one = Job(t, model)
    two = Job(t, model, DEVICES=2)
    t.equal("two devices, the same bytes", two.golden, one.golden)
    calls = one.run(t.directory())[0].report["calls"]
    print("      calls of a run: %s" % calls)
    share = 8 if t.short else 1
    for kind in KINDS:
        sweep(one, kind, "once", max(1, share * calls[kind] // 40))
        sweep(two, kind, "sticky", max(1, share * calls[kind] // 12))
    for kind in ("copy", "launch", "product"):
        sweep(one, kind, "late", max(1, share * calls[kind] // 12))
    for kind in KINDS:
        hangs(one, kind, sorted({1, max(1, calls[kind] // 2), max(1, calls[kind] - 1)}))
    hangs(two, "copy", (calls["copy"] + 3,))
    for n in (calls["launch"] // 2, calls["launch"] - 1):
        fired, wrong = one.fails("launch %d never ends" % n, HANG="launch:%d:late" % n)
        t.check("launch %d never ends" % n, fired and not wrong, wrong)
    t.finish()


if __name__ == "__main__":
    main()
