# SPDX-License-Identifier: Apache-2.0
"""What `tests/gpu/run bench` has of its own: the device's ceilings, rows a batch with and without a
graph, other runtimes beside wader, where a batch's time goes, and the model of the run beside all
that was measured."""
import csv
import io
import json
import os
import shlex
import statistics
import sys

import host
from harness import Fail, Skip
from stages_exact import need_packages, tiers
from stages_speed import bench

ROWS_MAX = 200000
SLOTS = 4  # as the encoder has them
NCU_METRICS = {"gpu__time_duration.sum": "us",
               "dram__bytes.sum": "dram_bytes",
               "dram__throughput.avg.pct_of_peak_sustained_elapsed": "dram_percent",
               "sm__throughput.avg.pct_of_peak_sustained_elapsed": "sm_percent",
               "sm__warps_active.avg.pct_of_peak_sustained_active": "occupancy_percent"}
# What ncu's units are in those above.
UNITS = {"nsecond": 1e-3, "ns": 1e-3, "usecond": 1, "us": 1, "msecond": 1e3, "ms": 1e3,
         "second": 1e6, "s": 1e6, "byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9, "%": 1}
SQUARE = 8192
N_HEAVIEST = 5


# ---- ceilings

def ceilings(run, figures):
    rows, fault = bench(run, "ceilings")
    found = [row for row in rows if row["what"] == "ceiling"]
    if fault or not found:
        raise Fail(fault or "no ceiling was measured")
    figures.update({key: value for key, value in found[0].items() if key != "what"})
    squares, fault = bench(run, "products", "--squares", 1)
    figures["tflops"] = {row["dtype"]: row["tflops"] for row in squares
                         if row["what"] == "product"}
    if fault:
        raise Fail(fault)
    figures["rates"] = measured_rates(figures)
    return (f"memory {max(figures['copy'], figures['read_write']) / 1e9:,.0f} GB/s, PCIe "
            f"{figures['copy_in'] / 1e9:.0f} and {figures['copy_out'] / 1e9:.0f} GB/s, a launch "
            f"{figures['launch_us']:.2f} us in a graph, {figures['launch_alone_us']:.2f} alone; "
            "TFLOP/s of a square: " + ", ".join(
                f"{name} {value:.0f}" for name, value in figures["tflops"].items()))


def measured_rates(figures):
    """As bench_gpu_model --rates takes them."""
    return {"memory": max(figures["copy"], figures["read_write"]),
            "pcie": min(figures["copy_in"], figures["copy_out"]),
            **{name: 1e12 * value for name, value in figures["tflops"].items()}}


# ---- rows a batch

def quantum(run):
    """Rows that fill the device's multiprocessors once, as cuda/encoder_cuda.c has it."""
    count = run.devices[0]["multiprocessors"] if run.devices else 3
    return 128 * max(1, count // 3)


def sweep_specs(step, multiples, alone):
    """What bench_gpu_encoder is asked for: first as the encoder chooses, with a profile."""
    specs = ["0:0:profile"]
    for k in multiples:
        if k * step <= ROWS_MAX:
            specs.append(f"{k * step}:{SLOTS}")
            specs += [f"{k * step}:{SLOTS}:alone"] if k in alone else []
    return specs


def sweep(run, figures):
    figures["rows"], figures["absent"] = [], []
    sizes, faults = run.sizes["sweep"], []
    for tier in ("bf16", "fp8", "fp16", "fp32"):
        if run.left() < 6:
            faults.append(f"time was up before {tier}")
            break
        multiples, alone = sizes[tier]
        rows, fault = bench(run, "encoder", run.model, tier, sizes["seconds"],
                            *sweep_specs(sizes.get("quantum") or quantum(run), multiples, alone))
        if fault and fault.startswith("exit 2:"):
            figures["absent"].append(tier)
            continue
        figures["rows"] += rows
        faults += [f"{tier}: {fault}"] if fault else []
        for row in rows:
            if row["what"] == "encoder":
                run.say(f"{tier} {row['batch_tokens']:7} rows, "
                        f"{'a graph' if row['graph'] else 'alone  '}: "
                        f"{row['titles_per_s']:9,.0f} titles/s, {row['tokens_per_s']:11,.0f} "
                        f"tokens/s, computing {row['computing_ms']:.2f} ms")
    timed = [row for row in figures["rows"] if row["what"] == "encoder"]
    if not timed:
        raise Fail("; ".join(faults) or "nothing was timed")
    said = describe_sweep(figures, timed)
    if faults:
        raise Fail(f"{said}; {'; '.join(faults)}")
    return said


def describe_sweep(figures, timed):
    parts = []
    for tier in dict.fromkeys(row["dtype"] for row in timed):
        mine = [row for row in timed if row["dtype"] == tier]
        best = max(mine, key=lambda row: row["titles_per_s"])
        chosen = mine[0]["titles_per_s"]
        parts.append(f"{tier} {best['titles_per_s']:,.0f} titles/s at {best['batch_tokens']} rows "
                     f"(its own choice {chosen / best['titles_per_s']:.1%} of that)")
    return "; ".join(parts) + "".join(f"; no {tier} in this build" for tier in figures["absent"])


# ---- other runtimes

def wrapped(run):
    """wader with the libraries that were carried here, which are not for Python: a program that
    Python starts."""
    path = os.path.join(run.work, "wader.sh")
    names = [n for n in ("LD_LIBRARY_PATH", "XDG_CACHE_HOME") if n in run.env]
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("#!/bin/sh\n" + "".join(
            f"export {name}={shlex.quote(run.env[name])}\n" for name in names) +
            f"exec {shlex.quote(run.wader)} \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def peers(run, figures):
    need_packages("numpy", "torch", "transformers", "tokenizers")
    output = os.path.join(run.work, "gpu-peers.json")
    if os.path.exists(output):
        os.remove(output)
    argv = [sys.executable, os.path.join(host.ROOT, "tests", "peers", "gpu_encoders.py"), "--wader",
            wrapped(run), "--no-install", "--device", run.torch_device, "--model", run.model,
            "--titles-file", run.titles, "--work", os.path.join(run.work, "peers"), "--json",
            output, "--budget", str(int(max(5, run.left() - 5))), *run.sizes["peers"]]
    done = run.call(argv)
    if not os.path.exists(output):
        raise Fail(f"{done.how()}: {done.last_line()[:300]}")
    with open(output, encoding="utf-8") as stream:
        figures.update(json.load(stream))
    for line in done.out.splitlines():
        run.say(line)
    speeds = [row for row in figures["speeds"] if row["rates"]]
    if done.code not in (0, 1) or not speeds:
        raise Fail(f"{done.how()}: {done.last_line()[:300]}")
    best = max(speeds, key=lambda row: statistics.median(row["rates"]))
    said = (f"{len(speeds)} timed; the quickest: {best['engine']}, "
            f"{statistics.median(best['rates']):,.0f} titles/s")
    if done.code:
        raise Fail(f"{said}; but wader's own logits are wrong, or it failed")
    return said


# ---- where a batch's time goes

def read_ncu(text):
    """ncu's raw page as CSV: a kernel a row, units in the row below the names."""
    lines = [line for line in text.splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    if not rows or "Kernel Name" not in rows[0]:
        return []
    units = rows[0]
    kernels = []
    for row in rows[1:]:
        kernel = {"name": row["Kernel Name"]}
        for metric, key in NCU_METRICS.items():
            try:
                value = float(row[metric].replace(",", ""))
                kernel[key] = value * UNITS[units[metric]]
            except (KeyError, ValueError, AttributeError):
                kernel[key] = None
        kernels.append(kernel)
    return kernels


def heaviest(kernels, count=N_HEAVIEST):
    """Launches of one kernel together, those that take most time first."""
    total = sum(k["us"] or 0 for k in kernels)
    groups = {}
    for kernel in kernels:
        groups.setdefault(kernel["name"], []).append(kernel)
    rows = []
    for name, launches in groups.items():
        seconds = sum(k["us"] or 0 for k in launches)
        row = {"name": name, "launches": len(launches), "us": round(seconds, 2),
               "share": seconds / total if total else 0}
        for key in list(NCU_METRICS.values())[1:]:
            values = [k[key] * (k["us"] or 0) for k in launches if k[key] is not None]
            row[key] = round(sum(values) / seconds, 3) if values and seconds else None
        rows.append(row)
    return sorted(rows, key=lambda row: -row["us"])[:count]


def by_events(run, tier):
    """Shares of a batch's time as the encoder's own events tell them."""
    rows = run.figures.get("sweep", {}).get("rows", [])
    found = [row for row in rows if row["what"] == "profile" and row["dtype"] == tier]
    if not found:
        return None
    times = found[0]["ms"]
    total = sum(times.values())
    return {"rows": found[0]["batch_tokens"], "total_ms": total, "works": sorted(
        ({"work": work, "ms": ms, "share": ms / total if total else 0}
         for work, ms in times.items()), key=lambda row: -row["ms"])}


def run_ncu(run, figures, tier):
    program = host.find_program("ncu", os.path.join(host.toolkit()[1] or "", "bin", "ncu"))
    if not program:
        figures["ncu"] = "not there"
        return
    rows = run.figures.get("sweep", {}).get("rows", [])
    size = next((r["batch_tokens"] for r in rows if r["what"] == "encoder"), 45056)
    argv = [program, "--csv", "--page", "raw", "--metrics", ",".join(NCU_METRICS),
            "--launch-skip", "150", "--launch-count", "150",
            os.path.join(run.benches, "bench_gpu_encoder"), run.model, tier, "0.01",
            f"{size}:1:alone"]
    done = run.call(argv, env=run.env)
    kernels = read_ncu(done.out)
    if not kernels:
        figures["ncu"] = f"says nothing: {done.how()}: {done.last_line()[:200]}"
        return
    figures["ncu"] = {"kernels": len(kernels), "heaviest": heaviest(kernels)}
    for row in figures["ncu"]["heaviest"]:
        run.say(f"{row['share']:6.1%} {row['us']:9.1f} us in {row['launches']:3}, memory "
                f"{row['dram_percent']} %, multiprocessors {row['sm_percent']} %, warps "
                f"{row['occupancy_percent']} %  {row['name'][:60]}")


def profile(run, figures):
    tier = "bf16"
    figures["events"] = by_events(run, tier)
    for row in (figures["events"] or {}).get("works", []):
        run.say(f"{row['share']:6.1%} {row['ms']:9.3f} ms  {row['work']}")
    run_ncu(run, figures, tier)
    if not figures["events"] and not isinstance(figures["ncu"], dict):
        raise Skip(f"no profile by events (stage sweep), and ncu {figures['ncu']}")
    if isinstance(figures["ncu"], dict):
        first = figures["ncu"]["heaviest"][0]
        return f"by ncu; the heaviest is {first['name'][:60]}, {first['share']:.1%}"
    first = figures["events"]["works"][0]
    return (f"by events (ncu {figures['ncu']}); the heaviest is {first['work']}, "
            f"{first['share']:.1%}")


# ---- the model beside it

def model_case(run, name, tier, rows, tokens, rates):
    argv = [os.path.join(run.build, "bench_gpu_model"), "--gpu", name, "--tier", tier, "--rows",
            str(rows), "--tokens", str(tokens), "--json", "1"]
    done = run.need(argv + (["--rates", rates] if rates else []), env=run.env)
    return json.loads(done.out)["cases"][0]


def table_name(device):
    """The name that cuda/gpu_table.c has for a device: "H200" for "NVIDIA H200"."""
    words = device.replace("-", " ").split()
    return next((n for n in ("T4", "A100", "L4", "L40S", "H100", "H200", "B200") if n in words),
                None)


def model(run, figures):
    if not run.devices:  # nothing to be held beside it
        done = run.need([os.path.join(run.build, "bench_gpu_model"), "--json", "1"], env=run.env)
        figures["modelled"] = json.loads(done.out)
        raise Skip("no device; figures of the model alone are in gpu.json")
    name = figures["gpu"] = table_name(run.devices[0]["name"])
    if not name:
        raise Skip(f"the model has no {run.devices[0]['name']} (cuda/gpu_table.c)")
    rates = os.path.join(run.work, "rates.json")
    measured = run.figures.get("ceilings", {}).get("rates")
    with open(rates, "w", encoding="utf-8") as stream:
        json.dump(measured or {}, stream)
    figures["rows"] = []
    for row in run.figures.get("sweep", {}).get("rows", []):
        if row["what"] != "encoder" or not row["graph"] or row["dtype"] not in tiers(run):
            continue
        tokens = max(2, round(row["tokens_per_s"] / row["titles_per_s"]))
        case = [model_case(run, name, row["dtype"], row["batch_tokens"], tokens, r)
                for r in (None, rates)]
        figures["rows"].append({
            "tier": row["dtype"], "rows": row["batch_tokens"],
            "measured_tokens_per_s": row["tokens_per_s"],
            "modelled_tokens_per_s": case[0]["tokens_per_s"],
            "with_measured_ceilings": case[1]["tokens_per_s"]})
        last = figures["rows"][-1]
        run.say(f"{last['tier']} {last['rows']:7} rows: measured "
                f"{last['measured_tokens_per_s']:11,.0f} tokens/s, modelled "
                f"{last['modelled_tokens_per_s']:11,.0f}, with this device's ceilings "
                f"{last['with_measured_ceilings']:11,.0f}")
    if not figures["rows"]:
        raise Skip("nothing was measured to hold beside the model (stage sweep)")
    ratios = [r["measured_tokens_per_s"] / r["with_measured_ceilings"] for r in figures["rows"]]
    return (f"measured over modelled, with the ceilings of this device: {min(ratios):.2f} to "
            f"{max(ratios):.2f} over {len(ratios)} settings")
