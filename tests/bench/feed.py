#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How many GPUs a host keeps busy: the whole program, from gzip to gzip, on devices that compute
nothing and whose passes take as long as a model of them says (bench_gpu_model), or as was measured.

    tests/bench/feed.py --build build/release [--gpu H200 --tier bf16] [--pass-us N] [--devices 1,2]

Reading, tokenizing, packing, copies, the devices' threads and writing are real, the devices are
not: threads that wait (tests/bench/timed_devices.c). busy: the share of the time between the first
pass and the last one's end in which devices were at one. Titles are made up of words of this
project's own titles, none twice, so none is saved. Outputs are compared: the same bytes from any
number of devices.
"""
import argparse
import gzip
import hashlib
import json
import os
import pathlib
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def make_catalog(path, n):
    text = " ".join(p.read_text("utf-8") for p in sorted((ROOT / "data" / "titles").glob("*.tsv")))
    words = sorted({word for word in text.split() if word.isascii() and word.isalpha()})
    chance = random.Random(1)
    with gzip.open(path, "wt", 6, encoding="utf-8") as file:
        for i in range(n):
            title = " ".join(chance.choices(words, k=8))
            file.write('{"id":"v%d","title":"%s %d"}\n' % (i, title, i))


def modelled(args):
    done = subprocess.run([args.build / "bench_gpu_model", "--gpu", args.gpu, "--tier", args.tier,
                           "--json", "1"], check=True, capture_output=True, text=True)
    case, = json.loads(done.stdout)["cases"]
    # cuda/README.md: rows are 128 times a third of the multiprocessors, times 8.
    return case["rows"], args.pass_us or round(1e3 * case["batch_ms"]), case["rows"] // 1024 * 3


def run(args, n_devices, pass_us, multiprocessors, source, folder):
    output, report = folder / f"{n_devices}.jsonl.gz", folder / "report"
    env = dict(os.environ, TIMED_DEVICES=str(n_devices), TIMED_PASS_US=str(pass_us),
               TIMED_MULTIPROCESSORS=str(multiprocessors), TIMED_REPORT=str(report))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([args.build / "wader_timed", "label", "--model", args.model, "--device",
                           "cuda", "--force", "-o", output, source], env=env, capture_output=True,
                          text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0 or "timed devices:" in done.stderr:
        sys.exit(f"{n_devices} devices: exit {done.returncode}: {done.stderr}")
    devices = [[float(word) for word in line.split()] for line in report.read_text().splitlines()]
    window = max(d[3] for d in devices) - min(d[2] for d in devices)
    return {"devices": n_devices, "passes": int(sum(d[0] for d in devices)), "seconds": window,
            "titles_per_s": args.titles / window,
            "busy": sum(d[1] for d in devices) / (n_devices * window),
            "cores": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / window,
            "sha256": hashlib.sha256(gzip.decompress(output.read_bytes())).hexdigest()}


def measured(args, rows, pass_us, multiprocessors):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        make_catalog(folder / "catalog.jsonl.gz", args.titles)
        return [run(args, n, pass_us, multiprocessors, folder / "catalog.jsonl.gz", folder)
                for n in args.devices]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--model", default=str(ROOT / "data" / "model"))
    parser.add_argument("--gpu", default="H200")
    parser.add_argument("--tier", default="bf16")
    parser.add_argument("--pass-us", type=int, help="of a batch, in place of the model's figure")
    parser.add_argument("--titles", type=int, default=1000000)
    parser.add_argument("--devices", default="1,2,4,8")
    args = parser.parse_args()
    args.devices = [int(word) for word in args.devices.split(",")]
    rows, pass_us, multiprocessors = modelled(args)
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
          f"{time.strftime('%Y-%m-%d')}: {' '.join(sys.argv)}")
    print(f"devices that take {pass_us} us for {rows} rows, as {args.gpu} in {args.tier} "
          + ("was said to" if args.pass_us else "is MODELLED to") + "; they compute nothing")
    print("devices   passes   titles/s   devices busy   cores")
    found = measured(args, rows, pass_us, multiprocessors)
    for one in found:
        print("%7d %8d %10s %12.1f %% %7.2f" % (one["devices"], one["passes"],
              f"{one['titles_per_s']:,.0f}", 100 * one["busy"], one["cores"]), flush=True)
    if len({one["sha256"] for one in found}) != 1:
        sys.exit("outputs differ")
    # Where there are more batches than devices, each had some, and none did two at a time.
    if not all(0 < one["busy"] <= 1 + 1e-9 and one["passes"] >= one["devices"] for one in found):
        sys.exit("devices that did nothing, or more than they can")
    return 0


if __name__ == "__main__":
    sys.exit(main())
