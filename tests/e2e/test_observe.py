#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--report and --metrics: there from the start, true at the end, however the run ends, and never in
the place of a file that is not theirs. promtool is asked too where there is one.

usage: test_observe.py --wader PATH
"""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

SERIES = re.compile(r'^(wader_[a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} ([0-9.]+)$')


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def report_of(path):
    return json.loads(e2e.read(path))


def metrics_of(t, path):
    """{name{labels but run}: value}; every line is looked at."""
    found, described = {}, set()
    for line in e2e.read(path).decode().splitlines():
        if line.startswith("#"):
            described.add(line.split()[2])
            continue
        match = SERIES.match(line)
        if not match or match.group(1) not in described:
            t.check("a line of metrics", False, line)
            continue
        labels = re.sub(r'^run="[^"]*",?', "", match.group(2))
        key = match.group(1) + ("{%s}" % labels if labels else "")
        t.check("once: " + key, key not in found) if key in found else None
        found[key] = float(match.group(3))
    return found


def check_promtool(t, path):
    if shutil.which("promtool") is None:
        print("SKIP  promtool is not here")
        return
    with open(path, "rb") as file:
        done = subprocess.run(["promtool", "check", "metrics"], stdin=file, capture_output=True,
                              text=True, check=False)
    t.check("promtool has nothing to say", done.returncode == 0 and not done.stdout + done.stderr,
            done.stdout + done.stderr)


class Place:
    """A directory with the two files' names, and the options that name them."""

    def __init__(self, t):
        self.directory = t.directory()
        self.report = os.path.join(self.directory, "run.json")
        self.metrics = os.path.join(self.directory, "night.prom")
        self.options = ["--report", self.report, "--metrics", self.metrics]


def test_whole(t):
    place = Place(t)
    data = b'{"id":1,"title":"gold"}\n{"id":2}\n{"id":3,"title":"\xff"}\nbad\n'
    first = e2e.write(place.directory, "a.jsonl", data)
    second = e2e.write(place.directory, "b.txt.gz", e2e.gzip_bytes(b"oil \xf0\x9f\x98\x80\n" * 300))
    out = os.path.join(place.directory, "out")
    args = ["--max-bad", "50%", "--scores", "all", "-o", out, first, second]
    t.exits("a run", t.label(*place.options, *args, env={"WADER_THREADS": "1"}), e2e.OK)
    report, metrics = report_of(place.report), metrics_of(t, place.metrics)
    t.equal("state", [report[k] for k in ("wader_report", "state", "command", "exit_code",
                                          "error")], [1, "done", "label", 0, None])
    t.equal("options and who gave them",
            [report["options"][k] for k in ("scores", "threads", "on-bad", "max-length")],
            [{"value": "all", "from": "flag"}, {"value": 1, "from": "environment"},
             {"value": "row", "from": "default"}, {"value": None, "from": "default"}])
    t.equal("every option of help is there", sorted(report["options"]), sorted(
        set(re.findall(r"^  (?:-\w, |    )--([\w-]+)", t.run("help", "label").out.decode(), re.M))))
    t.equal("arguments", report["arguments"], [first, second])
    t.equal("rows", {k: v for k, v in report["rows"].items() if k != "bad_by_kind"},
            {"in": 304, "out": 304, "labelled": 302, "truncated": 0, "abstained": 0,
             "ill_formed_utf8": 1, "bad": 2})
    t.equal("bad rows by kind", {k: v for k, v in report["rows"]["bad_by_kind"].items() if v},
            {"missing_title": 1, "bad_json": 1})
    ids = t.run("tokenize", "-m", e2e.MODEL, stdin="oil \U0001f600\ngold\n\ufffd\n".encode()).out
    counts = [len(line.split()) for line in ids.splitlines()]
    t.equal("tokens", report["tokens"], 300 * counts[0] + counts[1] + counts[2])
    with open(os.path.join(e2e.MODEL, "vocab.txt"), encoding="utf-8") as file:
        unknown = str(file.read().split("\n").index("[UNK]"))
    wanted = sum(line.split().count(unknown.encode()) * n
                 for line, n in zip(ids.splitlines(), (300, 1, 1)))
    t.check("there are unknown tokens", wanted >= 300, ids)
    t.equal("unknown tokens", report["unknown_tokens"], wanted)
    for part, names in (("model", {"config.json", "model.safetensors"}),
                        ("tokenizer", {"tokenizer.json", "tokenizer_config.json", "vocab.txt"})):
        files = report[part]["files"]
        t.equal("%s: its files" % part, {f["name"] for f in files}, names)
        for one in files:
            whole = e2e.read(os.path.join(e2e.MODEL, one["name"]))
            t.equal(one["name"], (one["nbytes"], one["sha256"]), (len(whole), sha256(whole)))
    t.equal("outputs", report["outputs"], {"planned": 2, "not_begun": 0, "done": 2,
                                           "already_done": 0, "stopped": 0, "failed": 0})
    for one, path in zip(report["files"], (first, second)):
        record = json.loads(e2e.read(one["output"] + ".meta.json"))
        t.equal("%s: input, state and record" % path, (one["input"], one["state"], one["record"]),
                (path, "done", record))
        t.equal("the model is the record's", (report["model"]["sha256"],
                                              report["tokenizer"]["sha256"]),
                (record["model"]["sha256"], record["model"]["tokenizer_sha256"]))
    t.check("times, machine, device, program", report["seconds"] > 0 and
            report["titles_per_s"] > 0 and report["machine"]["processors"] > 0 and
            report["device"]["precision"] == "fp32" and report["wader"]["compiler"] and
            re.match(r"[0-9a-f]{40}(-dirty)?$|unknown$", report["wader"]["commit"]), report)
    t.equal("metrics: rows", (metrics['wader_rows_total{status="ok"}'],
                              metrics['wader_rows_total{status="missing_title"}'],
                              metrics["wader_records_read_total"]), (302, 1, 304))
    nbytes = os.path.getsize(first) + os.path.getsize(second)
    t.equal("metrics: bytes", (metrics["wader_input_bytes"],
                               metrics["wader_input_read_bytes_total"]), (nbytes, nbytes))
    t.equal("metrics: the end", (metrics["wader_run_exit_code"], metrics["wader_run_active"],
                                 metrics["wader_tokens_total"],
                                 metrics['wader_outputs{state="done"}']),
            (0, 0, report["tokens"], 2))
    t.check("metrics: the success is now", abs(
        metrics["wader_run_last_success_timestamp_seconds"] - time.time()) < 60)
    check_promtool(t, place.metrics)
    t.exits("again", t.label(*place.options, *args), e2e.OK, "done already")
    t.equal("again: already done", report_of(place.report)["outputs"]["already_done"], 2)
    succeeded = metrics_of(t, place.metrics)["wader_run_last_success_timestamp_seconds"]
    t.exits("one that fails", t.label(*place.options, *args, place.directory + "/nowhere.txt"),
            e2e.INPUT)
    report, metrics = report_of(place.report), metrics_of(t, place.metrics)
    t.equal("failed", (report["state"], report["exit_code"], report["outputs"]["failed"]),
            ("failed", 3, 1))
    t.equal("failed: where", report["files"][2]["error"]["file"], place.directory + "/nowhere.txt")
    t.equal("failed: metrics", (metrics["wader_run_exit_code"], succeeded),
            (3, metrics["wader_run_last_success_timestamp_seconds"]))
    t.equal("nothing else is left", e2e.listing(place.directory),
            ["a.jsonl", "b.txt.gz", "night.prom", "out", "run.json"])


def test_failures(t):
    place = Place(t)
    for what, args, code in (("no such model", ["-m", place.directory], e2e.UNUSABLE),
                             ("no such input", ["-m", e2e.MODEL, "@nowhere"], e2e.INPUT),
                             ("two to stdout", ["-m", e2e.MODEL, "a", "b"], e2e.USAGE)):
        result = t.run("label", *place.options, *args)
        report = report_of(place.report)
        t.equal(what, (result.code, report["exit_code"], report["state"]),
                (code, code, "failed"))
        t.check("%s: the message" % what, report["error"]["message"] in result.err, report)
    data = b"gold\noil\n"
    t.exits("to stdout", t.label(*place.options, "-q", stdin=data), e2e.OK)
    stream = report_of(place.report)["files"][0]["stream"]
    rows = t.label("-q", stdin=data).out
    t.equal("to stdout: hashes", (stream["input_sha256"], stream["output_sha256"],
                                  stream["output_nbytes"]), (sha256(data), sha256(rows), len(rows)))
    result = t.label("--on-bad", "fail", "--input-format", "jsonl", *place.options,
                     stdin=b'{"id":1,"title":"a"}\n{}\n')
    error = report_of(place.report)["error"]
    t.equal("a bad record: its place", (result.code, error["file"], error["record"], error["byte"]),
            (e2e.INPUT, "stdin", 2, 21))


def test_names(t):
    place = Place(t)
    mine = e2e.write(place.directory, "mine.json", '{"title":"gold"}\n')
    for flag in ("--report", "--metrics"):
        t.exits("%s of another file" % flag, t.label(flag, mine, stdin=b"x\n"), e2e.USAGE, mine,
                "already")
        t.exits("%s of a directory" % flag, t.label(flag, place.directory, stdin=b"x\n"), e2e.USAGE)
        t.exits("%s of a device" % flag, t.label(flag, "/dev/null", stdin=b"x\n"), e2e.USAGE)
        t.exits("%s nowhere" % flag, t.label(flag, mine + "/x", stdin=b"x\n"), e2e.IO, flag)
        result = t.label(flag, place.directory + "/new", stdin=b"x\n", env={"WADER_QUIET": "1"},
                         preexec_fn=e2e.file_size_limit(100))
        t.exits("%s: a full disk" % flag, result, e2e.IO, flag, "too large")
        t.equal("%s: before a row was written" % flag, result.out, b"")
    t.equal("another file is untouched", e2e.read(mine), b'{"title":"gold"}\n')
    t.equal("an empty name is none", t.label("--report", "", stdin=b"x\n").code, e2e.OK)
    t.equal("nothing is left", e2e.listing(place.directory), ["mine.json"])
    for one, other in (("both", "both"), ("b", "./b")):
        t.exits("one name for both files", t.label("--report", one, "--metrics", other,
                                                   stdin=b"x\n", cwd=place.directory), e2e.USAGE,
                "two names")
    place = Place(t)
    source = e2e.write(place.directory, "a.txt", "gold\n")
    out = os.path.join(place.directory, "out.jsonl")
    for flag in ("--report", "--metrics"):
        for name in ("out.jsonl", "./out.jsonl.meta.json", "out.jsonl.rejects.jsonl.gz",
                     ".out.jsonl.scores", ".out.jsonl.journal", ".out.jsonl.lock"):
            path = os.path.join(place.directory, name)
            t.exits("%s %s" % (flag, name), t.label(flag, path, "-o", out, source), e2e.USAGE,
                    "the output's")
            os.remove(path)
    t.equal("nothing was labelled", e2e.listing(place.directory), ["a.txt"])
    t.exits("a longer name", t.label("--report", out + ".report", "-o", out, source), e2e.OK)


def begin(t, place, *more):
    """A filter that has answered one line."""
    process = t.start("label", "-m", e2e.MODEL, *place.options, *more, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
    process.stdin.write(b"gold\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


def test_during(t):
    place = Place(t)
    process = begin(t, place)
    report, metrics = report_of(place.report), metrics_of(t, place.metrics)
    t.equal("running", (report["state"], report["exit_code"], metrics["wader_run_active"],
                        "wader_run_exit_code" in metrics), ("running", None, 1, False))
    check_promtool(t, place.metrics)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)
    process.communicate()
    report, metrics = report_of(place.report), metrics_of(t, place.metrics)
    t.equal("stopped", (process.returncode, report["state"], report["exit_code"],
                        report["outputs"]["stopped"], metrics["wader_run_exit_code"],
                        report["rows"]["labelled"]), (75, "stopped", 75, 1, 75, 1))
    process = begin(t, place)
    process.kill()
    process.communicate(timeout=30)
    t.equal("killed: it says that it runs", report_of(place.report)["state"], "running")
    process = begin(t, place)
    shutil.rmtree(place.directory)
    err = process.communicate(b"oil\n", timeout=30)[1].decode()
    t.check("the directory goes meanwhile: exit 4, and rows are whole",
            process.returncode == e2e.IO and "--report: " in err and "--metrics: " in err and
            "all outputs are complete" in err, (process.returncode, err))


def test_every_5_seconds(t, long_place, long_run):
    until = time.monotonic() + 30
    metrics = metrics_of(t, long_place.metrics)
    while metrics['wader_rows_total{status="ok"}'] == 0 and time.monotonic() < until:
        time.sleep(0.2)
        metrics = metrics_of(t, long_place.metrics)
    t.equal("metrics of a run that goes on", (metrics['wader_rows_total{status="ok"}'],
                                              metrics["wader_run_active"]), (1, 1))
    long_run.communicate(b"oil\n", timeout=30)
    t.equal("and at its end", metrics_of(t, long_place.metrics)['wader_rows_total{status="ok"}'], 2)


def test_share_and_retry(t):
    place = Place(t)
    path = e2e.write(place.directory, "a.txt", b"gold\n")
    out = os.path.join(place.directory, "out")
    t.exits("an empty share", t.label(*place.options, "--shard", "1/2", "-o", out + "/", path),
            e2e.OK, "nothing to do")
    report = report_of(place.report)
    t.equal("an empty share: its report", (report["state"], report["files"], report["model"]),
            ("done", [], None))
    rejects = os.path.join(place.directory, "r.jsonl")
    t.exits("rejects", t.label("--on-bad", "reject", "--max-bad", "9", "-o", rejects,
                               e2e.write(place.directory, "b.jsonl", b'{"id":1,"name":"gold"}\n')),
            e2e.OK)
    result = t.run("retry", "-m", e2e.MODEL, *place.options, "--title-field", "name", "-o",
                   os.path.join(place.directory, "again.jsonl"), rejects + ".rejects.jsonl.gz")
    report = report_of(place.report)
    t.equal("retry", (result.code, report["command"], report["rows"]["labelled"]),
            (e2e.OK, "retry", 1))


def main():
    t = e2e.Suite(__doc__)
    long_place = Place(t)
    long_run = begin(t, long_place)
    for test in (test_whole, test_failures, test_names, test_during, test_share_and_retry):
        test(t)
    test_every_5_seconds(t, long_place, long_run)
    t.finish()


main()
