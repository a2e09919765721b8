#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader bench --device cuda` on the stand-in: it counts what a device would do, and accounts for
copies and each kind of kernel. Its times are the emulator's and say nothing of any GPU."""
import json
import shutil

import rig
from rig import e2e
import bench_figures

# Beside the CPU's: copies.
WORKS = ["embed", "qkv", "attention", "attention_output", "norm", "intermediate", "output", "head",
         "copy"]


def bench(t, *args, model, devices=1):
    return t.run("bench", "--model", model, "--device", "cuda", "--seconds", "1", "--repeats", "2",
                 "--titles", "60", "--lengths", "short", "--batch-tokens", "64", "--max-length",
                 "16", *args, timeout=300,
                 env={"XDG_CACHE_HOME": t.cache, "STANDIN_DEVICES": str(devices)})


def test_figures(t, model):
    for devices in (1, 2):
        for precision in rig.TIERS:
            what = "%s, %d devices" % (precision, devices)
            result = bench(t, "--precision", precision, "--json", model=model, devices=devices)
            if not t.check("%s: exit 0" % what, result.code == 0, result):
                continue
            value = json.loads(result.out)
            t.equal("%s: what it is of" % what,
                    (value["device"], value["precision"], value["workers"], value["slots"]),
                    ("cuda", precision, "%d GPU%s" % (devices, "s" if devices > 1 else ""),
                     4 * devices))
            stages = bench_figures.check_json(t, what, value)
            t.equal("%s: devices encode" % what, stages["encode"]["threads"], devices)
            encoder, gemm = value["encoder"], value["ceilings"]["gemm"]
            t.check("%s: a ceiling of all devices' products, of as many rows as a batch" % what,
                    bench_figures.near(gemm["flops_per_s_all"], devices * gemm["flops_per_s"]) and
                    gemm["rows"] == encoder["token_tile"], gemm)
            t.equal("%s: where the time goes" % what, [w["name"] for w in encoder["works"]], WORKS)
            t.check("%s: whole batches are computed" % what,
                    encoder["token_rows_computed"] % encoder["token_tile"] == 0 and
                    encoder["token_rows"] < encoder["token_rows_computed"] and
                    0 < encoder["padding_efficiency"] < 1, encoder)
            t.check("%s: cores for each GPU" % what, value["host"]["cores_per_gpu"] > 0)


def test_text_and_picture(t, model):
    path = t.directory() + "/a.svg"
    result = bench(t, "--svg", path, model=model, devices=2)
    text = result.out.decode()
    words = " ".join(text.split())
    t.check("text", result.code == 0 and "copies to the device and back" in words and
            "each GPU needs" in words and "of the products' ceiling" in words and
            "(2 GPUs: " in words and max(map(len, text.split("\n"))) <= 100, text)
    picture = e2e.read(path).decode()
    bench_figures.check_text(t, "text and picture", text, picture)
    t.check("a picture of the stages alone: no memory of a device is measured",
            "Stages, each alone" in picture and
            "under the roof" not in picture)


def main():
    t = rig.Suite(__doc__)
    model = rig.model(t, hidden=64, heads=2, layers=2)
    test_figures(t, model)
    test_text_and_picture(t, model)
    shutil.rmtree(t.cache)
    t.finish()


if __name__ == "__main__":
    main()
