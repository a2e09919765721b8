#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader convert` makes a whole directory or none: replacing one, on a full disk, killed and
stopped at any time, two at once, with a source that changes meanwhile."""
import array
import glob
import hashlib
import os
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402


def convert(t, model, output, *args, **kwargs):
    return t.run("convert", "--model", model, "-o", output, *args, **kwargs)


def test_force(t):
    parent = t.directory()
    new = os.path.join(parent, "new")
    t.exits("the first", convert(t, e2e.MODEL, new), e2e.OK)
    first = e2e.read(new + "/model.safetensors")
    e2e.write(new, "README.md", "mine")
    t.exits("again", convert(t, e2e.OTHER_MODEL, new), e2e.USAGE, "--force")
    t.check("is as it was", e2e.read(new + "/model.safetensors") == first)
    t.exits("--force", convert(t, e2e.OTHER_MODEL, new + "//", "--force"), e2e.OK)
    t.check("replaces it", e2e.read(new + "/model.safetensors") != first and
            not os.path.exists(new + "/README.md"))
    t.equal("and leaves nothing", e2e.listing(parent), ["new"])
    before = e2e.read(new + "/model.safetensors")
    broken = e2e.copy_model(t)
    e2e.write(broken, "model.safetensors", e2e.read(broken + "/model.safetensors")[:-1])
    t.exits("--force with a broken model", convert(t, broken, new, "--force"), e2e.UNUSABLE)
    t.exits("--force on a full disk", convert(t, e2e.MODEL, new, "--force",
                                              preexec_fn=e2e.file_size_limit(50000)), e2e.IO)
    t.check("is as it was", e2e.read(new + "/model.safetensors") == before)
    t.equal("and leaves nothing", e2e.listing(parent), ["new"])


def test_full_disk(t):
    parent = t.directory()
    t.exits("for its size", convert(t, e2e.MODEL, parent + "/new"), e2e.OK)
    whole = os.path.getsize(parent + "/new/model.safetensors")
    shutil.rmtree(parent + "/new")
    for limit in (0, 1, 8, 4096, whole // 2, whole - 1):
        result = convert(t, e2e.MODEL, parent + "/new", preexec_fn=e2e.file_size_limit(limit))
        t.exits("files of at most %d bytes" % limit, result, e2e.IO, "model.safetensors",
                "nothing was left behind")
        t.equal("leave nothing", e2e.listing(parent), [])
    t.exits("files of just enough", convert(t, e2e.MODEL, parent + "/new",
                                            preexec_fn=e2e.file_size_limit(whole)), e2e.OK)


# ---- killed and stopped

def large_model(t, megabytes):
    """A model whose word embeddings, random, take most of the time."""
    model = e2e.copy_model(t)
    tensors = e2e.safetensors_read(model + "/model.safetensors")
    rows = megabytes * 1000000 // 128
    name = "bert.embeddings.word_embeddings.weight"
    block = array.array("f", (random.Random(t.seed).gauss(0, 1) for _ in range(32 * 1000)))
    tensors[name] = ("F32", [rows, 32], (block.tobytes() * (rows // 1000 + 1))[:rows * 128])
    e2e.safetensors_write(model + "/model.safetensors", tensors)
    e2e.edit_json(model + "/config.json", vocab_size=rows)
    for unused in ("tokenizer.json", "vocab.txt"):
        os.remove(os.path.join(model, unused))
    return model


def digest(directory):
    return hashlib.sha256(e2e.read(directory + "/model.safetensors")).digest()


def wait_for(pattern):
    deadline = time.monotonic() + 30
    while not glob.glob(pattern) and time.monotonic() < deadline:
        time.sleep(0.0005)


def test_killed(t, model, rng):
    """However early or late it is killed: no directory, or a whole one; with --force a whole one,
    the old or the new."""
    parent, kept = t.directory(), t.directory() + "/kept"
    new = parent + "/new"
    args = ("convert", "-m", model, "-o", new, "--dtype", "bf16", "-q")
    begun = time.monotonic()
    t.exits("not killed", t.run(*args), e2e.OK)
    seconds = time.monotonic() - begun
    whole = digest(new)
    files = e2e.listing(new)
    old_files = sorted(files + ["old"])
    shutil.copytree(new, kept)
    e2e.write(kept, "old", "")
    n_none = n_old = n_new = n_left = 0
    bad = []
    for i in range(10 if t.short else 50):
        force = i % 2 == 1
        shutil.rmtree(new, ignore_errors=True)
        if force:
            shutil.copytree(kept, new, copy_function=os.link)
        process = t.start(*args, *(["--force"] if force else []))
        time.sleep(rng.random() * seconds)
        process.kill()
        process.communicate()
        n_left += len([n for n in e2e.listing(parent) if n.endswith(".tmp")])
        there = e2e.listing(new) if os.path.exists(new) else []
        n_none += not there and not force
        n_old += there == old_files and force
        n_new += there == files
        if not (there in (files, old_files) and digest(new) == whole or
                not there and not force):
            bad.append((i, force, there))
    t.check("killed at random: %d times nothing, %d times the old one, %d times the new one, %d "
            "times something to sweep" % (n_none, n_old, n_new, n_left),
            not bad and n_none > 0 and n_old > 0 and n_left > 0, bad)
    t.exits("and then not killed", t.run(*args, "--force"), e2e.OK)
    t.equal("nothing is left", e2e.listing(parent), ["new"])
    t.check("the same bytes", digest(new) == whole)


def test_stopped(t, model, rng):
    parent = t.directory()
    codes = []
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP] * (2 if t.short else 5):
        process = t.start("convert", "-m", model, "-o", parent + "/new", "--dtype", "bf16")
        wait_for(parent + "/.new*.tmp/*")
        time.sleep(rng.random() * 0.01)
        begun = time.monotonic()
        process.send_signal(number)
        err = process.communicate()[1].decode()
        codes.append(process.returncode)
        took = time.monotonic() - begun
        if process.returncode == e2e.AGAIN:
            if took > 5 or e2e.listing(parent) or "run the same command" not in err:
                t.check("stopped by signal %d: nothing left, in 5 s" % number, False,
                        (took, e2e.listing(parent), err))
        shutil.rmtree(parent + "/new", ignore_errors=True)
    t.check("stopped by signals: 75, or done before it: %s" % codes,
            set(codes) <= {e2e.AGAIN, e2e.OK} and codes.count(e2e.AGAIN) >= len(codes) // 3)


def test_two(t, model):
    parent = t.directory()
    args = ("convert", "-m", model, "-o", parent + "/new")
    first = t.start(*args)
    wait_for(parent + "/.new*.tmp")
    second = t.run(*args)
    first.communicate()
    t.equal("two at a time: the first one works", first.returncode, e2e.OK)
    t.check("the second one is refused", second.code in (e2e.LOCKED, e2e.USAGE), second)
    t.equal("two at a time: nothing is left", e2e.listing(parent), ["new"])


def test_changed(t, model):
    """The source is written to meanwhile."""
    parent = t.directory()
    process = t.start("convert", "-m", model, "-o", parent + "/new")
    wait_for(parent + "/.new*.tmp/model*")
    os.utime(model + "/model.safetensors")
    err = process.communicate()[1].decode()
    t.check("a source that changes meanwhile: 6, nothing left",
            process.returncode == e2e.UNUSABLE and "changed while" in err and
            not e2e.listing(parent), (process.returncode, err, e2e.listing(parent)))


def test_progress(t, model):
    """Held up for longer than a terminal is to wait, it shows how far it is."""
    for mode, shown in (("tty", True), ("auto", False)):
        parent = t.directory()
        process = t.start("convert", "-m", model, "-o", parent + "/new", "--progress", mode)
        wait_for(parent + "/.new*.tmp/*")
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        process.send_signal(signal.SIGCONT)
        err = process.communicate()[1].decode()
        good = all((word in err) == shown for word in (" MiB, ", " %, 0:00:0", " to go"))
        t.check("--progress %s on a pipe: %s" % (mode, "how far" if shown else "not yet"),
                good and process.returncode == e2e.OK, err)


def peak_of(process):
    """Its resident memory at most, in bytes, as long as it can be asked."""
    peak = 0
    while process.poll() is None:
        try:
            with open("/proc/%d/status" % process.pid, encoding="utf-8") as file:
                peak = max([peak] + [int(line.split()[1]) * 1024 for line in file
                                     if line.startswith("VmHWM:")])
        except (ProcessLookupError, FileNotFoundError):
            pass
    return peak


def test_memory(t, model):
    if any(mark in e2e.read(t.wader) for mark in (b"__asan_init", b"__tsan_init")):
        print("      the memory of a program with sanitizers says nothing")
        return
    process = t.start("convert", "-m", model, "-o", t.directory() + "/new", "--dtype", "fp16", "-q")
    peak, size = peak_of(process), os.path.getsize(model + "/model.safetensors")
    process.communicate()
    t.equal("for its memory: exit", process.returncode, e2e.OK)
    t.check("peak %.0f MB: the mapped weights, %.0f MB, and less than 40 MB" %
            (peak / 1e6, size / 1e6), 0 < peak < size + 40e6)


def main():
    t = e2e.Suite(__doc__)
    rng = random.Random(t.seed)
    test_force(t)
    test_full_disk(t)
    model = large_model(t, 60)
    test_killed(t, model, rng)
    test_stopped(t, model, rng)
    test_two(t, model)
    test_changed(t, model)
    test_progress(t, model)
    test_memory(t, model)
    t.finish()


if __name__ == "__main__":
    main()
