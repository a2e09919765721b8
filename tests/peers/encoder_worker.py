#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One engine in a process of its own, started by encoders.py, on the cores that it is pinned to.

usage: encoder_worker.py JOB.json, which names the file that the answer goes to. What a job does:
  make      the folder of a model, in the forms that engines take
  count     how many tokens each title has
  logits    of every title
  search    titles/s at each of some batch sizes, on some stretches of the titles sorted by length
  measure   seconds for all titles, the labels, and seconds from the process's start to its first
"""
import gc
import json
import os
import pathlib
import sys
import time

sys.path.append(sys.path.pop(0))  # or tokenizers.py here would be taken for the package
import encoder_models  # noqa: E402
from encoder_engines import ENGINES, Wader  # noqa: E402
from environment import Cannot, do_job  # noqa: E402


def read_titles(path):
    with open(path, encoding="utf-8", newline="\n") as stream:
        return [line.rstrip("\n") for line in stream]


def timed(function, titles):
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    result = function(titles)
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds, result


def processor_seconds():
    """Of this process, and of those that it started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def search(engine, titles, stretches, sizes):
    """Titles that lie side by side once sorted, so that they need the padding of a whole run."""
    by_length = sorted(titles, key=lambda title: len(engine.tokenize([title])[0]))
    chosen = [by_length[begin:end] for begin, end in stretches]
    rates = []
    for size in sizes:
        engine.batch = size
        engine.labels(chosen[0][:size])  # the shape's first time
        seconds = sum(timed(engine.labels, stretch)[0] for stretch in chosen)
        rates.append([size, sum(map(len, chosen)) / seconds])
    return rates


def measure(engine, job, titles):
    engine.labels(titles[:1])
    start = time.monotonic() - job["spawned"]
    engine.batch = job["batch"]
    by_length = sorted(titles, key=len)
    middle = len(titles) // 2
    some = by_length[middle:middle + 2 * engine.batch * engine.streams]
    engine.labels(titles if engine.compiles else some)  # nothing is compiled while it is timed
    before = processor_seconds()
    seconds, labels = timed(engine.labels, titles)
    return {"seconds": seconds, "busy": processor_seconds() - before, "n": len(titles),
            "labels": labels, "start": start}


def work_of_wader(engine, job, titles):
    if job["task"] == "logits":
        rows = engine.run(job["titles"], "--scores", "logits")[1]
        return [row["logits"] for row in rows]
    start = engine.first_label(titles[0])
    copies = job["copies"]
    path = job["titles"] + f".{os.getpid()}.txt"
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(title + "\n" for title in titles * copies)
    before = processor_seconds()
    try:
        seconds, rows = engine.run(path)
    finally:
        os.unlink(path)
    busy = processor_seconds() - before
    labels = [engine.ids[row["label"]] for row in rows]
    if len(labels) != len(titles) * copies or labels != labels[:len(titles)] * copies:
        raise Cannot("its labels are not one a title, or not the same in every copy of them")
    return {"seconds": seconds, "busy": busy, "n": len(labels), "labels": labels[:len(titles)],
            "start": start}


def work(job):
    if job["task"] == "make":
        return encoder_models.make(job)
    titles = read_titles(job["titles"])
    engine = ENGINES[job["engine"]]()
    if isinstance(engine, Wader):
        engine.open(job["folder"], "", *job["layout"])
        return work_of_wader(engine, job, titles)
    if job["task"] == "count":
        engine.open_tokenizer(pathlib.Path(job["folder"], "hf"))
        return [len(row) for row in engine.tokenize(titles)]
    engine.open(job["folder"], job["variant"], *job["layout"])
    if job["task"] == "logits":
        return engine.logits(titles).tolist()
    if job["task"] == "search":
        return search(engine, titles, job["stretches"], job["sizes"])
    return measure(engine, job, titles)


if __name__ == "__main__":
    do_job(work)
