#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the fixtures of models near BERT: distilbert_*, bert_multilabel and bert_gelu_new.

  make_distilbert_fixtures.py make     writes those that belong to the transformers installed
  make_distilbert_fixtures.py check    computes ids and logits of all anew with what is installed
                                       and compares them with the committed expected.json

As make_bert_fixtures.py, which tells of expected.json and of how weights are drawn. Those marked 4
were made with transformers 4.49.0 on torch 1.13 (Debian's python3-torch), those marked 5 with
transformers 5.17.0 on torch 2.11; expected.json tells exactly. The float64 model is what
AutoModelForSequenceClassification makes of the directory, so what a config.json means is
transformers' word. `problem_type` and the sigmoid are not in the logits: transformers' pipeline is
asked for the scores of bert_multilabel, `scores` in expected.json.
"""
import json
import os
import shutil
import sys

import torch
import transformers
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, BertConfig,
                          BertForSequenceClassification, BertTokenizerFast, DistilBertConfig,
                          DistilBertForSequenceClassification, DistilBertTokenizerFast, pipeline)

sys.dont_write_bytecode = True
from fixture_text import TITLES, vocabulary
from make_bert_fixtures import (GOLDEN, HIDDEN_CASE, TOPICS, compact, describe, randomise, versions,
                                write_expected)

# name: transformers major, whether lower case, stored type, seed, labels, and the config's figures
FIXTURES = {
    "distilbert_small": (4, True, "float32", 6, 5, {
        "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 40, "max_position_embeddings": 40}),
    # Position embeddings that do not follow the sine: the checkpoint's count. Heads of 32.
    "distilbert_v5": (5, False, "float16", 17, 3, {
        "dim": 64, "n_layers": 1, "n_heads": 2, "hidden_dim": 72, "max_position_embeddings": 32,
        "sinusoidal_pos_embds": True}),
    "bert_multilabel": (4, True, "float32", 44, 6, {
        "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1,
        "intermediate_size": 56, "max_position_embeddings": 40, "type_vocab_size": 1,
        "problem_type": "multi_label_classification"}),
    "bert_gelu_new": (4, False, "bfloat16", 54, 4, {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 1,
        "intermediate_size": 48, "max_position_embeddings": 40, "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-6}),
}


def model_of(name):
    labels, figures = FIXTURES[name][4:]
    names = TOPICS[:labels]
    near = name.startswith("distilbert")
    config = (DistilBertConfig if near else BertConfig)(
        vocab_size=len(vocabulary()), id2label=dict(enumerate(names)),
        label2id={label: k for k, label in enumerate(names)}, **figures)
    return (DistilBertForSequenceClassification if near else BertForSequenceClassification)(config)


def write_directory(name, directory):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    _, lower, dtype, seed, _, figures = FIXTURES[name]
    model = model_of(name)
    randomise(model, seed)
    model.to(getattr(torch, dtype)).save_pretrained(directory)
    vocab_path = os.path.join(directory, "vocab.txt")
    with open(vocab_path, "w", encoding="utf-8") as file:
        file.writelines(token + "\n" for token in vocabulary())
    key = "vocab_file" if transformers.__version__.startswith("4.") else "vocab"
    tokenizer = DistilBertTokenizerFast if name.startswith("distilbert") else BertTokenizerFast
    tokenizer = tokenizer(**{key: vocab_path}, do_lower_case=lower,
                          model_max_length=figures["max_position_embeddings"])
    os.remove(vocab_path)
    tokenizer.save_pretrained(directory)


def expected_of(name, directory):
    model = AutoModelForSequenceClassification.from_pretrained(
        directory, torch_dtype=torch.float64, attn_implementation="eager").eval()
    assert all(p.dtype == torch.float64 for p in model.parameters())
    max_length = model.config.max_position_embeddings
    tokenizer = AutoTokenizer.from_pretrained(directory)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    cases = []
    for index, title in enumerate(TITLES):
        inputs = tokenizer(title, truncation=True, max_length=max_length, return_tensors="pt")
        ids = inputs["input_ids"][0].tolist()
        full = tokenizer(title, truncation=False, verbose=False)["input_ids"]
        with torch.no_grad():
            out = model(**inputs, output_hidden_states=True)
        case = {"title": title, "ids": ids, "truncated": len(full) > len(ids),
                "logits": out.logits[0].tolist()}
        if name == "bert_multilabel":
            scores = {s["label"]: s["score"] for s in classify(title, truncation=True)[0]}
            case["scores"] = [scores[label] for label in TOPICS[:len(scores)]]
        if index == HIDDEN_CASE:
            case["hidden"] = [
                {"layer": layer, "token": token, "state": state[0, token].tolist()}
                for layer, state in enumerate(out.hidden_states) for token in (0, len(ids) - 1)]
        cases.append(case)
    return {"made_with": versions(), "seed": FIXTURES[name][3], "max_length": max_length,
            "cases": cases}


def check(name, directory):
    with open(os.path.join(directory, "expected.json"), encoding="utf-8") as file:
        committed = json.load(file)
    fresh = json.loads(compact(expected_of(name, directory)))
    worst = 0.0
    for old, new in zip(committed["cases"], fresh["cases"], strict=True):
        assert (old["title"], old["ids"]) == (new["title"], new["ids"]), (name, old["title"])
        for key in ("logits", "scores"):
            scale = max(map(abs, old.get(key, [1])))
            worst = max([worst] + [abs(a - b) / scale for a, b in zip(
                old.get(key, []), new.get(key, []), strict=True)])
    print(f"{name}: logits agree to {worst:.1e} of their scale")
    return worst < 1e-9


def main():
    if sys.argv[1:] not in (["make"], ["check"]):
        sys.exit(__doc__)
    print(versions())
    torch.set_num_threads(1)
    good = True
    for name, (major, *_) in FIXTURES.items():
        directory = os.path.join(GOLDEN, name)
        if sys.argv[1] == "check":
            good = check(name, directory) and good
        elif transformers.__version__.startswith(f"{major}."):
            write_directory(name, directory)
            expected = expected_of(name, directory)
            describe(name, expected)
            write_expected(expected, os.path.join(directory, "expected.json"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
