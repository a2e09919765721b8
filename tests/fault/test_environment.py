#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Odd surroundings: streams that are closed or full, limits, locales, clocks, names, directories
that vanish. Each time the rows are the golden ones, or the run is refused in a documented way and
leaves nothing."""
import fcntl
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
import scenarios  # noqa: E402
from faults import e2e  # noqa: E402


class Job:
    """One input, its golden rows, and directories of their own for outputs."""

    def __init__(self, t):
        self.t = t
        self.titles = scenarios.titles(200, t.seed)
        self.source = e2e.write(t.directory(), "a.jsonl", e2e.titled(self.titles))
        self.label = ["label", "--threads", "1", "--model", faults.MODEL]
        done = t.run(*self.label, self.source)
        t.exits("golden", done, e2e.OK)
        self.rows = done.out

    def good(self, what, *args, source=None, output=None, **kwargs):
        """A run to a file gives the golden rows and leaves nothing else."""
        directory = os.path.dirname(output) if output else self.t.directory()
        output = output or directory + "/out.jsonl"
        result = self.t.run(*self.label, "-o", output, *args, source or self.source, **kwargs)
        self.t.exits(what, result, e2e.OK)
        wrong = not os.path.exists(output) or e2e.read(output) != self.rows
        self.t.check("%s: the golden rows" % what, not wrong)
        self.t.equal("%s: and nothing else" % what, sorted(e2e.listing(os.fsencode(directory))),
                     sorted(os.fsencode(os.path.basename(output)) + x
                            for x in (b"", b".meta.json")))
        return result

    def refused(self, what, code, *args, words=(), source=None, **kwargs):
        directory = self.t.directory()
        result = self.t.run(*self.label, "-o", directory + "/out.jsonl.gz", *args,
                            source or self.source, **kwargs)
        self.t.exits(what, result, code, *words)
        self.t.equal("%s: nothing is left" % what, e2e.listing(directory), [])


# ---- streams

def test_streams(t, job):
    def close(*fds):
        return lambda: [os.close(fd) for fd in fds]

    job.good("stdin, stdout and stderr closed", preexec_fn=close(0, 1, 2))
    job.good("stdout and stderr full", preexec_fn=lambda: [
        os.dup2(os.open("/dev/full", os.O_WRONLY), fd) for fd in (1, 2)])
    for command in ("eval", "info", "convert", "tokenize"):
        args = {"eval": [job.source], "convert": ["-o", t.directory() + "/new"]}.get(command, [])
        result = t.run(command, "--model", faults.MODEL, *args, stdin=b"gold\n",
                       preexec_fn=close(1))
        wanted = {"eval": e2e.INPUT, "convert": e2e.OK}.get(command, e2e.IO)
        t.exits("%s with stdout closed" % command, result, wanted)
    # A pipe that somebody made non-blocking, read slowly, and EINTR by a signal now and then.
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = t.start(*job.label, job.source, stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    got = b""
    while True:
        part = os.read(reader, 1000)
        got += part
        if not part:
            break
        process.send_signal(signal.SIGCONT)
    os.close(reader)
    t.check("a non-blocking pipe, read slowly, signals meanwhile",
            process.wait() == e2e.OK and got == job.rows)


# ---- limits

def test_limits(t, job):
    def limit(what, n):
        return lambda: resource.setrlimit(what, (n, n))

    for nbytes in (0, 1, 100, 1000):
        job.refused("files of at most %d bytes" % nbytes, e2e.IO, words=("File too large",),
                    preexec_fn=limit(resource.RLIMIT_FSIZE, nbytes))
    n, code = 4, e2e.IO
    while code != e2e.OK and n < 40:
        output = t.directory()
        result = t.run(*job.label, "-o", output + "/out.jsonl", job.source,
                       preexec_fn=limit(resource.RLIMIT_NOFILE, n))
        code = result.code
        state = e2e.listing(output)
        # Below what the loader itself needs nothing of ours runs (127).
        good = code in (e2e.OK, e2e.IO, e2e.INPUT, e2e.UNUSABLE, 127) and (
            state == [] or code == e2e.OK)
        t.check("%d open files: %s" % (n, code), good, "%s %s" % (result, state))
        n += 1
    t.check("few open files are enough", code == e2e.OK and n <= 20, n)
    job.refused("no thread more", e2e.IO, words=("thread",), user=65534 if os.getuid() == 0 else
                None, preexec_fn=limit(resource.RLIMIT_NPROC, 0)) if os.getuid() != 0 else None
    for mib in (30, 60, 90, 120, 200):
        output = t.directory()
        result = t.run(*job.label, "-o", output + "/out.jsonl", job.source,
                       preexec_fn=limit(resource.RLIMIT_AS, mib << 20))
        good = result.code == e2e.OK or (e2e.listing(output) == [] and result.code in (
            e2e.IO, e2e.USAGE, e2e.UNUSABLE, 127))
        t.check("an address space of %d MiB: %s" % (mib, result.code), good, result)


# ---- the environment

def locale_path(t):
    """A directory with a German locale, or None where it cannot be made."""
    path = t.directory()
    if shutil.which("localedef") is None:
        return None
    subprocess.run(["localedef", "-c", "-i", "de_DE", "-f", "UTF-8", path + "/de_DE.UTF-8"],
                   check=False, capture_output=True)
    return path if os.path.exists(path + "/de_DE.UTF-8") else None


def test_surroundings(t, job):
    path = locale_path(t)
    if path is None:
        print("      SKIP the decimal comma: no locale can be made here")
    else:
        job.good("a decimal comma", env={"LOCPATH": path, "LC_ALL": "de_DE.UTF-8"})
    job.good("LC_ALL of nowhere", env={"LC_ALL": "xx_YY.KOI8-R"})
    for zone in ("America/St_Johns", "Pacific/Kiritimati", ":/nowhere"):
        output = t.directory() + "/out.jsonl"
        job.good("TZ=%s" % zone, env={"TZ": zone}, output=output)
        record = json.loads(e2e.read(output + ".meta.json"))
        told = time.strptime(record["finished"], "%Y-%m-%dT%H:%M:%SZ")
        t.check("TZ=%s: times are UTC" % zone,
                abs(time.mktime(told) - time.mktime(time.gmtime())) < 300, record["finished"])
    output = t.directory() + "/out.jsonl"
    job.good("umask 077", output=output, preexec_fn=lambda: os.umask(0o077))
    t.equal("umask 077: nobody else may read it", stat.S_IMODE(os.stat(output).st_mode), 0o600)
    done = subprocess.run([t.wader, *job.label, job.source], env={}, capture_output=True,
                          check=False, cwd="/", stdin=subprocess.DEVNULL)
    t.check("an empty environment", done.returncode == e2e.OK and done.stdout == job.rows)
    if t.args.inject is not None:
        for jump in ("back", "ahead"):
            for n in (1, 2, 3):
                job.good("the clock jumps %s, %d" % (jump, n), env={
                    "LD_PRELOAD": os.path.abspath(t.args.inject),
                    "FAULT": "clock:%d:%s" % (n, jump)})


# ---- names and kinds of files

def test_names(t, job):
    for name in ("with a blank", "with\na line", "-dash", "'\"$(x)`", "*", "\u00e9\u4eca",
                 os.fsdecode(b"not-utf8-\xff\xfe"), "x" * 200, ".hidden"):
        path = os.path.join(t.directory(), name)
        os.mkdir(path)
        source = os.path.join(path, name + ".jsonl")
        shutil.copy(job.source, source)
        os.mkdir(path + "/o")
        job.good("a name like %.30r" % name, source=source, output=path + "/o/" + name + ".out")
    deep = t.directory()
    while len(deep) < 3800:
        deep += "/" + "d" * 100
    os.makedirs(deep)
    job.good("a path of %d bytes" % len(deep), output=deep + "/out.jsonl")
    job.refused("a path beyond the system's", e2e.INPUT, source=deep + "/d" * 400)
    long_out = t.directory()
    result = t.run(*job.label, "-o", long_out + "/" + "n" * 256, job.source)
    t.check("an output's name beyond the system's", result.code in (e2e.IO, e2e.USAGE) and
            e2e.listing(long_out) == [], result)
    result = t.run(*job.label, "-o", long_out + "/" + "n" * 250, job.source)
    t.check("one that leaves no room for the lock's", result.code == e2e.USAGE and
            e2e.listing(long_out) == [], result)


def test_kinds(t, job):
    where = t.directory()
    os.symlink("b", where + "/a")
    os.symlink("a", where + "/b")
    job.refused("a loop of links as input", e2e.INPUT, source=where + "/a",
                words=("Too many levels",))
    result = t.run(*job.label, "-o", where + "/a", job.source)
    t.check("a loop of links as output", result.code in (e2e.IO, e2e.USAGE) and
            e2e.listing(where) == ["a", "b"], result)
    os.mkfifo(where + "/fifo")
    feeder = threading.Thread(target=lambda: shutil.copy(job.source, where + "/copy") and
                              open(where + "/fifo", "wb").write(e2e.read(job.source)))
    feeder.start()
    job.good("a FIFO as input", "--input-format", "jsonl", source=where + "/fifo")
    feeder.join()
    for path in (where + "/fifo", "/dev/null", "/dev/full", where):
        if path == where:
            continue
        result = t.run(*job.label, "-o", path, job.source)
        t.exits("-o %s" % os.path.basename(path), result, e2e.USAGE, path)
    t.check("/dev/null and the FIFO are what they were",
            stat.S_ISCHR(os.stat("/dev/null").st_mode) and
            stat.S_ISFIFO(os.stat(where + "/fifo").st_mode))
    result = t.run(*job.label, "/dev/null")
    t.check("/dev/null as input", result.code == e2e.OK and result.out == b"", result)
    loop = t.directory()
    os.symlink(job.source, loop + "/link.jsonl")
    os.symlink("nowhere", loop + "/dead.jsonl")
    os.mkdir(loop + "/dir.jsonl")
    out = t.directory()
    t.exits("a directory with links and directories", t.run(*job.label, "-o", out, loop), e2e.INPUT,
            "dead.jsonl", "1 of 2 inputs failed")
    t.equal("the one that leads to a file is labelled", e2e.listing(out),
            ["link.labels.jsonl.gz", "link.labels.jsonl.gz.meta.json"])


# ---- directories that change

def test_directories(t, job):
    if t.args.inject is None:
        return
    # Stopped before the n-th call that changes the disk; the output's directory goes, or loses its
    # permission, meanwhile.
    for n in (3, 9, 15):
        for what in ("removed", "renamed"):
            work = t.directory() + "/out"
            os.mkdir(work)
            process = t.start(*job.label, "-o", work + "/out.jsonl.gz", job.source,
                              stderr=subprocess.PIPE, env=t.environment({
                                  "LD_PRELOAD": os.path.abspath(t.args.inject),
                                  "FAULT": "disk:%d:stop" % n}))
            os.waitpid(process.pid, os.WUNTRACED)
            if what == "removed":
                shutil.rmtree(work)
            else:
                os.rename(work, work + "-elsewhere")
            process.send_signal(signal.SIGCONT)
            err = process.stderr.read().decode()
            process.stderr.close()
            code = process.wait(timeout=30)
            t.check("the output's directory is %s before call %d" % (what, n),
                    code == e2e.IO and "wader: error: " in err and not os.path.exists(work),
                    "%s %s" % (code, err))
    if os.getuid() != 0:
        closed = t.directory()
        os.chmod(closed, 0o555)
        result = t.run(*job.label, "-o", closed + "/out.jsonl", job.source)
        t.exits("a directory that takes no file", result, e2e.IO, "Permission denied")


def main():
    t = e2e.Suite(__doc__, faults.options)
    job = Job(t)
    for test in (test_streams, test_limits, test_surroundings, test_names, test_kinds,
                 test_directories):
        test(t, job)
    t.finish()


if __name__ == "__main__":
    main()
