# SPDX-License-Identifier: Apache-2.0
"""Reads the training texts and makes titles from them.

Most labelled text is English and noisy; the clean titles are few. So English titles are carried
over into the other languages word by word with two dictionaries, and lexicon terms are put into
title-like patterns. Held-out titles (every fifth line) never pass through training_titles().
"""
import collections
import csv
import gzip
import math
import pathlib
import re

SUBJECTS = ("art", "personal development", "world", "health",
            "science", "business", "humanities", "technology")
LANGS = ("en", "zh", "es", "fr", "de", "ja", "ru")
UNSPACED = ("zh", "ja")
HERE = pathlib.Path(__file__).resolve().parent
TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+|[^\w\s]")
# Titles from country forums are often in the country's language; they would teach the model
# that Spanish, French or German means "world".
FOREIGN = frozenset("de la el que en los del por para las con una les des et le du pour dans est "
                    "der das und ist nicht auf ein von mit den im zu sur une och som att o da do "
                    "em um na het een van".split())


def slug(subject):
    return subject.replace(" ", "_")


def read_titles(folder):
    """Yields (label, lang, title, line number from 1) of every titles file."""
    for label, subject in enumerate(SUBJECTS):
        path = pathlib.Path(folder) / (slug(subject) + ".tsv")
        if not path.is_file():
            raise SystemExit(f"missing {path}")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            lang, _, title = line.partition("\t")
            yield label, lang, title, number


def is_held_out(number):
    return number % 5 == 0


def is_dev(number):
    """A twentieth of the file, out of the training lines: to watch training, and for choices."""
    return number % 20 == 3


def held_out_titles(folder):
    return [(a, lang, t) for a, lang, t, n in read_titles(folder) if is_held_out(n)]


def training_titles(folder):
    """Two lists of (label, lang, title): for training, and for choices during development."""
    train, dev = [], []
    for label, lang, title, number in read_titles(folder):
        if not is_held_out(number):
            (dev if is_dev(number) else train).append((label, lang, title))
    return train, dev


def read_lexicon(folder):
    """One list of {lang: term} a label."""
    out = []
    for subject in SUBJECTS:
        path = pathlib.Path(folder) / (slug(subject) + ".tsv")
        with open(path, encoding="utf-8", newline="") as f:
            rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            out.append([{k: r[k].strip() for k in LANGS if r.get(k)} for r in rows])
    return out


def read_words():
    """General words, without a label, in as many of the languages as words.tsv gives."""
    with open(HERE / "words.tsv", encoding="utf-8", newline="") as f:
        rows = csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{k: r[k].strip() for k in LANGS if r.get(k)} for r in rows]


def read_terms():
    """One {lang: [term]} a label: terms of one language only, beside the lexicon."""
    out = [{} for _ in SUBJECTS]
    for line in (HERE / "terms.tsv").read_text(encoding="utf-8").splitlines():
        name, lang, terms = line.split("\t")
        out[[slug(s) for s in SUBJECTS].index(name)].setdefault(lang, []).extend(terms.split("|"))
    return out


def more_titles():
    """(label, lang, title) written for training alone."""
    names = {slug(s): i for i, s in enumerate(SUBJECTS)}
    lines = (HERE / "more.tsv").read_text(encoding="utf-8").splitlines()
    return [(names[name], lang, title) for name, lang, title in (x.split("\t") for x in lines)]


def read_patterns():
    """{lang: [pattern]}; the slots are {a} and {b}."""
    out = collections.defaultdict(list)
    for line in (HERE / "patterns.tsv").read_text(encoding="utf-8").splitlines():
        lang, _, pattern = line.partition("\t")
        out[lang].append(pattern)
    return dict(out)


def read_shared(path):
    """Yields the two fields of each line of a gzip TSV, or says what is missing."""
    if not pathlib.Path(path).is_file():
        raise SystemExit(f"missing {path}: give its folder with --shared (see README.md)")
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as f:
        for line in f:
            first, _, text = line.rstrip("\n").partition("\t")
            yield first, text


def clean(title):
    """Drops what only the forum adds: cross-posting notes and escaped ampersands."""
    title = re.sub(r"[\[(]\s*(?:x-?post|crosspost)[^\])]*[\])]", "", title, flags=re.I)
    return " ".join(title.replace("&amp;", "&").replace("&lt;", "<").split())


def is_english(words):
    return sum(w in FOREIGN for w in words) < 2


def words_of(text):
    return [w.lower() for w in TOKEN.findall(text) if w[0].isalpha()]


class Bayes:
    """Naive Bayes over words, from all titles and terms: the teacher of the small network, which
    sees too few clean titles to learn by itself which words speak for which subject."""

    def __init__(self, weighted):
        counts = [collections.Counter() for _ in SUBJECTS]
        for label, words, weight in weighted:
            for w in set(words):
                counts[label][w] += weight
        total = collections.Counter()
        for c in counts:
            total.update(c)
        self.seen = {w: n for w, n in total.items() if n >= 5}
        sums = [sum(c.values()) for c in counts]
        size = len(total)
        self.logs = {w: [math.log((c[w] + 0.5) / (n + 0.5 * size)) for c, n in zip(counts, sums)]
                     for w in self.seen}

    def information(self, word):
        """How far one word alone moves the subject from "any", in nats; a guess where unknown."""
        if word not in self.logs:
            return 0.7
        return sum(p * math.log(p * len(SUBJECTS)) for p in self.posterior([word]) if p > 0)

    def posterior(self, words, heat=1.0):
        """Naive Bayes is far too sure of itself; heat above 1 makes it modest."""
        known = [self.logs[w] for w in set(words) if w in self.logs]
        logs = [sum(column) / heat for column in zip(*known)] if known else [0.0] * len(SUBJECTS)
        top = max(logs)
        shares = [math.exp(v - top) for v in logs]
        total = sum(shares)
        return [v / total for v in shares]


def read_reddit(path):
    """(label, title, words) of the English titles of a sensible length."""
    rows = []
    for label, title in read_shared(path):
        title = clean(title)
        words = words_of(title)
        if 3 <= len(words) <= 40 and is_english(words):
            rows.append((int(label), title, words))
    return rows


def teacher(reddit, own, lexicon, terms):
    """Clean titles and terms weigh more: they are few, and they are what the labels mean."""
    weighted = [(a, w, 1) for a, _, w in reddit]
    weighted += [(a, words_of(t), 60) for a, lang, t in own if lang == "en"]
    weighted += [(a, words_of(r["en"]), 60) for a, rows in enumerate(lexicon) for r in rows]
    weighted += [(a, words_of(t), 60) for a, more in enumerate(terms) for t in more.get("en", ())]
    return Bayes(weighted)


def by_subject(reddit, bayes, least):
    """Titles under the subject that the teacher gives them, where it is sure enough and the
    place they were posted does not speak against it."""
    out = [[] for _ in SUBJECTS]
    for label, title, words in reddit:
        shares = bayes.posterior(words)
        best = max(range(len(shares)), key=shares.__getitem__)
        if shares[best] >= (least if best == label else 0.9):
            out[best].append(title)
    return out
