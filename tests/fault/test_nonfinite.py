#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A logit that is no number, or an infinite one, never becomes a label: not with any temperature or
threshold, not where several labels may hold, in no format of rows and in no tier that this
processor has."""
import json
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
from faults import e2e  # noqa: E402

NAN, INF = float("nan"), float("inf")
MULTI = os.path.join(e2e.GOLDEN, "bert_multilabel")
CALIBRATIONS = (None, {"temperature": 0.001}, {"temperature": 1000}, {"thresholds": 0},
                {"thresholds": 1}, {"temperature": 2.5, "thresholds": 0.3})
TITLES = ["gold and oil", "", "health news", "a b c d e f g"]


def spoiled(t, source, tensor, values):
    """A copy of the model with those {element: value} in a tensor of F32."""
    model = e2e.copy_model(t, source)
    path = model + "/model.safetensors"
    tensors = e2e.safetensors_read(path)
    name = next(n for n in tensors if n.endswith(tensor))
    dtype, shape, data = tensors[name]
    assert dtype == "F32", name
    data = bytearray(data)
    for at, value in values.items():
        data[4 * at:4 * at + 4] = struct.pack("<f", value)
    tensors[name] = (dtype, shape, bytes(data))
    e2e.safetensors_write(path, tensors)
    return model


def check(t, what, model, tsv_too, *args):
    """All titles are without a label, and say why."""
    data = e2e.titled(TITLES)
    rows = t.label("--input-format", "jsonl", "--max-bad", "100%", *args, stdin=data, model=model)
    good = rows.code == e2e.OK and rows.rows() == [
        {"id": i + 1, "label": None, "status": "nonfinite_logits"} for i in range(len(TITLES))]
    if not tsv_too:
        return t.check(what, good, "%s\n%s" % (rows, rows.out[:500]))
    tsv = t.label("--input-format", "jsonl", "--output-format", "tsv", "--max-bad", "100%", *args,
                  stdin=data, model=model)
    cells = [line.split("\t") for line in tsv.out.decode().split("\n")[:-1]]
    good = good and len(cells) == len(TITLES) and all(
        set(row[1:-1]) == {""} and row[-1] == "nonfinite_logits" for row in cells)
    return t.check(what, good, "%s\n%s\n%s" % (rows, rows.out[:500], tsv.out[:300]))


def main():
    t = e2e.Suite(__doc__, faults.options)
    output = t.directory() + "/out.jsonl"
    for source, n_labels in ((faults.MODEL, 2), (MULTI, 6)):
        for at, value in ((0, NAN), (n_labels - 1, NAN), (0, INF), (n_labels - 1, -INF)):
            model = spoiled(t, source, "classifier.bias", {at: value})
            for calibration in CALIBRATIONS:
                if calibration is not None:
                    e2e.write(model, "calibration.json", json.dumps(calibration))
                for scores in ("top", "all", "logits") if calibration is None else ("all",):
                    check(t, "%s: logit %d is %s, %s, --scores %s" % (
                        os.path.basename(source), at, value, calibration, scores), model,
                        calibration is None, "--scores", scores)
        for precision in e2e.cpu_precisions():
            check(t, "in %s" % precision, model, True, "--precision", precision)
    result = t.label("-o", output, stdin=b"gold\n" * 3, model=model)
    t.exits("with the limit that --max-bad has", result, e2e.ROWS, "3 of 3")
    t.check("nothing is committed", not os.path.exists(output))
    t.exits("--on-bad fail", t.label("--on-bad", "fail", stdin=b"gold\n", model=model), e2e.INPUT,
            "record 1", "nonfinite_logits")
    audited = t.label("--audit", "10", "--max-bad", "100%", stdin=b"gold\n", model=model)
    t.check("none to audit", audited.code == e2e.OK and "audited" not in audited.err, audited)
    gold = e2e.write(t.directory(), "gold.tsv", "gold\thealth\n")
    model = spoiled(t, faults.MODEL, "classifier.bias", {0: NAN})
    evaluated = t.run("eval", "--model", model, gold)
    t.exits("wader eval does not count it as an answer", evaluated, e2e.INPUT, "record 1")
    # One token's embedding: the titles that have it, and no other.
    model = spoiled(t, faults.MODEL, "position_embeddings.weight", {48 * 5: NAN})
    rows = t.label("--max-bad", "100%", stdin=b"a\na b c d e f\nb\n", model=model).rows()
    t.equal("a title beside it keeps its label", [r.get("status") for r in rows],
            [None, "nonfinite_logits", None])
    t.finish()


if __name__ == "__main__":
    main()
