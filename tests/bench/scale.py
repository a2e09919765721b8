#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a catalog takes on 1 to 256 GPUs, and what breaks first: MODELLED (scale_model.py), from
figures that are measured, modelled or assumed, each marked so. Nothing is run.

usage: scale.py [--titles 1e9] [--gpus 1,8,64] [--rate 175e3] [--price 2.5] [--svg FILE] ...

The same seed and figures give the same bytes. No price is known here: without --price there is no
cost. Other devices than GPUs go the same way: --rate, --device."""
import argparse
import dataclasses
import math
import statistics
import sys

import scale_model
import scale_svg

# Settings of scale_model.Setting, by their names: a value, how it is known, of what, and whence.
FIGURES = {
    "rate": (175e3, "modelled", "titles/s that one can do",
             "20 tokens, bert-base, H200, bf16: bench_gpu_model"),
    "host_seconds": (2 / 836152, "measured", "of a host's core, for a title",
                     "Zen 5, wader bench: README"),
    "thread_rate": (1165525, "measured", "titles/s of the slowest stage that is one thread",
                    "writing, Zen 5, wader bench: README"),
    "cores": (2, "assumed", "of the host, for each; 0: as many as it takes", ""),
    "in_bytes": (34.2, "measured", "of a title, gzip", "100,000 real ones of 77 bytes, with ids"),
    "out_bytes": (8.2, "measured", "of a row, gzip", "of the same, labelled by the demo model"),
    "row_bytes": (56, "measured", "of a row, plain", "the same"),
    "weights_bytes": (711e6, "measured", "of weights",
                      "bert-base-multilingual-cased on disk: README"),
    "store_rate": (2e9, "assumed", "bytes/s of the shared file system, for all together", ""),
    "gpus_per_node": (8, "assumed", "that share a host's page cache, for the weights", ""),
    "files": (4096, "assumed", "input files", ""),
    "sigma": (0.5, "assumed", "spread of the logarithm of their sizes",
              "the largest of 4,096 is 5 times the mean"),
    "shares": (1, "assumed", "shares (--shard) for each", ""),
    "start_seconds": (10, "assumed", "from a process's start to its first title", ""),
    "file_seconds": (0.05, "assumed", "lost between two files", ""),
    "mtbf_hours": (50680, "published", "of one, between two failures",
                   "419 in 54 days of 16,384 GPUs: Llama 3, 2024"),
    "checkpoint_seconds": (10, "default", "--checkpoint-seconds; inf: whole files are kept", ""),
    "requeue_seconds": (146, "measured", "until a failed process runs again",
                        "Slurm 22.05, a node that dies: seen after 25 s, held for 121"),
    "merge_cores": (8, "assumed", "of the one host that verifies and publishes", ""),
    "merge_rate": (100e6, "assumed", "plain bytes/s of rows that a core verifies", ""),
}
TOKENIZE_SECONDS = 1 / 5682384  # of host_seconds, the tokenizer's own: measured beside it
OPERATIONS = 32                 # of metadata for each file labelled: counted by strace
OPERATION_RATE = 10000          # a second, of all hosts together: assumed
GPUS = "1,2,4,8,16,32,64,128,256"


def duration(seconds):
    if seconds < 120:
        return "%.1f s" % seconds
    return "%d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)


def number(value):
    return "%.4g" % value if value < 1e4 or value != int(value) else format(int(value), ",")


class Size:
    """What many runs of one setting gave."""

    def __init__(self, setting, n_runs, seed, price):
        runs = scale_model.simulate_many(setting, n_runs, seed)
        self.setting, self.runs = setting, runs
        self.rates = scale_model.rates(setting)
        self.label = statistics.fmean(r.label_seconds for r in runs)
        self.merge = runs[0].merge_seconds
        ordered = sorted(r.label_seconds for r in runs)
        self.low = ordered[int(0.05 * (len(ordered) - 1))]
        self.high = ordered[math.ceil(0.95 * (len(ordered) - 1))]
        self.held = self.label * setting.gpus  # GPU seconds, until the last is done
        self.cost = self.held / 3600 * price if price else None
        self.failures = self.held / 3600 / setting.mtbf_hours if setting.mtbf_hours else 0.0
        self.useful = runs[0].useful / self.held
        self.losses = {name: statistics.fmean(r.losses[name] for r in runs) / self.held
                       for name in scale_model.LOSSES}
        moved = setting.in_bytes + setting.out_bytes
        self.store = (setting.titles * moved / self.label / setting.store_rate
                      if setting.store_rate else 0.0)
        self.cores = min(self.rates.values()) * setting.host_seconds

    def worst(self):
        """What takes the most time beside labelling itself, and which share of it."""
        shares = dict(self.losses)
        shares = {k: v * self.label / (self.label + self.merge) for k, v in shares.items()}
        shares["merge"] = self.merge / (self.label + self.merge)
        name = max(shares, key=shares.get)
        if name == "slow host or store":
            return min(self.rates, key=self.rates.get), shares[name]
        return name, shares[name]


def print_figures(setting, given, out):
    def row(name, value, how, what, source):
        what = ": ".join(x for x in (what, source) if x)
        out("  %-18s %13s  %-9s  %s" % (name, value, how, what))
    for name, (_, how, what, source) in FIGURES.items():
        known = name not in given
        row(name, number(getattr(setting, name)), how if known else "given", what,
            source if known else "")
    row("operations", OPERATIONS, "measured", "of metadata for a file", "counted by strace")
    row("operation_rate", number(OPERATION_RATE), "assumed", "of them a second, of all hosts", "")


def print_sizes(sizes, device, out):
    priced = sizes[0].cost is not None
    out("%5s %11s %23s %8s %8s%s %8s %6s %6s %9s  %s" % (
        device + "s", "labelling", "5 to 95 % of runs", "merge", device + " h",
        "     cost" if priced else "", "useful", "cores", "store", "failures",
        "takes most beside labelling"))
    for size in sizes:
        what, share = size.worst()
        out("%5d %11s %23s %8s %8.2f%s %6.1f %% %6.2f %4.0f %% %9.2g  %s, %.1f %%" % (
            size.setting.gpus, duration(size.label),
            duration(size.low) + " to " + duration(size.high), duration(size.merge),
            size.held / 3600, " %8.2f" % size.cost if priced else "", 100 * size.useful, size.cores,
            100 * size.store, size.failures, what, 100 * share))
    out("Of the host's cores for one %s the tokenizer takes %.3f." % (
        device, min(sizes[0].rates.values()) * TOKENIZE_SECONDS))


def print_limits(setting, device, out):
    out("What breaks, going up from one %s:" % device)
    for gpus, what in scale_model.limits(setting, OPERATIONS, OPERATION_RATE):
        out("  from %9s  %s" % (number(round(gpus)) if gpus < 1e7 else "10,000,000+", what))


def redone_by_failure(setting, checkpoint_seconds, n_runs, seed):
    """Mean seconds that one failure has done again, at any moment of the work alike: few processes
    fail twice."""
    work = setting.titles / min(scale_model.rates(setting).values()) / setting.gpus
    runs = scale_model.simulate_many(dataclasses.replace(
        setting, checkpoint_seconds=checkpoint_seconds, mtbf_hours=10 * work / 3600), n_runs, seed)
    failures = sum(r.failures for r in runs)
    return sum(r.redone for r in runs) / failures if failures else 0.0


def print_failures(size, n_runs, seed, device, out):
    setting = size.setting
    out("Failures of this run on %d %ss, by the hours between two of one %s: %s" % (
        setting.gpus, device, device, ", ".join(
            "%s: %.2g" % (number(hours), size.held / 3600 / hours)
            for hours in (setting.mtbf_hours or 50680, 1000, 100, 24))))
    for kept in (0, 10, 60, 600, math.inf):
        out("  %8.2g s are done again after each, besides %s s of starting again, with %s" % (
            redone_by_failure(setting, kept, n_runs, seed),
            number(setting.requeue_seconds + setting.start_seconds),
            "whole files kept" if math.isinf(kept) else "--checkpoint-seconds %d" % kept))


def read_numbers(text):
    return [float(x) for x in text.split(",")]


def read_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=float, default=1e9)
    parser.add_argument("--gpus", type=read_numbers, default=GPUS, help="numbers of them")
    parser.add_argument("--device", default="GPU", help="what they are called")
    parser.add_argument("--price", type=float, default=0, help="of a GPU's hour, in any money")
    parser.add_argument("--runs", type=int, default=100, help="for each number of GPUs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--svg", help="draw it into that file")
    for name, (value, _, what, _) in FIGURES.items():
        parser.add_argument("--" + name.replace("_", "-"), type=float, help="%s (%s)" % (
            what.replace("%", "%%"), number(value)))
    args = parser.parse_args()
    given = {name for name in FIGURES if getattr(args, name) is not None}
    values = {name: getattr(args, name) if name in given else FIGURES[name][0] for name in FIGURES}
    for name in ("files", "shares", "gpus_per_node", "merge_cores"):
        if values[name] < 1 or values[name] != int(values[name]):
            parser.error("--%s: a whole number from 1" % name.replace("_", "-"))
        values[name] = int(values[name])
    if any(not x >= 0 for x in [*values.values(), args.price]) or not values["rate"] > 0 or \
            not args.titles > 0 or args.runs < 1:
        parser.error("numbers must not be negative, and --titles, --rate and --runs not 0")
    if any(g < 1 or g != int(g) for g in args.gpus):
        parser.error("--gpus: whole numbers from 1, parted by commas")
    return args, scale_model.Setting(titles=args.titles, **values), given


def main():
    args, setting, given = read_options()
    sizes = [Size(dataclasses.replace(setting, gpus=int(g)), args.runs, args.seed, args.price)
             for g in args.gpus]
    print("MODELLED, nothing here was run: %s titles, means of %d runs, seed %d" % (
        number(args.titles), args.runs, args.seed))
    print_figures(setting, given, print)
    print()
    print_sizes(sizes, args.device, print)
    if not args.price:
        print("(--price tells the cost: no price of a %s hour is known here)" % args.device)
    print()
    print_limits(setting, args.device, print)
    print()
    print_failures(sizes[len(sizes) // 2], args.runs, args.seed, args.device, print)
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as file:
            file.write(scale_svg.draw(sizes, args.device, number(args.titles)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
