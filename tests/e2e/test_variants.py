#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models near BERT: DistilBERT, multi-label, other GELUs and label counts; all others refused by
name. That logits of the fixtures are transformers' is test_label.py's business."""
import json
import math
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402

DISTILBERT, BERT = (os.path.join(e2e.GOLDEN, n) for n in ("distilbert_small", "bert_small"))
MULTILABEL = os.path.join(e2e.GOLDEN, "bert_multilabel")
OTHERS = ["albert", "camembert", "deberta", "deberta-v2", "electra", "mobilebert", "modernbert",
          "mpnet", "roberta", "xlm-roberta", "xlnet", "BERT"]


def changed(t, source, tensors=None, **config):
    """A copy of a model with other keys in config.json and other tensors."""
    model = e2e.copy_model(t, source)
    e2e.edit_json(os.path.join(model, "config.json"), **config)
    if tensors is not None:
        path = os.path.join(model, "model.safetensors")
        e2e.safetensors_write(path, tensors(e2e.safetensors_read(path)))
    return model


def rows_of(t, model, *args):
    data = e2e.titled(c["title"] for c in e2e.expected("distilbert_small")["cases"])
    return t.label("--input-format", "jsonl", *args, model=model, stdin=data)


def test_multi_label(t):
    """The scores are those of transformers' pipeline, which applies the sigmoid."""
    cases = e2e.expected("bert_multilabel")["cases"]
    result = rows_of(t, MULTILABEL, "--scores", "all")
    t.exits("multi-label", result, e2e.OK)
    worst, wrong, sums = 0.0, [], set()
    for row, case in zip(result.rows(), cases, strict=True):
        got = list(row["scores"].values())
        worst = max([worst] + [abs(a - b) for a, b in zip(got, case["scores"], strict=True)])
        sums.add(round(sum(got), 2))
        if row["score"] != max(got) or row["scores"][row["label"]] != row["score"]:
            wrong.append(row)
    t.check("multi-label: scores are the pipeline's (worst %.1e)" % worst, worst < 1e-5)
    t.equal("multi-label: the label is the one with the highest score", wrong, [])
    t.check("multi-label: scores sum to what they like", max(sums) > 1.5 and min(sums) < 3, sums)
    single = rows_of(t, changed(t, MULTILABEL, problem_type=None), "--scores", "all")
    t.equal("the same weights, single-label: the same labels",
            [r["label"] for r in single.rows()], [r["label"] for r in result.rows()])
    t.check("the same weights, single-label: scores sum to 1", all(
        abs(sum(r["scores"].values()) - 1) < 1e-5 for r in single.rows()))


def bare(tensors):
    return {k.removeprefix("distilbert."): v for k, v in tensors.items()}


def old_norms(tensors):
    return {k.replace("_norm.weight", "_norm.gamma").replace("_norm.bias", "_norm.beta")
            .replace("LayerNorm.weight", "LayerNorm.gamma"): v for k, v in tensors.items()}


def test_distilbert(t):
    """What may differ between checkpoints of one model changes no byte."""
    wanted = rows_of(t, DISTILBERT, "--scores", "logits")
    t.exits("DistilBERT", wanted, e2e.OK)
    classes = "DistilBertForSequenceClassification"
    for what, tensors, config in [
            ("no architectures", None, {"architectures": None}),
            ("TensorFlow's class", None, {"architectures": ["TF" + classes]}),
            ("sinusoidal_pos_embds", None, {"sinusoidal_pos_embds": True}),
            ("keys of BERT that mean nothing", None, {"layer_norm_eps": 0.1, "hidden_act": "relu"}),
            ("names without prefix", bare, {}), ("gamma and beta", old_norms, {})]:
        got = rows_of(t, changed(t, DISTILBERT, tensors, **config), "--scores", "logits")
        t.check("DistilBERT, %s: the same rows" % what, got.out == wanted.out != b"", got)
    tanh = rows_of(t, changed(t, DISTILBERT, activation="gelu_new"), "--scores", "logits")
    t.check("DistilBERT with the other GELU: other rows", tanh.code == 0 and
            tanh.out != wanted.out, tanh)
    for what, model, *words in [
            ("no pre_classifier", changed(t, DISTILBERT, lambda tensors: {
                k: v for k, v in tensors.items() if k != "pre_classifier.bias"}),
             "pre_classifier.bias", "without a classification head", classes),
            ("a layer too many", changed(t, DISTILBERT, n_layers=3),
             "distilbert.transformer.layer.2.attention.q_lin.weight", "is missing"),
            ("other sizes", changed(t, DISTILBERT, hidden_dim=48),
             "ffn.lin1.weight", "[40, 32]", "[48, 32]", "hidden_dim"),
            ("a contradiction", changed(t, DISTILBERT, num_attention_heads=2),
             "n_heads is 4", "num_attention_heads is 2", "must agree"),
            ("BERT's weights", changed(t, DISTILBERT, lambda _: e2e.safetensors_read(
                os.path.join(BERT, "model.safetensors"))),
             "distilbert.embeddings.word_embeddings.weight", "not a checkpoint of " + classes)]:
        t.exits("DistilBERT, %s" % what, rows_of(t, model), e2e.UNUSABLE, *words)


def test_nan(t):
    """relu(NaN) is NaN: a broken checkpoint labels nothing."""
    def broken(name):
        def change(tensors):
            dtype, shape, data = tensors[name]
            tensors[name] = (dtype, shape, struct.pack("<f", math.nan) + data[4:])
            return tensors
        return change
    for name in ("pre_classifier.bias", "distilbert.transformer.layer.1.ffn.lin2.bias"):
        result = rows_of(t, changed(t, DISTILBERT, broken(name)), "--max-bad", "100%")
        t.check("a NaN in %s: no title gets a label" % name, result.code == e2e.OK and all(
            r["label"] is None and r["status"] == "nonfinite_logits" for r in result.rows()),
            result)


def test_label_counts(t):
    """A thousand labels; names for some only; one label."""
    def with_labels(n):
        def change(tensors):
            for name in ("classifier.weight", "classifier.bias"):
                dtype, shape, data = tensors[name]
                tensors[name] = (dtype, [n] + shape[1:], (data * n)[:len(data) // shape[0] * n])
            return tensors
        return change
    names = {str(i): "label %d" % i for i in range(1000)}
    for source in (DISTILBERT, MULTILABEL):
        model = changed(t, source, with_labels(1000), id2label=names, label2id=None)
        got, was = (rows_of(t, m, "--scores", "logits").rows() for m in (model, source))
        t.check("%s with 1000 labels" % os.path.basename(source), len(got) == 20 and all(
            a["logits"][:len(b["logits"])] == b["logits"] and len(a["logits"]) == 1000
            and a["label"] == "label %d" % b["logits"].index(max(b["logits"]))
            for a, b in zip(got, was, strict=True)))
        del names["500"]
        t.exits("a gap in id2label", rows_of(t, changed(
            t, source, with_labels(1000), id2label=names, label2id=None)), e2e.UNUSABLE,
            "id2label", "\"999\"")
        names["500"] = "label 500"
        t.exits("one label", rows_of(t, changed(
            t, source, with_labels(1), id2label={"0": "yes"}, label2id=None)), e2e.UNUSABLE,
            "1 rows", "regression")


def test_refused(t):
    for other in OTHERS:
        for source in (BERT, DISTILBERT):
            t.exits("model_type %s" % other, rows_of(t, changed(t, source, model_type=other)),
                    e2e.UNUSABLE, "config.json", "model_type", json.dumps(other), '"bert"',
                    '"distilbert"')
    for source, name in [(BERT, "BertFor"), (DISTILBERT, "DistilBertFor")]:
        for other in ("MaskedLM", "TokenClassification", "MultipleChoice", "QuestionAnswering"):
            t.exits("architectures %s%s" % (name, other), rows_of(
                t, changed(t, source, architectures=[name + other])), e2e.UNUSABLE,
                "architectures", name + other, "only %sSequenceClassification" % name)
        for key, value in [("problem_type", "regression"), ("problem_type", "other"),
                           ("num_labels", 1)]:
            result = rows_of(t, changed(t, source, **{key: value}))
            t.exits("%s %s" % (key, value), result, e2e.UNUSABLE, key, str(value))
    for source, key in [(BERT, "hidden_act"), (DISTILBERT, "activation")]:
        for value in ("relu", "silu", "gelu_fast", "gelu_10", "quick_gelu", 1):
            t.exits("%s %s" % (key, value), rows_of(t, changed(t, source, **{key: value})),
                    e2e.UNUSABLE, "%s is %s" % (key, json.dumps(value)), '"gelu"', '"gelu_new"')
    for source, to in [(BERT, "distilbert"), (DISTILBERT, "bert")]:
        t.exits("%s called %s" % (os.path.basename(source), to),
                rows_of(t, changed(t, source, model_type=to)), e2e.UNUSABLE,
                "architectures", "model_type \"%s\"" % to)


def main():
    t = e2e.Suite(__doc__)
    test_multi_label(t)
    test_distilbert(t)
    test_nan(t)
    test_label_counts(t)
    test_refused(t)
    t.finish()


if __name__ == "__main__":
    main()
