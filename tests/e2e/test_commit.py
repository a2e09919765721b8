#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Outputs that are there already, locks, signals: what a run leaves, and what the next one does."""
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

FAST_MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
N_LONG = 400000  # titles of a run that lasts longer than it takes to send a signal
OUTPUTS = ["out.jsonl.gz", "out.jsonl.gz.meta.json"]


class Job:
    """One input and one output in directories of their own."""

    def __init__(self, t, data, name="in.txt", model=e2e.MODEL):
        self.t, self.model = t, model
        self.source = e2e.write(t.directory(), name, data)
        self.directory = t.directory()
        self.output = os.path.join(self.directory, "out.jsonl.gz")

    def command(self, *args):
        return ["label", "--model", self.model, "-o", self.output, *args, self.source]

    def run(self, *args, **kwargs):
        return self.t.run(*self.command(*args), **kwargs)

    def identity(self):
        """Changes when output or record are written again."""
        found = [os.stat(p) if os.path.exists(p) else None
                 for p in (self.output, self.output + ".meta.json")]
        return [i and (i.st_ino, i.st_mtime_ns, i.st_size) for i in found]

    def rows(self):
        return e2e.read_output(self.output)

    def listing(self):
        return e2e.listing(self.directory)


def replaced(t, what, job, *args):
    before = job.identity()
    t.exits("%s: labelled anew, and said so" % what, job.run(*args), e2e.OK, "anew", job.output)
    t.check("%s: replaced" % what, job.identity() != before)
    t.exits("%s: once" % what, job.run(*args), e2e.OK, "done already")


def test_again(t):
    job = Job(t, "gold\noil\n" * 50)
    t.exits("the first run", job.run(), e2e.OK)
    t.equal("output and record, nothing else", job.listing(), OUTPUTS)
    before, rows = job.identity(), job.rows()
    for what, args in (("the same command again", []),
                       ("with other threads and batches", ["--threads", "1", "--batch-tokens",
                                                           "77"]),
                       ("with defaults spelled out", ["--scores", "top", "--precision", "fp32",
                                                      "--max-length", "40"])):
        t.exits("%s: nothing to do" % what, job.run(*args), e2e.OK, "done already")
        t.equal("%s: output and record are untouched" % what, job.identity(), before)
    os.utime(job.source)
    t.exits("the input is touched: nothing to do", job.run(), e2e.OK, "done already")
    t.equal("the input is touched: output and record are untouched", job.identity(), before)
    t.equal("-q again: silent", job.run("-q").err, "")
    t.exits("--force", job.run("--force"), e2e.OK)
    t.check("--force: labelled anew, the same rows", job.identity() != before
            and job.rows() == rows)
    for args in (["--scores", "all"], ["--max-length", "3"], ["--output-format", "tsv"],
                 ["--input-format", "tsv", "--title-field", "1"]):
        replaced(t, " ".join(args), job, *args)
    job.model = e2e.OTHER_MODEL
    replaced(t, "another model", job)
    e2e.write(os.path.dirname(job.source), "in.txt", "gold\nair\n" * 50)
    replaced(t, "another input of the same size", job)
    e2e.write(os.path.dirname(job.source), "in.txt", "gold\nair\n" * 49)
    replaced(t, "another input", job)
    with open(job.output, "ab") as file:
        file.write(b"more")
    replaced(t, "an output that has grown since", job)
    t.equal("at the end the rows are those of a fresh run", job.rows(),
            t.label(job.source, model=job.model).out)
    t.equal("and nothing else is there", job.listing(), OUTPUTS)


def test_stranger(t):
    job = Job(t, "gold\n")
    for what, record in (("without a record", None), ("with an empty record", b""),
                         ("with half a record", b'{"schema": 1, "wader"')):
        e2e.write(job.directory, "out.jsonl.gz", b"precious")
        if record is not None:
            e2e.write(job.directory, "out.jsonl.gz.meta.json", record)
        kept = e2e.listing(job.directory)
        t.exits("an output %s is refused" % what, job.run(), e2e.USAGE, job.output, "--force")
        t.equal("and untouched", (e2e.read(job.output), job.listing()), (b"precious", kept))
    t.exits("--force replaces it", job.run("--force"), e2e.OK)
    t.equal("by rows and a record", (len(job.rows().splitlines()), job.listing()), (1, OUTPUTS))
    job = Job(t, "gold\n")
    os.mkfifo(job.output)
    t.exits("an output that is no regular file", job.run("--force"), e2e.USAGE, job.output,
            "regular file")
    t.equal("is untouched", job.listing(), OUTPUTS[:1])
    os.remove(job.output)
    os.mkdir(job.output)
    t.exits("a directory takes the output", job.run(), e2e.OK)
    t.equal("under the input's name", e2e.listing(job.output),
            ["in.labels.jsonl.gz", "in.labels.jsonl.gz.meta.json"])


def test_failed_replacement(t):
    whole = e2e.gzip_bytes(b"gold\noil\n" * 500)
    job = Job(t, whole, "in.txt.gz")
    t.exits("a run, to be replaced", job.run(), e2e.OK)
    before, rows = job.identity(), job.rows()
    e2e.write(os.path.dirname(job.source), "in.txt.gz", whole[:-4])
    t.exits("the input is truncated now", job.run(), e2e.INPUT, "truncated")
    t.equal("the old output and its record stay", (job.identity(), job.rows(), job.listing()),
            (before, rows, OUTPUTS))
    e2e.write(os.path.dirname(job.source), "in.txt.gz", whole)
    t.exits("mended: nothing to do", job.run(), e2e.OK, "done already")
    result = job.run("--scores", "all", preexec_fn=e2e.file_size_limit(100))
    t.exits("the disk is full when the last rows are written", result, e2e.IO, job.output)
    t.equal("then too", (job.identity(), job.rows(), job.listing()), (before, rows, OUTPUTS))
    t.exits("with room again", job.run("--scores", "all"), e2e.OK, "anew")


def test_lock(t):
    job = Job(t, "gold\n")
    lock = os.path.join(job.directory, ".out.jsonl.gz.lock")
    with open(lock, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        t.exits("the output is locked", job.run(), e2e.LOCKED, job.output, "another run")
        t.equal("nothing was made", job.listing(), [os.path.basename(lock)])
    t.exits("a lock that nobody holds is no lock", job.run(), e2e.OK)
    t.equal("and goes", job.listing(), OUTPUTS)
    first = t.start("label", "--model", e2e.MODEL, "-o", job.output, "--force",
                    stdin=subprocess.PIPE)
    wait_for(t, lambda: os.path.exists(lock))
    t.exits("two runs at once: the second", job.run(), e2e.LOCKED, job.output)
    first.communicate(b"gold\noil\n", timeout=30)
    t.equal("two runs at once: the first", (first.returncode, len(job.rows().splitlines())),
            (0, 2))
    t.equal("two runs at once: nothing else is left", job.listing(), OUTPUTS)


def wait_for(t, condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            t.check("waiting for the program", False, "nothing happened for %d s" % seconds)
            return
        time.sleep(0.005)


def has_temporary(directory):
    return any(n.endswith(".tmp") for n in os.listdir(directory))


def send(t, process, number):
    """Sends a signal; the exit code, the seconds it took, and stderr."""
    begun = time.monotonic()
    process.send_signal(number)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
    seconds = time.monotonic() - begun
    _, err = process.communicate()
    t.check("it ends within 5 s (%.2f s)" % seconds, seconds < 5)
    return e2e.Result(process.returncode, b"", err, seconds)


def test_signals(t, titles, rows):
    job = Job(t, titles, model=FAST_MODEL)
    process = t.start(*job.command())
    wait_for(t, lambda: has_temporary(job.directory))
    t.exits("SIGTERM during a run", send(t, process, signal.SIGTERM), e2e.AGAIN, "again")
    t.equal("no output, no record", [n for n in job.listing() if not n.startswith(".")], [])
    t.exits("the same command again", job.run(), e2e.OK)
    t.check("finishes the job", job.listing() == OUTPUTS and job.rows() == rows)
    before = job.identity()
    process = t.start(*job.command("--scores", "all"))
    wait_for(t, lambda: has_temporary(job.directory))
    t.exits("SIGTERM while replacing", send(t, process, signal.SIGTERM), e2e.AGAIN, "again")
    t.equal("the old output stays", job.identity(), before)
    t.exits("the old command again", job.run(), e2e.OK, "done already")
    t.equal("clears away what was begun", (job.identity(), job.listing()), (before, OUTPUTS))

    process = t.start("label", "--model", e2e.MODEL, "-o", job.directory + "/other.jsonl",
                      stdin=subprocess.PIPE)
    wait_for(t, lambda: has_temporary(job.directory))
    t.exits("SIGINT while stdin is silent", send(t, process, signal.SIGINT), e2e.AGAIN, "again")
    t.equal("leaves nothing", job.listing(), OUTPUTS)

    process = t.start("label", "--model", FAST_MODEL, job.source, stdout=subprocess.PIPE)
    os.read(process.stdout.fileno(), 1)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    t.equal("SIGTERM while nobody reads stdout", process.wait(timeout=20), e2e.AGAIN)
    process.communicate()

    fifo = os.path.join(t.directory(), "fifo.txt")
    os.mkfifo(fifo)
    process = t.start("label", "--model", e2e.MODEL, fifo, stdout=subprocess.PIPE)
    time.sleep(0.7)
    t.exits("SIGTERM while a FIFO has no writer", send(t, process, signal.SIGTERM), e2e.AGAIN)


def test_several(t, titles, rows):
    inputs, out = t.directory(), t.directory()
    e2e.write(inputs, "a.txt", "gold\n")
    e2e.write(inputs, "b.txt", titles)
    e2e.write(inputs, "c.txt", "oil\n")
    command = ["label", "--model", FAST_MODEL, "-o", out, inputs]
    process = t.start(*command)
    wait_for(t, lambda: any(n.startswith(".b") and n.endswith("tmp") for n in os.listdir(out)))
    t.exits("SIGTERM in the second of three", send(t, process, signal.SIGTERM), e2e.AGAIN)
    done = ["a.labels.jsonl.gz", "a.labels.jsonl.gz.meta.json"]
    t.equal("the first is complete, no other is there",
            [n for n in e2e.listing(out) if not n.startswith(".")], done)
    inode = os.stat(os.path.join(out, done[0])).st_ino
    t.exits("the same command again", t.run(*command), e2e.OK, "done already")
    t.equal("all three are there", e2e.listing(out), sorted(
        x + y for x in ("a", "b", "c") for y in (".labels.jsonl.gz",
                                                 ".labels.jsonl.gz.meta.json")))
    t.check("the first was not touched, the second is whole",
            os.stat(os.path.join(out, done[0])).st_ino == inode
            and e2e.read_output(out + "/b.labels.jsonl.gz") == rows)


def test_many(t):
    inputs, out, n = t.directory(), t.directory(), 2000
    for i in range(n):
        e2e.write(inputs, "%04d.txt" % i, "gold\n")
    process = t.start("label", "--model", FAST_MODEL, "-o", out, inputs, "-q")
    wait_for(t, lambda: len(os.listdir(out)) > 20)
    t.exits("SIGTERM among many small inputs", send(t, process, signal.SIGTERM), e2e.AGAIN)
    done = e2e.listing(out)
    t.check("no more are begun", len(done) < 2 * n and sum(x[0] == "." for x in done) <= 3,
            len(done))


def test_kill(t, titles, rows):
    job = Job(t, titles, model=FAST_MODEL)
    for _ in range(2):
        process = t.start(*job.command())
        wait_for(t, lambda: has_temporary(job.directory))
        time.sleep(0.1)
        process.kill()
        process.communicate()
        t.equal("kill -9: no output, no record",
                [n for n in job.listing() if not n.startswith(".")], [])
    e2e.write(job.directory, ".out.jsonl.gz.mine.tmp", b"not wader's")
    t.exits("the next run", job.run(), e2e.OK)
    t.check("finishes the job", job.rows() == rows)
    t.equal("and leaves nothing that an uninterrupted one would not", job.listing(),
            [".out.jsonl.gz.mine.tmp"] + OUTPUTS)

    job = Job(t, "gold\n")
    t.exits("a run", job.run(), e2e.OK)
    wanted = job.rows()
    os.remove(job.output + ".meta.json")
    e2e.write(job.directory, ".out.jsonl.gz.lock", b"")
    t.exits("an empty lock file says nothing of an output", job.run(), e2e.USAGE, "--force")
    e2e.write(job.directory, ".out.jsonl.gz.lock", b"wader\n")
    t.exits("killed between output and record: the next run", job.run(), e2e.OK)
    t.equal("finishes the job", (job.listing(), job.rows()), (OUTPUTS, wanted))
    t.equal("with a record", json.loads(e2e.read(job.output + ".meta.json"))["rows"]["in"], 1)


def main():
    t = e2e.Suite(__doc__)
    for test in (test_again, test_stranger, test_failed_replacement, test_lock, test_many):
        test(t)
    titles = b"Why the price of oil and gold is new in the market of music\n" * N_LONG
    one = t.label(stdin=b"Why the price of oil and gold is new in the market of music\n",
                  model=FAST_MODEL).rows()[0]
    rows = b"".join(b'{"id":%d,"label":"%s","score":%.6f}\n' %
                    (i, one["label"].encode(), one["score"]) for i in range(1, N_LONG + 1))
    for test in (test_signals, test_several, test_kill):
        test(t, titles, rows)
    t.finish()


if __name__ == "__main__":
    main()
