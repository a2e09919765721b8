# SPDX-License-Identifier: Apache-2.0
"""What must hold among the figures of one `wader bench`, however fast the machine is: a share is a
rate by a ceiling, a ceiling is one that was measured, and text, JSON and picture say the same."""
import math
import re
import xml.dom.minidom

NAMES = {"tokenize_1": "tokenize", "encode_1": "encode", "end_to_end": "end to end"}
PER_UNIT = {"MB/s": 1e6, "GFLOP/s": 1e9, "titles/s": 1}


def near(a, b, relative=1e-4):
    return abs(a - b) <= relative * max(abs(a), abs(b))


def slowest(stages, names):
    """Titles/s of the slowest of these stages of a run: tokenizer threads parse too."""
    rates = {name: stages[name]["titles_per_s"] for name in names}
    parse = stages["parse"]["titles_per_s"] * stages["tokenize"]["threads"]
    rates["tokenize"] = 1 / (1 / rates["tokenize"] + 1 / parse)
    return min(rates.values())


def check_json(t, what, value):
    stages = {s["name"]: s for s in value["stages"]}
    ceilings, encode, whole = value["ceilings"], stages["encode"], stages["end_to_end"]
    copy, gemm = ceilings["copy_bytes_per_s"], ceilings["gemm"]
    host = ("inflate", "tokenize", "pack", "write")
    wanted = {"tokenize": copy * stages["tokenize"]["threads"], "encode": gemm["flops_per_s_all"],
              "encode_1": gemm["flops_per_s"], "host": slowest(stages, host),
              "end_to_end": slowest(stages, host + ("encode",))}
    for name, stage in stages.items():
        t.check("%s: %s: share is a finite rate by its ceiling" % (what, name),
                all(math.isfinite(stage[k]) and stage[k] > 0 for k in ("rate", "ceiling", "share"))
                and near(stage["share"], stage["rate"] / stage["ceiling"]), stage)
        t.check("%s: %s: its ceiling is one that was measured" % (what, name), near(
            stage["ceiling"] * PER_UNIT[stage["unit"]], wanted.get(name, copy)),
            (stage, wanted.get(name, copy)))
    t.check("%s: products have a shape" % what,
            min(gemm["rows"], gemm["in"], gemm["out"]) >= 128, gemm)
    t.check("%s: MFU" % what, near(value["encoder"]["mfu"], encode["share"]) and near(
        value["encoder"]["end_to_end_mfu"],
        encode["share"] * whole["tokens_per_s"] / encode["tokens_per_s"]), value["encoder"])
    t.check("%s: FLOP/s are of a title's operations" % what, near(
        encode["rate"] * 1e9, value["encoder"]["flops_per_title"] * encode["titles_per_s"], 1e-3))
    t.check("%s: titles/s are titles/s" % what,
            all(near(stages[n]["rate"], stages[n]["titles_per_s"]) for n in ("host", "end_to_end")))
    t.check("%s: bytes/s are of titles' bytes" % what, near(
        stages["tokenize"]["rate"] * 1e6, value["titles"]["bytes"] *
        stages["tokenize"]["titles_per_s"]), (stages["tokenize"], value["titles"]["bytes"]))
    return stages


# ---- as text

def figure(value):
    """As the text and the picture print numbers."""
    if value < 99.95:
        return "%.*f" % (1 if value >= 9.995 or value == 0 else 2 if value >= 0.095 else 4, value)
    return format(int(value + 0.5), ",")


def percent(share):
    return "%.*f %%" % (2 if share < 0.00095 else 1 if share < 0.0995 else 0, 100 * share)


def rows_of_text(text):
    """Of the table: name, threads, titles/s, tokens/s, rate, unit, ceiling, share."""
    pattern = re.compile(r"^(\w[\w ]*?) +(\d+) +([\d.,]+) +([\d.,]+) +([\d.,]+) (\S+) +([\d.,]+) +"
                         r"([\d.]+ %)  \u00b1", re.M)
    return [match.groups() for match in pattern.finditer(text)]


def rows_of_picture(picture):
    """Name, titles/s and share of each bar: what stands in one line."""
    lines = {}
    for element in xml.dom.minidom.parseString(picture).getElementsByTagName("text"):
        if element.getAttribute("class") in ("label", "mark") and element.hasAttribute("x"):
            lines.setdefault(element.getAttribute("y"), []).append(
                (float(element.getAttribute("x")), element.firstChild.data))
    lines = [[text for _, text in sorted(line)] for line in lines.values()]
    return [line[-3:] for line in lines if line[-1].endswith("%")]


def number(text):
    return float(text.replace(",", ""))


def printed(text):
    """The largest relative error that rounding to these digits leaves, and a little."""
    digits = len(text.replace(",", "").replace(".", "").lstrip("0"))
    return 0.51 * 10 ** (1 - max(digits, 1))


def check_text(t, what, text, picture):
    """A run's table holds together, and its picture shows the same."""
    rows = rows_of_text(text)
    t.check("%s: eight stages at least" % what, len(rows) >= 8, text)
    shown = {}
    for name, threads, titles, tokens, rate, unit, ceiling, share in rows:
        got, wanted = number(share[:-2]) / 100, number(rate) / number(ceiling)
        slack = printed(rate) + printed(ceiling) + printed(share[:-2])
        t.check("%s: %s: share is rate by ceiling" % (what, name),
                abs(got - wanted) <= slack * wanted + 0.0051, (rate, unit, ceiling, share))
        t.check("%s: %s: units" % (what, name), unit in PER_UNIT and (
            unit != "titles/s" or rate == titles), (rate, unit, titles))
        t.check("%s: %s: tokens" % (what, name), number(tokens) >= 2 * number(titles) * (
            1 - printed(titles) - printed(tokens)))
        shown[name] = [name, titles, share]  # the last of a name is that of all threads
    t.equal("%s: the picture shows the same" % what, rows_of_picture(picture),
            list(shown.values()))


def check_picture(t, what, value, picture):
    """The picture of a run whose JSON is `value`: the same but for the last of six digits."""
    stages = [s for s in value["stages"] if not s["name"].endswith("_1")]
    rows = rows_of_picture(picture)
    t.equal("%s: bars" % what, [row[0] for row in rows],
            [NAMES.get(s["name"], s["name"]) for s in stages])
    for row, stage in zip(rows, stages):
        for text, exact, form in ((row[1], stage["titles_per_s"], figure),
                                  (row[2], stage["share"], percent)):
            t.check("%s: %s: %s is %s" % (what, row[0], text, exact),
                    number(text.rstrip(" %")) == number(form(exact).rstrip(" %")) or
                    near(number(text.rstrip(" %")) / (100 if "%" in text else 1), exact, 2e-5),
                    (row, stage))
