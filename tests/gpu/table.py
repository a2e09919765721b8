#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""README's table of speed on GPUs, in Markdown, from what tests/gpu/run left.

usage: tests/gpu/table.py [--json FILE] [--model PROGRAM] [--gpu NAME]

Without --json the newest gpu.json of tests/results (named ...gpu.json) that is of a device, and no
rehearsal, is taken. Where there is none it says so, and prints what the model gives (--model:
build/release/bench_gpu_model, or what it printed with --json 1), marked as modelled.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIERS = ["fp8", "bf16", "fp16", "fp32"]
NOT_YET = ("**Not yet measured.** No GPU has run this version; figures of `tests/gpu/run bench` "
           "are to stand here.")


def measured_of(path):
    """The results in a file, if they are of a device and have a rate; else None."""
    data = json.loads(pathlib.Path(path).read_text("utf-8"))
    if not isinstance(data, dict) or data.get("rehearsal") or not data.get("devices"):
        return None
    return data if rates_of(data) else None


def newest(folder):
    """By the names, which begin with the date."""
    for path in sorted(pathlib.Path(folder).glob("*gpu*.json"), reverse=True):
        data = measured_of(path)
        if data:
            return data, path.name
    return None, None


def stages_of(data):
    return {stage["stage"]: stage.get("figures", {}) for stage in data.get("stages", [])}


def rates_of(data):
    """By tier: whole job, without start-up, encoder alone, share that the GPU is busy."""
    stages = stages_of(data)
    rows = {}
    for tier in TIERS:
        job = stages.get("end_to_end", {}).get(tier) or {}
        alone = [row["titles_per_s"] for name in ("sweep", "encoder")
                 for row in stages.get(name, {}).get("rows", [])
                 if row.get("what") == "encoder" and row["dtype"] == tier]
        if job.get("titles_per_s") or alone:
            rows[tier] = {"whole": job.get("titles_per_s"),
                          "steady": job.get("steady_titles_per_s"),
                          "tokens": job.get("steady_tokens_per_s"),
                          "encoder": max(alone) if alone else None, "busy": job.get("gpu_busy")}
    return rows


def peers_of(data):
    return [{"name": row["name"], "tier": row["tier"], "how": row["variant"],
             "rate": statistics.median(row["rates"]),
             "given": statistics.median(row["rates_given"]) if row["rates_given"] else None}
            for row in stages_of(data).get("peers", {}).get("speeds", [])
            if row.get("rates") and row["name"] != "wader"]


def number(value):
    return f"{value:,.0f}" if value else "–"


def percent(value):
    return f"{value:.0%}" if value else "–"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def measured_lines(data, name):
    device = data["devices"][0]
    yield (f"{device['name']}, {data['machine']}; {data['date']}, commit {data['commit'][:12]} "
           f"(`tests/results/{name}`).")
    yield ""
    yield row("titles/s from gzip to gzip", "tier", "steady", "with start-up", "tokens/s, steady",
              "encoder alone", "GPU busy")
    yield "|" + "---|" * 7
    for tier, found in rates_of(data).items():
        yield row("**wader**", tier, number(found["steady"]), number(found["whole"]),
                  number(found["tokens"]), number(found["encoder"]), percent(found["busy"]))
    for peer in sorted(peers_of(data), key=lambda peer: -peer["rate"]):
        yield row(f"{peer['name']} ({peer['how']})" if peer["how"] else peer["name"], peer["tier"],
                  number(peer["rate"]), "–", "–", number(peer["given"]), "–")
    if peers_of(data):
        yield ""
        yield ("Peers' rates are from a list of titles to labels in memory, without start-up, and "
               "with tokens given (encoder alone).")


def thousands(case):
    if not case:
        return "–"
    return f"{case['titles_per_s'] / 1e3:.3g} ({case['roof_titles_per_s'] / 1e3:.3g})"


def modelled_lines(modelled, only=None):
    """`modelled`: what bench_gpu_model --json 1 printed."""
    cases = {}
    for case in modelled["cases"]:
        cases.setdefault(case["gpu"], {})[case["tier"]] = case
    yield ("**Modelled, not measured** (`build/release/bench_gpu_model`): thousand titles/s of "
           f"{modelled['title_tokens']} tokens, {modelled['config']['layers']} layers, "
           f"{modelled['config']['hidden_size']} wide; in brackets what the peaks of the data "
           "sheet would give.")
    yield ""
    yield row("modelled", *TIERS, "rows a batch", "host cores for the quickest tier")
    yield "|" + "---|" * (len(TIERS) + 3)
    for gpu, tiers in cases.items():
        if only and gpu != only:
            continue
        best = max(tiers.values(), key=lambda case: case["titles_per_s"])
        yield row(gpu, *(thousands(tiers.get(tier)) for tier in TIERS), f"{best['rows']:,}",
                  f"{best['host']['cores']:.2f} to {best['host']['cores_whole']:.2f}")


def model_of(path):
    if not path or not os.path.exists(path):
        return None
    if path.endswith(".json"):
        return json.loads(pathlib.Path(path).read_text("utf-8"))
    done = subprocess.run([path, "--json", "1"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def lines(data, name, modelled, only=None):
    if data:
        yield from measured_lines(data, name)
        return
    yield NOT_YET
    if modelled:
        yield ""
        yield from modelled_lines(modelled, only)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="what tests/gpu/run wrote")
    parser.add_argument("--results", default=str(ROOT / "tests/results"))
    parser.add_argument("--model", default=str(ROOT / "build/release/bench_gpu_model"))
    parser.add_argument("--gpu", help="of the model, this one alone")
    args = parser.parse_args()
    if args.json:
        data, name = measured_of(args.json), os.path.basename(args.json)
        if not data:
            sys.exit(f"{args.json}: a rehearsal, or without a device, or without a rate")
    else:
        data, name = newest(args.results)
    print("\n".join(lines(data, name, None if data else model_of(args.model), args.gpu)))


if __name__ == "__main__":
    main()
