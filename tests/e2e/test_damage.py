#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inputs that are not whole: all that can be wrong with a gzip file, case by case, by default, with
--trailing and with --salvage. tests/bench/gzip_readers.py reads the same files with other readers.

What must never happen: rows of a damaged file that nobody marked, or a row from behind the damage.
With WADER_DAMAGE_ALL=1 in the environment a file is cut at every byte and has every bit flipped,
which takes minutes; else at some (the unit tests do all, without the program around).
"""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
import gzip_cases  # noqa: E402

FAST = ("-q", "--threads", "1")
ALL = os.environ.get("WADER_DAMAGE_ALL") == "1"


def some(t, numbers, n):
    """All of them, or n."""
    return numbers if ALL else sorted(random.Random(t.seed).sample(numbers, n))


class Labelled:
    """What became of one of many inputs: its rows (None: no output), its record, what was said."""

    def __init__(self, out, name, err):
        output = os.path.join(out, name + ".labels.jsonl.gz")
        self.rows = e2e.read_output(output) if os.path.exists(output) else None
        self.record = json.loads(e2e.read(output + ".meta.json")) if self.rows is not None else None
        self.said = "".join(line for line in err.splitlines() if "/%s.jsonl.gz:" % name in line)

    def __str__(self):
        return "%s\n%r\n%s" % (self.said, self.rows, self.record)


def label_all(t, files, *args):
    """Labels {name: bytes} in one run. The result, and {name: Labelled}."""
    path, out = t.directory(), t.directory()
    for name, data in files.items():
        e2e.write(path, name + ".jsonl.gz", data)
    result = t.label(*FAST, *args, "-o", out, path, timeout=300)
    labelled = {name: Labelled(out, name, result.err) for name in files}
    n_done = sum(one.rows is not None for one in labelled.values())
    t.equal("%d of %d are done, and nothing but outputs and records is left" % (n_done, len(files)),
            len(e2e.listing(out)), 2 * n_done)
    return result, labelled


def test_matrix(t, plain, golden):
    cases = gzip_cases.cases(plain)
    files = {case.name: case.data for case in cases}
    result, strict = label_all(t, files)
    t.exits("one run of all of them", result, e2e.INPUT, "%d of %d inputs failed" % (
        sum(case.wanted is None for case in cases), len(cases)))
    lenient = {mode: label_all(t, files, "--trailing", mode)[1] for mode in ("warn", "ignore")}
    for case in cases:
        one = strict[case.name]
        if case.wanted is None:
            t.check("%s: refused" % case.what, one.rows is None and all(
                word in one.said for word in case.words), one)
        else:
            t.check("%s: every row" % case.what, one.rows == golden * case.wanted, one)
        for mode in ("warn", "ignore"):
            one = lenient[mode][case.name]
            what = "%s, --trailing %s: " % (case.what, mode)
            if case.lenient is None:
                t.check(what + "refused", one.rows is None and one.said, one)
            else:
                t.check(what + "every row, and where the rest begins",
                        one.rows == golden * case.lenient and
                        one.record.get("trailing", {}).get("compressed_byte") == case.rest_at, one)
    for name in ("a-good-file", "text-behind-it", "cut-in-the-stream"):
        alone = t.label(e2e.write(t.directory(), "a.jsonl.gz", files[name]))
        t.equal("%s: the exit code" % name, alone.code,
                e2e.OK if name == "a-good-file" else e2e.INPUT)


def test_trailing(t, plain):
    path = t.directory()
    source = e2e.write(path, "a.jsonl.gz", e2e.gzip_bytes(plain) + b"garbage")
    job = ("-o", os.path.join(path, "out.jsonl"), source)
    t.exits("--trailing warn says so", t.label("--trailing", "warn", *job), e2e.OK, "left aside",
            "byte %d" % len(e2e.gzip_bytes(plain)))
    result = t.label("--trailing", "ignore", *job)
    t.exits("it is done, for --trailing ignore as well", result, e2e.OK, "done already")
    t.check("--trailing ignore does not warn", "left aside" not in result.err, result)
    t.exits("but not for a strict run", t.label(*job), e2e.INPUT, "followed by other bytes")
    t.check("which leaves what is there", os.path.exists(job[1]))
    t.exits("the environment says it too", t.label(*job, env={"WADER_TRAILING": "ignore"}), e2e.OK)


def parts_of(plain, n):
    """Cut into n where no record ends."""
    at = [i * len(plain) // n + 5 for i in range(n)] + [len(plain)]
    return [plain[a:b] for a, b in zip([0] + at[1:-1], at[1:])]


def test_every_cut(t, plain, golden):
    """Three members, the records spanning them, cut at each byte."""
    parts = parts_of(plain, 3)
    members = [e2e.gzip_bytes(part) for part in parts]
    whole = b"".join(members)
    ends = [len(members[0]), len(members[0] + members[1])]
    rows = golden.splitlines(keepends=True)
    cuts = [cut for cut in range(1, len(whole)) if cut not in ends]
    files = {"%06d" % cut: whole[:cut] for cut in some(t, cuts, 50)}
    result, strict = label_all(t, files)
    t.exits("cut at each of %d bytes" % len(files), result, e2e.INPUT)
    wrong = [str(one) for name, one in strict.items()
             if one.rows is not None or ": truncated at compressed byte %d: " % int(name)
             not in one.said or "whole records came before)" not in one.said]
    t.equal("each is refused, with the byte and the records before it", wrong[:2], [])

    result, salvaged = label_all(t, files, "--salvage")
    wrong, n_some = [], 0
    for name, one in salvaged.items():
        if one.rows is None:
            fine = "no record to salvage" in one.said
        else:
            n_some += 1
            mark = one.record["salvaged"]
            n, sure = mark["records"], sum(end <= int(name) for end in ends)
            checked = b"".join(parts[:sure]).count(b"\n")
            fine = (one.rows == b"".join(rows[:n]) and n > 0 and n >= checked and
                    one.record["rows"]["in"] == one.record["rows"]["out"] == n and
                    mark["unchecked_records"] == n - checked and
                    mark["compressed_byte"] == int(name) and
                    mark["reason"].startswith("truncated") and
                    "%d whole records" % n in one.said)
        if not fine:
            wrong.append(str(one))
    t.check("with --salvage %d of them give rows" % n_some, n_some > len(files) // 3)
    t.equal("just those before the cut, and marked", wrong[:2], [])


def test_flips(t, plain, golden):
    """Each bit of two members flipped."""
    parts = parts_of(plain, 2)
    members = [e2e.gzip_bytes(part) for part in parts]
    whole = b"".join(members)
    rows = golden.splitlines(keepends=True)
    first = b"".join(rows[:parts[0].count(b"\n")])
    files = {}
    for bit in some(t, range(8 * len(whole)), 60):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        files["%06d" % bit] = bytes(damaged)
    strict = label_all(t, files)[1]
    wrong = [str(one) for one in strict.values() if one.rows not in (None, golden) or
             (one.rows is None) != bool(one.said)]
    n_errors = sum(one.rows is None for one in strict.values())
    t.equal("of %d flipped bits %d are errors, the others harmless" % (len(files), n_errors),
            wrong[:2], [])
    t.check("most are errors", n_errors > 0.7 * len(files))
    wrong, n_some = [], 0
    for name, one in label_all(t, files, "--salvage")[1].items():
        if strict[name].rows is not None:
            fine = one.rows == golden and "salvaged" not in one.record
        elif int(name) < 8 * len(members[0]):
            fine = one.rows is None
        else:
            mark = one.record["salvaged"]
            fine = one.rows == first and mark["unchecked_records"] == 0
            # A flipped bit may hide the end of the data. Then the file seems to end too early, and
            # that member's rows are among those that are marked as checked by nothing.
            if "truncated" in mark["reason"]:
                sure = mark["records"] - mark["unchecked_records"]
                fine = one.rows.startswith(first) and sure == first.count(b"\n")
            n_some += 1
        if not fine:
            wrong.append(str(one))
    t.equal("with --salvage %d give the rows of the member before" % n_some, wrong[:2], [])


def test_salvage_again(t, plain, golden):
    path = t.directory()
    whole = e2e.gzip_bytes(plain)
    source = e2e.write(path, "a.jsonl.gz", whole[:len(whole) // 2])
    output = os.path.join(path, "out.jsonl")
    first = t.label("--salvage", "-o", output, source)
    t.exits("a damaged input ends with 1", first, e2e.ROWS, "a.jsonl.gz", "truncated", "no CRC",
            "labelled")
    rows = e2e.read(output)
    t.check("its rows are the first ones", rows and golden.startswith(rows) and rows != golden)
    t.exits("the same again: done, and still 1", t.label("--salvage", "-o", output, source),
            e2e.ROWS, "done already", "damaged input")
    t.exits("a strict run is refused", t.label("-o", output, source), e2e.INPUT, "truncated")
    t.equal("and leaves what is there", e2e.read(output), rows)
    e2e.write(path, "a.jsonl.gz", whole)
    t.exits("once it is whole, it is labelled anew", t.label("-o", output, source), e2e.OK)
    t.equal("all of it", e2e.read(output), golden)
    t.exits("on stdout too", t.label("--salvage", e2e.write(path, "b.jsonl.gz", whole[:-1])),
            e2e.ROWS, "%d whole records" % golden.count(b"\n"))
    t.exits("stdin cannot be read twice", t.label("--salvage", stdin=whole), e2e.USAGE, "twice")
    t.exits("no gzip, nothing to salvage", t.label(
        "--salvage", e2e.write(path, "c.jsonl.gz", plain)), e2e.INPUT, "not gzip")
    t.exits("a whole one is labelled as ever", t.label("--salvage", source), e2e.OK)


def test_spanning(t, plain, golden):
    """Members end anywhere, also inside a record or a character."""
    rng = random.Random(t.seed + 2)
    files = {}
    for i in range(20):
        cuts = sorted(rng.sample(range(len(plain)), 40)) + [len(plain)]
        files["%02d" % i] = b"".join(e2e.gzip_bytes(plain[a:b]) for a, b in zip([0] + cuts, cuts))
    result, labelled = label_all(t, files)
    t.exits("members cut anywhere", result, e2e.OK)
    t.check("every row of them", all(one.rows == golden for one in labelled.values()))


def test_nothing(t):
    path = t.directory()
    result = t.label(e2e.write(path, "empty.txt", b""))
    t.exits("an empty plain file has no rows", result, e2e.OK, "no record")
    t.equal("none at all", result.out, b"")
    t.exits("an empty member too", t.label(e2e.write(path, "e.txt.gz", e2e.gzip_bytes(b""))),
            e2e.OK, "no record")
    twice = e2e.gzip_bytes(e2e.gzip_bytes(b"gold\n"))
    t.exits("packed twice", t.label(e2e.write(path, "twice.txt.gz", twice)), e2e.INPUT,
            "gzip again")
    utf16 = e2e.gzip_bytes("gold\n".encode("utf-16"))
    t.exits("UTF-16 in gzip", t.label(e2e.write(path, "u.txt.gz", utf16)), e2e.INPUT, "iconv")


def golden_of(t, n):
    plain = e2e.titled(e2e.random_titles(t.seed, n))
    golden = t.label("-q", "--input-format", "jsonl", stdin=plain).out
    t.equal("the golden rows", golden.count(b"\n"), n)
    return plain, golden


def main():
    t = e2e.Suite(__doc__)
    plain, golden = golden_of(t, 60)
    test_matrix(t, plain, golden)
    test_trailing(t, plain)
    test_salvage_again(t, plain, golden)
    test_spanning(t, plain, golden)
    test_nothing(t)
    plain, golden = golden_of(t, 8)
    test_every_cut(t, plain, golden)
    test_flips(t, plain, golden)
    t.finish()


if __name__ == "__main__":
    main()
