# SPDX-License-Identifier: Apache-2.0
"""How fast: the whole job on a large file, PyTorch beside it, the encoder alone, each kernel and
product beside the device's own ceilings."""
import glob
import gzip
import json
import os
import re
import shutil
import sys
import time

import host
from harness import Fail, Skip
from stages_exact import label, need_packages, tiers

SMI_FIELDS = ["utilization.gpu", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu",
              "memory.used"]


# ---- the device while a job runs

class Sampler:
    """nvidia-smi, asked five times a second; figures of what it saw, without both ends."""

    def __init__(self, run):
        self.run, self.process = run, None
        if shutil.which("nvidia-smi"):
            self.path = os.path.join(run.work, "smi.csv")
            with open(self.path, "w", encoding="utf-8") as stream:
                self.process = run.start(["nvidia-smi", "-i", "0", "-lms", "200", "--format=csv,"
                                          "noheader,nounits", "--query-gpu=" +
                                          ",".join(SMI_FIELDS)], stdout=stream)

    def stop(self):
        if self.process is None:
            return None
        self.run.finish(self.process, 0.1)
        rows = []
        with open(self.path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                try:
                    rows.append([float(part) for part in line.split(",")])
                except ValueError:
                    continue
        busy = [row for row in rows if len(row) == len(SMI_FIELDS) and row[0] > 0]
        if not busy:
            return None
        return {"samples": len(busy), **{
            field: {"mean": round(sum(r[i] for r in busy) / len(busy), 1),
                    "most": max(r[i] for r in busy)} for i, field in enumerate(SMI_FIELDS)}}


# ---- the whole job

def chunk_paths(run):
    return sorted(glob.glob(os.path.join(run.data, "chunks", "*.jsonl.gz")))


def join_chunks(run, paths):
    """One gzip file of several members."""
    output = os.path.join(run.data, f"catalog-{len(paths)}.jsonl.gz")
    if not os.path.exists(output):
        with open(output, "wb") as stream:
            for path in paths:
                with open(path, "rb") as part:
                    shutil.copyfileobj(part, stream)
    return output


def run_job(run, tier, n_chunks, watch=False):
    source = join_chunks(run, chunk_paths(run)[:n_chunks])
    output = os.path.join(run.work, f"labels-{tier}-{n_chunks}.jsonl.gz")
    sampler = Sampler(run) if watch else None
    try:
        done = label(run, tier, source, output)
    finally:
        seen = sampler.stop() if sampler else None
    found = re.search(r"([\d,]+) titles labelled in ([\d.]+) s .*?([\d,]+) tokens", done.err)
    if not found:
        raise Fail(f"wader's summary is not understood: {done.err[-200:]}")
    titles, tokens = (int(found.group(i).replace(",", "")) for i in (1, 3))
    row = {"titles": titles, "tokens": tokens, "wall_s": round(done.seconds, 3),
           "summary_s": float(found.group(2)), "titles_per_s": titles / done.seconds,
           "tokens_per_s": tokens / done.seconds, "notes": done.err.splitlines()[-3:]}
    if seen:
        row["gpu"] = seen
    worked = re.search(r"encode ([\d.]+) s on (\d+) GPU", done.err)
    if worked and row["summary_s"] > 0:  # of the run, without start-up
        row["gpu_busy"] = float(worked.group(1)) / int(worked.group(2)) / row["summary_s"]
    return row


def measure_tier(run, tier, row, first, most):
    """Runs of one chunk, of a few, and of as many as fill some seconds: the differences between
    them are the rate that loading and warming up have no part in."""
    runs = row["runs"] = [run_job(run, tier, 1), run_job(run, tier, first, watch=True)]
    a_chunk = (runs[1]["wall_s"] - runs[0]["wall_s"]) / (first - 1)
    wanted = int(min(run.sizes["job_s"], 0.4 * run.left()) / max(a_chunk, 1e-3))
    if min(most, wanted) > 2 * first:
        runs.append(run_job(run, tier, min(most, wanted), watch=True))
    last, seconds = runs[-1], runs[-1]["wall_s"] - runs[0]["wall_s"]
    row.update({key: last[key] for key in ("titles", "titles_per_s", "tokens_per_s", "wall_s",
                                           "gpu_busy") if key in last})
    if seconds > 0:
        row["steady_titles_per_s"] = (last["titles"] - runs[0]["titles"]) / seconds
        row["steady_tokens_per_s"] = (last["tokens"] - runs[0]["tokens"]) / seconds
    run.say(f"{tier}: {last['titles']:,} titles in {last['wall_s']:.1f} s, "
            f"{last['titles_per_s']:,.0f} titles/s, {last['tokens_per_s']:,.0f} tokens/s; steady "
            f"{row.get('steady_titles_per_s', 0):,.0f} titles/s, the GPU busy "
            f"{row.get('gpu_busy', 0):.0%}")
    run.say(json.dumps(last.get("gpu")))


def end_to_end(run, figures):
    n_all = len(chunk_paths(run))
    if n_all < 2:
        raise Skip("there are no titles")
    late = []
    for tier, first, most in (("bf16", 4, n_all), ("fp8", 4, n_all), ("fp16", 4, n_all),
                              ("fp32", 2, 3)):
        if tier not in tiers(run):
            continue
        if run.left() < 12 and not run.rehearsal:
            late.append(tier)
            continue
        figures[tier] = {}
        measure_tier(run, tier, figures[tier], min(first, n_all), min(most, n_all))
    flips_of_small(run, figures)
    said = "; ".join(f"{t} {figures[t]['titles_per_s']:,.0f} titles/s (steady "
                     f"{figures[t].get('steady_titles_per_s', 0):,.0f})"
                     for t in tiers(run) if t in figures)
    if late:
        raise Fail(f"{said}; time was up before {', '.join(late)}")
    return said


def flips_of_small(run, figures):
    """Labels of the smallest file that differ between tiers. Before PyTorch has scaled the
    classifier nearly all titles would get one label."""
    if not run.calibrated:
        return
    labels = {}
    for tier in tiers(run):
        path = os.path.join(run.work, f"labels-{tier}-1.jsonl.gz")
        if os.path.exists(path):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                labels[tier] = [json.loads(line)["label"] for line in stream]
    for tier in ("bf16", "fp16", "fp8"):
        if tier in labels and "fp32" in labels and run.left() > 2:
            flips = sum(a != b for a, b in zip(labels[tier], labels["fp32"]))
            figures[f"{tier} labels unlike fp32"] = {"flips": flips, "titles": len(labels["fp32"])}
            run.say(f"{tier}: {flips} of {len(labels['fp32'])} labels are not those of fp32")


# ---- PyTorch

def peer(run, figures):
    need_packages("numpy", "torch", "transformers")
    output = os.path.join(run.work, "peer.json")
    done = run.call([sys.executable, os.path.join(host.HERE, "torch_bert.py"), "speed", run.model,
                     os.path.join(run.data, "ids.txt"), output, run.torch_device,
                     str(run.sizes["peer_s"]), *map(str, run.sizes["peer_batches"])])
    if os.path.exists(output):
        with open(output, encoding="utf-8") as stream:
            figures.update(json.load(stream))
    if not figures.get("batches"):
        raise Fail(f"{done.how()}: {done.last_line()[:300]}")
    for row in figures["batches"]:
        run.say(f"PyTorch {figures['dtype']}, batches of {row['batch']}: "
                f"{row['titles_per_s']:,.0f} titles/s, {row['tokens_per_s']:,.0f} tokens/s")
    best = max(figures["batches"], key=lambda row: row["titles_per_s"])
    said = (f"PyTorch {figures['torch']} {figures['dtype']}: {best['titles_per_s']:,.0f} titles/s "
            f"at {best['batch']} a batch, tokens given")
    if done.code != 0:
        raise Fail(f"{said}; but {done.how()}: {done.last_line()[:200]}")
    return said


# ---- benches

def bench(run, name, *arguments):
    """The lines of a bench, as they come; a bench that fails keeps those before."""
    program = os.path.join(run.benches, "bench_gpu_" + name)
    done = run.call([program, *map(str, arguments)], env=run.env)
    rows = []
    for line in done.out.splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            run.say(f"not JSON: {line[:200]}")
    if done.code == 77:
        raise Skip(f"{os.path.basename(program)}: {done.last_line()}")
    return rows, None if done.code == 0 else f"{done.how()}: {done.last_line()[:200]}"


def kernels(run, figures):
    rows, fault = bench(run, "kernels", *run.sizes["kernels"])
    figures["rows"] = rows
    for row in rows:
        if row["what"] == "ceiling":
            run.say(f"ceilings: copy {row['copy'] / 1e9:,.0f} GB/s, a kernel that reads and writes "
                    f"{row['read_write'] / 1e9:,.0f}, that reads {row['read'] / 1e9:,.0f}")
        if row["what"] == "kernel":
            run.say(f"{row['name']:14} {row['dtype']}  {row['us']:9.1f} us "
                    f"{row['bytes_per_s'] / 1e9:7,.0f} GB/s, {row['share_of_ceiling']:6.1%} of the "
                    f"ceiling; {row['operations_per_s'] / 1e12:.2f} T operations/s")
    timed = [row for row in rows if row["what"] == "kernel"]
    if fault or not timed:
        raise Fail(fault or "no kernel was timed")
    worst = min(timed, key=lambda row: row["share_of_ceiling"])
    return (f"{len(timed)} timed; farthest from the memory ceiling: {worst['name']} "
            f"{worst['dtype']}, {worst['share_of_ceiling']:.0%}")


def products(run, figures):
    rows, fault = bench(run, "products", *run.sizes["products"])
    figures["rows"] = rows
    for row in rows:
        if row["what"] == "product":
            run.say(f"{row['name']:18} {row['dtype']} {row['rows']:6} rows {row['us']:9.1f} us "
                    f"{row['tflops']:7.1f} TFLOP/s, {row['share_of_square']:6.1%} of the square's")
    timed = [row for row in rows if row["what"] == "product"]
    if fault or not timed:
        raise Fail(fault or "no product was timed")
    squares = [f"{r['dtype']} {r['tflops']:.0f}" for r in timed if r["name"] == "square"]
    return f"{len(timed)} timed; TFLOP/s of the square: {', '.join(squares)}"


def candidates(run, figures):
    rows, fault = bench(run, "candidates", *run.sizes["candidates"])
    figures["rows"] = rows
    places = {}
    for row in rows:
        if row["what"] == "candidate" and row["us"] > 0:
            places.setdefault((row["name"], row["dtype"]), []).append(row)
    gains = []
    for (name, dtype), offers in places.items():
        whole = [o for o in offers if o["splits"] <= 1 and o["scheme"] == 0]
        if not whole:
            run.say(f"{name} {dtype}: of {len(offers)} offers none that sums in one piece")
            continue
        taken = next((o for o in whole if o["limit"] == 0), whole[0])
        best = min(whole, key=lambda offer: offer["us"])
        gains.append(taken["us"] / best["us"])
        run.say(f"{name:18} {dtype}: taken {taken['tflops']:6.1f} TFLOP/s, best of {len(whole)} "
                f"{best['tflops']:6.1f} (limit {best['limit'] >> 20} MiB, place {best['place']}, "
                f"tile {best['tile']}, stages {best['stages']}, id {best['id']})")
    if fault or not gains:
        raise Fail(fault or "no offer was timed")
    return (f"{len(places)} products; the best offer is up to {max(gains) - 1:.1%} faster than the "
            "one taken")


def encoder(run, figures):
    figures["rows"] = []
    faults = []
    n_sizes = {"bf16": None, "fp8": 3, "fp16": 3, "fp32": 1}
    for tier in [tier for tier in n_sizes if tier in tiers(run)]:
        if run.left() < 8:
            faults.append(f"time was up before {tier}")
            break
        rows, fault = bench(run, "encoder", run.model, tier, run.sizes["encoder_s"],
                            *run.sizes["encoder"][:n_sizes[tier]])
        figures["rows"] += rows
        faults += [f"{tier}: {fault}"] if fault else []
        for row in rows:
            if row["what"] == "encoder":
                run.say(f"{tier}, {row['batch_tokens']:6} tokens, {row['slots']} slots: "
                        f"{row['titles_per_s']:,.0f} titles/s, {row['tokens_per_s']:,.0f} "
                        f"tokens/s, a batch {row['batch_ms']:.2f} ms, of it computing "
                        f"{row['computing_ms']:.2f}")
    timed = [row for row in figures["rows"] if row["what"] == "encoder"]
    if faults or not timed:
        raise Fail("; ".join(faults) or "nothing was timed")
    best = max(timed, key=lambda row: row["titles_per_s"])
    return (f"best {best['dtype']}: {best['titles_per_s']:,.0f} titles/s, "
            f"{best['tokens_per_s']:,.0f} tokens/s with {best['batch_tokens']} tokens, "
            f"{best['slots']} slots")
