#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host/engines/slurm on a real Slurm: nodes lost, time limits, preemption, scancel, attempts that
live on. A few minutes; part of `tests/run engines`, as root, with slurm-wlm and munge."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import catalogs  # noqa: E402
import slurm_cluster  # noqa: E402
from catalogs import DEMO_MODEL, ENGINES, e2e  # noqa: E402

BACKFILL = os.path.join(ENGINES, "slurm", "backfill")
N_FILES, N_ROWS = 8, 2500
NO_LOCKS = "int flock(int fd, int how) { (void)fd; (void)how; return 0; }\n"


class Job:
    """A backfill of the catalog. Each start of wader in a task leaves a line in `starts`."""

    def __init__(self, bench, n_shards, *options, preload=""):
        self.bench, self.t, self.n_shards = bench, bench.t, n_shards
        self.options = list(options)
        self.out, self.logs = bench.t.directory(), bench.t.directory()
        self.starts = os.path.join(self.logs, "starts")
        program = e2e.write(self.logs, "wader", "#!/bin/sh\n"
                            "[ -z \"${SLURM_JOB_ID:-}\" ] || [ \"$1\" != label ] || echo "
                            "\"$SLURM_ARRAY_TASK_ID $$ $SLURMD_NODENAME "
                            "gpu=${CUDA_VISIBLE_DEVICES:-none}\" >>%s\n"
                            "%sexec %s \"$@\"\n" % (self.starts, preload, bench.t.wader))
        os.chmod(program, 0o755)
        self.env = {**bench.t.environment(bench.cluster.env), "WADER": program,
                    "WADER_TASK_LOCKED": "1", "SLURM_CONF": bench.cluster.conf}

    def words(self):
        return ["--model", DEMO_MODEL, "--threads", "1", "--checkpoint-seconds", "0", "-o",
                self.out, self.bench.inputs]

    def start(self, *more):
        command = ["nice", "-n", "5", BACKFILL, "--shards", str(self.n_shards), "--no-plan",
                   *more, *self.options, *self.words()]
        return subprocess.Popen(command, env=self.env, cwd=self.logs, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def finish(self, process, seconds=400):
        """Ends the job, however often it is requeued; (exit code, what was said)."""
        until = time.monotonic() + seconds
        while ((process.poll() is None or self.bench.cluster.jobs())
               and time.monotonic() < until):
            self.bench.cluster.release()
            time.sleep(0.3)
        if process.poll() is None:
            process.terminate()
        return process.wait(), process.stdout.read()

    def started(self):
        """[(share, pid, node, gpu)] in order."""
        if not os.path.exists(self.starts):
            return []
        return [tuple(line.split()) for line in e2e.read(self.starts).decode().splitlines()]

    def log(self):
        return "".join(e2e.read(os.path.join(self.logs, name)).decode("utf-8", "replace")
                       for name in sorted(os.listdir(self.logs)) if name.endswith(".log"))

    def journals(self):
        """Files that are being written, and saved as far as they are."""
        return [name for name in os.listdir(self.out) if name.endswith(".journal")]

    def until(self, what, condition, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.t.check("%s, within %d s" % (what, seconds), False,
                             "%s\n%s" % (self.bench.cluster.jobs(), self.log()[-1500:]))
                return False
            time.sleep(0.1)
        return True

    def is_right(self, what, process):
        code, said = self.finish(process)
        self.t.check("%s: backfill ends with 0" % what, code == 0,
                     "%s\n%s\n%s" % (code, said, self.log()[-1500:]))
        catalogs.is_same(self.t, what, self.out, self.bench.golden)

    def restarts(self):
        shares = [start[0] for start in self.started()]
        return len(shares) - len(set(shares))


class Bench:
    def __init__(self, t):
        self.t = t
        self.inputs = t.directory()
        catalogs.make(self.inputs, N_FILES, N_ROWS)
        self.golden = catalogs.label_here(t, self.inputs, DEMO_MODEL)
        self.cluster = None

    def open(self, **settings):
        self.close()
        self.cluster = slurm_cluster.Cluster(self.t.directory(), **settings)

    def close(self):
        if self.cluster is not None:
            self.cluster.stop()
        self.cluster = None


def signal_waders(job, number, *nodes):
    for _, pid, node, _ in job.started():
        if node in (nodes or slurm_cluster.NODES) and os.path.exists("/proc/%s" % pid):
            os.kill(int(pid), number)


def test_plain(bench):
    """Nothing happens; a second call has no work; a damaged input."""
    job = Job(bench, 4, "--sbatch", "--gres=gpu:1 --job-name=plain")
    process = job.start("--wait")
    job.is_right("an array of 4", process)
    gpus = {(node, gpu) for _, _, node, gpu in job.started()}
    bench.t.equal("one GPU a task, four of them", sorted(gpus),
                  [(n, "gpu=%d" % i) for n in slurm_cluster.NODES for i in range(2)])
    before = catalogs.outputs(job.out)
    job.is_right("the same again", job.start())
    bench.t.equal("labels nothing", (job.log().count("done already"), catalogs.outputs(job.out)),
                  (N_FILES, before))
    broken = Job(bench, 4)
    damaged = bench.t.directory()
    for name in os.listdir(bench.inputs):
        shutil.copy(os.path.join(bench.inputs, name), damaged)
    os.truncate(os.path.join(damaged, "part01.jsonl.gz"), 5000)
    words = broken.words()[:-1] + [damaged]
    broken.words = lambda: words
    code, said = broken.finish(broken.start("--wait"))
    bench.t.check("an input that is cut: not published, and told what to run again",
                  code != 0 and "--array=1" in said and not catalogs.hash_of(broken.out), said)
    bench.t.equal("its task was not tried again", broken.restarts(), 0)


def test_node_lost(bench):
    job = Job(bench, 8, "--sbatch", "--gres=gpu:1")
    process = job.start()

    def busy():
        return [job for job, (state, node) in bench.cluster.jobs().items()
                if node == "n2" and state == "RUNNING"]

    job.until("tasks run on n2 and have saved", lambda: len(busy()) > 1 and len(job.journals()) > 2)
    begun = time.monotonic()
    lost = busy()
    n = bench.cluster.kill_node("n2")
    print("      n2 lost with tasks %s, %d processes killed" % (" ".join(lost), n))
    job.until("Slurm takes the node for dead", lambda: not busy(), 90)
    print("      which Slurm saw after %.0f s" % (time.monotonic() - begun))
    job.is_right("a node lost", process)
    bench.t.check("its tasks had another turn (%d)" % job.restarts(), job.restarts() >= len(lost))
    bench.t.check("and went on where they were", "going on behind record" in job.log(), job.log())
    bench.cluster.start_node("n2")
    job.until("n2 is back", lambda: bench.cluster.states().count("idle") == 2)


def test_time_limit(bench, what):
    """Tasks that need longer than their time limit end in several turns. Both are held up until
    Slurm has told them, which is after half a minute, whatever --signal says."""
    job = Job(bench, 2, "--sbatch", "--time=1 --signal=B:TERM@52")
    process = job.start()
    job.until("two run", lambda: len(job.journals()) > 1)
    signal_waders(job, signal.SIGSTOP)
    job.until("both are told", lambda: job.log().count("CANCELLED AT") > 1)
    signal_waders(job, signal.SIGCONT)
    job.is_right("a time limit (%s)" % what, process)
    said = job.log()
    bench.t.check("they took turns (%d)" % (job.restarts() + 2), job.restarts() > 1, said)
    bench.t.check("each began where the one before had stopped",
                  said.count("going on behind record") > 1, said)
    bench.t.equal("no turn more than it asked for", said.count("asking for another turn"),
                  job.restarts())


def test_preempted(bench):
    job = Job(bench, 4)
    process = job.start()
    job.until("four run", lambda: len(job.journals()) > 3)
    signal_waders(job, signal.SIGSTOP)  # until Slurm wakes them to tell them
    bench.cluster.run("sbatch", "-p", "high", "-N2", "--exclusive", "--output=/dev/null",
                      "--wrap=sleep 3")
    job.until("preempted", lambda: not [1 for s, n in bench.cluster.jobs().values()
                                        if s == "RUNNING"] or job.restarts() > 0)
    job.is_right("preempted", process)
    said = job.log()
    bench.t.check("all had another turn (%d)" % job.restarts(), job.restarts() >= 4, said)
    bench.t.check("all had saved, and asked for nothing", "asking for another" not in said and
                  said.count("run the same command again") == 4, said)


def test_cancelled(bench):
    job = Job(bench, 4)
    process = job.start()
    job.until("four run", lambda: len(job.journals()) > 3)
    bench.cluster.run("scancel", "--name=wader-label")
    _, said = job.finish(process)
    bench.t.check("scancel: ends, and publishes nothing", not catalogs.hash_of(job.out), said)
    time.sleep(2)
    bench.t.equal("scancel: nothing comes back", (bench.cluster.jobs(), job.restarts()), ({}, 0))
    bench.t.check("scancel: it was saved", job.journals() and "progress saved" in job.log().lower()
                  or "same command again" in job.log(), job.log())
    job.is_right("scancel, and backfill again", job.start())


def test_alive(bench, preload, what):
    """n2 and its tasks freeze, as with a hypervisor or a network; Slurm takes it for dead. Then
    they live on, beside their successors."""
    job = Job(bench, 4, preload=preload)
    process = job.start()
    job.until("four run", lambda: len(job.journals()) > 3)
    bench.cluster.freeze("n2")
    signal_waders(job, signal.SIGSTOP, "n2")
    n_before = len(job.started())
    frozen = [s[:2] for s in job.started() if s[2] == "n2" and os.path.exists("/proc/" + s[1])]
    until = time.monotonic() + 180
    while len(job.started()) < n_before + len(frozen) and time.monotonic() < until:
        bench.cluster.release()
        time.sleep(0.3)
    time.sleep(2)
    signal_waders(job, signal.SIGCONT, "n2")
    both = sum(os.path.exists("/proc/" + pid) for _, pid in frozen)
    time.sleep(4)
    bench.cluster.freeze("n2", signal.SIGCONT)
    job.is_right("two attempts alive, %s" % what, process)
    bench.t.check("%d of old were alive beside the new" % both, both > 0 and len(frozen) > 0)
    refused = len(re.findall("ended with 5", job.log()))
    print("      ended with 5: %d times; another one took over: %d times" %
          (refused, job.log().count("another run has taken over")))
    if preload:
        bench.t.equal("who was taken for dead asks for no other turn",
                      job.log().count("asking for another turn"), 0)
    else:
        bench.t.check("the lock was met", refused > 0, job.log())


SCENARIOS = (
    ("plain", {}, test_plain),
    ("node_lost", {}, test_node_lost),
    ("time_limit", {}, lambda bench: test_time_limit(bench, "requeued by the script")),
    ("preempted", {}, test_preempted),
    ("cancelled", {}, test_cancelled),
    ("alive", {}, lambda bench: test_alive(bench, "", "locks reach both nodes")),
    ("alive_unlocked", {}, lambda bench: test_alive(
        bench, "[ \"$1\" != label ] || export LD_PRELOAD=%s\n" % no_locks(bench.t),
        "locks end at the node")),
    # A site that requeues by exit code, beside the script that does.
    ("time_limit_by_code", {"RequeueExit": "75"},
     lambda bench: test_time_limit(bench, "and by RequeueExit=75")),
    ("preempted_by_code", {"RequeueExit": "75"}, test_preempted),
)


def no_locks(t):
    library = os.path.join(t.directory(), "libnolock.so")
    source = e2e.write(os.path.dirname(library), "nolock.c", NO_LOCKS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def main():
    t = e2e.Suite(__doc__, lambda parser: (
        parser.add_argument("--only", help="of: " + " ".join(s[0] for s in SCENARIOS)),
        parser.add_argument("--logs", help="a directory to copy Slurm's own logs to")))
    why = slurm_cluster.missing()
    if why:
        e2e.skip(why)
    bench, settings = Bench(t), None
    print(subprocess.run(["slurmctld", "-V"], capture_output=True, text=True, check=True,
                         env=slurm_cluster.with_sbin(os.environ)).stdout.strip())
    try:
        for name, wanted, scenario in SCENARIOS:
            if t.args.only not in (None, name):
                continue
            if wanted != settings:
                bench.open(**wanted)
                settings = wanted
            print("--    %s, %s" % (name, time.strftime("%H:%M:%S")), flush=True)
            scenario(bench)
    finally:
        if t.args.logs and bench.cluster:
            for name in e2e.listing(bench.cluster.directory):
                if name.endswith(".log"):
                    shutil.copy(os.path.join(bench.cluster.directory, name), t.args.logs)
        bench.close()
    t.finish()


main()
