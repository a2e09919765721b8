# SPDX-License-Identifier: Apache-2.0
"""Makes data/sample: catalog.jsonl.gz of the held-out titles and some awkward records, labels.tsv
(id, subject) and heldout.tsv (id, title, label) of the held-out titles alone. Standard library
only; the same bytes on every run with the same Python's zlib."""
import gzip
import io
import json
import pathlib
import random

DATA = pathlib.Path(__file__).resolve().parent.parent
SUBJECTS = ("art", "personal development", "world", "health",
            "science", "business", "humanities", "technology")
SEED = 4711

# Whole lines, as they stand in the file: what matters here is how the JSON is written.
RAW_LINES = (
    r'{"id":"w-nul","title":"before\u0000after the NUL"}',
    r'{"id":"w-surrogate-high","title":"a lone \ud83d surrogate"}',
    r'{"id":"w-surrogate-low","title":"another lone \udc4d one"}',
    r'{"id":"w-surrogate-pair","title":"a pair \ud83e\uddec of the gene kind"}',
    r'{"id":"w-slashes","title":"TCP\/IP and the \/dev\/null of networking"}',
    r'{"id":"w-escaped-zh","title":"\u91cf\u5b50\u8ba1\u7b97\u673a\u662f\u4ec0\u4e48"}',
    r'{"id":"w-backslash","title":"\"C:\\Users\\me\" and other \\ backslashes"}',
    r'{"id":"w-tabs","title":"tab\there,\nnewline there,\rreturn \u0085 and \u2028 too"}',
    r'{"id":"w-controls","title":"bell \u0007 escape \u001b back\bspace form\ffeed \u007f"}',
    r'{"title":"The title comes before the id","id":"w-order"}',
    r'{  "id" :  "w-spaces" ,	"title"	:	"Spaces and tabs between the parts"  }  ',
    r'{"id":"w-extra-before","n":-1.5e+10,"tags":["a",["b",{}],null],"title":"Keys before"}',
    r'{"id":"w-extra-after","title":"Keys after","meta":{"title":"not this","x":{"id":7}},"z":0}',
    r'{"meta":{"id":"inner","title":"inner"},"id":"w-nested","ok":true,"title":"Nested first"}',
    r'{"\u0069d":"w-escaped-key","\u0074itle":"Keys written with escapes"}',
    r'{"id":9007199254740993,"title":"An id beyond 2 to the 53"}',
    r'{"id":-7,"title":"A negative id"}',
    r'{"id":"w \"quoted\" \u00e9","title":"An id with quotes and an accent"}',
)

TITLES = (
    ("w-empty", ""),
    ("w-blank", "     "),
    ("w-ideographic-space", "\u3000\u3000"),
    ("w-emoji", "\U0001f3a8\U0001f3bb\U0001f3ad"),
    ("w-zwj", "A \U0001f469\u200d\U0001f52c and a \U0001f468\u200d\U0001f469\u200d\U0001f467"),
    ("w-long", " ".join(f"word{i % 97} about cells and stars" for i in range(180))),
    ("w-long-word", "x" * 101 + " beside a word of a hundred and one letters"),
    ("w-arabic", "\u062a\u0627\u0631\u064a\u062e \u0627\u0644\u0641\u0644\u0633\u0641\u0629 "
                 "\u0627\u0644\u064a\u0648\u0646\u0627\u0646\u064a\u0629"),
    ("w-hebrew", "\u05de\u05d3\u05e2 \u05d4\u05de\u05d5\u05d7 \u05dc\u05de\u05ea"
                 "\u05d7\u05d9\u05dc\u05d9\u05dd"),
    ("w-combining", "Cafe\u0301 cre\u0300me and a\u0308rzte with marks set apart"),
    ("w-specials", "[CLS] what [SEP] and [MASK] [PAD] [UNK] do to a title"),
    ("w-entities", "Profit &amp; loss &lt;explained&gt; &#8211; a primer"),
    ("w-url", "https://example.org/a/b?c=d&e=%20f#g"),
    ("w-caps", "HOW TO REPAIR A LAPTOP BATTERY WITHOUT BURNING THE HOUSE DOWN"),
    ("w-fullwidth", "\uff30\uff59\uff54\uff48\uff4f\uff4e \u5165\u9580\uff01"),
    ("w-private", "private \ue000\uf8ff use"),
    ("w-math", "\U0001d404\U0001d429\U0001d42c\U0001d422\U0001d425\U0001d428\U0001d427 proofs"),
    ("w-thai", "\u0e1b\u0e23\u0e30\u0e27\u0e31\u0e15\u0e34\u0e28\u0e32\u0e2a\u0e15\u0e23\u0e4c"),
    ("w-hindi", "\u0938\u094d\u0935\u093e\u0938\u094d\u0925\u094d\u092f \u0914\u0930 "
                "\u092f\u094b\u0917"),
    ("w-korean", "\uc778\uacf5\uc9c0\ub2a5 \uc785\ubb38"),
    ("w-bom", "\ufeffa mark at the start and \u200b no width \u00ad soft"),
    ("w-han-rare", "\U00020000\U0002a6d6 rare characters \u4dbf"),
    ("w-punctuation", "?!...---***(((\u00bf\u00a1\u00ab\u00bb\u300c\u300d)))"),
    ("w-digits", "1,000,000.00 \u0661\u0662\u0663 \u00bd \u2167"),
)


def held_out():
    """(subject, title) of every fifth line, in the order of the labels."""
    out = []
    for subject in SUBJECTS:
        path = DATA / "titles" / (subject.replace(" ", "_") + ".tsv")
        lines = path.read_text(encoding="utf-8").splitlines()
        out += [(subject, line.split("\t")[1]) for line in lines[4::5]]
    return out


def write_gzip(path, text):
    """No name and no time in the header, so that the bytes depend on the content alone."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=9) as f:
        f.write(text.encode("utf-8"))
    path.write_bytes(buffer.getvalue())


def main():
    rng = random.Random(SEED)
    titles = held_out()
    rng.shuffle(titles)
    lines, labels, heldout = [], [], ["id\ttitle\tlabel\n"]
    for i, (subject, title) in enumerate(titles):
        # One id in nine is a number.
        name = 100000 + i if i % 9 == 4 else f"v{i:05d}"
        lines.append(json.dumps({"id": name, "title": title}, ensure_ascii=i % 5 == 0))
        labels.append(f"{name}\t{subject}\n")
        heldout.append(f"{name}\t{title}\t{subject}\n")
    awkward = [json.dumps({"id": k, "title": t}, ensure_ascii=False) for k, t in TITLES]
    awkward += RAW_LINES
    for line in awkward:
        lines.insert(rng.randrange(len(lines) + 1), line)
    for line in lines:
        assert isinstance(json.loads(line)["title"], str) and "\n" not in line
    folder = DATA / "sample"
    folder.mkdir(exist_ok=True)
    write_gzip(folder / "catalog.jsonl.gz", "".join(line + "\n" for line in lines))
    (folder / "labels.tsv").write_text("".join(labels), encoding="utf-8")
    (folder / "heldout.tsv").write_text("".join(heldout), encoding="utf-8")
    print(f"{len(lines)} records, {len(labels)} with a label")


if __name__ == "__main__":
    main()
