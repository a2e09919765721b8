#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The n-th call fails, for n from 1 until a run has no more of them: memory, files, threads, zlib,
for each command that a night depends on. What must hold then is told in faults.py.

ctest runs a share of it (every so many n); `--full` all, with a table for tests/results.
"""
import concurrent.futures
import itertools
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
import scenarios  # noqa: E402
from faults import e2e  # noqa: E402

IO, MODEL, INPUT, LOCKED = e2e.IO, e2e.UNUSABLE, e2e.INPUT, e2e.LOCKED
SYSTEM = {IO, INPUT, MODEL}  # a file that cannot be had is an output's, an input's or the model's

# kind, action, the exit codes that it may give, words of which one is on stderr then. No codes: it
# must not be noticed.
FAULTS = (
    ("alloc", "ENOMEM", {IO}, ("memory", "libcrypto cannot")),
    ("map", "ENOMEM", {IO, MODEL}, ("memory",)),
    ("open", "EIO", SYSTEM, ("Input/output error",)),
    ("open", "EMFILE", SYSTEM, ("Too many open files",)),
    ("open", "EACCES", SYSTEM, ("Permission denied",)),
    ("read", "EIO", SYSTEM, ("Input/output error",)),
    ("read", "EINTR", None, ()),
    ("read", "short", None, ()),
    ("write", "ENOSPC", {IO}, ("No space left",)),
    ("write", "EDQUOT", {IO}, ("quota",)),
    ("write", "EFBIG", {IO}, ("File too large",)),
    ("write", "EIO", {IO}, ("Input/output error",)),
    ("write", "EINTR", None, ()),
    ("write", "short", None, ()),
    ("write", "EAGAIN", {IO}, ("temporarily unavailable",)),
    ("sync", "EIO", {IO}, ("Input/output error",)),
    ("sync", "ENOSPC", {IO}, ("No space left",)),
    ("close", "EIO", SYSTEM, ("Input/output error",)),
    ("rename", "EIO", {IO}, ("Input/output error",)),
    ("rename", "EACCES", {IO}, ("Permission denied",)),
    ("unlink", "EIO", {IO}, ("Input/output error",)),
    ("mkdir", "ENOSPC", {IO}, ("No space left",)),
    ("truncate", "EIO", {IO}, ("Input/output error",)),
    ("list", "EIO", {IO, INPUT}, ("Input/output error",)),
    ("lock", "EWOULDBLOCK", {LOCKED}, ("another run",)),
    ("lock", "ENOLCK", {IO}, ("No locks available",)),
    ("lock", "EINTR", None, ()),
    ("stat", "EIO", SYSTEM, ()),
    ("thread", "EAGAIN", {IO}, ("cannot start",)),
    ("inflate", "Z_MEM_ERROR", {IO, MODEL}, ("memory",)),
    ("inflate", "Z_DATA_ERROR", {INPUT, MODEL, IO}, ("gzip", "zlib")),
    ("deflate", "Z_MEM_ERROR", {IO}, ("zlib",)),
    ("process", "EAGAIN", {IO, MODEL}, ("child", "process")),
    ("poll", "EINTR", None, ()),
    ("clock", "back", None, ()),
    ("clock", "ahead", None, ()),
)
# After these something may be left behind: what cannot be removed or found, and a lock file that
# could not be locked, which may be another run's.
MAY_LEAVE = ("unlink", "list", "lock", "stat")
# Memory that libraries ask for, and every how many of their calls: libcrypto alone makes thousands
# before it is ready. oneDNN is not among them: it is C++, and a program that lets an exception out
# of a constructor is not ours to mend.
LIBRARIES = (("libc.", 1), ("libz.", 1), ("libcrypto.", 60))
# NVIDIA's runtime, linked into the program, is not ours to mend either: without memory it crashes
# by itself. What must hold after a crash holds.
CUDA_RUNTIME = "libcudart_static"
N_AT_ONCE = 2


def may_stay(fault):
    """Whether the fault makes sense from then on: one that is to be waited for does not."""
    return fault[2] is not None and fault[:2] != ("write", "EAGAIN")


class Sweep:
    """Counts, over all scenarios, by kind and action."""

    def __init__(self, t):
        self.t, self.table = t, {}

    def run(self, scenario, fault, n, on, callers):
        kind, action, codes, words = fault
        plan = "%s:%d:%s%s" % (kind, n, action, ":on" if on else "")
        result, fired, work = scenario.with_fault(plan, callers)
        if fired:
            # The C library's memory is what directories are listed with.
            may_leave = kind in MAY_LEAVE or callers == "libc."
            wrong = scenario.judge(result, work, codes or set(), words, may_leave=may_leave,
                                   must_succeed=codes is None)
            if wrong == "crashes" and CUDA_RUNTIME in faults.where(self.t, fired):
                wrong = scenario.outputs(faults.snapshot(work))
        else:
            wrong = "" if result.code == scenario.succeeds else "fails without a fault"
        shutil.rmtree(work)
        if wrong:
            wrong = "%s, %s (%s): %s\n%s" % (scenario.name, plan, faults.where(self.t, fired),
                                             wrong, result)
        return bool(fired), wrong, result

    def sweep(self, pool, scenario, fault, places, on=False, callers=None):
        """One kind and action at those places, until there are no more such calls: a check, and a
        line of the table."""
        counts = self.table.setdefault((fault[0], fault[1]), [0, 0, 0, 0])
        wrong, n_fired, going = [], 0, True
        while going:
            ns = list(itertools.islice(places, N_AT_ONCE))
            going = len(ns) == N_AT_ONCE
            jobs = [pool.submit(self.run, scenario, fault, n, on, callers) for n in ns]
            for job in jobs:
                fired, what, result = job.result()
                n_fired += fired
                counts[1] += fired and result.code == scenario.succeeds
                counts[2] += bool(what) and result.code == e2e.OK and fault[2] is not None
                wrong += [what] if what else []
                going = going and fired
        counts[0] += n_fired
        counts[3] += len(wrong)
        if n_fired > 0 or wrong:
            self.t.check("%s: %s %s%s%s" % (scenario.name, fault[0], fault[1],
                                            " from then on" if on else "",
                                            "" if callers is None else " in " + callers),
                         not wrong, "\n".join(wrong[:4]))

    def print_table(self):
        """`unnoticed`: the run did without what failed, or tried again, and all was right;
        `accepted`: it said that all was well, and it was not."""
        print("\n%-9s %-15s %7s %10s %9s %7s" % ("kind", "fault", "runs", "unnoticed", "accepted",
                                                "failed"))
        rows = list(self.table.items())
        rows.append((("all", ""), [sum(x[i] for x in self.table.values()) for i in range(4)]))
        for (kind, action), counts in rows:
            if counts[0] > 0:
                print("%-9s %-15s %7d %10d %9d %7d" % (kind, action, *counts))


def some_places(rng, fault, n_calls):
    """Any call, and the last one for the first of a kind's faults."""
    if n_calls == 0:
        return iter(())
    is_first = fault is next(f for f in FAULTS if f[0] == fault[0])
    return iter(sorted({rng.randint(1, n_calls)} | ({n_calls} if is_first else set())))


def main():
    t = e2e.Suite(__doc__, faults.options)
    faults.need_inject(t)
    sweep = Sweep(t)
    rng = random.Random(t.seed)
    with concurrent.futures.ThreadPoolExecutor(N_AT_ONCE) as pool:
        for scenario in scenarios.all_of(t, t.args.full):
            calls = {} if t.args.full else scenario.calls()
            for fault in FAULTS:
                places = itertools.count(1) if t.args.full else some_places(
                    rng, fault, calls[fault[0]])
                sweep.sweep(pool, scenario, fault, places)
                if t.args.full and may_stay(fault):
                    sweep.sweep(pool, scenario, fault, itertools.count(1), on=True)
            for library, every in LIBRARIES if t.args.full else ():
                # Of a directory that cannot be listed for want of memory it is the input's (3).
                fault = (*FAULTS[0][:2], {IO, INPUT}, FAULTS[0][3])
                sweep.sweep(pool, scenario, fault, itertools.count(1, every), False, library)
    sweep.print_table()
    t.finish()


if __name__ == "__main__":
    main()
