#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host/engines/nightly: a night is published whole, in one rename, or not at all."""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import catalogs  # noqa: E402
from catalogs import TINY_MODEL as MODEL  # noqa: E402
from catalogs import e2e  # noqa: E402

SCRIPT = os.path.join(catalogs.ENGINES, "nightly")
OTHER_MODEL = os.path.join(e2e.GOLDEN, "bert_small")
DRIFT = 7


class Nights:
    def __init__(self, t):
        self.t, self.root, self.inputs = t, t.directory(), t.directory()
        catalogs.make(self.inputs, 3, 70)

    def command(self, name, *options, model=MODEL):
        named = [] if name is None else ["-n", name]
        return ["sh", SCRIPT, *named, *options, model, self.root, self.inputs]

    def run(self, name, *options, env=None, model=MODEL, inputs=None):
        command = self.command(name, *options, model=model)
        done = subprocess.run(command[:-1] + [inputs or self.inputs], capture_output=True,
                              env=self.t.environment({"WADER": self.t.wader, **(env or {})}),
                              timeout=120, check=False)
        return e2e.Result(done.returncode, done.stdout, done.stderr, 0)

    def published(self):
        path = os.path.join(self.root, "current")
        return os.readlink(path) if os.path.islink(path) else None

    def path(self, *names):
        return os.path.join(self.root, *names)

    def has_journal(self, night):
        return any(name.endswith(".journal") for name in os.listdir(self.path(night)))

    def change(self, every):
        """Another title in every so-many-th record."""
        for name in os.listdir(self.inputs):
            path = os.path.join(self.inputs, name)
            lines = e2e.gunzip_bytes(e2e.read(path)).splitlines(keepends=True)
            for i in range(0, len(lines), every):
                head, _, _ = lines[i].partition(b', "title"')
                lines[i] = head + b', "title": "Changed since %d"}\n' % i
            e2e.write(self.inputs, name, e2e.gzip_bytes(b"".join(lines)))


class Reader(threading.Thread):
    """Looks at what is published all the time: it must be a whole night."""

    def __init__(self, nights):
        super().__init__(daemon=True)
        self.nights, self.n_looks, self.faults, self.ended = nights, 0, [], False
        self.seen = []

    def run(self):
        while not self.ended:
            name = self.nights.published()
            if not os.path.exists(self.nights.path("current", "_SUCCESS")):
                self.faults.append(name)
            if name not in self.seen:
                self.seen.append(name)
            self.n_looks += 1
            time.sleep(0.001)


def test_nights(t):
    nights = Nights(t)
    t.exits("the first night", nights.run("d1"), e2e.OK, "first night", "published")
    t.equal("is published", (nights.published(), e2e.listing(nights.root)),
            ("d1", [".lock", "current", "d1", "d1.json"]))
    reader = Reader(nights)
    reader.start()
    nights.change(100)
    result = nights.run("d2")
    t.exits("one title of a hundred is another", result, e2e.OK, "published")
    page = e2e.read(nights.path("d2.html")).decode()
    t.check("the page tells", "</html>" in page and "d1" in page and "d2" in page)
    t.check("stdout tells too", b"flips" in result.out or b"another label" in result.out,
            result.out)
    t.equal("is published", nights.published(), "d2")
    golden = catalogs.label_here(t, nights.inputs, MODEL)
    catalogs.is_same(t, "the night", nights.path("current"), golden)
    t.exits("the same again", nights.run("d2"), e2e.OK, "published already")
    before = e2e.read(nights.path("d2", "_SUCCESS"))
    nights.change(2)
    t.exits("another catalog under that name", nights.run("d2"), e2e.USAGE, "another name")
    t.equal("touches nothing", e2e.read(nights.path("d2", "_SUCCESS")), before)
    other = {"model": OTHER_MODEL}
    result = nights.run("d3", "-g", "flips>2%", **other)
    t.exits("another model: a gate", result, DRIFT, "flips>2%", "d3.html")
    t.equal("nothing is published", nights.published(), "d2")
    t.check("but labelled, and drawn", os.path.exists(nights.path("d3", "_SUCCESS")) and
            os.path.exists(nights.path("d3.html")))
    t.exits("a gate that does not trip, and one that does",
            nights.run("d3", "-g", "rows<90%", "-g", "flips>1%", **other), DRIFT, "1 of 2 gates")
    t.exits("a gate that is none", nights.run("d3", "-g", "tea>2", **other), e2e.USAGE, "tea")
    t.equal("nothing is published", nights.published(), "d2")
    t.exits("looked at, and let pass", nights.run("d3", "-a", **other), e2e.OK, "published")
    t.equal("is published", nights.published(), "d3")
    reader.ended = True
    reader.join()
    t.equal("a reader saw whole nights only, at each of %d looks" % reader.n_looks,
            (reader.faults, reader.seen), ([], ["d1", "d2", "d3"]))
    return nights


def test_failures(t, nights):
    def stays(what, result, code, *words):
        t.exits(what, result, code, *words)
        t.equal("%s: the night before stays" % what, nights.published(), "d3")

    damaged = t.directory()
    for name in e2e.listing(nights.inputs):
        shutil.copy(os.path.join(nights.inputs, name), damaged)
    os.truncate(os.path.join(damaged, "part01.jsonl.gz"), 900)
    stays("an input that is cut", nights.run("d4", inputs=damaged), e2e.INPUT, "part01")
    t.check("leaves no _SUCCESS", not os.path.exists(nights.path("d4", "_SUCCESS")))
    e2e.write(nights.path("d4"), "stranger.labels.jsonl.gz", b"")
    stays("something foreign among the outputs", nights.run("d4"), e2e.ROWS, "in the way")
    shutil.rmtree(nights.path("d4"))
    stays("no model", nights.run("d4", model="/no/model"), e2e.UNUSABLE, "/no/model")
    os.truncate(nights.path("d3", "part00.labels.jsonl.gz"), 100)
    stays("what is published was damaged", nights.run("d4"), e2e.INPUT, "part00")
    shutil.rmtree(nights.path("d3"))
    shutil.copytree(nights.path("d4"), nights.path("d3"))
    with open(nights.path(".lock"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stays("another night at work", nights.run("d4"), e2e.LOCKED, "at work")
    for name in ("", "a/b", "current", "-x", ".x"):
        t.exits("a night called %r" % name, nights.run(name), e2e.USAGE)
    root = nights.root
    nights.root = t.directory()
    os.symlink("gone", nights.path("current"))
    t.exits("a link that leads nowhere", nights.run("d1"), e2e.INPUT, "leads to no night")
    os.remove(nights.path("current"))
    os.mkdir(nights.path("current"))
    t.exits("no link", nights.run("d1"), e2e.USAGE, "no symbolic link")
    nights.root = root


def stop_early(t, nights, whole):
    """How a night ended that was told to stop while a file was half done."""
    shutil.rmtree(nights.path("d1"), ignore_errors=True)
    os.mkdir(nights.path("d1"))
    env = t.environment({"WADER": t.wader, "WADER_CHECKPOINT_SECONDS": "0", "WADER_THREADS": "1"})
    process = subprocess.Popen(nights.command("d1"), env=env, stderr=subprocess.PIPE,
                               start_new_session=True)
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None and not nights.has_journal("d1"):
        time.sleep(0.005)
    try:
        (os.killpg if whole else os.kill)(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it was quicker
    begun = time.monotonic()
    _, err = process.communicate(timeout=30)
    return e2e.Result(process.returncode, b"", err, time.monotonic() - begun)


def test_stopped(t, whole):
    """A signal to the script alone, and to all of its processes, as systemd and Slurm do it."""
    nights = Nights(t)
    catalogs.make(nights.inputs, 3, 3000)
    for _ in range(6):  # where it came between two files, or behind the last, once more
        result = stop_early(t, nights, whole)
        if result.code != e2e.OK and nights.has_journal("d1"):
            break
        if nights.published():
            os.remove(nights.path("current"))
    what = "SIGTERM to %s" % ("all" if whole else "the script")
    t.exits(what, result, e2e.AGAIN, "same command again")
    t.check("%s: within 5 s" % what, result.seconds < 5, result.seconds)
    t.check("%s: saved, and nothing published" % what, nights.published() is None and
            nights.has_journal("d1"), e2e.listing(nights.root))
    # Without its name: it may be another day by now.
    t.exits("%s: the same night again" % what, nights.run(None if whole else "d1"), e2e.OK,
            "going on behind record")
    t.equal("%s: is published" % what, nights.published(), "d1")
    t.check("%s: and over" % what, not os.path.exists(nights.path(".begun")))
    if whole:
        e2e.write(nights.root, ".begun", b"d1\n")  # as if killed a moment after it was published
        t.exits("a night behind it", nights.run(None), e2e.OK)
        t.check("is another one", nights.published() != "d1", nights.published())


def test_previous(t):
    """A night takes the scores of the one that is published, and computes what changed."""
    nights = Nights(t)
    t.exits("a first night", nights.run("d1"), e2e.OK)
    nights.change(10)
    # A share of flips that no gate minds.
    t.exits("a second one", nights.run("d2", "-g", "flips>100%"), e2e.OK)
    told = {night: [json.loads(e2e.read(nights.path(night, name))).get("previous")
                    for name in os.listdir(nights.path(night)) if name.endswith(".meta.json")]
            for night in ("d1", "d2")}
    t.equal("the first had none before it", told["d1"], [None] * 3)
    t.equal("7 of 70 titles of each input were computed by the second", told["d2"],
            [{"reused": 63, "changed": 7, "new": 0}] * 3)
    result = t.run("label", "--model", MODEL, "-o", nights.path("whole"), nights.inputs)
    t.exits("all of it computed", result, e2e.OK)
    for name in os.listdir(nights.path("whole")):
        if name.endswith(".gz"):
            t.check("%s has the same bytes" % name, e2e.read(nights.path("whole", name)) ==
                    e2e.read(nights.path("d2", name)))


def main():
    t = e2e.Suite(__doc__)
    if not shutil.which("flock"):
        e2e.skip("no flock (util-linux)")
    nights = test_nights(t)
    test_failures(t, nights)
    test_stopped(t, False)
    test_stopped(t, True)
    test_previous(t)
    t.finish()


main()
