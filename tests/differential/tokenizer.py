#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `wader tokenize` with Hugging Face's own tokenizer.

  tokenizer.py [--model DIR...]     --n strings (fuzzed, and real titles) for each model directory;
                                    without --model for each real vocabulary that is there
  tokenizer.py --random-models N    N random tokenizers, 2,000 strings each unless --n says other
  tokenizer.py --every-scalar       every character alone, between letters and between spaces: with
                                    --model for those models, else for the 16 settings of
                                    BertNormalizer, with vocabularies that tell all of them apart
  tokenizer.py --campaign N         N strings: half over the real vocabularies, a quarter over one
                                    of them under the 24 settings, a quarter over random models
  --short makes less of each, for CI.

Every string is made from --seed, so a run can be repeated. Strings are bytes; Hugging Face gets
them decoded with errors="replace", which is how wader reads ill-formed UTF-8. Needs the PyPI
package `tokenizers`; with --venv it is installed into that directory. Exits 0 when all ids are
equal, 1 when some differ or a model is refused, 77 after SKIP when something needed is not there.
"""
import argparse
import glob
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT / "tests/differential")]
import tokenizer_compare  # noqa: E402
import tokenizer_models as models  # noqa: E402
from packages import skip, use  # noqa: E402
from tokenizer_strings import real_titles  # noqa: E402

SHARED = pathlib.Path(os.environ.get("WADER_SHARED", ROOT.parent / "shared"))
REAL = ["bert-base-multilingual-cased", "bert-base-multilingual-uncased", "bert-base-uncased"]
TOYS = [ROOT / "tests/golden/tokenizer_toy", ROOT / "tests/golden/tokenizer_toy_uncased"]
BLOCK = 20000            # strings for one run of the program
SCALARS_BLOCK = 0x80000  # characters for one
LENGTHS = [0, 0, 512, 512, 128, 16, 8, 3, 2]  # one a block, in turn; 0: no limit
SHOWN = 10               # blocks with mismatches that are printed


def fuzz(name, model, n, seed, first_length=0):
    for i, at in enumerate(range(0, n, BLOCK)):
        yield (name, model, f"{seed} {name} {i}", min(BLOCK, n - at),
               LENGTHS[(i + first_length) % len(LENGTHS)])


def random_models(n, n_strings, seed):
    for i in range(n):
        yield ("random models", ("random", i), f"{seed} random {i}", n_strings,
               LENGTHS[i % len(LENGTHS)])


def scalars(name, model, codes):
    for first in range(codes[0], codes[-1] + 1, SCALARS_BLOCK):
        yield name, model, range(first, min(first + SCALARS_BLOCK, codes[-1] + 1)), 0, 0


def every_scalar(args, directory):
    if args.model:
        for model in args.model:
            top = 0x3000 if args.short else 0x110000
            yield from scalars(pathlib.Path(model).name, model, range(top))
        return
    for part, (codes, vocab) in enumerate(models.scalars_apart()):
        source = pathlib.Path(directory, f"scalars-{part}")
        models.write(source, models.tokenizer_json(vocab, models.FLAGS[0]))
        for i, flags in enumerate(models.FLAGS):
            if flags[2] is not None:  # None is one of the others
                yield from scalars(name_of(flags) + ", every scalar", ("scalars", str(source), i),
                                   codes)
        if args.short:
            return


def name_of(flags):
    names = (("clean", "dirty"), ("cjk", "no-cjk"), ("strip", "accents"), ("lower", "case"))
    return " ".join("auto" if flag is None else name[not flag] for name, flag in zip(names, flags))


def campaign(args, real):
    for model in real:
        yield from fuzz(pathlib.Path(model).name, model, args.campaign // 2 // len(real),
                        args.seed)
    base = real[1] if len(real) > 1 else real[0]
    for i, flags in enumerate(models.FLAGS):
        yield from fuzz(name_of(flags), ("flags", base, i),
                        args.campaign // 4 // len(models.FLAGS), args.seed, i)
    yield from random_models(args.campaign // 4 // 2000, 2000, args.seed)


def choose_tasks(args, real, directory):
    if args.every_scalar:
        return every_scalar(args, directory)
    if args.campaign:
        return campaign(args, real or [str(toy) for toy in TOYS])
    n = args.n or (30000 if args.short else 1000000)
    if args.random_models:
        return random_models(args.random_models, args.n or (500 if args.short else 2000),
                             args.seed)
    chosen = args.model or real
    if not chosen:
        skip(f"no model directories in {SHARED}/vocabs")
    return (task for model in chosen
            for task in fuzz(pathlib.Path(model).name, model, n, args.seed))


class Totals:
    """Adds results up, prints mismatches as they come and the rates every minute."""

    def __init__(self, allow_refusals):
        self.allow_refusals = allow_refusals
        self.by_name = {}
        self.started = self.told = time.monotonic()
        self.failed = False
        self.shown = 0

    def add(self, result):
        if "failed" in result:
            print(f"{result['name']}: {result['failed']}")
            self.failed = True
            return
        total = self.by_name.setdefault(result["name"], {
            "blocks": 0, "strings": 0, "ids": 0, "wrong": 0, "refused": 0})
        total["blocks"] += 1
        for key in ("strings", "ids", "wrong"):
            total[key] += result[key]
        if result["refused"]:
            result["shown"].insert(0, "  refused: " + result["refused"])
            total["refused"] += 1
        if result["shown"] and self.shown < SHOWN:
            self.shown += 1
            print(result["name"] + ":", *result["shown"], sep="\n")
        if time.monotonic() - self.told > 60:
            self.told = time.monotonic()
            print(self.rate(), file=sys.stderr, flush=True)

    def count(self, key):
        return sum(total[key] for total in self.by_name.values())

    def rate(self):
        seconds = time.monotonic() - self.started
        return (f"{self.count('strings')} strings, {self.count('ids')} ids, "
                f"{self.count('wrong')} mismatches, {self.count('refused')} blocks refused; "
                f"{seconds:.0f} s, {self.count('strings') / seconds:.0f} strings/s")

    def finish(self):
        for name, total in self.by_name.items():
            print(f"{name}: {total['strings']} strings, {total['ids']} ids, {total['wrong']} "
                  f"mismatches" + (f", {total['refused']} of {total['blocks']} blocks refused"
                                   if total["refused"] else ""))
        print(self.rate())
        refused = self.count("refused") and not self.allow_refusals
        return 1 if self.failed or refused or self.count("wrong") else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wader", default=str(ROOT / "build/wader"), help="the program")
    parser.add_argument("--model", nargs="+", help="model directories")
    parser.add_argument("--n", type=int, help="strings to compare for each model")
    parser.add_argument("--random-models", type=int, metavar="N")
    parser.add_argument("--every-scalar", action="store_true")
    parser.add_argument("--campaign", type=int, metavar="N")
    parser.add_argument("--short", action="store_true", help="less of everything")
    parser.add_argument("--allow-refusals", action="store_true",
                        help="models that wader refuses are counted, but no failure")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--venv", help="install tokenizers here where it cannot be imported")
    parser.add_argument("--titles", nargs="*", help="files of titles; default: what is there")
    return parser.parse_args()


def main():
    args = parse()
    for model in args.model or []:
        if not os.path.exists(model):
            skip(f"no model directory {model}")
    if not os.path.exists(args.wader.split()[0]):
        skip(f"no program {args.wader}")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizers = use("tokenizers", args.venv)
    files = args.titles or sorted(glob.glob(str(SHARED / "titles/*.tsv.gz"))) + \
        sorted(glob.glob(str(ROOT / "data/**/*.jsonl.gz"), recursive=True)) + \
        sorted(glob.glob(str(ROOT / "data/**/*.tsv"), recursive=True))
    titles = [b"A title", "Ein Titel für alle".encode()] if args.every_scalar else \
        real_titles(files, args.seed, 1000000 if args.campaign else 150000)
    real = [str(SHARED / "vocabs" / name) for name in REAL if (SHARED / "vocabs" / name).exists()]
    directory = tempfile.mkdtemp(prefix="wader_tokenizer_")
    tokenizer_compare.WORKER = tokenizer_compare.Worker(args.wader, args.seed, tokenizers, titles,
                                                        directory)
    totals = Totals(args.allow_refusals)
    with multiprocessing.get_context("fork").Pool(args.jobs,
                                                  tokenizer_compare.start_process) as pool:
        for result in pool.imap_unordered(tokenizer_compare.compare,
                                          choose_tasks(args, real, directory)):
            totals.add(result)
    status = totals.finish()
    print(f"seed {args.seed}, {len(titles)} titles from {len(files)} files, tokenizers "
          f"{tokenizers.__version__}")
    if status == 0:
        shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())
