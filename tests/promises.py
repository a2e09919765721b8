#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every test that tests/README.md names is there: a source of that name, and a CMakeLists.txt that
makes a test of it.

usage: promises.py SOURCE_ROOT
"""
import pathlib
import re
import sys

LABELS = "unit|golden|differential|e2e|fault|fuzz|simt|standin|gpu"


def named_in(text):
    return sorted(set(re.findall(r"`((?:%s)\.\w+)`" % LABELS, text)))


def problem_of(test, root, lists):
    """What is wrong with the name of a test, "" if nothing."""
    label, name = test.split(".")
    words = {word for text in lists for word in re.findall(r"\w+", text)}
    made = name
    # One source, a test for each vocabulary: golden.tokenizer_toy.
    if label == "golden" and name.startswith("tokenizer_"):
        name, made = name.split("_")
    files = {path.stem for path in (root / "tests").rglob("*") if path.suffix in
             (".c", ".cpp", ".py", ".cu")}
    wanted = {"test_" + name, "fuzz_" + name, name, name + "_reader", "test_%s_golden" % name}
    if label == "differential":
        wanted.add(name.split("_")[0])
    if label == "simt" and name == "defects":
        wanted.add("mutate")
    if not wanted & files:
        return "no source"
    return "" if made in words else "in no CMakeLists.txt"


def main():
    root = pathlib.Path(sys.argv[1])
    text = (root / "tests" / "README.md").read_text(encoding="utf-8")
    lists = [path.read_text(encoding="utf-8")
             for path in [root / "CMakeLists.txt", *(root / "tests").glob("*/CMakeLists.txt")]]
    tests = named_in(text)
    rows = [line for line in text.split("\n") if line.startswith("| ") and "|---" not in line]
    problems = [(test, problem_of(test, root, lists)) for test in tests]
    problems = [(test, what) for test, what in problems if what]
    # A row without a test is a promise without one; the heads of the two tables are none.
    problems += [(row, "names no test") for row in rows
                 if not named_in(row) and "tests/run" not in row and "| tests |" not in row
                 and "| found by |" not in row]
    for what, why in problems:
        print("%s: %s" % (what, why))
    print("%d tests named, %d problems" % (len(tests), len(problems)))
    return 1 if problems or len(tests) < 50 else 0


sys.exit(main())
