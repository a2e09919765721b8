#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Races wader's tokenizer against other BERT WordPiece tokenizers, and counts who is exact.

  tests/peers/tokenizers.py --bench build/release/bench_tokenizer [--quick] [--markdown] [--all]

Makes a virtual environment (--venv) with the peers of engines.py, all versions pinned, writes
titles and vocabularies to files (corpora.py), has every engine's ids compared with those of
Hugging Face (exact.py), times every engine on every corpus and vocabulary, each in a process of
its own (worker.py), and prints tables (report.py). A peer that cannot be installed, loaded or run
is reported as SKIP and the others go on; --all adds the one that takes gigabytes.

Three phases on one thread, pinned to one core: cold, steady and warm (see the note that is printed
with the tables); cold and warm on all cores too, for engines that have threads. An engine's run on
a corpus is next to the others' on the same corpus, so that a machine whose speed drifts is fair.

--quick takes 2 repeats instead of 5 and compares ids of at most 50,000 titles a corpus: about 20
minutes on two cores, against about 45. --engines, --vocabularies and --corpora take less. --json
keeps the figures, --load prints such a file again. Exits 0 unless ours failed or differed, then 1;
77 after SKIP where even the reference is not to be had.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # or this file would be taken for the package
import corpora  # noqa: E402
import environment  # noqa: E402
import exact  # noqa: E402
import report  # noqa: E402
from engines import BASE, BIG, ENGINES, PINNED  # noqa: E402
from environment import ROOT, SHARED, say  # noqa: E402

N_LONG_OF_SLOW = 1000  # long lines that stand for an engine's `limit` of titles


def install(names):
    """Installs what is missing. Returns what there is by engine, and a line for what is not."""
    why = environment.install([*BASE, *(PINNED[name][:2] for name in names)])
    for package, _ in BASE:
        if package in why:
            print(f"SKIP: no {package}, and it cannot be installed: {why[package]}")
            sys.exit(77)
    skipped = [f"SKIP {name}: cannot be installed: {why[PINNED[name][0]]}"
               for name in names if PINNED[name][0] in why]
    return [name for name in names if PINNED[name][0] not in why], skipped


class Race:
    def __init__(self, args, engines, skipped):
        self.args = args
        self.engines = (["wader"] if args.bench else []) + engines
        self.skipped = skipped
        self.results, self.differ = [], []
        self.n_ids = {}  # the reference's, by vocabulary and corpus, where it did all that is timed
        self.failed = False
        self.out = set()  # engines that are out of it, with the vocabulary
        self.all_cores = sorted(os.sched_getaffinity(0))
        self.core = args.core if args.core is not None else self.all_cores[-1]
        self.work = pathlib.Path(args.work)

    def skip(self, engine, vocabulary, why):
        self.out.add((engine, vocabulary))
        self.failed |= engine == "wader"
        self.skipped.append(f"SKIP {engine}, {vocabulary}: {why}")
        say(self.skipped[-1])

    def run(self, engine, model, threads, **job):
        """What worker.py answers; None when the engine is out."""
        vocabulary, folder, lower = model
        cores = [self.core] if threads == 1 else self.all_cores
        job.update(engine=engine, model=folder, lower=lower, threads=threads, cores=cores,
                   bench=self.args.bench)
        variables = dict(RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads),
                         TOKENIZERS_PARALLELISM="true" if threads > 1 else "false",
                         TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
        result, why = environment.run_job("worker.py", job, self.work, variables)
        if why:
            self.skip(engine, vocabulary, why)
            return None
        return result

    def reference(self, model, files):
        """Hugging Face's ids and lengths for each file, kept in the folder for the next time."""
        import numpy
        places = {path: str(self.work / ("reference_" + exact.key(
            path, os.path.join(model[1], "tokenizer.json"), PINNED["hf"][1]))) for path in files}
        missing = [[path, to] for path, to in places.items()
                   if not os.path.exists(to) or not os.path.exists(to + ".lengths")]
        if missing and self.run("hf", model, len(self.all_cores), ids=missing) is None:
            return None
        return {path: (numpy.fromfile(to, "<i4"), numpy.fromfile(to + ".lengths", "<i4"))
                for path, to in places.items()}

    def check(self, model, corpora_):
        """Counts the titles for which each engine's ids differ."""
        import numpy
        vocabulary = model[0]
        wanted = self.reference(model, [corpus.checked for corpus in corpora_])
        if wanted is None:
            return
        self.n_ids.update({(vocabulary, corpus.name): int(wanted[corpus.checked][1].sum())
                           for corpus in corpora_ if corpus.checked == corpus.path})
        with open(os.path.join(model[1], "vocab.txt"), encoding="utf-8", newline="\n") as lines:
            vocab = [line.rstrip("\n") for line in lines]
        for engine in self.engines:
            for corpus in corpora_ if engine != "hf" else []:
                to = str(self.work / f"ids_{os.getpid()}")
                if (engine, vocabulary) in self.out or self.run(
                        engine, model, len(self.all_cores) if engine != "wader" else 1,
                        ids=[[corpus.checked, to]]) is None:
                    break
                ids, ids_lengths = numpy.fromfile(to, "<i4"), None
                if os.path.exists(to + ".lengths"):
                    ids_lengths = numpy.fromfile(to + ".lengths", "<i4")
                    os.unlink(to + ".lengths")
                os.unlink(to)
                reference, lengths = wanted[corpus.checked]
                wrong = exact.differing(reference, lengths, ids, ids_lengths,
                                        vocab.index("[CLS]"), vocab.index("[SEP]"))
                say(f"{vocabulary} {corpus.name} {engine}: {wrong} of {len(lengths)} differ")
                self.failed |= engine == "wader" and wrong > 0
                self.differ.append({"vocabulary": vocabulary, "engine": engine,
                                    "corpus": corpus.name, "titles": len(lengths),
                                    "differing": wrong})

    def jobs(self, engine, corpus, threads):
        """The lists of phases that one process measures."""
        kind = ENGINES[engine].memory if engine in ENGINES else "clear"
        repeats = self.args.repeats
        phases = ["cold", "steady", "warm"] if threads == 1 else ["cold", "warm"]
        if os.path.getsize(corpus.other) == 0:
            phases.remove("steady")

        def task(phase, times):
            return {"phase": phase, "file": corpus.path, "other": corpus.other, "repeats": times,
                    "titles": corpus.titles}
        if kind == "none":
            return [[task("warm", repeats)]]
        if kind == "clear":
            return [[task(phase, repeats) for phase in phases]]
        return [[task(phase, 1)] for phase in phases[:-1] for _ in range(repeats)] + \
            [[task("warm", repeats)]]

    def time(self, engine, model, corpus, threads):
        limit = ENGINES[engine].limit if engine in ENGINES else None
        titles, nbytes = corpus.titles, corpus.nbytes
        if limit:
            limit = N_LONG_OF_SLOW if corpus.name.startswith("long") else limit
            with open(corpus.path, "rb") as stream:
                lines = stream.read().split(b"\n")[:-1][:limit]
            titles, nbytes = len(lines), sum(map(len, lines)) + len(lines)
        phases = {}
        for tasks in self.jobs(engine, corpus, threads):
            answers = self.run(engine, model, threads, measure=tasks, limit=limit)
            if answers is None:
                return
            for answer in answers:
                phase = phases.setdefault(answer["phase"], dict(answer, seconds=[]))
                phase["seconds"] += answer["seconds"]
        once = engine in ENGINES and ENGINES[engine].memory == "none"
        for name, phase in phases.items():
            phase.update(vocabulary=model[0], corpus=corpus.name, engine=engine, threads=threads,
                         phase="any" if once else name, titles=titles, bytes=nbytes)
            wanted = self.n_ids.get((model[0], corpus.name), phase["tokens"])
            if engine == "wader" and phase["tokens"] != wanted:
                self.skip(engine, model[0], f"{phase['tokens']} ids of {corpus.name} in the timed "
                          f"run, {wanted} wanted")
                return
            self.results.append(phase)
            speed = report.Speed(phase)
            say(f"{model[0]} {corpus.name} {engine} {phase['phase']}, {threads} thread(s): "
                f"{speed.titles:,.0f} k titles/s, {speed.mb:.1f} MB/s")

    def race(self, model, corpora_):
        for threads in dict.fromkeys([1, len(self.all_cores)] if self.args.threads else [1]):
            for corpus in corpora_:
                for engine in self.engines:
                    has_threads = engine not in ENGINES or ENGINES[engine].threads
                    if (threads == 1 or has_threads) and (engine, model[0]) not in self.out:
                        self.time(engine, model, corpus, threads)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", help="the program bench_tokenizer; without it, only peers race")
    parser.add_argument("--venv", default=str(ROOT / "build/peers-venv"), help="peers go here")
    parser.add_argument("--work", help="folder for titles and ids; default: a temporary one")
    parser.add_argument("--quick", action="store_true", help="2 repeats, fewer ids compared")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--all", action="store_true", help="also " + ", ".join(BIG))
    parser.add_argument("--engines", default=",".join(ENGINES), help="only these peers")
    parser.add_argument("--vocabularies", default=",".join(corpora.VOCABULARIES))
    parser.add_argument("--corpora", help="only these: en, ml, long_en, long_ml, golden")
    parser.add_argument("--titles", type=int, default=corpora.N_TITLES, help="titles a corpus")
    parser.add_argument("--core", type=int, help="the core of one thread; default: the last")
    parser.add_argument("--no-threads", dest="threads", action="store_false", help="one core only")
    parser.add_argument("--no-check", dest="check", action="store_false", help="no ids compared")
    parser.add_argument("--no-time", dest="time", action="store_false", help="nothing timed")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--load", help="measure nothing: print the figures of this file")
    parser.add_argument("--markdown", action="store_true", help="print it for a README")
    args = parser.parse_args()
    args.repeats = args.repeats or (2 if args.quick else 5)
    args.work = args.work or os.path.join(tempfile.gettempdir(), f"wader-peers-{os.getuid()}")
    args.bench = args.bench and os.path.abspath(args.bench)
    if args.bench and not args.load and not os.access(args.bench, os.X_OK):
        sys.exit(f"no program {args.bench}")
    unknown = set(filter(None, args.engines.split(","))) - set(ENGINES)
    if unknown:
        sys.exit(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(ENGINES)}")
    return args


def measured(args):
    names = [name for name in ENGINES if name in args.engines.split(",") and
             (args.all or name not in BIG)]
    environment.enter(args.venv)
    engines, skipped = install(names)
    os.makedirs(args.work, mode=0o700, exist_ok=True)
    race = Race(args, engines, skipped)
    models, note = corpora.make_models(race.work, SHARED, ROOT, args.vocabularies.split(","))
    titles, other_note = corpora.make_titles(race.work, SHARED, ROOT, args.titles, args.quick)
    wanted = [corpus for corpus in titles + corpora.make_golden(race.work, SHARED)
              if not args.corpora or corpus.name in args.corpora.split(",")]
    race.skipped += [line for line in (note, other_note) if line]
    for line in race.skipped:
        say(line)
    for model in models:
        if args.check:
            race.check(model, wanted)
        if args.time:
            race.race(model, [corpus for corpus in wanted if corpus.timed])
    return race.failed, {
        "header": environment.header("tokenizers.py", args.repeats), "repeats": args.repeats,
        "results": race.results, "differ": race.differ, "skipped": race.skipped,
        "versions": {name: PINNED[name][1] for name in engines},
        "forgets": ["wader"] + [name for name in engines if ENGINES[name].memory == "clear"],
        "corpora": [{"name": corpus.name, "titles": corpus.titles, "bytes": corpus.nbytes}
                    for corpus in wanted]}


def main():
    args = parse()
    failed = False
    if args.load:
        data = json.loads(pathlib.Path(args.load).read_text("utf-8"))
    else:
        failed, data = measured(args)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    for line in (report.markdown if args.markdown else report.text)(data):
        print(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
