#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The drawing of `wader eval --svg`: XML whatever the labels' names, whole or not there at all."""
import json
import os
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402
from evaluation import (DEMO, HELDOUT, SUBJECTS, heldout, run_eval, tsv,
                        with_labels)  # noqa: E402

HOSTILE = ["<b>&\"quote'd\"</b>", "]]>&#0;<!--", "a\tb\x01\x7f\u0085\u202e\ufffe", "", "数学 | 科学",
           "🎬" * 30, "é" * 200, "%s%n\\"]
HOSTILE[3] = " "  # an empty name is no name


def draw(t, model, data, *args):
    path = os.path.join(t.directory(), "out.svg")
    result = run_eval(t, "--input-format", "tsv", "--svg", path, *args, "-", model=model,
                      stdin=data)
    return result, path


def check_svg(t, what, path, n_rects, texts):
    data = e2e.read(path)
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        t.check("%s: valid XML" % what, False, error)
        return
    space = "{http://www.w3.org/2000/svg}"
    t.equal("%s: title, description and an image's role" % what,
            (root.tag, root.get("role"), root.findtext(space + "title") is not None,
             root.findtext(space + "desc") is not None), (space + "svg", "img", True, True))
    shown = [x.text or "" for x in root.iter(space + "text")]
    t.check("%s: names are shown as they are" % what, all(x in shown for x in texts),
            "\n".join(shown))
    t.check("%s: a rectangle for each count" % what,
            sum(1 for _ in root.iter(space + "rect")) >= n_rects)
    lower = data.lower()
    t.check("%s: no script, no link, no font of its own" % what, not any(
        x in lower for x in (b"<script", b"href", b"url(", b"@import", b"onload", b"<image")))
    width, height = float(root.get("width")), float(root.get("height"))
    places = [(float(x.get("x")), float(x.get("y"))) for x in root.iter(space + "text")]
    t.check("%s: all text begins inside" % what,
            all(0 <= x < width and 0 < y < height for x, y in places))


def test_svg(t):
    data = e2e.read(HELDOUT)
    result, path = draw(t, DEMO, data)
    t.exits("--svg", result, e2e.OK)
    counts = sum(map(bool, sum(json.loads(run_eval(t, "--json", HELDOUT).out)["confusion"], [])))
    check_svg(t, "the demo model's", path, counts, SUBJECTS + ["75.0 % of 432 titles right"])
    t.equal("stdout is the same with --svg", result.out,
            run_eval(t, "--input-format", "tsv", "-", stdin=data).out)
    first = e2e.read(path)
    again = run_eval(t, "--svg", path, HELDOUT)
    t.exits("a file that is there is not replaced", again, e2e.USAGE, path, "--force")
    t.equal("... and not computed for", again.out, b"")
    e2e.write(os.path.dirname(path), "out.svg", "mine")
    t.exits("--force replaces it", run_eval(t, "--svg", path, "--force", HELDOUT), e2e.OK)
    t.equal("with the same bytes, and nothing else is left", (e2e.read(path), e2e.listing(
        os.path.dirname(path))), (first, ["out.svg"]))
    copy = e2e.write(t.directory(), "in.tsv", data)
    t.exits("an input is never replaced", run_eval(t, "--svg", copy, "--force", copy), e2e.USAGE,
            "is an input")
    t.equal("... and still there", e2e.read(copy), data)
    t.exits("--svg -", run_eval(t, "--svg", "-", HELDOUT), e2e.USAGE, "give a file")
    t.exits("no such directory", run_eval(t, "--svg", "/nonexistent/x.svg", HELDOUT), e2e.IO)
    full, path = draw(t, DEMO, b"a\tnothing\n")
    t.exits("a run that fails", full, e2e.INPUT)
    t.equal("... leaves no file", e2e.listing(os.path.dirname(path)), [])
    packed = run_eval(t, "--svg", path + ".gz", HELDOUT)
    t.check("a name ending in .gz is gzip", packed.code == 0 and
            e2e.gunzip_bytes(e2e.read(path + ".gz")) == first)


def test_hostile_names(t):
    titles = [title for title, _ in heldout()[:80]]
    for multi_label in (False, True):
        model = with_labels(t, HOSTILE, multi_label)
        data = e2e.jsonl({"title": title, "label": HOSTILE[i % 8]}
                         for i, title in enumerate(titles))
        path = os.path.join(t.directory(), "<&'\".svg")
        result = run_eval(t, "--json", "--input-format", "jsonl", "--svg", path, "-", model=model,
                          stdin=data)
        what = "hostile names, %s" % ("multi-label" if multi_label else "one label")
        t.exits(what, result, e2e.OK)
        t.equal("%s: JSON has them whole" % what,
                [x["name"] for x in json.loads(result.out)["labels"]], HOSTILE)
        check_svg(t, what, path, 8, [HOSTILE[0], HOSTILE[1], "a?b?????", "数学 | 科学"])
        text = run_eval(t, "--input-format", "jsonl", "-", model=model, stdin=data).out.decode()
        t.check("%s: text holds nothing that a terminal acts on" % what, not any(
            ord(c) < 32 and c != "\n" or 0x7f <= ord(c) < 0xa0 or c == "\u202e" for c in text))
    for n, texts in ((2, ["l0", "l1"]), (50, ["l0", "l49"]), (51, []), (300, []), (1001, ["l49"])):
        names = ["l%d" % k for k in range(n)]
        data = tsv((title, names[i * 7 % n]) for i, title in enumerate(titles))
        result, path = draw(t, with_labels(t, names), data, "--json")
        t.exits("%d labels" % n, result, e2e.OK)
        t.check("%d labels: a matrix up to 1,000" % n,
                (json.loads(result.out)["confusion"] is None) == (n > 1000))
        check_svg(t, "%d labels" % n, path, 2, texts)
        t.check("%d labels: less than 1 MB" % n, os.path.getsize(path) < 1e6)


def main():
    t = e2e.Suite(__doc__)
    test_svg(t)
    test_hostile_names(t)
    t.finish()


if __name__ == "__main__":
    main()
