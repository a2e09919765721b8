# SPDX-License-Identifier: Apache-2.0
"""A catalog whose labelling is stopped, killed and gone on with, and what must come of it."""
import json
import os
import random
import signal
import subprocess
import time

import e2e

FAST_MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
DEMO_MODEL = os.path.join(e2e.ROOT, "data", "model")
OUTPUT = "out.jsonl.gz"
RECORD, REJECTS = OUTPUT + ".meta.json", OUTPUT + ".rejects.jsonl.gz"
SCORES = e2e.kept_scores(OUTPUT)
OUTPUTS = [OUTPUT, RECORD, SCORES]
JOURNAL, LOCK = "." + OUTPUT + ".journal", "." + OUTPUT + ".lock"
GOING_ON, AGAIN, BEGINNING = "going on behind record", "same command again", "from the beginning"
STOPS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def catalog(seed, n, n_members, bad):
    """JSONL records in gzip members of several levels; the cuts fall anywhere. A share of `bad` is
    no record, or has an id that came before."""
    rng = random.Random(seed)
    lines = e2e.titled(e2e.random_titles(seed, n)).splitlines(keepends=True)
    for i in range(1, len(lines)):
        if rng.random() < bad:
            lines[i] = rng.choice([lines[rng.randrange(i)], lines[i][:-3] + b"\n", b"\n",
                                   b'{"id": %d}\n' % rng.randrange(n)])
    data = b"".join(lines)
    cuts = sorted([0, len(data)] + [rng.randrange(len(data)) for _ in range(n_members - 1)])
    return b"".join(e2e.gzip_bytes(data[a:b], level)
                    for a, b, level in zip(cuts, cuts[1:], [6, 1, 0, 9, 6, 1] * n_members))


def saved_nbytes(journal):
    """How many bytes of the unfinished output a journal counts on: its name, the plain bytes and
    these stand one behind the other."""
    at = journal.find(b".tmp")
    return int.from_bytes(journal[at + 12:at + 20], "little") if at > 0 else 0


class Job:
    """A catalog and the output of an uninterrupted run."""

    def __init__(self, t, n, model=FAST_MODEL, n_members=4, name="in.jsonl.gz", bad=0.0, args=()):
        self.t, self.model, self.args = t, model, list(args)
        self.files = OUTPUTS + [REJECTS] * ("reject" in args)
        self.source = e2e.write(t.directory(), name, catalog(t.seed, n, n_members, bad))
        self.golden = self.label_anew()
        self.directory = t.directory()

    def label_anew(self, *args):
        directory = self.t.directory()
        path = os.path.join(directory, OUTPUT)
        result = self.t.run("label", "--model", self.model, *self.args, "-o", path, *args,
                            self.source, timeout=600)
        self.t.check("an uninterrupted run (%.1f s)" % result.seconds, result.code == 0, result)
        self.seconds = result.seconds
        return self.content(directory)

    def content(self, directory):
        """All that must be equal: the files, and of the record what is counted."""
        found = {name: e2e.read(os.path.join(directory, name)) for name in e2e.listing(directory)}
        if OUTPUT in found and SCORES in os.listdir(directory):  # else it is in the listing
            found[SCORES] = e2e.read(os.path.join(directory, SCORES))
        if RECORD in found:
            record = json.loads(found[RECORD])
            found[RECORD] = {key: record.get(key) for key in (
                "input", "output", "rows", "tokens", "rejects", "duplicate_ids", "previous",
                "kept_scores")}
        return found

    def command(self, *args):
        return ["label", "--model", self.model, "--checkpoint-seconds", "0", *self.args, "-o",
                os.path.join(self.directory, OUTPUT), *args, self.source]

    def run(self, *args):
        return self.t.run(*self.command(*args), timeout=600)

    def listing(self):
        return e2e.listing(self.directory)

    def output(self):
        return e2e.read(os.path.join(self.directory, OUTPUT))

    def is_whole(self, golden=None):
        found = self.content(self.directory)
        times = {**found.get(RECORD, {}).get("input", {}), "mtime_ns": 0}
        want = dict(golden or self.golden)
        if RECORD in found:
            found[RECORD]["input"] = times
            want[RECORD] = {**want[RECORD], "input": {**want[RECORD]["input"], "mtime_ns": 0}}
        return found == want and sorted(found) == sorted(self.files)

    def stop_at(self, condition, number, *args):
        """Sends a signal once condition() holds; the Result, or that of a run that was quicker. The
        run is held while we look, so that a busy machine does not let it get far ahead of us."""
        process = self.t.start(*self.command(*args))
        until = time.monotonic() + 60
        is_met = False
        while not is_met and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
            process.send_signal(signal.SIGSTOP)
            is_met = condition()
            if is_met:
                process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        if not is_met:
            process.send_signal(number)
        begun = time.monotonic()
        try:
            _, err = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            _, err = process.communicate()
        return e2e.Result(process.returncode, b"", err, time.monotonic() - begun)

    def stop_early(self, condition, number):
        """The same of an empty directory; a run that was quicker is no reason to fail."""
        for _ in range(5):
            self.clear()
            result = self.stop_at(condition, number)
            if result.code != e2e.OK:
                break
        return result

    def has_journal(self):
        return os.path.exists(os.path.join(self.directory, JOURNAL))

    def has_segment(self):
        """Whether rows in the unfinished output itself are saved."""
        try:
            return saved_nbytes(e2e.read(os.path.join(self.directory, JOURNAL))) > 0
        except FileNotFoundError:  # not yet, or no more
            return False

    def clear(self):
        for name in os.listdir(self.directory):
            os.remove(os.path.join(self.directory, name))

    def finishes(self, what, *args, golden=None, says=GOING_ON):
        """The same command again comes to its end, with the right bytes and nothing else."""
        result = self.run(*args)
        self.t.exits("%s: the next run" % what, result, e2e.OK, says)
        self.t.check("%s: leaves the bytes of an uninterrupted run, nothing else" % what,
                     self.is_whole(golden), self.listing())
        return result


def record_of(err):
    """The record that a run went on behind, or 0."""
    words = err.split(GOING_ON + " ")
    return int(words[1].split(", where")[0].replace(",", "")) if words[1:] else 0


def cycles(t, job, rng, n, most_seconds):
    """Kills and stops runs at random until `n` were. Every run that comes to its end must have the
    right bytes, and none may begin before where the one before it began."""
    n_stopped = n_resumed = n_whole = n_late = n_wrong = last = 0
    until = time.monotonic() + most_seconds
    while n_stopped < n and time.monotonic() < until:
        number = rng.choice(STOPS)
        process = t.start(*job.command())
        try:
            process.wait(timeout=rng.uniform(0.0, 0.7 * job.seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        begun = time.monotonic()
        _, err = process.communicate(timeout=60)
        n_late += time.monotonic() - begun > 5
        err = err.decode()
        began = record_of(err)
        n_resumed += began > 0
        if process.returncode == 0:
            n_whole += 1
            n_wrong += not job.is_whole()
            job.clear()
            last = 0
            continue
        n_stopped += 1
        if process.returncode not in (e2e.AGAIN, -signal.SIGKILL, -number):
            t.check("a stopped run ends with 75", False, (process.returncode, err))
        if BEGINNING in err or (GOING_ON in err and began < last):
            n_wrong += 1
            print("      lost its way: %s" % err)
        last = max(last, began)
    t.check("%d runs killed or stopped, %d gone on with, %d came to their end" %
            (n_stopped, n_resumed, n_whole), n_stopped > 0 and (n_resumed > 0 or n < 5))
    t.equal("outputs that are not those of an uninterrupted run, or work lost", n_wrong, 0)
    t.equal("signals that took more than 5 s", n_late, 0)
    if job.listing() != []:
        job.finishes("after all of them", says="")
