# SPDX-License-Identifier: Apache-2.0
"""Measures a model directory on the held-out titles: every fifth line of data/titles/*.tsv."""
import argparse
import collections
import json
import pathlib

import torch
import transformers

import corpus

DATA = corpus.HERE.parent


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=pathlib.Path, default=DATA / "model")
    p.add_argument("--out", type=pathlib.Path, default=corpus.HERE / "heldout.json")
    p.add_argument("--mistakes", action="store_true", help="print the titles it got wrong")
    return p.parse_args()


@torch.no_grad()
def predict(folder, texts):
    """Labels by transformers alone, one title at a time: the stored fp16 weights, in fp32."""
    tok = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, torch_dtype=torch.float32).eval()
    limit = model.config.max_position_embeddings
    out = []
    for text in texts:
        inputs = tok(text, truncation=True, max_length=limit, return_tensors="pt")
        out.append(model(**inputs).logits.argmax().item())
    return out


def tally(pairs):
    """{key: [right, of]} over (key, right) pairs, in order of first appearance."""
    out = collections.OrderedDict()
    for key, right in pairs:
        entry = out.setdefault(key, [0, 0])
        entry[0] += right
        entry[1] += 1
    return out


def figures(counts):
    return {k: {"right": r, "of": n, "accuracy": round(r / n, 4)} for k, (r, n) in counts.items()}


def group(lang):
    return lang if lang in ("en", "zh") else "others"


def show(title, part):
    print(title)
    for key, f in part.items():
        print(f"  {key:24} {f['right']:4} of {f['of']:4}  {100 * f['accuracy']:5.1f} %")


def main():
    args = arguments()
    rows = corpus.held_out_titles(DATA / "titles")
    labels = predict(args.model, [t for _, _, t in rows])
    right = [int(a == b) for (a, _, _), b in zip(rows, labels)]
    langs = [lang for _, lang, _ in rows]
    result = {
        "rule": "every fifth line of each file of data/titles",
        "weights": "fp16 as stored, run in fp32",
        "overall": figures(tally(("all", r) for r in right))["all"],
        "by_group": figures(tally((group(g), r) for g, r in zip(langs, right))),
        "by_language": figures(tally(zip(langs, right))),
        "by_subject": figures(tally((corpus.SUBJECTS[a], r)
                                    for (a, _, _), r in zip(rows, right))),
    }
    show("overall", {"all": result["overall"]})
    for part in ("by_group", "by_language", "by_subject"):
        show(part, result[part])
    if args.mistakes:
        for (a, lang, text), b in zip(rows, labels):
            if a != b:
                print(corpus.SUBJECTS[a], "->", corpus.SUBJECTS[b], lang, text, sep="\t")
    args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
