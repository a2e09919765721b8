#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader verify`: what was written is what is there, and whatever is not is named."""
import hashlib
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
BASE = "a.labels.jsonl.gz"


def label(t, out, *args, model=MODEL):
    return t.exits("label", t.run("label", "-q", "--model", model, "-o", out, *args), e2e.OK)


def catalog(t):
    """Two inputs, a and b, and their outputs."""
    inputs, out = t.directory(), t.directory()
    e2e.write(inputs, "a.jsonl.gz", e2e.gzip_bytes(e2e.titled(e2e.random_titles(t.seed, 60))))
    e2e.write(inputs, "b.jsonl", e2e.titled(e2e.random_titles(t.seed + 1, 40)))
    label(t, out, inputs)
    return inputs, out


def copy(t, directory):
    new = os.path.join(t.directory(), "copy")
    shutil.copytree(directory, new)
    return new


def edit_record(path, change):
    record = json.loads(e2e.read(path))
    change(record)
    e2e.write(os.path.dirname(path), os.path.basename(path), json.dumps(record))


def reseal(directory, name, rows):
    """Other rows, in a gzip that is as good as new, with a record of the size they take."""
    packed = e2e.gzip_bytes(rows)
    e2e.write(directory, name, packed)
    edit_record(os.path.join(directory, name + ".meta.json"),
                lambda r: r["output"].update(file_nbytes=len(packed)))


def found(t, what, directory, verdict, *words, args=(), code=e2e.ROWS, n_good=1):
    """That verify names exactly output a, with this verdict."""
    result = t.run("verify", *args, *([] if "-o" in args else [directory]))
    text = result.out.decode("utf-8", "replace")
    t.exits(what, result, code)
    lines = [line for line in text.splitlines() if BASE in line]
    t.check("%s: %s" % (what, verdict), len(lines) == 1 and lines[0].startswith(verdict + " ")
            and all(w in lines[0] for w in words) and "%d of " % n_good in text, text)


def test_good(t, inputs, out):
    before = [(n, os.stat(os.path.join(out, n)).st_mtime_ns) for n in e2e.listing(out)]
    for what, args in (("a directory", [out]),
                       ("files", [out + "/" + BASE, out + "/b.labels.jsonl.gz"]),
                       ("a record's name", [out + "/" + BASE + ".meta.json"]),
                       ("one by one", ["--threads", "1", out]), ("--quick", ["--quick", out]),
                       ("with inputs", ["-o", out, inputs]),
                       ("with ids", ["--ids", "-o", out, inputs]),
                       ("with label's options", ["--model", MODEL, "--force", "-o", out, inputs])):
        t.exits("good: " + what, t.run("verify", *args), e2e.OK)
    report = json.loads(t.run("verify", "--json", out).out)
    t.equal("--json", (report["outputs"], report["faults"], [i["verdict"] for i in report["items"]],
                       [i["rows"] for i in report["items"]]), (2, 0, ["good", "good"], [60, 40]))
    quiet = t.run("verify", "-q", out)
    t.equal("-q is silent", (quiet.out, quiet.err), (b"", ""))
    t.equal("looking changes nothing",
            [(n, os.stat(os.path.join(out, n)).st_mtime_ns) for n in e2e.listing(out)], before)


def test_damaged_gzip(t, out):
    whole = e2e.read(os.path.join(out, BASE))
    for what, data, verdict in (
            ("cut", whole[:-1], "partial"), ("cut to half", whole[:len(whole) // 2], "partial"),
            ("empty", b"", "partial"), ("longer", whole + b"\0", "differs"),
            ("another format", b"\x28\xb5\x2f\xfd" + whole[4:], "differs"),
            ("plain", b"{" * len(whole), "differs"),
            ("a wrong CRC", whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:], "differs"),
            ("a wrong length", whole[:-1] + bytes([whole[-1] ^ 1]), "differs"),
            ("two halves of zeros", whole[:len(whole) // 2] + bytes(len(whole) - len(whole) // 2),
             "partial")):
        broken = copy(t, out)
        e2e.write(broken, BASE, data)
        found(t, "a gzip that is " + what, broken, verdict)
    broken, n_bad = copy(t, out), 0
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        e2e.write(broken, BASE, bytes(flipped))
        if at % 37 == 0 or at < 12:
            code = t.run("verify", "-q", broken).code
            n_bad += code not in (e2e.OK, e2e.ROWS)
            # Header fields without a meaning (time, system, extra flags) change no row.
            n_bad += code == e2e.OK and not 3 < at < 10
    t.equal("a flipped bit anywhere is found, or changes no row", n_bad, 0)


def test_other_rows(t, inputs, out):
    rows = e2e.read_output(os.path.join(out, BASE))
    lines = rows.splitlines(keepends=True)
    swapped = b"".join([lines[1], lines[0]] + lines[2:])
    other = lines[0].replace(b'"label":', b'"label" :').replace(b'"score":0', b'"score":1')
    for what, data, verdict, words in (
            ("a row less", b"".join(lines[:-1]), "partial", ["59 rows", "60"]),
            ("a row more", rows + lines[0], "differs", ["61 rows", "60"]),
            ("another label", other + b"".join(lines[1:]), "differs", ["SHA-256"]),
            ("rows in another order", swapped, "differs", ["SHA-256"]),
            ("a last row without an end", rows[:-1], "differs", ["no end"]),
            ("no rows", b"", "partial", ["0 rows"])):
        broken = copy(t, out)
        reseal(broken, BASE, data)
        found(t, what, broken, verdict, *words)
        t.exits("%s: not for --quick to see" % what, t.run("verify", "--quick", broken), e2e.OK)
    broken = copy(t, out)
    reseal(broken, BASE, swapped)
    found(t, "another order, with ids", broken, "differs", "row 1",
          args=["--ids", "-o", broken, inputs])


def test_records(t, out):
    path = BASE + ".meta.json"
    record = e2e.read(os.path.join(out, path))
    for what, data in (("empty", b""), ("cut", record[:200]), ("an array", b"[]"),
                       ("not UTF-8", b"\xff" * 100), ("deep", b"[" * 100000),
                       ("of another schema", record.replace(b'"schema": 1', b'"schema": 9')),
                       ("without rows", record.replace(b'"rows"', b'"sows"')),
                       ("large", b" " * (1 << 20) + record)):
        broken = copy(t, out)
        e2e.write(broken, path, data)
        found(t, "a record that is " + what, broken, "differs", "record")
    broken = copy(t, out)
    os.remove(os.path.join(broken, path))
    found(t, "no record", broken, "missing", "no record")
    broken = copy(t, out)
    os.remove(os.path.join(broken, BASE))
    found(t, "no output", broken, "missing", "no such file")
    found(t, "no output, quickly", broken, "missing", args=["--quick"])
    broken = copy(t, out)
    shutil.copy(os.path.join(out, "b.labels.jsonl.gz"), os.path.join(broken, BASE))
    shutil.copy(os.path.join(out, "b.labels.jsonl.gz.meta.json"), os.path.join(broken, path))
    found(t, "another output under its name", broken, "differs", "another output")
    broken = copy(t, out)
    os.remove(os.path.join(broken, BASE))
    os.mkfifo(os.path.join(broken, BASE))
    found(t, "a pipe", broken, "differs", "regular file")


def test_inputs(t, inputs, out):
    changed = copy(t, inputs)
    whole = e2e.gunzip_bytes(e2e.read(inputs + "/a.jsonl.gz"))
    args = ["-o", out, changed]
    e2e.write(changed, "a.jsonl.gz", e2e.gzip_bytes(whole + whole))
    found(t, "an input that has grown", out, "differs", "label it again", args=args)
    same_size = bytearray(e2e.read(inputs + "/a.jsonl.gz"))
    same_size[4] ^= 1  # the time in a gzip header
    e2e.write(changed, "a.jsonl.gz", bytes(same_size))
    found(t, "an input of the same size", out, "differs", "another input", args=args)
    t.exits("not for --quick to see", t.run("verify", "--quick", *args), e2e.OK)
    listed = e2e.write(changed, "list", "a.jsonl.gz\nb.jsonl\n")
    os.remove(changed + "/a.jsonl.gz")
    found(t, "an input that is gone", out, "unreadable", "a.jsonl.gz",
          args=["-o", out, "@" + listed], code=e2e.INPUT)


def ids_are_seen(t, what, name, data, *args):
    """Rows of `data`, their ids, and one record more or less than rows."""
    inputs = e2e.write(t.directory(), name, data)
    out = os.path.join(t.directory(), "out.tsv" if "tsv" in args else "out.jsonl.gz")
    label(t, out, *args, inputs)
    t.exits("%s: ids" % what, t.run("verify", "--ids", "-o", out, inputs), e2e.OK)
    lines = data.splitlines(keepends=True)
    edit_record(out + ".meta.json", lambda r: r["input"].update(nbytes=len(data) - len(lines[-1])))
    e2e.write(os.path.dirname(inputs), name, b"".join(lines[:-1]))
    t.exits("%s: another input, another hash" % what,
            t.run("verify", "--ids", "-o", out, inputs), e2e.ROWS)
    digest = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    edit_record(out + ".meta.json", lambda r: r["input"].update(sha256=digest))
    result = t.run("verify", "--ids", "-o", out, inputs)
    t.check("%s: a record less is seen by ids alone" % what,
            result.code == e2e.ROWS and b"one more than the input" in result.out, result.out)


def test_ids(t):
    odd = ["plain", 7, "quo\"te", "\u00e9\t\\ \n", None, {"a": [1]}, -1.5e3, "", True]
    records = [{"id": i, "title": "gold"} for i in odd]
    data = e2e.jsonl(records) + b'{"title":"no id"}\n' + b'{"id":"x","title":7}\nnot json\n\n' + \
        e2e.jsonl([{"id": "last", "title": "oil"}])
    ids_are_seen(t, "JSONL", "in.jsonl", data, "--max-bad", "90%")
    ids_are_seen(t, "JSONL to TSV", "in.jsonl", data, "--max-bad", "90%", "--header",
                 "--output-format", "tsv")
    ids_are_seen(t, "TSV", "in.tsv", b"1\tgold\na b\toil\n\n\\\tair\nlast\tmusic\n", "--max-bad",
                 "90%")
    nested = [{"x": {"y": i}, "title": "gold"} for i in range(2)]
    ids_are_seen(t, "a pointer", "in.jsonl", e2e.jsonl(nested), "--id-field", "/x/y")
    ids_are_seen(t, "text", "in.txt", b"gold\noil\nair\n")
    inputs = e2e.write(t.directory(), "in.txt", "gold\n")
    t.exits("--ids wants inputs", t.run("verify", "--ids", inputs), e2e.USAGE, "INPUT")
    t.exits("--ids reads", t.run("verify", "--ids", "--quick", "-o", "x", inputs), e2e.USAGE,
            "--quick")


def test_kinds(t):
    """Outputs of several models or settings in one directory."""
    inputs, out = t.directory(), t.directory()
    for name in "abcdf":
        e2e.write(inputs, name + ".jsonl", e2e.titled(["gold " + name]))
    e2e.write(inputs, "e.tsv", "1\tgold\n")
    label(t, out, inputs)
    t.exits("TSV beside JSONL is of one kind", t.run("verify", out), e2e.OK)
    for what, args, model, word in (("scores", ["--scores", "all"], MODEL, "scores"),
                                    ("max_length", ["--max-length", "9"], MODEL, "max_length"),
                                    ("model", [], e2e.MODEL, "model"),
                                    ("title_field", ["--title-field", "id"], MODEL, "title_field")):
        mixed = copy(t, out)
        label(t, mixed, "--max-bad", "9", *args, inputs + "/a.jsonl", inputs + "/b.jsonl",
              model=model)
        result = t.run("verify", mixed)
        lines = result.out.decode().splitlines()
        t.check("another %s: the two are named, not the others" % what,
                result.code == e2e.ROWS and len(lines) == 3
                and all("another %s than most" % word in line for line in lines[:2])
                and "/a.labels" in lines[0] and "/b.labels" in lines[1], result.out)


def test_rejects(t):
    """A rejects file that the record tells of is looked at as the rows are."""
    inputs, out = t.directory(), t.directory()
    records = e2e.titled(e2e.random_titles(t.seed, 60)) + b'bad\n{"id": 7}\n'
    e2e.write(inputs, "a.jsonl.gz", e2e.gzip_bytes(records))
    e2e.write(inputs, "b.jsonl", e2e.titled(e2e.random_titles(t.seed + 1, 40)))
    label(t, out, "--on-bad", "reject", "--max-bad", "50%", inputs)
    name = BASE + ".rejects.jsonl.gz"
    lines = e2e.gunzip_bytes(e2e.read(os.path.join(out, name)))
    result = t.run("verify", "--json", out)
    t.exits("rejects are good", result, e2e.OK)
    t.equal("and told", [i.get("rejects") for i in json.loads(result.out)["items"]], [2, None])
    bad = copy(t, out)
    os.remove(os.path.join(bad, name))
    found(t, "no rejects file", bad, "missing", "rejects")
    found(t, "no rejects file, quick", bad, "missing", "rejects", args=("--quick",))
    for what, verdict, data in (("one reject less", "differs", lines.splitlines(True)[0]),
                                ("another reject", "differs",
                                 lines.replace(b"bad_json", b"bad_jsoN"))):
        bad = copy(t, out)
        packed = e2e.gzip_bytes(data)
        e2e.write(bad, name, packed)
        edit_record(os.path.join(bad, BASE + ".meta.json"),
                    lambda r: r["rejects"].update(file_nbytes=len(packed)))
        found(t, what, bad, verdict, "reject")
    bad = copy(t, out)
    os.truncate(os.path.join(bad, name), 30)
    found(t, "half of the rejects", bad, "partial", "rejects file")
    bad = copy(t, out)
    edit_record(os.path.join(bad, BASE + ".meta.json"), lambda r: r["rejects"].update(rows=3))
    found(t, "more rejects than bad rows", bad, "differs", "rejects.rows")


def test_scores(t, out):
    """Kept scores beside an output may be missing; others than its own are found."""
    name = ".%s.scores" % BASE
    kept = e2e.read(os.path.join(out, name))
    other = e2e.read(os.path.join(out, name.replace("a.labels", "b.labels")))
    bad = copy(t, out)
    os.remove(os.path.join(bad, name))
    t.exits("no kept scores", t.run("verify", bad), e2e.OK)
    for what, data, words in (("cut", kept[:-40], "damaged"), ("empty", b"", "damaged"),
                              ("longer", kept + kept[-8:], "damaged"),
                              ("another output's", other, "other rows")):
        e2e.write(bad, name, data)
        found(t, "kept scores: %s" % what, bad, "differs", "scores", words, "remove " + name)
    found(t, "the same, quick", bad, "differs", "scores", args=("--quick",))
    os.remove(os.path.join(bad, name))
    os.mkdir(os.path.join(bad, name))
    found(t, "a directory in their place", bad, "differs", "no regular file")


def test_not_whole(t):
    """Inputs that were not read to their end: their ids are compared as far."""
    inputs, out = t.directory(), t.directory()
    good = e2e.gzip_bytes(e2e.titled(e2e.random_titles(t.seed, 4000)))
    e2e.write(inputs, "a.jsonl.gz", good + b"more")
    label(t, out, "--trailing", "ignore", inputs)
    result = t.run("verify", "--json", "--ids", "-o", out, inputs)
    t.exits("trailing bytes", result, e2e.OK)
    t.check("are told", json.loads(result.out)["items"][0].get("trailing") is True, result.out)
    e2e.write(inputs, "a.jsonl.gz", good[:-100])
    t.exits("salvage", t.run("label", "-q", "--model", MODEL, "--salvage", "-o", out, inputs),
            e2e.ROWS)
    result = t.run("verify", "--json", "--ids", "-o", out, inputs)
    t.exits("salvaged", result, e2e.OK)
    t.check("is told", json.loads(result.out)["items"][0].get("salvaged") is True, result.out)
    result = t.run("merge", out, inputs)
    t.exits("merge of it", result, e2e.ROWS)
    t.check("is refused by name", b"salvaged" in result.out and BASE.encode() in result.out
            and not os.path.exists(os.path.join(out, "_SUCCESS")), result.out)


def test_refusals(t, inputs):
    t.exits("no outputs", t.run("verify"), e2e.USAGE, "give the outputs")
    t.exits("an empty directory", t.run("verify", t.directory()), e2e.INPUT, "no outputs")
    t.exits("a directory that is not there", t.run("verify", "/no/such"), e2e.ROWS)
    t.exits("an output without a record", t.run("verify", inputs + "/b.jsonl"), e2e.ROWS)


def main():
    t = e2e.Suite(__doc__)
    inputs, out = catalog(t)
    test_good(t, inputs, out)
    test_damaged_gzip(t, out)
    test_other_rows(t, inputs, out)
    test_records(t, out)
    test_inputs(t, inputs, out)
    test_ids(t)
    test_rejects(t)
    test_scores(t, out)
    test_not_whole(t)
    test_kinds(t)
    test_refusals(t, inputs)
    t.finish()


if __name__ == "__main__":
    main()
