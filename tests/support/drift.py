# SPDX-License-Identifier: Apache-2.0
"""What the tests of `wader diff` share: outputs as `wader label` writes them, made without it, and
every figure computed anew the plain way: all rows in memory, lists sorted."""
import collections
import hashlib
import json
import math
import os

import e2e

STATUSES = ["ok", "truncated", "abstain", "bad_json", "blank_line", "missing_id", "missing_title",
            "title_not_a_string", "record_too_long", "nonfinite_logits"]
PERCENTS = [1, 5, 10, 25, 50, 75, 90, 95, 99]
EDGES = [-500000, -200000, -100000, -50000, -10000, -1000, 1000, 10000, 50000, 100000, 200000,
         500000]

# id as JSON has it, label or None, score in millionths or None, status
Row = collections.namedtuple("Row", "id label score status")


def dumps(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def to_jsonl(rows, scores=None):
    """`scores`: the labels in the model's order, for rows of --scores all."""
    lines = []
    for row in rows:
        line = '{"id":%s,"label":%s' % (dumps(row.id), dumps(row.label))
        if row.score is not None:
            line += ',"score":%d.%06d' % divmod(row.score, 1000000)
            if scores:
                line += ',"scores":{%s}' % ",".join("%s:0.125000" % dumps(x) for x in scores)
        if row.status != "ok":
            line += ',"status":"%s"' % row.status
        lines.append(line + ',"note":{"id":[1],"label":"x"}}\n')
    return "".join(lines).encode("utf-8", "surrogatepass")


def cell(text):
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def value_of(value):
    """A TSV cell: an id that is null comes as that word."""
    return value if isinstance(value, str) else dumps(value)


def text_of(value):
    """What ids are compared by."""
    if value in (None, "null"):
        return ""
    return value_of(value)


def to_tsv(rows, scores=None, header=False):
    scores = scores or []
    lines = []
    if header:
        lines.append("\t".join(["id", "label", "score"] + [cell(x) for x in scores] +
                               ["status", "note"]) + "\n")
    for row in rows:
        score = "" if row.score is None else "%d.%06d" % divmod(row.score, 1000000)
        more = ["" if row.score is None else "-1.25e-05"] * len(scores)
        status = "" if row.status == "ok" else row.status
        lines.append("\t".join([cell(value_of(row.id)), cell(row.label or ""), score] + more +
                               [status, "a note"]) + "\n")
    return "".join(lines).encode()


def record(path, data, n_rows, **changes):
    """Writes an output with its commit record; `data` is what it holds uncompressed."""
    raw = e2e.gzip_bytes(data) if path.endswith(".gz") else data
    with open(path, "wb") as file:
        file.write(raw)
    settings = {"device": "cpu", "precision": "fp32", "input_format": "jsonl"}
    settings.update(changes.pop("settings", {}))
    meta = {"schema": 1, "wader": "0.1.0",
            "input": {"name": "in.jsonl.gz", "nbytes": 1, "mtime_ns": 0, "sha256": "c" * 64},
            "output": {"name": os.path.basename(path), "file_nbytes": len(raw),
                       "nbytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
            "model": {"weights": "model.safetensors", "sha256": "a" * 64,
                      "tokenizer_sha256": "b" * 64},
            "settings": settings, "tokens": 0,
            "rows": {"in": n_rows, "out": n_rows, "labelled": n_rows, "truncated": 0,
                     "abstained": 0, "bad": 0}}
    for key, value in changes.items():
        part, name = key.split("__")
        meta[part][name] = value
    with open(path + ".meta.json", "w", encoding="utf-8") as file:
        json.dump(meta, file, indent=2)
    return path


# ---- outputs in every form

LABELS = ["science", "art", "tab\tbed", "back\\slash", "数学", "\"quoted\"", "x"]
FORMS = {
    "jsonl": (".labels.jsonl", to_jsonl),
    "jsonl.gz": (".labels.jsonl.gz", to_jsonl),
    "jsonl with scores": (".labels.jsonl", lambda rows: to_jsonl(rows, LABELS)),
    "tsv": (".labels.tsv", to_tsv),
    "tsv.gz with scores": (".labels.tsv.gz", lambda rows: to_tsv(rows, LABELS)),
    "tsv with a header": (".tsv", lambda rows: to_tsv(rows, LABELS, True)),
    "a name that tells nothing": (".out", to_jsonl),
}


def write(t, form, rows):
    suffix, make = FORMS[form]
    data = make(rows)
    return e2e.write(t.directory(), "a" + suffix,
                     e2e.gzip_bytes(data) if suffix.endswith(".gz") else data)


def diff(t, old, new, *args, **kwargs):
    return t.run("diff", *args, old, new, **kwargs)


# ---- the figures

def psi(old, new):
    """Of two lists of counts, bin by bin."""
    result = 0.0
    for a, b in zip(old, new):
        p = (a + 0.5) / (sum(old) + 0.5 * len(old))
        q = (b + 0.5) / (sum(new) + 0.5 * len(new))
        result += (q - p) * math.log(q / p)
    return result


def quantile(values, percent):
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def spread(values):
    if not values:
        return None, [None] * len(PERCENTS)
    return (sum(values) / len(values) / 1e6, [quantile(values, p) / 1e6 for p in PERCENTS])


def pair_up(old, new):
    """The first row of an id with the first, the second with the second."""
    waiting = collections.defaultdict(collections.deque)
    for row in old:
        waiting[text_of(row.id)].append(row)
    pairs, added = [], 0
    for row in new:
        queue = waiting[text_of(row.id)]
        if queue:
            pairs.append((queue.popleft(), row))
        else:
            added += 1
    return pairs, added, sum(map(len, waiting.values()))


def deciles(old, new):
    edges = sorted({quantile(old, p) for p in range(10, 100, 10)} - {1000000})
    counts = []
    for values in (old, new):
        bins = [0] * (len(edges) + 1)
        for value in values:
            bins[sum(value > edge for edge in edges)] += 1
        counts.append(bins)
    return edges, counts


def change_bin(change):
    return sum(change > e if e < 0 else change >= e for e in EDGES)


def top(pairs, weight):
    order = sorted(pairs, key=lambda p: (-weight(p), text_of(p[1].id).encode(), p[0].score,
                                         (p[0].label or "").encode(), (p[1].label or "").encode()))
    return [{"id": text_of(a.id), "old": a.label, "new": b.label, "old_score": a.score / 1e6,
             "new_score": b.score / 1e6} for a, b in order[:20]]


def figures(old, new, order=()):
    """What `wader diff --json` has to say of both, but for paths and commit records."""
    pairs, added, gone = pair_up(old, new)
    met = {r.label for r in old} | {r.label for r in new}
    names = list(order) + sorted(met - set(order) - {None}, key=lambda x: x.encode())
    labels = names + ([None] if None in met else [])
    by_label = [collections.Counter(r.label for r in rows) for rows in (old, new)]
    matrix = collections.Counter((a.label, b.label) for a, b in pairs)
    scores = [[r.score for r in rows if r.score is not None] for rows in (old, new)]
    scored = [(a, b) for a, b in pairs if a.score is not None and b.score is not None]
    changes = [b.score - a.score for a, b in scored]
    flips = sum(a.label != b.label for a, b in pairs)
    mean, quantiles = spread(changes)
    result = {
        "ids": {"common": len(pairs), "new": added, "gone": gone},
        "flips": {"n": flips, "share": flips / len(pairs) if pairs else None},
        "psi": None, "score_psi": None, "deciles": [],
        "labels": [{"name": x, "old": by_label[0][x], "new": by_label[1][x]} for x in labels],
        "matrix": [[matrix[a, b] for b in labels] for a in labels],
        "score_bins": [[sum(min(s // 50000, 19) == b for s in values) for b in range(20)]
                       for values in scores],
        "change": {"n": len(changes), "mean": mean, "quantiles": quantiles,
                   "newly_low": sum(a.score >= 500000 > b.score for a, b in scored),
                   "newly_high": sum(a.score < 500000 <= b.score for a, b in scored),
                   "bins": [sum(change_bin(c) == b for c in changes) for b in range(13)]},
        "surest_flips": top([p for p in scored if p[0].label != p[1].label and
                             None not in (p[0].label, p[1].label)],
                            lambda p: p[0].score + p[1].score),
        "falls": top([p for p in scored if p[0].label == p[1].label and p[1].score < p[0].score],
                     lambda p: p[0].score - p[1].score),
    }
    if old and new:
        bins = [x for x in labels if by_label[0][x] + by_label[1][x] > 0]
        result["psi"] = psi(*[[c[x] for x in bins] for c in by_label])
    if scores[0] and scores[1]:
        edges, counts = deciles(*scores)
        result["score_psi"] = psi(*counts)
        result["deciles"] = [{"to": e, "old": a, "new": b} for e, a, b in
                             zip([x / 1e6 for x in edges] + [None], *counts)]
    for side, rows in enumerate((old, new)):
        mean, quantiles = spread(scores[side])
        by_status = collections.Counter(r.status for r in rows)
        result["old" if side == 0 else "new"] = {
            "rows": len(rows), "scored": len(scores[side]),
            "status": {s: by_status[s] for s in STATUSES},
            "bad": sum(by_status[s] for s in STATUSES[3:]),
            "score": {"n": len(scores[side]), "mean": mean, "quantiles": quantiles}}
    return result


def close(got, wanted):
    """Equal, but for the last digits of floats."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(k in got and close(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(close, got, wanted))
    if isinstance(wanted, float) and got is not None:
        return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return got == wanted


def check_figures(t, what, got, wanted):
    """`got`: the JSON of --json."""
    got = dict(got)
    got["score_bins"] = [[b[side] for b in got["score_bins"]] for side in ("old", "new")]
    got["change"] = dict(got["change"], bins=[b["n"] for b in got["change"]["bins"]])
    wrong = [k for k in wanted if not close(got[k], wanted[k])]
    t.check("%s: every figure is Python's" % what, not wrong, "\n".join(
        "%s: got %.600r\nwanted %.600r" % (k, got[k], wanted[k]) for k in wrong))
