#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host/engines/spark on a real Spark, of two executors in processes of their own: one of them, and
wader itself, are killed in the middle; and a wader that fails is noticed. A few minutes; part of
`tests/run engines`; needs Java 17, and PySpark (400 MB, installed into --venv)."""
import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import catalogs  # noqa: E402
import packages  # noqa: E402
from catalogs import DEMO_MODEL, e2e  # noqa: E402

SCRIPT = os.path.join(catalogs.ENGINES, "spark", "label.py")
CLUSTER = "local-cluster[2,1,1024]"


class Bench:
    def __init__(self, t):
        self.t, self.inputs, self.work = t, t.directory(), t.directory()
        self.names = catalogs.make(self.inputs, 4, 2500)
        self.starts = os.path.join(self.work, "starts")
        # Leaves a line for each start.
        self.program = e2e.write(self.work, "wader", "#!/bin/sh\necho $$ $PPID >>%s\n"
                                 "exec %s \"$@\"\n" % (self.starts, t.wader))
        os.chmod(self.program, 0o755)
        self.golden = self._golden()

    def _golden(self):
        directory = catalogs.label_here(self.t, self.inputs, DEMO_MODEL)
        return b"".join(e2e.read_output(os.path.join(directory, name))
                        for name in sorted(catalogs.outputs(directory)))

    def started(self):
        """[(pid of wader, pid of the Python worker that started it)]"""
        if not os.path.exists(self.starts):
            return []
        return [tuple(map(int, line.split())) for line in
                e2e.read(self.starts).decode().splitlines()]

    def submit(self, out, script=SCRIPT, wader=None, n_files=4):
        submit = os.path.join(os.path.dirname(sys.executable), "spark-submit")
        command = ["nice", "-n", "5", submit, "--master", CLUSTER,
                   "--conf", "spark.ui.enabled=false", script, "--wader", wader or self.program,
                   "--model", DEMO_MODEL,
                   *(os.path.join(self.inputs, name) for name in self.names[:n_files]), out]
        with open(os.path.join(self.work, "log"), "wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env={
                **self.t.environment(), "PYSPARK_PYTHON": sys.executable,
                "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": self.work})

    def log(self):
        return e2e.read(os.path.join(self.work, "log")).decode("utf-8", "replace")


def rows_of(directory):
    parts = sorted(n for n in os.listdir(directory) if n.startswith("part-"))
    return b"".join(gzip.decompress(e2e.read(os.path.join(directory, n))) for n in parts)


def executor_of(pid):
    """The JVM above a Python worker."""
    while pid > 1:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            if b"CoarseGrainedExecutorBackend" in file.read():
                return pid
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
    return 0


def kill_some(bench, killed):
    """The first wader that is at work is killed; then the JVM of the next one, with all in it."""
    until, n = time.monotonic() + 800, 0
    while len(killed) < 2 and time.monotonic() < until:
        time.sleep(0.02)
        for pid, worker in bench.started()[n:]:
            n += 1
            time.sleep(0.7)  # it writes rows by now
            try:
                if not killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.append("wader %d" % pid)
                elif executor_of(worker):
                    executor = executor_of(worker)
                    os.kill(executor, signal.SIGKILL)
                    killed.append("executor %d, above wader %d" % (executor, pid))
            except (ProcessLookupError, FileNotFoundError):
                continue
            break


def test_killed(t, bench):
    out, killed = os.path.join(bench.work, "out"), []
    process = bench.submit(out)
    killer = threading.Thread(target=kill_some, args=(bench, killed), daemon=True)
    killer.start()
    code = process.wait(timeout=900)
    print("      killed: " + "; ".join(killed))
    t.equal("wader and an executor were killed", len(killed), 2)
    t.check("the job ends with 0 all the same", code == 0, bench.log()[-2000:])
    t.check("tasks were tried again (%d starts of 4 tasks)" % len(bench.started()),
            len(bench.started()) > 5)
    t.check("Spark lost an executor", "Lost executor" in bench.log())
    t.check("the rows of one machine, byte for byte", rows_of(out) == bench.golden)
    t.check("Spark's _SUCCESS stands there", os.path.exists(os.path.join(out, "_SUCCESS")))


def test_failing(t, bench):
    """Half of the rows, then exit code 1: Spark must not take them for all."""
    half = e2e.write(bench.work, "half", "#!/bin/sh\n%s \"$@\" | head -n 1000\nexit 1\n" % t.wader)
    os.chmod(half, 0o755)
    out = os.path.join(bench.work, "failed")
    code = bench.submit(out, wader=half, n_files=1).wait(timeout=900)
    t.check("a wader that fails ends the job (%s)" % code, code != 0)
    t.check("no _SUCCESS, no parts", not os.path.exists(os.path.join(out, "_SUCCESS")) and not [
        n for n in os.listdir(out) if n.startswith("part-")])
    script = e2e.read(SCRIPT).decode()
    t.check("label.py says checkCode=True", ", checkCode=True)" in script)
    unchecked = e2e.write(bench.work, "unchecked.py", script.replace(", checkCode=True)", ")"))
    code = bench.submit(out + ".unchecked", unchecked, half, 1).wait(timeout=900)
    rows = rows_of(out + ".unchecked").count(b"\n")
    t.equal("without it Spark says all is well, with the rows it has", (code, rows), (0, 1000))


def main():
    t = e2e.Suite(__doc__, lambda parser: parser.add_argument(
        "--venv", help="where PySpark is, or is installed to"))
    if not shutil.which("java"):
        e2e.skip("no java")
    pyspark = packages.use("pyspark", t.args.venv)
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    print("PySpark %s, %s" % (pyspark.__version__, java.splitlines()[0]))
    bench = Bench(t)
    test_killed(t, bench)
    test_failing(t, bench)
    t.finish()


main()
