#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One engine, one vocabulary, one corpus, in a process of its own: started by tokenizers.py.

usage: worker.py JOB.json, which names the file that the answer goes to.

A job has "measure" (phases with their files and repeats) and "ids" (files to encode, and where the
int32 ids go; how many each title has goes into a file beside). The answer is a list of results, or
{"cannot": why}.
"""
import gc
import json
import os
import subprocess
import sys
import time

sys.path.append(sys.path.pop(0))  # or tokenizers.py here would be taken for the package
from engines import ENGINES  # noqa: E402
from environment import Cannot, do_job  # noqa: E402


def timed(engine, prepared):
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    encoded = engine.encode(prepared)
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds, encoded


def measure(engine, task):
    """The seconds of `repeats` runs of a phase. What must not be warm has been forgotten before:
    by clear(), or because this process is new (then tokenizers.py asks for one repeat)."""
    prepared = engine.prepare(task["file"])
    other = engine.prepare(task["other"]) if task["phase"] == "steady" else None
    if task["phase"] == "warm":
        engine.encode(prepared)
    seconds = []
    for _ in range(task["repeats"]):
        if task["phase"] != "warm":
            engine.clear()
        if task["phase"] == "steady":
            engine.encode(other)
        one, encoded = timed(engine, prepared)
        seconds.append(one)
        if len(seconds) < task["repeats"]:
            del encoded  # not while the next is timed
    return {"phase": task["phase"], "seconds": seconds, "tokens": len(engine.ids(encoded))}


def work(job):
    engine = ENGINES[job["engine"]]()
    started = time.perf_counter()
    engine.open(job["model"], job["lower"], job["threads"])
    load_ms = (time.perf_counter() - started) * 1e3
    engine.limit = job.get("limit")
    for path, answer in job.get("ids", []):
        encoded = engine.encode(engine.prepare(path))
        engine.lengths(encoded).tofile(answer + ".lengths")
        engine.ids(encoded).tofile(answer)
    return [dict(measure(engine, task), load_ms=load_ms) for task in job.get("measure", [])]


def bench(job, arguments, **options):
    command = [job["bench"], "--model", job["model"], *arguments]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, **options)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip() or "no message").split("\n")[-1]
        raise Cannot(f"{os.path.basename(job['bench'])} exited {done.returncode}: {last}")
    return done


def work_of_ours(job):
    """The same with the program bench_tokenizer. Its warm run is repeated with the ids in memory
    fresh from the kernel, as the peers' are."""
    for path, answer in job.get("ids", []):
        with open(answer, "wb") as stream:
            bench(job, ["--ids", path], stdout=stream)
    results = []
    for task in job.get("measure", []):
        arguments = ["--threads", str(job["threads"]), "--repeats", str(task["repeats"]),
                     "--phase", task["phase"]]
        if task["phase"] == "steady":
            arguments += ["--other", task["other"]]
        for phase, more in ((task["phase"], []), ("fresh", ["--fresh"])):
            if phase == "fresh" and task["phase"] != "warm":
                continue
            answer = json.loads(bench(job, [*arguments, *more, task["file"]],
                                      stdout=subprocess.PIPE).stdout)
            if answer["titles"] != task["titles"]:
                raise Cannot(f"it saw {answer['titles']} titles, the file has {task['titles']}")
            results.append({"phase": phase, "seconds": answer["seconds"],
                            "tokens": answer["tokens"], "load_ms": answer["load_ms"],
                            "path": answer["path"]})
    return results


if __name__ == "__main__":
    do_job(lambda job: work_of_ours(job) if job["engine"] == "wader" else work(job))
