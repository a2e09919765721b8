#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generates chars_tables.inc from unicode_ranges.tsv, unicode_strip.tsv and unicode_lower.tsv.

  make_unicode_tables.py           writes chars_tables.inc
  make_unicode_tables.py --check   exits 1 when the file is not what would be written
  make_unicode_tables.py --measure asks the installed PyPI package `tokenizers` what it makes of
                                   every scalar value, for all settings of its BertNormalizer;
                                   exits 1 when the facts differ (takes some minutes)

All files lie beside this script. The ranges go into the tables as they are: chars.c walks them when
a model is opened, and lays them out for the settings of that model.
"""
import argparse
import itertools
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = HERE / "chars_tables.inc"
CODE_POINTS = 0x110000
PAGE = 256
SURROGATES = range(0xD800, 0xE000)
HANGUL = range(0xAC00, 0xD7A4)
CLASSES = {"delete", "either", "space", "punct", "cjk"}
TEXT_MAX = 14  # CHAR_TEXT_MAX of chars.h
RESULT_MAX = 3  # code points


def read_rows(name, n_columns):
    """(first, last, other columns ...) of a facts file; ranges ascend and do not overlap."""
    previous = -1
    for number, line in enumerate((HERE / name).read_text("ascii").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        row = line.split("\t")
        first, last = int(row[0], 16), int(row[1], 16)
        if len(row) != n_columns or not previous < first <= last < CODE_POINTS:
            sys.exit(f"{name}:{number}: {line!r} is out of order or lacks a column")
        previous = last
        yield first, last, *row[2:]


def code_points(text):
    return [int(word, 16) for word in text.split()]


class Facts:
    """The three facts files, as ranges for the tables and per code point for everything else."""

    def __init__(self):
        self.ranges = list(read_rows("unicode_ranges.tsv", 3))
        self.strip = []  # first, last, "drop", "block" or a list of code points
        self.marks = []  # first, last, combining class
        self.lower = []  # first, last, step, list of code points
        for first, last, result in read_rows("unicode_strip.tsv", 3):
            if result.startswith("class "):
                self.marks.append((first, last, int(result[6:])))
            else:
                listed = result in ("drop", "block")
                self.strip.append((first, last, result if listed else code_points(result)))
        for first, last, step, result in read_rows("unicode_lower.tsv", 4):
            self.lower.append((first, last, int(step), code_points(result)))
        self.expand()
        self.check()

    def expand(self):
        self.class_of = {c: name for a, b, name in self.ranges for c in range(a, b + 1)}
        self.mark_of = {c: n for a, b, n in self.marks for c in range(a, b + 1)}
        self.lower_of = {
            c: [result[0] + c - a, *result[1:]]
            for a, b, step, result in self.lower
            for c in range(a, b + 1, step)
        }
        self.strip_of = {c: result for a, b, result in self.strip for c in range(a, b + 1)}
        for c in HANGUL:
            rest, t = divmod(c - HANGUL.start, 28)
            self.strip_of[c] = [0x1100 + rest // 21, 0x1161 + rest % 21] + [0x11A7 + t] * (t > 0)

    def check(self):
        """What chars.c relies on."""
        assert set(self.class_of.values()) <= CLASSES
        assert all(name != "cjk" or a >= 128 for a, b, name in self.ranges)
        gone = {c for c, name in self.class_of.items() if name in ("delete", "either")}
        assert not gone & (self.strip_of.keys() | self.lower_of.keys() | self.mark_of.keys())
        assert not self.mark_of.keys() & (self.strip_of.keys() | self.lower_of.keys())
        assert all(1 <= len(result) <= RESULT_MAX for result in self.lower_of.values())
        for result in self.strip_of.values():
            if result not in ("drop", "block"):
                assert 1 <= len(result) <= RESULT_MAX
                text = [d for c in result for d in self.lower_of.get(c, [c])]
                assert not self.strip_of.keys() & {*result, *text}
                assert len("".join(map(chr, text)).encode()) <= TEXT_MAX

    def bounds(self):
        """At most how many pages and texts any settings need, the shared pages among them."""
        owned = set()
        for first, last, *_ in self.ranges + self.strip + self.marks + self.lower:
            owned |= set(range(first // PAGE, last // PAGE + 1))
        for first, last, name in self.ranges:
            if name == "delete":
                owned -= set(range(-(-first // PAGE), (last + 1) // PAGE))
        owned |= {c // PAGE for c in HANGUL}
        n_lower = sum(len(range(a, b + 1, step)) for a, b, step, _ in self.lower)
        n_strip = sum(result not in ("drop", "block") for _, _, result in self.strip)
        return 2 + len(owned), 2 + n_lower + n_strip + len(self.mark_of) + len(HANGUL)


def table(kind, name, rows):
    lines, line = [], "   "
    for row in rows:
        if len(line) + 1 + len(row) > 100:
            lines.append(line)
            line = "   "
        line += " " + row
    return [f"static const struct {kind} {name}[{len(rows)}] = {{", *lines, line, "};"]


def generate(facts):
    def result(codes):
        if codes in ("drop", "block"):
            return f"{{STRIP_{codes.upper()}}}"
        return "{" + ",".join(f"0x{c:X}" for c in codes) + "}"

    n_pages, n_texts = facts.bounds()
    lines = [
        "// SPDX-License-Identifier: Apache-2.0",
        "//",
        "// Generated by make_unicode_tables.py from unicode_ranges.tsv, unicode_strip.tsv and",
        "// unicode_lower.tsv, which say what the columns mean: edit those.",
        "// clang-format off",
        "",
        "// Whatever the settings are, they need no more.",
        f"enum {{ PAGES_MAX = {n_pages}, TEXTS_MAX = {n_texts} }};",
        "",
        *table(
            "range",
            "class_ranges",
            [f"{{0x{a:X},0x{b:X},CLASS_{name.upper()}}}," for a, b, name in facts.ranges],
        ),
        "",
        *table(
            "strip_range",
            "strip_ranges",
            [f"{{0x{a:X},0x{b:X},{result(codes)}}}," for a, b, codes in facts.strip],
        ),
        "",
        *table(
            "range",
            "mark_ranges",
            [f"{{0x{a:X},0x{b:X},{n}}}," for a, b, n in facts.marks],
        ),
        "",
        *table(
            "lower_range",
            "lower_ranges",
            [f"{{0x{a:X},0x{b:X},{step},{result(codes)}}}," for a, b, step, codes in facts.lower],
        ),
        "",
    ]
    return "\n".join(lines)


class Model:
    """What the facts make of a title under some settings: the rules that chars.c follows."""

    def __init__(self, facts, clean, cjk, strip, lower):
        self.facts, self.clean, self.cjk, self.strip, self.lower = facts, clean, cjk, strip, lower

    def char(self, code):
        """The kind of a character, and its text; that of one which vanishes is empty."""
        facts, name = self.facts, self.facts.class_of.get(code, "word")
        if name == "either":
            name = "delete" if self.clean else "space"
        elif name == "delete" and not self.clean or name == "cjk" and not self.cjk:
            name = "word"
        if name in ("delete", "space"):
            return name, []
        text = facts.strip_of.get(code, [code]) if self.strip else [code]
        if text in ("drop", "block"):
            return {"drop": "delete", "block": "block"}[text], []
        if self.lower:
            text = [d for c in text for d in facts.lower_of.get(c, [c])]
        if name == "cjk" or len(text) == 1 and facts.class_of.get(text[0]) == "punct":
            return "alone", text
        if self.strip and any(c in facts.mark_of for c in text):
            return "mark", text
        return ("word" if text == [code] else "mapped"), text

    def words(self, title):
        """The words of a string, marks in canonical order."""
        words, run = [""], []

        def flush():
            words[-1] += "".join(map(chr, sorted(run, key=self.facts.mark_of.get)))
            run.clear()

        for char in title:
            kind, text = self.char(ord(char))
            if kind == "delete":
                continue
            if kind in ("space", "alone"):
                flush()
                words += ["".join(map(chr, text)), ""]
                continue
            if kind == "block":
                flush()
            for code in text:
                if kind == "mark" and code in self.facts.mark_of:
                    run.append(code)
                else:
                    flush()
                    words[-1] += chr(code)
        flush()
        return [word for word in words if word]


class Judge:
    """Compares models with the installed package, and counts."""

    def __init__(self, facts):
        from tokenizers import normalizers, pre_tokenizers

        self.split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
        self.sides = []
        for flags in itertools.product((False, True), repeat=4):
            clean, cjk, strip, lower = flags
            normalizer = normalizers.BertNormalizer(
                clean_text=clean, handle_chinese_chars=cjk, strip_accents=strip, lowercase=lower
            )
            self.sides.append((flags, Model(facts, *flags), normalizer.normalize_str))
        self.asked = self.wrong = 0

    def compare(self, title):
        cache = {}  # normalized -> words: most settings agree about most strings
        for flags, model, normalize in self.sides:
            clean = normalize(title)
            if clean not in cache:
                cache[clean] = [word for word, _ in self.split(clean)]
            self.asked += 1
            if model.words(title) != cache[clean]:
                self.wrong += 1
                if self.wrong <= 20:
                    shown = " ".join(f"{ord(c):04X}" for c in title)
                    listed = model.words(title)
                    print(f"{shown} with {flags}: measured {cache[clean]}, listed {listed}")

    def report(self, what):
        print(f"{what}: {self.wrong} of {self.asked} differ", flush=True)
        failed, self.asked, self.wrong = self.wrong > 0, 0, 0
        return failed


def measure(facts):
    judge = Judge(facts)
    for code in range(CODE_POINTS):
        if code not in SURROGATES:
            judge.compare("a" + chr(code) + "b")
    failed = judge.report("each scalar value between letters, 16 settings")
    marks = [chr(c) for c in facts.mark_of]
    two = ((True, True, True, True), (False, False, True, False))
    judge.sides = [side for side in judge.sides if side[0] in two]
    for code in range(CODE_POINTS):
        if code not in SURROGATES:
            judge.compare("a\u302e" + chr(code) + "\U0001d165b")
    failed |= judge.report("each scalar value between two marks in the wrong order, 2 settings")
    for pair in itertools.product(marks, marks):
        judge.compare("".join(pair))
    failed |= judge.report("each pair of marks, 2 settings")
    others = [chr(c) for c, text in facts.strip_of.items() if c not in HANGUL]
    rng = random.Random(1)
    for _ in range(200000):
        length = rng.randint(2, 9)
        judge.compare("".join(rng.choice(rng.choice((marks, others))) for _ in range(length)))
    return failed | judge.report("random strings of marks and of what is stripped, 2 settings")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    facts = Facts()
    if args.measure:
        return 1 if measure(facts) else 0
    text = generate(facts)
    if args.check:
        if not TARGET.exists() or TARGET.read_text("ascii") != text:
            print(f"{TARGET.name} is out of date: run tokenizer/make_unicode_tables.py")
            return 1
        return 0
    TARGET.write_text(text, "ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
