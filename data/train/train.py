# SPDX-License-Identifier: Apache-2.0
"""Trains the demo model and writes it as a Hugging Face directory. See README.md."""
import argparse
import collections
import json
import os
import pathlib
import platform
import random
import time

import torch
import transformers
from safetensors.torch import save_file
from torch.nn import functional as F

import corpus
import titles
import vocabulary

DATA = corpus.HERE.parent
SHAPE = {"hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
         "intermediate_size": 1024, "max_position_embeddings": 128}
# Shares of the sources in a round, and how often an English title is switched or carried over.
MIX = {"reddit": 0.42, "lexicon": 0.23, "own": 0.20, "soup": 0.15,
       "switch": 0.15, "carry": 0.35, "heat": 1.3}


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--shared", type=pathlib.Path, required=True,
                   help="folder with reddit_subjects.tsv.gz and common_voice.tsv.gz")
    p.add_argument("--out", type=pathlib.Path, default=DATA / "model")
    p.add_argument("--vocab-size", type=int, default=23200)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--round-size", type=int, default=32000)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rate", type=float, default=4e-4)
    p.add_argument("--bag-rounds", type=int, default=8)
    p.add_argument("--bag-rate", type=float, default=2e-3)
    p.add_argument("--least", type=float, default=0.6, help="Bayes posterior to keep a title")
    p.add_argument("--seed", type=int, default=20)
    p.add_argument("--threads", type=int, default=2)
    return p.parse_args()


class Data:
    """All the texts that training may see."""

    def __init__(self, args):
        self.lexicon = corpus.read_lexicon(DATA / "lexicon")
        self.words = corpus.read_words()
        self.terms = corpus.read_terms()
        train, self.dev = corpus.training_titles(DATA / "titles")
        self.own = train + corpus.more_titles()
        reddit = corpus.read_reddit(args.shared / "reddit_subjects.tsv.gz")
        self.bayes = corpus.teacher(reddit, self.own, self.lexicon, self.terms)
        self.reddit = corpus.by_subject(reddit, self.bayes, args.least)
        self.maker = titles.Maker(random.Random(args.seed), self.own, self.reddit, self.lexicon,
                                  self.words, self.terms, corpus.read_patterns(), self.bayes)

    def vocabulary(self, args):
        """Own titles and terms are near to what will be read; the rest is further off."""
        near = [t for _, _, t in self.own]
        near += [t for rows in self.lexicon for r in rows for t in r.values()]
        near += [t for r in self.words for t in r.values()]
        near += [t for by_lang in self.terms for part in by_lang.values() for t in part]
        far = [t for part in self.reddit for t in part]
        speech = vocabulary.sentences(args.shared / "common_voice.tsv.gz", args.seed)
        return vocabulary.train(near, far, speech, args.vocab_size, self.bayes.information)


def new_model(vocab):
    names = dict(enumerate(corpus.SUBJECTS))
    config = transformers.BertConfig(
        vocab_size=len(vocab), hidden_act="gelu", layer_norm_eps=1e-12, pad_token_id=0,
        position_embedding_type="absolute", hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1, type_vocab_size=2, id2label=names,
        label2id={v: k for k, v in names.items()}, **SHAPE)
    config.architectures = ["BertForSequenceClassification"]
    return transformers.BertForSequenceClassification(config)


def encode(rows, tok):
    """(label, ids) of each title; very long ones are cut, which costs nothing here."""
    encoded = tok.encode_batch([t for _, t in rows])
    return [(label, e.ids if len(e.ids) <= 48 else e.ids[:47] + e.ids[-1:])
            for (label, _), e in zip(rows, encoded)]


def batches(rows, size, rng):
    """Batches of titles of nearly the same length, so that next to nothing is padding."""
    rows = sorted(rows, key=lambda row: len(row[1]))
    out = []
    for i in range(0, len(rows), size):
        part = rows[i:i + size]
        width = len(part[-1][1])
        ids = torch.tensor([x + [0] * (width - len(x)) for _, x in part])
        out.append((ids, (ids != 0).long(), torch.tensor([a for a, _ in part])))
    rng.shuffle(out)
    return out


def optimizer(model, rate):
    """Weight decay for matrices only, as usual for BERT."""
    flat = [p for p in model.parameters() if p.ndim < 2]
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.02},
                              {"params": flat, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98),
                             fused=True)


def rate_at(done):
    """Warm up over the first 6 percent, then down to nothing in a straight line."""
    return min(done / 0.06, (1.0 - done) / 0.94)


def train_round(forward, parameters, opt, parts, progress, rate):
    """One pass over the batches; `forward(ids, mask)` gives logits."""
    loss_sum = hits = seen = 0
    for i, (ids, mask, labels) in enumerate(parts):
        for group in opt.param_groups:
            group["lr"] = rate * max(1e-3, rate_at(progress(i / len(parts))))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = forward(ids, mask).float()
        loss = F.cross_entropy(logits, labels)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        opt.step()
        loss_sum += loss.item() * len(labels)
        hits += (logits.argmax(1) == labels.argmax(1)).sum().item()
        seen += len(labels)
    return loss_sum / seen, hits / seen


class Bag(torch.nn.Module):
    """The sum of the word vectors and a classifier: learns the vectors in a fraction of the time
    that the encoder needs, which then starts from them."""

    def __init__(self, model):
        super().__init__()
        self.words = model.bert.embeddings.word_embeddings
        self.drop = torch.nn.Dropout(0.2)
        self.head = torch.nn.Linear(model.config.hidden_size, model.config.num_labels)

    @torch.no_grad()
    def start_from(self, bayes, vocab):
        """Puts what the teacher knows of each whole word into the first few dimensions, small
        beside the rest so that layer normalization keeps how much it is."""
        n = self.head.out_features
        scale = 0.06
        for i, word in enumerate(vocab):
            logs = torch.tensor(bayes.logs.get(word.lower(), [0.0] * n))
            self.words.weight[i, :n] = scale * (logs - logs.mean()).clamp(-4, 4)
        self.head.weight[:, :n] = torch.eye(n) / (scale * MIX["heat"])
        self.head.weight[:, n:] *= 0.1

    def forward(self, ids, mask):
        keep = 0.85 if self.training else 1.0
        weight = (mask * (torch.rand(mask.shape) < keep)).unsqueeze(-1).float() / keep
        return self.head(self.drop((self.words(ids) * weight).sum(1)))


@torch.no_grad()
def accuracy(forward, tok, rows):
    """Shares right: all, English, Chinese, the other languages."""
    right = collections.defaultdict(list)
    for label, lang, title in rows:
        ids = torch.tensor([tok.encode(title).ids[:128]])
        ok = forward(ids, torch.ones_like(ids)).argmax().item() == label
        for key in ("all", lang if lang in ("en", "zh") else "others"):
            right[key].append(ok)
    return " ".join(f"{k} {sum(right[k]) / len(right[k]):.3f}" for k in sorted(right))


def fit(model, forward, rounds, batch, rate, args, data, tok, start):
    """Rounds of fresh titles; the rate falls over all of them."""
    opt = optimizer(model, rate)
    for r in range(rounds):
        rows = encode(data.maker.round(args.round_size, MIX), tok)
        parts = batches(rows, batch, data.maker.rng)
        model.train()
        loss, hit = train_round(forward, list(model.parameters()), opt, parts,
                                lambda x: (r + x) / rounds, rate)
        model.eval()
        dev = accuracy(forward, tok, data.dev)
        print(f"{time.time() - start:.0f} s: {type(model).__name__} round {r + 1} "
              f"loss {loss:.3f} train {hit:.3f} dev {dev}", flush=True)


def save(model, vocab, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()
               if not k.endswith("position_ids")}
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    model.config.torch_dtype = "float16"
    config = model.config.to_diff_dict()
    config.pop("_attn_implementation_autoset", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    vocabulary.write(folder, vocab, SHAPE["max_position_embeddings"])


def main():
    args = arguments()
    start = time.time()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    print("settings", vars(args), SHAPE, MIX)
    print("torch", torch.__version__, "transformers", transformers.__version__,
          platform.machine(), "cores", os.cpu_count())
    data = Data(args)
    print("titles kept a subject", [len(p) for p in data.reddit], "own", len(data.own),
          "dev", len(data.dev))
    vocab = data.vocabulary(args)
    tok = vocabulary.tokenizer(vocab)
    model = new_model(vocab)
    print(f"{time.time() - start:.0f} s: vocabulary {len(vocab)}, parameters",
          sum(p.numel() for p in model.parameters()), flush=True)
    bag = Bag(model)
    bag.start_from(data.bayes, vocab)
    print("before training: dev", accuracy(bag.eval(), tok, data.dev), flush=True)
    fit(bag, bag, args.bag_rounds, 512, args.bag_rate, args, data, tok, start)
    fit(model, lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits,
        args.rounds, args.batch, args.rate, args, data, tok, start)
    save(model, vocab, args.out)
    print(f"{time.time() - start:.0f} s: wrote {args.out.name}/")


if __name__ == "__main__":
    main()
