#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host/engines/parallel on GNU parallel: shares that fail, are killed and stopped, and the same
command again; and wader as a filter of its --pipe."""
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import catalogs  # noqa: E402
from catalogs import TINY_MODEL as MODEL  # noqa: E402
from catalogs import e2e  # noqa: E402

SCRIPT = os.path.join(catalogs.ENGINES, "parallel", "label")


class Bench:
    def __init__(self, t, n_rows):
        self.t, self.inputs, self.out = t, t.directory(), t.directory()
        self.logs = t.directory()
        self.log = os.path.join(self.logs, "job log")
        catalogs.make(self.inputs, 4, n_rows)
        self.env = t.environment({"WADER": t.wader, "WADER_THREADS": "1",
                                  "WADER_CHECKPOINT_SECONDS": "0"})

    def command(self, *options):
        return ["nice", "-n", "3", SCRIPT, "-n", "4", "-l", self.log, *options, "--model", MODEL,
                "-o", self.out, self.inputs]

    def start(self, *options):
        return subprocess.Popen(self.command(*options), env=self.env, start_new_session=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *options):
        process = self.start(*options)
        out, err = process.communicate(timeout=120)
        return e2e.Result(process.returncode, out, err, 0)

    def lines(self):
        """[(share, exit code, signal)] of the log."""
        words = [line.split("\t") for line in e2e.read(self.log).decode().splitlines()[1:]]
        return [(int(w[0]) - 1, int(w[6]), int(w[7])) for w in words]

    def publish(self, what, golden):
        self.t.exits("%s: merge" % what, self.t.run("merge", self.out, self.inputs), e2e.OK)
        catalogs.is_same(self.t, what, self.out, golden)

    def journals(self):
        """The inputs that are half done, and saved so far."""
        return {name[1:].partition(".")[0] for name in os.listdir(self.out)
                if name.endswith(".journal")}

    def waders(self):
        """{share: pid} of the runs of wader that are at work."""
        found = {}
        for pid in os.listdir("/proc"):
            try:
                words = e2e.read("/proc/%s/cmdline" % pid).decode().split("\0")
                exe = os.readlink("/proc/%s/exe" % pid)
            except OSError:
                continue
            if exe == os.path.realpath(self.t.wader) and self.out in words:
                found[words[words.index("--shard") + 1]] = int(pid)
        return found


def test_resume_failed(t):
    bench = Bench(t, 300)
    golden = catalogs.label_here(t, bench.inputs, MODEL)
    whole = e2e.read(os.path.join(bench.inputs, "part02.jsonl.gz"))
    e2e.write(bench.inputs, "part02.jsonl.gz", whole[:2000])
    result = bench.run("-j", "2")
    t.exits("an input that is cut", result, e2e.ROWS, "share 2 ended with 3", "part02")
    t.equal("the others are done", sorted(bench.lines()),
            [(0, 0, 0), (1, 0, 0), (2, 3, 0), (3, 0, 0)])
    e2e.write(bench.inputs, "part02.jsonl.gz", whole)
    t.exits("the same again, with the input whole", bench.run(), e2e.OK)
    t.equal("ran that share alone", bench.lines()[4:], [(2, 0, 0)])
    bench.publish("GNU parallel", golden)
    t.exits("the same again has nothing to do", bench.run(), e2e.OK)
    t.equal("and starts nothing", len(bench.lines()), 5)


def test_gpus(t):
    bench = Bench(t, 2)
    fake = e2e.write(t.directory(), "wader", "#!/bin/sh\necho $CUDA_VISIBLE_DEVICES $3\nsleep .2\n")
    os.chmod(fake, 0o755)
    bench.env["WADER"] = fake
    result = bench.run("-g", "2")
    t.exits("two GPUs", result, e2e.OK)
    lines = sorted(line.split() for line in result.out.decode().splitlines())
    t.equal("one a run, all shares", (sorted({gpu for gpu, _ in lines}), sorted(
        share for _, share in lines)), (["0", "1"], ["%d/4" % i for i in range(4)]))
    t.exits("no log", e2e.Result(subprocess.run(
        [SCRIPT, "--model", MODEL], capture_output=True, check=False).returncode, b"", b"", 0),
        e2e.USAGE)


def test_stopped(t):
    """One run killed, then all of it told to stop: the same command goes on."""
    bench = Bench(t, 10000)
    golden = catalogs.label_here(t, bench.inputs, MODEL)
    process = bench.start("-j", "2")
    until = time.monotonic() + 60
    while "part01" not in bench.journals() and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(bench.waders()["1/4"], signal.SIGKILL)
    while bench.journals() < {"part01", "part02"} and process.poll() is None and \
            time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    _, err = process.communicate(timeout=60)
    t.exits("a run killed, then SIGTERM", e2e.Result(process.returncode, b"", err, 0), e2e.AGAIN,
            "run it again")
    t.check("within 5 s", time.monotonic() - begun < 5, time.monotonic() - begun)
    t.equal("none lives on", bench.waders(), {})
    result = bench.run()
    t.exits("the same again", result, e2e.OK)
    t.check("went on where they were", "going on behind record" in result.err, result.err)
    bench.publish("killed and stopped", golden)


def test_filter(t):
    """zcat ... | parallel --pipe -k wader label: the rows of one run."""
    bench = Bench(t, 500)
    data = b"".join(e2e.gunzip_bytes(e2e.read(os.path.join(bench.inputs, name)))
                    for name in e2e.listing(bench.inputs))
    whole = t.label("--input-format", "jsonl", "--threads", "1", model=MODEL, stdin=data)
    command = ["parallel", "--will-cite", "--pipe", "-k", "-j2", "--block", "20k", t.wader, "label",
               "-q", "--threads", "1", "--input-format", "jsonl", "--model", MODEL]
    done = subprocess.run(command, input=data, capture_output=True, env=t.environment(),
                          check=False)
    t.check("parallel --pipe -k gives the rows of one run", done.returncode == 0 and
            done.stdout == whole.out and len(whole.out) > 5 * 20000, done.stderr[-500:])
    done = subprocess.run(command[:-1] + ["/no/model"], input=data, capture_output=True,
                          env=t.environment(), check=False)
    t.check("and tells of runs that failed", done.returncode != 0)


def main():
    t = e2e.Suite(__doc__)
    if not shutil.which("parallel"):
        e2e.skip("no GNU parallel (apt-get install parallel)")
    test_resume_failed(t)
    test_gpus(t)
    test_stopped(t)
    test_filter(t)
    t.finish()


main()
