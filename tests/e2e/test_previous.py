# SPDX-License-Identifier: Apache-2.0
"""--previous, and identical titles within a run: the bytes of a full relabel, whatever the catalog
went through since and whatever became of the files, at the cost of what is new."""
import json
import os
import random
import re
import signal
import sys
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
import resume  # noqa: E402

MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
with open(os.path.join(MODEL, "config.json"), encoding="utf-8") as config:
    N_LABELS = len(json.load(config)["id2label"])
# Of host/stream/score_file.h.
HEADER, FOOTER, KEY, CRC_AT = 64, 336, 24, 24 + 4 * N_LABELS
ROW = -(-(CRC_AT + 4) // 8) * 8


def record_of(output):
    return json.loads(e2e.read(output + ".meta.json"))


def titles_of(directory, err):
    """The counts of all records in it, added up, and those that a run tells."""
    found = [record_of(os.path.join(directory, n)).get("previous", {})
             for n in e2e.listing(directory) if n.endswith((".labels.jsonl.gz", ".labels.tsv.gz"))]
    counts = {key: sum(counts[key] for counts in found) for key in found[0]}
    told = re.search(r"([\d,]+) titles encoded, ([\d,]+) identical", err)
    for i, key in enumerate(("encoded", "shared")):
        counts[key] = int(told.group(i + 1).replace(",", "")) if told else None
    return counts


class Catalog:
    """Rows (id, title), and how they are cut into files of which format."""

    def __init__(self, t, rows, n_files=2, form="jsonl.gz", name="part"):
        self.t, self.rows, self.directory = t, rows, t.directory()
        self.full = {}
        size = -(-len(rows) // n_files)
        for i in range(n_files):
            part = rows[i * size:(i + 1) * size]
            text = {"jsonl.gz": lambda: e2e.gzip_bytes(e2e.jsonl(
                        {"id": a, "title": b} for a, b in part)),
                    "tsv": lambda: "".join("%s\t%s\n" % row for row in part)}[form]()
            e2e.write(self.directory, "%s-%d.%s" % (name, i, form), text)

    def label(self, *args, model=MODEL, output=None):
        """Labels it; the Result and the directory of the outputs."""
        output = output or self.t.directory()
        return self.t.run("label", "--model", model, *args, "-o", output, self.directory), output


    def relabel(self, *args, model=MODEL):
        """What a run without --previous writes; once for each set of options."""
        if (args, model) not in self.full:
            result, out = self.label(*args, model=model)
            self.t.check("a full run", result.code == e2e.OK, result)
            self.full[args, model] = content(out)
        return self.full[args, model]


def content(directory):
    """Rows, rejects and kept scores."""
    return {name: e2e.read(os.path.join(directory, name)) for name in sorted(os.listdir(directory))
            if not name.endswith(".meta.json")}


def token_ids(t, rows):
    """What the encoder sees of each title."""
    text = "".join(title.encode("utf-8", "surrogatepass").hex() + "\n" for _, title in rows)
    result = t.run("tokenize", "--model", MODEL, "--max-length", "40", "--hex", stdin=text.encode())
    return result.out.splitlines()


def expected(t, before, rows):
    """The counts of a run on `rows` behind one on `before`, by a plain look."""
    known, ids = set(token_ids(t, before)), {i for i, _ in before}
    counts = {"encoded": 0, "shared": 0, "reused": 0, "changed": 0, "new": 0}
    seen = set()
    for (i, _), title in zip(rows, token_ids(t, rows)):
        counts["reused"] += title in known
        counts["changed"] += title not in known and i in ids
        counts["new"] += title not in known and i not in ids
        counts["shared"] += title not in known and title in seen
        counts["encoded"] += title not in known and title not in seen
        seen.add(title)
    return counts


def compare(t, what, catalog, previous, *args, model=MODEL, says="", before=None, **wanted):
    """A run with --previous beside one without: the same bytes, and the counts that follow from
    `before`, the rows of the previous run. Returns the counts, the Result and the directory of the
    former."""
    wanted_content = catalog.relabel(*args, model=model)
    result, out = catalog.label(*args, "--previous", previous, model=model)
    t.exits("%s: with --previous" % what, result, e2e.OK, says)
    t.check("%s: the same bytes" % what, content(out) == wanted_content, e2e.listing(out))
    counts = titles_of(out, result.err)
    if before is not None:
        wanted = {**expected(t, before, catalog.rows), **wanted}
    got = {key: counts.get(key) for key in wanted}
    t.check("%s: %s" % (what, wanted), got == wanted, counts)
    return counts, result, out


def distinct(t, rows):
    return len(set(token_ids(t, rows)))


def test_catalogs(t, rng, rows):
    first = Catalog(t, rows)
    result, night = first.label()
    t.equal("the first night: each title is encoded once", titles_of(night, result.err)["encoded"],
            distinct(t, rows))
    n = len(rows)
    _, result, again = compare(t, "unchanged", first, night, before=rows, encoded=0)
    t.check("unchanged: says so", "1,000 reused, 0 changed, 0 new, 0 removed" in result.err, result)
    edited = [(i, "%s edited %d" % (title, i)) if k % 100 == 7 else (i, title)
              for k, (i, title) in enumerate(rows)]
    compare(t, "1 % edited, by a chain of nights", Catalog(t, edited), again, before=rows)
    counts, _, _ = compare(t, "1 % edited", Catalog(t, edited), night, before=rows, new=0)
    t.check("1 % edited: at most 5 % of the work",
            5 < counts["encoded"] <= distinct(t, rows) / 20, counts)
    shuffled = edited[:]
    rng.shuffle(shuffled)
    compare(t, "shuffled, in other files", Catalog(t, shuffled, 3, name="other"), night,
            "--threads", "1", "--batch-tokens", "77", before=rows)
    grown = shuffled + [("n%d" % i, "new title %d" % (i // 2)) for i in range(20)]
    counts, _, _ = compare(t, "grown, with new titles twice", Catalog(t, grown), night, "--scores",
                           "all", before=rows)
    t.check("grown: some are shared", counts["shared"] >= 10, counts)
    shrunk = shuffled[:n // 2]
    _, result, _ = compare(t, "shrunk", Catalog(t, shrunk, 1), night, before=rows)
    t.check("shrunk: says so", "%d removed" % (n - len(shrunk)) in result.err, result)
    safe = [(str(i + 9 * n), title) for i, title in rows if not any(c in title for c in "\t\n\r")]
    compare(t, "TSV, other ids", Catalog(t, safe, 2, "tsv"), night, "--output-format", "tsv",
            "--scores", "logits", before=rows, encoded=0)
    one = os.path.join(night, "part-0.labels.jsonl.gz")
    compare(t, "of one file", first, one, before=rows[:n // 2])
    return first, night


def test_ways(t, first, night):
    """Shards, into the same directory, stdin, rejects, an audit."""
    out = t.directory()
    for shard in ("0/2", "1/2"):
        result, _ = first.label("--shard", shard, "--previous", night, output=out)
        t.exits("share %s" % shard, result, e2e.OK, "0 titles encoded")
        t.check("share %s: what was removed is not known" % shard, "removed" not in result.err)
    t.check("shares: the same bytes", content(out) == first.relabel())
    t.check("-q says nothing", first.label("--previous", night, "-q")[0].err == "")
    mixed = Catalog(t, first.rows[:100] + [("x", "changed")])
    result, _ = mixed.label("--previous", out, output=out)
    t.exits("in place of what it reuses", result, e2e.OK, "1 titles encoded", "replacing it")
    t.check("in place: the same bytes", content(out) == mixed.relabel())
    data = e2e.jsonl({"id": a, "title": b} for a, b in first.rows)
    args = ("label", "--model", MODEL, "--input-format", "jsonl")
    result = t.run(*args, "--previous", night, stdin=data)
    t.exits("a filter", result, e2e.OK, "0 titles encoded")
    t.check("a filter: the same bytes", result.out == t.run(*args, stdin=data).out)
    bad = Catalog(t, first.rows[:50])
    e2e.write(bad.directory, "bad.jsonl", b'{"id":1,"title":"gold"}\n{"id":2}\n')
    compare(t, "rejects", bad, night, "--on-bad", "reject", "--max-bad", "50%")
    result, out = first.label("--previous", night, "--audit", "20")
    t.exits("an audit of reused scores", result, e2e.OK, "0 titles encoded", "audited")
    result, out = first.label("--keep-scores", "no")
    t.equal("--keep-scores no", [n for n in os.listdir(out) if n.endswith(".scores")], [])
    t.check("and no word of them", "kept_scores" not in record_of(
        os.path.join(out, "part-0.labels.jsonl.gz")))
    compare(t, "nothing was kept", first, out, says="were not kept", reused=0)


def test_other(t, first, night):
    """Scores of something else are left aside, with the reason."""
    n_titles = distinct(t, first.rows)
    nothing = "nothing in it can be reused"
    _, result, _ = compare(t, "--max-length", first, night, "--max-length", "20", reused=0,
                           says="--max-length 40, and this run has 20")
    t.check("and says what that means", nothing in result.err, result)
    for precision in e2e.cpu_precisions():
        compare(t, precision, first, night, "--precision", precision, reused=0,
                says="computed in fp32 on cpu")
    other = e2e.copy_model(t, MODEL)
    e2e.edit_json(os.path.join(other, "config.json"), layer_norm_eps=1e-5)
    compare(t, "another model", first, night, model=other, reused=0, encoded=n_titles,
            says="another model")
    other = e2e.copy_model(t, MODEL)
    compare(t, "the same model elsewhere", first, night, model=other, encoded=0)
    other = e2e.copy_model(t, MODEL)
    e2e.edit_json(os.path.join(other, "tokenizer_config.json"), anything="else")
    compare(t, "another tokenizer", first, night, model=other, reused=0, says="another tokenizer")
    t.exits("--previous: no such path", first.label("--previous", night + "/nowhere")[0], e2e.USAGE,
            "--previous", "no such file")
    t.exits("--previous: nothing in it", first.label("--previous", t.directory())[0], e2e.USAGE,
            "no finished output")


def test_damage(t, rng, first, night):
    """One byte of each part, cuts, and files that belong elsewhere."""
    one = "part-0.labels.jsonl.gz"
    scores, record = e2e.kept_scores(one), one + ".meta.json"
    whole = content(night)
    wanted = first.relabel()
    data = whole[scores]
    n_rows = record_of(os.path.join(night, one))["kept_scores"]["rows"]
    rows_end = HEADER + ROW * n_rows
    row = HEADER + ROW * rng.randrange(n_rows)

    def attempt(what, says, kept, **files):
        directory = t.directory()
        for name, content_of in {**{n: e2e.read(os.path.join(night, n))
                                    for n in os.listdir(night)}, **files}.items():
            if content_of is not None:
                e2e.write(directory, name, content_of)
        result, out = first.label("--previous", directory)
        t.exits("%s: says why" % what, result, e2e.OK, *says)
        t.check("%s: the same bytes" % what, content(out) == wanted)
        reused = titles_of(out, result.err)["reused"]
        t.check("%s: %d reused" % (what, reused), kept[0] <= reused <= kept[1], result)

    def flipped(at):
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]

    n, half = len(first.rows), len(first.rows) - n_rows
    other_half = (half, n - 1)  # what is in both files may still be found
    for what, at, says, kept in (
            ("the magic", 3, ["damaged", one], other_half),
            ("a key", row, [], (half, n)),
            ("a logit", row + KEY + 2, ["damaged", "computed again"], (half, n - 1)),
            ("a row's CRC", row + CRC_AT, ["damaged", "computed again"], (half, n - 1)),
            ("a slot", rng.randrange(rows_end, len(data) - FOOTER), [], (half, n)),
            ("the end", rng.randrange(len(data) - FOOTER, len(data)), ["damaged", one],
             other_half)):
        attempt("a bit of %s" % what, says, kept, **{scores: flipped(at)})
    attempt("cut", ["damaged", one], other_half, **{scores: data[:-1000]})
    attempt("empty", ["damaged", one], other_half, **{scores: b""})
    attempt("gone", ["not kept", one], other_half, **{scores: None})
    attempt("of the other output", ["other rows", one], other_half,
            **{scores: whole[e2e.kept_scores("part-1.labels.jsonl.gz")]})
    attempt("a damaged record", ["record is damaged", one], other_half, **{record: b"{"})
    attempt("no record", ["have no commit record"], other_half, **{record: None})
    # Wrong logits with a right CRC: nothing but an audit can know.
    lies = bytearray(data)
    for at in range(HEADER, rows_end, ROW):
        crc_at = at + CRC_AT
        lies[at + KEY:crc_at] = lies[at + KEY + 4:crc_at] + lies[at + KEY:at + KEY + 4]
        lies[crc_at:crc_at + 4] = zlib.crc32(lies[at:crc_at]).to_bytes(4, "little")
    directory = t.directory()
    for name in os.listdir(night):
        e2e.write(directory, name, e2e.read(os.path.join(night, name)))
    e2e.write(directory, scores, bytes(lies))
    result, _ = first.label("--previous", directory, "--audit", "200")
    t.exits("lies are found by --audit", result, e2e.UNUSABLE)


def test_stopped(t, rng):
    """Killed in the middle, with something to reuse and something to compute."""
    previous = os.path.join(t.directory(), resume.OUTPUT)
    known = e2e.write(t.directory(), "known.jsonl",
                      e2e.titled(e2e.random_titles(t.seed, 4000)[::2]))
    t.exits("a previous run", t.run("label", "--model", MODEL, "-o", previous, known), e2e.OK)
    job = resume.Job(t, 4000, args=("--previous", previous))
    counts = job.golden[resume.RECORD]["previous"]
    t.check("with something to reuse, and something not", min(counts["reused"], counts["changed"] +
                                                              counts["new"]) > 900, counts)
    whole = os.path.join(t.directory(), resume.OUTPUT)
    t.exits("a full run", t.run("label", "--model", MODEL, "-o", whole, job.source), e2e.OK)
    t.check("gives the same bytes", e2e.read(whole) == job.golden[resume.OUTPUT] and
            e2e.read(e2e.kept_scores(whole)) == job.golden[resume.SCORES])
    for number in (signal.SIGTERM, signal.SIGKILL):
        job.stop_early(job.has_segment, number)
        job.finishes("signal %d" % number, says="")
        job.clear()


def main():
    t = e2e.Suite(__doc__)
    rng = random.Random(t.seed)
    print("titles from seed %d" % t.seed)
    rows = list(enumerate(e2e.random_titles(t.seed, 1000)))
    # More of them with a title of their own.
    rows = [(i, "%s %d" % (title, i) if i % 3 == 0 else title) for i, title in rows]
    first, night = test_catalogs(t, rng, rows)
    test_ways(t, first, night)
    test_other(t, first, night)
    test_damage(t, rng, first, night)
    test_stopped(t, rng)
    t.finish()


if __name__ == "__main__":
    main()
