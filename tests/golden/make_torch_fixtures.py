#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/bert_torch: one small classifier as many versions of torch save it.

  make_torch_fixtures.py    writes what belongs to the torch that is installed

Run it in six environments, in this order (the script itself is Python 2 and 3):
  Python 3.8:  torch==1.6.0 transformers==4.15.0 numpy future
  Python 3.11: torch==2.11.0 safetensors==0.8.0 numpy
  Python 3.8:  torch==1.12.1 transformers==4.46.3 'numpy<1.24'
  Python 3.7:  torch==1.5.1 transformers==4.15.0 numpy future
  Python 3.7:  torch==1.1.0 'numpy<1.18' six
  Python 2.7:  torch==1.4.0 numpy future

The directory is what save_pretrained of model and tokenizer wrote with the first: a zip, and with
position_ids, a buffer of integers. Beside it, in `other`, the same weights by
  torch 2.11    twin.safetensors, torch2.bin, torch2_legacy.bin; half.bin and bfloat16.bin with
                .safetensors of their own; views.bin, nested.bin: see below
  torch 1.12    sharded/, by save_pretrained
  torch 1.5     transformers4_15_legacy.bin, by save_pretrained
  torch 1.1     torch1_1.bin, of pickle protocol 1; views_legacy.bin
  torch 1.4     python2.bin, of Python 2

views.bin has its tensors in all the ways that a state dict may: slices of one storage, transposed
and otherwise strided, of doubles, parameters, empty, without dimensions, of other types, with the
prefix of DataParallel; pickle protocol 4, no checksums. nested.bin is the checkpoint of a training
run: the state dict beside an optimizer's.

Weights come from numpy's RandomState(seed), whose stream is frozen; the legacy format names its
storages by their addresses, so its files come out with other keys each time. expected.json:
`cases`, each with `title`, `ids` (BertTokenizerFast, cut at max_length), `truncated`, `logits` and,
for one case, `hidden` as in make_bert_fixtures.py, by torch 1.6 in float64.
"""
from __future__ import print_function

import collections
import json
import os
import shutil
import struct
import sys

import numpy
import torch

sys.dont_write_bytecode = True
GOLDEN = os.path.dirname(os.path.abspath(__file__))
DIRECTORY = os.path.join(GOLDEN, "bert_torch")
OTHER = os.path.join(DIRECTORY, "other")
TOPICS = ["business", "health", "science", "sport", "culture"]
SEED, MAX_LENGTH = 85, 24
HIDDEN_CASE = 5  # the title whose hidden states are kept
VERSION = ".".join(torch.__version__.split("+")[0].split(".")[:2])


def config():
    from fixture_text import vocabulary
    from transformers import BertConfig
    return BertConfig(
        vocab_size=len(vocabulary()), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=28, max_position_embeddings=MAX_LENGTH,
        id2label=dict(enumerate(TOPICS)), label2id={label: k for k, label in enumerate(TOPICS)})


def other(name):
    return os.path.join(OTHER, name)


def randomise(model):
    """Every parameter drawn anew, in the order of names: large enough that titles differ."""
    random = numpy.random.RandomState(SEED)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            values = random.standard_normal(tuple(parameter.shape))
            if name.endswith("LayerNorm.weight"):
                values = 1 + 0.3 * values
            elif name.endswith("bias"):
                values = 0.2 * values
            else:
                values = (0.5 if "embeddings" in name or "classifier" in name else 0.3) * values
            parameter.copy_(torch.from_numpy(values).to(parameter.dtype))


def numbers(values):
    return "[%s]" % ",".join("%.17g" % x for x in values)


def write_expected(model, tokenizer):
    import transformers
    from fixture_text import TITLES
    model, lines, seen = model.double().eval(), [], set()
    for index, title in enumerate(TITLES):
        ids = tokenizer(title, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        full = tokenizer(title, truncation=False, verbose=False)["input_ids"]
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
        logits = out.logits[0].tolist()
        seen.add(logits.index(max(logits)))
        hidden = ",".join(
            '{"layer":%d,"token":%d,"state":%s}' % (layer, token, numbers(state[0, token].tolist()))
            for layer, state in enumerate(out.hidden_states) for token in (0, len(ids) - 1))
        lines.append('{"title":%s,"ids":%s,"truncated":%s,"logits":%s%s}' % (
            json.dumps(title, ensure_ascii=False), json.dumps(ids, separators=(",", ":")),
            json.dumps(len(full) > len(ids)), numbers(logits),
            ',"hidden":[%s]' % hidden if index == HIDDEN_CASE else ""))
    assert len(seen) >= 3, seen
    head = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__,
                          "numpy": numpy.__version__}, "seed": SEED, "max_length": MAX_LENGTH}
    with open(os.path.join(DIRECTORY, "expected.json"), "w", encoding="utf-8") as file:
        file.write(json.dumps(head, separators=(",", ":"))[:-1] + ',"cases":[\n')
        file.write(",\n".join(lines) + "\n]}\n")


def first():
    from fixture_text import vocabulary
    from transformers import BertForSequenceClassification, BertTokenizerFast
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    os.makedirs(OTHER)
    model = BertForSequenceClassification(config())
    randomise(model)
    model.save_pretrained(DIRECTORY)
    vocab_path = os.path.join(DIRECTORY, "vocab.txt")
    with open(vocab_path, "w", encoding="utf-8") as file:
        file.writelines(token + "\n" for token in vocabulary())
    tokenizer = BertTokenizerFast(vocab_file=vocab_path, do_lower_case=False,
                                  model_max_length=MAX_LENGTH)
    os.remove(vocab_path)
    tokenizer.save_pretrained(DIRECTORY)
    # As users have it: only this makes added tokens of the special ones.
    write_expected(model, BertTokenizerFast.from_pretrained(DIRECTORY))


def twin():
    """twin.safetensors as a state dict, the buffer of integers left out."""
    with open(other("twin.safetensors"), "rb") as file:
        data = file.read()
    (n,) = struct.unpack("<Q", data[:8])
    state = collections.OrderedDict()
    for name, entry in sorted(json.loads(data[8:8 + n].decode()).items()):
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = entry["data_offsets"]
        values = numpy.frombuffer(data[8 + n + begin:8 + n + end], dtype="<f4")
        state[str(name)] = torch.from_numpy(values.reshape(entry["shape"]).copy())
    return state


def as_slices(state):
    """The same tensors as slices of one storage."""
    whole, at, out = torch.cat([t.reshape(-1) for t in state.values()]), 0, state.copy()
    for name, tensor in state.items():
        out[name] = whole[at:at + tensor.numel()].view(tensor.shape)
        at += tensor.numel()
    return out


def strided(state):
    """Some slices of one storage, some transposed, some with gaps, some doubles."""
    out = as_slices(state)
    for i, (name, tensor) in enumerate(sorted(state.items())):
        if i % 4 == 1 and tensor.dim() == 2:
            out[name] = tensor.t().contiguous().t()
        elif i % 4 == 1:
            out[name] = torch.stack([tensor, -tensor], 1)[:, 0]
        elif i % 4 == 2:
            out[name] = tensor.double()
        elif i % 8 == 3 and tensor.dim() == 2:
            out[name] = torch.cat([tensor.double(), tensor.double()], 1)[:, :tensor.size(1)]
    return out


def views():
    out = strided(twin())
    for i, name in enumerate(list(out)):
        if i % 5 == 0:
            out[name] = torch.nn.Parameter(out[name])
    out["none"] = torch.zeros(0, 16)
    out["number"] = torch.tensor(2.5)
    out["position_ids"] = torch.arange(MAX_LENGTH).expand(1, -1)
    for dtype in ("uint8", "bool", "int32", "int16", "int8", "complex64", "uint16"):
        out["of_" + dtype] = torch.ones(3).to(getattr(torch, dtype))
    return collections.OrderedDict(("module." + k, v) for k, v in out.items())


def nested():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "best": 0.75, "steps": 1 << 40, "state_dict": twin(), "done": False,
            "optimizer": optimizer.state_dict(), "device": torch.device("cpu"),
            "shape": torch.Size([2, 3]), "dtype": torch.float32, "notes": [None, ("a", u"b")]}


def torch2():
    from safetensors.torch import save_file
    state = torch.load(os.path.join(DIRECTORY, "pytorch_model.bin"))
    save_file(state, other("twin.safetensors"), metadata={"format": "pt"})
    state = twin()
    torch.save(state, other("torch2.bin"))
    torch.save(state, other("torch2_legacy.bin"), _use_new_zipfile_serialization=False)
    for name in ("half", "bfloat16"):
        small = collections.OrderedDict((k, v.to(getattr(torch, name))) for k, v in state.items())
        torch.save(small, other(name + ".bin"))
        save_file(small, other(name + ".safetensors"), metadata={"format": "pt"})
    torch.save(nested(), other("nested.bin"))
    torch.serialization.set_crc32_options(False)
    torch.save(views(), other("views.bin"), pickle_protocol=4)


def torch1_12():
    from transformers import BertForSequenceClassification
    model = BertForSequenceClassification(config())
    model.load_state_dict(twin(), strict=False)
    model.save_pretrained(other("sharded"), safe_serialization=False, max_shard_size="14KB")
    for name in ("config.json", "generation_config.json"):
        if os.path.exists(other("sharded/" + name)):
            os.remove(other("sharded/" + name))


def torch1_5():
    from transformers import BertForSequenceClassification
    model = BertForSequenceClassification(config())
    model.load_state_dict(twin(), strict=False)
    model.save_pretrained(other("legacy"))
    os.rename(other("legacy/pytorch_model.bin"), other("transformers4_15_legacy.bin"))
    shutil.rmtree(other("legacy"))


def torch1_1():
    torch.save(twin(), other("torch1_1.bin"), pickle_protocol=1)
    torch.save(strided(twin()), other("views_legacy.bin"))


def python2():
    torch.save(twin(), other("python2.bin"))


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    {"1.6": first, "2.11": torch2, "1.12": torch1_12, "1.5": torch1_5, "1.1": torch1_1,
     "1.4": python2}[VERSION]()
    print("%s: written" % VERSION)


if __name__ == "__main__":
    main()
