#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs that end early, and the same command again: it goes on where the first one stopped, and the
bytes are those of an uninterrupted run. Or it says why it starts from the beginning.

--cycles N kills runs at random until N of them were killed, for an hour rather than a minute.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
from resume import (BEGINNING, DEMO_MODEL, FAST_MODEL, GOING_ON, JOURNAL, LOCK, OUTPUT, OUTPUTS,
                    RECORD, AGAIN, Job, cycles, record_of, saved_nbytes)  # noqa: E402


def test_stop(t, job):
    for number in (signal.SIGTERM, signal.SIGINT):
        result = job.stop_early(job.has_journal, number)
        t.exits("signal %d" % number, result, e2e.AGAIN, AGAIN)
        t.check("signal %d: within 5 s (%.2f s)" % (number, result.seconds), result.seconds < 5)
        left = job.listing()
        t.check("signal %d: a journal, unfinished rows and scores are left" % number,
                len(left) == 3 and JOURNAL in left and
                sum(name.endswith(".tmp") for name in left) == 2, left)
        again = job.finishes("signal %d" % number)
        record = json.loads(e2e.read(os.path.join(job.directory, OUTPUTS[1])))
        t.equal("signal %d: the record tells" % number,
                (record["rows"]["in"], record["resumed"]["rows"]),
                (job.golden_rows, record_of(again.err)))
        job.clear()
    process = t.start(*job.command())
    while not job.has_journal() and process.poll() is None:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGCONT)
    time.sleep(0.05)
    t.check("SIGCONT stops nothing", process.poll() is None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    job.finishes("SIGKILL")


def test_stale(t, job):
    """From one saved state, with something changed each time."""
    t.exits("a run to go on with", job.stop_early(job.has_segment, signal.SIGTERM), e2e.AGAIN)
    saved = {name: e2e.read(os.path.join(job.directory, name)) for name in job.listing()}
    (temporary,) = [name for name in saved if name != JOURNAL and "scores" not in name]
    (scores,) = [name for name in saved if "scores" in name]
    t.check("that has rows in its unfinished output", saved_nbytes(saved[JOURNAL]) > 0)
    rng = random.Random(t.seed)
    source = os.stat(job.source)

    def restore(**changes):
        job.clear()
        for name, data in {**saved, **changes}.items():
            if data is not None:
                e2e.write(job.directory, name, data)

    restore()
    job.finishes("nothing changed")
    journal, rows = saved[JOURNAL], saved[temporary]
    damaged = [journal[:-1]]
    for _ in range(1):
        at = rng.randrange(len(journal))
        damaged.append(journal[:at] + bytes([journal[at] ^ 1 << rng.randrange(8)]) +
                       journal[at + 1:])
    for data in damaged:
        restore(**{JOURNAL: data})
        job.finishes("a damaged journal", says="damaged")
    restore(**{temporary: None})
    job.finishes("the unfinished output is gone", says="gone")
    restore(**{temporary: rows[:saved_nbytes(journal) - 1],
               ".%s.123-456-789.tmp" % OUTPUT: rows})
    job.finishes("the unfinished output is shorter", says="shorter")
    restore(**{temporary: rows + b"more, by whoever lives on"})
    job.finishes("the unfinished output has grown")
    at = rng.randrange(saved_nbytes(journal))
    restore(**{temporary: rows[:at] + bytes([rows[at] ^ 1]) + rows[at + 1:]})
    job.finishes("the unfinished output was altered", says="altered")
    restore(**{scores: None})
    job.finishes("the unfinished kept scores are gone", says="gone")
    restore()
    without = job.label_anew("--keep-scores", "no")
    job.files = OUTPUTS[:2]
    job.finishes("scores are kept no more", "--keep-scores", "no", golden=without,
                 says="other settings")
    job.files = OUTPUTS
    restore()
    job.finishes("other settings", "--max-length", "20", golden=job.shorter,
                 says="other settings")
    restore()
    job.finishes("other threads and batches", "--threads", "1", "--batch-tokens", "333")
    restore()
    os.utime(job.source)
    job.finishes("the input is written to", says="input has changed")
    os.utime(job.source, ns=(source.st_atime_ns, source.st_mtime_ns))
    restore()
    job.model = e2e.copy_model(t, FAST_MODEL)
    job.finishes("the same model elsewhere")
    restore()
    e2e.edit_json(os.path.join(job.model, "config.json"), layer_norm_eps=1e-5)
    job.finishes("another model", golden=job.label_anew(), says="another model")
    job.model = FAST_MODEL
    committing = {temporary: None, OUTPUT: rows, LOCK: b"wader\n"}
    restore(**committing)
    job.finishes("killed between output and record")
    restore(**committing)
    t.exits("killed between output and record, and the next run stopped at once",
            job.stop_at(lambda: len(job.listing()) > 4, signal.SIGTERM), e2e.AGAIN)
    t.check("the mark that tells is kept", LOCK in job.listing(), job.listing())
    job.finishes("and the run behind it")
    restore(**{OUTPUT: b"precious"})
    t.exits("somebody's file where the output should go", job.run(), e2e.USAGE, "--force")
    t.check("is kept, and so is the journal", job.output() == b"precious" and job.has_journal())
    restore()
    shutil.copy(job.source, job.source + ".whole")
    os.truncate(job.source, source.st_size - 4)
    os.utime(job.source, ns=(source.st_atime_ns, source.st_mtime_ns))
    t.exits("the input is truncated: the next run", job.run(), e2e.INPUT, "truncated")
    t.equal("leaves nothing", job.listing(), [])
    os.replace(job.source + ".whole", job.source)
    os.utime(job.source, ns=(source.st_atime_ns, source.st_mtime_ns))


def test_beside(t):
    """Rejects and the count of duplicates go on with the rows; what cannot starts anew."""
    args = ("--on-bad", "reject", "--max-bad", "50%", "--count-duplicates")
    job = Job(t, 6000, bad=0.1, args=args)
    record = job.golden[RECORD]
    t.check("there is something to count", record["rejects"]["rows"] > 99 < record["duplicate_ids"],
            record)
    t.exits("a run that is stopped", job.stop_early(job.has_journal, signal.SIGTERM), e2e.AGAIN)
    t.equal("leaves a journal and three unfinished files", len(job.listing()), 4)
    status = t.run("status", "-o", job.directory, "--json")
    (item,) = json.loads(status.out)["items"]
    t.check("status tells how far", item["state"] == "interrupted" and item["saved_rows"] > 0, item)
    saved = {name: e2e.read(os.path.join(job.directory, name)) for name in job.listing()}
    job.finishes("rejects")
    job.clear()
    catalog = t.directory()
    e2e.write(catalog, ".in.labels.jsonl.gz.journal", saved[JOURNAL])
    status = t.run("status", "-o", catalog, job.source)
    text = status.out.decode()
    t.check("status tells what share of the input", "rows are saved, " in text and
            text.splitlines()[2].endswith(" %"), text)
    cycles(t, job, random.Random(t.seed), 3, 20)
    job.clear()
    for name, data in saved.items():
        e2e.write(job.directory, name, data)
    job.args = ["--max-bad", "50%"]
    job.files = OUTPUTS
    job.finishes("another --on-bad", says="another --on-bad", golden=job.label_anew())
    job.clear()
    for name, data in saved.items():
        e2e.write(job.directory, name, data)
    job.args += ["--salvage"]
    again = job.finishes("--salvage", says="", golden=job.label_anew())
    t.check("--salvage: from the beginning", GOING_ON not in again.err, again.err)


def test_two_attempts(t, job):
    """Where locks do not work: the first attempt is frozen, the second one takes over."""
    for frozen in (True, False):
        job.clear()
        first = t.start(*job.command())
        while not job.has_journal() and first.poll() is None:
            time.sleep(0.002)
        if frozen:
            first.send_signal(signal.SIGSTOP)
        os.remove(os.path.join(job.directory, LOCK))
        second = job.run()
        what = "frozen" if frozen else "alive"
        t.exits("the first attempt is %s: the second one" % what, second, e2e.OK)
        first.send_signal(signal.SIGCONT)
        _, err = first.communicate(timeout=60)
        t.check("the first attempt was %s: it leaves" % what,
                first.returncode in (e2e.OK, e2e.LOCKED, e2e.IO), (first.returncode, err))
        t.check("the first attempt was %s: the output is that of one" % what,
                job.output() == job.golden[OUTPUT], job.listing())
        again = job.run()
        t.exits("the first attempt was %s: the same command" % what, again, e2e.OK)
        t.check("the first attempt was %s: comes to the same" % what,
                job.is_whole(), job.listing())


def test_long_batches(t):
    """A batch that takes longer than there is time: what is saved counts."""
    directory = t.directory()
    source = e2e.write(t.directory(), "in.txt", "\n".join(e2e.random_titles(t.seed, 20000)))
    command = ["label", "--model", DEMO_MODEL, "--threads", "1", "--batch-tokens", "150000",
               "--max-length", "64", "-o", os.path.join(directory, OUTPUT), source]
    for numbers in ([signal.SIGTERM], [signal.SIGTERM, signal.SIGINT]):
        process = t.start(*command)
        while not e2e.listing(directory) and process.poll() is None:
            time.sleep(0.002)
        time.sleep(0.8)  # for a busy machine to have begun the batch
        for number in numbers:
            process.send_signal(number)
            begun = time.monotonic()
            if number != numbers[-1]:
                time.sleep(0.2)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        seconds = time.monotonic() - begun
        if len(numbers) == 1:
            t.equal("SIGTERM in a long batch", process.returncode, e2e.AGAIN)
            t.check("within 5 s (%.2f s)" % seconds, seconds < 5)
            left = e2e.listing(directory)
            t.check("nothing is left, or a journal, if anything was done",
                    not left or any(name.endswith(".journal") for name in left), left)
            for name in left:
                os.remove(os.path.join(directory, name))
        else:
            t.equal("the second signal ends it", process.returncode, 128 + signal.SIGINT)
            t.check("at once (%.2f s)" % seconds, seconds < 1)


def main():
    n_cycles = 0
    if "--cycles" in sys.argv:
        at = sys.argv.index("--cycles")
        n_cycles = int(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    t = e2e.Suite(__doc__)
    rng = random.Random(t.seed)
    if n_cycles > 0:
        args = ("--on-bad", "reject", "--max-bad", "50%", "--count-duplicates")
        jobs = [Job(t, 1200, DEMO_MODEL), Job(t, 20000), Job(t, 20000, bad=0.1, args=args)]
        for i in range(0, n_cycles, 50):
            which = 0 if i % 250 == 0 else 1 + i // 50 % 2
            cycles(t, jobs[which], rng, min(50, n_cycles - i), 3600)
        t.finish()
    job = Job(t, 20000, args=("--scores", "logits"))
    job.shorter = job.label_anew("--max-length", "20")
    job.golden_rows = job.golden[RECORD]["rows"]["in"]
    test_stop(t, job)
    test_stale(t, job)
    test_two_attempts(t, job)
    job.clear()
    cycles(t, job, rng, 4, 20)
    test_beside(t)
    test_long_batches(t)
    t.finish()


main()
