# SPDX-License-Identifier: Apache-2.0
"""What tests/peers/tokenizers.py feeds its engines: titles, vocabularies, and strings that hurt.

Titles and vocabularies come from the shared folder (WADER_SHARED); where that is missing, from
this repository's data folder, which is small.
"""
import dataclasses
import gzip
import json
import os
import pathlib
import random

SEED = 20260101
N_TITLES = 200000
N_CHECKED_QUICKLY = 50000
LONG = 2000  # bytes of a long line, at least
VOCABULARIES = {"bert-base-multilingual-cased": False, "bert-base-multilingual-uncased": True,
                "bert-base-uncased": True}  # does it lower-case?
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@dataclasses.dataclass
class Corpus:
    name: str
    path: str = ""     # what is timed
    other: str = ""    # other titles of the same source
    checked: str = ""  # what is compared with the reference
    titles: int = 0
    nbytes: int = 0
    timed: bool = True


def titles_of(path):
    """What stands after the first tab of every line, where something does."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as stream:
        lines = [line.rstrip(b"\n").split(b"\t", 1)[-1] for line in stream]
    return [line for line in lines if line]


def joined(titles):
    """Lines of at least LONG bytes, of titles with spaces between; what is left over is dropped."""
    lines, line, length = [], [], 0
    for title in titles:
        line.append(title)
        length += len(title) + 1
        if length > LONG:
            lines.append(b" ".join(line))
            line, length = [], 0
    return lines


def write(path, lines):
    with open(path, "wb") as stream:
        stream.writelines(line + b"\n" for line in lines)
    return str(path)


def sources(shared, root, n):
    """Titles to time and other ones, by the name of the corpus; and where they are from."""
    folder = shared / "titles"
    if (folder / "reddit_subjects.tsv.gz").exists() and (folder / "common_voice.tsv.gz").exists():
        english = titles_of(folder / "reddit_subjects.tsv.gz")
        many = titles_of(folder / "common_voice.tsv.gz")
        random.Random(SEED).shuffle(many)
        return {"en": (english[:n], english[n:2 * n]), "ml": (many[:n], many[n:2 * n])}, None
    many, english = [], []
    for path in sorted((root / "data/titles").glob("*.tsv")):
        lines = path.read_bytes().splitlines()
        many += titles_of(path)
        english += [line.split(b"\t", 1)[1] for line in lines if line.startswith(b"en\t")]
    parts = {}
    for name, titles in (("en", english), ("ml", many)):
        random.Random(SEED).shuffle(titles)
        half = min(n, len(titles) // 2)
        parts[name] = (titles[:half], titles[half:2 * half])
    return parts, (f"no shared folder: only the {len(many)} titles of data/titles, half of them "
                   "timed; figures on so little text say little")


def make_titles(work, shared, root, n, quick):
    """The four corpora as files in the folder `work`, and a note where they are not the usual."""
    parts, note = sources(shared, root, n)
    for name in ("en", "ml"):
        parts["long_" + name] = tuple(joined(titles) for titles in parts[name])
    corpora = []
    for name in ("en", "ml", "long_en", "long_ml"):
        mine, other = parts[name]
        corpus = Corpus(name, path=write(work / f"{name}.txt", mine),
                        other=write(work / f"{name}_other.txt", other), titles=len(mine))
        corpus.nbytes = os.path.getsize(corpus.path)
        corpus.checked = corpus.path
        if quick and len(mine) > N_CHECKED_QUICKLY:
            corpus.checked = write(work / f"{name}_checked.txt", mine[:N_CHECKED_QUICKLY])
        corpora.append(corpus)
    return corpora, note


def make_golden(work, shared):
    """The golden strings that are UTF-8 and fit on one line, as a corpus that is only checked."""
    path = shared / "tokenizer/golden.jsonl.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        strings = [bytes.fromhex(json.loads(line)["hex"]) for line in stream]
    lines = []
    for string in strings:
        try:
            string.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if string and b"\n" not in string:
            lines.append(string)
    return [Corpus("golden", checked=write(work / "golden.txt", lines), titles=len(lines),
                   timed=False)]


def build_tokenizer(tokenizers, vocab_file, lower):
    """Hugging Face's tokenizer of a vocab.txt, as its own converter would make it."""
    with open(vocab_file, encoding="utf-8", newline="\n") as lines:
        vocab = {line.rstrip("\n"): i for i, line in enumerate(lines)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(
        vocab=vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens([token for token in SPECIAL if token in vocab])
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix="##", cleanup=True)
    return tokenizer


def make_models(work, shared, root, names):
    """Model directories in the folder `work`: name, directory, lower-cases?; and a note."""
    import tokenizers
    places, note = {name: shared / "vocabs" / name for name in names}, None
    if not any((place / "vocab.txt").exists() for place in places.values()):
        places = {"data/model": root / "data/model"}
        note = "no shared folder: the vocabulary of data/model"
    models = []
    for name, place in places.items():
        if not (place / "vocab.txt").exists():
            continue
        lower = VOCABULARIES.get(name, False)
        folder = work / pathlib.Path(name).name
        folder.mkdir(exist_ok=True)
        (folder / "vocab.txt").write_bytes((place / "vocab.txt").read_bytes())
        built = build_tokenizer(tokenizers, folder / "vocab.txt", lower)
        if (place / "tokenizer.json").exists():  # the official one
            built = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))
            built.no_padding()
            built.no_truncation()
        built.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"do_lower_case": lower, "tokenizer_class": "BertTokenizer"}), "utf-8")
        models.append((name, str(folder), lower))
    return models, note
