#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader bench`: what it counts, what it prints and draws, what it refuses. No figure of speed is
held to anything but being one: the machine may be busy."""
import json
import os
import signal
import sys
import time
import xml.dom.minidom

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import bench_figures  # noqa: E402
import e2e  # noqa: E402
from bench_figures import near  # noqa: E402

QUICK = ("--device", "cpu", "--seconds", "1", "--repeats", "1", "--titles", "3000")
KEYS = ["wader", "command", "machine", "model", "device", "hardware", "workers", "threads",
        "precision", "max_length", "batch_tokens", "slots", "titles", "measured", "ceilings",
        "stages", "end_to_end", "encoder", "verdict", "host", "startup"]
HOST = {"inflate", "parse", "tokenize", "pack", "write"}
ALWAYS = HOST | {"encode", "host", "end_to_end"}
WORKS = ["embed", "qkv", "attention", "attention_output", "norm", "intermediate", "output", "head"]
DEMO = os.path.join(e2e.ROOT, "data", "model")


def bench(t, *args, model=e2e.MODEL, quick=QUICK, **kwargs):
    return t.run("bench", "--model", model, *quick, *args, **kwargs)


def figures(t, what, *args, **kwargs):
    result = bench(t, "--json", *args, **kwargs)
    t.exits(what, result, e2e.OK)
    t.check("%s: one line" % what, result.out.endswith(b"\n") and result.out.count(b"\n") == 1)
    return json.loads(result.out)


def numbers(value, path=""):
    """Every number in a JSON value, with where it stands."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from numbers(member, path + "/" + key)
    elif isinstance(value, list):
        for i, member in enumerate(value):
            yield from numbers(member, "%s/%d" % (path, i))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


# ---- figures

def check_stages(t, what, value, threads):
    stages = bench_figures.check_json(t, what, value)
    t.equal("%s: no stage twice" % what, len(stages), len(value["stages"]))
    alone = {"tokenize_1", "encode_1"} if threads > 1 else set()
    t.equal("%s: stages" % what, set(stages), ALWAYS | alone)
    for name, stage in stages.items():
        rates = [stage[k] for k in ("rate_min", "rate", "rate_max")]
        t.check("%s: %s: rates in order" % (what, name), 0 < rates[0] <= rates[1] <= rates[2],
                stage)
        t.check("%s: %s: tokens and titles" % (what, name),
                0 < 2 * stage["titles_per_s"] <= stage["tokens_per_s"], stage)
        unit = "MB/s" if name.split("_1")[0] in HOST else (
            "GFLOP/s" if name.startswith("encode") else "titles/s")
        t.equal("%s: %s: unit" % (what, name), stage["unit"], unit)
        several = name in ("tokenize", "encode", "host", "end_to_end")
        t.equal("%s: %s: threads" % (what, name), stage["threads"],
                threads if several else 3 if name == "write" else 1)  # two that deflate
    return stages


def flops_per_title(model, tokens, squares, titles):
    """Products and attention of BERT, the last layer for [CLS] alone but for keys and values."""
    h, f, layers = model["hidden_size"], model["intermediate_size"], model["layers"]
    inner = (layers - 1) * (2 * tokens * (4 * h * h + 2 * h * f) + 4 * h * squares)
    last = 2 * tokens * 2 * h * h + 2 * titles * (2 * h * h + 2 * h * f) + 4 * h * tokens
    return (inner + last + 2 * titles * (h * h + h * model["labels"])) / titles


def check_encoder(t, what, value):
    encoder, stages = value["encoder"], {s["name"]: s for s in value["stages"]}
    t.check("%s: FLOP/s are the stage's" % what,
            near(encoder["flops_per_s"], stages["encode"]["rate"] * 1e9), encoder)
    t.check("%s: rows of products come in whole tiles" % what,
            encoder["token_rows_computed"] % encoder["token_tile"] == 0 and
            encoder["title_rows_computed"] % encoder["title_tile"] == 0 and
            encoder["token_rows_computed"] >= encoder["token_rows"] > 0 and
            encoder["title_rows_computed"] >= encoder["title_rows"] > 0)
    t.check("%s: padding efficiency" % what, 0 < encoder["padding_efficiency"] <= 1)
    t.equal("%s: parts of the encoder" % what, [w["name"] for w in encoder["works"]], WORKS)
    t.check("%s: each moves bytes in some time" % what,
            all(w["seconds"] > 0 and w["bytes"] > 0 for w in encoder["works"]))


def test_figures(t):
    for threads in (1, 2):
        what = "%d threads" % threads
        value = figures(t, what, "--threads", str(threads), "--repeats", "2")
        t.equal("%s: keys" % what, list(value), KEYS)
        bad = [x for x in numbers(value) if x[1] < 0]
        t.check("%s: nothing is negative" % what, not bad, bad)
        stages = check_stages(t, what, value, threads)
        check_encoder(t, what, value)
        t.equal("%s: what it is of" % what,
                (value["precision"], value["device"], value["threads"]), ("fp32", "cpu", threads))
        t.equal("%s: rounds" % what, value["measured"]["rounds"], 2)
        whole = value["end_to_end"]
        t.check("%s: end to end" % what,
                whole["titles_per_s"] == stages["end_to_end"]["titles_per_s"] and
                whole["tokens_per_s"] == stages["end_to_end"]["tokens_per_s"] and
                whole["titles"] >= 1 and whole["seconds"] > 0 and whole["busy"]["encode"] > 0)
        verdict = value["verdict"]
        t.check("%s: the bound and the next are stages" % what,
                verdict["bound"] in stages and verdict["next"] in stages and
                verdict["bound"] != verdict["next"] and verdict["margin"] >= 1)
        t.check("%s: words" % what, verdict["why"].startswith(verdict["bound"] + " bounds the run")
                and len(verdict["lift"]) > 20, verdict)
        host = value["host"]
        t.check("%s: cores for a GPU" % what, host["cores_per_gpu"] is None and
                near(host["cores_per_100k_titles_per_s"], host["ns_per_title"] * 1e-4))
        t.check("%s: start-up" % what, 0 < value["startup"]["min"] <= value["startup"]["seconds"] <=
                value["startup"]["max"])
        t.check("%s: machine" % what, value["machine"]["cpu"] and "oneDNN" in
                value["machine"]["libraries"] and value["machine"]["processors"] >= 1)


def test_precisions(t):
    """Of those that this processor computes in, each under a ceiling of its own."""
    for precision in ("bf16", "int8"):
        result = bench(t, "--precision", precision, "--threads", "1", "--json")
        if result.code == e2e.UNUSABLE:
            print("      %s: not here" % precision)
            continue
        t.exits(precision, result, e2e.OK)
        value = json.loads(result.out)
        check_stages(t, precision, value, 1)
        check_encoder(t, precision, value)
        t.check("%s: a ceiling of its own" % precision, value["precision"] == precision and
                value["ceilings"]["gemm"]["flops_per_s"] > 0, value["ceilings"])


def test_flops(t):
    """Titles of one length, so that operations can be counted here."""
    for length in (2, 7, 40):
        value = figures(t, "%d tokens" % length, "--lengths", str(length), "--threads", "1")
        wanted = flops_per_title(value["model"], length, length * length, 1)
        t.check("%d tokens: operations a title" % length,
                near(value["encoder"]["flops_per_title"], wanted),
                (value["encoder"]["flops_per_title"], wanted))
        t.equal("%d tokens: all of them" % length, value["titles"]["tokens"],
                {"mean": length, "median": length, "p95": length, "max": length})


# ---- titles

def test_titles(t):
    one = figures(t, "seed 1", "--seed", "1")["titles"]
    t.equal("the same titles for the same seed", figures(t, "again", "--seed", "1")["titles"], one)
    other = figures(t, "seed 2", "--seed", "2")["titles"]
    t.check("others for another", other["bytes"] != one["bytes"], (one, other))
    t.equal("made up", (one["input"], one["lengths"], one["seed"], one["cut"], one["records"],
                        one["titles"]), (None, "titles", 1, False, 3000, 3000))
    cut = figures(t, "--max-length", "--max-length", "9")
    t.equal("--max-length", (cut["titles"]["tokens"]["max"], cut["max_length"]), (9, 9))
    short = figures(t, "short", "--lengths", "short")["titles"]["tokens"]
    t.check("short titles are shorter", short["mean"] < one["tokens"]["mean"])


def test_input(t):
    directory = t.directory()
    titles = e2e.random_titles(t.seed, 700)
    records = e2e.titled(titles) + b"not a record\n" + e2e.jsonl([{"id": "no title"}])
    plain = e2e.write(directory, "titles.jsonl", records)
    packed = e2e.write(directory, "titles.jsonl.gz", e2e.gzip_bytes(records))
    values = [figures(t, path, path) for path in (plain, packed)]
    for value, path in zip(values, (plain, packed)):
        got = value["titles"]
        t.equal("an INPUT", (got["input"], got["lengths"], got["seed"], got["records"],
                             got["titles"], got["cut"]), (path, None, None, 702, 700, False))
        t.check("end to end: no more titles than there are", value["end_to_end"]["titles"] <= 700)
    t.equal("gzip or not", values[0]["titles"]["tokens"], values[1]["titles"]["tokens"])
    ids = t.run("tokenize", "--model", e2e.MODEL, "--max-length", "40", "--hex",
                stdin="".join(x.encode().hex() + "\n" for x in titles).encode())
    lengths = [len(line.split()) for line in ids.out.decode().split("\n")[:-1]]
    t.check("tokens are those of `wader tokenize`", near(
        values[0]["titles"]["tokens"]["mean"], sum(lengths) / 700) and
        values[0]["titles"]["tokens"]["max"] == max(lengths))
    tsv = e2e.write(directory, "odd.txt", "x\ty\tgold\nx\ty\toil price\n")
    value = figures(t, "fields", "--input-format", "tsv", "--title-field", "3", tsv)
    t.equal("fields: titles", (value["titles"]["titles"], value["end_to_end"]["titles"]), (2, 2))
    value = figures(t, "stdin", "-", stdin=b"gold\nsilver\n")
    t.equal("stdin", value["titles"]["titles"], 2)
    before = sorted(os.listdir(directory))
    t.equal("nothing is left beside an INPUT", before, ["odd.txt", "titles.jsonl",
                                                        "titles.jsonl.gz"])


# ---- text

def test_text(t):
    for args in ((), ("--threads", "1"), ("--lengths", "30-40", "-q")):
        result = bench(t, *args)
        what = "text %s" % " ".join(args)
        t.exits(what, result, e2e.OK)
        lines = result.out.decode("utf-8").split("\n")
        t.check("%s: within 100 columns" % what, max(map(len, lines)) <= 100, result.out.decode())
        t.check("%s: one screen" % what, len(lines) <= 45, len(lines))
        missing = [w for w in ("machine", "libraries", "command", "ceilings", "inflate", "tokenize",
                               "end to end", "model FLOP utilisation", "padding efficiency",
                               "bounds the run", "start-up", "ns of a core a title", "--seconds 1")
                   if w not in result.out.decode()]
        t.check("%s: all of it is there" % what, not missing, missing)
    t.check("-q: nothing on stderr", result.err == "", result.err)
    strange = os.path.join(t.directory(), "a model\x1b[31m <&\" 'name'")
    os.symlink(e2e.MODEL, strange)
    picture = os.path.join(t.directory(), "a.svg")
    result = bench(t, "--svg", picture, model=strange)
    t.check("a strange name: nothing that a terminal acts on", result.code == e2e.OK and
            b"\x1b" not in result.out, result)
    t.check("nor that is no XML", xml.dom.minidom.parse(picture) is not None)
    value = figures(t, "a strange name in JSON", model=strange)
    t.equal("in JSON", value["model"]["path"], strange)


# ---- the picture

def test_picture(t):
    directory = t.directory()
    path = os.path.join(directory, "a.svg")
    result = bench(t, "--svg", path)
    t.exits("--svg", result, e2e.OK)
    bench_figures.check_text(t, "text and picture", result.out.decode(), e2e.read(path))
    t.equal("one file", os.listdir(directory), ["a.svg"])
    text = e2e.read(path).decode("utf-8")
    root = xml.dom.minidom.parseString(text).documentElement
    t.equal("an SVG", (root.tagName, root.getAttribute("role"),
                       root.getAttribute("aria-labelledby")), ("svg", "img", "title desc"))
    parts = {n: root.getElementsByTagName(n) for n in ("title", "desc", "circle", "script", "image",
                                                       "use", "a", "foreignObject")}
    t.equal("a title and a description",
            [parts[n][0].getAttribute("id") for n in ("title", "desc")], ["title", "desc"])
    t.check("the description has the figures", "bounds the run" in
            parts["desc"][0].firstChild.data and "inflate on 1 threads" in
            parts["desc"][0].firstChild.data)
    t.equal("a point for each part of the encoder", len(parts["circle"]), len(WORKS))
    t.check("it runs nothing and fetches nothing", not any(
        parts[n] for n in ("script", "image", "use", "a", "foreignObject")) and
        "href" not in text and "url(" not in text and "@import" not in text)
    width, height = (float(root.getAttribute(a)) for a in ("width", "height"))
    outside = [e.toxml() for e in root.getElementsByTagName("text") if e.hasAttribute("x") and not (
        0 <= float(e.getAttribute("x")) <= width and 0 <= float(e.getAttribute("y")) <= height)]
    t.check("no text outside", not outside, outside)
    t.exits("it is not replaced", bench(t, "--svg", path), e2e.USAGE, "a.svg", "--force")
    t.equal("still the same", e2e.read(path).decode(), text)
    t.exits("but with --force", bench(t, "--svg", path, "--force"), e2e.OK)
    t.exits("a directory that is not there", bench(t, "--svg", directory + "/no/a.svg"), e2e.IO,
            "no/a.svg")
    value = figures(t, "with --json", "--svg", os.path.join(directory, "b.svg"))
    bench_figures.check_picture(t, "JSON and picture", value,
                                e2e.read(os.path.join(directory, "b.svg")))


# ---- refusals

def test_refusals(t):
    t.exits("no --model", t.run("bench"), e2e.USAGE, "--model DIR is required")
    for what, args, code, words in (
            ("two inputs", ("a", "b"), e2e.USAGE, "one INPUT"),
            ("--repeats 0", ("--repeats", "0"), e2e.USAGE, "--repeats"),
            ("--repeats 101", ("--repeats", "101"), e2e.USAGE, "at most 100"),
            ("--lengths", ("--lengths", "tiny"), e2e.USAGE, "--lengths tiny"),
            ("--lengths beyond the model", ("--lengths", "41"), e2e.USAGE, "40 tokens at most"),
            ("--max-length", ("--max-length", "41"), e2e.USAGE, "positions for 40"),
            ("no such input", ("/nowhere/x.jsonl",), e2e.INPUT, "/nowhere/x.jsonl"),
            ("a GPU where there is none", ("--device", "cuda"), e2e.UNUSABLE, "--device cpu"),
            ("fp8 on the CPU", ("--precision", "fp8"), e2e.UNUSABLE, "fp8"),
            ("an option of label", ("--passthrough", "x"), e2e.USAGE, "no such option")):
        t.exits(what, bench(t, *args, env={"CUDA_VISIBLE_DEVICES": ""}), code, words)
    directory = t.directory()
    t.exits("an empty input", bench(t, e2e.write(directory, "e.txt", "")), e2e.INPUT, "none of 0")
    cut = e2e.write(directory, "cut.txt.gz", e2e.gzip_bytes(b"gold\n" * 100)[:-1])
    t.exits("a cut gzip", bench(t, cut), e2e.INPUT, "cut.txt.gz")
    t.exits("no model", bench(t, model="/nowhere"), e2e.UNUSABLE, "/nowhere")
    with open("/dev/full", "wb") as full:
        t.exits("stdout is full", bench(t, stdout=full), e2e.IO, "stdout")
    # What is meant for `label` in the environment does not keep the start-up from being measured.
    value = figures(t, "environment", env={
        "WADER_OUTPUT": directory + "/rows", "WADER_SHARD": "0/2",
        "WADER_TITLE_FIELD": "/text", "WADER_SCORES": "all"})
    t.check("environment: start-up", value["startup"]["seconds"] > 0)
    t.check("environment: nothing was written", not os.path.exists(directory + "/rows"))


def test_signals(t):
    for number in (signal.SIGINT, signal.SIGTERM):
        directory = t.directory()
        process = t.start("bench", "--model", DEMO, "--device", "cpu", "--seconds", "60", "--svg",
                          os.path.join(directory, "a.svg"), stdout=-1)
        time.sleep(1.5)
        process.send_signal(number)
        begun = time.monotonic()
        out, err = process.communicate(timeout=30)
        t.check("%s ends it" % number.name, process.returncode == e2e.AGAIN and not out and
                b"stopped by a signal" in err, (process.returncode, out, err))
        t.check("%s: soon" % number.name, time.monotonic() - begun < 10)
        t.equal("%s: nothing is left" % number.name, os.listdir(directory), [])


def main():
    t = e2e.Suite(__doc__)
    for test in (test_figures, test_precisions, test_flops, test_titles, test_input, test_text,
                 test_picture, test_refusals, test_signals):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
