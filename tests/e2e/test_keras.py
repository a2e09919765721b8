#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tf_model.h5, as TensorFlow wrote it: the same rows as from the same weights in safetensors, in
every layout that occurs; damaged files end in exit 6 with a reason, whatever the damage."""
import os
import random
import resource
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

KERAS = "tf_model.h5"
FIXTURES = sorted(n for n in os.listdir(e2e.GOLDEN)
                  if os.path.exists(os.path.join(e2e.GOLDEN, n, KERAS)))
MAIN = os.path.join(e2e.GOLDEN, "bert_tf4_15")
CARD = ["config.json", "special_tokens_map.json", "tf_model.h5", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt"]  # the files of the card's own directory
PEAK = 200 * 1000 * 1000  # bytes of resident memory that no process may pass
TITLES = b"Why the price of oil and gold is new\n\nScience: how it works\n"


def directory_of(t, source, weights, data):
    """The model in `source` with these weights alone."""
    path = t.directory()
    for name in CARD:
        if name != KERAS:
            shutil.copy(os.path.join(source, name), path)
    e2e.write(path, weights, data)
    return path


def other(source, name):
    return e2e.read(os.path.join(source, "other", name))


def twin_of(t, source):
    return directory_of(t, source, "model.safetensors", other(source, "twin.safetensors"))


def halved_twin_of(t, source):
    """The twin's values rounded to F16, to nearest even as numpy rounds them."""
    path = twin_of(t, source)
    weights, halves = os.path.join(path, "model.safetensors"), {}
    for name, (_, shape, data) in e2e.safetensors_read(weights).items():
        values = struct.unpack("<%df" % (len(data) // 4), data)
        halves[name] = ("F16", shape, struct.pack("<%de" % len(values), *values))
    e2e.safetensors_write(weights, halves)
    return path


def rows_of(t, what, model, *args):
    titles = e2e.titled(case["title"] for case in e2e.expected("bert_tf4_15")["cases"])
    result = t.label("--scores", "logits", "--input-format", "jsonl", *args, stdin=titles,
                     model=model)
    t.exits("%s is labelled" % what, result, e2e.OK)
    return result.out


def test_fixtures(t):
    for fixture in FIXTURES:
        model, wanted = os.path.join(e2e.GOLDEN, fixture), e2e.expected(fixture)
        t.equal("%s: the files that the card has" % fixture,
                [n for n in e2e.listing(model) if n not in ("expected.json", "other")], CARD)
        args = ["--max-length", str(wanted["max_length"])]
        rows = rows_of(t, fixture, model, *args)
        worst, scale, n_labels = 0.0, 0.0, set()
        for row, case in zip(e2e.parse_rows(rows), wanted["cases"]):
            worst = max([worst] + [abs(a - b) for a, b in zip(row["logits"], case["logits"])])
            scale = max([scale] + [abs(x) for x in case["logits"]])
            n_labels.add(row["label"])
        t.check("%s: logits are TensorFlow's in float64 (worst %.1e, scale %.1f), %d labels" %
                (fixture, worst, scale, len(n_labels)),
                worst < 1e-5 * scale and len(n_labels) >= 3)
        twin = twin_of(t, model)
        t.check("%s: the same bytes as from safetensors" % fixture,
                rows == rows_of(t, "its twin", twin, *args))
        both = directory_of(t, model, "model.safetensors", other(model, "twin.safetensors"))
        e2e.write(both, KERAS, b"not looked at")
        t.check("%s: safetensors beside it come first" % fixture,
                rows == rows_of(t, "both", both, *args))


def test_layouts(t):
    wanted = rows_of(t, "the twin", twin_of(t, MAIN))
    for name in ("h5py2.h5", "chunked.h5"):
        rows = rows_of(t, name, directory_of(t, MAIN, KERAS, other(MAIN, name)))
        t.check("%s: the same bytes as from safetensors" % name, rows == wanted)
    rows = rows_of(t, "half.h5", directory_of(t, MAIN, KERAS, other(MAIN, "half.h5")))
    t.check("half.h5: the same bytes as from F16 in safetensors",
            rows == rows_of(t, "its twin", halved_twin_of(t, MAIN)))
    t.check("half.h5: other bytes than from F32", rows != wanted)


def test_refusals(t):
    whole = e2e.read(os.path.join(MAIN, KERAS))
    for what, data, words in (
            ("empty", b"", ["no HDF5 file"]), ("garbage", bytes(b ^ 0xa5 for b in whole),
                                               ["no HDF5 file"]),
            ("an HTML page", b"<!DOCTYPE html><html>not found</html>", ["no HDF5 file"]),
            ("a Git LFS pointer",
             b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", ["LFS"]),
            ("a signature and zeros", whole[:8] + bytes(1000), ["damaged"]),
            ("without its classifier", whole.replace(b"classifier\0", b"classified\0"),
             ["classifier.weight", "is missing"]),
            ("with a layer of another name", whole.replace(b"layer_._0", b"layer_._1"),
             ["layer.0", "is missing"])):
        result = t.label(stdin=TITLES, model=directory_of(t, MAIN, KERAS, data))
        t.exits("%s: refused" % what, result, e2e.UNUSABLE, KERAS, *words)
        t.check("%s: no row" % what, result.out == b"")
    model = directory_of(t, MAIN, KERAS, whole)
    e2e.edit_json(model + "/config.json", hidden_size=14)
    t.exits("of another hidden size", t.label(stdin=TITLES, model=model), e2e.UNUSABLE, KERAS, "12",
            "14")


def outcomes(t, what, cases):
    """Runs wader on each damaged file: how many were refused, gave the same rows, gave others."""
    model = directory_of(t, MAIN, KERAS, e2e.read(os.path.join(MAIN, KERAS)))
    options = ["--scores", "logits", "--threads", "1", "-q"]
    wanted = t.label(*options, stdin=TITLES, model=model).out
    counts, slowest = {"refused": 0, "same": 0, "other": 0}, 0.0
    for where, data in cases:
        # Not written over: a mapping must not change under a process that has yet to end.
        os.remove(os.path.join(model, KERAS))
        e2e.write(model, KERAS, data)
        result = t.label(*options, stdin=TITLES, model=model)
        slowest = max(slowest, result.seconds)
        if result.code == e2e.UNUSABLE and KERAS in result.err and result.out == b"":
            counts["refused"] += 1
        elif result.code == e2e.OK:
            counts["same" if result.out == wanted else "other"] += 1
        elif result.code == e2e.ROWS and b"nonfinite_logits" in result.out:
            counts["other"] += 1
        else:
            t.check("%s, %s: exit 6 or 0" % (what, where), False, result)
    total = sum(counts.values())
    t.check("%s: %d files, %s, slowest %.1f s" % (what, total, counts, slowest),
            total > 20 and slowest < 20)
    return counts


def test_truncated(t):
    for name in (KERAS, "other/chunked.h5"):
        whole = e2e.read(os.path.join(MAIN, name))
        rest = range(100, len(whole) - 20, 997 if t.short else 397)
        lengths = [*range(0, 100), *rest, *range(len(whole) - 20, len(whole))]
        counts = outcomes(t, "%s cut short" % name, ((n, whole[:n]) for n in lengths))
        t.equal("%s cut short: all refused" % name, counts["refused"], len(lengths))


def data_of(whole):
    """Which bytes of a contiguous file are a weight's: those found in the twin."""
    is_data = bytearray(len(whole))
    twin = e2e.safetensors_read(os.path.join(MAIN, "other", "twin.safetensors"))
    for name, (_, shape, data) in twin.items():
        places = [whole.find(data)]
        if len(shape) == 2:
            rows, columns = shape
            elements = [data[i:i + 4] for i in range(0, len(data), 4)]
            turned = b"".join(elements[r * columns + c]
                              for c in range(columns) for r in range(rows))
            places.append(whole.find(turned))
        at = max(places)
        assert at > 0, name
        is_data[at:at + len(data)] = b"\1" * len(data)
    return is_data


def test_flipped(t):
    """One bit in what is not a weight. The format has no checksums: where the address of a weight
    leads to other bytes of the file that belong to no weight, nobody can tell (unless those bytes
    are no numbers: then the rows say so, and are bad); that is rare."""
    whole = e2e.read(os.path.join(MAIN, KERAS))
    is_data = data_of(whole)
    places = [i for i in range(len(whole)) if not is_data[i]]
    t.check("weights found in the file (%d bytes, the rest %d)" %
            (len(whole) - len(places), len(places)), len(whole) - len(places) > 20000)
    # Zeros between the structures change nothing: half of the flips are where something stands.
    filled = [i for i in places if whole[i] != 0]
    rng = random.Random(t.seed)
    n = 150 if t.short else 600

    def flipped():
        for k in range(n):
            at, bit = rng.choice(filled if k % 2 else places), rng.randrange(8)
            yield "bit %d of byte %d" % (bit, at), (
                whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1:])
    counts = outcomes(t, "one bit flipped, seed %d" % t.seed, flipped())
    t.check("nearly all are refused or change nothing", counts["other"] <= n // 50)
    t.check("both occur", counts["refused"] > n // 20 and counts["same"] > n // 20)


def test_flipped_chunks(t):
    """Chunked and compressed: everywhere, the weights included."""
    whole = other(MAIN, "chunked.h5")
    rng = random.Random(t.seed + 1)

    def flipped():
        for _ in range(50 if t.short else 200):
            at, bit = rng.randrange(len(whole)), rng.randrange(8)
            yield "bit %d of byte %d" % (bit, at), (
                whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1:])
    outcomes(t, "chunked, one bit flipped anywhere, seed %d" % (t.seed + 1), flipped())


def without_the_library(t):
    """A build without HDF5 says so, and what to do. Whether this is one."""
    result = t.label(stdin=TITLES, model=MAIN)
    if "without HDF5" not in result.err:
        return False
    t.exits("built without HDF5", result, e2e.UNUSABLE, KERAS, "libhdf5-dev", "from_tf=True")
    rows_of(t, "safetensors beside tf_model.h5", twin_of(t, MAIN))
    return True


def main():
    t = e2e.Suite(__doc__)
    if without_the_library(t):
        t.finish()
    for test in (test_fixtures, test_layouts, test_refusals, test_truncated, test_flipped,
                 test_flipped_chunks):
        test(t)
    if not any(mark in e2e.read(t.wader) for mark in (b"__asan_init", b"__tsan_init")):
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        t.check("no process, child or grandchild, took more than %.0f MB (%.0f MB)" %
                (PEAK / 1e6, peak / 1e6), peak < PEAK)
    t.finish()


if __name__ == "__main__":
    main()
