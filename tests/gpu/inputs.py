#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes what the stages of tests/gpu/run work on: a model directory with random weights of a given
size and seed, and files of titles: real ones and a real vocabulary where the SPEC names files of
them (tests/gpu/pack), else titles made of a vocabulary that is made up. Needs numpy.

usage: inputs.py DIR SPEC.json

DIR/model      config.json, vocab.txt, tokenizer_config.json, model.safetensors (fp32)
DIR/titles.txt titles, one a line
DIR/chunks/    the same kind of titles as JSONL, gzip members of a fixed number of titles each
DIR/inputs.json what was made
"""
import gzip
import json
import multiprocessing
import os
import sys
import time

import numpy

LABELS = ["art", "business", "health", "humanities", "personal development", "science",
          "technology", "world"]
SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
FIRST_WORD = 104
ONSETS = ["b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z",
          "br", "ch", "cl", "dr", "fl", "gr", "pl", "pr", "sh", "st", "th", "tr"]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou", "é", "ö"]
CODAS = ["", "", "", "n", "r", "s", "t", "l", "m", "nd", "st", "ng"]
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 2500)]


# ---- the vocabulary

def vocabulary(size, seed):
    """Word pieces in the order of their ids: special ones where BERT has them, characters, then
    words and endings ("##...") of syllables, those that come first being the common ones."""
    random = numpy.random.default_rng([seed, 1])
    pieces = [SPECIAL.get(i, f"[unused{i}]") for i in range(FIRST_WORD)]
    characters = [chr(c) for c in range(33, 127)]
    letters = [c for c in characters if c.isalnum()] + ["é", "ö"]
    pieces += characters + ["é", "ö"] + ["##" + c for c in letters]
    pieces += HAN[:max(0, min(len(HAN), (size - len(pieces)) // 8))]
    seen = set(pieces)
    while len(pieces) < size:
        count = 1 + int(random.integers(0, 3))
        word = "".join(ONSETS[random.integers(len(ONSETS))] + VOWELS[random.integers(len(VOWELS))] +
                       CODAS[random.integers(len(CODAS))] for _ in range(count))
        kind = random.random()
        piece = "##" + word if kind < 0.25 else word.capitalize() if kind < 0.4 else word
        if piece not in seen:
            seen.add(piece)
            pieces.append(piece)
    return pieces


class Titles:
    """Draws titles: words by Zipf's law, some with endings or of two words in one, a few in Han
    characters, some punctuation; so many words that the median title has about 20 tokens."""

    def __init__(self, pieces):
        words = pieces[FIRST_WORD:]
        self.whole = [w for w in words if not w.startswith("##") and len(w) > 1]
        self.endings = [w[2:] for w in words if w.startswith("##") and len(w) > 3]
        self.han = [w for w in words if w in set(HAN)]

    @staticmethod
    def zipf(random, n_kinds, n):
        """Ranks from 0 whose frequency falls as 1 / rank."""
        return (numpy.exp(random.random(n) * numpy.log(n_kinds)) - 1).astype(numpy.int64)

    def draw(self, seed, n):
        random = numpy.random.default_rng(seed)
        lengths = numpy.clip(numpy.exp(random.normal(numpy.log(13), 0.5, n)), 1, 70)
        lengths = lengths.astype(numpy.int64)
        total = int(lengths.sum())
        kinds = random.random(total)
        firsts = self.zipf(random, len(self.whole), total)
        ends = self.zipf(random, len(self.endings), total)
        texts = [self.whole[w] if k < 0.72 else self.whole[w] + self.endings[e] if k < 0.97
                 else self.whole[w] + ",:!?-"[e % 5]
                 for k, w, e in zip(kinds.tolist(), firsts.tolist(), ends.tolist())]
        han = random.random(n) < (0.08 if self.han else 0)
        titles, at = [], 0
        for length, is_han in zip(lengths.tolist(), han.tolist()):
            if is_han:
                which = firsts[at:at + length] % len(self.han)
                titles.append("".join(self.han[w] for w in which.tolist()))
            else:
                titles.append(" ".join(texts[at:at + length]))
            at += length
        return titles


class RealTitles:
    """Draws from real ones, each as likely."""

    def __init__(self, path):
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
            self.all = stream.read().rstrip("\n").split("\n")

    def draw(self, seed, n):
        chosen = numpy.random.default_rng(seed).integers(0, len(self.all), n)
        return [self.all[i] for i in chosen.tolist()]


def read_vocabulary(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as stream:
        return stream.read().rstrip("\n").split("\n")


# ---- the model

def tensors(config):
    """(name, shape, kind) of every tensor, in the order of the file; the classifier comes last."""
    h, f = config["hidden_size"], config["intermediate_size"]
    yield "embeddings.word_embeddings.weight", (config["vocab_size"], h), "weight"
    yield "embeddings.position_embeddings.weight", (config["max_position_embeddings"], h), "weight"
    yield "embeddings.token_type_embeddings.weight", (config["type_vocab_size"], h), "weight"
    yield from norm("embeddings.LayerNorm", h)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            yield from dense(prefix + "attention.self." + name, h, h)
        yield from dense(prefix + "attention.output.dense", h, h)
        yield from norm(prefix + "attention.output.LayerNorm", h)
        yield from dense(prefix + "intermediate.dense", f, h)
        yield from dense(prefix + "output.dense", h, f)
        yield from norm(prefix + "output.LayerNorm", h)
    yield from dense("pooler.dense", h, h)


def dense(name, n_out, n_in):
    yield name + ".weight", (n_out, n_in), "weight"
    yield name + ".bias", (n_out,), "bias"


def norm(name, n):
    yield name + ".weight", (n,), "scale"
    yield name + ".bias", (n,), "bias"


def values_of(shape, kind, random):
    """BERT's own beginning, a normal distribution of 0.02; biases and scales are drawn too, so that
    none can be left out unseen."""
    values = random.standard_normal(shape, dtype=numpy.float32) * numpy.float32(0.02)
    return values + numpy.float32(1) if kind == "scale" else values


def write_safetensors(path, config, seed):
    h, k = config["hidden_size"], len(config["id2label"])
    everything = [("bert." + name, shape, kind) for name, shape, kind in tensors(config)]
    everything += [("classifier.weight", (k, h), "weight"), ("classifier.bias", (k,), "bias")]
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _ in everything:
        nbytes = 4 * int(numpy.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + nbytes]}
        at += nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = numpy.random.default_rng([seed, 2])
    with open(path, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for _, shape, kind in everything:
            values_of(shape, kind, random).tofile(stream)
    return at


def write_model(path, spec):
    os.makedirs(path, exist_ok=True)
    pieces = read_vocabulary(spec["vocabulary"]) if "vocabulary" in spec else vocabulary(
        spec["vocab_size"], spec["seed"])
    config = {
        "architectures": ["BertForSequenceClassification"], "model_type": "bert",
        "vocab_size": len(pieces), "hidden_size": spec["hidden"],
        "num_hidden_layers": spec["layers"], "num_attention_heads": spec["heads"],
        "intermediate_size": spec["feed"], "hidden_act": "gelu", "max_position_embeddings": 512,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "initializer_range": 0.02,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "pad_token_id": 0,
        "id2label": {str(i): name for i, name in enumerate(LABELS)},
        "label2id": {name: i for i, name in enumerate(LABELS)},
    }
    texts = {"config.json": json.dumps(config, indent=1) + "\n",
             "vocab.txt": "\n".join(pieces) + "\n",
             "tokenizer_config.json": json.dumps({"do_lower_case": False,
                                                  "tokenizer_class": "BertTokenizer"}) + "\n"}
    for name, text in texts.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    n_bytes = write_safetensors(os.path.join(path, "model.safetensors"), config, spec["seed"])
    return pieces, n_bytes


# ---- titles

WORK = {}  # for the processes that are forked


def write_chunk(number):
    spec, titles = WORK["spec"], WORK["titles"]
    texts = titles.draw([spec["seed"], 3, number], spec["chunk_titles"])
    rows = "".join(f'{{"id":"t{number:03d}-{i:06d}","title":{json.dumps(t, ensure_ascii=False)}}}\n'
                   for i, t in enumerate(texts))
    with open(os.path.join(WORK["dir"], f"{number:03d}.jsonl.gz"), "wb") as stream:
        stream.write(gzip.compress(rows.encode("utf-8"), 1))
    return sum(len(t.split()) for t in texts)


def main():
    directory, begun = sys.argv[1], time.monotonic()
    with open(sys.argv[2], encoding="utf-8") as stream:
        spec = json.load(stream)
    pieces, n_bytes = write_model(os.path.join(directory, "model"), spec)
    made = time.monotonic()
    titles = RealTitles(spec["real_titles"]) if "real_titles" in spec else Titles(pieces)
    with open(os.path.join(directory, "titles.txt"), "w", encoding="utf-8") as stream:
        for title in titles.draw([spec["seed"], 4], spec["titles"]):
            stream.write(title + "\n")
    WORK.update(spec=spec, titles=titles, dir=os.path.join(directory, "chunks"))
    os.makedirs(WORK["dir"], exist_ok=True)
    with multiprocessing.get_context("fork").Pool(spec["processes"]) as pool:
        pool.map(write_chunk, range(spec["chunks"]), 1)
    done = {"spec": spec, "weight_bytes": n_bytes, "vocabulary": len(pieces),
            "model_s": round(made - begun, 2), "titles_s": round(time.monotonic() - made, 2)}
    with open(os.path.join(directory, "inputs.json"), "w", encoding="utf-8") as stream:
        json.dump(done, stream)


if __name__ == "__main__":
    main()
