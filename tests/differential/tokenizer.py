#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares `wader tokenize` with Hugging Face's own tokenizer on fuzzed strings and real titles.

  tests/differential/tokenizer.py --wader build/wader --model DIR [--short]

Every string is made from --seed, so a run can be repeated. Strings are bytes; Hugging Face gets
them decoded with errors="replace", which is how wader reads ill-formed UTF-8. Needs the PyPI
package `tokenizers`; with --venv it is installed into that directory. Exits 0 when all ids are
equal, 1 when some differ, 77 after SKIP when something needed is not there.
"""
import argparse
import glob
import gzip
import os
import pathlib
import random
import subprocess
import sys
import time
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from packages import skip, use  # noqa: E402

SHARED = pathlib.Path(os.environ.get("WADER_SHARED", ROOT.parent / "shared"))
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BLOCK = 10000
LENGTHS = [0, 0, 512, 512, 128, 16, 8, 3, 2]  # one a block, in turn; 0: no limit


def import_tokenizers(venv, threads):
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    return use("tokenizers", venv)


def reference(tokenizers, model):
    """Hugging Face's tokenizer of a cased model directory."""
    json_file = pathlib.Path(model, "tokenizer.json")
    if json_file.exists():
        tokenizer = tokenizers.Tokenizer.from_file(str(json_file))
        tokenizer.no_padding()
        return tokenizer
    with open(pathlib.Path(model, "vocab.txt"), encoding="utf-8", newline="\n") as lines:
        vocab = {line.rstrip("\n"): i for i, line in enumerate(lines)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(
        vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens([token for token in SPECIAL if token in vocab])
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return tokenizer


class Strings:
    """Strings of every kind that has been a bug in some tokenizer."""

    def __init__(self, seed, titles, vocab):
        self.random = random.Random(seed)
        self.titles = titles
        self.vocab = vocab
        self.bare = [token[2:] if token.startswith("##") else token for token in vocab]
        self.classes = {"delete": [], "space": [], "punct": [], "cjk": []}
        self.edges = []
        for line in (ROOT / "tokenizer/unicode_ranges.tsv").read_text("ascii").splitlines():
            if line.startswith("#"):
                continue
            first, last, name = line.split("\t")
            first, last = int(first, 16), int(last, 16)
            self.classes[name].append((first, last))
            self.edges += [c for c in (first - 1, first, last, last + 1) if self.scalar(c)]
        # Where Hugging Face's frozen tables part from newer Unicode, and other old acquaintances.
        self.odd = [chr(c) for c in (
            0, 0xB, 0xC, 0x1C, 0x1F, 0x7F, 0x85, 0xA0, 0xAD, 0x130, 0x131, 0x34F, 0x61C, 0x61D,
            0x890, 0x8E2, 0x110CD, 0x13430, 0x166D, 0x111C9, 0x1734, 0x180E, 0x200B, 0x200C, 0x200D,
            0x200E, 0x2028, 0x2029, 0x202E, 0x2060, 0x2065, 0x20E3, 0x2E43, 0x2E5D, 0x3000, 0x3007,
            0xD7FF, 0xE000, 0xF8FF, 0xFDD0, 0xFE0E, 0xFE0F, 0xFEFF, 0xFFF9, 0xFFFC, 0xFFFD, 0xFFFE,
            0xFFFF, 0x1F1E6, 0x1F3FB, 0x1F468, 0x1F600, 0x2B81F, 0x2B820, 0x2B91F, 0x2B920, 0x2CEB0,
            0xE0001, 0xE0061, 0xE007F, 0xE0100, 0xF0000, 0xFFFFD, 0xFFFFE, 0x10FFFD, 0x10FFFF)]
        self.kinds = [
            (self.title, 30), (self.mangled_title, 14), (self.bent_title, 8),
            (self.code_points, 12), (self.joined, 10), (self.specials, 7), (self.tokens, 12),
            (self.long_word, 5), (self.many_tokens, 1), (self.bytes_, 5), (self.ill_formed, 5),
            (self.blank, 1),
            (self.hashes, 2), (self.very_long, 0.02)]

    @staticmethod
    def scalar(code):
        return 0 <= code < 0x110000 and not 0xD800 <= code < 0xE000

    def next(self):
        makers, weights = zip(*self.kinds)
        return self.random.choices(makers, weights)[0]()

    def code_point(self):
        r = self.random
        kind = r.randrange(8)
        if kind == 0:
            return chr(r.choice(self.edges))
        if kind == 1:
            return r.choice(self.odd)
        if kind == 2:
            first, last = r.choice(self.classes[r.choice(list(self.classes))])
            return chr(r.randint(first, last))
        while True:
            top = (0x80, 0x250, 0x800, 0x3000, 0x10000, 0x20000, 0x110000)[r.randrange(7)]
            code = r.randrange(top)
            if self.scalar(code):
                return chr(code)

    def code_points(self):
        n = self.random.choice((1, 2, 3, 5, 8, 20, 60))
        return "".join(self.code_point() for _ in range(n)).encode()

    def joined(self):
        """One character between letters: does it join, split or stand alone?"""
        r = self.random
        words = r.choice(("ab", "Test test", "Zürich x", "日本 語", "été ete", "Привет мир"))
        at = r.randrange(len(words) + 1)
        return (words[:at] + self.code_point() * r.choice((1, 1, 1, 2, 5)) + words[at:]).encode()

    def title(self):
        return self.random.choice(self.titles)

    def mangled_title(self):
        """A title with bytes changed, dropped, doubled, or cut off at the end."""
        r = self.random
        data = bytearray(self.title())
        for _ in range(r.choice((1, 1, 2, 4))):
            at = r.randrange(len(data) + 1)
            kind = r.randrange(5)
            if kind == 0 and at < len(data):
                data[at] = r.randrange(256)
            elif kind == 1 and at < len(data):
                del data[at]
            elif kind == 2:
                data[at:at] = bytes([r.randrange(256)]) * r.choice((1, 2, 3))
            elif kind == 3:
                data = data[:at]
            else:
                data[at:at] = self.code_point().encode()
        return bytes(data)

    def bent_title(self):
        """A title in another normal form, case, encoding, or glued to another one."""
        r = self.random
        title = self.title()
        text = title.decode("utf-8", "replace")
        kind = r.randrange(8)
        if kind < 4:
            form = ("NFC", "NFD", "NFKC", "NFKD")[kind]
            return unicodedata.normalize(form, text).encode()
        if kind == 4:
            return text.upper().encode("utf-8", "replace")
        if kind == 5:
            return text.encode("latin-1", "replace")
        if kind == 6:
            return text.replace(" ", self.code_point()).encode()
        return title + r.choice((b"", b" ", b"-", self.code_point().encode())) + self.title()

    def specials(self):
        """Special tokens whole, broken, nested, in other cases, glued to words."""
        r = self.random
        parts = []
        for _ in range(r.choice((1, 2, 3, 6))):
            token = r.choice(SPECIAL).encode()
            kind = r.randrange(9)
            if kind == 0:
                at = r.randrange(len(token) + 1)
                token = token[:at] + self.code_point().encode() + token[at:]
            elif kind == 1:
                at = r.randrange(len(token) + 1)
                token = token[:at] + bytes([r.randrange(128, 256)]) + token[at:]
            elif kind == 2:
                token = token.lower()
            elif kind == 3:
                token = token[: r.randrange(len(token))]
            elif kind == 4:
                token = b"[" + token + b"]"
            elif kind == 5:
                token = r.choice((b"foo", b" ", b"##", b"\xc2\xad", b"[", b"]", b"[unused1]"))
            parts.append(token)
        return r.choice((b"", b" ", b"a")).join(parts)

    def tokens(self):
        """Entries of the vocabulary alone, doubled, glued in ways that need backing off."""
        r = self.random
        source = r.choice((self.vocab, self.bare))
        n = r.choice((1, 1, 2, 3, 5))
        parts = [r.choice(source) for _ in range(n)]
        if r.randrange(4) == 0:
            parts = [parts[0]] * 2
        if r.randrange(4) == 0:
            parts[-1] = parts[-1][: r.randrange(len(parts[-1]) + 1)]
        return r.choice(("", "", "", " ", "\u00ad", "x")).join(parts).encode()

    def long_word(self):
        """Words of about 100 characters of any width, some with deleted characters inside."""
        r = self.random
        n = r.choice((98, 99, 100, 100, 101, 101, 102, 150, 199, 200, 201, 400))
        unit = r.choice(("a", "e", "é", "я", "ก", "가", "😀", "x\u00ad", "\u0301", "e\u0301", "ab"))
        word = (unit * n)[:n]
        for _ in range(r.randrange(4)):
            at = r.randrange(len(word) + 1)
            word = word[:at] + r.choice(("\u00ad", "\u200d", "\ufeff", "\0", "\ufffd")) + word[at:]
        data = word.encode()
        if r.randrange(4) == 0:
            at = r.randrange(len(data) + 1)
            data = data[:at] + b"\xff" + data[at:]
        return r.choice((b"", b"a ", b"-", b"[CLS]")) + data + r.choice((b"", b" b", b"."))

    def many_tokens(self):
        """About as many tokens as the usual limit lets through."""
        r = self.random
        n = r.randint(505, 515)
        last = r.choice(("", " ", "\u00ad", " \0 ", "é", "unbelievable", "😀x", "[SEP]", "[SE"))
        return (r.choice(("a ", ".", "日", "[MASK]", "x-")) * n + last).encode()

    def bytes_(self):
        return self.random.randbytes(self.random.choice((1, 2, 3, 4, 8, 16, 40)))

    def ill_formed(self):
        r = self.random
        bad = (b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe0\x80\xaf",
               b"\xe0\x9f\xbf", b"\xe4\xb8", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xef\xbf",
               b"\xf0\x80\x80\x80", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xf4\x90\x80\x80",
               b"\xf5\x80\x80\x80", b"\xfe", b"\xff", b"\xf8\x88\x80\x80\x80",
               b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\xc3\xa9")
        good = (b"a", b"b ", "é".encode(), "中".encode(), "😀".encode(), b"", b".", b"[CLS]", b"[")
        return b"".join(r.choice(good) + r.choice(bad) for _ in range(r.choice((1, 2, 3, 6)))) + \
            r.choice(good)

    def blank(self):
        r = self.random
        blanks = " \t\n\r\u00a0\u3000\u2028\u00ad\0\x0b\u200b"
        return "".join(r.choice(blanks) for _ in range(r.randrange(8))).encode()

    def hashes(self):
        r = self.random
        return "".join(r.choice(("#", "##", "###", "s", "ing", " ", "##s", "C#", "\u00ad"))
                       for _ in range(r.randrange(1, 8))).encode()

    def very_long(self):
        n = self.random.choice((300, 1000, 5000))
        return b" ".join(self.title() for _ in range(n))


def real_titles(files, seed, at_most=150000):
    """Lines of the files, without the label or language before a tab; all at once when few."""
    lines = []
    for name in files:
        opener = gzip.open if name.endswith(".gz") else open
        with opener(name, "rb") as stream:
            lines += [line.rstrip(b"\n").split(b"\t")[-1] for line in stream]
    random.Random(seed).shuffle(lines)
    return lines[:at_most]


def ask_wader(wader, model, max_length, strings):
    command = [*wader.split(), "tokenize", "--model", model, "--hex", "--max-length",
               str(max_length)]
    lines = "".join(string.hex() + "\n" for string in strings)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} exited {done.returncode}: {done.stderr.strip()}")
    answers = done.stdout.splitlines()
    if len(answers) != len(strings):
        sys.exit(f"{len(strings)} lines in, {len(answers)} lines out")
    return answers


def ask_reference(tokenizer, max_length, strings):
    if max_length:
        tokenizer.enable_truncation(max_length)
    else:
        tokenizer.no_truncation()
    texts = [string.decode("utf-8", "replace") for string in strings]
    batch = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)(texts)
    return [" ".join(map(str, encoding.ids)) for encoding in batch]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wader", default=str(ROOT / "build/wader"), help="the program")
    parser.add_argument("--model", default=str(SHARED / "vocabs/bert-base-multilingual-cased"))
    parser.add_argument("--n", type=int, default=1000000, help="strings to compare")
    parser.add_argument("--short", action="store_true", help="60,000 strings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="threads of the reference")
    parser.add_argument("--venv", help="install tokenizers here where it cannot be imported")
    parser.add_argument("--titles", nargs="*", help="files of titles; default: what is there")
    args = parser.parse_args()
    n = 60000 if args.short else args.n
    if not os.path.exists(args.model):
        skip(f"no model directory {args.model}")
    if not os.path.exists(args.wader.split()[0]):
        skip(f"no program {args.wader}")
    tokenizers = import_tokenizers(args.venv, args.threads)
    tokenizer = reference(tokenizers, args.model)
    vocab = sorted(tokenizer.get_vocab())
    files = args.titles or sorted(glob.glob(str(SHARED / "titles/*.tsv.gz"))) + \
        sorted(glob.glob(str(ROOT / "data/**/*.jsonl.gz"), recursive=True)) + \
        sorted(glob.glob(str(ROOT / "data/**/*.tsv.gz"), recursive=True))
    titles = real_titles(files, args.seed) or [b"A title", "Ein Titel für alle".encode()]
    strings = Strings(args.seed, titles, vocab)
    started = time.monotonic()
    seen = wrong = n_ids = 0
    while seen < n:
        max_length = LENGTHS[seen // BLOCK % len(LENGTHS)]
        block = [strings.next() for _ in range(min(BLOCK, n - seen))]
        wanted = ask_reference(tokenizer, max_length, block)
        for string, want, got in zip(block, wanted, ask_wader(args.wader, args.model, max_length,
                                                              block)):
            n_ids += want.count(" ") + 1
            if want == got:
                continue
            wrong += 1
            if wrong <= 10:
                print(f"max length {max_length}, bytes {string[:200].hex()} ({len(string)})\n"
                      f"  Hugging Face: {want[:300]}\n  wader:        {got[:300]}")
        seen += len(block)
    print(f"{seen} strings, {n_ids} ids, {wrong} mismatches; seed {args.seed}, {len(titles)} "
          f"titles from {len(files)} files, tokenizers {tokenizers.__version__}, "
          f"{time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
