# SPDX-License-Identifier: Apache-2.0
"""Makes one training title at a time: real, carried over into another language, or from terms."""
import collections
import itertools

from corpus import LANGS, SUBJECTS, TOKEN, UNSPACED, words_of

OTHERS = tuple(lang for lang in LANGS if lang != "en")
# Chinese has by far the most titles of the languages that are not English.
LANG_WEIGHTS = (4, 1.2, 1.2, 1.2, 1.2, 1.2)
ENDINGS = ("s", "es", "ed", "d", "ing", "'s", "’s", "ly")


class Dictionary:
    """English phrases of up to four words to their translations."""

    def __init__(self, rows):
        self.terms = {lang: collections.defaultdict(list) for lang in OTHERS}
        for row in rows:
            key = tuple(w.lower() for w in TOKEN.findall(row["en"]))
            for lang in OTHERS:
                if row.get(lang):
                    self.terms[lang][key].extend(row[lang].split("|"))

    def match(self, words, at, lang):
        """The longest phrase at this place: (translations, how many words), or None."""
        terms = self.terms[lang]
        for n in range(min(4, len(words) - at), 0, -1):
            key = tuple(words[at:at + n])
            for form in forms(key):
                if form in terms:
                    return terms[form], n
        return None


def forms(key):
    yield key
    last = key[-1]
    for end in ENDINGS:
        if last.endswith(end) and len(last) - len(end) >= 3:
            yield key[:-1] + (last[:-len(end)],)
            if end == "ing":
                yield key[:-1] + (last[:-3] + "e",)
    if last.endswith("ies"):
        yield key[:-1] + (last[:-3] + "y",)


def join(pieces, lang):
    if lang in UNSPACED:
        return "".join(pieces)
    text = " ".join(pieces)
    for mark in ",.:;!?)%":
        text = text.replace(" " + mark, mark)
    return text[:1].upper() + text[1:]


class Maker:
    """Draws titles. `rng` is the only source of chance, so a seed fixes them all."""

    def __init__(self, rng, own, reddit, lexicon, words, terms, patterns, bayes):
        self.rng, self.reddit, self.patterns, self.bayes = rng, reddit, patterns, bayes
        self.terms = [{lang: [t for r in rows for t in r.get(lang, "").split("|") if t]
                       + more.get(lang, []) for lang in LANGS}
                      for rows, more in zip(lexicon, terms)]
        self.own = [[(g, t) for a, g, t in own if a == label] for label in range(len(SUBJECTS))]
        self.vocabulary = sorted(bayes.seen)
        self.word_weights = list(itertools.accumulate(
            bayes.seen[w] ** 0.4 for w in self.vocabulary))
        self.dictionary = Dictionary([r for terms in lexicon for r in terms] + words)

    def lang(self):
        return self.rng.choices(OTHERS, LANG_WEIGHTS)[0]

    def switched(self, title, lang, share):
        """The English title with a share of its known words in the other language."""
        tokens = TOKEN.findall(title)
        lower = [t.lower() for t in tokens]
        out, at = [], 0
        while at < len(tokens):
            found = self.dictionary.match(lower, at, lang)
            if found and self.rng.random() < share:
                out.append(self.rng.choice(found[0]))
                at += found[1]
            else:
                out.append(tokens[at])
                at += 1
        return " ".join(out)

    def carried(self, title, lang):
        """Only the words known in the other language, in that language, and the English words
        behind them; None where too few."""
        lower = [t.lower() for t in TOKEN.findall(title)]
        out, at, source = [], 0, []
        while at < len(lower):
            found = self.dictionary.match(lower, at, lang)
            if found:
                out.append(self.rng.choice(found[0]))
                source += lower[at:at + found[1]]
            elif lower[at].isdigit() or lower[at] in ":?!":
                out.append(lower[at])
            at += found[1] if found else 1
        if len(source) < 2 or len(source) * 4 < len(lower):
            return None
        return join(out, lang), source

    def from_terms(self, label, lang):
        """One to three terms, alone or in a pattern of the language."""
        terms = self.rng.sample(self.terms[label][lang], 3)
        kind = self.rng.random()
        if kind < 0.15:
            title = terms[0]
        elif kind < 0.35:
            title = join(terms[:self.rng.choice((2, 3))], lang)
        else:
            pattern = self.rng.choice(self.patterns[lang])
            title = pattern.replace("{a}", terms[0]).replace("{b}", terms[1])
        return title if lang in UNSPACED else title[:1].upper() + title[1:]

    def recased(self, title):
        """Titles come in any case; the vocabulary is cased, so the words must be seen so too."""
        kind = self.rng.random()
        if kind < 0.12:
            return title.lower()
        if kind < 0.30:
            return " ".join(w[:1].upper() + w[1:] for w in title.split(" "))
        if kind < 0.32:
            return title.upper()
        return title

    def trimmed(self, title, lang):
        """Now and then a part of the title only: the rest must do."""
        if self.rng.random() > 0.3:
            return title
        parts = list(title) if lang in UNSPACED else title.split(" ")
        keep = max(2, int(len(parts) * self.rng.uniform(0.4, 1.0)))
        start = self.rng.randint(0, max(0, len(parts) - keep))
        return ("" if lang in UNSPACED else " ").join(parts[start:start + keep])

    def english(self, label, title, certain):
        """An English title as it is, with words switched, or carried over; with its target."""
        kind = self.rng.random()
        lang = self.lang()
        source = None
        if kind < self.mix["switch"]:
            source = words_of(title)
            title = self.switched(title, lang, self.rng.uniform(0.3, 1.0))
        elif kind < self.mix["switch"] + self.mix["carry"]:
            title, source = self.carried(title, lang) or (title, None)
        if source is None:
            title = self.trimmed(title, "en")
            source = words_of(title)
            title = self.recased(title)
        return self.target(label, source, certain), title

    def target(self, label, words, certain):
        """What the teacher thinks of the words, and a share for the label where it is known."""
        shares = self.bayes.posterior(words, self.mix["heat"])
        return [(1 - certain) * v + certain * (i == label) for i, v in enumerate(shares)]

    def soup(self):
        """A few words at random, rare ones too: what the teacher knows of each single word."""
        words = self.rng.choices(self.vocabulary, cum_weights=self.word_weights,
                                 k=self.rng.choice((1, 2, 3, 4, 6)))
        title = " ".join(words)
        kind = self.rng.random()
        title = title.title() if kind < 0.4 else title.capitalize() if kind < 0.6 else title
        return self.bayes.posterior(words, self.mix["heat"]), title

    def draw(self, label, source):
        if source == "soup":
            return self.soup()
        if source == "reddit":
            return self.english(label, self.rng.choice(self.reddit[label]), 0.0)
        if source == "own":
            lang, title = self.rng.choice(self.own[label])
            if lang == "en":
                return self.english(label, title, 0.7)
            title = self.trimmed(title, lang)
        else:
            lang = "en" if self.rng.random() < 0.3 else self.lang()
            title = self.from_terms(label, lang)
        sure = [0.93 if i == label else 0.01 for i in range(len(SUBJECTS))]
        return sure, self.recased(title)

    def round(self, size, mix):
        """A balanced, shuffled list of (target shares, title)."""
        self.mix = mix
        sources = ("reddit", "lexicon", "own", "soup")
        out = []
        for i in range(size):
            label = i % len(SUBJECTS)
            source = self.rng.choices(sources, [mix[s] for s in sources])[0]
            out.append(self.draw(label, source))
        self.rng.shuffle(out)
        return out
