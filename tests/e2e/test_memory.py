#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peak memory is what `wader info` announces for flags and model, never of the input: resident
memory of the whole process, as the system counted it, on inputs made to need much."""
import json
import os
import random
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

PROGRAM = 20 * 1000 * 1000  # bytes: its pages and the libraries', which the system may drop
MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
LABEL = ["label", "-q", "--threads", "2"]  # peak memory grows with the threads


def measure(t, what, code, *args, model=MODEL):
    """Runs the program; checks exit code and peak. The peak in bytes, and stderr."""
    begun = time.monotonic()
    log = os.path.join(t.directory(), "stderr")
    with open(log, "wb") as err:
        process = subprocess.Popen([t.wader, args[0], "--model", model, *args[1:]],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                                   env=t.environment())
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * 1024
    info = t.run("info", "--json", "--threads", "2", "--model", model)
    most = sum(json.loads(info.out)["device"]["memory"].values()) + PROGRAM
    result = e2e.Result(process.returncode, b"", e2e.read(log), time.monotonic() - begun)
    t.exits("%s: exit %d (%.1f s)" % (what, code, result.seconds), result, code)
    t.check("%s: peak %.0f MB is below %.0f MB" % (what, peak / 1e6, most / 1e6), peak < most,
            result)
    return peak


def gzip_file(t, name, parts):
    """Writes parts of bytes as one gzip member without holding them all."""
    path = os.path.join(t.directory(), name)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(path, "wb") as file:
        for part in parts:
            file.write(packer.compress(part))
        file.write(packer.flush())
    return path


def short_titles(seed, n):
    rng = random.Random(seed)
    words = [w for w in e2e.WORDS if w.strip() and "\n" not in w and "\u2028" not in w]
    lines = [" ".join(rng.choice(words) for _ in range(rng.randrange(1, 8))) for _ in range(3000)]
    return ("%s %d\n" % (rng.choice(lines), i) for i in range(n))


def main():
    t = e2e.Suite(__doc__)
    if any(mark in e2e.read(t.wader) for mark in (b"__asan_init", b"__tsan_init")):
        e2e.skip("the memory of a program with sanitizers says nothing")
    print("titles from seed %d" % t.seed)
    few = gzip_file(t, "few.txt.gz", [x.encode() for x in short_titles(t.seed, 20000)])
    many = gzip_file(t, "many.txt.gz", (x.encode() for x in short_titles(t.seed, 300000)))
    output = os.path.join(t.directory(), "out.jsonl.gz")
    small = measure(t, "20,000 titles", e2e.OK, *LABEL, "-o", output + "1.gz", few)
    large = measure(t, "300,000 titles", e2e.OK, *LABEL, "-o", output, many)
    t.check("15 times the titles take no more (%.0f and %.0f MB)" % (small / 1e6, large / 1e6),
            large < small + 100e6)
    measure(t, "300,000 titles, tokenize", e2e.OK, "tokenize", many)

    rest = [b"gold and oil\n"] * 500
    longest = gzip_file(t, "long.txt.gz", rest + [b"x y " * 250000] * 50 + [b"\n"] + rest)
    measure(t, "a line of 50 MB among 1000", e2e.OK, *LABEL, longest)
    bomb = gzip_file(t, "bomb.txt.gz", rest + [bytes(1 << 20)] * 500 + [b"\n"] + rest)
    print("      500 MiB of zeros in a file of %.1f MB" % (os.path.getsize(bomb) / 1e6))
    measure(t, "a line of 500 MiB of zeros", e2e.OK, *LABEL, bomb)
    measure(t, "a line of 500 MiB of zeros, tokenize", e2e.INPUT, "tokenize", bomb)
    full = gzip_file(t, "full.txt.gz", [("今" * 349525).encode() + b"\n"] * 30 +
                     [b"the " * (1 << 18) + b"\n"] * 30)
    measure(t, "60 lines of 1 MiB, each of as many tokens as can be", e2e.OK, *LABEL, full)
    nested = gzip_file(t, "nested.jsonl.gz", [b"[" * (1 << 20) + b"\n",
                                              b'{"a":' * 200000 + b"\n"] * 20)
    measure(t, "JSON nested as deep as a line is long", e2e.ROWS, *LABEL, nested)
    t.finish()


if __name__ == "__main__":
    main()
