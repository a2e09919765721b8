#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wader as a filter: engines that pipe lines through it (Spark pipe, Hadoop Streaming) wait for an
answer before they send more, so a line must be answered while the pipe stays open."""
import os
import select
import subprocess
import sys
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

PATIENCE = 20.0  # seconds: far more than an answer takes on a busy machine


class Filter:
    """A running filter, asked and answered over pipes."""

    def __init__(self, t, *args):
        self.t = t
        self.process = t.start(*args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.pending = b""

    def send(self, data):
        os.write(self.process.stdin.fileno(), data)

    def answer(self, n_lines, patience=PATIENCE):
        """The next lines; fewer where they do not come."""
        until = time.monotonic() + patience
        while self.pending.count(b"\n") < n_lines:
            wait = until - time.monotonic()
            if wait <= 0 or not select.select([self.process.stdout], [], [], wait)[0]:
                break
            got = os.read(self.process.stdout.fileno(), 1 << 16)
            if not got:
                break
            self.pending += got
        lines = self.pending.split(b"\n")
        answered, rest = lines[:-1][:n_lines], lines[:-1][n_lines:] + lines[-1:]
        self.pending = b"\n".join(rest)
        return answered

    def close(self):
        out, err = self.process.communicate(timeout=60)
        return e2e.Result(self.process.returncode, self.pending + out, err, 0)


def lines_of(result):
    return result.out.split(b"\n")[:-1]


def test_line_by_line(t, titles):
    data = [x.encode() + b"\n" for x in titles]
    for args in (["label", "--scores", "logits"], ["tokenize"]):
        command = [args[0], "--model", e2e.MODEL, *args[1:]]
        wanted = lines_of(t.run(*command, stdin=b"".join(data)))
        pipe = Filter(t, *command)
        begun = time.monotonic()
        answers = []
        for line in data[:40]:
            pipe.send(line)
            answers += pipe.answer(1)
            if not answers:
                break
        seconds = time.monotonic() - begun
        t.equal("%s: 40 lines, each answered before the next is sent (%.1f s)" % (args[0], seconds),
                answers, wanted[:40])
        pipe.send(b"".join(data[40:500]))
        t.equal("%s: 460 lines at once" % args[0], pipe.answer(460), wanted[40:500])
        pipe.send(data[500][:3])
        t.equal("%s: half a line is not answered" % args[0], pipe.answer(1, 0.5), [])
        pipe.send(data[500][3:])
        t.equal("%s: its other half is" % args[0], pipe.answer(1), wanted[500:501])
        pipe.send(b"".join(data[501:])[:-1])
        rest = pipe.close()
        t.exits("%s: the end" % args[0], rest, e2e.OK)
        t.equal("%s: the last line needs no newline" % args[0], lines_of(rest), wanted[501:])


def test_jsonl(t, titles):
    data = e2e.titled(titles).splitlines(keepends=True)
    data.insert(2, b"no json\n")
    args = ["label", "--model", e2e.MODEL, "--input-format", "jsonl", "--max-bad", "100%"]
    wanted = lines_of(t.run(*args, stdin=b"".join(data)))
    pipe = Filter(t, *args)
    answers = []
    for line in data[:10]:
        pipe.send(line)
        answers += pipe.answer(1)
    t.equal("JSONL, a bad record among them: line by line", answers, wanted[:10])
    t.exits("JSONL: the end", pipe.close(), e2e.OK)


def test_gzip(t, titles):
    data = [x.encode() + b"\n" for x in titles[:20]]
    args = ["label", "--model", e2e.MODEL]
    wanted = lines_of(t.run(*args, stdin=b"".join(data)))
    pipe, packer, answers = Filter(t, *args), zlib.compressobj(6, zlib.DEFLATED, 31), []
    for line in data:
        pipe.send(packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH))
        answers += pipe.answer(1)
    t.equal("gzip, flushed after each line", answers, wanted)
    pipe.send(packer.flush())
    t.exits("gzip: the end", pipe.close(), e2e.OK)
    pipe, answers = Filter(t, *args), []
    for line in data:
        pipe.send(e2e.gzip_bytes(line))
        answers += pipe.answer(1)
    t.equal("a gzip member for each line", answers, wanted)
    t.exits("gzip members: the end", pipe.close(), e2e.OK)


def test_nonblocking(t, titles):
    data = "".join(x + "\n" for x in titles).encode() * 10
    args = ["label", "--model", e2e.MODEL, "--scores", "logits"]
    wanted = t.run(*args, stdin=data).out
    source = e2e.write(t.directory(), "in.txt", data)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    process = t.start(*args, source, stdout=theirs)
    os.close(theirs)
    time.sleep(0.5)  # the pipe is full by then
    with open(ours, "rb") as file:
        out = file.read()
    _, err = process.communicate(timeout=60)
    t.exits("a non-blocking pipe", e2e.Result(process.returncode, out, err, 0), e2e.OK)
    t.check("a non-blocking pipe: every row", out == wanted and len(out) > 1 << 18)


def test_header(t):
    pipe = Filter(t, "label", "--model", e2e.MODEL, "--output-format", "tsv", "--header")
    pipe.send(b"gold\n")
    answers = pipe.answer(2)
    t.check("TSV: header and first row", len(answers) == 2 and answers[0].startswith(b"id\t"),
            answers)
    t.exits("TSV: the end", pipe.close(), e2e.OK)


def main():
    t = e2e.Suite(__doc__)
    print("titles from seed %d" % t.seed)
    titles = [" ".join(x.split()) or "-" for x in e2e.random_titles(t.seed, 1000)]
    titles = [x if len(x) > 3 else x + " gold" for x in titles]
    test_line_by_line(t, titles)
    test_jsonl(t, titles)
    test_gzip(t, titles)
    test_nonblocking(t, titles)
    test_header(t)
    t.finish()


if __name__ == "__main__":
    main()
