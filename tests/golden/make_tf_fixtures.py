#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small classifiers with tf_model.h5 in tests/golden/*_tf*, and what TensorFlow says of
them.

  make_tf_fixtures.py    writes what belongs to the transformers and h5py that are installed

Run it in three environments, in this order:
  Python 3.9:  tensorflow-cpu==2.7.4 transformers==4.15.0 'protobuf<3.21' 'numpy<1.24'
  Python 3.8:  tensorflow-cpu==2.7.0 transformers==4.15.0 'protobuf<3.21' 'numpy<1.24' 'h5py<3'
  Python 3.11: tensorflow-cpu==2.15.1 transformers==4.37.2 'numpy<2'

Every directory is what save_pretrained of model and tokenizer wrote, the one of transformers 4.37
as the second model of its process, which gives its outer scope a number. Beside it, in `other`:
  twin.safetensors  the same weights, named and turned round by transformers' own conversion
  h5py2.h5          the same model saved with h5py 2, whose attributes have a fixed length
  chunked.h5        tf_model.h5 with its matrices in chunks, shuffled and gzipped
  half.h5           tf_model.h5 in F16, contiguous
Weights come from numpy's RandomState(seed), whose stream is frozen.

expected.json: `cases`, each with `title`, `ids` (BertTokenizerFast, cut at max_length), `truncated`
and `logits`, by TensorFlow in float64.
"""
import json
import os
import shutil
import struct
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import h5py  # noqa: E402
import numpy  # noqa: E402
import tensorflow as tf  # noqa: E402
import transformers  # noqa: E402
from transformers import modeling_tf_pytorch_utils as conversion  # noqa: E402

sys.dont_write_bytecode = True
from fixture_text import TITLES, vocabulary  # noqa: E402

GOLDEN = os.path.dirname(os.path.abspath(__file__))
TOPICS = ["business", "health", "science", "sport", "culture", "politics", "technology", "world"]

# name: transformers, kind, hidden, layers, heads, intermediate, labels, positions, seed
FIXTURES = {
    "bert_tf4_15": ("4.15.0", "Bert", 12, 1, 2, 28, 8, 40, 33),
    "bert_tf4_37": ("4.37.2", "Bert", 12, 2, 3, 24, 4, 32, 32),
    "distilbert_tf4_15": ("4.15.0", "DistilBert", 12, 1, 2, 24, 5, 40, 53),
}


def config_of(name):
    _, kind, hidden, layers, heads, inner, labels, positions, _ = FIXTURES[name]
    names = {
        "id2label": dict(enumerate(TOPICS[:labels])),
        "label2id": {label: k for k, label in enumerate(TOPICS[:labels])},
        "vocab_size": len(vocabulary()), "max_position_embeddings": positions}
    if kind == "DistilBert":
        return transformers.DistilBertConfig(dim=hidden, n_layers=layers, n_heads=heads,
                                             hidden_dim=inner, **names)
    return transformers.BertConfig(hidden_size=hidden, num_hidden_layers=layers,
                                   num_attention_heads=heads, intermediate_size=inner, **names)


def model_of(name):
    model = getattr(transformers, "TF%sForSequenceClassification" % FIXTURES[name][1])(
        config_of(name))
    model(tf.constant([[1, 2, 3]]))
    return model


def randomise(model, seed):
    """Every weight drawn anew, in the order of names: large enough that titles differ."""
    random = numpy.random.RandomState(seed)
    for weight in sorted(model.weights, key=lambda w: conversion_name(w)[0]):
        values = random.standard_normal(weight.shape)
        if "gamma" in weight.name:
            values = 1 + 0.3 * values
        elif "bias" in weight.name or "beta" in weight.name:
            values = 0.2 * values
        elif "embeddings" in weight.name or "/classifier/" in weight.name:
            values = 0.5 * values
        else:
            values = 0.35 * values
        weight.assign(values.astype("float32"))


def conversion_name(weight):
    """PyTorch's name of a weight, and whether it is turned round, as transformers has it."""
    shape = {}
    if transformers.__version__ != "4.15.0":
        shape = {"tf_weight_shape": weight.shape}
    name, transpose = conversion.convert_tf_weight_name_to_pt_weight_name(weight.name, **shape)
    return name, str(transpose) in ("True", "TransposeType.SIMPLE")


def write_twin(model, path):
    header, body = {}, b""
    for weight in model.weights:
        name, transpose = conversion_name(weight)
        values = weight.numpy()
        assert values.dtype == "float32" and name not in header, name
        data = numpy.ascontiguousarray(values.T if transpose else values)
        header[name] = {"dtype": "F32", "shape": list(data.shape),
                        "data_offsets": [len(body), len(body) + data.nbytes]}
        body += data.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def copy_attributes(source, target):
    for key, value in source.attrs.items():
        target.attrs[key] = value


def rewrite(source_path, target_path, create):
    """A copy with the same groups and attributes whose datasets are made by create(...)."""
    with h5py.File(source_path, "r") as source, h5py.File(target_path, "w") as target:
        copy_attributes(source, target)

        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                create(target, name, item[...])
            else:
                target.require_group(name)
            copy_attributes(item, target[name])
        source.visititems(visit)


def chunked(target, name, values):
    if values.ndim == 1:
        target.create_dataset(name, data=values)
        return
    chunks = tuple(max(1, n * 2 // 3) for n in values.shape)
    target.create_dataset(name, data=values, chunks=chunks, compression="gzip", shuffle=True)


def half(target, name, values):
    target.create_dataset(name, data=values.astype("float16"))


def expected_of(name, model, tokenizer):
    """Computed in float64 by a model of the same weights."""
    tf.keras.backend.set_floatx("float64")
    wide = model_of(name)
    names = {conversion_name(w)[0]: w.numpy() for w in model.weights}
    for weight in wide.weights:
        assert weight.dtype == tf.float64, weight
        weight.assign(names[conversion_name(weight)[0]].astype("float64"))
    tf.keras.backend.set_floatx("float32")
    max_length, cases, apart = FIXTURES[name][7], [], 0.0
    for title in TITLES:
        ids = tokenizer(title, truncation=True, max_length=max_length)["input_ids"]
        full = tokenizer(title, truncation=False, verbose=False)["input_ids"]
        logits = wide(tf.constant([ids])).logits.numpy()[0]
        assert logits.dtype == "float64"
        apart = max(apart, abs(model(tf.constant([ids])).logits.numpy()[0] - logits).max())
        cases.append({"title": title, "ids": ids, "truncated": len(full) > len(ids),
                      "logits": logits.tolist()})
    made_with = {"tensorflow": tf.__version__, "transformers": transformers.__version__,
                 "h5py": h5py.__version__, "numpy": numpy.__version__}
    print("%s: float32 and float64 differ by %.1e" % (name, apart))
    return {"made_with": made_with, "seed": FIXTURES[name][8], "max_length": max_length,
            "cases": cases}


def write_expected(expected, path):
    head = {key: value for key, value in expected.items() if key != "cases"}
    cases = [json.dumps(case, ensure_ascii=False, separators=(",", ":"))
             for case in expected["cases"]]
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(head, separators=(",", ":"))[:-1] + ',"cases":[\n')
        file.write(",\n".join(cases) + "\n]}\n")


def describe(name, expected):
    logits = numpy.array([case["logits"] for case in expected["cases"]])
    top = numpy.sort(logits, axis=1)
    labels, margin = len(set(logits.argmax(axis=1))), (top[:, -1] - top[:, -2]).min()
    print("%s: %d labels occur, |logits| to %.2f, least margin %.3f" %
          (name, labels, abs(logits).max(), margin))
    assert labels >= 3 and margin > 0.01


def write_directory(name):
    directory = os.path.join(GOLDEN, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.join(directory, "other"))
    if name == "bert_tf4_37":
        model_of(name)  # the first of its class; the next one's scope is numbered
    model = model_of(name)
    randomise(model, FIXTURES[name][8])
    model.save_pretrained(directory)
    write_twin(model, os.path.join(directory, "other", "twin.safetensors"))

    vocab_path = os.path.join(directory, "vocab.txt")
    with open(vocab_path, "w", encoding="utf-8") as file:
        file.writelines(token + "\n" for token in vocabulary())
    kind = getattr(transformers, FIXTURES[name][1] + "TokenizerFast")
    tokenizer = kind(vocab_file=vocab_path, do_lower_case=False,
                     model_max_length=FIXTURES[name][7])
    tokenizer.save_pretrained(directory)
    # Only what is opened again knows its special tokens where they stand in a title.
    expected = expected_of(name, model, kind.from_pretrained(directory))
    write_expected(expected, os.path.join(directory, "expected.json"))
    describe(name, expected)
    if name == "bert_tf4_15":
        keras = os.path.join(directory, "tf_model.h5")
        rewrite(keras, os.path.join(directory, "other", "chunked.h5"), chunked)
        rewrite(keras, os.path.join(directory, "other", "half.h5"), half)


def write_with_h5py2(name):
    model = model_of(name)
    randomise(model, FIXTURES[name][8])
    model.save_weights(os.path.join(GOLDEN, name, "other", "h5py2.h5"))


def main():
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    print("tensorflow %s, transformers %s, h5py %s" %
          (tf.__version__, transformers.__version__, h5py.__version__))
    if h5py.__version__.startswith("2."):
        write_with_h5py2("bert_tf4_15")
        return
    for name, fixture in FIXTURES.items():
        if fixture[0] == transformers.__version__:
            write_directory(name)


if __name__ == "__main__":
    main()
