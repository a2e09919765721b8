#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small Hugging Face classifiers in tests/golden/bert_*, and what PyTorch says of them.

  make_bert_fixtures.py make     writes the fixtures that belong to the transformers installed
  make_bert_fixtures.py check    computes ids and logits of all fixtures anew with what is installed
                                 and compares them with the committed expected.json

Fixtures marked 4 below were made with transformers 4.49.0 on torch 1.13 (Debian's python3-torch),
those marked 5 with transformers 5.23.0 on torch 2.15; expected.json tells exactly. Every directory
is what save_pretrained wrote, except that `bert_bare_names` (which also has to do without a
tokenizer.json) and `bert_gamma_beta` have their tensors renamed afterwards, as older files do.
Weights come from numpy's RandomState(seed), whose stream is frozen, so the same versions give the
same bytes again.

expected.json: `cases`, each with `title`, `ids` (BertTokenizerFast, do_lower_case=False, truncated
at max_length), `truncated`, `logits` (float64 on the weights as stored), and for one case `hidden`:
some hidden states, `layer` 0 being the output of the embeddings.
"""
import glob
import json
import os
import shutil
import sys

import numpy
import safetensors.torch
import tokenizers
import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

sys.dont_write_bytecode = True
from fixture_text import TITLES, vocabulary

GOLDEN = os.path.dirname(os.path.abspath(__file__))
TOPICS = ["business", "health", "science", "sport", "culture", "politics", "technology", "world"]

# name: transformers major, hidden, layers, heads, intermediate, labels, positions, token types,
# stored type, layer_norm_eps, seed
FIXTURES = {
    "bert_small": (4, 32, 2, 4, 72, 5, 40, 2, "float32", 1e-12, 3),
    "bert_v5": (5, 32, 2, 4, 88, 8, 32, 2, "float32", 1e-12, 20),
    "bert_three_heads": (4, 48, 1, 3, 72, 2, 40, 1, "float32", 2.0**-10, 12),
    "bert_fp16": (4, 64, 1, 2, 100, 8, 32, 2, "float16", 1e-12, 14),
    "bert_bf16": (5, 64, 1, 1, 120, 8, 48, 2, "bfloat16", 1e-12, 16),
    "bert_sharded": (4, 24, 3, 3, 56, 3, 24, 2, "float32", 1e-12, 4),
    "bert_bare_names": (4, 24, 2, 1, 40, 4, 40, 2, "float32", 1e-12, 17),
    "bert_gamma_beta": (4, 16, 2, 2, 40, 8, 40, 2, "float32", 1e-12, 17),
}
HIDDEN_CASE = 5  # the title whose hidden states are kept


def versions():
    return {
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "numpy": numpy.__version__,
    }


def config_of(name):
    major, hidden, layers, heads, inner, labels, positions, types, dtype, eps, seed = FIXTURES[name]
    names = TOPICS[:labels]
    if name == "bert_fp16":
        names = [f"LABEL_{k}" for k in range(labels)]
    return BertConfig(
        vocab_size=len(vocabulary()), hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, intermediate_size=inner, max_position_embeddings=positions,
        type_vocab_size=types, layer_norm_eps=eps, initializer_range=0.3,
        id2label=dict(enumerate(names)), label2id={label: k for k, label in enumerate(names)})


def randomise(model, seed):
    """Every parameter drawn anew, in the order of names: large enough that titles differ."""
    random = numpy.random.RandomState(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = random.standard_normal(tuple(parameter.shape))
            if name.endswith(("LayerNorm.weight", "layer_norm.weight")):
                values = 1 + 0.3 * values
            elif name.endswith("bias"):
                values = 0.2 * values
            else:
                values = (0.5 if "embeddings" in name or "classifier" in name else 0.3) * values
            parameter.copy_(torch.from_numpy(values).to(parameter.dtype))


def tokenizer_of(vocab_path, max_length):
    key = "vocab_file" if transformers.__version__.startswith("4.") else "vocab"
    return BertTokenizerFast(**{key: vocab_path}, do_lower_case=False, model_max_length=max_length)


def rename_tensors(directory, rename, position_ids):
    path = os.path.join(directory, "model.safetensors")
    tensors = {rename(k): v for k, v in safetensors.torch.load_file(path).items()}
    if position_ids:
        count = tensors["embeddings.position_embeddings.weight"].shape[0]
        tensors["embeddings.position_ids"] = torch.arange(count).reshape(1, count)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def write_directory(name, directory):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    config, dtype, seed = config_of(name), FIXTURES[name][8], FIXTURES[name][10]
    model = BertForSequenceClassification(config)
    randomise(model, seed)
    model.to(getattr(torch, dtype))
    sharding = {"max_shard_size": "40KB"} if name == "bert_sharded" else {}
    model.save_pretrained(directory, **sharding)

    vocab_path = os.path.join(directory, "vocab.txt")
    with open(vocab_path, "w", encoding="utf-8") as file:
        file.writelines(token + "\n" for token in vocabulary())
    tokenizer = tokenizer_of(vocab_path, config.max_position_embeddings)
    os.remove(vocab_path)
    tokenizer.save_pretrained(directory)

    if name == "bert_bare_names":
        rename_tensors(directory, lambda k: k.removeprefix("bert."), True)
        os.remove(os.path.join(directory, "tokenizer.json"))
    if name == "bert_gamma_beta":
        rename_tensors(directory, lambda k: k.replace("LayerNorm.weight", "LayerNorm.gamma")
                       .replace("LayerNorm.bias", "LayerNorm.beta"), False)
    if name == "bert_fp16":
        with open(os.path.join(directory, "labels.txt"), "w", encoding="utf-8") as file:
            file.writelines(f"topic {label}\n" for label in TOPICS)


def load(name, directory):
    """The stored weights in float64, whatever their names and files."""
    model = BertForSequenceClassification(config_of(name)).double().eval()
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")
    state = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.safetensors"))):
        for key, value in safetensors.torch.load_file(path).items():
            key = key.replace("LayerNorm.gamma", "LayerNorm.weight")
            key = key.replace("LayerNorm.beta", "LayerNorm.bias")
            if not key.startswith(("bert.", "classifier.")):
                key = "bert." + key
            if not key.endswith("position_ids"):
                state[key] = value.double()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(k.endswith("_ids") for k in missing), (missing, unexpected)
    return model


def expected_of(name, directory):
    model = load(name, directory)
    max_length = model.config.max_position_embeddings
    tokenizer = BertTokenizerFast.from_pretrained(directory)
    cases = []
    for index, title in enumerate(TITLES):
        ids = tokenizer(title, truncation=True, max_length=max_length)["input_ids"]
        full = tokenizer(title, truncation=False, verbose=False)["input_ids"]
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        case = {"title": title, "ids": ids, "truncated": len(full) > len(ids),
                "logits": out.logits[0].tolist()}
        if index == HIDDEN_CASE:
            case["hidden"] = [
                {"layer": layer, "token": token, "state": state[0, token].tolist()}
                for layer, state in enumerate(out.hidden_states) for token in (0, len(ids) - 1)]
        cases.append(case)
    return {"made_with": versions(), "seed": FIXTURES[name][10], "max_length": max_length,
            "cases": cases}


def compact(value):
    """JSON with `%.17g` numbers."""
    if isinstance(value, bool) or isinstance(value, (int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return "%.17g" % value
    if isinstance(value, list):
        return "[" + ",".join(map(compact, value)) + "]"
    return "{" + ",".join(json.dumps(k) + ":" + compact(v) for k, v in value.items()) + "}"


def write_expected(expected, path):
    head = {k: v for k, v in expected.items() if k != "cases"}
    with open(path, "w", encoding="utf-8") as file:
        file.write(compact(head)[:-1] + ',"cases":[\n')
        file.write(",\n".join(map(compact, expected["cases"])) + "\n]}\n")


def describe(name, expected):
    logits = numpy.array([case["logits"] for case in expected["cases"]])
    top = numpy.sort(logits, axis=1)
    labels = len(set(logits.argmax(axis=1)))
    margin = (top[:, -1] - top[:, -2]).min()
    assert labels >= min(3, logits.shape[1]), f"{name}: only {labels} labels occur"
    assert margin > 0.01, f"{name}: two labels within {margin}"
    print(f"{name}: {labels} labels occur, |logits| to {abs(logits).max():.2f}, "
          f"least margin {margin:.3f}, smallest spread {numpy.ptp(logits, axis=0).min():.2f}")


def check(name, directory):
    with open(os.path.join(directory, "expected.json"), encoding="utf-8") as file:
        committed = json.load(file)
    fresh = expected_of(name, directory)
    worst = 0.0
    for old, new in zip(committed["cases"], fresh["cases"], strict=True):
        assert (old["title"], old["ids"]) == (new["title"], new["ids"]), (name, old["title"])
        scale = max(map(abs, old["logits"]))
        worst = max([worst] + [abs(a - b) / scale for a, b in zip(old["logits"], new["logits"])])
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
