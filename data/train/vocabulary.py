# SPDX-License-Identifier: Apache-2.0
"""Trains the cased WordPiece vocabulary and writes the tokenizer's files."""
import collections
import json
import random
import unicodedata

from tokenizers import (Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

import corpus

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Lines taken of each language's spoken sentences: the titles' languages, and a little of others,
# so that common words elsewhere do not fall apart into letters.
SENTENCES = {"en": 12000, "zh-CN": 20000, "es": 10000, "fr": 12000, "de": 12000,
             "ja": 5000, "ru": 20000, "pt": 2000, "it": 2000, "nl": 2000, "pl": 1000, "uk": 2000,
             "ar": 1000, "hi": 1000, "tr": 1000, "sv-SE": 1000, "cs": 1000, "el": 500}


def common_han():
    """The 3755 everyday characters: GB 2312 level 1, rows 16 to 55."""
    out = []
    for row in range(16, 56):
        for cell in range(1, 95):
            try:
                out.append(bytes((row + 0xA0, cell + 0xA0)).decode("gb2312"))
            except UnicodeDecodeError:
                pass
    return out


def base_alphabet():
    """Characters that must have an entry whether or not the training text shows them."""
    ranges = ((0x21, 0x7E), (0xA1, 0x17F), (0x384, 0x3CE), (0x400, 0x45F), (0x3041, 0x3096),
              (0x30A1, 0x30FC), (0x2010, 0x2027), (0x3001, 0x3011), (0xFF01, 0xFF5E))
    chars = [chr(c) for a, b in ranges for c in range(a, b + 1)]
    return [c for c in chars if unicodedata.category(c)[0] in "LNPS"] + common_han()


def sentences(path, seed):
    by_lang = {}
    for lang, text in corpus.read_shared(path):
        if lang in SENTENCES:
            by_lang.setdefault(lang, []).append(text)
    rng = random.Random(seed)
    out = []
    for lang in sorted(by_lang):
        lines = sorted(by_lang[lang])
        out += rng.sample(lines, min(SENTENCES[lang], len(lines)))
    return out


def empty_tokenizer(vocab):
    tok = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tok.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True,
                                                strip_accents=None, lowercase=False)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece(prefix="##")
    return tok


def pieces(lines, size):
    """Characters and common parts of words."""
    tok = empty_tokenizer({"[UNK]": 0})
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=3, limit_alphabet=5000, special_tokens=SPECIALS,
        initial_alphabet=base_alphabet(), continuing_subword_prefix="##", show_progress=False)
    tok.train_from_iterator(lines, trainer)
    vocab = tok.get_vocab()
    return sorted(vocab, key=vocab.get)


def whole_words(near, far, info):
    """Word forms, most useful first. `info(word)` says how much a lower-case English word tells
    of the subject. A plain WordPiece trainer goes by frequency alone and would spend the entries
    on chatter, while the rare words that decide a title fell apart into pieces."""
    split = empty_tokenizer({"[UNK]": 0})
    def forms(lines):
        counts = collections.Counter()
        for line in lines:
            text = split.normalizer.normalize_str(line)
            counts.update(w for w, _ in split.pre_tokenizer.pre_tokenize_str(text))
        return counts
    near, far = forms(near), forms(far)
    counts = collections.Counter(far)
    for word, n in near.items():
        counts[word] += 20 * n
        # Titles come in both cases.
        other = word.lower() if word[0].isupper() else word.capitalize()
        counts[other] += 6 * n
    score = {w: n ** 0.5 * (0.1 + info(w.lower())) for w, n in counts.items()
             if len(w) > 1 and w.isalpha() and n >= 6}
    return sorted(score, key=lambda w: (-score[w], w))


def train(near, far, speech, size, info):
    """The vocabulary as a list: specials, characters and pieces, then whole words."""
    vocab = pieces(near * 8 + far + speech, int(size * 0.38))
    have = set(vocab)
    vocab += [w for w in whole_words(near, far, info) if w not in have]
    return vocab[:size]


def tokenizer(vocab):
    tok = empty_tokenizer({w: i for i, w in enumerate(vocab)})
    tok.add_special_tokens(SPECIALS)
    cls, sep = SPECIALS.index("[CLS]"), SPECIALS.index("[SEP]")
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tok


def write(folder, vocab, positions):
    """vocab.txt, tokenizer.json and the two small files that Hugging Face reads beside them."""
    (folder / "vocab.txt").write_text("".join(w + "\n" for w in vocab), encoding="utf-8")
    tokenizer(vocab).save(str(folder / "tokenizer.json"))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS))
    added = {str(i): {"content": w, "lstrip": False, "normalized": False, "rstrip": False,
                      "single_word": False, "special": True} for i, w in enumerate(SPECIALS)}
    config = {"added_tokens_decoder": added, "clean_up_tokenization_spaces": False,
              "do_basic_tokenize": True, "do_lower_case": False, "model_max_length": positions,
              "never_split": None, "strip_accents": None, "tokenize_chinese_chars": True,
              "tokenizer_class": "BertTokenizer", **names}
    for name, data in (("tokenizer_config.json", config), ("special_tokens_map.json", names)):
        (folder / name).write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")
