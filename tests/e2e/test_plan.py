#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader plan`: its figures beside what a run then counts, read whole and from a sample."""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
FIGURES = ("records", "titles", "bad", "tokens", "truncated", "plain_nbytes", "row_nbytes")


def plan(t, *args, model=MODEL, rate=("--titles-per-s", "1000")):
    result = t.run("plan", "--json", "-q", "--model", model, *rate, *args, timeout=300)
    if not t.exits("plan %s" % (args,), result, e2e.OK):
        return {}
    return json.loads(result.out)


def sums(directory):
    """Of all records in a directory of outputs."""
    total = {"records": 0, "bad": 0, "tokens": 0, "truncated": 0, "row_nbytes": 0, "file_nbytes": 0,
             "scores_nbytes": 0}
    for name in os.listdir(directory):
        if not name.endswith(".meta.json"):
            continue
        record = json.loads(e2e.read(os.path.join(directory, name)))
        total["records"] += record["rows"]["in"]
        total["bad"] += record["rows"]["bad"]
        total["truncated"] += record["rows"]["truncated"]
        total["tokens"] += record["tokens"]
        total["row_nbytes"] += record["output"]["nbytes"]
        total["file_nbytes"] += record["output"]["file_nbytes"]
        total["scores_nbytes"] += record["kept_scores"]["file_nbytes"]
    total["titles"] = total["records"] - total["bad"]
    return total


def test_whole(t):
    """The sample catalog, and one of several kinds of input with bad records."""
    inputs, out = t.directory(), t.directory()
    for i in range(4):
        e2e.write(inputs, "%d.jsonl.gz" % i, e2e.gzip_bytes(
            e2e.titled(e2e.random_titles(i + 1, 300)) + b'{"id":1}\nnot json\n'))
    e2e.write(inputs, "4.tsv", "".join("%d\tgold and oil %d\n" % (i, i) for i in range(500)))
    e2e.write(inputs, "5.txt", "market\n" * 400)
    args = ["--max-length", "20"]
    t.exits("label", t.run("label", "-q", "--model", MODEL, "-o", out, *args, inputs), e2e.OK)
    truth = sums(out)
    for what, more in (("as it is", []), ("--exact", ["--exact"])):
        told = plan(t, "-o", out, *args, *more, inputs)
        for key in ("records", "titles", "bad", "tokens", "truncated"):
            t.equal("%s: %s" % (what, key), told[key], dict.fromkeys(("value", "low", "high"),
                                                                     truth[key]))
        t.equal("%s: read whole" % what, told["sample"]["is_whole"], True)
        t.equal("%s: bad records" % what, told["sample"]["bad"],
                {"bad_json": 4, "missing_title": 4})
        t.equal("%s: time" % what, told["seconds"]["value"], round(truth["titles"] / 1000, 6))
        t.equal("%s: lengths" % what, sum(n["titles"] for n in told["sample"]["lengths"]),
                truth["titles"])
        # With labels and scores made up, of which this model's take less.
        for key, most in (("row_nbytes", 1.1), ("file_nbytes", 1.6), ("scores_nbytes", 1.1)):
            value = told[key]["value"]
            t.check("%s: %s is about right (%d of %d)" % (what, key, value, truth[key]),
                    0.95 < value / truth[key] < most)
    shares = [plan(t, *args, "--shard", "%d/3" % i, inputs) for i in range(3)]
    t.equal("shares add up", sum(s["titles"]["value"] for s in shares), truth["titles"])
    of_three = plan(t, *args, "--shards", "3", inputs)
    t.equal("the longest of them", round(of_three["longest_share"], 5),
            round(max(s["input_nbytes"] for s in shares) / of_three["input_nbytes"], 5))
    sample = os.path.join(e2e.ROOT, "data", "sample", "catalog.jsonl.gz")
    model = os.path.join(e2e.ROOT, "data", "model")
    one = t.directory()
    t.exits("label the sample catalog", t.run("label", "-q", "--model", model, "-o", one + "/",
                                              sample, timeout=300), e2e.OK)
    truth, told = sums(one), plan(t, sample, model=model)
    t.equal("the sample catalog", {k: told[k]["value"] for k in ("records", "tokens", "truncated")},
            {k: truth[k] for k in ("records", "tokens", "truncated")})
    t.check("its disk, too (%d of %d)" % (told["file_nbytes"]["value"], truth["file_nbytes"]),
            0.95 < told["file_nbytes"]["value"] / truth["file_nbytes"] < 1.15)


def random_catalog(t, seed):
    """Inputs of many sizes, each with a mix of its own of short and long titles."""
    rng, directory = random.Random(seed), t.directory()
    pools = [[json.dumps(x * (1 + k)).encode() for x in e2e.random_titles(seed * 10 + k, 300)]
             for k in range(3)]
    for i in range(16):
        titles = []
        for pool in pools:
            titles += rng.choices(pool, k=rng.randrange(800, 2600))
        rng.shuffle(titles)
        lines = [b'{"id":%d,"title":%s}\n' % pair for pair in enumerate(titles)]
        for _ in range(rng.randrange(20)):
            lines[rng.randrange(len(lines))] = b"not json\n"
        e2e.write(directory, "%02d.jsonl.gz" % i, e2e.gzip_bytes(b"".join(lines), 1))
    return directory


def test_sampled(t):
    n_held = n_asked = 0
    for seed in range(t.seed, t.seed + 3):
        directory = random_catalog(t, seed)
        truth, told = plan(t, "--exact", directory), plan(t, "--sample", "4", directory)
        n_read, n_all = told["sample"]["nbytes"], told["input_nbytes"]
        t.check("a part is read (%d of %d bytes)" % (n_read, n_all),
                not told["sample"]["is_whole"] and n_read < n_all / 2)
        for key in FIGURES:
            n_asked += 1
            held = told[key]["low"] <= truth[key]["value"] <= told[key]["high"]
            n_held += held
            print("      %s: %s, in truth %d%s" % (key, told[key], truth[key]["value"],
                                                   "" if held else "  <- outside"))
        width = (told["tokens"]["high"] - told["tokens"]["low"]) / truth["tokens"]["value"]
        t.check("the interval tells something (%.3f of the tokens)" % width, 0 < width < 1)
    # Of 95 % intervals; those of one catalog go together.
    t.check("%d of %d figures lie in their intervals" % (n_held, n_asked), n_held >= n_asked - 5)


def test_host(t):
    inputs = t.directory()
    e2e.write(inputs, "a.jsonl", e2e.titled(e2e.random_titles(t.seed, 300)))
    out = os.path.join(t.directory(), "not", "yet")
    result = t.run("plan", "--model", MODEL, "-o", out, "--shards", "2", inputs)
    t.exits("measured here", result, e2e.OK)
    text = result.out.decode()
    t.check("each figure is there", all(w in text for w in (
        "titles", "tokens", "truncated", "measured here", "time", "disk", "free at", "memory",
        "of 2 shares", "all of it")), text)
    t.equal("nothing was made", os.path.exists(os.path.dirname(out)), False)
    told = plan(t, "-o", out, inputs, rate=())
    t.check("a rate", told["rate_is"] == "measured"
            and 0 < told["titles_per_s"]["low"] <= told["titles_per_s"]["high"], told)
    info = json.loads(t.run("info", "--json", "--model", MODEL).out)["device"]["memory"]
    t.equal("memory, as info tells", told["memory"],
            {k: info[k] for k in ("weights_nbytes", "working_nbytes", "rest_nbytes")})
    t.check("there is room", told["fits"] is True and told["free_nbytes"] > 0, told)
    big = e2e.write(t.directory(), "big.txt", "gold\n" * 100000)
    os.truncate(big, 1 << 42)  # as far as it is looked at, the rest is like its beginning
    result = t.run("plan", "--model", MODEL, "--titles-per-s", "9", "--sample", "1", "-o", out, big)
    os.remove(big)
    t.exits("too little room", result, e2e.OK, "warning", "free there")


def test_refusals(t):
    inputs = e2e.write(t.directory(), "a.txt", "gold\n")
    broken = e2e.write(t.directory(), "b.txt.gz", e2e.gzip_bytes(b"gold\n" * 100)[:-9])
    for what, args, code, word in (
            ("no input", [], e2e.USAGE, "INPUT"), ("stdin", ["-"], e2e.USAGE, "stdin"),
            ("an input that is not there", ["/no/such.txt"], e2e.INPUT, "/no/such.txt"),
            ("a damaged one", [broken], e2e.INPUT, "truncated"),
            ("a rate of nothing", ["--titles-per-s", "0", inputs], e2e.USAGE, "titles-per-s"),
            ("a rate that is no number", ["--titles-per-s", "nan", inputs], e2e.USAGE, "nan"),
            ("a share of nothing", ["--shard", "1/2", inputs], e2e.USAGE, "empty"),
            ("two outputs of one name", [inputs, inputs], e2e.USAGE, "both")):
        t.exits("%s is refused" % what, t.run("plan", "--model", MODEL, *args), code, word)
    t.exits("no model", t.run("plan", inputs), e2e.USAGE, "--model")


def main():
    t = e2e.Suite(__doc__)
    for test in (test_whole, test_sampled, test_host, test_refusals):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
