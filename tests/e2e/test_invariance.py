#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same input gives the same bytes: whatever the batch size and threads, however the input is
packed and however it arrives."""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

N_TITLES = 4000
ARGS = ["--input-format", "jsonl", "--scores", "logits"]


def test_settings(t, source, wanted):
    for tokens, threads in ((40, 1), (41, 2), (64, 3), (100, 1), (257, 8), (1000, 2), (4096, 1),
                            (20000, 2), (65536, 4)):
        args = [*ARGS, "--batch-tokens", str(tokens), "--threads", str(threads)]
        result = t.label(*args, source)
        t.check("--batch-tokens %d --threads %d" % (tokens, threads), result.out == wanted,
                result)
    for threads in (1, 5, 16):
        t.check("--threads %d" % threads,
                t.label(*ARGS, "--threads", str(threads), source).out == wanted)


def test_precisions(t, source):
    for precision in e2e.cpu_precisions():
        args = [*ARGS, "--precision", precision]
        wanted = t.label(*args, source).out
        for tokens, threads in ((40, 1), (129, 2), (193, 3), (3840, 1), (20000, 4)):
            result = t.label(*args, "--batch-tokens", str(tokens), "--threads", str(threads),
                             source)
            t.check("%s, --batch-tokens %d --threads %d" % (precision, tokens, threads),
                    result.out == wanted, result)


def test_neighbours(t, lines, wanted):
    rows = wanted.splitlines()
    rng = random.Random(t.seed)
    order = list(range(len(lines)))
    rng.shuffle(order)
    order = order[:1500]
    result = t.label(*ARGS, stdin=b"\n".join(lines[i] for i in order))
    t.check("a title's row does not depend on its neighbours: shuffled",
            result.out.splitlines() == [rows[i] for i in order], result)
    for i in rng.sample(range(len(lines)), 5):
        t.equal("alone: record %d" % (i + 1), t.label(*ARGS, stdin=lines[i]).out.splitlines(),
                [rows[i]])


def test_packing(t, data, wanted):
    path, rng = t.directory(), random.Random(t.seed)
    packed = {"level 1": e2e.gzip_bytes(data, 1), "level 9": e2e.gzip_bytes(data, 9),
              "stored": e2e.gzip_bytes(data, 0)}
    for n in (2, 3, 50):
        cuts = [0] + sorted(rng.randrange(len(data) + 1) for _ in range(n - 1)) + [len(data)]
        packed["%d members cut anywhere" % n] = b"".join(
            e2e.gzip_bytes(data[a:b]) for a, b in zip(cuts, cuts[1:]))
    packed["empty members around it"] = (e2e.gzip_bytes(b"") * 2 + e2e.gzip_bytes(data) +
                                         e2e.gzip_bytes(b""))
    head = e2e.gzip_bytes(data)
    packed["a name, a comment, extra fields in the header"] = (
        head[:3] + b"\x1c" + b"\x01\x02\x03\x04" + head[8:10] + b"\x04\x00abcd" +
        b"catalog.jsonl\0" + b"a comment\0" + head[10:])
    for what, stream in packed.items():
        source = e2e.write(path, "a.jsonl.gz", stream)
        result = t.label(*ARGS, source)
        t.check("gzip: " + what, result.out == wanted, result)
        if "3 members" in what:
            t.check("gzip on stdin: " + what, t.label(*ARGS, stdin=stream).out == wanted)


def test_arrival(t, data, wanted):
    t.check("stdin", t.label(*ARGS, stdin=data).out == wanted)
    t.check("stdin, given as -", t.label(*ARGS, "-", stdin=data).out == wanted)
    rng = random.Random(t.seed)
    for packed in (False, True):
        stream = e2e.gzip_bytes(data) if packed else data
        stream_name = "gzip" if packed else "plain"
        process = t.start("label", "--model", e2e.MODEL, "-q", *ARGS, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
        feeder = os.fork()
        if feeder == 0:
            status = 1
            try:
                feed(process.stdin, stream, rng)
                status = 0
            finally:
                os._exit(status)
        process.stdin.close()
        out = process.stdout.read()
        t.equal("a %s pipe in pieces: exit" % stream_name, process.wait(timeout=60), 0)
        process.stdout.close()
        process.stderr.close()
        os.waitpid(feeder, 0)
        t.check("a %s pipe in pieces: bytes" % stream_name, out == wanted)


def feed(pipe, stream, rng):
    """Writes `stream` in pieces of any size, with pauses longer than an idle flush takes."""
    at, n_pauses = 0, 0
    while at < len(stream):
        n = rng.choice([1, 2, 7, 100, 5000, 70000])
        os.write(pipe.fileno(), stream[at:at + n])
        at += n
        if rng.random() < 0.3 and n_pauses < 20:
            n_pauses += 1
            time.sleep(0.05)


def test_outputs(t, source, wanted):
    path = t.directory()
    for i, (tokens, threads) in enumerate(((40, 1), (5000, 4), (999, 2))):
        output = os.path.join(path, "%d.jsonl.gz" % i)
        t.exits("into a file with --batch-tokens %d" % tokens,
                t.label(*ARGS, "--batch-tokens", str(tokens), "--threads", str(threads), "-o",
                        output, source), e2e.OK)
    files = {e2e.read(os.path.join(path, "%d.jsonl.gz" % i)) for i in range(3)}
    t.check("the compressed bytes are the same too", len(files) == 1)
    t.check("and hold the same rows", e2e.gunzip_bytes(files.pop()) == wanted)


def main():
    t = e2e.Suite(__doc__)
    print("%d titles from seed %d" % (N_TITLES, t.seed))
    data = e2e.titled(e2e.random_titles(t.seed, N_TITLES))
    source = e2e.write(t.directory(), "titles.jsonl", data)
    first = t.label(*ARGS, source)
    t.exits("the run to compare with", first, e2e.OK)
    t.equal("rows out are rows in, in order", [r["id"] for r in first.rows()],
            list(range(1, N_TITLES + 1)))
    test_settings(t, source, first.out)
    test_precisions(t, source)
    test_neighbours(t, data.splitlines(), first.out)
    test_packing(t, data, first.out)
    test_arrival(t, data, first.out)
    test_outputs(t, source, first.out)
    t.finish()


if __name__ == "__main__":
    main()
