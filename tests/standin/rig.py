# SPDX-License-Identifier: Apache-2.0
"""What the tests of `wader --device cuda` on the stand-in share: small random models, runs on the
stand-in (standin.h has its environment), and what they did there.

The program is one of the wader_standin_*; LD_LIBRARY_PATH leads to the stand-in's cublasLt.
"""
import array
import json
import math
import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

VOCAB = os.path.join(e2e.MODEL, "vocab.txt")
TIERS = ("fp32", "fp16", "bf16")  # of any model; fp8 takes three layers
# Of the logits' scale, as tests/simt/test_forward.c has them: what 2 or 3 layers of rounded weights
# and activations leave.
TOLERANCE = {"fp32": 5e-6, "fp16": 1e-2, "bf16": 8e-2, "fp8": 0.3}


def model(t, hidden=64, heads=1, layers=2, feed=96, labels=5, positions=48, seed=1):
    """A model directory with random weights. Classifier rows are large, so that labels differ."""
    rng = random.Random(seed)
    path = os.path.join(t.directory(), "model")
    os.mkdir(path)
    shutil.copy(VOCAB, os.path.join(path, "vocab.txt"))
    with open(VOCAB, encoding="utf-8") as file:
        n_words = len(file.read().splitlines())
    config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert",
              "hidden_act": "gelu", "hidden_size": hidden, "num_attention_heads": heads,
              "num_hidden_layers": layers, "intermediate_size": feed, "vocab_size": n_words,
              "max_position_embeddings": positions, "type_vocab_size": 2,
              "layer_norm_eps": 1e-12, "position_embedding_type": "absolute",
              "id2label": {str(i): "subject %d" % i for i in range(labels)}}
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    tensors = {}

    def put(name, *shape, scale, middle=0.0):
        values = array.array("f", (rng.gauss(middle, scale) for _ in range(math.prod(shape))))
        tensors[name] = ("F32", list(shape), values.tobytes())

    def dense(name, n_out, n_in, gain=1.0):
        put(name + ".weight", n_out, n_in, scale=gain / math.sqrt(n_in))
        put(name + ".bias", n_out, scale=0.1)

    def norm(name):
        put(name + ".weight", hidden, scale=0.1, middle=1.0)
        put(name + ".bias", hidden, scale=0.1)

    put("bert.embeddings.word_embeddings.weight", n_words, hidden, scale=1.0)
    put("bert.embeddings.position_embeddings.weight", positions, hidden, scale=0.3)
    put("bert.embeddings.token_type_embeddings.weight", 2, hidden, scale=0.3)
    norm("bert.embeddings.LayerNorm")
    for layer in range(layers):
        at = "bert.encoder.layer.%d." % layer
        for part in ("query", "key", "value"):
            dense(at + "attention.self." + part, hidden, hidden)
        dense(at + "attention.output.dense", hidden, hidden)
        norm(at + "attention.output.LayerNorm")
        dense(at + "intermediate.dense", feed, hidden)
        dense(at + "output.dense", hidden, feed)
        norm(at + "output.LayerNorm")
    dense("bert.pooler.dense", hidden, hidden)
    dense("classifier", labels, hidden, gain=2.0)
    e2e.safetensors_write(os.path.join(path, "model.safetensors"), tensors)
    return path


class Suite(e2e.Suite):
    """Runs on the stand-in, with a cache of algorithms of this test alone."""

    def __init__(self, description):
        super().__init__(description)
        self.cache = self.directory()

    def cuda(self, *args, model, standin=None, device="cuda", stdin=b"", cache=None, timeout=120,
             lt=None):
        """A run of `wader label`; `standin` are variables without their STANDIN_. What the stand-in
        reports comes as .report, {} where it could not."""
        path = os.path.join(self.directory(), "report.json")
        env = {"XDG_CACHE_HOME": cache or self.cache, "STANDIN_REPORT": path,
               "STANDIN_SEED": str(self.seed)}
        env.update({"STANDIN_" + k: str(v) for k, v in (standin or {}).items()})
        env.update(lt or {})
        result = self.run("label", "--model", model, "--device", device, *args, stdin=stdin,
                          env=env, timeout=timeout)
        result.report = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                result.report = json.load(file)
        shutil.rmtree(os.path.dirname(path))
        return result
