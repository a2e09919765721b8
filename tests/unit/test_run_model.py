#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_gpu_model: text, JSON and picture all say that they are modelled, agree with each other,
and wrong options end it."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

FAULTS = []


def check(what, good, seen=""):
    if not good:
        FAULTS.append(what)
        print(f"FAIL: {what}: {str(seen)[:2000]}")


def run(program, *args):
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_json(program):
    code, out, _ = run(program, "--json", 1)
    value = json.loads(out)
    cases = {(c["gpu"], c["tier"]): c for c in value["cases"]}
    check("says what it is", code == 0 and value["what"] == "modelled", out)
    check("no bf16 and no fp8 on a T4, no fp8 on an A100",
          not {("T4", "bf16"), ("T4", "fp8"), ("A100", "fp8")} & set(cases) and
          ("T4", "fp16") in cases and ("B200", "fp8") in cases, list(cases))
    for name, case in cases.items():
        steps = case["steps"]
        total = sum(s["launches"] * s["us"] for s in steps)
        check(f"{name}: steps add up to the batch",
              abs(total / (1e3 * case["batch_ms"]) - 1) < 2e-3, (total, case["batch_ms"]))
        check(f"{name}: shares add up", abs(sum(case["share"].values()) - 1) < 1e-3, case["share"])
        check(f"{name}: below the peaks",
              0 < case["titles_per_s"] < case["roof_titles_per_s"] and 0 < case["of_peak"] < 1)
        row = [s for s in case["sweep"] if s["rows"] == case["rows"]]
        check(f"{name}: the sweep has the default, with the same rate",
              len(row) == 1 and row[0]["titles_per_s"] == case["titles_per_s"], row)
        check(f"{name}: a graph is never slower",
              all(s["titles_per_s"] >= s["titles_per_s_alone"] for s in case["sweep"]))
    return cases


def test_text(program, cases):
    code, out, _ = run(program)
    lines = out.splitlines()
    check("the first line says so", code == 0 and lines[0].startswith("MODELLED, nothing here is"))
    check("a line a case",
          sum(line.split(" ")[0] in {gpu for gpu, _ in cases} for line in lines) == len(cases))
    code, out, _ = run(program, "--gpu", "h200", "--tier", "bf16")
    check("one case: each table says so", code == 0 and out.count("MODELLED") == 3, out)
    check("the encoder's choice is marked", "45056" in out and "the encoder's choice" in out, out)
    code, out, _ = run(program, "--gpu", "H200", "--tier", "fp8", "--gpus", 8)
    check("eight of them: what stops the host", "write stops at 1,165,525 titles/s" in out, out)


def test_host(program, directory):
    path = os.path.join(directory, "bench.json")
    stages = [{"name": n, "titles_per_s": r, "threads": t} for n, r, t in (
        ("inflate", 1e6, 1), ("parse", 1e6, 1), ("tokenize_1", 5e5, 1), ("pack", 1e8, 1),
        ("write", 1e5, 1), ("host", 2e5, 4))]
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"stages": stages}, stream)
    code, out, _ = run(program, "--gpu", "H200", "--tier", "bf16", "--json", 1, "--host", path)
    host = json.loads(out)["cases"][0]["host"]
    check("the host of a file",
          code == 0 and host["slowest"] == "write" and host["most_titles_per_s"] == 100000 and
          abs(host["cores"] - 1e5 * (2e-6 + 2e-6 + 1e-8 + 1e-5)) < 2e-3 and
          host["cores_whole"] == 2.0, host)
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"stages": stages[:3]}, stream)
    code, _, err = run(program, "--host", path)
    check("a file that lacks a stage", code == 2 and "no such stage" in err, err)


def test_picture(program, directory):
    path = os.path.join(directory, "a.svg")
    code, _, err = run(program, "--gpu", "L4", "--svg", path)
    check("a picture", code == 0, err)
    root = xml.etree.ElementTree.parse(path).getroot()
    text = " ".join(root.itertext())
    check("it says so, and has every tier", "Modelled, not measured" in text and
          all(f"L4 {tier}" in text for tier in ("fp32", "fp16", "bf16", "fp8")), text)


def test_refusals(program):
    for args in (["--gpu", "H900"], ["--tier", "int8"], ["--rows", "0"], ["--rows", "many"],
                 ["--rows"], ["--what", "1"], ["--heads", "16"], ["--gpu", "T4", "--tier", "bf16"],
                 ["--host", "/nowhere"], ["--svg", "/nowhere/a.svg"]):
        code, _, err = run(program, *args)
        check(f"{' '.join(args)} is refused", code == 2 and err.startswith("bench_gpu_model: "),
              err)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    program = os.path.abspath(parser.parse_args().program)
    cases = test_json(program)
    test_text(program, cases)
    with tempfile.TemporaryDirectory() as directory:
        test_host(program, directory)
        test_picture(program, directory)
    test_refusals(program)
    print(f"{len(FAULTS)} failures")
    return 1 if FAULTS else 0


sys.exit(main())
