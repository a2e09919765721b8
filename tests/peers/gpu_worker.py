#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One engine on a device in a process of its own, started by gpu_encoders.py.

usage: gpu_worker.py JOB.json, which names the file that the answer goes to. What a job does:
  reference  logits of the titles to check, as a list of rows
  count      how many tokens each title has
  race       every variant is opened and its logits are held beside the reference; the quickest
             variant and batch size are looked for among those that pass, then timed
"""
import gc
import json
import os
import sys
import time

sys.path.append(sys.path.pop(0))  # or tokenizers.py here would be taken for the package
import encoder_race  # noqa: E402
import gpu_engines  # noqa: E402
from encoder_worker import read_titles  # noqa: E402
from environment import Cannot, do_job  # noqa: E402
from gpu_report import is_like, likeness  # noqa: E402

LEAST_SECONDS = 1.0  # of a repeat, where there are titles and time enough
WADER_SECONDS = 4.0  # that more titles take, of two runs of wader


def timed(engine, function, *args):
    """Seconds, with what the device still has to do."""
    gc.collect()
    engine.finish()
    begun = time.perf_counter()
    result = function(*args)
    engine.finish()
    return time.perf_counter() - begun, result


def check(engine, job, titles):
    found = encoder_race.compare(engine.logits(titles).tolist(), job["reference"])
    found["likeness"] = likeness(engine.logits(titles).tolist(), job["reference"])
    if not is_like(engine.tier, found["likeness"]):
        raise Cannot(f"wrong: its logits are like the reference's by {found['likeness']:.3f} only, "
                     f"{found['same']} of {found['n']} labels are the same")
    return found


def sample(titles, size, by_tokens):
    """Enough titles for a few batches."""
    return titles[:max(2 * (size // 16 if by_tokens else size), 256)]


def search(engine, job, titles, deadline):
    """[rate, batch size] of the quickest."""
    best = [0.0, engine.sizes[0]]
    for size in job["sizes"] or engine.sizes:
        if best[0] and time.monotonic() > deadline:
            break
        engine.batch = size
        some = sample(titles, size, engine.by_tokens)
        engine.labels(some)  # the shapes' first time
        rate = len(some) / timed(engine, engine.labels, some)[0]
        best = max(best, [rate, size])
    return best


def repeated(engine, function, args, n, repeats, deadline):
    rates = []
    for _ in range(repeats):
        if rates and time.monotonic() > deadline:
            break
        rates.append(n / timed(engine, function, *args)[0])
    return rates


def measure(engine, job, titles, rate, deadline):
    n = int(min(len(titles), max(512, rate * LEAST_SECONDS)))
    chosen = titles[:n]
    if engine.device.type == "cuda":
        engine.torch.cuda.reset_peak_memory_stats(engine.device)
    labels = engine.labels(chosen)  # all of its shapes
    wanted = [row.index(max(row)) for row in job["reference"]][:n]
    answer = {"n": n, "same": sum(a == b for a, b in zip(labels, wanted)),
              "n_same": min(n, len(wanted)), "rates_given": []}
    answer["rates"] = repeated(engine, engine.labels, [chosen], n, job["repeats"], deadline)
    if engine.tokens_given:
        ids = gpu_engines.flatten(engine.tokenize(chosen))
        answer["rates_given"] = repeated(engine, engine.labels_of_ids, ids, n, job["repeats"],
                                         deadline)
    return dict(answer, peak_bytes=engine.peak_bytes())


def race(job, titles):
    """The best variant stays; others are let go before the next one is opened."""
    begun, kind = time.monotonic(), gpu_engines.engines()[job["engine"]]
    variants, best = {}, None
    for i, variant in enumerate(kind.variants):
        share = 0.6 * job["seconds"] * (i + 1) / len(kind.variants)
        if best and time.monotonic() - begun > share:
            variants[variant] = "time was up before it"
            continue
        engine = kind()
        try:
            opened = time.monotonic()
            engine.open(job["folder"], variant, job["device"], job["threads"])
            found = check(engine, job, titles[:len(job["reference"])])
            found["open_s"] = time.monotonic() - opened
            rate, size = search(engine, job, titles, begun + share)
        except Cannot as why:
            variants[variant] = str(why)
            continue
        except Exception as error:  # a way that breaks is one that cannot be had
            variants[variant] = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            continue
        variants[variant] = dict(found, rate=rate, batch=size)
        if best is None or rate > best[1]:
            best = engine, rate, size, variant
    if best is None:
        raise Cannot("; ".join(f"{name or 'it'}: {why}" for name, why in variants.items()))
    engine, rate, engine.batch, variant = best
    answer = measure(engine, job, titles, rate, begun + job["seconds"])
    return dict(answer, variant=variant, batch=engine.batch, variants=variants)


# ---- wader, which is a command

def copies_of(path, titles, copies):
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        for _ in range(copies):
            stream.writelines(title + "\n" for title in titles)
    return path


def race_of_wader(engine, job, titles):
    """Two files, the larger one with the titles so often that they take a while: between them
    start-up is no part of the time."""
    begun = time.monotonic()
    engine.open({"wader": job["wader"], "model": job["folder"]}, "", job["device"], job["threads"])
    path = job["titles"] + f".{os.getpid()}.txt"
    reference = job["reference"]
    try:
        copies_of(path, titles[:len(reference)], 1)
        rows = [row["logits"] for row in engine.run(path, "--scores", "logits")[1]]
        found = dict(encoder_race.compare(rows, reference), likeness=likeness(rows, reference))
        if not is_like(engine.tier, found["likeness"]):
            raise Cannot(f"wrong: its logits are like the reference's by {found['likeness']:.3f}")
        small = engine.run(copies_of(path, titles, 1))[0]
        twice = engine.run(copies_of(path, titles, 2))[0]
        more = max(1, int(min(job["seconds"] / 8, WADER_SECONDS) / max(twice - small, 0.05)))
        copies_of(path, titles, 1 + more)
        rates, whole = [], []
        while len(rates) < job["repeats"] and (
                not rates or time.monotonic() < begun + job["seconds"]):
            seconds, rows = engine.run(path)
            rates.append(more * len(titles) / max(seconds - small, 1e-6))
            whole.append((1 + more) * len(titles) / seconds)
        wanted = [row.index(max(row)) for row in reference]
        same = sum(engine.ids[row["label"]] == label for row, label in zip(rows, wanted))
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return {"n": len(titles) * more, "same": same, "n_same": len(wanted), "rates": rates,
            "rates_given": [], "rates_whole": whole, "variant": "", "batch": None,
            "peak_bytes": engine.peak_bytes(), "variants": {"": dict(found, open_s=small)}}


def work(job):
    titles = read_titles(job["titles"])
    if job["task"] == "race":
        with open(job["reference"], encoding="utf-8") as stream:
            job["reference"] = json.load(stream)
        kind = gpu_engines.engines()[job["engine"]]
        if issubclass(kind, gpu_engines.GpuWader):
            return race_of_wader(kind(), job, titles)
        return race(job, titles)
    engine = gpu_engines.GpuReference()
    if job["task"] == "count":
        import pathlib
        engine.open_tokenizer(pathlib.Path(job["folder"]))
        return [len(row) for row in engine.tokenize(titles)]
    engine.open(job["folder"], job["variant"], job["device"], job["threads"])
    return engine.logits(titles[:job["n"]]).tolist()


if __name__ == "__main__":
    do_job(work)
