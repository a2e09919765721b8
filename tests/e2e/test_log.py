#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--log-format json: every line on stderr is an object with time, level, event and message, in
every command and at every end; errors tell file, record, byte and exit code. --config and the
environment, as the program takes them.

usage: test_log.py --wader PATH
"""
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
LEVELS = {"note": "info", "progress": "info", "file": "info", "summary": "info",
          "warning": "warning", "bad_record": "warning", "ill_formed_utf8": "warning",
          "stopped": "info", "error": "error"}


PATIENCE = 30.0  # seconds: far more than anything takes on a busy machine


def await_handler(process):
    """Until the program listens to SIGTERM."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with open("/proc/%d/status" % process.pid, encoding="ascii") as file:
            caught = int(re.search(r"SigCgt:\s*(\w+)", file.read()).group(1), 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.02)


def lines_of(t, what, text):
    """The objects on stderr."""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            t.check("%s: a line of JSON" % what, False, line)
            continue
        one = found[-1]
        good = (TIME.match(one.get("time", "")) and one["message"] and
                LEVELS.get(one["event"]) == one["level"])
        if not good:
            t.check("%s: time, level, event, message" % what, False, line)
    t.check("%s: %d lines of JSON" % (what, len(found)), found, text)
    return found


def one_of(t, what, lines, event, **wanted):
    chosen = [line for line in lines if line["event"] == event]
    good = any(all(line.get(k) == v for k, v in wanted.items()) for line in chosen)
    t.check("%s: %s with %s" % (what, event, wanted), good, chosen)
    return chosen[-1] if chosen else {}


def test_rows(t):
    data = b'{"id":1,"title":"gold"}\n{"id":2}\n{"id":3,"title":"\xff"}\n' + b'{"id":4}\n'
    path = e2e.write(t.directory(), "a.jsonl", data)
    args = ["--log-format", "json", "--max-bad", "9"]
    result = t.label(*args, path)
    lines = lines_of(t, "label", result.err)
    t.equal("stdout is rows alone", len(e2e.parse_rows(result.out)), 4)
    one_of(t, "label", lines, "bad_record", file=path, record=2, byte=24, status="missing_title")
    one_of(t, "label", lines, "ill_formed_utf8", file=path, record=3, byte=33)
    one_of(t, "label", lines, "summary", titles=2, bad=2, ill_formed_utf8=1, output=None)
    one_of(t, "label", lines_of(t, "--on-bad fail", t.label(*args, "--on-bad", "fail", path).err),
           "error", file=path, record=2, byte=24, exit_code=e2e.INPUT)
    t.equal("the same rows without it", t.label("--max-bad", "9", path).out, result.out)
    result = t.label(path)
    t.exits("text says the same", result, e2e.ROWS,
            "wader: warning: %s: record 2 at byte 24" % path, "wader: error: ")


def test_damage(t):
    directory = t.directory()
    whole = e2e.gzip_bytes(b"gold\n" * 500)
    paths = {"cut": whole[:-20], "crc": whole[:-8] + b"\1\2\3\4" + whole[-4:],
             "more": whole + b"x"}
    for name, data in paths.items():
        path = e2e.write(directory, name + ".txt.gz", data)
        lines = lines_of(t, name, t.label("--log-format=json", path).err)
        error = one_of(t, name, lines, "error", file=path, exit_code=e2e.INPUT)
        at = re.search(r"compressed byte (\d+)", error.get("message", ""))
        t.equal("%s: the byte" % name, error.get("compressed_byte"), at and int(at.group(1)))
    good = e2e.write(directory, "good.txt", b"gold\n")
    out = os.path.join(directory, "out")
    result = t.label("--log-format=json", "-o", out, os.path.join(directory, "cut.txt.gz"), good)
    lines = lines_of(t, "several inputs", result.err)
    one_of(t, "several inputs", lines, "file", files=2, file_number=2, titles=1,
           output=os.path.join(out, "good.labels.jsonl.gz"))
    t.equal("several inputs: both errors",
            [line["exit_code"] for line in lines if line["event"] == "error"], [3, 3])


def test_usage(t):
    for what, args, code in (("an option", ["label", "--log-format", "json", "--what"], e2e.USAGE),
                             ("before it", ["label", "--what", "--log-format=json"], e2e.USAGE),
                             ("no model", ["label", "-m", "no", "--log-format=json"], e2e.UNUSABLE),
                             ("info", ["info", "-m", "no", "--log-format=json"], e2e.UNUSABLE),
                             ("diff", ["diff", "a", "b", "--log-format=json"], e2e.INPUT)):
        result = t.run(*args)
        one_of(t, what, lines_of(t, what, result.err), "error", exit_code=result.code)
        t.equal("%s: exit code" % what, result.code, code)
    result = t.run("label", "--what", env={"WADER_LOG_FORMAT": "json"})
    one_of(t, "the environment", lines_of(t, "the environment", result.err), "error", exit_code=2)


def test_signal(t):
    process = t.start("label", "-m", e2e.MODEL, "--log-format=json", "--progress", "tty",
                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(b"gold\n")
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=PATIENCE)
    err = process.stderr.read().decode()
    process.stdin.close()
    process.stdout.close()
    lines = lines_of(t, "SIGTERM", err)
    one_of(t, "SIGTERM", lines, "stopped")
    t.equal("SIGTERM: exit code", process.returncode, e2e.AGAIN)
    # A bench has nothing to save: its way out is a signal handler's.
    process = t.start("bench", "-m", e2e.MODEL, "--log-format=json", "--seconds", "20",
                      stdout=subprocess.DEVNULL)
    await_handler(process)
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=PATIENCE)[1].decode()
    stopped = [json.loads(line) for line in err.splitlines()]
    t.check("SIGTERM of bench", process.returncode == e2e.AGAIN and stopped and
            stopped[-1]["event"] == "stopped" and stopped[-1]["exit_code"] == 75, err)


def test_terminal(t):
    process = t.start("label", "-m", e2e.MODEL, "--progress", "tty", "--log-format", "text",
                      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.stdin.write(b"gold\n")
    process.stdin.flush()
    err, until = b"", time.monotonic() + PATIENCE
    while b"\r\033[Kwader: " not in err and time.monotonic() < until:
        if select.select([process.stderr], [], [], 1.0)[0]:
            err += os.read(process.stderr.fileno(), 4096)
    t.check("text on a terminal: in place", b"\r\033[Kwader: " in err, err)
    process.communicate(timeout=PATIENCE)


def test_config(t):
    directory = t.directory()
    config = e2e.write(directory, "wader.conf",
                       "# nightly\nmodel = %s\nlog-format = json\n[label]\nscores = all\n"
                       % e2e.MODEL)
    result = t.run("label", "--config", config, stdin=b"gold\n")
    t.check("--config: model and scores", "scores" in e2e.parse_rows(result.out)[0], result)
    lines_of(t, "--config", result.err)
    t.equal("WADER_CONFIG", t.run("label", env={"WADER_CONFIG": config}, stdin=b"gold\n").out,
            result.out)
    t.check("a flag wins", "scores" not in e2e.parse_rows(
        t.run("label", "--config", config, "--scores=top", stdin=b"gold\n").out)[0])
    t.check("the environment wins", "logits" in e2e.parse_rows(
        t.run("label", "--config", config, env={"WADER_SCORES": "logits"},
              stdin=b"gold\n").out)[0])
    t.exits("no file is read that is not named", t.run("label", cwd=directory), e2e.USAGE,
            "--model DIR is required")
    wrong = e2e.write(directory, "wrong.conf", "model = x\nthread = 3\n")
    t.exits("a wrong line", t.run("label", "--config", wrong), e2e.USAGE,
            "%s: line 2: thread: no such option" % wrong)
    t.exits("a file that is not there", t.run("label", "--config", wrong + "x"), e2e.USAGE,
            "No such file")


def main():
    t = e2e.Suite(__doc__)
    for test in (test_rows, test_damage, test_usage, test_signal, test_terminal, test_config):
        test(t)
    t.finish()


main()
