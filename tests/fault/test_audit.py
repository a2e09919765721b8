#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--audit on the real program: it passes over thousands of rows and changes none of them; a product
that is not computed and a character that is read as another, which otherwise give wrong rows and
exit 0, end it with 6, with the record named and nothing committed."""
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import faults  # noqa: E402
import scenarios  # noqa: E402
from faults import e2e  # noqa: E402


def label(t, output, source, *args, **kwargs):
    return t.label("--threads", "2", "-o", output, *args, source, model=faults.MODEL, **kwargs)


def test_right(t):
    source = e2e.write(t.directory(), "a.txt", "\n".join(scenarios.titles(3000, t.seed)) + "\n")
    work = t.directory()
    plain, audited = work + "/plain.jsonl.gz", work + "/audited.jsonl.gz"
    t.exits("without an audit", label(t, plain, source), e2e.OK)
    result = label(t, audited, source, "--audit", "3000")
    t.exits("all rows audited", result, e2e.OK, "3,000 rows audited")
    t.check("the same bytes", e2e.read(plain) == e2e.read(audited))
    records = [json.loads(e2e.read(x + ".meta.json")) for x in (plain, audited)]
    t.check("counted in the record", "audit" not in records[0] and
            records[1]["audit"]["rows"] == 3000, records)
    t.equal("which does not tell another output", records[0]["settings"], records[1]["settings"])
    t.exits("nor does it label anew", label(t, plain, source, "--audit", "10"), e2e.OK,
            "done already")
    apart = set()
    for args in ([], ["--threads", "1", "--batch-tokens", "50"], ["--batch-tokens", "5000"]):
        t.exits("200 of 3000 %s" % " ".join(args),
                label(t, audited, source, "--force", "--audit", "200", *args), e2e.OK,
                "200 rows audited")
        apart.add(json.dumps(json.loads(e2e.read(audited + ".meta.json"))["audit"]))
    t.equal("the same ones whatever the batches", len(apart), 1)
    for precision in e2e.cpu_precisions():
        t.exits("in %s" % precision, label(t, work + "/%s.jsonl" % precision, source, "--audit",
                                           "3000", "--precision", precision), e2e.OK, "3,000 rows")
    t.exits("to stdout", t.label("--audit", "5", source, model=faults.MODEL), e2e.OK,
            "5 rows audited")
    t.exits("fewer rows than asked for", t.label("--audit", "50", stdin=b"gold\noil\n"), e2e.OK,
            "2 rows audited")
    bad = b'{"id":1,"title":"a"}\n{"id":2}\n'
    t.exits("bad records are none of them", t.label(
        "--audit", "50", "--max-bad", "1", "--input-format", "jsonl", stdin=bad), e2e.OK,
        "1 rows audited")
    t.exits("more than can be", t.label("--audit", "1000001", source), e2e.USAGE, "1000000")


def lies(t, scenario, kind, places, expect):
    """A call lies, with an audit of all rows: never a wrong output."""
    n_caught, wrong = 0, []
    for n in places:
        result, fired, work = scenario.with_fault("%s:%d:lie" % (kind, n))
        state = faults.snapshot(work)
        shutil.rmtree(work)
        if not fired:
            break
        if result.code == e2e.OK:
            if any(state.get(x) != scenario.golden[x] for x in scenario.golden
                   if not x.endswith(faults.RECORD)):
                wrong.append("%s %d: a wrong output was committed" % (kind, n))
            continue
        n_caught += 1
        if result.code != e2e.UNUSABLE or state != scenario.before or \
                not all(x in result.err for x in expect):
            wrong.append("%s %d: %s; left %s" % (kind, n, result, sorted(state)))
    t.check("%s lies: %d caught" % (kind, n_caught), n_caught > 0 and not wrong,
            "\n".join(wrong[:4]))


def accepted(t, scenario, kind, places):
    """The same without an audit: that it is needed."""
    n_wrong = 0
    for n in places:
        result, _, work = scenario.with_fault("%s:%d:lie" % (kind, n))
        n_wrong += result.code == e2e.OK and faults.snapshot(work) != scenario.golden
        shutil.rmtree(work)
    t.check("%s lies, and nobody looks: %d wrong outputs" % (kind, n_wrong), n_wrong > 0)


def test_wrong(t):
    inputs = {"a.txt": "\n".join(scenarios.titles(40, t.seed)) + "\n"}
    command = ["label", "--threads", "1", "--model", faults.MODEL, "--scores", "logits", "-o",
               "{work}/out.jsonl", "{inputs}/a.txt"]
    plain = faults.Scenario(t, "no audit", command, inputs=inputs)
    audited = faults.Scenario(t, "audit", command + ["--audit", "100"], inputs=inputs)
    # Few characters come to that function, and not every one makes another token.
    for kind, n_places, expect in (("product", 8, ("a.txt: record", "the logit of")),
                                   ("text", 24, ("a.txt: record", "token"))):
        n = plain.calls()[kind]
        print("      %d calls of kind %s in a run without an audit" % (n, kind))
        places = range(1, n + 1, 1 if t.args.full else max(1, n // n_places))
        accepted(t, plain, kind, places)
        lies(t, audited, kind, places, expect)


def main():
    t = e2e.Suite(__doc__, faults.options)
    test_right(t)
    faults.need_inject(t)
    test_wrong(t)
    t.finish()


if __name__ == "__main__":
    main()
