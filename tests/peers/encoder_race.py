# SPDX-License-Identifier: Apache-2.0
"""The race of tests/peers/encoders.py: models, titles, logits beside float64, settings, times."""
import json
import math
import os
import pathlib
import random
import sys
import time

import corpora
import environment
import exact
from encoder_engines import ENGINES, PACKAGES
from encoder_models import VOCABULARY
from environment import HERE, ROOT, SHARED, say

SIZES = [1, 4, 8, 16, 32, 64]  # titles a batch
TOLERANCE = 1e-4               # of the largest logit, for fp32
START_UP = 0.02                # of a run of wader's, at most, unless it takes longer than this:
LONGEST = 60                   # seconds
SEED = 20260101


def titles_of_race(n):
    """English titles, and what is to be said of them."""
    path = SHARED / "titles/reddit_subjects.tsv.gz"
    if not path.exists():
        titles = own_titles()
        return titles[:n], f"no shared folder: of the {len(titles)} titles of data/titles"
    return shuffled(corpora.titles_of(path))[:n], None


def own_titles():
    return shuffled([line for path in sorted((ROOT / "data/titles").glob("*.tsv"))
                     for line in corpora.titles_of(path)])


def shuffled(lines):
    """In an order that is always the same, those that everybody reads as the same title."""
    lines = [line for line in lines if line.strip() and valid(line)]
    random.Random(SEED).shuffle(lines)
    return [line.decode("utf-8") for line in lines]


def valid(line):
    try:
        return line.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


class Race:
    def __init__(self, args):
        self.args = args
        self.work = pathlib.Path(args.work)
        self.cores = sorted(os.sched_getaffinity(0))
        self.skipped, self.checks, self.speeds = [], [], {}
        self.out = set()
        self.failed = False
        self.folders, self.files, self.references = {}, {}, {}

    def skip(self, name, why):
        self.out.add(name)
        # A tier that is not there is no failure; a wrong or a broken one is.
        self.failed |= name.startswith("wader") and not why.startswith("not there")
        self.skipped.append(f"SKIP {name}: {why}")
        say(self.skipped[-1])

    def run(self, name, task, n_cores=None, variant=None, layout=None, **job):
        """What encoder_worker.py answers; None when the engine is out."""
        n_cores = n_cores or len(self.cores)
        streams, threads = layout or (1, n_cores)
        variant = ENGINES[name].variants[0] if name and variant is None else variant
        job.update(task=task, engine=name, cores=self.cores[-n_cores:], variant=variant,
                   layout=[streams, threads], spawned=time.monotonic())
        variables = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
                     "RAYON_NUM_THREADS": str(n_cores), "CUDA_VISIBLE_DEVICES": "-1",
                     "TOKENIZERS_PARALLELISM": "true" if n_cores > 1 else "false",
                     "TORCHINDUCTOR_CACHE_DIR": str(self.work / "inductor"),
                     "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        result, why = environment.run_job("encoder_worker.py", job, self.work, variables)
        if why:
            self.skip(name or job["model"], why)
        return result

    # ---- models and titles

    def make_model(self, name):
        """The folder of a model, made unless it is there; and where wader finds it."""
        folder = self.work / name
        vocabulary = SHARED / "vocabs" / VOCABULARY / "vocab.txt"
        made = {"key": exact.key(
            str(HERE / "encoder_models.py"), json.dumps(environment.versions(dict(PACKAGES))),
            str(ROOT / "data/model/model.safetensors"),
            str(vocabulary) if vocabulary.exists() else "")}
        record = folder / "made.json"
        old = json.loads(record.read_text("utf-8")) if record.exists() else {}
        if old.get("key") != made["key"]:
            say(f"making the model {name}")
            answer = self.run(None, "make", model=name, folder=str(folder))
            if answer is None:
                sys.exit(1)
            old = dict(made, **answer)
            record.write_text(json.dumps(old), "utf-8")
        if old["note"]:
            self.skipped.append(old["note"])
        self.folders[name] = (str(folder), old["missing"])

    def add_titles(self, name, titles):
        path = self.work / f"{name}.txt"
        path.write_text("".join(title + "\n" for title in titles), "utf-8", newline="\n")
        self.files[name] = (str(path), titles)

    def make_reference(self, model, titles):
        path, _ = self.files[titles]
        folder = self.folders[model][0]
        kept = self.work / ("reference_" + exact.key(
            path, os.path.join(folder, "made.json"), str(HERE / "encoder_engines.py")) + ".json")
        if not kept.exists():
            say(f"float64 logits of {model}")
            logits = self.run("float64", "logits", folder=folder, titles=path)
            if logits is None:
                sys.exit(1)
            kept.write_text(json.dumps(logits), "utf-8")
        self.references[(model, titles)] = json.loads(kept.read_text("utf-8"))

    def folder_of(self, name, model):
        """What the engine opens, with the forms that its variants need; None without any."""
        folder, missing = self.folders[model]
        if name.startswith("wader"):
            own = {"demo": str(ROOT / "data/model")}.get(model, os.path.join(folder, "hf"))
            return {"wader": self.args.wader, "model": own}, [""]
        forms = ENGINES[name].forms
        variants = [v for v in ENGINES[name].variants if forms.get(v) not in missing]
        if not variants:
            self.skip(name, missing[forms[ENGINES[name].variants[0]]])
        return folder, variants

    # ---- logits first

    def check(self, name, model, titles, n_cores=1):
        folder, variants = self.folder_of(name, model)
        for variant in variants:
            logits = self.run(name, "logits", n_cores, variant, folder=folder,
                              titles=self.files[titles][0])
            if logits is None:
                return
            wanted = self.references[(model, titles)]
            found = compare(logits, wanted)
            good = ENGINES[name].tier != "fp32" or found["apart"] <= TOLERANCE * found["scale"]
            self.checks.append(dict(found, engine=name, model=model, variant=variant))
            say(f"{model} {name} {variant}: {found['same']} of {found['n']} labels as float64, "
                f"logits at most {found['apart']:.2g} apart at scale {found['scale']:.2g}")
            if not good:
                self.skip(name, f"its logits are {found['apart']:.2g} from float64 at scale "
                          f"{found['scale']:.2g}, more than {TOLERANCE:g} of it")
                return

    # ---- then the batch size, then the time

    def layouts(self, name, n_cores):
        """Streams and threads a stream."""
        engine = ENGINES[name]
        alone = n_cores == 1 or not engine.batches or engine.compiles
        return [(1, n_cores)] if alone else [(n_cores, 1), (1, n_cores)]

    def stretches(self):
        n, wide = len(self.files["race"][1]), max(SIZES)
        middles = [n // 2] if self.args.quick else [n // 4, n - n // 4]
        return [[max(0, m - wide // 2), min(n, m + wide // 2)] for m in middles]

    def search(self, name, n_cores):
        """The setting with the most titles/s; None when the engine is out."""
        folder, variants = self.folder_of(name, "random")
        job = {"folder": folder, "titles": self.files["race"][0]}
        if name.startswith("wader"):
            one = self.run(name, "measure", n_cores, copies=1, **job)
            if one is None:
                return None
            computing = max(one["seconds"] - one["start"], 0.2 * one["seconds"])
            enough = math.ceil(min(one["start"] / START_UP, LONGEST) / computing)
            return dict(job, copies=max(1, enough), layout=(1, n_cores), variant="")
        if not ENGINES[name].batches:
            return dict(job, batch=1, layout=(1, n_cores), variant=variants[0])
        best = (0, None)
        for variant in variants[:1] if self.args.quick else variants:
            for layout in self.layouts(name, n_cores):
                rates = self.run(name, "search", n_cores, variant, layout, sizes=SIZES,
                                 stretches=self.stretches(), **job)
                if rates is None:
                    return None
                say(f"{name} {variant} {layout[0]}x{layout[1]}: " +
                    ", ".join(f"{size}: {rate:.1f}/s" for size, rate in rates))
                for size, rate in rates:
                    best = max(best, (rate, dict(job, batch=size, layout=layout, variant=variant)),
                               key=lambda pair: pair[0])
        return best[1]

    def time(self, names, n_cores):
        settings = {}
        for name in names:
            if name not in self.out:
                setting = self.search(name, n_cores)
                if setting:
                    settings[name] = setting
        for repeat in range(self.args.repeats):
            order = list(settings)
            random.Random(repeat).shuffle(order)
            for name in order:
                if name not in self.out:
                    self.time_one(name, n_cores, settings[name])

    def time_one(self, name, n_cores, setting):
        answer = self.run(name, "measure", n_cores, **setting)
        if answer is None:
            return
        place = self.speeds.setdefault((name, n_cores), {
            "engine": name, "cores": n_cores, "rates": [], "busy": [], "starts": [], "same": [],
            "n": len(answer["labels"]), "variant": setting["variant"],
            "layout": setting["layout"], "batch": setting.get("batch"),
            "copies": setting.get("copies")})
        wanted = [row.index(max(row)) for row in self.references[("random", "race")]]
        place["rates"].append(answer["n"] / answer["seconds"])
        place["busy"].append(answer["busy"] / answer["seconds"] / n_cores)
        place["starts"].append(answer["start"])
        place["same"].append(sum(a == b for a, b in zip(answer["labels"], wanted)))
        say(f"{name}, {n_cores} core(s): {place['rates'][-1]:.1f} titles/s")


def compare(logits, wanted):
    apart = max(abs(a - b) if a == a else math.inf
                for x, y in zip(logits, wanted, strict=True) for a, b in zip(x, y, strict=True))
    labels = [[row.index(max(row)) for row in rows] for rows in (logits, wanted)]
    return {"n": len(wanted), "same": sum(a == b for a, b in zip(*labels)), "apart": apart,
            "scale": max(abs(value) for row in wanted for value in row)}


def statistics_of(titles, lengths):
    ordered = sorted(lengths)
    return {"titles": len(titles), "bytes": sum(len(t.encode()) for t in titles) / len(titles),
            "tokens": sum(lengths) / len(lengths), "median": ordered[len(ordered) // 2],
            "p90": ordered[9 * len(ordered) // 10], "most": ordered[-1]}
