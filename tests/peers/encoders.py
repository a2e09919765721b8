#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Races wader's CPU encoder against other runtimes of BERT, from titles to labels.

  tests/peers/encoders.py --wader build/release/wader --venv build/peers-encoders [--quick]

Makes a virtual environment (--venv) with the peers of encoder_engines.py, all versions pinned
(6 GB, most of it what torch brings for GPUs; pip takes a build without where its settings name a
registry that has one), or takes one as it is (--no-install); makes a classifier of
bert-base-multilingual-cased's shape with random weights, 3.5 GB in all its forms, in a folder
(--work) that can be used again (encoder_models.py); compares everybody's logits with transformers'
in float64, and only then looks for the batch size that suits each peer, and times it
(encoder_worker.py), each run in a process of its own on the same cores, in an order shuffled anew
for each repeat. Last it prints tables (encoder_report.py). A peer that cannot be installed, loaded
or run, or whose fp32 logits are not those of float64, is reported as SKIP and the others go on.

--quick takes few titles, one core, two repeats, and ends in about ten minutes; without it one and
all cores take more than an hour. --json keeps the figures, --load prints such a file again. Exits
0 unless ours failed or differed, then 1; 77 after SKIP where torch or transformers is not to be
had.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

sys.path.append(sys.path.pop(0))  # or tokenizers.py here would be taken for the package
import encoder_report  # noqa: E402
import environment  # noqa: E402
from encoder_engines import BASE, ENGINES, OURS, PACKAGES, PEERS, key  # noqa: E402
from encoder_race import Race, own_titles, statistics_of, titles_of_race  # noqa: E402
from environment import ROOT, say  # noqa: E402

N_CHECKED = 256  # titles whose logits are compared before anything is timed


def install(args):
    """The engines that can be had, and a line for each that cannot."""
    names = [name for name in map(key, PEERS) if name in args.engines]
    late = [name for name in names if ENGINES[name].compiles and args.quick and args.all]
    names = [name for name in names if name not in late]
    why = {}
    if args.install:
        why = environment.install(PACKAGES)
    else:
        there = environment.versions(dict(PACKAGES))
        why = {package: "not there" for package, _ in PACKAGES if package not in there}
    for package in BASE:
        if package in why:
            print(f"SKIP: no {package}, and it cannot be installed: {why[package]}")
            sys.exit(77)
    skipped = [f"SKIP {name}: no {ENGINES[name].package}: {why[ENGINES[name].package]}"
               for name in names if ENGINES[name].package in why]
    skipped += [f"SKIP {name}: too slow to begin for --quick" for name in late]
    return [name for name in names if ENGINES[name].package not in why], skipped


def memory():
    lines = pathlib.Path("/proc/meminfo").read_text("utf-8").splitlines()
    kib = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal"))
    return f"{kib / (1 << 20):.1f} GiB of memory"


def header(args):
    head = environment.header("encoders.py", args.repeats)
    head["machine"] += ", " + memory()
    with open("/proc/loadavg", encoding="ascii") as stream:
        head["load before"] = stream.read().split()[0]
    installed = environment.versions(
        [*dict(PACKAGES), "tokenizers", "numpy", "safetensors"])
    head["versions"] = ", ".join([f"Python {sys.version.split()[0]}"] + [
        f"{name} {version}" for name, version in installed.items()])
    if args.wader:
        head["wader"] = environment.output(args.wader, "--version")
    return head


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = list(ENGINES)
    parser.add_argument("--wader", help="the program wader; without it, only peers race")
    parser.add_argument("--venv", default=str(ROOT / "build/peers-encoders"), help="peers go here")
    parser.add_argument("--no-install", dest="install", action="store_false",
                        help="take what the environment has, whatever its version")
    parser.add_argument("--work", help="folder for models and titles; default: a temporary one")
    parser.add_argument("--quick", action="store_true", help="few titles, one core, two repeats")
    parser.add_argument("--threads", help="core counts, such as 1,2; default: one and all")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--titles", type=int, help="how many; default: 1024, quick: 192")
    parser.add_argument("--engines", help="only these: " + ", ".join(names))
    parser.add_argument("--no-time", dest="time", action="store_false", help="only compare")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--load", help="measure nothing: print the figures of this file")
    parser.add_argument("--out", help="write the tables to this file, too")
    parser.add_argument("--markdown", action="store_true", help="print it for a README")
    args = parser.parse_args()
    args.repeats = args.repeats or (2 if args.quick else 3)
    args.titles = args.titles or (192 if args.quick else 1024)
    args.work = args.work or os.path.join(tempfile.gettempdir(), f"wader-encoders-{os.getuid()}")
    args.wader = args.wader and os.path.abspath(args.wader)
    if args.wader and not args.load and not os.access(args.wader, os.X_OK):
        sys.exit(f"no program {args.wader}")
    args.all = not args.engines
    args.engines = args.engines.split(",") if args.engines else names
    unknown = set(args.engines) - set(names)
    if unknown:
        sys.exit(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    n_cores = len(os.sched_getaffinity(0))
    args.threads = [int(word) for word in args.threads.split(",")] if args.threads else \
        [1] if args.quick else sorted({1, n_cores})
    if not all(1 <= n <= n_cores for n in args.threads):
        sys.exit(f"--threads {args.threads}: there are {n_cores} cores")
    return args


def measured(args):
    environment.enter(args.venv)
    peers, skipped = install(args)
    head = header(args)
    os.makedirs(args.work, mode=0o700, exist_ok=True)
    race = Race(args)
    race.skipped += skipped
    titles, note = titles_of_race(args.titles)
    race.skipped += [note] if note else []
    for line in race.skipped:
        say(line)
    race.add_titles("race", titles)
    race.add_titles("check", titles[:64 if args.quick else N_CHECKED])
    race.add_titles("demo", own_titles()[:300 if args.quick else None])
    for model in ("random", "demo"):
        race.make_model(model)
    race.make_reference("random", "race")
    race.make_reference("demo", "demo")
    race.references[("random", "check")] = \
        race.references[("random", "race")][:len(race.files["check"][1])]
    names = [name for name in map(key, OURS) if args.wader and name in args.engines] + peers
    for model, titles_file in (("random", "check"), ("demo", "demo")):
        for name in names:
            if name not in race.out:
                race.check(name, model, titles_file, min(args.threads))
    for n_cores in args.threads if args.time else []:
        race.time(names, n_cores)
    lengths = race.run("float64", "count", folder=race.folders["random"][0],
                       titles=race.files["race"][0])
    return race.failed, {"header": head, "titles": statistics_of(titles, lengths),
                         "repeats": args.repeats, "checks": race.checks,
                         "speeds": list(race.speeds.values()), "skipped": race.skipped}


def main():
    args = parse()
    failed = False
    if args.load:
        data = json.loads(pathlib.Path(args.load).read_text("utf-8"))
    else:
        failed, data = measured(args)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    lines = list((encoder_report.markdown if args.markdown else encoder_report.text)(data))
    print("\n".join(lines))
    if args.out:
        pathlib.Path(args.out).write_text("\n".join(encoder_report.text(data)) + "\n", "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
