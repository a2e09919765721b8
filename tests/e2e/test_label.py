#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader label`: what goes in, what comes out. Refusals are in test_refusals.py."""
import hashlib
import json
import math
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

TITLES = ["Why the price of oil and gold is new", "", "Science: how it works", "今天新闻",
          "café in Zürich", "a\ttab", 'a "quote" and a \\', "   ", "🎬 film of the year 🎵"]


def labels_of(model):
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        names = json.load(file)["id2label"]
    names = [names[str(i)] for i in range(len(names))]
    if names[0] == "LABEL_0":
        names = e2e.read(os.path.join(model, "labels.txt")).decode().split("\n")[:len(names)]
    return names


def softmax(logits):
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    return [p / sum(powers) for p in powers]


def scores_of(model, logits):
    """What config.json's problem_type makes of logits."""
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        problem = json.load(file).get("problem_type")
    if problem == "multi_label_classification":
        return [1 / (1 + math.exp(-x)) for x in logits]
    return softmax(logits)


def test_logits(t):
    for fixture in e2e.FIXTURES:
        model, wanted = os.path.join(e2e.GOLDEN, fixture), e2e.expected(fixture)
        cases, names = wanted["cases"], labels_of(model)
        result = t.label("--scores", "logits", "--input-format", "jsonl", "--max-length",
                         str(wanted["max_length"]), model=model,
                         stdin=e2e.titled(c["title"] for c in cases))
        t.exits("%s is labelled" % fixture, result, e2e.OK)
        rows = result.rows()
        scale = max(abs(x) for c in cases for x in c["logits"])
        worst, wrong = 0.0, []
        for row, case in zip(rows, cases):
            worst = max([worst] + [abs(a - b) for a, b in zip(row["logits"], case["logits"])])
            probabilities = scores_of(model, case["logits"])
            best = max(range(len(names)), key=case["logits"].__getitem__)
            if (row["label"] != names[best] or abs(row["score"] - probabilities[best]) > 1e-5
                    or len(row["logits"]) != len(names)
                    or (row.get("status") == "truncated") != case["truncated"]):
                wrong.append((row, case))
        t.check("%s: logits are PyTorch's (worst %.1e, scale %.1f)" % (fixture, worst, scale),
                len(rows) == len(cases) and worst < 1e-5 * scale)
        t.equal("%s: labels, scores and truncation marks" % fixture, wrong, [])


def test_scores(t):
    data, names = e2e.titled(TITLES), labels_of(e2e.MODEL)
    top = t.label("--input-format", "jsonl", stdin=data)
    t.exits("--scores top", top, e2e.OK)
    lines = top.out.decode().splitlines()
    t.check("a row is {id, label, score} with a score of six decimals", all(
        line == '{"id":%d,"label":"%s","score":%.6f}' % (i + 1, r["label"], r["score"])
        for i, (line, r) in enumerate(zip(lines, top.rows()))), top.out)
    t.equal("rows out are rows in", len(lines), len(TITLES))
    scores = t.label("--input-format", "jsonl", "--scores", "all", stdin=data).rows()
    t.check("--scores all: every label in the model's order, adding up to 1", all(
        list(r["scores"]) == names and abs(sum(r["scores"].values()) - 1) < 1e-5
        and r["scores"][r["label"]] == r["score"] == max(r["scores"].values()) for r in scores))
    logits = t.label("--input-format", "jsonl", "--scores", "logits", stdin=data).rows()
    t.check("--scores logits: their softmax is the scores", all(
        abs(p - q) < 2e-6 for a, b in zip(logits, scores)
        for p, q in zip(softmax(a["logits"]), b["scores"].values())))
    t.equal("label and score are the same in each", [
        [(r["id"], r["label"], r["score"]) for r in rows] for rows in (scores, logits)],
        [[(r["id"], r["label"], r["score"]) for r in top.rows()]] * 2)


def test_tsv_output(t):
    records = [{"id": "a\tb", "title": "gold", "more": "x\ty\\z\nü"}, {"id": 2, "title": 5},
               {"id": None, "title": "the " * 60, "more": [1, 2]}]
    names, data = labels_of(e2e.MODEL), e2e.jsonl(records)
    args = ["--input-format", "jsonl", "--output-format", "tsv", "--max-bad", "1"]
    result = t.label(*args, "--header", "--passthrough", "more", "--scores", "all", stdin=data)
    t.exits("TSV with everything", result, e2e.OK)
    table = [line.split("\t") for line in result.out.decode().split("\n")[:-1]]
    t.equal("TSV: header", table[0], ["id", "label", "score"] + names + ["status", "more"])
    t.equal("TSV: every line has every column", {len(r) for r in table}, {len(table[0])})
    t.equal("TSV: tab, newline, backslash are escaped",
            [table[1][0], table[1][-1]], ["a\\tb", "x\\ty\\\\z\\nü"])
    t.equal("TSV: status", [r[-2] for r in table[1:]], ["", "title_not_a_string", "truncated"])
    t.equal("TSV: a bad row's cells are empty", table[2][1:-2], [""] * (2 + len(names)))
    t.equal("TSV: JSON values are passed as they are", table[3][-1], "[1, 2]")
    plain = t.label(*args, stdin=data).out.decode().split("\n")
    t.equal("TSV: no header unless asked", plain[0].split("\t")[0], "a\\tb")
    t.equal("TSV: id, label, score, status", {len(r.split("\t")) for r in plain[:-1]}, {4})
    path = t.directory()
    source = e2e.write(path, "in.jsonl", data)
    for name, tsv in (("x.tsv", 1), ("x.tsv.gz", 1), ("x.jsonl", 0), ("x.gz", 0), ("x.out", 0)):
        done = t.label("--max-bad", "1", "-o", os.path.join(path, name), source)
        first = e2e.read_output(os.path.join(path, name))[:1] if done.code == 0 else done
        t.equal("-o %s: its name tells the format" % name, first, b"a" if tsv else b"{")


def test_inputs(t):
    path = t.directory()
    plain = [x for x in TITLES if "\t" not in x]
    text = "\n".join(plain).encode()
    table = "".join("%d\t%s\n" % (i + 1, x) for i, x in enumerate(plain)).encode()
    wanted = [(r["label"], r["score"]) for r in t.label(
        "--input-format", "jsonl", stdin=e2e.titled(plain)).rows()]
    for name, data in (("a.txt", text), ("a.tsv", table), ("a.jsonl", e2e.titled(plain)),
                       ("crlf.txt", text.replace(b"\n", b"\r\n")),
                       ("bom.txt", b"\xef\xbb\xbf" + text), ("newline.txt", text + b"\n")):
        for suffix, packed in (("", data), (".gz", e2e.gzip_bytes(data))):
            source = e2e.write(path, name + suffix, packed)
            result = t.label(source)
            rows = result.rows() if result.code == 0 else []
            t.equal("%s: same labels" % (name + suffix),
                    [(r["label"], r["score"]) for r in rows], wanted)
            ids = [i + 1 for i in range(len(plain))]
            t.equal("%s: ids" % (name + suffix), [r["id"] for r in rows],
                    [str(i) for i in ids] if name.endswith("tsv") else ids)
    odd = e2e.write(path, "gzip-without-the-name.jsonl", e2e.gzip_bytes(e2e.titled(plain)))
    t.equal("gzip is told by content", len(t.label(odd).rows()), len(plain))
    columns = e2e.write(path, "c.tsv", "x\tgold\tk1\t7\ny\toil\tk2\t8\n")
    rows = t.label("--id-field", "3", "--title-field", "2", "--passthrough", "4,1",
                   columns).rows()
    t.equal("TSV columns by number", [(r["id"], r["4"], r["1"]) for r in rows],
            [("k1", "7", "x"), ("k2", "8", "y")])
    t.equal("an empty input gives no rows", t.label(stdin=b"").out, b"")
    for name in ("none.txt", "none.txt.gz"):
        source = e2e.write(path, name, e2e.gzip_bytes(b"") if name.endswith("gz") else b"")
        output = os.path.join(path, name + ".out.jsonl.gz")
        t.exits("%s: an empty file is labelled" % name, t.label("-o", output, source), e2e.OK)
        t.equal("%s: into an empty gzip" % name, e2e.read_output(output), b"")


def test_ids(t):
    ids = ["7", "-0", "1234567890123456789012345678901234567890", "1.50", "1E+3", "null", "true",
           '"s"', '""', r'"a\"b\\\n\u00e9\/"', '"ü😀"', r'"\ud83d\ude00"', '[1, {"a": 2}]',
           '"007"']
    data = "".join('{"title": "gold", "id": %s}\n' % i for i in ids).encode()
    result = t.label("--input-format", "jsonl", stdin=data)
    got = [line[len('{"id":'):line.index(',"label":"')] for line in
           result.out.decode().splitlines()]
    t.equal("JSON ids come out as they went in, byte for byte", got, ids)
    nested = [{"meta": {"a/b": {"~k": i}, "t": ["no", "gold %d" % i]}, "keep": {"x": [i, None]},
               "say": "é\t\"\\"} for i in range(3)]
    result = t.label("--input-format", "jsonl", "--id-field", "/meta/a~1b/~0k", "--title-field",
                     "/meta/t/1", "--passthrough", "keep,say,/meta/t/0,absent",
                     stdin=e2e.jsonl(nested))
    t.exits("JSON pointers", result, e2e.OK)
    t.equal("JSON pointers find ids and fields", [
        {k: v for k, v in r.items() if k not in ("label", "score")} for r in result.rows()],
        [{"id": i, "keep": {"x": [i, None]}, "say": "é\t\"\\", "/meta/t/0": "no", "absent": None}
         for i in range(3)])
    same = t.label("--input-format", "text", stdin=b"gold 0\ngold 1\ngold 2\n").rows()
    t.equal("JSON pointers find the title", [r["score"] for r in result.rows()],
            [r["score"] for r in same])


def test_truncation(t):
    path, titles = t.directory(), e2e.random_titles(t.seed, 300)
    titles = [x.replace("\n", " ") for x in titles]
    source = e2e.write(path, "in.jsonl", e2e.titled(titles))
    lengths = [len(line.split()) for line in t.run(
        "tokenize", "--model", e2e.MODEL, "--hex", "--max-length", "0",
        stdin="".join(x.encode().hex() + "\n" for x in titles).encode()).out.splitlines()]
    for most in (2, 5, 40):
        output = os.path.join(path, "out%d.jsonl" % most)
        result = t.label("--max-length", str(most), "-o", output, source)
        rows = e2e.parse_rows(e2e.read(output))
        cut = [n > most for n in lengths]
        t.equal("--max-length %d: truncated rows are marked" % most,
                [r.get("status") == "truncated" for r in rows], cut)
        t.exits("--max-length %d: and counted" % most, result, e2e.OK, "%d truncated" % sum(cut))
        record = json.loads(e2e.read(output + ".meta.json"))
        t.equal("--max-length %d: and recorded, with the tokens" % most,
                (record["rows"]["truncated"], record["tokens"]),
                (sum(cut), sum(min(n, most) for n in lengths)))


def test_outputs(t):
    path = t.directory()
    names = ["a.jsonl.gz", "b.tsv", "c.txt", "d.jsonl", "e.txt.gz"]
    for i, name in enumerate(names):
        data = e2e.titled(["gold %d" % i]) if ".jsonl" in name else b"1\tgold %d\n" % i
        e2e.write(path, name, e2e.gzip_bytes(data) if name.endswith(".gz") else data)
    for name in (".hidden.jsonl", "old.labels.jsonl.gz", "old.labels.jsonl.gz.meta.json", "x.md"):
        e2e.write(path, name, b"{}")
    inputs, base = [os.path.join(path, n) for n in names], t.directory()

    def outputs_of(what, directory, *args):
        t.exits(what, t.label("-o", os.path.join(base, directory), *args), e2e.OK)
        return {n: e2e.read(os.path.join(base, directory, n))
                for n in e2e.listing(os.path.join(base, directory)) if not n.endswith(".json")}

    whole = outputs_of("several inputs, into a new directory", "list", *inputs)
    t.equal("outputs are named after inputs", sorted(whole),
            [x + ".labels.jsonl.gz" for x in "abcde"])
    t.equal("each has its record, and nothing else is there", e2e.listing(base + "/list"),
            sorted(x + ".labels.jsonl.gz" + y for x in "abcde" for y in ("", ".meta.json")))
    t.equal("a directory of inputs: the same", outputs_of("a directory", "dir", path), whole)
    for share in ("0/3", "1/3", "2/3"):
        shares = outputs_of("--shard " + share, "shares", "--shard", share, path)
    t.equal("three shares make the whole", shares, whole)
    t.exits("--shard 7/9 of five inputs has nothing to do",
            t.label("-o", base + "/shares", "--shard", "7/9", path), e2e.OK)
    os.mkdir(base + "/one")
    one = outputs_of("one input into a directory that is there", "one", inputs[0])
    t.equal("one input into a directory", one, {"a.labels.jsonl.gz": whole["a.labels.jsonl.gz"]})
    tsv = outputs_of("TSV into a directory", "tsv", "--output-format", "tsv", *inputs[:2])
    t.equal("TSV into a directory: names", sorted(tsv), ["a.labels.tsv.gz", "b.labels.tsv.gz"])
    for again in ("", ": once"):
        t.exits("a directory into itself" + again, t.label("-o", path, path), e2e.OK)
    t.equal("outputs are no inputs", len([n for n in e2e.listing(path) if ".labels." in n]), 12)
    whole_again = outputs_of("several inputs again", "list", *inputs)
    t.check("the same command gives the same files", whole_again == whole)
    result = t.label("-o", base + "/list", path)
    t.exits("all five again: nothing to do", result, e2e.OK)


def test_gzip_output(t):
    path, data = t.directory(), e2e.titled(e2e.random_titles(t.seed, 2000))
    source = e2e.write(path, "in.jsonl", data)
    for name in ("1.jsonl.gz", "2.jsonl.gz", "plain.jsonl"):
        t.exits("-o " + name, t.label("-o", os.path.join(path, name), source), e2e.OK)
        time.sleep(1.1 if name[0] == "1" else 0)  # gzip's time counts seconds
    first = e2e.read(path + "/1.jsonl.gz")
    t.equal("gzip header: deflate, no name, no time", first[:8], b"\x1f\x8b\x08" + bytes(5))
    t.check("equal bytes twice", first == e2e.read(path + "/2.jsonl.gz"))
    t.check("the same rows, packed or plain",
            e2e.gunzip_bytes(first) == e2e.read(path + "/plain.jsonl"))
    t.check("and on stdout", t.label(source).out == e2e.read(path + "/plain.jsonl"))
    t.check("and from stdin", t.label("--input-format", "jsonl", "-", stdin=data).out ==
            e2e.read(path + "/plain.jsonl"))


def test_record(t):
    path = t.directory()
    titles = e2e.random_titles(t.seed, 500)
    data = e2e.titled(titles) + b'{"id": 501}\nno json\n\n{"id": 3, "title": "bad \xff utf"}\n'
    source = e2e.write(path, "in.jsonl.gz", e2e.gzip_bytes(data))
    output = path + "/out.jsonl.gz"
    t.exits("a run to look at the record of", t.label("-o", output, source), e2e.OK)
    record, rows = json.loads(e2e.read(output + ".meta.json")), e2e.read_output(output)
    t.equal("record: input", record["input"], {
        "name": "in.jsonl.gz", "nbytes": os.path.getsize(source),
        "mtime_ns": os.stat(source).st_mtime_ns,
        "sha256": hashlib.sha256(e2e.read(source)).hexdigest()})
    t.equal("record: output", record["output"], {
        "name": "out.jsonl.gz", "file_nbytes": os.path.getsize(output), "nbytes": len(rows),
        "sha256": hashlib.sha256(rows).hexdigest()})
    statuses = [r.get("status") for r in e2e.parse_rows(rows)]
    t.equal("record: rows", record["rows"], {
        "in": 504, "out": 504, "labelled": 501, "truncated": statuses.count("truncated"),
        "abstained": 0, "ill_formed_utf8": 1, "bad": 3, "bad_json": 1, "blank_line": 1,
        "missing_title": 1})
    t.equal("record: settings", (record["settings"]["precision"], record["settings"]["device"],
                                 record["settings"]["max_length"]), ("fp32", "cpu", 40))
    hashes = [record["model"]["sha256"]]
    for change in ("none", "label", "weight", "vocabulary"):
        model = e2e.copy_model(t)
        if change == "label":
            e2e.edit_json(model + "/config.json", id2label={str(i): "L%d" % i for i in range(5)})
        elif change == "weight":
            weights = bytearray(e2e.read(model + "/model.safetensors"))
            weights[-4] ^= 1
            e2e.write(model, "model.safetensors", bytes(weights))
        elif change == "vocabulary":
            os.remove(model + "/tokenizer.json")
        other = os.path.join(t.directory(), "out.jsonl")
        t.exits("model with changed %s" % change, t.label("-o", other, source, model=model), 0)
        found = json.loads(e2e.read(other + ".meta.json"))["model"]
        if change == "vocabulary":
            t.check("record: the tokenizer's hash tells its files",
                    found["tokenizer_sha256"] != record["model"]["tokenizer_sha256"])
        else:
            hashes.append(found["sha256"])
    t.check("record: the model's hash tells config, weights, labels; not the directory",
            hashes[0] == hashes[1] and len(set(hashes)) == 3, hashes)


def test_options(t):
    data = e2e.titled(TITLES)
    args = ["--input-format", "jsonl", "--scores", "all", "--max-length", "6"]
    wanted = t.label(*args, stdin=data).out
    twins = {"WADER_MODEL": e2e.MODEL, "WADER_INPUT_FORMAT": "jsonl", "WADER_SCORES": "all",
             "WADER_MAX_LENGTH": "6", "WADER_QUIET": "1"}
    result = t.run("label", stdin=data, env=twins)
    t.equal("environment twins", (result.out, result.err), (wanted, ""))
    result = t.run("label", "--max-length=7", stdin=data, env=dict(twins, WADER_MAX_LENGTH="3"))
    t.equal("flags win over the environment", result.out, t.label(*args[:-1], "7", stdin=data).out)
    t.equal("--flag=value and -mDIR", t.run("label", "-m" + e2e.MODEL, "--input-format=jsonl",
                                            "--scores=all", "--max-length=6", stdin=data).out,
            wanted)
    bad = data + b"{}\n" * 3 + b'{"id":1,"title":"\xff"}\n'
    t.equal("-q: silent", t.label("-q", "--max-bad", "9", *args, stdin=bad).err, "")
    usual = t.label("--max-bad", "9", *args, stdin=bad)
    t.exits("without -q: bad records are shown", usual, e2e.OK, "record 10 at byte", "record 13",
            "no title")
    for mode in ("auto", "tty", "plain", "json", "none"):
        t.equal("--progress %s: stdout is data alone" % mode,
                t.label("--progress", mode, *args, stdin=data).out, wanted)
    locales = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    name = next((x for x in locales.split() if x.startswith("de_")), "de_DE.UTF-8")
    print("      locale %s is %sinstalled" % (name, "" if name in locales else "not "))
    t.equal("LC_ALL=%s: same bytes" % name, t.label(*args, stdin=data, env={"LC_ALL": name}).out,
            wanted)


def test_progress(t):
    process = t.start("label", "--model", e2e.MODEL, "--progress", "tty", stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
    process.stdin.write(b"gold\n")
    process.stdin.flush()
    time.sleep(1.5)
    out, err = process.communicate(b"oil\n", timeout=30)
    t.equal("a slow input is labelled", len(e2e.parse_rows(out)), 2)
    t.check("--progress tty: a line in place with the count", b"\r" in err and b"1 titles" in err,
            err)


def test_help(t):
    t.exits("--version", t.run("--version"), 0)
    t.check("--version says it", t.run("--version").out.startswith(b"wader "))
    for args in (["--help"], ["help"], ["help", "label"], ["label", "--help"], ["tokenize", "-h"]):
        result = t.run(*args)
        t.check("wader %s: on stdout, with exit 0" % " ".join(args),
                result.code == 0 and b"wader" in result.out and not result.err, result)


def main():
    t = e2e.Suite(__doc__)
    print("titles from seed %d" % t.seed)
    for test in (test_logits, test_scores, test_tsv_output, test_inputs, test_ids, test_truncation,
                 test_outputs, test_gzip_output, test_record, test_options, test_progress,
                 test_help):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
