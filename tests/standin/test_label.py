#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader label --device cuda` from end to end on the stand-in: the CPU's labels, its logits within
the tier's tolerance, and the same bytes for every number of devices, batch size and order in which
the devices work."""
import os
import random

import rig
from rig import e2e

ARGS = ("--input-format", "jsonl", "--scores", "logits")


def worst(got, wanted):
    """The largest difference of two lists of rows' logits, over the scale of the wanted ones."""
    scale = max(abs(x) for row in wanted for x in row["logits"])
    return max(abs(a - b) for g, w in zip(got, wanted)
               for a, b in zip(g["logits"], w["logits"])) / scale, scale


def check_tier(t, what, precision, got, wanted):
    """Labels may differ only where the margin is within what logits may differ by."""
    t.equal("%s: ids" % what, [r["id"] for r in got], [r["id"] for r in wanted])
    apart, scale = worst(got, wanted)
    t.check("%s: logits within %g of their scale" % (what, rig.TOLERANCE[precision]),
            apart <= rig.TOLERANCE[precision], "apart: %g" % apart)
    print("      worst difference %.2g of the scale" % apart)
    wrong = []
    for g, w in zip(got, wanted):
        best, second = sorted(w["logits"], reverse=True)[:2]
        if g["label"] != w["label"] and best - second > 2 * rig.TOLERANCE[precision] * scale:
            wrong.append((w, g))
    t.check("%s: labels" % what, not wrong, wrong[:3])


def test_tiers(t, models, data, precisions=rig.TIERS):
    for name, model in models:
        wanted = t.label("--device", "cpu", *ARGS, model=model, stdin=data).rows()
        t.check("the CPU gives several labels", len({r["label"] for r in wanted}) > 1)
        for precision in precisions:
            result = t.cuda(*ARGS, "--precision", precision, "--batch-tokens", "200", model=model,
                            stdin=data)
            what = "%s, %s" % (precision, name)
            if t.check("%s: exit 0" % what, result.code == 0, result):
                check_tier(t, what, precision, result.rows(), wanted)
                t.check("%s: it ran on the stand-in" % what,
                        result.report.get("launches", 0) > 0, result.report)


def test_same_bytes(t, model, lines, settings, precisions=rig.TIERS):
    """In one precision each time: all of them over the runs of this test."""
    data = b"".join(lines)
    for precision in precisions:
        args = (*ARGS, "--precision", precision)
        first = t.cuda(*args, model=model, stdin=data)
        t.check("%s: exit 0" % precision, first.code == 0, first)
        for devices, tokens, seed in settings:
            result = t.cuda(*args, "--batch-tokens", str(tokens), model=model, stdin=data,
                            standin={"DEVICES": devices, "SEED": seed})
            t.check("%s, %d devices, --batch-tokens %d, seed %d: the same bytes" %
                    (precision, devices, tokens, seed),
                    result.code == 0 and result.out == first.out, result)
            t.equal("all devices worked", result.report.get("devices_used"), devices)
        rng = random.Random(t.seed)
        some = rng.sample(range(len(lines)), len(lines) // 2)
        result = t.cuda(*args, model=model, stdin=b"".join(lines[i] for i in some))
        rows = first.out.splitlines()
        t.check("%s: other neighbours, the same rows" % precision,
                result.out.splitlines() == [rows[i] for i in some], result)


def test_fp8(t, data, lines, settings):
    """It takes a layer between the first and the last; its record says so."""
    model = rig.model(t, hidden=64, heads=2, layers=3 if t.short else 5, labels=6)
    test_tiers(t, [("%d layers" % (3 if t.short else 5), model)], data, ("fp8",))
    test_same_bytes(t, model, lines, settings[-2:], ("fp8",))
    path = os.path.join(t.directory(), "out.jsonl")
    source = e2e.write(os.path.dirname(path), "titles.jsonl", data)
    result = t.cuda("--precision", "fp8", "-o", path, source, model=model)
    t.exits("fp8 to a file", result, e2e.OK)
    record = e2e.json.loads(e2e.read(path + ".meta.json"))
    t.equal("fp8 in its record", record["settings"]["precision"], "fp8")


def test_file(t, model, data):
    """An output file, its record, and nothing to do the second time."""
    path = t.directory()
    source = e2e.write(path, "titles.jsonl.gz", e2e.gzip_bytes(data))
    args = ("-o", path + "/out.jsonl.gz", source)
    result = t.cuda(*args, model=model, standin={"DEVICES": 2})
    t.exits("to a file", result, e2e.OK, "2 GPUs")
    record = e2e.json.loads(e2e.read(path + "/out.jsonl.gz.meta.json"))
    t.equal("its record", (record["settings"]["device"], record["settings"]["precision"],
                           "2 x" in record["hardware"]), ("cuda", "bf16", True))
    t.exits("again", t.cuda(*args, model=model), e2e.OK, "done already")
    t.exits("again, on the CPU", t.run("label", "--model", model, "--device", "cpu", *args),
            e2e.OK, "labelling anew")


def main():
    t = rig.Suite(__doc__)
    titles = e2e.random_titles(t.seed, 40 if t.short else 150)
    data = e2e.titled(titles)
    lines = data.splitlines(keepends=True)
    shapes = [dict(hidden=64, heads=2, layers=2)]
    settings = [(2, 70, 3)]
    if not t.short:
        shapes += [dict(hidden=64, heads=1, layers=3, feed=248, labels=8),
                   dict(hidden=128, heads=2, layers=1, feed=64, labels=2)]
        settings = [(1, 48, 2), (1, 129, 3), (2, 48, 4), (2, 300, 5), (4, 100, 6), (4, 1024, 7)]
    models = [(" ".join("%s %d" % s for s in sorted(shape.items())), rig.model(t, **shape))
              for shape in shapes]
    # Another head, no token types.
    models.append(("DistilBERT", os.path.join(e2e.GOLDEN, "distilbert_v5")))
    test_tiers(t, models, data)
    model = models[0][1]
    test_same_bytes(t, model, lines, settings)
    test_fp8(t, data, lines, settings)
    test_file(t, model, data)
    t.finish()


if __name__ == "__main__":
    main()
