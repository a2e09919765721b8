#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Things that change under a run, or between two runs: inputs, models, strangers' files, limits,
environment variables. Whatever changes, no wrong output may look done."""
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

SLOW = os.path.join(e2e.ROOT, "data", "model")  # a second or two for N_TITLES
N_TITLES = 3000


def titles(word):
    return ("The %s that nobody in the market saw coming, and why it matters\n" % word) * N_TITLES


def start_and_wait(t, *command):
    """A run that has begun to write."""
    return wait_to_write(t.start(*command),
                         os.path.dirname(command[command.index("-o") + 1]))


def wait_to_write(process, directory):
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        if any(name.endswith(".tmp") for name in os.listdir(directory)):
            break
        time.sleep(0.01)
    return process


def finish(process):
    _, err = process.communicate(timeout=120)
    return e2e.Result(process.returncode, b"", err, 0)


def test_input_changes(t):
    directory = t.directory()
    out = os.path.join(directory, "out.jsonl")
    source = e2e.write(t.directory(), "in.txt", titles("gold"))
    command = ["label", "--model", SLOW, "--threads", "1", "-o", out, source]
    process = start_and_wait(t, *command)
    with open(source, "r+b") as file:  # the same size, other bytes
        file.write(b"Now")
    t.exits("an input written to while it is read", finish(process), e2e.INPUT, source)
    t.equal("leaves nothing", e2e.listing(directory), [])

    process = start_and_wait(t, *command)
    e2e.write(os.path.dirname(source), "new.txt", titles("coal"))
    os.replace(os.path.join(os.path.dirname(source), "new.txt"), source)
    t.exits("an input replaced while it is read is labelled as it was", finish(process), e2e.OK)
    result = t.run(*command)
    t.exits("so the new one is labelled anew", result, e2e.OK, "anew")


def test_model_changes(t):
    model = e2e.copy_model(t, SLOW)
    weights = os.path.join(model, "model.safetensors")
    directory = t.directory()
    out = os.path.join(directory, "out.jsonl")
    source = e2e.write(t.directory(), "in.txt", titles("gold"))
    command = ["label", "--model", model, "--threads", "1", "-o", out, source]
    process = start_and_wait(t, *command)
    with open(weights, "r+b") as file:
        file.seek(-1000, os.SEEK_END)
        file.write(b"\1" * 100)
    t.exits("a model written to while it is used", finish(process), e2e.UNUSABLE,
            "model.safetensors", "changed")
    t.equal("leaves nothing", e2e.listing(directory), [])
    with open(weights, "wb") as file:
        file.write(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    t.exits("a Git LFS pointer", t.run(*command), e2e.UNUSABLE, "git lfs pull")
    os.remove(weights)
    os.mkfifo(weights)
    t.exits("a named pipe", t.run(*command), e2e.UNUSABLE, "regular file")


def test_stranger_after_kill(t):
    """A killed run gives no right to somebody else's file."""
    directory = t.directory()
    out = os.path.join(directory, "out.jsonl")
    source = e2e.write(t.directory(), "in.txt", titles("gold"))
    command = ["label", "--model", SLOW, "--threads", "1", "-o", out, source]
    process = start_and_wait(t, *command)
    process.kill()
    process.communicate()
    t.check("a killed run leaves its lock file", ".out.jsonl.lock" in e2e.listing(directory))
    e2e.write(directory, "out.jsonl", b"precious")
    t.exits("somebody's file where the output should go", t.run(*command), e2e.USAGE, "--force")
    t.equal("is kept", e2e.read(out), b"precious")


def test_stranger_meanwhile(t):
    """A file that comes to the output's name while the run goes on is not touched either."""
    for force in (False, True):
        directory = t.directory()
        out = os.path.join(directory, "out.jsonl")
        process = wait_to_write(t.start(
            "label", "-q", "--model", e2e.MODEL, "-o", out, *["--force"] * force,
            stdin=subprocess.PIPE), directory)
        e2e.write(directory, "out.jsonl", b"precious")
        _, err = process.communicate(b"gold\n", timeout=60)
        result = e2e.Result(process.returncode, b"", err, 0)
        if force:
            t.exits("with --force it is replaced", result, e2e.OK)
            t.check("by rows", b'"label"' in e2e.read(out))
        else:
            t.exits("a stranger's file came meanwhile", result, e2e.USAGE, out, "--force")
            t.equal("it is as it was", e2e.read(out), b"precious")
            t.equal("nothing else is left", e2e.listing(directory), ["out.jsonl"])


def test_kept_scores_cut(t):
    """Kept scores are mapped: pages that are gone end the run, and it says which they may be."""
    directory = t.directory()
    source = e2e.write(directory, "in.txt", "".join("gold %d\n" % i for i in range(20000)))
    last, out = os.path.join(directory, "last.jsonl"), os.path.join(directory, "out.jsonl")
    t.exits("last night", t.label("-q", "-o", last, source), e2e.OK)
    process = wait_to_write(t.start(
        "label", "-q", "--model", e2e.MODEL, "--previous", last, "-o", out,
        stdin=subprocess.PIPE), directory)
    os.truncate(os.path.join(directory, ".last.jsonl.scores"), 4096)
    try:
        _, err = process.communicate(e2e.read(source), timeout=60)
    except BrokenPipeError:
        err = process.stderr.read()
        process.wait()
    t.exits("kept scores that are cut while in use", e2e.Result(process.returncode, b"", err, 0),
            e2e.UNUSABLE, "kept scores")
    t.check("leave no output", not os.path.exists(out))


def test_limits(t):
    directory = t.directory()
    out = os.path.join(directory, "out.jsonl")
    source = e2e.write(t.directory(), "in.jsonl", '{"id":1,"title":"a"}\nbad\n')
    command = ["label", "--model", e2e.MODEL, "-o", out, source]
    t.exits("done under a loose limit", t.run(*command, "--max-bad", "100%"), e2e.OK)
    t.exits("is not done under the default one", t.run(*command), e2e.ROWS, "--max-bad")
    t.exits("nor where bad records stop", t.run(*command, "--on-bad", "fail"), e2e.INPUT)
    t.exits("but still under the loose one", t.run(*command, "--max-bad", "1"), e2e.OK,
            "done already")


def test_environment(t):
    directory = t.directory()
    out = e2e.write(directory, "out.jsonl", b"precious")
    source = e2e.write(t.directory(), "in.txt", "gold\n")
    command = ["label", "--model", e2e.MODEL, "-o", out, source]
    for word in ("0", "false", "no", "off", ""):
        t.exits("WADER_FORCE=%s does not force" % word,
                t.run(*command, env={"WADER_FORCE": word}), e2e.USAGE, "--force")
    t.exits("another word is refused", t.run(*command, env={"WADER_FORCE": "perhaps"}), e2e.USAGE,
            "WADER_FORCE", "perhaps")
    t.equal("all that leaves the file alone", e2e.read(out), b"precious")
    t.exits("WADER_FORCE=yes forces", t.run(*command, env={"WADER_FORCE": "yes"}), e2e.OK)
    plain = t.label(source, "-q")
    t.equal("empty variables are none", t.label(source, "-q", env={
        "WADER_THREADS": "", "WADER_OUTPUT": "", "WADER_SHARD": ""}).out, plain.out)
    t.equal("a flag wins over a bad variable",
            t.label(source, "-q", "--threads", "1", env={"WADER_THREADS": "abc"}).out, plain.out)
    t.equal("oneDNN's own talk stays out of the rows",
            t.label(source, "-q", env={"ONEDNN_VERBOSE": "1", "DNNL_VERBOSE": "1"}).out, plain.out)


def test_directories(t):
    source = t.directory()
    e2e.write(source, "a.txt", "gold\n")
    os.mkdir(os.path.join(source, "sub.jsonl"))
    os.mkfifo(os.path.join(source, "pipe.jsonl"))
    out = os.path.join(t.directory(), "new", "")
    t.exits("only regular files of a directory count", t.label("-o", out, source), e2e.OK)
    t.equal("their outputs", e2e.listing(out), ["a.labels.jsonl.gz", "a.labels.jsonl.gz.meta.json"])
    shutil.rmtree(out)
    t.exits("one input, and a directory to be made",
            t.label("-o", out, os.path.join(source, "a.txt")), e2e.OK)
    t.equal("the same output", len(e2e.listing(out)), 2)


def test_stalled_stderr(t):
    """SIGTERM ends a run though nobody takes its messages."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    out = os.path.join(t.directory(), "out.jsonl")
    process = t.start("label", "-q", "--model", e2e.MODEL, "-o", out, stdin=subprocess.PIPE,
                      stderr=writer)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    try:
        code = process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        code = None
    t.check("SIGTERM with a full stderr", code == e2e.AGAIN and time.monotonic() - begun < 8,
            "exit %s after %.1f s" % (code, time.monotonic() - begun))
    os.close(reader)
    os.close(writer)


def test_ignored_signal(t):
    """Whoever started the run told it to ignore SIGINT, as shells do with background jobs."""
    process = t.start("label", "-q", "--model", e2e.MODEL, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE,
                      preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    out, _ = process.communicate(b"gold\n", timeout=60)
    t.equal("an ignored SIGINT stops nothing", (process.returncode, out.count(b"\n")), (0, 1))


def main():
    t = e2e.Suite(__doc__)
    for test in (test_input_changes, test_model_changes, test_stranger_after_kill,
                 test_stranger_meanwhile, test_kept_scores_cut, test_limits, test_environment,
                 test_directories, test_stalled_stderr, test_ignored_signal):
        test(t)
    t.finish()


main()
