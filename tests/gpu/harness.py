# SPDX-License-Identifier: Apache-2.0
"""Stages with time limits: what a stage needs to run programs, to say what it sees and to end as
passed, failed or skipped, while the others go on. The results are on disk after every stage."""
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback

PASSED, FAILED, SKIPPED = "passed", "FAILED", "SKIPPED"
MARGIN = 4  # seconds that are kept for the end
TAIL, TAIL_FAILED = 6000, 40000  # characters of a program's output that the log keeps


class Skip(Exception):
    """Why a stage cannot say anything here."""


class Fail(Exception):
    """What is wrong; the stage's figures so far are kept."""


class Done:
    """How a program ended; code is None when its time was up."""

    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.out, self.err, self.seconds = argv, code, out, err, seconds

    def how(self):
        return "its time was up" if self.code is None else f"exit {self.code}"

    def last_line(self):
        """The line that tells most: the first error and what follows it, else the last line."""
        out, err = ([line.strip() for line in text.splitlines() if line.strip()]
                    for text in (self.out, self.err))
        for lines in (err, out):
            for i, line in enumerate(lines):
                if re.search(r"\berror\b|\bFAIL", line, re.IGNORECASE):
                    # Without the compiler's command line, which tells nobody anything.
                    return " ".join(text for text in lines[i:i + 4] if len(text) < 300)
        return (err or out or ["no output"])[-1]


def end_group(process):
    """Ends a program and what it started; it leads a process group of its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            pass


class Harness:
    def __init__(self, out, budget, facts):
        self.out, self.begun = out, time.monotonic()
        self.deadline = self.begun + budget - MARGIN
        self.stage_deadline = self.deadline
        os.makedirs(out, exist_ok=True)
        self.log = open(os.path.join(out, "gpu.log"), "w", encoding="utf-8", errors="replace")
        self.results = {**facts, "budget_s": budget, "stages": []}
        self.figures = {}
        self.processes = []
        signal.signal(signal.SIGTERM, self.interrupted)

    def interrupted(self, number, _frame):
        self.results["interrupted"] = signal.Signals(number).name
        self.write()
        for process in self.processes:
            end_group(process)
        sys.exit(1)

    def say(self, text="", quiet=False):
        for line in str(text).splitlines() or [""]:
            stamp = f"{time.monotonic() - self.begun:7.1f}  "
            self.log.write(stamp + line + "\n")
            if not quiet:
                print(stamp + line, flush=True)
        self.log.flush()

    def left(self):
        """Seconds that the stage still has."""
        return self.stage_deadline - time.monotonic()

    # ---- programs

    def start(self, argv, **kwargs):
        """A program in the background, in a group of its own."""
        self.say("$ " + " ".join(map(str, argv)), quiet=True)
        process = subprocess.Popen([str(a) for a in argv], start_new_session=True, text=True,
                                   errors="replace", **kwargs)
        self.processes.append(process)
        return process

    def finish(self, process, limit=None):
        """Waits for a program; its output is kept in the log, the end of it."""
        begun = time.monotonic()
        wait = max(0.1, min(self.left(), limit if limit is not None else self.left()))
        try:
            out, err = process.communicate(timeout=wait)
            code = process.returncode
        except subprocess.TimeoutExpired:
            end_group(process)
            out, err = process.communicate()
            code = None
        self.processes.remove(process)
        done = Done(process.args, code, out or "", err or "", time.monotonic() - begun)
        for text in (done.out, done.err):
            if text.strip():
                self.say(text[-(TAIL if code == 0 else TAIL_FAILED):].rstrip(), quiet=True)
        self.say(f"-> {done.how()} after {done.seconds:.1f} s", quiet=True)
        return done

    def call(self, argv, limit=None, **kwargs):
        kwargs.setdefault("stdout", subprocess.PIPE)
        kwargs.setdefault("stderr", subprocess.PIPE)
        return self.finish(self.start(argv, **kwargs), limit)

    def need(self, argv, limit=None, **kwargs):
        """A program that must succeed."""
        done = self.call(argv, limit, **kwargs)
        if done.code != 0:
            name = os.path.basename(str(argv[0]))
            raise Fail(f"{name} {argv[1] if len(argv) > 1 else ''}: {done.how()}: "
                       f"{done.last_line()[:300]}")
        return done

    # ---- stages

    def stage(self, name, function, limit, least, blocked=None):
        """Runs function(figures) -> headline. `least`: seconds below which there is no point in
        beginning. `blocked`: why it is to be skipped."""
        begun = time.monotonic()
        figures, status, headline = {}, PASSED, ""
        self.say(f"== {name}")
        self.stage_deadline = min(self.deadline, begun + limit)
        try:
            if blocked:
                raise Skip(blocked)
            if self.deadline - begun < least:
                left = max(0, self.deadline - begun)
                raise Skip(f"{left:.0f} s of the budget are left, it wants {least}")
            headline = function(figures) or ""
        except Skip as why:
            status, headline = SKIPPED, str(why)
        except Fail as why:
            status, headline = FAILED, str(why)
        except Exception as why:  # a stage that breaks must not take the others along
            status, headline = FAILED, f"{type(why).__name__}: {why}"
            self.say(traceback.format_exc(), quiet=True)
        seconds = time.monotonic() - begun
        self.figures[name] = figures
        self.results["stages"].append({"stage": name, "status": status, "what": headline,
                                       "seconds": round(seconds, 2), "figures": figures})
        self.say(f"{status}  {name}, {seconds:.1f} s: {headline}")
        self.write()
        return status

    def write(self):
        path = os.path.join(self.out, "gpu.json")
        with open(path + ".new", "w", encoding="utf-8") as stream:
            json.dump(self.results, stream, indent=1)
            stream.write("\n")
        os.replace(path + ".new", path)

    def status(self, name):
        return next((s["status"] for s in self.results["stages"] if s["stage"] == name), None)
