# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: a command with its input and what it must leave (Scenario), one run
of it on a system that fails (inject.h), and the verdict.

A scenario is prepared in a directory of its own and run there once without a fault: what is there
then, and what came to stdout, is golden. Whatever fails in a later run, these hold:
  - it ends, by itself, with an exit code of the contract's;
  - with 0, all is golden, and nothing else is there;
  - with another, each output is there with its record as it was before or as it is in the golden
    run, or not at all; an output without its record is there only beside the marked lock file that
    tells the next run; stdout holds a beginning of the golden one; stderr says what failed;
  - the same command again, without a fault, gives all that is golden.
"""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
VOLATILE = ("started", "finished", "seconds", "shared", "resumed")  # of a commit record
RECORD = ".meta.json"
TIMEOUT = 60


def snapshot(top):
    """{relative path: content} of all below `top`, records without what differs from run to run."""
    found = {}
    for directory, names, files in os.walk(top):
        for name in names:
            found[os.path.relpath(os.path.join(directory, name), top) + "/"] = None
        for name in files:
            path = os.path.join(directory, name)
            data = e2e.read(path)
            if name.endswith(RECORD):
                try:
                    record = json.loads(data)
                    data = {k: v for k, v in record.items() if k not in VOLATILE}
                    data.get("input", {}).pop("mtime_ns", None)
                except (ValueError, AttributeError):
                    pass  # half a record: it equals nothing
            found[os.path.relpath(path, top)] = data
    return found


class Scenario:
    """A command. `arguments` are those of wader with {work} and {inputs} for the two directories;
    `prepare(work)` makes what is there before; `codes` are the exit codes that a fault may give
    beside those of its kind; `succeeds` is the exit code without a fault; of the directory `whole`
    all is there or nothing; `repeated` is the exit code where all is there already, if another."""

    def __init__(self, t, name, arguments, prepare=None, stdin=b"", inputs=None, succeeds=e2e.OK,
                 codes=(), whole=None, repeated=None):
        self.t, self.name, self.arguments = t, name, arguments
        self.stdin, self.succeeds, self.codes, self.whole = stdin, succeeds, set(codes), whole
        self.repeated, self.template = repeated, None
        if prepare is not None:
            self.template = t.directory()
            prepare(self.template)
        self.inputs = t.directory()
        for file, data in (inputs or {}).items():
            e2e.write(self.inputs, file, data)
        work = self.fresh()
        self.before = snapshot(work)
        done = self.run(work)
        self.golden, self.stdout = snapshot(work), done.out
        t.check("%s: without a fault" % name, done.code == succeeds, done)
        shutil.rmtree(work)

    def fresh(self):
        work = self.t.directory()
        if self.template is not None:
            shutil.copytree(self.template, work, dirs_exist_ok=True)
        return work

    def command(self, work):
        return [a.format(work=work, inputs=self.inputs) for a in self.arguments]

    def run(self, work, env=None, **kwargs):
        return self.t.run(*self.command(work), stdin=self.stdin, env=env, timeout=TIMEOUT, **kwargs)

    # ---- one run with a fault

    def environment(self, plan, callers, file):
        env = {"LD_PRELOAD": self.t.args.inject, "FAULT": plan, "FAULT_FILE": file}
        if callers is not None:
            env["FAULT_CALLERS"] = callers
        return env

    def with_fault(self, plan, callers=None):
        """(result, what fired or "", directory)"""
        work = self.fresh()
        file = os.path.join(self.t.scratch, "fired-" + os.path.basename(work))
        result = self.run(work, self.environment(plan, callers, file))
        told = e2e.read(file).decode() if os.path.exists(file) else ""
        if told:
            os.remove(file)
        fired = [line for line in told.split("\n") if line.startswith("fired")]
        return result, "; ".join(fired), work

    def calls(self, callers=None):
        """How many calls of each kind a run without a fault makes."""
        work = self.fresh()
        file = os.path.join(self.t.scratch, "calls-" + os.path.basename(work))
        self.run(work, self.environment("", callers, file))
        counts = re.findall(r" (\w+)=(\d+)", e2e.read(file).decode())
        os.remove(file)
        shutil.rmtree(work)
        return {kind: int(n) for kind, n in counts}

    # ---- the verdict

    def leftovers(self, state):
        return [n for n in state if n not in self.before and n not in self.golden]

    def outputs(self, state):
        """What is wrong with what is there after a run that failed; "" if nothing."""
        if self.whole is not None:
            part, before, golden = ({n: data for n, data in s.items() if n.startswith(self.whole)}
                                    for s in (state, self.before, self.golden))
            if part not in (before, golden):
                return "%s is not whole" % self.whole
        for name in sorted(set(self.before) | set(self.golden) | set(state)):
            if name.endswith(RECORD) or name not in state:
                if name.endswith(RECORD) and name in state and name[:-len(RECORD)] not in state:
                    return "%s: a record without its output" % name
                continue
            data, record = state[name], state.get(name + RECORD)
            is_golden = name in self.golden and data == self.golden[name]
            is_before = name in self.before and data == self.before[name]
            if not is_golden and not is_before:
                if name in self.before or name in self.golden:
                    return "%s: neither what was there nor what should be" % name
                continue  # a leftover
            if name + RECORD not in self.golden and name + RECORD not in self.before:
                continue  # of no output
            if record is None and is_before and name + RECORD not in self.before:
                continue
            lock = os.path.join(os.path.dirname(name), ".%s.lock" % os.path.basename(name))
            if record is None and not state.get(lock):
                return "%s: without its record, and no lock tells" % name
            if record is not None and not (
                    (is_golden and record == self.golden.get(name + RECORD)) or
                    (is_before and record == self.before.get(name + RECORD))):
                return "%s: the record is another's" % name
        return ""

    def judge(self, result, work, codes, words=(), may_leave=False, may_succeed=True,
              must_succeed=False):
        """What is wrong with a run, "" if nothing; `codes` a fault of this kind may give, `words`
        of which one is to be on stderr then."""
        state = snapshot(work)
        if not isinstance(result.code, int):
            return "hangs"
        if result.code < 0:
            return "crashes"
        if result.code == self.succeeds:
            if not may_succeed and self.succeeds == e2e.OK:
                return "succeeds"
            if result.out != self.stdout:
                return "exit %d with another stdout" % result.code
            wrong = [n for n in self.golden if state.get(n, 0) != self.golden[n]]
            extra = [n for n in self.leftovers(state) + [
                n for n in state if n in self.before and n not in self.golden]]
            if wrong or (extra and not may_leave):
                return "exit %d, but wrong: %s; left behind: %s" % (result.code, wrong, extra)
            return self.again(work, state)
        if must_succeed:
            return "is not invisible"
        if result.code not in codes | self.codes:
            return "exit code %d, not of %s" % (result.code, sorted(codes | self.codes))
        wrong = self.outputs(state)
        if wrong:
            return wrong
        kept = [n for n in self.leftovers(state) if not (n.endswith(".lock") and state[n])]
        if kept and not may_leave:
            return "left behind: %s" % kept
        if result.code != e2e.PIPE:
            if "wader: error: " not in result.err:
                return "says no error"
            if words and not any(w.lower() in result.err.lower() for w in words):
                return "does not say any of %s" % list(words)
        if not self.stdout.startswith(result.out):
            return "stdout is no beginning of the golden one"
        return self.again(work, state)

    def again(self, work, state):
        """The same command without a fault; needless where all is as it was before."""
        if state in (self.before, self.golden):
            return ""
        result = self.run(work)
        if self.repeated is not None and self.golden.items() <= state.items():
            good = result.code == self.repeated and self.golden.items() <= snapshot(work).items()
            return "" if good else "and again: %s" % result
        if result.code != self.succeeds or snapshot(work) != self.golden:
            return "and again: %s; there is %s" % (result, sorted(snapshot(work)))
        if result.out not in (self.stdout, b""):
            return "and again: another stdout"
        return ""


def where(t, fired):
    """The source line of a call that fired, where there is a tool that tells."""
    found = re.search(r" wader\+0x([0-9a-f]+)", fired)
    if not found or shutil.which("addr2line") is None:
        return fired
    told = subprocess.run(["addr2line", "-f", "-e", t.wader, found.group(1)], check=False,
                          capture_output=True, text=True).stdout.split()
    return fired + " in " + told[0] if told else fired


def options(parser):
    parser.add_argument("--inject", default=os.environ.get("WADER_INJECT"),
                        help="the library that makes calls fail")
    parser.add_argument("--full", action="store_true", help="every call, not a share of them")
    parser.add_argument("--only", help="the scenarios whose name this regex finds")


def need_inject(t):
    if t.args.inject is None or not os.path.exists(t.args.inject):
        e2e.skip("without --inject LIBRARY; a build with sanitizers has none")
    t.args.inject = os.path.abspath(t.args.inject)
