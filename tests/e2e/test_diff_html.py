#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The page of `wader diff --html`: whole or not there at all, well-formed, no other file asked for,
nothing run, whatever ids and labels hold."""
import html.parser
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import drift  # noqa: E402
import e2e  # noqa: E402
from drift import Row  # noqa: E402

HOSTILE = ["<b>&\"quote'd\"</b>", "]]>&#0;<!--", "</style><script>alert(1)</script>",
           "a\tb\x01\x7f\u0085\u202e\ufffe", "' onload='x", "\" onload=\"x", "数学 | 科学", "é" * 200,
           "javascript:alert(1)", "{{x}}${y}%s%n\\"]
VOID = {"meta", "br", "hr", "img", "input", "link"}
EMPTY = {"path", "rect"}  # of SVG, closed in their own tag


class Page(html.parser.HTMLParser):
    """Tags in their nesting, all text, every attribute."""

    def __init__(self, data):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text, self.faults = [], [], [], [], []
        self.feed(data)
        self.close()
        self.faults += ["<%s> left open" % x for x in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in EMPTY:
            self.faults.append("<%s/>" % tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append("</%s>" % tag)

    def handle_data(self, data):
        self.text.append(data)


KNOWN = set("html head meta style title body main header h1 h2 p span b section ul li code dl div "
            "dt dd strong svg desc text rect path g table caption thead tbody tr th td bdi "
            "footer".split())
ATTRIBUTES = set("lang charset name content http-equiv class viewbox role aria-labelledby "
                 "aria-label tabindex id x y width height d fill-opacity text-anchor transform "
                 "style scope colspan".split())


def check_page(t, what, path, texts):
    data = e2e.read(path).decode()
    page = Page(data)
    t.equal("%s: every tag is closed where it should be" % what, page.faults, [])
    t.equal("%s: no tag but ours" % what, set(page.tags) - KNOWN, set())
    t.equal("%s: no attribute but ours" % what, {a for _, a, _ in page.attributes} - ATTRIBUTES,
            set())
    lower = re.sub(r">[^<]*", ">", data[data.index("</style>") + 8:]).lower()
    t.check("%s: no script, nothing asked for" % what, not any(x in lower for x in (
        "<script", "href", "url(", "@import", "onload", "<image", "src=", "<iframe", "<link")))
    style = data[:data.index("</style>")].lower()
    t.check("%s: the style asks for nothing" % what, "url(" not in style and
            "@import" not in style and "default-src 'none'" in style)
    shown = "".join(page.text)
    t.check("%s: names are shown as they are" % what, all(x in shown for x in texts),
            [x for x in texts if x not in shown])
    t.check("%s: nothing that is no text" % what, not any(
        ord(c) < 32 and c != "\n" or 0x7f <= ord(c) < 0xa0 or c in "\u202e\ufffe" for c in shown))
    drawings = re.findall(r"<svg .*?</svg>", data, re.S)
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        t.check("%s: %s has a title and a description" % (what, root.get("aria-labelledby")),
                root.get("role") == "img" and root.findtext("title") and root.findtext("desc") and
                root.get("aria-labelledby").split() ==
                [root.find("title").get("id"), root.find("desc").get("id")])
        width, height = map(float, root.get("viewBox").split()[2:])
        places = [(float(x.get("x")), float(x.get("y"))) for x in root.iter("text") if x.get("x")]
        t.check("%s: its text begins inside" % what,
                all(0 <= x <= width and 0 <= y <= height for x, y in places))
        for box in root.iter("rect"):
            x, y, w, h = [float(box.get(k)) for k in ("x", "y", "width", "height")]
            if min(x, y, w, h) < 0 or x + w > width + 1 or y + h > height + 1:
                t.check("%s: its bars are inside" % what, False, ElementTree.tostring(box))
    ids = re.findall(r' id="([^"]*)"', data)
    t.equal("%s: ids of elements are used once" % what, len(ids), len(set(ids)))
    heads = re.findall(r"<th(?: [^>]*)?>", data)
    t.check("%s: every table's heads have a scope" % what, heads and
            all("scope=" in x for x in heads))
    return data, drawings


def pages(t, old, new, *args):
    where = t.directory()
    one = e2e.write(where, "old <&'\">.labels.jsonl", drift.to_jsonl(old))
    two = e2e.write(where, "new.labels.tsv", drift.to_tsv(new))
    path = os.path.join(where, "out.html")
    result = t.run("diff", "--html", path, *args, one, two)
    return result, path, one, two


def test_hostile(t):
    labels = HOSTILE[:8]
    old = [Row(HOSTILE[k % 10] + str(k), labels[k % 8], 500000 + k, "ok") for k in range(80)]
    new = [r._replace(label=labels[(k + 1) % 8]) if k % 2 else r._replace(score=r.score - 50000)
           for k, r in enumerate(old)]
    result, path, _, _ = pages(t, old, new, "--fail-on", "flips>9%")
    t.exits("hostile ids and labels", result, 7)
    data, drawings = check_page(t, "hostile", path, HOSTILE[:3] + [
        "a?b????", "' onload='x", "1 of 1 gates tripped", "old <&'\">.labels.jsonl"] + [
        HOSTILE[k % 10] + str(k) for k in (79, 75, 71)])
    t.equal("hostile: its drawings", len(drawings), 4)
    t.check("hostile: the flips are there", data.count("<td>10</td>") >= 4)


def test_sizes(t):
    for n in (0, 1, 2, 12, 13, 40, 41, 1200):
        rows = [Row("i%d" % k, "l%d" % (k % n), 1000 * (k % 1000), "ok") for k in range(3 * n)]
        new = [r._replace(label="l%d" % ((k + k // n) % n), score=999999 - r.score)
               for k, r in enumerate(rows)]
        result, path, _, _ = pages(t, rows, new)
        t.exits("%d labels" % n, result, e2e.OK)
        data, drawings = check_page(t, "%d labels" % n, path, ["l0"] if n else [])
        t.equal("%d labels: a matrix up to 40" % n, "Labels in OLD and in NEW" in data,
                0 < n <= 40)
        t.check("%d labels: less than 1 MB" % n, len(data) < 1e6)
    many = [Row("i%d" % k, None, None, s) for k, s in enumerate(drift.STATUSES[3:])]
    many += [Row("a", None, 1, "abstain"), Row("b", "x", 1000000, "truncated")]
    result, path, _, _ = pages(t, many, many[:3])
    t.exits("every status", result, e2e.OK)
    check_page(t, "every status", path, [s for s in drift.STATUSES[1:] if len(s) < 14])


def test_figures(t):
    """The same figures as in the text and in JSON."""
    old = [Row("i%d" % k, "ab"[k % 2], 900000 - k, "ok") for k in range(1000)]
    new = [r._replace(label="b", score=r.score - 1000) for r in old[100:]]
    result, path, one, two = pages(t, old, new)
    got = json.loads(t.run("diff", "--json", one, two).out)
    check_page(t, "figures", path, [
        "%.4f" % got["psi"], "%.4f" % got["score_psi"], "450 of 900 shared ids",
        "50.0 %", "\u22120.0010", "100 of 1,000 rows of OLD", "i100", "0.8999"])
    t.equal("stdout is the same with --html", result.out, t.run("diff", one, two).out)


def test_file(t):
    rows = [Row("a", "x", 5, "ok")]
    result, path, one, two = pages(t, rows, rows)
    first = e2e.read(path)
    t.check("it is said where the page is", path in result.err, result)
    t.check("--quiet", pages(t, rows, rows, "-q")[0].err == "")
    again = t.run("diff", "--html", path, one, two)
    t.exits("a file that is there is not replaced", again, e2e.USAGE, path, "--force")
    t.equal("... and nothing is printed", again.out, b"")
    e2e.write(os.path.dirname(path), "out.html", "mine")
    t.exits("--force replaces it", t.run("diff", "--force", "--html", path, one, two), e2e.OK)
    t.equal("with the same bytes, and nothing else is left",
            (e2e.read(path), len(e2e.listing(os.path.dirname(path)))), (first, 3))
    for side in (one, two):
        data = e2e.read(side)
        t.exits("what is compared is never replaced", t.run(
            "diff", "--force", "--html", side, one, two), e2e.USAGE, "is one of")
        t.equal("... and still there", e2e.read(side), data)
    t.exits("--html -", t.run("diff", "--html", "-", one, two), e2e.USAGE, "give a file")
    t.exits("a directory", t.run("diff", "--force", "--html", t.directory(), one, two), e2e.USAGE)
    t.exits("no such directory", t.run("diff", "--html", "/nonexistent/x.html", one, two), e2e.IO)
    bad = e2e.write(t.directory(), "bad.tsv", b"1\tx\n")
    where = t.directory()
    t.exits("damage", t.run("diff", "--html", os.path.join(where, "x.html"), one, bad), e2e.INPUT)
    t.equal("... leaves no page", e2e.listing(where), [])
    tripped = t.run("diff", "--html", os.path.join(where, "x.html"), "--fail-on=rows<5", one, two)
    t.exits("a gate that trips", tripped, 7)
    t.equal("... leaves the page all the same", e2e.listing(where), ["x.html"])


def main():
    t = e2e.Suite(__doc__)
    for test in (test_hostile, test_sizes, test_figures, test_file):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
