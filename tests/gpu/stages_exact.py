# SPDX-License-Identifier: Apache-2.0
"""The model and the titles; wader's logits beside PyTorch's; the same bytes however it is run."""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys

import host
from harness import Fail, Skip

TIERS = ["fp32", "bf16", "fp16"]
NO_TIER = 6  # wader's exit code where this build or this device has no such tier
# Of the logits' scale, the largest logit there is: what README promises of fp32. Lower tiers are
# held to PyTorch's own error in the same format.
FP32_ALLOWED = 1e-4


def need_packages(*names):
    missing = [name for name in names if host.version(name) is None]
    if missing:
        raise Skip(f"no Python package {', '.join(missing)} for {sys.executable}")


# ---- what everything works on

def start_inputs(run):
    """In the background, beside the build. Returns the process, or why there is none."""
    try:
        need_packages("numpy")
    except Skip as why:
        return str(why)
    shutil.rmtree(run.data, ignore_errors=True)
    os.makedirs(run.data)
    spec = os.path.join(run.data, "spec.json")
    with open(spec, "w", encoding="utf-8") as stream:
        json.dump({**run.sizes["inputs"], **host.carried_inputs()}, stream)
    log = open(os.path.join(run.data, "inputs.log"), "w", encoding="utf-8")
    with log:
        return run.start([sys.executable, os.path.join(host.HERE, "inputs.py"), run.data, spec],
                         stdout=log, stderr=subprocess.STDOUT)


def inputs(run, figures, process):
    if isinstance(process, str):
        raise Skip(process)
    done = run.finish(process)
    if done.code != 0:
        with open(os.path.join(run.data, "inputs.log"), encoding="utf-8") as stream:
            raise Fail(f"inputs.py: {done.how()}: {stream.read()[-300:]}")
    with open(os.path.join(run.data, "inputs.json"), encoding="utf-8") as stream:
        figures.update(json.load(stream))
    ids = os.path.join(run.data, "ids.txt")
    with open(ids, "w", encoding="ascii") as stream:
        run.need([run.wader, "tokenize", "--model", run.model, run.titles], stdout=stream,
                 env=run.env)
    with open(ids, encoding="ascii") as stream:
        lengths = sorted(len(line.split()) for line in stream)
    figures["tokens"] = {"mean": sum(lengths) / len(lengths), "median": lengths[len(lengths) // 2],
                         "p99": lengths[len(lengths) * 99 // 100], "most": lengths[-1]}
    kind = "real" if "real_titles" in figures["spec"] else "made-up"
    return (f"{figures['weight_bytes'] / 1e6:.0f} MB of weights, {kind} titles of "
            f"{figures['tokens']['median']} tokens in the middle, "
            f"{figures['tokens']['mean']:.1f} on average")


# ---- wader

def label(run, tier, source, output, *more, limit=None, device=None):
    """Runs the job; returns its notes. `tier` is taken as far as the device of a rehearsal goes."""
    argv = [run.wader, "label", "--model", run.model, "-o", output, "--force", "--progress", "none",
            *run.device_arguments(tier, device), *more, source]
    return run.need(argv, limit, env=run.env)


def tiers(run):
    """TIERS, and fp8 where there is one: wader is asked once, with one title."""
    if run.has_fp8 is None:
        path = os.path.join(run.work, "one.txt")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("a title\n")
        done = run.call([run.wader, "label", "--model", run.model, *run.device_arguments("fp8"),
                         path], env=run.env)
        run.has_fp8 = done.code != NO_TIER and run.rehearsal != "cpu"
    return TIERS + ["fp8"] if run.has_fp8 else TIERS


def read_rows(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def digest(path, is_sorted=False):
    with open(path, "rb") as stream:
        data = stream.read()
    if is_sorted:
        data = b"\n".join(sorted(data.split(b"\n")))
    return hashlib.sha256(data).hexdigest()[:16]


# ---- logits

def errors(numpy, got, want, scale):
    """How far `got` is from `want`, as shares of the scale, and the labels that differ with the
    margin that the right label has in `want`."""
    apart = numpy.abs(got - want) / scale
    flips = numpy.nonzero(got.argmax(1) != want.argmax(1))[0]
    top = numpy.sort(want[flips], axis=1)
    margins = sorted(((top[:, -1] - top[:, -2]) / scale).tolist(), reverse=True)
    return {"titles": len(got), "max": float(apart.max()), "mean": float(apart.mean()),
            "flips": len(flips), "flip_margins": [round(m, 6) for m in margins[:200]]}


def describe(row):
    margins = row["flip_margins"]
    worst = f", the surest of them by {margins[0]:.2g}" if margins else ""
    return (f"max {row['max']:.2g}, mean {row['mean']:.2g} of the scale; {row['flips']} of "
            f"{row['titles']} labels flip ({100 * row['flips'] / row['titles']:.2f} %{worst})")


def judge_tier(tier, mine, theirs, numpy, mine_values):
    if not numpy.isfinite(mine_values).all():
        return f"{tier}: a logit is not finite"
    if tier == "fp32" and mine["max"] > FP32_ALLOWED:
        return f"fp32: {mine['max']:.2g} of the scale off, {FP32_ALLOWED} is allowed"
    if theirs and mine["mean"] > 1.25 * theirs["mean"]:
        return f"{tier}: mean error {mine['mean']:.2g}, PyTorch's in {tier} is {theirs['mean']:.2g}"
    return None


def logits(run, figures):
    need_packages("numpy", "torch", "transformers")
    import numpy
    reference = os.path.join(run.data, "torch.npz")
    ids = os.path.join(run.data, "ids.txt")
    sample = run.sizes["cpu_sample"]
    done = run.need([sys.executable, os.path.join(host.HERE, "torch_bert.py"), "logits", run.model,
                     ids, reference, run.torch_device, str(sample)])
    figures["torch"] = json.loads(done.out.strip().splitlines()[-1])
    run.calibrated = True
    theirs = dict(numpy.load(reference))
    want = theirs["fp32"]
    scale = figures["scale"] = float(numpy.abs(want).max())
    rows = figures["against PyTorch fp32"] = {}
    faults = []
    for name, got in theirs.items():
        if name != "fp32":
            rows[f"PyTorch {name}"] = errors(numpy, got, want[:len(got)], scale)
    for tier in tiers(run):
        output = os.path.join(run.work, f"logits-{tier}.jsonl")
        label(run, tier, run.titles, output, "--scores", "logits", "--input-format", "text")
        got = numpy.array([row["logits"] for row in read_rows(output)], dtype=numpy.float64)
        rows[f"wader {tier}"] = errors(numpy, got, want, scale)
        if tier == "fp32":
            truth = theirs["fp64"]
            rows["wader fp32 against PyTorch fp64 on the CPU"] = errors(
                numpy, got[:len(truth)], truth, scale)
        fault = judge_tier(tier, rows[f"wader {tier}"],
                           rows.get(f"PyTorch {tier}") if not run.rehearsal else None, numpy, got)
        faults += [fault] if fault else []
    for name, row in rows.items():
        run.say(f"{name:44} {describe(row)}")
    if faults:
        raise Fail("; ".join(faults))
    return "; ".join(f"{t} {rows['wader ' + t]['max']:.2g}, {rows['wader ' + t]['flips']} flips"
                     for t in tiers(run)) + f" of {len(want)}"


# ---- bits

def shuffled(run, numbered):
    """The same records in another order, as a file."""
    with open(numbered, encoding="utf-8") as stream:
        lines = stream.readlines()
    random.Random(1).shuffle(lines)
    path = os.path.join(run.work, "bits-shuffled.jsonl")
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    return path


def numbered_titles(run, n):
    path = os.path.join(run.work, "bits.jsonl")
    with open(run.titles, encoding="utf-8") as source, open(path, "w", encoding="utf-8") as stream:
        for i, line in enumerate(source):
            if i == n:
                break
            json.dump({"id": i, "title": line.rstrip("\n")}, stream)
            stream.write("\n")
    return path


def bits(run, figures):
    source = numbered_titles(run, run.sizes["bits_titles"])
    mixed = shuffled(run, source)
    differing, compared = [], 0
    for tier in tiers(run):
        seen = figures[tier] = {}
        runs = [("by itself", source, []), ("again", source, [])]
        runs += [(f"--batch-tokens {n}", source, ["--batch-tokens", str(n)])
                 for n in run.sizes["batch_tokens"]]
        runs += [("shuffled", mixed, [])]
        if len(run.devices) > 1:
            runs += [("one device", source, ["cuda:0"])]
        for what, file, more in runs:
            if run.left() < 5:
                raise Fail(f"time was up after {compared} comparisons, {len(differing)} differing")
            output = os.path.join(run.work, "bits-out.jsonl")
            device = more.pop() if more[:1] == ["cuda:0"] else None
            done = label(run, tier, file, output, "--scores", "logits", *more, device=device)
            seen[what] = {"digest": digest(output, True), "seconds": round(done.seconds, 2)}
            if what != "by itself":
                compared += 1
                if seen[what]["digest"] != seen["by itself"]["digest"]:
                    differing.append(f"{tier} {what}")
        run.say(f"{tier}: {len({s['digest'] for s in seen.values()})} digest of {len(seen)} runs")
    compare_with_cpu(run, figures, source)
    said = f"{compared} runs compared, bits of {run.sizes['bits_titles']} titles' logits"
    if differing:
        raise Fail(f"{said}: other bits with {', '.join(differing)}")
    if figures["cpu"]["max"] > FP32_ALLOWED:
        raise Fail(f"{said}; but cpu and cuda fp32 differ by {figures['cpu']['max']:.2g} of the "
                   "scale")
    return f"{said}: all equal; cpu and cuda fp32: {figures['cpu']['flips']} labels differ"


def compare_with_cpu(run, figures, source):
    import numpy
    head = os.path.join(run.work, "cpu.jsonl")
    with open(source, encoding="utf-8") as lines, open(head, "w", encoding="utf-8") as stream:
        stream.writelines(line for i, line in enumerate(lines) if i < run.sizes["cpu_titles"])
    values = {}
    for device in ("cpu", None):
        output = os.path.join(run.work, f"cpu-{device}.jsonl")
        label(run, "fp32", head, output, "--scores", "logits", device=device)
        values[device] = numpy.array([row["logits"] for row in read_rows(output)])
    scale = float(numpy.abs(values["cpu"]).max())
    figures["cpu"] = errors(numpy, values[None], values["cpu"], scale)
    run.say("cuda fp32 against cpu fp32: " + describe(figures["cpu"]))
