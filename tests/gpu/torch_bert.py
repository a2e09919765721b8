#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same model in PyTorch: what wader's logits are compared with, and a peer for its speed.

usage: torch_bert.py logits MODEL IDS OUT DEVICE SAMPLE
       torch_bert.py speed MODEL IDS OUT DEVICE SECONDS BATCH...

IDS has the token ids of a title a line, as `wader tokenize` prints them. `logits` first scales the
classifier, in the model's file, so that labels differ (see calibrate), then writes OUT, an .npz
with the logits of each format. `speed` writes OUT as JSON. Titles are sorted by length and padded
within a batch. Attention is PyTorch's scaled_dot_product_attention in the 16-bit formats, plain
products in the others; TF32 is off.
"""
import json
import os
import sys
import time

import numpy
import torch
import transformers

HALVES = (torch.bfloat16, torch.float16)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def read_ids(path):
    with open(path, encoding="ascii") as stream:
        return [[int(i) for i in line.split()] for line in stream]


def load(model_dir, dtype, device):
    transformers.utils.logging.set_verbosity_error()
    model = transformers.BertForSequenceClassification.from_pretrained(
        model_dir, attn_implementation="sdpa" if dtype in HALVES else "eager",
        local_files_only=True)
    return model.to(dtype).to(device).eval()


def batches(ids, size, tokens_max=None):
    """Indices of titles sorted by length, and the padded tensors of each batch."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    at = 0
    while at < len(order):
        n = size
        if tokens_max:
            longest = len(ids[order[min(at + size, len(order)) - 1]])
            n = max(1, min(size, tokens_max // longest))
        part = order[at:at + n]
        longest = len(ids[part[-1]])
        padded = numpy.zeros((len(part), longest), dtype=numpy.int64)
        mask = numpy.zeros((len(part), longest), dtype=numpy.int64)
        for row, i in enumerate(part):
            padded[row, :len(ids[i])] = ids[i]
            mask[row, :len(ids[i])] = 1
        yield part, torch.from_numpy(padded), torch.from_numpy(mask)
        at += n


def forward(model, ids, device, pooled=False):
    """Logits [n, labels], or the pooled vectors that the classifier sees, as float64."""
    out = None
    with torch.inference_mode():
        for part, padded, mask in batches(ids, 512, 16384):
            padded, mask = padded.to(device), mask.to(device)
            if pooled:
                got = model.bert(input_ids=padded, attention_mask=mask).pooler_output
            else:
                got = model(input_ids=padded, attention_mask=mask).logits
            got = got.double().cpu().numpy()
            if out is None:
                out = numpy.zeros((len(ids), got.shape[1]))
            out[part] = got
    return out


# ---- the classifier

def calibrate(model_dir, ids, device):
    """Random weights give every title nearly the same logits. So the classifier is drawn in the
    directions in which titles differ, and each label's logit gets mean 0 and deviation 1 over the
    titles. Written into the model's file, whose last tensors are the classifier's."""
    model = load(model_dir, torch.float32, device)
    x = forward(model, ids, device, pooled=True)
    n_labels, hidden = model.classifier.weight.shape
    random = numpy.random.default_rng(5)
    centred = x - x.mean(0)
    weight = random.standard_normal((n_labels, len(ids))) @ centred  # mixtures of titles
    logits = centred @ weight.T
    weight /= logits.std(0)[:, None]
    bias = -(x @ weight.T).mean(0)
    path = os.path.join(model_dir, "model.safetensors")
    with open(path, "r+b") as stream:
        stream.seek(-4 * (n_labels * hidden + n_labels), os.SEEK_END)
        stream.write(weight.astype("<f4").tobytes() + bias.astype("<f4").tobytes())
    return {"spread_of_pooled": float(centred.std()), "size_of_pooled": float(numpy.abs(x).mean())}


def command_logits(model_dir, ids_path, out, device, sample):
    ids = read_ids(ids_path)
    facts = calibrate(model_dir, ids[:1024], device)
    results = {}
    for name in DTYPES if device != "cpu" else ["fp32", "bf16"]:
        begun = time.monotonic()
        results[name] = forward(load(model_dir, DTYPES[name], device), ids, device)
        facts[f"{name}_s"] = round(time.monotonic() - begun, 2)
    results["fp64"] = forward(load(model_dir, torch.float64, "cpu"), ids[:int(sample)], "cpu")
    labels = results["fp32"].argmax(1)
    facts["titles_of_each_label"] = numpy.bincount(labels, minlength=8).tolist()
    facts["torch"], facts["transformers"] = torch.__version__, transformers.__version__
    numpy.savez(out, **results)
    print(json.dumps(facts))


# ---- speed

def measure(model, ids, size, device, seconds):
    """Titles a second over batches that are on the device already, those of all lengths in turn."""
    made = [(p.to(device), m.to(device), len(part)) for part, p, m in batches(ids, size)]
    sync = torch.cuda.synchronize if device != "cpu" else (lambda: None)
    order = numpy.random.default_rng(1).permutation(len(made))
    with torch.inference_mode():
        for i in order[:4]:
            model(input_ids=made[i][0], attention_mask=made[i][1])
        sync()
        begun, titles, n = time.monotonic(), 0, 0
        while time.monotonic() - begun < seconds:
            i = order[n % len(order)]
            model(input_ids=made[i][0], attention_mask=made[i][1]).logits.argmax(1)
            titles, n = titles + made[i][2], n + 1
            if n % 32 == 0 or device == "cpu":
                sync()
        sync()
    return titles / (time.monotonic() - begun), n


def command_speed(model_dir, ids_path, out, device, seconds, *sizes):
    ids = read_ids(ids_path)
    name = "bf16" if device != "cpu" else "fp32"
    model = load(model_dir, DTYPES[name], device)
    tokens = sum(map(len, ids)) / len(ids)
    rows = []
    for size in map(int, sizes):
        rate, n = measure(model, ids, size, device, float(seconds))
        rows.append({"batch": size, "titles_per_s": rate, "tokens_per_s": rate * tokens,
                     "batches": n})
        with open(out, "w", encoding="utf-8") as stream:
            json.dump({"dtype": name, "torch": torch.__version__, "titles": len(ids),
                       "tokens_a_title": tokens, "batches": rows}, stream)


if __name__ == "__main__":
    {"logits": command_logits, "speed": command_speed}[sys.argv[1]](*sys.argv[2:])
