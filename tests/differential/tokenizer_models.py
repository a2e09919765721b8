# SPDX-License-Identifier: Apache-2.0
"""Models to compare tokenizers with: directories as they are, real vocabularies under every flag of
BertNormalizer, random models, and vocabularies that tell all characters apart."""
import itertools
import json
import pathlib
import random
import re
import unicodedata

import tokenizer_alphabet as alphabet
from tokenizer_strings import SPECIAL

# clean_text, handle_chinese_chars, strip_accents (None: as lowercase), lowercase
FLAGS = list(itertools.product((True, False), (True, False), (None, True, False), (True, False)))
MAX_CHARS = (0, 1, 5, 20, 20, 100, 100, 100, 100, 200)
PREFIXES = ("##", "##", "##", "", "@@", "_", "x", "\u00e9")
NAMES = ("[UNK] [CLS] [SEP]", "[UNK] [CLS] [SEP]", "<unk> <s> </s>", "[unk] [cls] [sep]",
         "UNK CLS SEP", "unk s sep", "\u672a\u77e5 <s> <s>x", "@@ ## #",
         "xu xc xs", "\u3002u \u3002c \u3002s", "\u0434u \u0434c \u0434s")
ADDED = ["[MASK]", "[PAD]", "[X]", "[X][Y]", "ab", "abc", "abcd", "b", " a", "a ", "  ", "New York",
         "\u65e5", "\u65e5\u672c", "\U0001f600", "\u00e9", "e\u0301", "\u0301", "\u00c9", "#", ".",
         "...", "[", "[[", "\u200d", "a\u00adb", "\n", "\u2028", "Tok", "tok", "\u03a3", "\u0130",
         "\u00df", "\uac00", "\u1100", "\u08d4", "\x7f", "<mask>", "<", "[CLS]]", "y" * 200,
         "COVID-19", "covid", "NEW york", "x\u4e2d", "\u1161", "\u2260", "x\u302e\u08d4",
         "\u2000", "a\tb", "\uf900", "i\u0307", "\U0001d160"]


def normalizer_json(flags):
    keys = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    return {"type": "BertNormalizer", **dict(zip(keys, flags))}


def tokenizer_json(vocab, flags, added=SPECIAL, names=("[UNK]", "[CLS]", "[SEP]"), prefix="##",
                   max_chars=100, bert_processing=False, found=None):
    """The tokenizer.json of a vocabulary, token to id; `added` are tokens in it or new ones,
    `found` has flags for some of them."""
    ids = dict(vocab)
    for token in added:
        ids.setdefault(token, len(ids))
    unk, cls, sep = names
    rows = [{"id": ids[token], "content": token, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": i % 3 != 1,
             **(found or {}).get(token, {})}
            for i, token in enumerate(added)]
    if bert_processing:
        post = {"type": "BertProcessing", "sep": [sep, ids[sep]], "cls": [cls, ids[cls]]}
    else:
        single = [{"SpecialToken": {"id": cls, "type_id": 0}},
                  {"Sequence": {"id": "A", "type_id": 0}},
                  {"SpecialToken": {"id": sep, "type_id": 0}}]
        pair = single + [{"Sequence": {"id": "B", "type_id": 1}},
                         {"SpecialToken": {"id": sep, "type_id": 1}}]
        post = {"type": "TemplateProcessing", "single": single, "pair": pair,
                "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]}
                                   for token in (cls, sep)}}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": sorted(rows, key=lambda row: row["id"]),
        "normalizer": normalizer_json(flags), "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": post,
        "decoder": {"type": "WordPiece", "prefix": prefix, "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": unk, "continuing_subword_prefix": prefix,
                  "max_input_chars_per_word": max_chars, "vocab": vocab}}


def compact(content):
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def write_text(directory, text):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(text, encoding="utf-8")


def write(directory, content):
    write_text(directory, compact(content))


def write_with_flags(directory, source, flags):
    """The model that was written to `source` with FLAGS[0], with other flags."""
    text = pathlib.Path(source, "tokenizer.json").read_text("utf-8")
    first, other = (compact(normalizer_json(flags)) for flags in (FLAGS[0], flags))
    assert first in text[:10000]
    write_text(directory, text.replace(first, other, 1))


def read_vocab(model):
    """Lines end at newlines only: some tokens are other line separators."""
    with open(pathlib.Path(model, "vocab.txt"), encoding="utf-8", newline="\n") as lines:
        return {line.rstrip("\n"): i for i, line in enumerate(lines)}


def is_cased(vocab):
    """Whether capitals can be in a word: in tokens like [CLS] and <S> they cannot, for words end at
    punctuation (multilingual-uncased has <S> and <T>)."""
    words = (token.removeprefix("##") for token in vocab)
    return any(re.search("[A-Z]", word) and not re.search("[!-/:-@[-`{-~]", word)
               for word in words)


def content_of(token):
    return token["content"] if isinstance(token, dict) else token


def reference(tokenizers, model):
    """Hugging Face's tokenizer of a model directory: tokenizer.json, or vocab.txt with BERT's
    settings, and what tokenizer_config.json says of the normalizer."""
    config_file = pathlib.Path(model, "tokenizer_config.json")
    config = json.loads(config_file.read_text("utf-8")) if config_file.exists() else {}
    json_file = pathlib.Path(model, "tokenizer.json")
    if not json_file.exists():
        return reference_of_vocabulary(tokenizers, model, config)
    tokenizer = tokenizers.Tokenizer.from_file(str(json_file))
    tokenizer.no_padding()
    if config.get("tokenizer_class") not in ("PreTrainedTokenizerFast", "TokenizersBackend"):
        said = {ours: config[key] for key, ours in (
            ("do_lower_case", "lowercase"), ("strip_accents", "strip_accents"),
            ("tokenize_chinese_chars", "handle_chinese_chars")) if key in config}
        flags = {**json.loads(tokenizer.to_str())["normalizer"], **said}
        del flags["type"]
        tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(**flags)
    return tokenizer


def reference_of_vocabulary(tokenizers, model, config):
    """Where tokenizer_config.json is silent, a vocabulary without capitals in words is uncased."""
    def said(key, default):
        return default if config.get(key) is None else config[key]
    vocab = read_vocab(model)
    unk, cls, sep, pad, mask = (content_of(said(key + "_token", f"[{key.upper()}]"))
                                for key in ("unk", "cls", "sep", "pad", "mask"))
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(
        vocab=vocab, unk_token=unk, max_input_chars_per_word=100))
    decoder = sorted(said("added_tokens_decoder", {}).items(), key=lambda item: int(item[0]))
    added = [content_of(token) for _, token in decoder]
    added += [token for token in (pad, unk, cls, sep, mask) if token in vocab]
    tokenizer.add_special_tokens(list(dict.fromkeys(added)))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=said("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=said("do_lower_case", not is_cased(vocab)))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(
        (sep, tokenizer.token_to_id(sep)), (cls, tokenizer.token_to_id(cls)))
    return tokenizer


class RandomModel:
    """A random tokenizer.json: vocabulary, flags, names, prefix, longest word, added tokens."""

    def __init__(self, tokenizers, seed, titles):
        self.random = r = random.Random(seed)
        self.flags = r.choice(FLAGS)
        self.prefix = r.choice(PREFIXES)
        self.start, self.after = set(), set()
        normalize = tokenizers.normalizers.BertNormalizer(*self.flags).normalize_str
        self.normalize = normalize
        texts = [r.choice(titles).decode("utf-8", "replace")
                 for _ in range(r.choice((1, 10, 100)))]
        if r.randrange(4):
            texts = list(map(normalize, texts))
        self.add_characters(texts, normalize)
        self.add_pieces(" ".join(texts).split() + ["unaffable", "\u1100\u1161\u11a8\u1112"])
        self.add_oddities()
        self.names = r.choice(NAMES).split()

    def add_characters(self, texts, normalize):
        """Many single characters as first and as later piece, some of them lacking."""
        r = self.random
        odd = (alphabet.ODD + alphabet.SURVIVORS + alphabet.STRIPPED + alphabet.NEW_MARKS +
               alphabet.CASES + alphabet.HANGUL + alphabet.COMPATIBLE + alphabet.DELETED +
               alphabet.MUSICAL)
        some = r.sample(odd, r.choice((0, 20, len(odd), len(odd))))
        some += r.choice(([], alphabet.SURVIVORS)) + alphabet.MADE_PUNCTUATION
        made = [piece for char in some + alphabet.DECOMPOSING_MARKS
                for piece in normalize(char) + unicodedata.normalize("NFD", char)]
        ascii_ = list(map(chr, range(0x20, 0x7F)))
        share = r.choice((0.5, 0.9, 1, 1))
        for char in sorted(set("".join(texts) + "".join(some + made + ascii_))):
            if r.random() < share:
                self.start.add(char)
            if r.random() < share:
                self.after.add(char)

    def add_pieces(self, words):
        """Pieces of words; some words have a beginning that leads nowhere."""
        r = self.random
        for word in words:
            for _ in range(r.randrange(4)):
                at, end = sorted((r.randrange(len(word) + 1), r.randrange(len(word) + 1)))
                (self.after if at else self.start).add(word[at:end])
            if r.randrange(4) == 0 and len(word) > 3:
                self.start.update((word[:2], word[:-1]))
                self.after.discard(word[-1])
        survivors = alphabet.SURVIVORS
        for _ in range(r.choice((0, 0, 200))):
            pair = r.choice(survivors) + r.choice(survivors)
            r.choice((self.start, self.after)).add(r.choice(("", "a", "\u4e2d")) + pair)

    def add_oddities(self):
        r = self.random
        odd = ["\u2028", "\0", "a\0b", "\ufffd", "\u00ad", "a b", " ", "\t", "E\u0301", "e\u0301",
               "\u00e9", "i\u0307", "\u03c3", "\u03c2", "##", "#", "[UNK]x", "z" * 199, "z" * 100,
               "\u1112\u1161\u11ab", "\x85", "\x0b", "\u212a", "A", "\u8c48", "\uf900",
               self.prefix, self.prefix * 2, self.prefix + "a", "a" + self.prefix]
        self.start.update(r.sample(odd, r.randrange(len(odd))))
        self.after.update(r.sample(odd, r.randrange(len(odd))))

    def how_found(self, added):
        """Flags for some added tokens. Left out is what wader refuses: tokens of which normalizing
        leaves nothing or the same as of another, and lstrip or rstrip beside tokens with an edge
        that is blank or vanishes."""
        r = self.random
        share = r.choice((0, 0, 0.5, 1))
        found, patterns = {token: {} for token in added}, {""}
        for token in added:
            pattern = self.normalize(token)
            if r.random() < share and pattern not in patterns:
                patterns.add(pattern)
                found[token]["normalized"] = True
        edges = {char for token in added for char in (token[0], token[-1])}
        if r.randrange(2) and all(self.normalize(char).strip() for char in edges):
            for flags in found.values():
                flags.update(lstrip=r.randrange(3) == 0, rstrip=r.randrange(3) == 0)
        return found

    def make(self):
        r = self.random
        unk, cls, sep = self.names
        tokens = sorted(self.start | {self.prefix + piece for piece in self.after} - {""})
        new = r.sample(ADDED, r.choice((0, 1, 5, len(ADDED))))
        if r.randrange(5) == 0:
            new += [cls, sep]
        # The unknown token and default names of special tokens are always added tokens.
        named = [token for token in (unk, cls, sep) if token not in new]
        tokens = [token for token in tokens if token and token not in SPECIAL + self.names]
        tokens += named
        r.shuffle(tokens)
        ids = list(range(len(tokens)))
        if set(new) <= set(tokens) and r.randrange(2) == 0:
            ids = sorted(r.sample(range(r.choice((5, 1000)) * len(ids)), len(ids)))
        added = list(dict.fromkeys(new + named))
        r.shuffle(added)
        return tokenizer_json(dict(zip(tokens, ids)), self.flags, added, self.names, self.prefix,
                              r.choice(MAX_CHARS), bool(r.randrange(2)), self.how_found(added))


def scalars_apart():
    """The scalars in parts, each with the vocabulary that gives every one of them ids of its own,
    first in a word and later: a vocabulary of all would be too large a file."""
    made = {piece for char in map(chr, range(0x2F800, 0x2FA20))
            for piece in unicodedata.normalize("NFD", char)} | set("ab")
    for first, last in ((0, 0x20000), (0x20000, 0x90000), (0x90000, 0x110000)):
        codes = [code for code in range(first, last) if alphabet.is_scalar(code)]
        chars = sorted(set(map(chr, codes)) | made)
        vocab = {token: i for i, token in enumerate(
            SPECIAL + [prefix + char for prefix in ("", "##") for char in chars])}
        yield codes, vocab
