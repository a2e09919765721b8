#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the sources to the rules that a machine can check: width, length, rooms, left-overs.

usage: tidy.py SOURCE_ROOT
"""
import pathlib
import re
import sys

COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 360
NOT_OURS = "tests/gpu/carry"  # of other projects, not in the repository: see tests/gpu/pack

# Which rooms a room may include from, itself aside. An arrow missing here is a layering fault.
ROOMS = {
    "host/base": [],
    "tokenizer": ["host/base"],
    "weights": ["host/base"],
    "cuda": ["host/base", "host/encoder", "weights"],
    "host/encoder": ["host/base", "weights"],
    "host/stream": ["host/base", "host/encoder", "tokenizer"],
    "host/bench": ["host/base", "host/encoder", "host/stream", "tokenizer", "weights"],
    "host/job": ["host/base", "host/stream", "weights"],
    "host/cli": ["host/base", "host/bench", "host/encoder", "host/stream", "host/job", "tokenizer",
                 "weights", "cuda"],
    "host/manual": ["host/base", "host/cli"],
}
# Where the standard error stream may be named.
STDERR_IN = {"host/cli/log.c", "host/cli/main.c", "host/manual/manual.c"}


def room_of(path):
    return next((room for room in ROOMS if path.startswith(room + "/")), None)


def check_lines(name, lines, is_c):
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
        yield name, 1, "no SPDX-License-Identifier line"
    if len(lines) > FILE_LINES_MAX:
        yield name, len(lines), f"{len(lines)} lines, at most {FILE_LINES_MAX} are wanted"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            yield name, number, f"{len(line)} columns, at most {COLUMNS_MAX} are wanted"
        if line != line.rstrip():
            yield name, number, "white space at the end of the line"
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line) and name != "tests/tidy.py":
            yield name, number, "a left-over note"
        if is_c and "\t" in line:
            yield name, number, "a tab"


def check_functions(name, lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line.endswith("{") and not line[0].isspace():
            start = number
        elif line.startswith("}") and start is not None:
            if number - start > FUNCTION_LINES_MAX and "= {" not in lines[start - 1]:
                yield name, start, f"{number - start} lines, at most {FUNCTION_LINES_MAX}"
            start = None


def check_includes(name, lines):
    room = room_of(name)
    for number, line in enumerate(lines, 1):
        included = re.match(r'#include "([^"]+)"', line)
        if included and room is not None:
            other = room_of(included.group(1))
            if other not in (room, None) and other not in ROOMS[room]:
                yield name, number, f"{room} must not include from {other}"
        if (name.startswith("host/") and name.endswith(".c") and name not in STDERR_IN
                and re.search(r"\bstderr\b[,)]|STDERR_FILENO", line)):
            yield name, number, "stderr is written in host/cli/log.c alone"
        if name.endswith(".c") and re.match(r"#include <(cuda|cublas)", line):
            yield name, number, "a .c file must not include a CUDA header"


def check_file(root, path):
    name = str(path.relative_to(root))
    lines = path.read_text(encoding="utf-8").split("\n")
    is_c = path.suffix in (".c", ".h", ".cu", ".cuh", ".cpp")
    yield from check_lines(name, lines[:-1] if lines[-1] == "" else lines, is_c)
    if is_c:
        yield from check_functions(name, lines)
        yield from check_includes(name, lines)


def main():
    root = pathlib.Path(sys.argv[1])
    files = [path for room in ("cuda", "host", "tokenizer", "weights", "tests", "data")
             for path in sorted((root / room).rglob("*"))
             if path.suffix in (".c", ".h", ".cu", ".cuh", ".cpp", ".py", ".sh")
             and not path.is_relative_to(root / NOT_OURS)]
    faults = [fault for path in files for fault in check_file(root, path)]
    for name, number, what in faults:
        print(f"{name}:{number}: {what}")
    print(f"{len(files)} files, {len(faults)} faults")
    return 1 if faults or len(files) < 10 else 0


sys.exit(main())
