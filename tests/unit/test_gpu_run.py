#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What of tests/gpu/run and of tests/peers/gpu_encoders.py needs no device, no torch and no numpy:
which stages run, what ncu prints, README's table, batches, likeness of logits, reports."""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TESTS, "gpu")]
sys.path.append(os.path.join(TESTS, "peers"))
import gpu_encoders  # noqa: E402
import gpu_engines  # noqa: E402
import gpu_report  # noqa: E402
import harness  # noqa: E402
import stages_bench  # noqa: E402
import table  # noqa: E402

FAULTS = []


def check(what, good, seen=""):
    if not good:
        FAULTS.append(what)
        print(f"FAIL: {what}: {str(seen)[:1500]}")


def equal(what, got, wanted):
    check(what, got == wanted, f"got {got!r}, wanted {wanted!r}")


# ---- tests/gpu/run

def run_module():
    """The script, which has no name that Python could import, without its last line."""
    path = os.path.join(TESTS, "gpu", "run")
    with open(path, encoding="utf-8") as stream:
        source = stream.read().replace("sys.exit(main())\n", "")
    loader = importlib.machinery.SourceFileLoader("gpu_run", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_run", loader))
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def test_stages():
    run = run_module()
    wanted, unknown = run.stages_asked([])
    equal("all, where nothing is said", (wanted, unknown), (run.SETS["all"], None))
    wanted, _ = run.stages_asked(["bench"])
    equal("a set", wanted, ["environment", "build", "inputs", "ceilings", "end_to_end", "sweep",
                            "profile", "model", "peers"])
    wanted, _ = run.stages_asked(["profile", "bench"])
    check("each once", len(wanted) == len(set(wanted)) and wanted[3] == "profile", wanted)
    equal("what is neither", run.stages_asked(["bench", "benhc"]), (None, "benhc"))
    for name, stages in run.SETS.items():
        check(f"{name}: every stage has a limit", set(stages) <= set(run.LIMITS), stages)
    modules = (run.stages_build, run.stages_exact, run.stages_speed, run.stages_bench)
    for name in run.LIMITS:
        check(f"{name} is a function", any(callable(m.__dict__.get(name)) for m in modules))
    check("what takes all the time that is left comes last", run.SETS["bench"][-1] == "peers")
    check("bench, with a build of 90 seconds, leaves the peers a minute of nine",
          sum(run.LIMITS[n][0] for n in run.SETS["bench"]
              if n not in ("environment", "build", "inputs", "peers")) + 90 + 60 <= 540)
    engines = gpu_engines.engines()
    for sizes in (run.FULL, run.QUICK, run.REHEARSAL):
        asked = sizes["peers"][sizes["peers"].index("--engines") + 1].split(",")
        check("peers are asked for by their names", set(asked) <= set(engines), asked)


def test_specs():
    specs = stages_bench.sweep_specs(5632, [1, 2, 35, 36], [2])
    equal("what the encoder is asked for", specs,
          ["0:0:profile", "5632:4", "11264:4", "11264:4:alone", "197120:4"])
    for device, name in (("NVIDIA H200", "H200"), ("NVIDIA A100-SXM4-80GB", "A100"),
                         ("NVIDIA L40S", "L40S"), ("NVIDIA L40", None), ("Tesla T4", "T4")):
        equal(f"what the model calls {device}", stages_bench.table_name(device), name)
    rates = stages_bench.measured_rates({"copy": 3e12, "read_write": 4e12, "copy_in": 5e10,
                                         "copy_out": 4e10, "tflops": {"bf16": 700.0}})
    equal("rates for the model", rates, {"memory": 4e12, "pcie": 4e10, "bf16": 7e14})


def test_ncu():
    names = ["ID", "Kernel Name", *stages_bench.NCU_METRICS]
    rows = [names, ["", "", "nsecond", "Mbyte", "%", "%", "%"],
            ["0", "gemm(int, float)", "2,000", "1.5", "50", "90", "20"],
            ["1", "norm", "500", "2", "80", "n/a", "60"],
            ["2", "gemm(int, float)", "1,000", "1.5", "20", "60", "20"]]
    text = "==PROF== Connected\n" + "\n".join(
        ",".join(f'"{cell}"' for cell in row) for row in rows) + "\n"
    kernels = stages_bench.read_ncu(text)
    equal("launches", [(k["name"], k["us"]) for k in kernels],
          [("gemm(int, float)", 2.0), ("norm", 0.5), ("gemm(int, float)", 1.0)])
    equal("bytes, and what is no number", (kernels[0]["dram_bytes"], kernels[1]["sm_percent"]),
          (1.5e6, None))
    first, second = stages_bench.heaviest(kernels)
    equal("together, the heaviest first", (first["name"], first["launches"], first["us"]),
          ("gemm(int, float)", 2, 3.0))
    check("shares of the time", abs(first["share"] - 3 / 3.5) < 1e-9, first)
    equal("means by time", (first["dram_percent"], second["sm_percent"]), (40.0, None))
    equal("only so many", len(stages_bench.heaviest(kernels, 1)), 1)
    equal("an error and no table", stages_bench.read_ncu("==ERROR== ERR_NVGPUCTRPERM\n"), [])


# ---- stages, with programs that only print

SCRIPTS = {
    "bench_gpu_ceilings": """echo '{"what": "machine"}'
echo '{"what": "ceiling", "copy": 4e12, "read_write": 4.1e12, "read": 4.2e12, "copy_in": 5e10,'\
'"copy_out": 5.1e10, "launch_us": 1.5, "launch_alone_us": 2.5}'""",
    "bench_gpu_products": """test "$1 $2" = "--squares 1" || exit 3
echo '{"what": "product", "dtype": "bf16", "tflops": 700.0}'""",
    "bench_gpu_encoder": """test "$2" != fp8 || exit 2
test "$2" != fp32 || { echo 'lost the device' >&2; exit 1; }
echo '{"what": "encoder", "dtype": "'$2'", "batch_tokens": 45056, "titles_per_s": 150000,'\
'"tokens_per_s": 3e6, "computing_ms": 14.0, "graph": true}'
echo '{"what": "profile", "dtype": "'$2'", "batch_tokens": 45056, "ms": {"qkv": 3.0, "norm": 1.0}}'
echo '{"what": "encoder", "dtype": "'$2'", "batch_tokens": 5632, "titles_per_s": 100000,'\
'"tokens_per_s": 2e6, "computing_ms": 2.0, "graph": false}'""",
    "bench_gpu_model": """case "$*" in *--rates*) n=3100000;; *) n=3500000;; esac
echo '{"cases": [{"tokens_per_s": '$n'}]}'""",
    "wader": "exit 6"}


class Run:
    """As little of tests/gpu/run as its stages ask for."""

    def __init__(self, folder):
        self.work = self.build = self.benches = folder
        self.model, self.wader = "model", os.path.join(folder, "wader")
        self.env, self.rehearsal, self.has_fp8, self.figures = dict(os.environ), "", None, {}
        self.sizes = {"sweep": {"seconds": 1, **{t: ([1, 8], [1]) for t in
                                                ("bf16", "fp8", "fp16", "fp32")}}}
        self.devices = [{"name": "NVIDIA H200", "multiprocessors": 132}]
        self.said = []
        for name, text in SCRIPTS.items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write("#!/bin/sh\n" + text + "\n")
            os.chmod(path, 0o755)

    def say(self, text="", quiet=False):
        self.said.append(text)

    def left(self):
        return 100

    def device_arguments(self, tier):
        return ["--precision", tier]

    def call(self, argv, env=None):
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
        return harness.Done(argv, done.returncode, done.stdout, done.stderr, 0.1)

    need = call


def test_stages_of_bench():
    with tempfile.TemporaryDirectory() as folder:
        run = Run(folder)
        figures = run.figures
        said = stages_bench.ceilings(run, figures.setdefault("ceilings", {}))
        check("ceilings", "memory 4,100 GB/s" in said and "bf16 700" in said, said)
        equal("rates", figures["ceilings"]["rates"], {"memory": 4.1e12, "pcie": 5e10,
                                                      "bf16": 7e14})
        try:
            said = stages_bench.sweep(run, figures.setdefault("sweep", {}))
        except harness.Fail as why:
            said = str(why)
        check("a tier that breaks fails the stage, one that is not there is told",
              "fp32: exit 1" in said and "no fp8 in this build" in said and
              "bf16 150,000 titles/s at 45056 rows" in said, said)
        equal("its rows are kept", len(figures["sweep"]["rows"]), 6)
        said = stages_bench.profile(run, figures.setdefault("profile", {}))
        check("the heaviest work by events", "qkv, 75.0%" in said, said)
        said = stages_bench.model(run, figures.setdefault("model", {}))
        row = figures["model"]["rows"][0]
        equal("beside the model", (row["measured_tokens_per_s"], row["modelled_tokens_per_s"],
                                   row["with_measured_ceilings"]), (3e6, 3500000, 3100000))
        equal("only what had a graph", len(figures["model"]["rows"]), 2)
        check("the ratio", "0.97 to 0.97" in said, said)
        wrapped = stages_bench.wrapped(run)
        equal("wader through its wrapper", run.call([wrapped]).code, 6)


# ---- README's table

def results(**more):
    job = {"titles_per_s": 100000.0, "steady_titles_per_s": 170000.0,
           "steady_tokens_per_s": 3.4e6, "gpu_busy": 0.93}
    peer = {"name": "PyTorch", "tier": "bf16", "variant": "sdpa", "rates": [3.0, 1.0, 2.0],
            "rates_given": [5.0]}
    return {"date": "d", "commit": "c" * 40, "machine": "m", "rehearsal": "",
            "devices": [{"name": "NVIDIA H200"}],
            "stages": [{"stage": "end_to_end", "figures": {"bf16": job}},
                       {"stage": "sweep", "figures": {"rows": [
                           {"what": "encoder", "dtype": "bf16", "titles_per_s": 180000},
                           {"what": "encoder", "dtype": "bf16", "titles_per_s": 175000},
                           {"what": "profile", "dtype": "bf16"}]}},
                       {"stage": "peers", "figures": {"speeds": [peer]}}], **more}


def test_table():
    modelled = {"title_tokens": 20, "config": {"layers": 12, "hidden_size": 768}, "cases": [
        {"gpu": "H200", "tier": "bf16", "titles_per_s": 175000, "roof_titles_per_s": 251000,
         "rows": 45056, "host": {"cores": 0.29, "cores_whole": 0.42}}]}
    with tempfile.TemporaryDirectory() as folder:
        equal("no results", table.newest(folder), (None, None))

        def put(name, value):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
                json.dump(value, stream)
        put("2027-01-03-gpu.json", results(rehearsal="cpu"))
        put("2027-01-02-gpu.json", results(devices=[]))
        put("2027-01-01-gpu.json", results(stages=[]))
        equal("a rehearsal, no device, no rate: no results", table.newest(folder), (None, None))
        text = "\n".join(table.lines(None, None, modelled))
        check("then it says so, and what is modelled is marked",
              "Not yet measured" in text and "Modelled, not measured" in text and
              "| H200 | – | 175 (251) |" in text, text)
        check("without a model, that alone", "odelled" not in "\n".join(
            table.lines(None, None, None)))
        put("2026-12-01-gpu.json", results())
        data, name = table.newest(folder)
        equal("a real one", name, "2026-12-01-gpu.json")
        text = "\n".join(table.lines(data, name, modelled))
        check("our figures", "| **wader** | bf16 | 170,000 | 100,000 | 3,400,000 | 180,000 | 93% |"
              in text, text)
        check("the peer's medians", "| PyTorch (sdpa) | bf16 | 2 |" in text, text)
        check("nothing modelled beside what is measured", "odelled" not in text, text)


# ---- peers

def test_batches():
    equal("by titles", gpu_engines.slices([1, 2, 3, 4, 5], 2, 100), [(0, 2), (2, 4), (4, 5)])
    equal("by tokens", gpu_engines.slices([1, 2, 3, 4, 5], 9, 6), [(0, 3), (3, 4), (4, 5)])
    equal("a title is always taken", gpu_engines.slices([8, 9], 9, 6), [(0, 1), (1, 2)])
    equal("no titles", gpu_engines.slices([], 9, 6), [])
    equal("seconds are shared", gpu_encoders.forced(100, 4), 25)
    equal("but not below some", gpu_encoders.forced(4, 4), 3.0)


def test_likeness():
    wanted = [[0.0, 5.0], [1.0, 4.0], [2.0, 6.0]]
    check("the same", abs(gpu_report.likeness(wanted, wanted) - 1) < 1e-12)
    moved = [[a + 7, b - 3] for a, b in wanted]
    check("a mean that moves is not seen", abs(gpu_report.likeness(moved, wanted) - 1) < 1e-12)
    mixed = gpu_report.likeness([wanted[2], wanted[0], wanted[1]], wanted)
    check("titles mixed up", mixed < 0.5 and not gpu_report.is_like("fp8", mixed), mixed)
    nan = float("nan")
    check("what is no number is not like anything",
          not gpu_report.is_like("bf16", gpu_report.likeness([[nan, 1.0]] * 3, wanted)))
    check("nor what never changes", not gpu_report.is_like(
        "fp8", gpu_report.likeness([[1.0, 1.0]] * 3, wanted)))


def made_up():
    found = {"n": 10, "same": 9, "apart": 1e-2, "scale": 2.0, "likeness": 0.998, "open_s": 1.0}

    def speed(name, tier, rates, **more):
        return {"engine": f"{name.lower()}-{tier}", "name": name, "tier": tier, "rates": rates,
                "rates_given": [], "variant": "", "variants": {"": found}, "batch": None, "n": 10,
                "same": 9, "n_same": 10, "peak_bytes": 5e8, "by_tokens": False, **more}
    return {"header": {"machine": "m", "device": "cpu: a REHEARSAL"}, "repeats": 3,
            "reference": "fp32", "skipped": ["SKIP x: y"],
            "titles": {"titles": 10, "bytes": 70.0, "tokens": 20.0, "median": 18, "p90": 30,
                       "most": 60},
            "speeds": [speed("wader", "bf16", [3000.0, 3300.0], rates_whole=[2000.0]),
                       speed("PyTorch packed", "bf16", [1000.0, 1050.0, 900.0], batch=65536,
                             by_tokens=True, rates_given=[1500.0], variant="grouped",
                             variants={"varlen": "this PyTorch has none", "grouped": found}),
                       speed("PyTorch", "fp32", [], variant="sdpa", variants={"sdpa": "broken"})]}


def test_report():
    text = "\n".join(gpu_report.text(made_up()))
    for words in ("machine: m", "SKIP x: y", "this PyTorch has none", "broken", "REHEARSAL"):
        check(f"{words} is told", words in text, text)
    peer = next(line for line in text.split("\n") if "grouped, 65536 tokens" in line)
    for words in ("1,000", "900–1,050", "1,500", "20,000", "3.15 ×", "90.0 %", "500"):
        check(f"{words} in the row of a peer", words in peer, peer)
    equal("what was not timed has no row", len(list(gpu_report.speed_rows(made_up()))), 3)
    rows = [line for line in gpu_report.markdown(made_up()) if line.startswith("|")]
    equal("a row each, with two lines above", len(rows), 4)
    equal("all as wide", len({row.count("|") for row in rows}), 1)
    names = gpu_engines.engines()
    check("every engine has a tier that the report knows, but the reference",
          all(engine.tier in gpu_report.TIERS for name, engine in names.items()
              if name != "reference"), list(names))


def main():
    for test in (test_stages, test_specs, test_ncu, test_stages_of_bench, test_table, test_batches,
                 test_likeness, test_report):
        test()
    print(f"{len(FAULTS)} failures")
    return 1 if FAULTS else 0


sys.exit(main())
