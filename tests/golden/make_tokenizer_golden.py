#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden files of the tokenizer. Needs the PyPI package `tokenizers`.

  make_tokenizer_golden.py toys        tokenizer_toy and tokenizer_toy_uncased: a vocabulary each,
                                       and what Hugging Face makes of 1,500 strings with it
  make_tokenizer_golden.py real DIR    tokenizer_muncased.jsonl.gz and tokenizer_euncased.jsonl.gz
                                       from DIR/tokenizer/golden.jsonl.gz, which has the ids of
                                       several vocabularies, and DIR/vocabs

The files:
  vocab.txt               pieces of words in several scripts, with gaps on purpose: dead ends
  golden.jsonl.gz         first line: how it was made; then one string a line: `hex`, its bytes;
                          `ids`, what Hugging Face gives; `ids_16` and `ids_512` with truncation to
                          so many tokens, where that changes anything
  tokenizer_*.jsonl.gz    the same; the uncased ones without truncation. Their vocabularies are not
                          here: bert-base-multilingual-uncased and bert-base-uncased
"""
import gzip
import hashlib
import json
import pathlib
import string
import sys

import tokenizers

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "differential"))
import tokenizer_alphabet as alphabet  # noqa: E402
from tokenizer_compare import ask_reference  # noqa: E402
from tokenizer_models import reference  # noqa: E402
from tokenizer_strings import Strings  # noqa: E402

SEED = 20260101
N = 1500
SPECIAL = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
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

# One of each danger of lower-casing and decomposing, and a few that look like one.
DANGERS = """\
Élan élan E\u0301lan|Ångström \u212bngstro\u0308m|Việt NAM Vie\u0323\u0302t|ΟΔΥΣΣΕΥΣ
ΣΑΣ. Σ|İstanbul I\u0307stanbul Istanbul ıı|ǅ Ǆ ǆ ᾈ ᾀ|ẞ ß STRASSE|ﬁ FI|\u10a0\u1c90\u10d0
\u13a0\uab70\u13f8\u13f0|\ua7cb\ua7dc|\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab|\uac00\u11a8 \uac01
\uac00\u302e|\u3131\uffa1|a\u2260b a\u226eb a\u226fb|\u1fef`|a=\u0338b|\u037e;\u0387
\u2000a\u2001b|\uf900\u8c48|\U0002f800|\ufb1d\u05d9\u05b4|\u1734\u1735|\u1885\u180f\u07fd
a\u08e1\u08d4b|\u1b44\u302e|\u302e\u1b44|a\u302e\u0300\u1b44|a\u302e\u034f\u1b44
a\u302e\u00ad\u1b44|a\u302e\u0898\u1b44|\U0001d15e|\U0001d160\U0001d165|\U0001e94a\U0001e944
\U0001e944\U0001e94a|\U0001e000\ua953|a\u200d\u0301\u200db|\u0344\u0958|e\u20e3|\u0301
\u0301\u0302 a|[C\u0301LS]|[CLS]\u0301|[cls] [CLS]|\u017f\u212a\u2126|\u0345\u1fb3
""".strip().replace("\n", "|").split("|")


def pieces(words, chars, no_start, no_after):
    """Characters and pieces of words: what may start a word, what may come later."""
    start = {char for char in chars if char not in no_start}
    after = {char for char in chars if char not in no_after}
    for i, word in enumerate(words):
        start.update(word[:n] for n in range(2, len(word) + 1) if (n * 7 + i) % 3 == 0)
        after.update(word[n:] for n in range(1, len(word)) if (n * 5 + i) % 4 == 0)
        after.update(word[n : n + 3] for n in range(1, len(word)) if (n + i) % 5 == 0)
    return start, after


def toy_vocabulary():
    """Special tokens, [unusedN], every character of the titles but a few, and pieces of words."""
    words = " ".join(TITLES).split()
    more = string.ascii_letters + string.digits + ".,:;!?-()[]#'\"/&%€éüñаяウ가日本中文"
    start, after = pieces(words, set("".join(words) + more), "qЭษฉ9", "qЭษฉ9zжจ7")
    return finish(start, after)


def uncased_vocabulary():
    """The same of titles in normal form; and the characters whose normal form is no plain matter,
    with pairs of marks in and out of canonical order."""
    normalize = tokenizers.normalizers.BertNormalizer().normalize_str
    words = normalize(" ".join(TITLES + DANGERS)).split()
    chars = set("".join(words) + string.ascii_lowercase + string.digits + string.punctuation)
    chars.update(alphabet.SURVIVORS, alphabet.NEW_MARKS, alphabet.MARKS_OF_CLASS_0)
    odd = alphabet.CASES + alphabet.HANGUL + alphabet.COMPATIBLE + alphabet.MADE_PUNCTUATION + \
        alphabet.MUSICAL
    chars.update(normalize("".join(odd)), "".join(odd[::7]), "éÉσς\u0307\u1734")
    chars.update(map(chr, [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]))
    start, after = pieces(words, chars - set(" "), "qэษฉ9", "qэษฉ9zж7")
    marks = alphabet.SURVIVORS[::3]
    for first, second in zip(marks, marks[5:] + marks[:5]):
        after.update((first + second, second + first))
    return finish(start, after)


def finish(start, after):
    rest = sorted(start) + ["##" + piece for piece in sorted(after)] + ["##", "####", "#ing", "[x]"]
    return SPECIAL + [token for token in dict.fromkeys(rest) if token not in SPECIAL]


def make_strings(vocab, uncased):
    """The titles and dangers, then strings of all kinds; for an uncased model every second one of
    the kinds that are dangerous to it."""
    maker = Strings(SEED, [title.encode() for title in TITLES], sorted(vocab))
    made = [text.encode() for text in TITLES + (DANGERS if uncased else [])]
    kinds = [maker.accents, maker.reordered, maker.reordered, maker.cases, maker.hangul,
             maker.made_punctuation, maker.bent_tokens, maker.long_word]
    while len(made) < N:
        new = kinds[len(made) // 2 % len(kinds)]() if uncased and len(made) % 2 else maker.next()
        if len(new) < 5000:
            made.append(new)
    return made


def write(path, lines):
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{path.name}: {len(lines) - 1} strings, {path.stat().st_size} bytes")


def make_toy(name, vocab, uncased):
    """The directory of a toy model, and its goldens."""
    toy = HERE / name
    toy.mkdir(exist_ok=True)
    (toy / "vocab.txt").write_bytes("".join(token + "\n" for token in vocab).encode())
    if uncased:
        (toy / "tokenizer_config.json").write_text('{"do_lower_case": true}\n', "ascii")
    strings = make_strings(vocab, uncased)
    model = reference(tokenizers, toy)
    by_length = {n: ask_reference(model, n, strings) for n in (0, 16, 512)}
    lines = [{
        "made_with": f"Hugging Face tokenizers {tokenizers.__version__}",
        "vocab_sha256": hashlib.sha256((toy / "vocab.txt").read_bytes()).hexdigest(),
    }]
    for i, made in enumerate(strings):
        line = {"hex": made.hex(), "ids": [int(n) for n in by_length[0][i].split()]}
        for n in (16, 512):
            if by_length[n][i] != by_length[0][i]:
                line[f"ids_{n}"] = [int(n) for n in by_length[n][i].split()]
        lines.append(line)
    write(toy / "golden.jsonl.gz", lines)
    print(f"{name}: {len(vocab)} tokens")


def copy_real(shared):
    """The ids of the two uncased vocabularies, each in a file as the cased one's."""
    with gzip.open(shared / "tokenizer/golden.jsonl.gz", "rt", encoding="ascii") as stream:
        rows = list(map(json.loads, stream))
    for key, vocab in (("muncased", "bert-base-multilingual-uncased"),
                       ("euncased", "bert-base-uncased")):
        text = (shared / "vocabs" / vocab / "vocab.txt").read_bytes()
        head = {"made_with": "Hugging Face tokenizers 0.23.2", "vocab": vocab,
                "vocab_sha256": hashlib.sha256(text).hexdigest()}
        write(HERE / f"tokenizer_{key}.jsonl.gz",
              [head] + [{"hex": row["hex"], "ids": row[key]} for row in rows])


def main():
    if sys.argv[1:] == ["toys"]:
        make_toy("tokenizer_toy", toy_vocabulary(), uncased=False)
        make_toy("tokenizer_toy_uncased", uncased_vocabulary(), uncased=True)
    elif len(sys.argv) == 3 and sys.argv[1] == "real":
        copy_real(pathlib.Path(sys.argv[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
