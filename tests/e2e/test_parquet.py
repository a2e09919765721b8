#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Parquet in, Parquet out, by DuckDB on both sides of a pipe: the very lines of the README.

DuckDB's program is $DUCKDB, or `duckdb` on the PATH (`pip install duckdb-cli` brings one)."""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

LINES = """\
set -o pipefail
duckdb -c "COPY (SELECT id, title FROM 'titles.parquet') TO '/dev/stdout' (FORMAT json)" |
  wader label --model DIR --input-format jsonl -o labels.jsonl.gz - &&
  duckdb -c "COPY (FROM read_json('labels.jsonl.gz', columns={id: 'VARCHAR', label: 'VARCHAR',
                   score: 'DOUBLE', status: 'VARCHAR'})) TO 'labels.parquet'"
"""
# Ids that look like dates and numbers, and are text; titles with whatever ends a line or a string.
AWKWARD = [("007", "gold"), ("2026-12-01", "science\nnews"), ("1e3", 'a "quoted"\ttitle\\'),
           ("true", ""), ("", "an empty id"), ("日本", "東京 news \u2028 music"), ("nul", "a\u0001b")]


class Duck:
    def __init__(self, t, program):
        self.t, self.directory = t, t.directory()
        bin_directory = t.directory()
        for name, path in (("duckdb", program), ("wader", t.wader)):
            os.symlink(path, os.path.join(bin_directory, name))
        self.env = t.environment({"PATH": bin_directory + ":" + os.environ.get("PATH", "")})

    def shell(self, lines):
        return subprocess.run(["bash", "-c", lines], cwd=self.directory, env=self.env,
                              capture_output=True, check=False)

    def make(self, records, kind):
        """titles.parquet of (id, title), ids of that SQL type."""
        e2e.write(self.directory, "made.jsonl", e2e.jsonl(
            {"id": a, "title": b} for a, b in records))
        done = self.shell("rm -f titles.parquet labels.*; duckdb -c \"COPY (FROM read_json("
                          "'made.jsonl', columns={id: '%s', title: 'VARCHAR'}, "
                          "format='newline_delimited')) TO 'titles.parquet'\"" % kind)
        self.t.check("a Parquet file of %s ids" % kind, done.returncode == 0, done.stderr)

    def label(self, model=e2e.MODEL, more=""):
        return self.shell(LINES.replace("DIR", model + more))

    def rows(self):
        done = self.shell("duckdb -json -c \"FROM 'labels.parquet'\"")
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    def has_labels(self):
        return os.path.exists(os.path.join(self.directory, "labels.parquet"))


def expected(t, records):
    """What wader makes of the same records as JSONL; ids as text."""
    rows = t.label("--input-format", "jsonl", "--max-bad", "100%", stdin=e2e.jsonl(
        {"id": a, "title": b} for a, b in records)).rows()
    return [{"id": str(r["id"]), "label": r["label"], "score": r.get("score"),
             "status": r.get("status")} for r in rows]


def test_rows(t, duck):
    texts = AWKWARD + [("v%05d" % i, title) for i, title in enumerate(
        x.replace("\0", " ") for x in e2e.random_titles(t.seed, 2000))]
    dates = [("2026-12-%02d" % i, "day %d" % i) for i in range(1, 31)]
    for kind, records in (("VARCHAR", texts), ("VARCHAR", dates),
                          ("BIGINT", [(2**53 + 1 + i, "number %d" % i) for i in range(100)])):
        duck.make(records, kind)
        done = duck.label()
        rows = duck.rows()
        t.check("%s: labelled" % kind, done.returncode == 0, done.stderr.decode())
        t.equal("%s: ids, labels and scores, in order, as of JSONL" % kind, rows,
                expected(t, records))


def test_faults(t, duck):
    records = [("a", "gold"), ("b", None), ("c", "news")]
    duck.make(records, "VARCHAR")
    done = duck.label()
    t.check("more bad titles than --max-bad: no Parquet, and exit 1",
            done.returncode == e2e.ROWS and not duck.has_labels(), done.stderr.decode())
    done = duck.label(more=" --max-bad 50%")
    t.equal("a title that is NULL keeps its row", (done.returncode, duck.rows()),
            (e2e.OK, expected(t, records)))
    duck.make(records[:1], "VARCHAR")
    done = duck.label("/nowhere")
    t.check("no model: no Parquet, and exit 6",
            done.returncode == e2e.UNUSABLE and not duck.has_labels(), done.stderr.decode())
    e2e.write(duck.directory, "titles.parquet", "no Parquet")
    done = duck.label()
    t.check("DuckDB cannot read: no Parquet, and no success",
            done.returncode != e2e.OK and not duck.has_labels(), done.stderr.decode())


def test_readme(t):
    with open(os.path.join(e2e.ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    if "duckdb" in text:
        plain = re.sub(r"^    ", "", text, flags=re.M)
        t.check("the README has these very lines", LINES in plain)


def main():
    t = e2e.Suite(__doc__)
    program = os.environ.get("DUCKDB") or shutil.which("duckdb")
    if program is None or not shutil.which("bash"):
        e2e.skip("no duckdb: `pip install duckdb-cli`, and name it in DUCKDB")
    duck = Duck(t, os.path.abspath(program))
    test_rows(t, duck)
    test_faults(t, duck)
    test_readme(t)
    t.finish()


if __name__ == "__main__":
    main()
