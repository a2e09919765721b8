#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader merge`: _SUCCESS stands beside outputs that are all there and whole, and no others."""
import fcntl
import hashlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")


class Job:
    """Three inputs and a directory of their outputs."""

    def __init__(self, t, *args):
        self.t, self.inputs, self.out = t, t.directory(), t.directory()
        for i in range(3):
            titles = e2e.random_titles(i + 7, 20 + i)
            e2e.write(self.inputs, "%d.jsonl" % i, e2e.titled(titles))
        self.success = self.out + "/_SUCCESS"
        self.label(*args)

    def label(self, *args, inputs=None):
        return self.t.run("label", "--model", MODEL, "-o", self.out, *args, inputs or self.inputs)

    def merge(self, *args):
        return self.t.run("merge", *args, self.out, self.inputs)

    def merged(self):
        return os.path.exists(self.success)


def rows_of(job):
    names = sorted(n for n in os.listdir(job.out) if n.endswith(".gz") or n.endswith(".tsv"))
    return {n: e2e.read_output(os.path.join(job.out, n)) for n in names}


def histogram(rows):
    counts = {}
    for data in rows.values():
        for row in e2e.parse_rows(data):
            if row["label"] is not None:
                counts[row["label"]] = counts.get(row["label"], 0) + 1
    return counts


def test_success(t):
    job = Job(t)
    result = job.merge()
    t.exits("merge", result, e2e.OK)
    t.check("says what it wrote", b"_SUCCESS: 3 outputs, 63 rows" in result.out, result.out)
    told, rows = json.loads(e2e.read(job.success)), rows_of(job)
    lines = "".join("%s  %s\n" % (hashlib.sha256(d).hexdigest(), n) for n, d in rows.items())
    t.equal("files and rows", (told["files"], told["rows"]["in"], told["rows"]["out"],
                               told["verified"]), (3, 63, 63, "full"))
    t.equal("each output", [(o["name"], o["rows"], o["sha256"]) for o in told["outputs"]],
            [(n, d.count(b"\n"), hashlib.sha256(d).hexdigest()) for n, d in rows.items()])
    t.equal("the hash over hashes is that of sha256sum's lines", told["sha256"],
            hashlib.sha256(lines.encode()).hexdigest())
    t.equal("labels are counted", told["labels"], histogram(rows))
    record = json.loads(e2e.read(job.out + "/0.labels.jsonl.gz.meta.json"))
    t.equal("model and settings are the records'", (told["model"]["sha256"], told["settings"]),
            (record["model"]["sha256"], record["settings"]))
    t.equal("bytes", told["nbytes"], sum(map(len, rows.values())))
    before = e2e.read(job.success)
    t.exits("again", job.merge(), e2e.OK)
    t.equal("the same", e2e.read(job.success), before)
    t.exits("without inputs", t.run("merge", job.out), e2e.OK)
    t.exits("with -o", t.run("merge", "-o", job.out, job.inputs), e2e.OK)
    t.exits("a run over what is merged", job.label(), e2e.OK, "done already")
    t.equal("changes nothing", e2e.read(job.success), before)
    t.exits("--quick", job.merge("--quick"), e2e.OK)
    told = json.loads(e2e.read(job.success))
    t.equal("tells that it was quick", (told["verified"], "labels" in told), ("quick", False))
    report = json.loads(job.merge("--json").out)
    t.equal("--json", (report["merged"], report["outputs"], report["faults"]), (True, 3, 0))
    t.equal("nothing else is left", [n for n in e2e.listing(job.out) if n[0] == "."], [])
    tsv = Job(t, "--output-format", "tsv", "--header")
    t.exits("TSV", t.run("merge", "--output-format", "tsv", tsv.out, tsv.inputs), e2e.OK)
    t.equal("has the same labels", json.loads(e2e.read(tsv.success))["labels"], histogram(rows))


def faults(job):
    """What can be wrong, and a word of what is said of it."""
    def path(name):
        return os.path.join(job.out, name)

    def cut():
        os.truncate(path("1.labels.jsonl.gz"), 40)

    def other():
        one = job.inputs + "/1.jsonl"
        job.t.exits("labelled otherwise", job.label("--scores", "all", inputs=one), e2e.OK)

    return (("an output that is missing", lambda: os.remove(path("1.labels.jsonl.gz")), "missing"),
            ("a record that is missing", lambda: os.remove(path("1.labels.jsonl.gz.meta.json")),
             "missing"),
            ("both", lambda: [os.remove(path("1.labels.jsonl.gz" + s)) for s in ("", ".meta.json")],
             "missing"),
            ("an output that is cut", cut, "partial"),
            ("another setting", other, "differs"),
            ("an input that changed", lambda: e2e.write(job.inputs, "1.jsonl", "{}\n"), "differs"),
            ("an input more", lambda: e2e.write(job.inputs, "1x.jsonl", "{}\n"), "missing"),
            ("an output more", lambda: [shutil.copy(path("0.labels.jsonl.gz" + s),
                                                    path("1x.labels.jsonl.gz" + s))
                                        for s in ("", ".meta.json")], "stranger"))


def test_refused(t):
    for quick in ([], ["--quick"]):
        for i in range(len(faults(None))):
            job = Job(t)
            t.exits("merged before", job.merge(), e2e.OK)
            what, damage, word = faults(job)[i]
            damage()
            result = job.merge(*quick)
            what = "%s%s" % (what, " (quick)" if quick else "")
            t.exits("refused: " + what, result, e2e.ROWS, "no _SUCCESS")
            named = [line for line in result.out.decode().splitlines() if line.startswith(word)]
            t.check("%s: named once" % what, len(named) == 1 and "/1" in named[0], result.out)
            t.check("%s: the old _SUCCESS is gone" % what, not job.merged())
    job = Job(t)
    with open(job.out + "/.0.labels.jsonl.gz.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = job.merge()
        t.exits("a run that works on one", result, e2e.ROWS, "no _SUCCESS")
        t.check("is told", b"running" in result.out, result.out)
    e2e.write(job.out, "_SUCCESS", "")
    for command in ("merge", "label"):
        code = (job.merge() if command == "merge" else job.label("--scores", "all")).code
        t.equal("%s and another program's _SUCCESS" % command, (code, e2e.read(job.success)),
                (e2e.USAGE if command == "merge" else e2e.OK, b""))
    t.exits("no directory", t.run("merge", "/no/such"), e2e.INPUT, "/no/such")
    t.exits("an empty one", t.run("merge", t.directory()), e2e.ROWS, "nothing to merge")
    t.exits("none", t.run("merge"), e2e.USAGE, "-o OUT")
    job = Job(t)
    result = t.run("merge", job.out, job.inputs, preexec_fn=e2e.file_size_limit(100))
    t.exits("no room for _SUCCESS", result, e2e.IO, "_SUCCESS")
    t.equal("nothing half written", [n for n in os.listdir(job.out) if "SUCCESS" in n], [])


def test_withdrawn(t):
    """Whatever changes an output takes _SUCCESS away first."""
    for what, change, args, withdrawn in (
            ("nothing", lambda job: None, [], False),
            ("an input", lambda job: e2e.write(job.inputs, "1.jsonl", e2e.titled(["new"])), [],
             True),
            ("settings", lambda job: None, ["--scores", "all"], True),
            ("an output that was lost", lambda job: os.remove(job.out + "/1.labels.jsonl.gz"), [],
             True),
            ("a run that fails", lambda job: e2e.write(job.inputs, "1.jsonl", "\n" * 9), [],
             False)):
        job = Job(t)
        job.merge()
        change(job)
        job.label(*args)
        t.equal("label after a change of %s: _SUCCESS is withdrawn" % what, not job.merged(),
                withdrawn)


def main():
    t = e2e.Suite(__doc__)
    for test in (test_success, test_refused, test_withdrawn):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
