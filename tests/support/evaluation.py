# SPDX-License-Identifier: Apache-2.0
"""What the tests of `wader eval` share: titles whose labels are known, models with other labels,
and every figure anew, in plain Python."""
import math
import os
import random
import struct

import e2e

DEMO = os.path.join(e2e.ROOT, "data", "model")
HELDOUT = os.path.join(e2e.ROOT, "data", "sample", "heldout.tsv")
SUBJECTS = ["art", "personal development", "world", "health", "science", "business", "humanities",
            "technology"]
def heldout():
    """(title, subject) of every held-out title."""
    lines = e2e.read(HELDOUT).decode().splitlines()
    return [tuple(line.split("\t")[1:]) for line in lines[1:]]


def run_eval(t, *args, model=DEMO, **kwargs):
    return t.run("eval", "-q", "--device", "cpu", "--model", model, *args, **kwargs)


def with_labels(t, names, multi_label=False):
    """The demo model with other label names, rows of its classifier repeated with some noise."""
    path, rng = e2e.copy_model(t, DEMO), random.Random(3)
    weights = os.path.join(path, "model.safetensors")
    tensors = e2e.safetensors_read(weights)
    for name in ("classifier.weight", "classifier.bias"):
        dtype, shape, data = tensors[name]
        letter = {"F32": "f", "F16": "e"}[dtype]
        values = struct.unpack("<%d%s" % (math.prod(shape), letter), data)
        width = len(values) // shape[0]
        rows = [values[k % shape[0] * width:][:width] for k in range(len(names))]
        out = [x * rng.uniform(0.6, 1) for row in rows for x in row]
        tensors[name] = (dtype, [len(names)] + shape[1:],
                         struct.pack("<%d%s" % (len(out), letter), *out))
    e2e.safetensors_write(weights, tensors)
    e2e.edit_json(os.path.join(path, "config.json"),
                  id2label={str(k): name for k, name in enumerate(names)},
                  label2id={name: k for k, name in enumerate(names)},
                  problem_type="multi_label_classification" if multi_label else None)
    return path


def logits_of(t, titles, model=DEMO):
    result = t.label("--device", "cpu", "--scores", "logits", "--input-format", "jsonl", "-q",
                     model=model, stdin=e2e.titled(titles))
    return [row["logits"] for row in result.rows()]


def tsv(rows):
    return "".join("\t".join(row) + "\n" for row in rows).encode()


# ---- figures

BINS = 15
Z = 1.959963984540054


def ratio(part, whole):
    return part / whole if whole else None


def log_sum(values):
    top = max(values)
    return top + math.log(sum(math.exp(x - top) for x in values))


def one_label_nll(logits, gold, temperature):
    rows = [[z / temperature for z in row] for row in logits]
    return sum(log_sum(row) - row[k] for row, k in zip(rows, gold)) / len(rows)


def multi_label_nll(logits, gold, temperature):
    terms = [log_sum([0, -z / temperature if member else z / temperature])
             for row, members in zip(logits, gold) for z, member in zip(row, members)]
    return sum(terms) / len(terms)


def one_label_guesses(logits, gold, temperature):
    """(probability, right) of each title's label."""
    out = []
    for row, k in zip(logits, gold):
        top = row.index(max(row))
        values = [z / temperature for z in row]
        out.append((math.exp(values[top] - log_sum(values)), top == k))
    return out


def multi_label_guesses(logits, gold, temperature):
    return [(1 / (1 + math.exp(-z / temperature)), bool(member))
            for row, members in zip(logits, gold) for z, member in zip(row, members)]


def bins_of(guesses):
    bins = [[] for _ in range(BINS)]
    for p, right in guesses:
        bins[max(math.ceil(p * BINS) - 1, 0)].append((p, right))
    return bins


def calibration_error(guesses):
    return sum(abs(sum(p - right for p, right in b)) for b in bins_of(guesses)) / len(guesses)


def interval(right, n):
    """Wilson's, by solving (p - share)^2 = z^2 p (1 - p) / n for p."""
    share = right / n
    a, b, c = 1 + Z * Z / n, -2 * share - Z * Z / n, share * share
    root = math.sqrt(b * b - 4 * a * c)
    return [max((-b - root) / (2 * a), 0), min((-b + root) / (2 * a), 1)]


def near(a, b, tolerance=2e-7):
    return a is b is None or (a is not None and b is not None and abs(a - b) <= tolerance)


def check_labels(t, what, got, counts, names):
    """counts: {name: (support, predicted, right)}"""
    t.equal("%s: names" % what, [x["name"] for x in got["labels"]], names)
    t.equal("%s: counts" % what,
            [(x["support"], x["predicted"], x["right"]) for x in got["labels"]],
            [counts[name] for name in names])
    f1 = [ratio(2 * right, support + predicted) for support, predicted, right in counts.values()]
    t.check("%s: precision, recall, F1" % what, all(
        near(x["precision"], ratio(right, predicted)) and near(x["recall"], ratio(right, support))
        and near(x["f1"], f) for x, f, (support, predicted, right)
        in zip(got["labels"], f1, counts.values())), got["labels"])
    defined = [f for f in f1 if f is not None]
    t.check("%s: macro F1" % what, near(got["macro_f1"], ratio(sum(defined), len(defined))))


def check_probabilities(t, what, got, nll, guesses):
    """nll and guesses: of a temperature."""
    own = guesses(got["temperature"])
    t.check("%s: NLL" % what, near(got["nll"], nll(got["temperature"])), got["nll"])
    t.check("%s: calibration error" % what, near(got["ece"], calibration_error(own)), got["ece"])
    t.check("%s: bins" % what, all(
        x["n"] == len(b) and near(x["confidence"], ratio(sum(p for p, _ in b), len(b)))
        and near(x["accuracy"], ratio(sum(right for _, right in b), len(b)))
        and abs(x["from"] - i / BINS) < 1e-5 for i, (x, b) in enumerate(
            zip(got["bins"], bins_of(own)))) and len(got["bins"]) == BINS, got["bins"])
    best = got["best_temperature"]
    t.equal("%s: there is a best temperature" % what, best["place"], "inside")
    if best["place"] != "inside":
        return
    value = best["temperature"]
    t.check("%s: NLL and calibration error at %.4f" % (what, value),
            near(best["nll"], nll(value)) and
            near(best["ece"], calibration_error(guesses(value)), 2e-5), best)
    grid = [0.05 * 1.06 ** i for i in range(103)]
    t.check("%s: no temperature of a grid is better" % what,
            min(map(nll, grid)) >= best["nll"] - 1e-8)
    t.check("%s: nor any close by" % what, all(
        nll(value * f) > nll(value) for f in (0.99, 0.997, 1.003, 1.01)))
    t.check("%s: calibration" % what, list(got["calibration"]) == ["temperature"]
            and abs(got["calibration"]["temperature"] / value - 1) < 1e-5, got["calibration"])


def check_one_label(t, what, got, logits, gold, names):
    top = [row.index(max(row)) for row in logits]
    right = sum(a == b for a, b in zip(top, gold))
    n, several = len(gold), range(len(names))
    t.equal("%s: problem, titles, right" % what, (got["problem"], got["titles"], got["right"]),
            ("single_label", n, right))
    t.check("%s: accuracy and its interval" % what, near(got["accuracy"], right / n) and all(
        map(near, got["accuracy_interval"], interval(right, n))), got["accuracy_interval"])
    check_labels(t, what, got, {names[k]: (gold.count(k), top.count(k), sum(
        a == b == k for a, b in zip(top, gold))) for k in several}, names)
    confusion = [[0] * len(names) for _ in several]
    for a, b in zip(gold, top):
        confusion[a][b] += 1
    t.equal("%s: confusion matrix" % what, got["confusion"], confusion)
    t.equal("%s: no micro F1" % what, got["micro_f1"], None)
    check_probabilities(t, what, got, lambda x: one_label_nll(logits, gold, x),
                        lambda x: one_label_guesses(logits, gold, x))


def check_multi_label(t, got, logits, gold, names, thresholds=None):
    scale = got["temperature"]
    given = [[1 / (1 + math.exp(-z / scale)) >= ((thresholds or {}).get(name) or 0.5)
              for name, z in zip(names, row)] for row in logits]
    right = sum(a == b for a, b in zip(given, gold))
    t.equal("multi-label: problem, titles, exactly right",
            (got["problem"], got["titles"], got["right"]), ("multi_label", len(gold), right))
    counts = {name: (sum(m[k] for m in gold), sum(m[k] for m in given),
                     sum(a[k] and b[k] for a, b in zip(gold, given)))
              for k, name in enumerate(names)}
    check_labels(t, "multi-label", got, counts, names)
    sums = [sum(x) for x in zip(*counts.values())]
    t.check("multi-label: micro F1", near(got["micro_f1"], 2 * sums[2] / (sums[0] + sums[1])))
    t.equal("multi-label: no matrix, nothing answered", (got["confusion"], got["answered"]),
            (None, None))
    check_probabilities(t, "multi-label", got, lambda x: multi_label_nll(logits, gold, x),
                        lambda x: multi_label_guesses(logits, gold, x))
