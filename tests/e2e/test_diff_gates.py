#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader diff --fail-on`: every metric on both sides of its limit, what cannot be told, and what is
no gate."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import drift  # noqa: E402
import e2e  # noqa: E402
from drift import Row, diff, write  # noqa: E402

DRIFT = 7


def test_gates(t):
    old = [Row("i%d" % k, "a", 900000, "ok") for k in range(100)]
    new = [Row("i%d" % k, "b" if k < 3 else "a", 880000, "ok") for k in range(10, 98)]
    new = [r._replace(label="b") if k < 3 else r for k, r in enumerate(new)]
    new += [Row("n", None, None, "bad_json"), Row("m", None, 100000, "abstain"),
            Row("o", "a", 100000, "truncated")]
    paths = write(t, "jsonl", old), write(t, "tsv", new)
    wanted = drift.figures(old, new)
    values = {"flips": 3, "new": 3, "gone": 12, "bad": 1, "abstained": 1, "truncated": 1,
              "rows": 91, "psi": wanted["psi"], "score_psi": wanted["score_psi"],
              "score_shift": -0.02}
    shares = {"flips": 3 / 88, "new": 3 / 91, "gone": 12 / 100, "bad": 1 / 91, "rows": 91 / 100,
              "abstained": 1 / 91, "truncated": 1 / 91}
    cases = [(name, value, "") for name, value in values.items()]
    cases += [(name, 100 * value, "%") for name, value in shares.items()]
    for name, value, unit in cases:
        limits = ((value + 1e-6, ">", False), (value - 1e-6, ">", True),
                  (value + 1e-6, "<", True), (value - 1e-6, "<", False))
        gates = ["%s%s%.12f%s" % (name, sign, limit, unit) for limit, sign, _ in limits]
        result = diff(t, *paths, "--json", *["--fail-on=" + gate for gate in gates])
        told = json.loads(result.out)
        t.exits("%s%s" % (name, unit), result, DRIFT, "2 of 4 gates", gates[1], gates[2])
        t.equal("... trips where it should", [(g["gate"], g["tripped"]) for g in told["gates"]],
                [(gate, trips) for gate, (_, _, trips) in zip(gates, limits)])
        t.check("... and tells the figure", told["tripped"] and all(
            abs(g["value"] - value) < 1e-9 for g in told["gates"]), told["gates"])
    passed = diff(t, *paths, "--json", "--fail-on", "psi>9", "--fail-on", "rows<91")
    t.exits("gates that pass", passed, e2e.OK)
    t.check("... are told as well", json.loads(passed.out)["tripped"] is False and
            len(json.loads(passed.out)["gates"]) == 2)
    several = diff(t, *paths, "--fail-on", "flips > 1", "--fail-on", "psi>9",
                   "--fail-on=gone>5%")
    t.exits("several gates", several, DRIFT, "2 of 3 gates", "flips > 1", "gone>5%")
    t.check("... and only those that tripped are named", "psi" not in several.err, several)
    twin = t.run("diff", *paths, env={"WADER_FAIL_ON": "flips>1"})
    t.exits("WADER_FAIL_ON", twin, DRIFT, "flips>1")
    t.exits("an option wins over the environment", t.run(
        "diff", "--fail-on", "flips>9", *paths, env={"WADER_FAIL_ON": "flips>1"}), e2e.OK)
    none = write(t, "jsonl", []), write(t, "jsonl", [])
    other = write(t, "jsonl", old), write(t, "jsonl", [Row("q", "a", 1, "ok")])
    for gate, sides in (("flips>2%", other), ("flips>1000", other), ("flips<-1", other),
                        ("score_shift>0.9", other), ("psi>100", none), ("score_psi>100", none),
                        ("new>99%", none), ("gone>99%", none), ("rows<1%", none),
                        ("bad>99%", none)):
        result = diff(t, *sides, "--json", "--fail-on", gate)
        t.exits("%s trips where it cannot be told" % gate, result, DRIFT, "cannot be told")
        t.equal("... and is null", json.loads(result.out)["gates"][0]["value"], None)
    for gate in ("", "psi", "psi>", ">1", "psi>x", "psi>0.2%", "psi=1", "psi>=1", "flips>1%%",
                 "nothing>1", "psi>nan", "psi>1 0", "score_shift<1%", "p" * 200 + ">1"):
        t.exits("--fail-on %r" % gate[:20], diff(t, *paths, "--fail-on", gate), e2e.USAGE)
    t.exits("unk", diff(t, *paths, "--fail-on", "unk>1%"), e2e.USAGE, "rows do not hold")
    t.exits("33 gates", diff(t, *paths, *["--fail-on=psi>1"] * 33), e2e.USAGE, "at most 32")


def main():
    t = e2e.Suite(__doc__)
    test_gates(t)
    t.finish()


if __name__ == "__main__":
    main()
