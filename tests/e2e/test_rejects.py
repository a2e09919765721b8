#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--on-bad reject and `wader retry`: every bad record has its row and stands whole in the rejects
file, which is committed with the output and can be replayed. And what else is decided record by
record: --max-record-bytes, --max-bad, duplicate ids, text that is JSON.
"""
import base64
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

FAST = ("-q", "--threads", "1")
REJECTS = ".rejects.jsonl.gz"
# Lines that are no good record, and what is wrong with them; a limit of 200 bytes.
BAD = [(b"nonsense", "bad_json"), (b"[1]", "bad_json"), (b"", "blank_line"),
       (b" \t", "blank_line"), (b'{"id":"k"}', "missing_title"),
       (b'{"title":"x"}', "missing_id"), (b'{"id":1,"title":5}', "title_not_a_string"),
       (b'{"id":2,"title":"\x00"}', "bad_json"), (b"\xff\xfe\x00", "bad_json"),
       (b'{"id":"m","headline":"gold and oil"}', "missing_title"),
       (b'{"id":3,"title":"' + b"x" * 300 + b'"}', "record_too_long"),
       (b'{"id":4,"title":"' + b"y" * 181 + b'"}', "")]  # just short enough
LIMIT = ("--max-record-bytes", "200")


def job(t, lines, *args, name="a.jsonl", command="label", model=e2e.MODEL):
    """Labels `lines` to a file. The result and the output's path."""
    directory = t.directory()
    source = e2e.write(directory, name, b"".join(line + b"\n" for line in lines))
    output = os.path.join(directory, "out.jsonl.gz")
    return t.run(command, "--model", model, *FAST, *args, "-o", output, source), output


def rejects_of(output):
    return [json.loads(line) for line in e2e.read_output(output + REJECTS).splitlines()]


def record_of(output):
    return json.loads(e2e.read(output + ".meta.json"))


def catalog(n=20):
    """Good records and the bad ones between them: the lines and (line, status) of each."""
    pairs = []
    for i in range(n):
        pairs.append((b'{"id":"g%d","title":"gold %d"}' % (i, i), ""))
        if i < len(BAD):
            pairs.append(BAD[i])
    return [line for line, _ in pairs], pairs


def test_rejects(t):
    lines, pairs = catalog()
    result, output = job(t, lines, *LIMIT, "--on-bad", "reject", "--max-bad", "100%")
    t.exits("rejects are written", result, e2e.OK)
    plain, other = job(t, lines, *LIMIT, "--max-bad", "100%")
    t.check("the rows are those of --on-bad row", plain.code == e2e.OK and
            e2e.read_output(output) == e2e.read_output(other))
    t.check("which leaves no rejects", not os.path.exists(other + REJECTS))
    wanted, offset = [], 0
    for number, (line, status) in enumerate(pairs, 1):
        if status:
            wanted.append((number, offset, status, len(line),
                           line[:200] if status == "record_too_long" else line))
        offset += len(line) + 1
    rejects = rejects_of(output)
    got = [(r["record"], r["byte"], r["status"], r["nbytes"], base64.b64decode(r["raw"]))
           for r in rejects]
    t.equal("each bad record, with its place and bytes", got, wanted)
    t.check("their file, format and reason are told", all(
        r["file"] == "a.jsonl" and r["format"] == "jsonl" and r["reason"]
        for r in rejects), rejects)
    record, plain = record_of(output), e2e.read_output(output + REJECTS)
    t.equal("the commit record counts and hashes them", record["rejects"],
            {"name": "out.jsonl.gz" + REJECTS, "rows": len(wanted), "nbytes": len(plain),
             "file_nbytes": os.path.getsize(output + REJECTS),
             "sha256": hashlib.sha256(plain).hexdigest()})
    rows = record["rows"]
    t.equal("rows in, rows out, bad", (rows["in"], rows["out"], rows["bad"]),
            (len(lines), len(lines), len(wanted)))
    t.equal("nothing else is left", e2e.listing(os.path.dirname(output)), sorted(
        ["a.jsonl", "out.jsonl.gz", "out.jsonl.gz.meta.json", "out.jsonl.gz" + REJECTS]))
    many, other = job(t, lines, *LIMIT, "--on-bad", "reject", "--max-bad", "100%", "--threads", "2",
                      "--batch-tokens", "64")
    t.check("the same bytes whatever the batch and the threads", many.code == e2e.OK and
            e2e.read(output + REJECTS) == e2e.read(other + REJECTS))
    return output, lines, pairs


def test_again(t, output, lines):
    """What is done already, by which command; stale rejects go."""
    source = os.path.join(os.path.dirname(output), "a.jsonl")
    same = (*FAST[1:], *LIMIT, "-o", output, source, "--max-bad", "100%")
    before = os.stat(output).st_ino
    t.exits("the same again is done", t.label(*same, "--on-bad", "reject"), e2e.OK, "done already")
    t.exits("and is for --on-bad row", t.label(*same), e2e.OK, "done already")
    t.equal("nothing was written", os.stat(output).st_ino, before)
    os.remove(output + REJECTS)
    t.exits("without its rejects it is not done", t.label(*same, "--on-bad", "reject"), e2e.OK,
            "retry")
    t.check("they are there again", rejects_of(output))
    t.exits("more bad ones than allowed", t.label(*same[:-1], "3", "--on-bad", "reject"), e2e.ROWS,
            "--max-bad 3")
    t.check("what was there stays", rejects_of(output) and record_of(output)["rejects"])
    e2e.write(os.path.dirname(output), "a.jsonl", b"\n".join(
        line for line in lines if line.startswith(b'{"id":"g')))
    t.exits("without bad records", t.label(*same, "--on-bad", "reject"), e2e.OK)
    t.check("no rejects are left, and none recorded", not os.path.exists(output + REJECTS) and
            "rejects" not in record_of(output), e2e.listing(os.path.dirname(output)))
    result, output = job(t, [b"x"] * 5, "--on-bad", "reject")
    t.exits("too many from the start", result, e2e.ROWS, "5 of 5")
    t.equal("leave nothing", e2e.listing(os.path.dirname(output)), ["a.jsonl"])


def test_usage(t):
    for args in ((), ("-o", "-")):
        t.exits("rejects need an output %s" % (args,), t.label("--on-bad", "reject", *args),
                e2e.USAGE, "-o OUT")
    path = t.directory()
    e2e.write(path, "a.jsonl", b"x\n")
    os.mkdir(os.path.join(path, "out.jsonl" + REJECTS))
    t.exits("a directory is in the way", t.label(
        "--on-bad", "reject", "-o", os.path.join(path, "out.jsonl"),
        os.path.join(path, "a.jsonl")), e2e.IO, "not a regular file")
    out = t.directory()
    for name in "ab":
        e2e.write(path, name + ".jsonl", b'{"id":1,"title":"x"}\n' * 200 + name.encode() + b"\n")
    os.rmdir(os.path.join(path, "out.jsonl" + REJECTS))
    t.exits("several inputs", t.label("--on-bad", "reject", "-o", out, path), e2e.OK)
    t.equal("each has its own", [rejects_of(os.path.join(out, n + ".labels.jsonl.gz"))[0]["file"]
                                 for n in "ab"], ["a.jsonl", "b.jsonl"])
    t.exits("they are no catalog of a directory", t.label("-o", t.directory(), out), e2e.INPUT,
            "no .jsonl")


def test_full_disk(t):
    """Rejects that do not fit: no output either."""
    directory = t.directory()
    source = e2e.write(directory, "a.jsonl", b"\n".join(
        os.urandom(99).hex().encode() for _ in range(3000)))
    result = t.label("-q", "--on-bad", "reject", "--max-bad", "100%", "-o",
                     os.path.join(directory, "out.jsonl"), source,
                     preexec_fn=e2e.file_size_limit(260000))
    t.exits("rejects do not fit", result, e2e.IO, "rejects.jsonl.gz", "writing")
    t.equal("nothing is left", e2e.listing(directory), ["a.jsonl"])


def test_retry(t, output, pairs):
    rejects = output + REJECTS
    path = t.directory()
    retried = os.path.join(path, "r.jsonl")
    args = ("--model", e2e.MODEL, *LIMIT, "--max-bad", "100%")
    t.exits("retry", t.run("retry", *args, "-o", retried, rejects), e2e.OK)
    bad = [row for row in e2e.parse_rows(e2e.read_output(output))
           if row.get("status") not in (None, "truncated")]
    t.equal("gives the same rows", e2e.parse_rows(e2e.read(retried)), bad)
    t.exits("the same again is done", t.run("retry", *args, "-o", retried, rejects), e2e.OK,
            "done already")
    before = [e2e.read(output + suffix) for suffix in ("", REJECTS)]
    t.exits("into the output that they came from", t.run(
        "retry", *args, "--force", "-o", output, rejects), e2e.USAGE, "would be replaced by")
    t.check("both stay as they were",
            before == [e2e.read(output + suffix) for suffix in ("", REJECTS)])
    settings = record_of(retried)["settings"]
    t.equal("its settings say so", (settings["records"], settings["input_format"]),
            ("replayed", "jsonl"))
    fixed = t.run("retry", *args, "--title-field", "headline", rejects)
    rows = {row["id"]: row for row in fixed.rows() if row["id"] is not None}
    want = t.label("--input-format", "jsonl", stdin=b'{"id":"m","title":"gold and oil"}').rows()
    t.equal("with another title field the record that has it is labelled", [rows["m"]], want)
    t.equal("one row for each", len(fixed.rows()), len(bad))
    over = t.run("retry", *args[:-2], "-o", os.path.join(path, "no.jsonl"), rejects)
    t.exits("more than 1% of them are still bad", over, e2e.ROWS, "--max-bad 1%")
    t.check("then there is no output", not os.path.exists(os.path.join(path, "no.jsonl")))
    larger = t.run("retry", "-v", *args[:2], "--max-bad", "100%", rejects)
    t.exits("a line that was cut cannot be made whole", larger, e2e.OK, "only the first 200 of its",
            "label its input again")
    t.exits("messages name the input of old", t.run("retry", *args, "--on-bad", "fail", rejects),
            e2e.INPUT, "a.jsonl: record 2 at byte")
    again = os.path.join(path, "again.jsonl")
    t.exits("what is still bad is rejected again", t.run(
        "retry", *args, "--on-bad", "reject", "-o", again, rejects), e2e.OK)
    t.equal("as it was", e2e.read_output(again + REJECTS), e2e.read_output(rejects))


def test_retry_kinds(t):
    """Text and TSV: ids are those of old."""
    lines = [b"gold %d" % i for i in range(30)]
    lines[10] = b"oil " * 60
    lines[20] = b"z" * 500
    result, output = job(t, lines, *LIMIT, "--on-bad", "reject", "--max-bad", "2", name="a.txt")
    t.exits("text", result, e2e.OK)
    retried = t.run("retry", "--model", e2e.MODEL, "--max-bad", "2", output + REJECTS)
    t.equal("the id of text is the number of old", [row["id"] for row in retried.rows()], [11, 21])
    lines = [b"v%d\tgold %d" % (i, i) for i in range(10)] + [b"only", b"w\tx\toil"]
    result, output = job(t, lines, "--on-bad", "reject", "--title-field", "3", "--max-bad", "99%",
                         name="a.tsv")
    t.exits("TSV", result, e2e.OK)
    retried = t.run("retry", "--model", e2e.MODEL, "--max-bad", "50%", output + REJECTS)
    t.equal("with the right column", [(row["id"], row.get("status")) for row in retried.rows()],
            [("v%d" % i, None) for i in range(10)] + [("only", "missing_title")])
    result, output = job(t, lines[:3], "--input-format", "jsonl", "--on-bad", "reject", "--max-bad",
                         "100%")
    retried = t.run("retry", "--model", e2e.MODEL, "--input-format", "tsv", output + REJECTS)
    t.equal("read as another format than then", [row["id"] for row in retried.rows()],
            ["v0", "v1", "v2"])


def line(body=b"x", **changes):
    fields = {"file": "a", "format": "text", "record": 1, "byte": 0, "status": "bad_json",
              "reason": "", "nbytes": len(body), "raw": base64.b64encode(body).decode()}
    fields.update(changes)
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


def test_hostile(t):
    path = t.directory()
    cases = [("no raw", line(raw=None), "\"raw\""), ("no base64", line(raw="Zm9"), "base64"),
             ("more than its length", line(nbytes=0), "nbytes"),
             ("an end of line", line(b"a\nb"), "end of line"), ("another format",
             line(format="tsv"), "another"), ("no number", line(record="1"), "record"),
             ("a catalog", b'{"id":1,"title":"x"}', "file"), ("no JSON", b"\xff\x00", "line 2"),
             ("a blank line", b"", "line 2"), ("nested deep", b"[" * 1000, "line 2"),
             ("a huge line", b"x" * 3000000, "--max-record-bytes")]
    for what, second, word in cases:
        source = e2e.write(path, "r" + REJECTS, e2e.gzip_bytes(line() + b"\n" + second + b"\n"))
        output = os.path.join(path, "out.jsonl")
        result = t.run("retry", "--model", e2e.MODEL, "-o", output, source)
        t.exits("hostile rejects: " + what, result, e2e.INPUT, "r" + REJECTS, "line 2", word)
        t.equal("%s: nothing is left" % what, e2e.listing(path), ["r" + REJECTS])
    source = e2e.write(path, "r" + REJECTS, e2e.gzip_bytes(b""))
    t.exits("no rejects at all", t.run("retry", "--model", e2e.MODEL, source), e2e.INPUT,
            "no rejected record")
    t.exits("no file", t.run("retry", "--model", e2e.MODEL, source + "x"), e2e.INPUT,
            "No such file")
    for args in ((), ("-",), (source, source), ("/dev/null",), (path,)):
        t.exits("retry %s" % (args,), t.run("retry", "--model", e2e.MODEL, *args), e2e.USAGE,
                "one file")
    t.exits("a damaged one", t.run("retry", "--model", e2e.MODEL, e2e.write(
        path, "d" + REJECTS, e2e.gzip_bytes(line() * 9)[:-3])), e2e.INPUT, "truncated")


def test_limits(t):
    """--max-record-bytes and --max-bad at their borders."""
    title = b'{"id":1,"title":"%s"}'
    for over, status in ((0, "truncated"), (1, "record_too_long")):
        body = title % (b"x " * 40000)
        result, output = job(t, [body], "--max-record-bytes", str(len(body) - over),
                             "--max-bad", "1")
        t.equal("a record of the limit%s" % (" and one byte" if over else ""),
                e2e.parse_rows(e2e.read_output(output))[0].get("status"), status)
    whole = title % (b"gold " * 600000)
    rows = t.label("--input-format", "jsonl", "--max-record-bytes", "16777216", stdin=whole).rows()
    t.equal("3 MB are one record where that is allowed", (rows[0]["id"], rows[0]["status"]),
            (1, "truncated"))
    t.exits("17 MiB are more than anything may ask for", t.label("--max-record-bytes", "17825792"),
            e2e.USAGE, "16777216 at most")
    result, output = job(t, [title % b"x"], "--max-record-bytes", "200")
    t.equal("the limit is a setting", record_of(output)["settings"]["max_record_bytes"], 200)
    source = os.path.join(os.path.dirname(output), "a.jsonl")
    t.exits("another limit is another setting", t.label("--max-record-bytes", "201", "-o", output,
                                                        source), e2e.OK, "labelling anew")
    t.exits("the usual one too", t.label("-o", output, source), e2e.OK, "labelling anew")
    t.check("and is not told", "max_record_bytes" not in record_of(output)["settings"])
    good = [title % b"x"] * 95
    for bad, limit, code in ((5, "5%", e2e.OK), (5, "4%", e2e.ROWS), (5, "5", e2e.OK),
                             (5, "4", e2e.ROWS), (1, "0", e2e.ROWS), (0, "0", e2e.OK),
                             (0, "0%", e2e.OK)):
        result, output = job(t, good + [b"x"] * bad, "--on-bad", "reject", "--max-bad", limit)
        t.exits("%d bad records, --max-bad %s" % (bad, limit), result, code)
        t.equal("rejects are there where the output is", os.path.exists(output + REJECTS),
                code == e2e.OK and bad > 0)


def test_duplicates(t):
    lines = [b'{"id":%d,"title":"x"}' % (i % 90) for i in range(100)]
    lines += [b'{"id":"1","title":"x"}', b'{"id":1.0,"title":"x"}', b'{"id":5}', b'{"title":"y"}']
    result, output = job(t, lines, "--count-duplicates", "--max-bad", "5", "-v")
    t.equal("ids that came before", record_of(output)["duplicate_ids"], 11)
    t.check("exactly", "duplicate_ids_exact" not in record_of(output))
    source = os.path.join(os.path.dirname(output), "a.jsonl")
    told = t.label("--count-duplicates", "--max-bad", "5", source)
    t.exits("they are told", told, e2e.OK, "11 ids came before in it")
    t.check("rows are the same without", told.out == t.label("--max-bad", "5", source).out)
    t.exits("counted already", t.label("--count-duplicates", "--max-bad", "5", "-o", output,
                                         source), e2e.OK, "done already")
    result, output = job(t, [b"gold"] * 5, "--count-duplicates", name="a.txt")
    t.equal("line numbers are never the same", record_of(output)["duplicate_ids"], 0)


def test_json_as_text(t):
    records = e2e.titled(["gold", "oil"])
    path = t.directory()
    source = e2e.write(path, "a.txt", records)
    t.exits("JSON lines in a .txt", t.label(source), e2e.OK, "first line is a JSON object",
            "--input-format jsonl")
    for what, result in (("who says text", t.label("--input-format", "text", source)),
                         ("who wants quiet", t.label("-q", source)),
                         ("who says jsonl", t.label("--input-format", "jsonl", source)),
                         ("other text", t.label(stdin=b"[1]\n{}x\n"))):
        t.check("is no news to %s" % what, result.code == e2e.OK and "JSON" not in result.err,
                result)
    t.exits("on stdin too", t.label(stdin=records), e2e.OK, "stdin: the first line")
    surrogates = b'{"id":1,"title":"gold \\ud83d"}\n{"id":2,"title":"\\ud83d\\ude00"}\n'
    result = t.label("--input-format", "jsonl", stdin=surrogates)
    t.exits("half a surrogate pair is counted", result, e2e.OK, "1 titles held", "surrogate")
    t.check("and read as U+FFFD", result.out.splitlines()[0] == t.label(
        "--input-format", "jsonl", stdin='{"id":1,"title":"gold \ufffd"}'.encode()
    ).out.splitlines()[0])


def main():
    t = e2e.Suite(__doc__)
    output, lines, pairs = test_rejects(t)
    test_retry(t, output, pairs)
    test_again(t, output, lines)
    test_usage(t)
    test_full_disk(t)
    test_retry_kinds(t)
    test_hostile(t)
    test_limits(t)
    test_duplicates(t)
    test_json_as_text(t)
    t.finish()


if __name__ == "__main__":
    main()
