#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the tests of kernels: breaks the CUDA kernels and looks whether a test fires.

usage: mutate.py --seeded [--share N]    the defects of defects.txt, each by the tests named there
       mutate.py --random N --seed S     N mutants at random places, by all tests of their kernels
       mutate.py --list                  how many mutants there are of each kind

Options: --only FILE (as cuda/row.cuh), --build-dir DIR (keeps what is not mutated), --jobs N.

--seeded ends with 1 if a defect goes unnoticed, if a test fires without one, or if the text that a
defect replaces is not in the file exactly once. --share takes N of them, others in each run.

--random takes kinds of mutants in turn, so that rare kinds are tried as often as common ones. A
mutant that does not build, or whose optimized objects are those of the original byte for byte, is
none. Others run in each flavour until a test fires: plain forward, plain reversed, check, asan,
each with a seed of its own.
"""
import argparse
import collections
import concurrent.futures
import functools
import pathlib
import queue
import random
import re
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from coverage import ROOT, Build, NoProgram, compile_kernel, copy_kernels, kernels, run_test, tests
from mutants import applied, difference, in_turn, kernel_files, mutants_of

STAGES = (("plain", "forward"), ("plain", "reverse"), ("check", "forward"), ("asan", "forward"))


@functools.lru_cache(maxsize=None)
def users_of(file):
    """Kernels whose object depends on `file`, those first that are quick to test."""
    def reads(name, seen):
        if name in seen:
            return seen
        seen.add(name)
        for other in re.findall(r'#include "(cuda/[^"]+)"', (ROOT / name).read_text()):
            reads(other, seen)
        return seen
    order = {"attention": 2, "attention_cls": 1}
    found = [kernel for kernel in kernels() if file in reads(f"cuda/{kernel}.cu", set())]
    return sorted(found, key=lambda kernel: order.get(kernel, 0))


class Bench:
    """Directories to break kernels in, one a job, and how long tests take that are sound."""

    def __init__(self, build, jobs, plain_flags=()):
        self.build = build
        self.more = {"plain": plain_flags}
        self.directories = queue.Queue()
        for i in range(jobs):
            self.directories.put(copy_kernels(build.directory / f"broken{i}"))
        self.original = copy_kernels(build.directory / "original")
        self.seconds = {}

    def compile(self, kernel, flavour, directory):
        return compile_kernel(kernel, flavour, directory, self.more.get(flavour, ()))

    def sound(self, runs, pool):
        """Runs tests of the kernels as they are: (test, flavour, order, seed) each. How many fired,
        which should be none."""
        def run(test, flavour, order, seed):
            start = time.monotonic()
            fired = self.fires(test, flavour, order, seed, self.original)
            self.seconds[test, flavour] = time.monotonic() - start
            return fired

        for flavour in sorted({flavour for _, flavour, _, _ in runs}):
            self.build.make(flavour)
        objects = sorted({(tests()[test], flavour) for test, flavour, _, _ in runs})
        list(pool.map(lambda item: self.compile(*item, self.original), objects))
        n_fired = 0
        for item, fired in zip(runs, pool.map(lambda item: run(*item), runs)):
            if fired:
                n_fired += 1
                print("WRONG test_%s, %s, %s, seed %d, without a defect:" % item, fired)
        return n_fired

    def fires(self, test, flavour, order, seed, directory, until=None):
        """Of the kernel's object that lies in `directory`."""
        kernel = tests()[test]
        program = self.build.link(test, flavour, directory / f"{kernel}.{flavour}.o",
                                  directory / f"{test}.{flavour}.{order}")
        timeout = 10 + 5 * self.seconds.get((test, flavour), 60)
        return run_test(program, seed, order, timeout, until)


def judge(bench, mutant, seed, directory):
    """("broken" | "same" | "survived" | flavour and order, what fired)."""
    users = users_of(mutant.file)
    changed = []
    for kernel in users:
        compiled = bench.compile(kernel, "plain", directory)
        if compiled is None:
            return "broken", None
        if compiled.read_bytes() != (bench.original / f"{kernel}.plain.o").read_bytes():
            changed.append(kernel)
            for test in [name for name, own in tests().items() if own == kernel]:
                fired = bench.fires(test, "plain", "forward", seed, directory)
                if fired:
                    return "plain forward", f"{test}: {fired}"
    if not changed:
        return "same", None
    for i, (flavour, order) in enumerate(STAGES[1:], 1):
        for kernel in changed:
            if flavour != "plain":
                bench.compile(kernel, flavour, directory)
            for test in [name for name, own in tests().items() if own == kernel]:
                fired = bench.fires(test, flavour, order, seed + i, directory)
                if fired:
                    return f"{flavour} {order}", f"{test}: {fired}"
    return "survived", None


def try_mutant(bench, mutant, seed):
    directory = bench.directories.get()
    try:
        (directory / mutant.file).write_text(applied(mutant))
        return judge(bench, mutant, seed, directory)
    except NoProgram:
        return "broken", None
    finally:
        shutil.copy(ROOT / mutant.file, directory / mutant.file)
        bench.directories.put(directory)


# ---- --random


def table(title, mutants, outcomes, key):
    print(f"\n{title:28} tried  caught  share")
    for name in sorted({key(mutant) for mutant in mutants}):
        own = [outcome for mutant, outcome in zip(mutants, outcomes) if key(mutant) == name]
        n_caught = sum(outcome != "survived" for outcome in own)
        print(f"{name:28} {len(own):5} {n_caught:7} {100 * n_caught / len(own):5.1f}%")


def report(mutants, outcomes):
    table("kind", mutants, outcomes, lambda mutant: mutant.kind)
    table("file", mutants, outcomes, lambda mutant: mutant.file)
    table("all", mutants, outcomes, lambda mutant: "")
    print("\nfired first")
    for name, n in collections.Counter(outcomes).most_common():
        print(f"{name:28} {n:5}")
    print("\nsurvivors")
    for mutant, outcome in zip(mutants, outcomes):
        if outcome == "survived":
            old = (ROOT / mutant.file).read_text()
            print(f"{mutant.file}:{old[:mutant.start].count(chr(10)) + 1}: {mutant.kind}")
            print("\n".join(difference(old, applied(mutant))))


def run_random(bench, options, mutants):
    """Mutants are judged a few at a time but counted in their order: the same ones each time."""
    tried, outcomes = [], []
    rest = in_turn(mutants, random.Random(options.seed))
    skipped = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        used = {kernel for mutant in mutants for kernel in users_of(mutant.file)}
        if bench.sound([(test, flavour, order, options.seed + i)
                        for test, kernel in tests().items() if kernel in used
                        for i, (flavour, order) in enumerate(STAGES)], pool):
            return 1
        pending = collections.deque()
        while len(tried) < options.random:
            for mutant in rest:
                pending.append((mutant, pool.submit(try_mutant, bench, mutant, options.seed)))
                if len(pending) > options.jobs:
                    break
            if not pending:
                break
            mutant, future = pending.popleft()
            outcome, fired = future.result()
            if options.verbose:
                print(outcome, *mutant, fired, sep=" | ", flush=True)
            if outcome in ("broken", "same"):
                skipped[outcome] += 1
                continue
            tried.append(mutant)
            outcomes.append(outcome)
    print(f"{len(tried)} mutants of seed {options.seed}; besides {skipped['broken']} that did not "
          f"build and {skipped['same']} that compiled to the original")
    report(tried, outcomes)
    return 0


# ---- --seeded


def read_defects(path):
    """Blocks of "== name", "key: value" lines, "- " and "+ " lines."""
    defects = []
    for line in path.read_text().split("\n"):
        if line.startswith("== "):
            defects.append({"name": line[3:], "fires": [], "-": [], "+": []})
        elif line[:2] in ("- ", "+ "):
            defects[-1][line[0]].append(line[2:])
        elif line and not line.startswith("#"):
            key, _, value = line.partition(": ")
            if key == "fires":
                where, _, says = value.partition(" | ")
                defects[-1]["fires"].append((*where.split(), says or None))
            else:
                defects[-1][key] = value
    return defects


def try_defect(bench, defect, seed):
    """What is wrong with it, and what its tests said."""
    directory = bench.directories.get()
    path = directory / defect["file"]
    try:
        text, old = path.read_text(), "\n".join(defect["-"])
        if text.count(old) != 1:
            return f"its text is {text.count(old)} times in {defect['file']}", []
        path.write_text(text.replace(old, "\n".join(defect["+"])))
        said = []
        for test, flavour, says in defect["fires"]:
            if bench.compile(tests()[test], flavour, directory) is None:
                return "does not compile", said
            fired = bench.fires(test, flavour, "forward", seed, directory, says)
            if not fired or (says and says not in fired):
                return f"unnoticed by test_{test}, {flavour}: {fired or 'passed'}", said
            said.append(f"{flavour}: test_{test}: {fired}")
        return None, said
    except NoProgram:
        return "does not link", []
    finally:
        shutil.copy(ROOT / defect["file"], path)
        bench.directories.put(directory)


def run_seeded(bench, options):
    defects = [defect for defect in read_defects(ROOT / "tests/simt/defects.txt")
               if options.only in (None, defect["file"])]
    if options.share:
        seed = random.randrange(1 << 31)
        print(f"{options.share} of {len(defects)} defects, chosen by {seed}")
        defects = random.Random(seed).sample(defects, min(options.share, len(defects)))
    used = sorted({fires[:2] for defect in defects for fires in defect["fires"]})
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        n_wrong = bench.sound([(test, flavour, "forward", options.seed) for test, flavour in used],
                              pool)
        results = pool.map(lambda defect: try_defect(bench, defect, options.seed), defects)
        for defect, (wrong, said) in zip(defects, results):
            n_wrong += wrong is not None
            print(f"{'WRONG' if wrong else 'fired'} {defect['file']}: {defect['name']}"
                  f"{': ' + wrong if wrong else ''}")
            for line in said:
                print(f"      {line[:160]}")
    print(f"{len(defects)} defects, {n_wrong} wrong")
    return 1 if n_wrong or not defects else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeded", action="store_true")
    parser.add_argument("--share", type=int)
    parser.add_argument("--random", type=int)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--build-dir", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    files = [options.only] if options.only else kernel_files()
    mutants = [mutant for file in files for mutant in mutants_of(file)]
    if options.list:
        table_of = collections.Counter((mutant.file, mutant.kind) for mutant in mutants)
        for (file, kind), n in sorted(table_of.items()):
            print(f"{file:28} {kind:12} {n:5}")
        print(f"{len(mutants)} in all")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        build = Build((options.build_dir or pathlib.Path(temporary)).resolve(), options.jobs)
        build.directory.mkdir(parents=True, exist_ok=True)
        if options.seeded:
            # Unoptimized kernels compile four times as quickly, which is most of the time here.
            return run_seeded(Bench(build, options.jobs, ["-O0"]), options)
        if options.random:
            return run_random(Bench(build, options.jobs), options, mutants)
    parser.print_usage()
    return 2


if __name__ == "__main__":
    sys.exit(main())
