#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What takes root and minutes: small file systems, a power cut on ext4 and xfs, a control group
with no more memory than `wader info` announces, libfaketime. Not in ctest: `tests/run faults`.

A power cut, without hardware: the writer is stopped, the image that the file system lies in is
copied - what the disk held at that moment - and the copy is mounted, which replays the journal.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
import scenarios  # noqa: E402
from faults import e2e  # noqa: E402

DEMO = os.path.join(e2e.ROOT, "data", "model")
CUTS = 30  # of each file system, half of them before a call, half at a random moment


def run(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True)


def mount(*command):
    done = run("mount", *command)
    if done.returncode != 0:
        raise OSError("mount %s: %s" % (" ".join(command), done.stderr))


def umount(path):
    for _ in range(50):
        if run("umount", path).returncode == 0:
            return
        time.sleep(0.1)
    raise OSError("umount %s" % path)


# ---- small file systems

def small_file_system(t, scenario, what, options, words):
    """A tmpfs with those options as the output's directory. Whether the run was done."""
    where = t.directory()
    mount("-t", "tmpfs", "-o", options, "tmpfs", where)
    try:
        scenario_work = os.path.join(where, "w")
        try:
            os.mkdir(scenario_work)
        except OSError:
            return False
        result = scenario.run(scenario_work)
        wrong = scenario.judge(result, scenario_work, {e2e.IO}, words)
        # Again finds no more room than before.
        wrong = "" if wrong.startswith("and again") else wrong
        t.check("%s: exit %s" % (what, result.code), not wrong, "%s %s" % (wrong, result))
        return result.code == e2e.OK
    finally:
        umount(where)


def test_small(t):
    inputs = {x + ".txt": "\n".join(scenarios.titles(3000, t.seed + i)) + "\n"
              for i, x in enumerate("ab")}
    scenario = faults.Scenario(t, "two to a directory", [
        "label", "--threads", "1", "--model", faults.MODEL, "--scores", "all", "-o", "{work}/out",
        "{inputs}"], inputs=inputs)
    done = [small_file_system(t, scenario, "a tmpfs of %d KiB" % kib, "size=%dk" % kib,
                              ("No space left",)) for kib in (8, 16, 32, 64, 128, 256, 512, 2048)]
    t.check("first too little room, then enough", not done[0] and done[-1], done)
    done = [small_file_system(t, scenario, "a tmpfs of %d inodes" % n, "nr_inodes=%d" % n,
                              ("No space left",)) for n in range(2, 12)]
    t.check("first too few inodes, then enough", not done[0] and done[-1], done)
    where = t.directory()
    mount("-t", "tmpfs", "-o", "ro", "tmpfs", where)
    result = scenario.run(where)
    umount(where)
    t.exits("a read-only file system", result, e2e.IO, "Read-only")


# ---- power cuts

class Disk:
    """An image with a file system, and the place where it is mounted."""

    def __init__(self, t, kind):
        self.kind, self.top = kind, t.directory()
        self.image, self.empty, self.copy = (os.path.join(self.top, x)
                                             for x in ("image", "empty", "copy"))
        self.where = os.path.join(self.top, "mnt")
        os.mkdir(self.where)
        with open(self.empty, "wb") as file:
            file.truncate(320 << 20)
        done = run("mkfs." + kind, *(("-q", "-F") if kind == "ext4" else ("-q", "-f")), self.empty)
        if done.returncode != 0:
            raise OSError(done.stderr)

    def snapshot(self, source, target):
        subprocess.run(["cp", "--sparse=always", source, target], check=True)

    def mount(self, image):
        mount("-o", "loop,nouuid" if self.kind == "xfs" else "loop", image, self.where)

    def umount(self):
        umount(self.where)


def power_cut(t, disk, scenario, n, moment, lies):
    """One cut: before the n-th call that changes the disk, or after `moment` seconds; `lies` with a
    system that does not sync. What is wrong, "" if nothing, and whether an output was lost that had
    been acknowledged."""
    disk.snapshot(disk.empty, disk.image)
    disk.mount(disk.image)
    work = os.path.join(disk.where, "work")
    os.mkdir(work)
    os.sync()
    # One output is made and acknowledged by exit 0; the cut comes in the run that makes the others.
    output = os.path.join(work, "out")
    lie = ["sync:1:lie:on"] if lies else []
    preload = {"LD_PRELOAD": t.args.inject}
    first = t.run("label", "--threads", "1", "--model", faults.MODEL, "-o", output + "/",
                  os.path.join(scenario.inputs, "a.txt"), env=dict(preload, FAULT=",".join(lie)))
    env = dict(preload, FAULT=",".join(lie + (["disk:%d:stop" % n] if n > 0 else [])))
    process = t.start(*scenario.command(work), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL, env=t.environment(env))
    if n == 0:
        time.sleep(moment)
        process.send_signal(signal.SIGSTOP)
    try:
        os.waitpid(process.pid, os.WUNTRACED)
    except ChildProcessError:
        pass
    acknowledged = {k: v for k, v in scenario.golden.items() if "/a." in k}
    disk.snapshot(disk.image, disk.copy)
    process.kill()
    process.wait()
    disk.umount()
    disk.mount(disk.copy)
    state = faults.snapshot(work)
    lost = first.code == e2e.OK and not acknowledged.items() <= state.items()
    wrong = "the acknowledged output is lost" if lost else scenario.outputs(state)
    wrong = wrong or scenario.again(work, state)
    disk.umount()
    return wrong, lost


def test_power(t):
    inputs = {x + ".txt": "\n".join(scenarios.titles(800, t.seed + i)) + "\n"
              for i, x in enumerate("abc")}
    scenario = faults.Scenario(t, "three to a directory", [
        "label", "--threads", "1", "--model", faults.MODEL, "-o", "{work}/out", "{inputs}"],
        inputs=inputs)
    begun = time.monotonic()
    scenario.run(scenario.fresh())
    longest = 1.2 * (time.monotonic() - begun)
    n_calls = scenario.calls()["disk"]
    rng = random.Random(t.seed)
    for kind in ("ext4", "xfs"):
        if shutil.which("mkfs." + kind) is None:
            print("      SKIP %s: no mkfs.%s" % (kind, kind))
            continue
        disk, wrong, n_lost = Disk(t, kind), [], 0
        for i in range(CUTS):
            n = rng.randint(1, n_calls) if i % 2 == 0 else 0
            what, lost = power_cut(t, disk, scenario, n, rng.random() * longest, False)
            n_lost += lost
            wrong += ["cut %d, call %d: %s" % (i, n, what)] if what else []
        n_seen = sum(power_cut(t, disk, scenario, n_calls // 4 + i, 0, True)[1] for i in range(4))
        t.check("%s: without syncing, which this test sees, %d of 4 are lost" % (kind, n_seen),
                n_seen > 0)
        t.check("%s: %d power cuts, %d acknowledged outputs lost" % (kind, CUTS, n_lost),
                not wrong, "\n".join(wrong[:4]))
        shutil.rmtree(disk.top)


# ---- memory

class Group:
    """A control group of that much memory, of either version; None where there is none."""

    def __init__(self, nbytes):
        one, two = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
        self.is_one = os.path.isdir(one)
        self.path = os.path.join(one if self.is_one else two, "wader-fault-%d" % os.getpid())
        os.mkdir(self.path)
        limit = "memory.limit_in_bytes" if self.is_one else "memory.max"
        with open(os.path.join(self.path, limit), "w", encoding="ascii") as file:
            file.write(str(nbytes))

    def enter(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write("0")

    def remove(self):
        for _ in range(50):
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.1)


def test_memory(t):
    info = t.run("info", "--json", "--threads", "1", "--model", DEMO)
    nbytes = sum(json.loads(info.out)["device"]["memory"].values())
    print("      wader info announces %.1f MB" % (nbytes / 1e6))
    source = e2e.write(t.directory(), "a.txt", "\n".join(scenarios.titles(4000, t.seed)) + "\n")
    golden = t.label("--threads", "1", source, model=DEMO).out
    for room, must in ((64 << 20, True), (0, True), (-nbytes * 9 // 10, False)):
        output = t.directory() + "/out.jsonl"
        group = Group(max(nbytes + room, 4 << 20))
        try:
            result = t.label("--threads", "1", "-o", output, source, model=DEMO,
                             preexec_fn=group.enter)
        finally:
            group.remove()
        good = os.path.exists(output) and e2e.read(output) == golden
        killed = result.code in (-signal.SIGKILL, e2e.IO, e2e.USAGE, e2e.UNUSABLE)
        t.check("a control group of what is announced %+d MiB: %s" % (room >> 20, result.code),
                (result.code == e2e.OK and good) or
                (not must and killed and not os.path.exists(output)), result)


def test_faketime(t):
    path = shutil.which("faketime")
    if path is None:
        print("      SKIP faketime: it is not there")
        return
    source = e2e.write(t.directory(), "a.txt", "gold\noil\n" * 500)
    golden = t.label(source).out
    for when in ("1970-01-02 00:00:00", "2038-01-19 03:14:06", "2100-02-28 23:59:59"):
        output = t.directory() + "/out.jsonl"
        command = [path, when, t.wader, "label", "--model", e2e.MODEL, "-o", output, source]
        for what in ("", ", again: nothing to do"):
            done = run(*command)
            t.check("faketime %s%s" % (when, what), done.returncode == e2e.OK and
                    e2e.read(output) == golden and (not what or "done already" in done.stderr),
                    done)


def main():
    t = e2e.Suite(__doc__, faults.options)
    faults.need_inject(t)
    test_faketime(t)
    if os.getuid() != 0:
        e2e.skip("the rest takes root")
    for test in (test_small, test_memory, test_power):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
