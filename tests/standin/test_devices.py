#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a run takes of the devices there are, on the stand-in: --device, --precision, memory,
cublasLt, and what it says about it."""
import os
import re

import rig
from rig import e2e

ARGS = ("--scores", "logits")


def test_choice(t, model, data):
    auto = t.cuda(*ARGS, model=model, stdin=data, device="auto", standin={"DEVICES": 2})
    t.exits("auto takes the GPUs and says so", auto, e2e.OK, "device: cuda, bf16, 2 GPUs")
    t.equal("auto uses both", auto.report.get("devices_used"), 2)
    one = t.cuda(*ARGS, model=model, stdin=data, device="cuda:1", standin={"DEVICES": 3})
    t.equal("cuda:1 is one device, and the same bytes", (one.code, one.out,
                                                         one.report.get("devices_used")),
            (e2e.OK, auto.out, 1))
    two = t.cuda(*ARGS, model=model, stdin=data, device="cuda:3,1", standin={"DEVICES": 4})
    t.equal("cuda:3,1", (two.code, two.out, two.report.get("devices_used")), (e2e.OK, auto.out, 2))
    t.exits("a device that is not there", t.cuda(model=model, device="cuda:2", stdin=data,
                                                 standin={"DEVICES": 2}),
            e2e.UNUSABLE, "no CUDA device 2", "sees 2")
    mixed = {"DEVICES": 3, "MIXED": 1}
    result = t.cuda(*ARGS, model=model, stdin=data, standin=mixed)
    t.exits("cuda takes those of the first one's kind", result, e2e.OK, "2 of 3 CUDA devices")
    t.equal("and their bytes", result.out, auto.out)
    t.exits("two kinds by name", t.cuda(model=model, device="cuda:0,2", stdin=data, standin=mixed),
            e2e.UNUSABLE, "two kinds")
    verbose = t.cuda("-v", "--batch-tokens", "300", model=model, stdin=data)
    t.exits("-v", verbose, e2e.OK, "batches of 300 tokens, 4 in flight")


def test_no_device(t, model, data):
    wanted = t.label("--device", "cpu", *ARGS, model=model, stdin=data)
    none = {"DEVICES": 0}
    result = t.cuda(*ARGS, model=model, stdin=data, device="auto", standin=none)
    t.exits("auto without a driver", result, e2e.OK, "device: cpu, fp32", "no NVIDIA driver")
    t.equal("gives the CPU's bytes", result.out, wanted.out)
    result = t.cuda(model=model, stdin=data, standin=none)
    t.exits("cuda without a driver", result, e2e.UNUSABLE, "no NVIDIA driver", "--device cpu",
            "580", "libcublasLt.so.13")


def test_precision(t, model, data):
    for cc, wanted in (("7.5", "fp16"), ("8.0", "bf16"), ("8.9", "bf16"), ("12.0", "bf16")):
        result = t.cuda(model=model, stdin=data, device="auto", standin={"CC": cc})
        t.exits("compute capability %s" % cc, result, e2e.OK, "device: cuda, %s" % wanted)
    result = t.cuda("--precision", "bf16", model=model, stdin=data, standin={"CC": "7.5"})
    t.exits("bf16 on 7.5", result, e2e.UNUSABLE, "7.5", "no bf16", "--precision fp16")
    result = t.cuda("--precision", "bf16", model=model, stdin=data, device="auto",
                    standin={"CC": "7.5"})
    if "bf16" in e2e.cpu_precisions():
        t.exits("bf16 on 7.5 or a CPU", result, e2e.OK, "device: cpu, bf16", "no bf16")
    else:
        t.exits("bf16 on 7.5 or a CPU", result, e2e.UNUSABLE, "no bf16", "on this processor")
    result = t.cuda(model=model, stdin=data, device="auto", standin={"CC": "7.0"})
    t.exits("auto on 7.0", result, e2e.OK, "device: cpu", "7.0")
    t.exits("cuda on 7.0", t.cuda(model=model, stdin=data, standin={"CC": "7.0"}), e2e.UNUSABLE,
            "7.0", "7.5")
    deep = rig.model(t, layers=3)
    for cc in ("7.5", "8.6"):
        result = t.cuda("--precision", "fp8", model=deep, stdin=data, standin={"CC": cc})
        t.exits("fp8 on %s" % cc, result, e2e.UNUSABLE, cc, "no fp8", "8.9", "--precision bf16")
    result = t.cuda("--precision", "fp8", model=model, stdin=data)
    t.exits("fp8 of two layers", result, e2e.UNUSABLE, "first and the last", "has 2")
    for cc in ("8.9", "12.0"):
        result = t.cuda("--precision", "fp8", model=deep, stdin=data, standin={"CC": cc})
        t.exits("fp8 on %s" % cc, result, e2e.OK)
    result = t.cuda("--precision", "fp8", model=deep, stdin=data, device="cpu")
    t.exits("fp8 on a CPU", result, e2e.UNUSABLE, "--precision fp8", "on the CPU")
    result = t.cuda("--precision", "int8", model=model, stdin=data)
    t.exits("int8 on a GPU", result, e2e.UNUSABLE, "int8")
    result = t.cuda("--precision", "int8", model=model, stdin=data, device="auto")
    if "int8" in e2e.cpu_precisions():
        t.exits("int8 on a GPU or a CPU", result, e2e.OK, "device: cpu, int8", "on a GPU")
    else:
        t.exits("int8 on a GPU or a CPU", result, e2e.UNUSABLE, "on a GPU", "on this processor")


def test_shapes(t, data):
    for what, words in ((dict(hidden=48, heads=2), ("32 or 64", "24")),
                        (dict(hidden=64, heads=1, feed=100), ("multiple of 8", "100")),
                        (dict(hidden=32, heads=1), ("64 to 1024", "32"))):
        model = rig.model(t, **what)
        t.exits("cuda: %s" % what, t.cuda(model=model, stdin=data), e2e.UNUSABLE, *words)
        t.exits("auto: %s" % what, t.cuda(model=model, stdin=data, device="auto"), e2e.OK,
                "device: cpu", *words)


def test_memory(t, data):
    """Memory in MiB; 32 of each device's are the products' workspace."""
    model = rig.model(t, positions=48)
    wanted = t.cuda(*ARGS, model=model, stdin=data)
    t.exits("enough", wanted, e2e.OK)
    small = {"MEMORY": 48}
    result = t.cuda("--batch-tokens", "900000", model=model, stdin=data, standin=small)
    t.exits("more tokens than fit", result, e2e.USAGE, "--batch-tokens 900000", "most that fits is")
    most = re.search(r"most that fits is (\d+)", result.err)
    if most:
        result = t.cuda(*ARGS, "-v", "--batch-tokens", most.group(1), model=model, stdin=data,
                        standin=small)
        t.exits("the most that fits", result, e2e.OK, "batches of %s tokens" % most.group(1))
        t.equal("and its bytes", result.out, wanted.out)
        most_tokens = int(most.group(1))
        # What cudaMemGetInfo tells is too much: the batch is halved until it fits.
        result = t.cuda(*ARGS, "-v", "--batch-tokens", str(8 * most_tokens), model=model,
                        stdin=data, standin=dict(small, MEMORY_TOLD=4096))
        got = re.search(r"batches of (\d+) tokens", result.err)
        t.check("less memory than was told: a smaller batch",
                result.code == e2e.OK and got and int(got.group(1)) < 8 * most_tokens, result)
        t.equal("and its bytes", result.out, wanted.out)
    tiny = {"MEMORY": 30}
    t.exits("too little for any batch", t.cuda(model=model, stdin=data, standin=tiny),
            e2e.UNUSABLE, "30 MiB", "too little")
    t.exits("too little, auto", t.cuda(model=model, stdin=data, device="auto", standin=tiny),
            e2e.OK, "device: cpu", "too little")
    told = dict(tiny, MEMORY_TOLD=4096)
    t.exits("too little, but told to be enough", t.cuda(model=model, stdin=data, standin=told),
            e2e.UNUSABLE, "smallest batch")


def test_library(t, model, data):
    old = {"STANDIN_LT_VERSION": "120900"}
    result = t.cuda(model=model, stdin=data, lt=old)
    t.exits("another cublasLt", result, e2e.UNUSABLE, "libcublasLt.so.13", "120900")
    result = t.cuda(model=model, stdin=data, lt=old, device="auto")
    t.exits("another cublasLt, auto", result, e2e.OK, "device: cpu", "libcublasLt.so.13")


def test_cache(t, model, data):
    """Algorithms are kept, and a cache that is damaged, foreign or unwritable changes nothing."""
    cache = t.directory()
    first = t.cuda(*ARGS, model=model, stdin=data, cache=cache)
    t.exits("with an empty cache", first, e2e.OK)
    (name,) = os.listdir(os.path.join(cache, "wader")) or ("none",)
    path = os.path.join(cache, "wader", name)
    kept = e2e.read(path)
    second = t.cuda(*ARGS, model=model, stdin=data, cache=cache)
    t.equal("with it: the same bytes", second.out, first.out)
    t.check("and fewer questions to the library",
            second.report["calls"]["choose"] < first.report["calls"]["choose"],
            (first.report, second.report))
    for what, bytes_ in (("cut", kept[:-9]), ("flipped", kept[:200] + b"0" + kept[201:]),
                         ("empty", b""), ("garbage", os.urandom(500))):
        e2e.write(os.path.dirname(path), name, bytes_)
        result = t.cuda(*ARGS, model=model, stdin=data, cache=cache)
        t.equal("a cache that is %s" % what, (result.code, result.out), (e2e.OK, first.out))
        t.equal("is mended", e2e.read(path), kept)
    result = t.cuda(*ARGS, model=model, stdin=data, cache="/proc/nowhere")
    t.equal("a cache that cannot be written", (result.code, result.out), (e2e.OK, first.out))


def main():
    t = rig.Suite(__doc__)
    data = "".join(title.replace("\n", " ") + "\n" for title in
                   e2e.random_titles(t.seed, 30)).encode("utf-8", "replace")
    model = rig.model(t)
    test_choice(t, model, data)
    test_no_device(t, model, data)
    test_precision(t, model, data)
    test_shapes(t, data)
    test_memory(t, data)
    test_library(t, model, data)
    test_cache(t, model, data)
    t.finish()


if __name__ == "__main__":
    main()
