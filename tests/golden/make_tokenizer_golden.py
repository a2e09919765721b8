#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the toy vocabulary of tests/golden/tokenizer_toy and what Hugging Face makes of 1,500
strings with it. Needs the PyPI package `tokenizers`.

The files:
  vocab.txt               pieces of words in several scripts, with gaps on purpose: dead ends
  golden.jsonl.gz         first line: how it was made; then one string a line: `hex`, its bytes;
                          `ids`, what Hugging Face gives; `ids_16` and `ids_512` with truncation to
                          so many tokens, where that changes anything
"""
import gzip
import hashlib
import importlib.util
import json
import pathlib
import string

import tokenizers

HERE = pathlib.Path(__file__).resolve().parent
TOY = HERE / "tokenizer_toy"
SEED = 20260101
TITLES = """How to repair a bicycle at home: 12 easy steps
The Economics of "Free" Software, 2nd ed. (updated)
C++ & C# for Beginners - don't panic!
Rock'n'roll history: 1950-1969, vol. II
Überraschende Rezepte für die schnelle Küche
L’été à la plage : guide de l’Atlantique
¿Cómo aprender español en 30 días?
Introdução à programação com Python
Как написать книгу: советы начинающим
Історія України, том 3
日本の歴史入門：江戸時代から明治へ
机器学习与自然语言处理 (第二版)
한국어 문법의 이해
مقدمة في علم الفلك
हिन्दी कविता का इतिहास
ประวัติศาสตร์ไทยฉบับย่อ
Ελληνική μυθολογία για παιδιά
Türkiye'de İklim Değişikliği
Việt Nam: đất nước và con người
👩‍🔬 Science for kids 🚀 rockets & stars ⭐️""".split("\n")


def toy_vocabulary():
    """Special tokens, [unusedN], every character of the titles but a few, and pieces of words."""
    words = " ".join(TITLES).split()
    more = string.ascii_letters + string.digits + ".,:;!?-()[]#'\"/&%€éüñаяウ가日本中文"
    chars = sorted(set("".join(words)) | set(more))
    lacking = set("qЭषฉ9")
    start = {char for char in chars if char not in lacking}
    after = {char for char in chars if char not in lacking and char not in "zжจ7"}
    for i, word in enumerate(words):
        start.update(word[:n] for n in range(2, len(word) + 1) if (n * 7 + i) % 3 == 0)
        after.update(word[n:] for n in range(1, len(word)) if (n * 5 + i) % 4 == 0)
        after.update(word[n : n + 3] for n in range(1, len(word)) if (n + i) % 5 == 0)
    rest = sorted(start) + ["##" + piece for piece in sorted(after)] + ["##", "####", "#ing", "[x]"]
    special = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return special + [token for token in rest if token not in special]


def differential():
    """tests/differential/tokenizer.py, which knows the reference and the kinds of strings."""
    path = HERE.parent / "differential/tokenizer.py"
    spec = importlib.util.spec_from_file_location("differential_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    TOY.mkdir(exist_ok=True)
    vocab = toy_vocabulary()
    (TOY / "vocab.txt").write_bytes("".join(token + "\n" for token in vocab).encode())
    peer = differential()
    tokenizer = peer.reference(tokenizers, TOY)
    maker = peer.Strings(SEED, [title.encode() for title in TITLES], sorted(vocab))
    strings = [title.encode() for title in TITLES]
    while len(strings) < 1500:
        made = maker.next()
        if len(made) < 5000:
            strings.append(made)
    by_length = {n: peer.ask_reference(tokenizer, n, strings) for n in (0, 16, 512)}
    lines = [{
        "made_with": f"Hugging Face tokenizers {tokenizers.__version__}",
        "vocab_sha256": hashlib.sha256((TOY / "vocab.txt").read_bytes()).hexdigest(),
    }]
    for i, made in enumerate(strings):
        line = {"hex": made.hex(), "ids": [int(n) for n in by_length[0][i].split()]}
        for n in (16, 512):
            if by_length[n][i] != by_length[0][i]:
                line[f"ids_{n}"] = [int(n) for n in by_length[n][i].split()]
        lines.append(line)
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (TOY / "golden.jsonl.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(vocab)} tokens, {len(strings)} strings")


if __name__ == "__main__":
    main()
