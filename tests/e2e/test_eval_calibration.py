#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader eval` on a model with a calibration.json: its temperature and thresholds count, the best
temperature stays one of raw logits, and the line that eval gives for the file does what it says."""
import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
from evaluation import (DEMO, HELDOUT, SUBJECTS, calibration_error, check_multi_label,
                        check_one_label, heldout, logits_of, near, one_label_guesses, run_eval,
                        with_labels)  # noqa: E402



def calibrate(t, model, calibration):
    path = e2e.copy_model(t, model)
    e2e.write(path, "calibration.json", json.dumps(calibration))
    return path


def evaluated(t, *args, model=DEMO, **kwargs):
    result = run_eval(t, "--json", *args, model=model, **kwargs)
    t.exits("it is evaluated", result, e2e.OK)
    return json.loads(result.out)


def test_temperature(t, logits, gold):
    plain = evaluated(t, HELDOUT)
    model = calibrate(t, DEMO, {"temperature": 2.5})
    got = evaluated(t, HELDOUT, model=model)
    t.equal("the temperature is the file's", got["temperature"], 2.5)
    check_one_label(t, "temperature 2.5", got, logits, gold, SUBJECTS)
    for key in ("best_temperature", "calibration", "confusion", "accuracy"):
        t.equal("%s is that without one" % key, got[key], plain[key])
    ready = evaluated(t, HELDOUT, model=calibrate(t, DEMO, plain["calibration"]))
    best = plain["best_temperature"]
    t.check("with the line that eval gives: NLL and calibration error as it said",
            near(ready["nll"], best["nll"], 1e-6) and near(ready["ece"], best["ece"], 2e-5),
            (ready["nll"], ready["ece"], best))
    t.check("... and it is better", ready["nll"] < plain["nll"])
    text = run_eval(t, HELDOUT, model=model).out.decode()
    t.check("text: whose temperature it is", "temperature 2.5 (calibration.json)" in text, text)


def test_thresholds(t, logits, gold):
    limits = {"art": 0.9, "science": 0.5, "world": 0.97}
    model = calibrate(t, DEMO, {"temperature": 0.8, "thresholds": limits})
    got = evaluated(t, HELDOUT, model=model)
    check_one_label(t, "thresholds", got, logits, gold, SUBJECTS)
    t.check("each label's threshold", all(near(x["threshold"], limits.get(x["name"], 0), 1e-6)
                                          for x in got["labels"]), got["labels"])
    guesses = one_label_guesses(logits, gold, 0.8)
    least = [limits.get(SUBJECTS[row.index(max(row))], 0) for row in logits]
    kept = [right for (p, right), limit in zip(guesses, least) if p >= limit]
    answered = got["answered"]
    t.equal("answered, abstained, right", (answered["titles"], answered["abstained"],
                                           answered["right"]),
            (len(kept), len(gold) - len(kept), sum(kept)))
    t.check("coverage and the accuracy of the answered",
            near(answered["coverage"], len(kept) / len(gold)) and
            near(answered["accuracy"], sum(kept) / len(kept)), answered)
    titles = e2e.titled(title for title, _ in heldout())
    rows = t.label("-q", "--device", "cpu", "--input-format", "jsonl", model=model,
                   stdin=titles).rows()
    t.equal("`wader label` abstains as often", sum(row["label"] is None for row in rows),
            answered["abstained"])
    text = run_eval(t, HELDOUT, model=model).out.decode()
    t.check("text: how many were answered", "with thresholds   %d answered" % len(kept) in text,
            text)
    none = evaluated(t, HELDOUT, model=calibrate(t, DEMO, {"thresholds": 1}))
    t.equal("thresholds that nothing reaches", none["answered"], {
        "titles": 0, "abstained": 432, "coverage": 0, "right": 0, "accuracy": None})


def test_multi_label(t):
    plain, rng = with_labels(t, SUBJECTS, multi_label=True), random.Random(6)
    titles = [title for title, _ in heldout()]
    logits = logits_of(t, titles, plain)
    gold = [[int(z + rng.gauss(0, 2) > 1) for z in row] for row in logits]
    data = e2e.jsonl({"title": title, "label": [SUBJECTS[k] for k in range(8) if members[k]]}
                     for title, members in zip(titles, gold))
    limits = {"art": 0.7, "health": 0.2}
    model = calibrate(t, plain, {"temperature": 1.5, "thresholds": limits})
    got = evaluated(t, "--input-format", "jsonl", "-", model=model, stdin=data)
    check_multi_label(t, got, logits, gold, SUBJECTS, limits)


def main():
    t = e2e.Suite(__doc__)
    pairs = heldout()
    logits = logits_of(t, [title for title, _ in pairs])
    gold = [SUBJECTS.index(subject) for _, subject in pairs]
    before = calibration_error(one_label_guesses(logits, gold, 1))
    t.check("the demo model has no calibration.json: its error is %.3f" % before, before > 0.05)
    test_temperature(t, logits, gold)
    test_thresholds(t, logits, gold)
    test_multi_label(t)
    t.finish()


if __name__ == "__main__":
    main()
