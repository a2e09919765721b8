# SPDX-License-Identifier: Apache-2.0
"""Strings, as bytes, of every kind that has been a bug in some tokenizer."""
import gzip
import itertools
import random
import unicodedata

import tokenizer_alphabet as alphabet

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list("aeosxAEOZ019") + alphabet.spans("C6 3B1 3A3 438 5D0 628 915 E01 1100 2C00 4E2D")
# Units of long words and how many characters their normal forms may have.
UNITS = [(text, n) for text, sizes in (
    ("a", "1"), ("e", "1"), ("A", "1"), ("\u00e9", "12"), ("\u044f", "1"), ("\u0e01", "1"),
    ("\uac00", "12"), ("\ud55c", "13"), ("\U0001f600", "1"), ("x\u00ad", "12"), ("\u0301", "1"),
    ("e\u0301", "12"), ("ab", "2"), ("\u0130", "12"), ("\u0390", "13"), ("\u1ec7", "13"),
    ("\u0958", "12"), ("\U0001d15e", "2"), ("\U0001d160", "3"), ("a\u08d4", "2"), ("\u302e", "1"),
    ("\ufb2c", "123"), ("\u1e9e", "1"), ("\u200d", "1")) for n in map(int, sizes)]
ILL_FORMED = (b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe0\x80\xaf", b"\xe0\x9f\xbf",
              b"\xe4\xb8", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xef\xbf", b"\xf0\x80\x80\x80",
              b"\xf0\x9f\x98", b"\xf0\x9f", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xfe",
              b"\xff", b"\xf8\x88\x80\x80\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\xc3\xa9")


class Strings:
    """`specials` are the added tokens of the model, `max_chars` its longest word, `prefix` what its
    pieces inside words start with."""

    def __init__(self, seed, titles, vocab, specials=None, max_chars=100, prefix="##"):
        self.random = random.Random(seed)
        self.titles = titles
        self.vocab = vocab
        self.bare = [token.removeprefix(prefix) for token in vocab]
        self.specials_ = specials or SPECIAL
        self.max_chars = max_chars
        self.classes = alphabet.kinds_of_raw_characters()
        self.edges = [code for ranges in self.classes.values() for first, last in ranges
                      for code in (first - 1, first, last, last + 1) if alphabet.is_scalar(code)]
        self.accented = alphabet.decomposing() + alphabet.CASES
        kinds = [
            (self.title, 30), (self.mangled_title, 14), (self.bent_title, 10),
            (self.code_points, 12), (self.joined, 10), (self.specials, 7), (self.tokens, 12),
            (self.long_word, 4), (self.many_tokens, 0.5), (self.bytes_, 5), (self.ill_formed, 5),
            (self.blank, 1), (self.hashes, 2), (self.very_long, 0.005),
            (self.accents, 10), (self.reordered, 10), (self.cases, 10), (self.hangul, 3),
            (self.made_punctuation, 4), (self.bent_tokens, 5)]
        self.makers, weights = zip(*kinds)
        self.weights = list(itertools.accumulate(weights))

    def reseed(self, seed):
        self.random.seed(seed)

    def next(self):
        return self.random.choices(self.makers, cum_weights=self.weights)[0]()

    def code_point(self):
        r = self.random
        kind = r.randrange(9)
        if kind == 0:
            return chr(r.choice(self.edges))
        if kind == 1:
            return r.choice(alphabet.ODD)
        if kind == 2:
            first, last = r.choice(self.classes[r.choice(list(self.classes))])
            return chr(r.randint(first, last))
        if kind == 3:
            return r.choice(self.accented)
        while True:
            code = r.randrange(r.choice((0x80, 0x250, 0x800, 0x3000, 0x10000, 0x20000, 0x110000)))
            if alphabet.is_scalar(code):
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

    def bend(self, text):
        """The text in another normal form or case."""
        kind = self.random.randrange(9)
        if kind < 5:
            return unicodedata.normalize(("NFC", "NFD", "NFKC", "NFKD", "NFD")[kind], text)
        return (text.upper, text.swapcase, text.title, text.casefold)[kind - 5]()

    def bent_title(self):
        """A title in another normal form, case, encoding, or glued to another one."""
        r = self.random
        title = self.title()
        text = title.decode("utf-8", "replace")
        kind = r.randrange(9)
        if kind < 6:
            return self.bend(text).encode()
        if kind == 6:
            return text.encode("latin-1", "replace")
        if kind == 7:
            return text.replace(" ", self.code_point()).encode()
        return title + r.choice((b"", b" ", b"-", self.code_point().encode())) + self.title()

    def specials(self):
        """Added tokens whole, broken, nested, in other cases, glued to words."""
        r = self.random
        parts = []
        for _ in range(r.choice((1, 2, 3, 6))):
            text = r.choice(self.specials_)
            token = text.encode()
            kind = r.randrange(10)
            if kind == 0:
                at = r.randrange(len(text) + 1)
                token = (text[:at] + self.code_point() + text[at:]).encode()
            elif kind == 1:
                at = r.randrange(len(token) + 1)
                token = token[:at] + bytes([r.randrange(128, 256)]) + token[at:]
            elif kind == 2:
                token = r.choice((text.lower(), text.upper(), self.bend(text))).encode()
            elif kind == 3:
                token = token[: r.randrange(len(token))]
            elif kind == 4:
                token = b"[" + token + b"]"
            elif kind == 5:
                token = r.choice((b"foo", b" ", b"##", b"\xc2\xad", b"[", b"]", b"[unused1]"))
            elif kind == 6:
                token = b"e" + token + "\u0301e".encode()
            parts.append(token)
        return r.choice((b"", b"", b" ", b"a")).join(parts)

    def tokens(self):
        """Entries of the vocabulary alone, doubled, glued in ways that need backing off."""
        r = self.random
        source = r.choice((self.vocab, self.bare))
        parts = [r.choice(source) for _ in range(r.choice((1, 1, 2, 3, 5)))]
        if r.randrange(4) == 0:
            parts = [parts[0]] * 2
        if r.randrange(4) == 0:
            parts[-1] = parts[-1][: r.randrange(len(parts[-1]) + 1)]
        return r.choice(("", "", "", " ", "\u00ad", "x")).join(parts).encode()

    def bent_tokens(self):
        """Entries of the vocabulary as they may be before they are normalized."""
        r = self.random
        text = "".join(r.choice(self.bare) for _ in range(r.choice((1, 2, 3))))
        if r.randrange(3) == 0:
            at = r.randrange(len(text) + 1)
            text = text[:at] + self.mark() + text[at:]
        return self.bend(text).encode()

    def long_word(self):
        """Words of about as many characters as a word may have, some with deleted ones inside."""
        r = self.random
        unit, size = r.choice(UNITS)
        n = max(0, self.max_chars + r.choice((-2, -1, 0, 0, 1, 1, 2, 50, self.max_chars)))
        word = unit * (n // size) + r.choice(("a", "\u0301", unit)) * (n % size)
        for _ in range(r.randrange(4)):
            at = r.randrange(len(word) + 1)
            word = word[:at] + r.choice(alphabet.DELETED) + word[at:]
        data = word.encode()
        if r.randrange(4) == 0:
            at = r.randrange(len(data) + 1)
            data = data[:at] + b"\xff" + data[at:]
        before = (b"", b"a ", b"-", r.choice(self.specials_).encode())
        return r.choice(before) + data + r.choice((b"", b" b", b"."))

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
        good = (b"a", b"b ", "é".encode(), "中".encode(), "😀".encode(), b"", b".", b"[CLS]", b"[",
                b"\xcc\x81")
        return b"".join(r.choice(good) + r.choice(ILL_FORMED)
                        for _ in range(r.choice((1, 2, 3, 6)))) + r.choice(good)

    def blank(self):
        r = self.random
        blanks = " \t\n\r\u00a0\u3000\u2028\u00ad\0\x0b\u200b\u2000\u0301"
        return "".join(r.choice(blanks) for _ in range(r.randrange(8))).encode()

    def hashes(self):
        r = self.random
        return "".join(r.choice(("#", "##", "###", "s", "ing", " ", "##s", "C#", "\u00ad"))
                       for _ in range(r.randrange(1, 8))).encode()

    def very_long(self):
        n = self.random.choice((300, 1000, 3000))
        return b" ".join(self.title() for _ in range(n))[:400000]

    def mark(self):
        """A combining mark, or what becomes one."""
        r = self.random
        return r.choice(r.choice((
            alphabet.SURVIVORS, alphabet.SURVIVORS, alphabet.SURVIVORS, alphabet.STRIPPED,
            alphabet.STRIPPED, alphabet.STRIPPED_STARTERS, alphabet.NEW_MARKS, alphabet.MUSICAL,
            alphabet.DECOMPOSING_MARKS, alphabet.MARKS_OF_CLASS_0)))

    def survivor(self):
        """A mark that canonical order moves, seldom one that vanishes or stays."""
        r = self.random
        return r.choice(r.choice((alphabet.SURVIVORS,) * 6 + (
            alphabet.STRIPPED, alphabet.STRIPPED_STARTERS, alphabet.NEW_MARKS)))

    def reordered(self):
        """Marks that survive the stripping of accents and that canonical order moves, with others
        that block them or vanish among them."""
        r = self.random
        mark = r.choice((self.mark, self.survivor, self.survivor))
        text = r.choice(("", "", " ", "[", "."))
        for _ in range(r.choice((1, 1, 1, 2, 3))):
            text += r.choice(LETTERS) if r.randrange(8) else ""
            for _ in range(r.choice((1, 2, 2, 3, 3, 4, 6, 12) if r.randrange(50) else (40, 150))):
                text += mark()
                if r.randrange(8) == 0:
                    text += r.choice(alphabet.DELETED)
        return (text + r.choice(("", "", "b", " b", "[SEP]"))).encode()

    def accents(self):
        """Letters with accents in any normal form, marks between deleted characters."""
        r = self.random
        text = ""
        for _ in range(r.choice((1, 2, 3, 5, 9))):
            letter = r.choice(self.accented if r.randrange(2) else LETTERS)
            kind = r.randrange(8)
            if kind < 2:
                letter = unicodedata.normalize(("NFD", "NFC")[kind], letter)
            elif kind < 4:
                letter += r.choice(alphabet.STRIPPED if kind == 2 else alphabet.NEW_MARKS)
            elif kind == 4:
                letter = r.choice(alphabet.DELETED).join(
                    ("", letter, self.mark(), self.mark(), ""))
            text += letter + (r.choice((" ", "-", "x")) if r.randrange(5) == 0 else "")
        return text.encode()

    def cases(self):
        """Characters whose lower case is unusual, with what may follow them."""
        r = self.random
        text = ""
        after = r.choice((("", "", "", "\u0307", "\u0345", "\u00ad", " ", ".", "x"), (" ", ".")))
        for _ in range(r.choice((1, 1, 2, 3, 6))):
            text += r.choice(alphabet.CASES) if r.randrange(3) else r.choice(
                ("ΑΣ", "ΣΑΣ ", "ΑΣ\u0301", "İI", "Iı\u0307", "ǅǆ", "ẞß", "ﬁFI", "Ⴀა", "ᏸꭰ"))
            text += r.choice(after)
        return text.encode()

    def hangul(self):
        r = self.random
        text = ""
        for _ in range(r.choice((1, 2, 4, 8))):
            kind = r.randrange(4)
            syllable = chr(r.randrange(0xAC00, 0xD7A4))
            text += (r.choice(alphabet.HANGUL) if kind == 0 else syllable if kind == 1 else
                     unicodedata.normalize("NFD", syllable) if kind == 2 else
                     syllable + chr(r.randrange(0x11A7, 0x11C3)))
        return self.random.choice((text, text + " a", "x" + text)).encode()

    def made_punctuation(self):
        """What NFD makes into punctuation, spaces and other ideographs."""
        r = self.random
        made = r.choice((alphabet.MADE_PUNCTUATION, alphabet.COMPATIBLE))
        parts = [r.choice(made) for _ in range(r.choice((1, 1, 2, 3)))]
        if r.randrange(3) == 0:
            parts.insert(r.randrange(len(parts) + 1), self.mark())
        return (r.choice(("a", "", "[")) + r.choice(("", "", "b", " ")).join(parts) +
                r.choice(("c", "", "\u0301", "CLS]"))).encode()


def real_titles(files, seed, at_most):
    """Lines of the files, without the label or language before a tab; all at once when few."""
    lines = []
    for name in files:
        opener = gzip.open if name.endswith(".gz") else open
        with opener(name, "rb") as stream:
            lines += [line.rstrip(b"\n").split(b"\t")[-1] for line in stream]
    random.Random(seed).shuffle(lines)
    return lines[:at_most]
