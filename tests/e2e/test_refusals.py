#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What wader refuses: damaged inputs, outputs that cannot be written, commands that make no sense.

Each time: the exit code, a message that names the file and what to do, and nothing left behind.
Models are in test_models.py, outputs that are there already in test_commit.py.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402


def refused(t, what, name, data, code, *words, args=()):
    """Labels `data` in a file called `name` to a file, in a directory of its own."""
    path, out = t.directory(), t.directory()
    source = e2e.write(path, name, data)
    output = os.path.join(out, "out.jsonl.gz")
    result = t.label(*args, "-o", output, source)
    t.exits(what, result, code, name, *words)
    t.equal("%s: nothing is left" % what, (e2e.listing(path), e2e.listing(out)), ([name], []))
    return result


def test_gzip(t):
    titles = e2e.random_titles(t.seed, 3000)
    plain = e2e.titled(titles)
    whole = e2e.gzip_bytes(plain)
    for cut in (1, 2, 9, 10, 11, 100, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        refused(t, "truncated after %d of %d bytes" % (cut, len(whole)), "a.jsonl.gz",
                whole[:cut], e2e.INPUT, "byte %d" % cut if cut > 9 else "")
    for at in (len(whole) // 3, len(whole) // 2):
        damaged = bytearray(whole)
        damaged[at:at + 20] = bytes(b ^ 0x5a for b in damaged[at:at + 20])
        refused(t, "damaged at byte %d" % at, "a.jsonl.gz", bytes(damaged), e2e.INPUT, "damaged")
    for at, what in ((-8, "the CRC"), (-4, "the length")):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        refused(t, what + " is wrong", "a.jsonl.gz", bytes(damaged), e2e.INPUT, "damaged")
    refused(t, "the second member is truncated", "a.jsonl.gz", whole + whole[:-3], e2e.INPUT,
            "truncated")
    for what, tail in (("garbage", b"garbage"), ("zeros, then garbage", bytes(600) + b"x"),
                       ("a newline", b"\n"), ("half a gzip header", b"\x1f")):
        refused(t, "trailing bytes: " + what, "a.jsonl.gz", whole + tail, e2e.INPUT, "byte")
    zeros = e2e.write(t.directory(), "a.jsonl.gz", whole + bytes(100000))
    t.equal("trailing zeros are padding", len(t.label(zeros).rows()), len(titles))
    refused(t, "plain text named .gz", "a.jsonl.gz", plain, e2e.INPUT, "gzip")
    refused(t, "nothing, named .gz", "a.jsonl.gz", b"", e2e.INPUT, "empty")
    zstd = bytes.fromhex("28b52ffd2400010000") + b"\x99\xe9\xd8\x51"
    refused(t, "zstd named .gz", "a.jsonl.gz", zstd, e2e.INPUT, "zstd -dc")
    refused(t, "zstd by any name", "a.jsonl", zstd, e2e.INPUT, "zstd -dc")
    refused(t, "UTF-16", "a.jsonl", b"\xff\xfe" + "gold\n".encode("utf-16-le"), e2e.INPUT, "iconv")
    piped = t.label("--input-format", "jsonl", stdin=whole[:-5])
    t.exits("truncated gzip on stdin", piped, e2e.INPUT, "stdin", "truncated")


def test_records(t):
    good = [{"id": i, "title": "gold %d" % i} for i in range(200)]
    data = e2e.jsonl(good)
    lines = [b'{"id":1,"title":"x"', b"[1]", b"nonsense", b'{"id":1,"title":"x"} {}',
             b"{\"id\":1,'title':'x'}", b'{"id":01,"title":"x"}', b'"x"', b"\x00",
             b'{"id":1,"title":"a\tb"}']
    for line in lines:
        refused(t, "one of one records is %r" % line.decode(), "a.jsonl", line + b"\n", e2e.ROWS,
                "1 of 1", "--max-bad")
        path = t.directory()
        source = e2e.write(path, "a.jsonl", data + line + b"\n")
        result = t.label(source)
        t.exits("one of 201 records is %r" % line.decode(), result, e2e.OK, source, "record 201",
                "byte %d" % len(data))
        last = result.rows()[-1]
        t.equal("its row says so", last, {"id": None, "label": None, "status": "bad_json"})
    for record, status in (('{"id": "k"}', "missing_title"), ('{"title": "x"}', "missing_id"),
                           ('{"id": "k", "title": 5}', "title_not_a_string"),
                           ('{"id": "k", "title": null}', "title_not_a_string"), ("", "blank_line"),
                           ('{"id": "k", "title": "%s"}' % ("x" * (1 << 20)), "record_too_long")):
        source = e2e.write(t.directory(), "a.jsonl", data + record.encode() + b"\n" + data)
        rows = t.label("--max-bad", "1", source).rows()
        t.equal("a row for %.40s" % record, (rows[200].get("status"), rows[200]["label"]),
                (status, None))
        t.equal("and the others around it", (len(rows), rows[201:]), (401, rows[:200]))
    bad = data + b"x\n" * 5
    refused(t, "5 of 205 records are bad: over 1%", "a.jsonl", bad, e2e.ROWS, "5 of 205")
    refused(t, "5 of 205 with --max-bad 4", "a.jsonl", bad, e2e.ROWS, "5 of 205",
            args=("--max-bad", "4"))
    for limit in ("5", "2.5%", "100%"):
        t.exits("5 of 205 with --max-bad " + limit, t.label(
            "--input-format", "jsonl", "--max-bad", limit, stdin=bad), e2e.OK)
    t.exits("on stdout: exit 1, rows and all", t.label("--input-format", "jsonl", stdin=bad),
            e2e.ROWS, "5 of 205")
    refused(t, "--on-bad fail", "a.jsonl", data + b"x\n" + data, e2e.INPUT, "record 201",
            args=("--on-bad", "fail", "--max-bad", "100%"))
    ill = e2e.write(t.directory(), "a.txt", b"gold\n\xff\xfe\xe4\nab\xc3\noil \xed\xa0\x80\n")
    result = t.label(ill)
    t.exits("ill-formed UTF-8 is labelled, and counted", result, e2e.OK, "3 titles held", "U+FFFD")
    fixed = "gold\n\ufffd\ufffd\ufffd\nab\ufffd\noil \ufffd\ufffd\ufffd\n"
    t.check("as if it were U+FFFD", result.out == t.label(stdin=fixed.encode()).out)
    ill = b'{"id":"\xff","title":"\xc3(","k":"\xf0\x9f"}\n'
    result = t.label("--input-format", "jsonl", "--passthrough", "k", stdin=ill)
    t.equal("rows are UTF-8 whatever came in", [(r["id"], r["k"]) for r in result.rows()],
            [("\ufffd", "\ufffd")])


def test_one_of_many(t):
    path, out = t.directory(), t.directory()
    whole = e2e.gzip_bytes(b"gold\n" * 50)
    for name, data in (("a.txt.gz", whole), ("b.txt.gz", whole[:-5]), ("c.txt.gz", whole)):
        e2e.write(path, name, data)
    result = t.label("-o", out, path)
    t.exits("one of three inputs is truncated", result, e2e.INPUT, "b.txt.gz", "1 of 3")
    t.equal("the other two are done", e2e.listing(out), sorted(
        "%s.labels.jsonl.gz%s" % (x, y) for x in "ac" for y in ("", ".meta.json")))
    e2e.write(path, "b.txt.gz", whole)
    t.exits("mended, the same command finishes", t.label("-o", out, path), e2e.OK, "is done")
    t.equal("all three are done", len(e2e.listing(out)), 6)


def test_outputs(t):
    path = t.directory()
    source = e2e.write(path, "a.txt", "\n".join(
        x.replace("\n", " ") for x in e2e.random_titles(t.seed, 20000)))
    for output, what in ((path + "/none/out.jsonl", "in a directory that is not there"),
                         (source + "/out.jsonl", "below a regular file")):
        t.exits("-o %s" % what, t.label("-o", output, source), e2e.IO, output)
    t.exits("a directory of outputs below a regular file",
            t.label("-o", source + "/out", path), e2e.IO, source + "/out")
    with open("/dev/full", "wb") as full:
        t.exits("stdout is a full disk", t.label(source, stdout=full), e2e.IO, "stdout",
                "No space left")
        t.exits("stdout is a full disk, few rows", t.label(stdout=full, stdin=b"gold\n"), e2e.IO)
        t.exits("tokenize to a full disk", t.run("tokenize", "--model", e2e.MODEL, stdout=full,
                                                 stdin=b"gold\n"), e2e.IO)
        t.exits("--help to a full disk", t.run("--help", stdout=full), e2e.IO)
    read, write = os.pipe()
    os.close(read)
    for args in (("--help",), ("help", "label"), ("--version",)):
        t.exits("nobody reads %s" % args[-1], t.run(*args, stdout=write), e2e.PIPE)
    os.close(write)
    for name, nbytes in (("out.jsonl", 0), ("out.jsonl", 100000), ("out.jsonl.gz", 100000)):
        out = t.directory()
        result = t.label("-o", os.path.join(out, name), source,
                         preexec_fn=e2e.file_size_limit(nbytes))
        t.exits("%s may not grow beyond %d bytes" % (name, nbytes), result, e2e.IO, name,
                "File too large")
        t.equal("nothing of it is left", e2e.listing(out), [])
    for stream, args in (("stdout", [source]), ("stdin", [])):
        fd = 1 if args else 0
        result = t.label(*args, preexec_fn=lambda fd=fd: os.close(fd))
        t.exits(stream + " is closed", result, e2e.IO, stream)
    result = t.label("-o", path + "/noerr.jsonl", source, preexec_fn=lambda: os.close(2))
    t.check("without stderr it works", result.code == e2e.OK, result)
    t.check("and nothing strange is in the output",
            len(e2e.parse_rows(e2e.read(path + "/noerr.jsonl"))) == 20000)


def test_reader_goes(t):
    source = e2e.write(t.directory(), "a.txt", "gold and oil\n" * 100000)
    for args in (["label", "--model", e2e.MODEL, source], ["tokenize", "--model", e2e.MODEL,
                                                           source]):
        process = t.start(*args, stdout=subprocess.PIPE)
        process.stdout.read(100)
        process.stdout.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        t.equal("%s: the reader of stdout goes away" % args[0], process.wait(timeout=30), e2e.PIPE)
        t.check("%s: and that is no error to speak of" % args[0], "error" not in err, err)


def test_usage(t):
    path, model = t.directory(), e2e.MODEL
    source = e2e.write(path, "a.tsv", "1\tgold\n")
    other = e2e.write(t.directory(), "a.tsv", "1\toil\n")
    text = e2e.write(path, "b.txt", "gold\n")
    several = ["--model", model, "-o", path + "/out"]
    for args, words in (
            ([], ["--help"]), (["lable"], ["lable", "--help"]), (["help", "x"], ["x"]),
            (["label", source], ["--model"]), (["tokenize"], ["--model"]),
            (["label", "--model"], ["--model", "value"]),
            (["label", "--modell", "x"], ["--modell", "help label"]),
            (["label", "--header=1", "--model", model], ["--header=1"]),
            (["label", "--model", model, "--hex", source], ["--hex"]),
            (["label", "--model", model, "--scores", "best", source], ["best", "top|all|logits"]),
            (["label", "--model", model, "--threads", "0", source], ["--threads", "0", "1"]),
            (["label", "--model", model, "--threads", "2x", source], ["2x"]),
            (["label", "--model", model, "--max-length", "1", source], ["--max-length 1", "2"]),
            (["label", "--model", model, "--max-length", "0", source], ["--max-length 0", "2"]),
            (["label", "--model", model, "--max-length", "41", source], ["41", "40"]),
            (["label", "--model", model, "--max-length", "-3", source], ["-3"]),
            (["label", "--model", model, "--max-length", "99999999999999999999", source], ["999"]),
            (["label", "--model", model, "--batch-tokens", "39", source], ["39", "40"]),
            (["label", "--model", model, "--max-bad", "many", source], ["many", "0.5%"]),
            (["label", "--model", model, "--max-bad", "101%", source], ["101%"]),
            (["label", "--model", model, "--max-bad", "-1", source], ["-1"]),
            (["label", "--model", model, "--shard", "3/3", source], ["3/3", "0/4"]),
            (["label", "--model", model, "--shard", "1", source], ["0/4"]),
            (["label", "--model", model, "--shard", "0/0", source], ["0/0"]),
            (["label", "--model", model, "--device", "tpu", source], ["tpu", "cpu"]),
            (["label", "--model", model, "--id-field", "id", source], ["--id-field id", "column"]),
            (["label", "--model", model, "--title-field", "0", source], ["--title-field 0"]),
            (["label", "--model", model, "--passthrough", "x", text], ["--passthrough", "text"]),
            (["label", "--model", model, "--input-format", "jsonl", "--passthrough", "score",
              source], ["score", "taken"]),
            (["label", "--model", model, "--passthrough", "2,1,2", source], ["2", "twice"]),
            (["label", "--model", model, source, text], ["-o DIR"]),
            (["label", *several, source, "-"], ["stdin"]),
            (["label", *several, source, other], [source, other, "rename"]),
            (["label", "--model", model, "-o", text, source, text], [text, "directory"]),
            (["label", "--model", model, "-o", source, source], [source, "input itself"]),
            (["label", "--model", model, "-o", "", source], ["-o"]),
            (["tokenize", "--model", model, source, text], ["one input"]),
            (["tokenize", "--model", model, "--scores", "all"], ["--scores"])):
        t.exits("wader " + " ".join(args).replace(e2e.GOLDEN + "/", "").replace(path, "DIR"),
                t.run(*args), e2e.USAGE, *words)
    t.exits("WADER_SCORES=best", t.label(source, env={"WADER_SCORES": "best"}), e2e.USAGE,
            "WADER_SCORES", "best")
    t.equal("no output was made", e2e.listing(path), ["a.tsv", "b.txt"])
    t.equal("the input is as it was", e2e.read(source), b"1\tgold\n")
    empty = t.directory()
    for missing, words in ((path + "/none.txt", ["none.txt"]), (empty, [empty, ".jsonl"])):
        t.exits("input %s" % os.path.basename(missing),
                t.label("-o", path + "/x", missing), e2e.INPUT, *words)


def main():
    t = e2e.Suite(__doc__)
    print("titles from seed %d" % t.seed)
    for test in (test_gzip, test_records, test_one_of_many, test_outputs, test_reader_goes,
                 test_usage):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
