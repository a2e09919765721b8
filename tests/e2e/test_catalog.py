#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A catalog in one command: directories, patterns, manifests, shares of them, how far it is."""
import fcntl
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

MODEL = os.path.join(e2e.GOLDEN, "bert_three_heads")
ODD_NAMES = [b"two words", b"new\nline", b"\xff\xfe", b"tab\there", b"'quoted' \"names\"", b"#hash",
             b"-dash", b"star*[1]?", "wörter".encode()]


def catalog(t, n, name="part-%02d.jsonl.gz"):
    """A directory of small inputs, all different."""
    path = t.directory()
    for i in range(n):
        titles = e2e.random_titles(i + 1, 5 + i % 4)
        e2e.write(path, name % i, e2e.gzip_bytes(e2e.titled(titles)))
    return path


def label(t, *args, **kwargs):
    return t.run("label", "--model", MODEL, *args, **kwargs)


def outputs(directory):
    """What a run wrote, but for records, which tell of times."""
    path = os.fsencode(directory)
    found = {name: e2e.read(os.path.join(path, name)) for name in sorted(os.listdir(path))
             if not name.endswith((b".meta.json", b".scores"))}
    records = [n for n in os.listdir(path) if n.endswith(b".meta.json")]
    return found, sorted(records)


def test_inputs(t):
    inputs, wanted = catalog(t, 4), t.directory()
    t.exits("a directory", label(t, "-o", wanted, inputs), e2e.OK, "4 of 4 files")
    nothing = os.path.join(inputs, "z.jsonl")
    os.symlink("nowhere", nothing)
    t.exits("a link to nothing in it", label(t, "-o", wanted, inputs), e2e.INPUT, "z.jsonl",
            "1 of 5 inputs failed")
    os.remove(nothing)
    names = ["part-%02d.jsonl.gz" % i for i in range(4)]
    # What lies beside the catalog does not belong to it.
    os.mkdir(inputs + "/part-99.jsonl.gz")
    e2e.write(inputs, ".part-98.jsonl.gz", "hidden")
    os.mkdir(inputs + "/below")
    e2e.write(inputs + "/below", "deep.jsonl", '{"id":1,"title":"gold"}\n')
    manifest = e2e.write(inputs, "list", "# the catalog\n\n" + "\r\n".join(names) + "\n")
    absolute = e2e.write(t.directory(), "list", "".join("%s/%s\n" % (inputs, n) for n in names))
    packed = e2e.write(inputs, "list.gz", e2e.gzip_bytes(("\n".join(names)).encode()))
    paths = ["%s/%s" % (inputs, n) for n in names]
    for what, args, stdin in (
            ("a pattern", [inputs + "/part-*.gz"], b""),
            ("patterns", [inputs + "/part-[0]0.*", inputs + "/part-0[1-3]*"], b""),
            ("a pattern of directories", [os.path.dirname(inputs) + "/*/part-0?.jsonl.gz"], b""),
            ("a manifest, relative to itself", ["@" + manifest], b""),
            ("a manifest of absolute paths", ["@" + absolute], b""),
            ("a gzip manifest", ["@" + packed], b""),
            ("a manifest on stdin", ["@-"], "\n".join(paths).encode()),
            ("NULs on stdin", ["@-"], "\0".join(paths).encode())):
        out = t.directory()
        t.exits(what, label(t, "-q", "-o", out, *args, stdin=stdin), e2e.OK)
        t.check("%s: the same outputs" % what, outputs(out) == outputs(wanted), e2e.listing(out))
    t.exits("a pattern over outputs finds the same inputs", label(
        t, "-o", inputs, inputs + "/part-*.gz"), e2e.OK, "4 of 4")
    t.exits("and again", label(t, "-o", inputs, inputs + "/part-*"), e2e.OK, "done already")
    t.equal("no labels of labels", [n for n in os.listdir(inputs) if "labels.labels" in n], [])
    one = t.directory()
    t.exits("a pattern that matches one", label(t, "-o", one, inputs + "/part-00*z"), e2e.OK)
    t.equal("still gives a directory", len(outputs(one)[0]), 1)


def told(result):
    """The inputs in the order in which their outputs were told to be there."""
    return [os.path.basename(line.split(": ")[2]).split(".")[0]
            for line in result.err.splitlines() if " files: " in line]


def test_order(t):
    inputs = catalog(t, 12, "%d.jsonl")
    out = t.directory()
    order = told(label(t, "-o", out, inputs + "/*.jsonl"))
    t.equal("patterns are sorted by bytes", order, sorted(map(str, range(12))))
    manifest = e2e.write(inputs, "list", "7.jsonl\n1.jsonl\n10.jsonl\n")
    order = told(label(t, "-o", t.directory(), "@" + manifest))
    t.equal("a manifest keeps its order", order, ["7", "1", "10"])
    done = json.loads(t.run("status", "--json", "-o", out, inputs).out)
    t.equal("all of it is done", (done["outputs"], done["done"]), (12, 12))


def test_odd_names(t):
    inputs = os.fsencode(t.directory())
    for i, name in enumerate(ODD_NAMES):
        with open(os.path.join(inputs, name + b".jsonl"), "wb") as file:
            file.write(e2e.titled(["gold %d" % i]))
    wanted = t.directory()
    t.exits("odd names in a directory", label(t, "-q", "-o", wanted, inputs), e2e.OK)
    t.equal("one output each", sorted(outputs(wanted)[0]),
            sorted(n + b".labels.jsonl.gz" for n in ODD_NAMES))
    text = label(t, "-o", wanted, inputs).err
    t.equal("each is told of in one line", text.count("is done already"), len(ODD_NAMES))
    t.check("and no line has a control character", all(
        line.startswith("wader: ") and not any(c < " " or c == "\x7f" for c in line)
        for line in text.split("\n")[:-1]), text)
    listed = b"\0".join(os.path.join(inputs, n + b".jsonl") for n in ODD_NAMES) + b"\0"
    out = t.directory()
    t.exits("between NULs", label(t, "-q", "-o", out, "@-", stdin=listed), e2e.OK)
    t.check("the same outputs", outputs(out) == outputs(wanted), e2e.listing(out))
    manifest = e2e.write(os.fsdecode(inputs), "list", b"".join(
        (b"./" if n.startswith(b"#") else b"") + n + b".jsonl\n"
        for n in ODD_NAMES if b"\n" not in n))
    out = t.directory()
    t.exits("in lines", label(t, "-q", "-o", out, "@" + manifest), e2e.OK)
    t.equal("all but the one with a line break", sorted(outputs(out)[0]),
            sorted(n + b".labels.jsonl.gz" for n in ODD_NAMES if b"\n" not in n))
    t.exits("status of all", t.run("status", "-o", wanted, inputs), e2e.OK)
    t.exits("verify of all, ids too", t.run("verify", "--ids", "-o", wanted, inputs), e2e.OK)
    t.exits("merge of all", t.run("merge", wanted, inputs), e2e.OK)
    text = e2e.read(wanted + "/_SUCCESS").decode("utf-8")
    t.equal("told in UTF-8", json.loads(text)["files"], len(ODD_NAMES))


def test_refusals(t):
    inputs, out = catalog(t, 2), t.directory()
    other = t.directory()
    e2e.write(other, "part-00.tsv", "1\tgold\n")
    first, second = inputs + "/part-00.jsonl.gz", other + "/part-00.tsv"
    lines = e2e.write(inputs, "list", "# x\n%s\ngone.jsonl\n" % first)
    entries = e2e.write(inputs, "list0", "%s\0gone.jsonl\0" % first)
    empty = e2e.write(inputs, "empty", "# nothing\n\n")
    folder = e2e.write(inputs, "folder", "part-00.jsonl.gz\n%s\n" % other)
    for what, args, code, words in (
            ("two inputs of one name", [inputs, second], e2e.USAGE, [first, second, "both"]),
            ("a pattern without a match", [inputs + "/*.csv"], e2e.INPUT, ["*.csv", "no file"]),
            ("a file that a line names", ["@" + lines], e2e.INPUT, [lines, "line 3", "gone.jsonl"]),
            ("a file that an entry names", ["@" + entries], e2e.INPUT, ["entry 2", "gone.jsonl"]),
            ("a manifest without inputs", ["@" + empty], e2e.INPUT, [empty, "no input"]),
            ("a directory in a manifest", ["@" + folder], e2e.INPUT, ["line 2", "directory"]),
            ("stdin in a manifest on stdin", ["@-"], e2e.INPUT, ["line 1", "stdin"]),
            ("a manifest that is not there", ["@" + inputs + "/no"], e2e.INPUT, ["/no"]),
            ("a manifest without a name", ["@"], e2e.USAGE, ["@FILE"]),
            ("a manifest that is Parquet", ["@" + e2e.write(other, "p", "PAR1xxxx")], e2e.INPUT,
             ["Parquet"]),
            ("stdin beside others", ["-", inputs], e2e.USAGE, ["stdin"])):
        t.exits("%s is refused" % what, label(t, "-o", out, *args, stdin=b"-\n"), code, *words)
        t.equal("%s: nothing is written" % what, e2e.listing(out), [])
    t.exits("a list needs a directory", label(t, "@" + lines), e2e.INPUT, "line 3")
    t.exits("a file may be called @x", label(t, "./@x", cwd=other), e2e.INPUT, "./@x")
    named = e2e.write(other, "a[b]*.txt", "gold\n")
    t.exits("a file whose name is a pattern", label(t, named), e2e.OK)


def test_shares(t):
    inputs, wanted = catalog(t, 7), t.directory()
    t.exits("one run", label(t, "-q", "-o", wanted, inputs), e2e.OK)
    for n in (1, 2, 3, 7, 10):
        out = t.directory()
        for i in range(n):
            first, step = 1 + n % 3, 1 + n % 2  # Slurm numbers tasks as its user likes
            last = first + (n - 1) * step
            env = {"SLURM_ARRAY_TASK_ID": str(first + i * step), "SLURM_ARRAY_TASK_MIN": str(first),
                   "SLURM_ARRAY_TASK_MAX": str(last), "SLURM_ARRAY_TASK_COUNT": str(n),
                   "SLURM_ARRAY_TASK_STEP": str(step)}
            if n == 7:
                env = {"JOB_COMPLETION_INDEX": str(i), "WADER_SHARDS": "7"}
            if n == 10:
                env = {"AWS_BATCH_JOB_ARRAY_INDEX": str(i), "WADER_SHARDS": "10"}
            words = [] if i < 7 else ["share %d of %d is empty" % (i, n)]
            t.exits("share %d of %d" % (i, n), label(t, "-o", out, "--shard", "auto", inputs,
                                                     env=env), e2e.OK, *words)
        t.check("%d shares are one run, to the byte" % n, outputs(out) == outputs(wanted),
                e2e.listing(out))
    t.exits("an empty share needs no model", t.run(
        "label", "--model", "/nowhere", "-o", wanted, "--shard", "9/10", inputs), e2e.OK)
    for env, word in (({}, "nothing tells"), ({"JOB_COMPLETION_INDEX": "3"}, "WADER_SHARDS"),
                      ({"JOB_COMPLETION_INDEX": "3", "WADER_SHARDS": "3"}, "0 to 2"),
                      ({"JOB_COMPLETION_INDEX": "1", "AWS_BATCH_JOB_ARRAY_INDEX": "2",
                        "WADER_SHARDS": "3"}, "AWS_BATCH")):
        t.exits("--shard auto with %s" % env, label(t, "-o", wanted, "--shard", "auto", inputs,
                                                    env=env), e2e.USAGE, word)


def states(t, *args):
    result = t.run("status", "--json", *args)
    found = json.loads(result.out)
    return result.code, {os.path.basename(i["output"]).split(".")[0]: i["state"]
                         for i in found["items"]}, found


def test_status(t):
    inputs, out = catalog(t, 10, "%d.jsonl"), t.directory()
    code, found, _ = states(t, "-o", out + "/new", inputs)
    t.equal("nothing is there", (code, set(found.values())), (e2e.ROWS, {"missing"}))
    t.equal("and nothing was made", e2e.listing(out), [])
    t.exits("label", label(t, "-q", "-o", out, inputs), e2e.OK)
    result = t.run("status", "-o", out, inputs)
    t.exits("all done", result, e2e.OK)
    t.check("and says so", b"10 outputs: 10 done" in result.out, result.out)
    t.exits("label's command line", t.run("status", "--model", MODEL, "--on-bad", "row", "-o", out,
                                          inputs), e2e.OK)
    t.exits("OUT first", t.run("status", out, inputs), e2e.OK)
    t.exits("OUT alone", t.run("status", out), e2e.OK)
    os.remove(out + "/1.labels.jsonl.gz")
    os.remove(out + "/1.labels.jsonl.gz.meta.json")
    os.remove(out + "/2.labels.jsonl.gz.meta.json")
    os.remove(out + "/3.labels.jsonl.gz")
    os.remove(out + "/3.labels.jsonl.gz.meta.json")
    e2e.write(out, ".3.labels.jsonl.gz.0-1-2.tmp", "half")
    e2e.write(inputs, "4.jsonl", '{"id":1,"title":"another"}\n')
    with open(out + "/5.labels.jsonl.gz", "ab") as file:
        file.write(b"more")
    os.remove(out + "/6.labels.jsonl.gz.meta.json")
    e2e.write(out, ".6.labels.jsonl.gz.lock", b"wader\n")
    e2e.write(out, "7.labels.jsonl.gz.meta.json", b"{")
    wanted = {"0": "done", "1": "missing", "2": "foreign", "3": "interrupted", "4": "changed",
              "5": "changed", "6": "interrupted", "7": "foreign", "8": "running", "9": "done"}
    before = e2e.listing(out)
    with open(out + "/.8.labels.jsonl.gz.lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code, found, report = states(t, "-o", out, "--shards", "5", inputs)
        t.equal("each is told", (code, found), (e2e.ROWS, wanted))
        # Shares are 0,5 1,6 2,7 3,8 4,9; what runs is not to be run again.
        t.equal("what to run again", report["array"], "0-4")
        t.equal("of ten shares", states(t, "-o", out, "--shards", "10", inputs)[2]["array"], "1-7")
        text = t.run("status", "-o", out, "--shards", "3", inputs)
        t.check("in text, too", b"--array=0-2" in text.out and b"running" in text.out, text.out)
        alone = states(t, out)[1]
        t.equal("without inputs, what they would tell is missing",
                {k: v for k, v in alone.items() if wanted[k] != v}, {"4": "done"})
    os.remove(out + "/.8.labels.jsonl.gz.lock")
    t.equal("looking changes nothing", e2e.listing(out), before)
    t.exits("a share", t.run("status", "-o", out, "--shard", "0/9", inputs), e2e.OK)
    t.exits("rows of stdout", t.run("status", "-o", "-", inputs), e2e.USAGE, "-o OUT")
    t.exits("no output", t.run("status"), e2e.USAGE, "-o OUT")
    t.exits("a directory that is not there", t.run("status", out + "/no/"), e2e.ROWS)
    t.exits("shares without inputs", t.run("status", "--shards", "3", out), e2e.USAGE, "INPUT")


def main():
    t = e2e.Suite(__doc__)
    for test in (test_inputs, test_order, test_odd_names, test_refusals, test_shares, test_status):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
