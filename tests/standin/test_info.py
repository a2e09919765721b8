#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader info` on the stand-in: the devices, precision and batches that `label` takes, the memory
it allocates, and nothing allocated to find out."""
import json
import re

import rig
from rig import e2e


def info(t, model, *args, **standin):
    """A run of `wader info` as JSON; .value is what it says."""
    path = t.directory() + "/report.json"
    env = {"XDG_CACHE_HOME": t.cache, "STANDIN_REPORT": path}
    env.update({"STANDIN_" + k: str(v) for k, v in standin.items()})
    result = t.run("info", "--model", model, "--json", *args, env=env)
    result.value = json.loads(result.out) if result.out else {}
    result.screen = t.run("info", "--model", model, *args, env=env).out.decode()
    with open(path, encoding="utf-8") as file:
        result.report = json.load(file)
    return result


def check_same(t, what, model, *args, device="auto", **standin):
    """What info says, label does."""
    told = info(t, model, "--device", device, *args, **standin)
    did = t.cuda("-v", *args, model=model, device=device, stdin=b"gold\n", standin=standin)
    if not t.check("%s: both run" % what, (told.code, did.code) == (e2e.OK, e2e.OK),
                   "%s\n%s" % (told, did)):
        return told
    value = told.value["device"]
    flat = " ".join(told.screen.split())
    if device == "auto":
        line, why = re.search(r"device: (.*?) \((.*)\)\n", did.err).groups()
        t.equal("%s: device" % what, "%s, %s, %s" % (value["device"], value["precision"],
                                                     value["workers"]), line)
        t.check("%s: on the screen, and why" % what, "device %s;" % line in flat and
                "why %s memory" % why in flat, told.screen)
    tokens, n_slots = re.search(r"batches of (\d+) tokens, (\d+) in flight", did.err).groups()
    t.equal("%s: batches" % what, value["batch_tokens"], int(tokens))
    if value["device"] == "cuda":
        t.check("%s: batches on the screen" % what, "batches of {:,} tokens, {} in flight".format(
            int(tokens), n_slots) in flat, told.screen)
        calls = told.report.get("calls", {})
        t.check("%s: nothing is allocated, copied or launched" % what,
                not any(calls.get(k, 0) for k in ("alloc", "pinned", "copy", "launch", "product")),
                calls)
    return told


def test_same(t, model):
    told = check_same(t, "one device", model)
    memory = told.value["device"]["memory"]
    t.check("memory: weights and more, of what is free",
            0 < memory["weights_nbytes"] < memory["device_nbytes"] < memory["free_nbytes"] <=
            256 << 20, memory)
    t.check("memory: pinned", memory["pinned_nbytes"] > 0)
    two = check_same(t, "two devices", model, DEVICES=2)
    t.equal("memory on each is the same", two.value["device"]["memory"]["device_nbytes"],
            memory["device_nbytes"])
    check_same(t, "mixed devices", model, DEVICES=3, MIXED=1)
    check_same(t, "cuda:1", model, device="cuda:1", DEVICES=2)
    check_same(t, "compute capability 7.5", model, CC="7.5")
    check_same(t, "7.0 is too old", model, CC="7.0")
    check_same(t, "fp32", model, "--precision", "fp32")
    check_same(t, "--batch-tokens 300", model, "--batch-tokens", "300")
    check_same(t, "little memory", model, MEMORY=40)
    check_same(t, "too little memory", model, MEMORY=33)
    check_same(t, "no device", model, DEVICES=0)


def test_failures(t, model):
    for what, args, code, words, standin in (
            ("no device", ("--device", "cuda"), e2e.UNUSABLE, ["no NVIDIA driver", "580"],
             {"DEVICES": 0}),
            ("a device that is not there", ("--device", "cuda:2"), e2e.UNUSABLE,
             ["no CUDA device 2"], {"DEVICES": 2}),
            ("bf16 on 7.5", ("--device", "cuda", "--precision", "bf16"), e2e.UNUSABLE,
             ["--precision fp16"], {"CC": "7.5"}),
            ("a batch beyond the memory", ("--device", "cuda", "--batch-tokens", "9999999"),
             e2e.USAGE, ["the most that fits"], {}),
            ("a device that fails", (), e2e.UNUSABLE, ["CUDA device 0"], {"FAIL": "stream:1"})):
        told = info(t, model, *args, **standin)
        did = t.cuda(*(args[2:]), model=model, device=args[1] if args else "auto", stdin=b"gold\n",
                     standin=standin)
        t.exits(what, told, code, *words)
        t.equal("%s: as label" % what, (told.code, told.err.split("\n")[-2]),
                (did.code, did.err.split("\n")[-2]))
        t.check("%s: the rest is told" % what, told.value["weights"] is not None and
                told.value["device"] is None and told.value["error"] in told.err, told.value)


def main():
    t = rig.Suite(__doc__)
    model = rig.model(t)
    test_same(t, model)
    test_failures(t, model)
    t.finish()


if __name__ == "__main__":
    main()
