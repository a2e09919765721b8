# SPDX-License-Identifier: Apache-2.0
"""A Slurm of two nodes with two processors and two GPUs each, all on this host, from Debian's
packages: its own munged, slurmctld and slurmds, under one directory, on free ports. As root."""
import os
import shutil
import signal
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")
SETTINGS = {
    "ClusterName": "test", "SlurmUser": "root", "SlurmdUser": "root", "AuthType": "auth/munge",
    "CredType": "cred/munge", "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none", "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core", "SwitchType": "switch/none", "MpiDefault": "none",
    "SchedulerType": "sched/backfill", "MailProg": "/bin/true", "ReturnToService": "2",
    "SchedulerParameters": "bf_interval=2,sched_interval=2,batch_sched_delay=0",
    "SlurmdTimeout": "5", "KillWait": "6", "MinJobAge": "600", "GresTypes": "gpu",
    "SlurmdParameters": "config_overrides", "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
}
NODES = ("n1", "n2")


def with_sbin(env):
    return {**env, "PATH": env.get("PATH", "/usr/bin") + ":/usr/sbin:/sbin"}


def missing():
    """Why no cluster can be had here, "" if one can."""
    path = with_sbin(os.environ)["PATH"]
    lacking = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if lacking:
        return "no %s (apt-get install slurm-wlm munge)" % ", ".join(lacking)
    return "" if os.getuid() == 0 else "a cluster on one host takes root"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment_of(pid):
    try:
        with open("/proc/%s/environ" % pid, "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def parent_of(pid):
    try:
        with open("/proc/%s/stat" % pid, encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Cluster:
    def __init__(self, directory, **settings):
        self.directory = directory
        self.conf = os.path.join(directory, "slurm.conf")
        self.daemons = {}  # name: process
        self.waiting = {}  # job: since when
        self.env = with_sbin({**os.environ, "SLURM_CONF": self.conf})
        self._write(settings)
        munged = ["munged", "--foreground", "--force", "--key-file=munge.key",
                  "--socket=" + self._path("munge.socket"), "--pid-file=munge.pid",
                  "--log-file=munge.log", "--seed-file=munge.seed"]
        self._start("munged", [a.replace("=munge", "=" + self._path("munge")) for a in munged])
        self._wait(lambda: os.path.exists(self._path("munge.socket")), 10, "munged")
        self._start("slurmctld", ["slurmctld", "-D"])
        for node in NODES:
            self.start_node(node)
        self._wait(lambda: self.states().count("idle") == len(NODES), 30, "the nodes")

    def _path(self, name):
        return os.path.join(self.directory, name)

    def _write(self, settings):
        host = socket.gethostname().split(".")[0]
        lines = ["%s=%s" % item for item in {**SETTINGS, **settings}.items()]
        lines += ["SlurmctldHost=%s(127.0.0.1)" % host, "SlurmctldPort=%d" % free_port(),
                  "AuthInfo=socket=" + self._path("munge.socket"),
                  "StateSaveLocation=" + self._path("state"),
                  "SlurmdSpoolDir=" + self._path("spool.%n"),
                  "SlurmctldPidFile=" + self._path("slurmctld.pid"),
                  "SlurmdPidFile=" + self._path("slurmd.%n.pid"),
                  "SlurmctldLogFile=" + self._path("slurmctld.log"),
                  "SlurmdLogFile=" + self._path("slurmd.%n.log")]
        gres = ["AutoDetect=off"]
        for node in NODES:
            os.makedirs(self._path("spool." + node))
            lines.append("NodeName=%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=2 "
                         "RealMemory=4000 Gres=gpu:2" % (node, host, free_port()))
            gres.append("NodeName=%s Name=gpu File=%s[0-1]" % (node, self._path("gpu")))
        lines += ["PartitionName=main Nodes=n[1-2] Default=YES PriorityTier=1 GraceTime=6",
                  "PartitionName=high Nodes=n[1-2] PriorityTier=10"]
        os.makedirs(self._path("state"))
        for i in range(2):
            os.mknod(self._path("gpu%d" % i), 0o20666, os.makedev(1, 3))  # twins of /dev/null
        for name, text in (("slurm.conf", lines), ("gres.conf", gres)):
            with open(self._path(name), "w", encoding="ascii") as file:
                file.write("\n".join(text) + "\n")
        with open(self._path("munge.key"), "wb") as file:
            os.fchmod(file.fileno(), 0o400)
            file.write(os.urandom(1024))

    def _start(self, name, command):
        with open(self._path(name + ".out"), "ab") as out:
            self.daemons[name] = subprocess.Popen(command, env=self.env, stdout=out, stderr=out,
                                                  stdin=subprocess.DEVNULL)

    def _wait(self, condition, seconds, what):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("%s: not there within %d s; see %s" %
                                   (what, seconds, self.directory))
            time.sleep(0.1)

    def run(self, *command):
        return subprocess.run(command, env=self.env, capture_output=True, text=True,
                              check=False).stdout.strip()

    def states(self):
        return self.run("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split("\n")

    def start_node(self, node):
        self._start(node, ["slurmd", "-D", "-N", node])

    def processes(self, node):
        """Of the jobs on a node, those that watch over them last."""
        wanted = {b"SLURMD_NODENAME=" + node.encode(), b"SLURM_CONF=" + self.conf.encode()}
        jobs = [int(pid) for pid in os.listdir("/proc")
                if pid.isdigit() and wanted <= set(environment_of(pid))]
        watchers = {parent_of(pid) for pid in jobs} - set(jobs) - {0, 1}
        return jobs + sorted(watchers - {process.pid for process in self.daemons.values()})

    def kill_node(self, node):
        """The power goes: the node's daemon, and all of its jobs at the same moment."""
        everything = [self.daemons[node].pid] + self.processes(node)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in everything:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        self.daemons.pop(node).wait()
        return len(everything) - 1

    def freeze(self, node, number=signal.SIGSTOP):
        """The node's daemon no longer answers; its jobs go on. SIGCONT: it is back."""
        self.daemons[node].send_signal(number)

    def jobs(self):
        """{job_task: (state, node)} of all that wait or run."""
        lines = self.run("squeue", "-h", "-r", "-o", "%i %T %N").split("\n")
        return {words[0]: (words[1], words[2] if words[2:] else "")
                for words in (line.split() for line in lines) if words}

    def release(self):
        """Requeued jobs are held back for two minutes; here for three seconds, since a node does
        not start what it was told to end within the same one ("already killed")."""
        now, waiting = time.monotonic(), self.waiting
        self.waiting = {job: waiting.get(job, now) for job, (state, _) in self.jobs().items()
                        if state == "PENDING"}
        for job, since in self.waiting.items():
            if now - since > 3:
                self.run("scontrol", "update", "jobid=" + job, "starttime=now")

    def stop(self):
        self.run("scancel", "--full", "--signal=KILL", "--user=root")
        for node in NODES:
            for pid in self.processes(node):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for process in self.daemons.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.daemons.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
