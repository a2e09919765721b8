# SPDX-License-Identifier: Apache-2.0
"""The models that tests/peers/encoders.py has its engines run, in the form that each of them takes.

A job for encoder_worker.py makes one folder: hf (as transformers saves it), plain.onnx, fused.onnx,
plain_int8.onnx, fused_int8.onnx, ct2, openvino_int8.xml. A form that cannot be made is told by
name, and the others are there all the same. `random` is of bert-base-multilingual-cased's shape
with random weights of a seed; `demo` is data/model.
"""
import json
import pathlib
import shutil

import corpora
from environment import ROOT, SHARED

SEED = 8
SHAPE = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12,
         "intermediate_size": 3072, "max_position_embeddings": 512}
# Wider than the 0.02 that training begins with: the logits then tell titles apart, and a rounding
# in any layer is seen in them.
SPREAD = 0.05
N_LABELS = 8
N_CALIBRATING = 128  # titles of data/titles, as many from each of its eight files
VOCABULARY = "bert-base-multilingual-cased"


def random_model(folder):
    """Its vocabulary is the real one where that is at hand."""
    import torch
    import transformers
    models, note = corpora.make_models(folder, SHARED, ROOT, [VOCABULARY])
    source = pathlib.Path(models[0][1])
    with open(source / "vocab.txt", encoding="utf-8", newline="\n") as lines:
        n_tokens = sum(1 for _ in lines)
    torch.manual_seed(SEED)
    config = transformers.BertConfig(vocab_size=n_tokens, num_labels=N_LABELS,
                                     initializer_range=SPREAD, **SHAPE)
    model = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():  # no label is likelier than another, which makes roundings tell
        ids = torch.randint(n_tokens, (64, 20))
        model.classifier.bias -= model(input_ids=ids).logits.mean(0)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / "hf" / name)
    shutil.rmtree(source)
    return model, note


def demo_model(folder):
    import torch
    import transformers
    source = ROOT / "data/model"
    model = transformers.BertForSequenceClassification.from_pretrained(source, dtype=torch.float32)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / "hf" / name)
    return model.eval(), None


def save(model, folder):
    """As transformers does, with what CTranslate2's converter wants to read in config.json."""
    model.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["position_embedding_type"] = "absolute"
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def make_plain(folder, model):
    """The graph as torch traces it: the exporter that writes one graph a function (dynamo) leaves
    one in which ONNX Runtime's optimizer finds no attention to fuse."""
    import torch
    names = ["input_ids", "attention_mask"]
    example = (torch.ones(2, 16, dtype=torch.int64), torch.ones(2, 16, dtype=torch.int64))
    model.config._attn_implementation = "eager"
    torch.onnx.export(model, example, str(folder / "plain.onnx"), dynamo=False, input_names=names,
                      output_names=["logits"], opset_version=17,
                      dynamic_axes={name: {0: "batch", 1: "length"} for name in names} |
                      {"logits": {0: "batch"}})


def make_fused(folder, model):
    from onnxruntime.transformers import optimizer
    config = model.config
    fused = optimizer.optimize_model(
        str(folder / "plain.onnx"), model_type="bert", num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size, use_gpu=False)
    found = fused.get_fused_operator_statistics()
    if found.get("Attention", 0) != config.num_hidden_layers:
        raise ValueError(f"its optimizer fused {found.get('Attention', 0)} attentions of "
                         f"{config.num_hidden_layers}")
    fused.save_model_to_file(str(folder / "fused.onnx"))


def make_int8(folder, kind):
    """Dynamic quantization, a scale for each channel of weights; the embeddings stay fp32, which
    costs no time here and gives it better labels."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(str(folder / f"{kind}.onnx"), str(folder / f"{kind}_int8.onnx"),
                     op_types_to_quantize=["MatMul", "Attention"], per_channel=True,
                     weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


def make_openvino_int8(folder):
    """As its makers do it: weights and activations, whose ranges are learnt from titles (which are
    none of those that it is then timed on)."""
    import nncf
    import numpy
    import openvino
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "hf/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    titles = [line.decode("utf-8") for path in sorted((ROOT / "data/titles").glob("*.tsv"))
              for line in corpora.titles_of(path)[:N_CALIBRATING // 8]]

    def inputs(title):
        ids = numpy.array([tokenizer.encode(title).ids], dtype="i8")
        return {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}
    quantized = nncf.quantize(openvino.Core().read_model(str(folder / "plain.onnx")),
                              nncf.Dataset(titles, inputs), subset_size=len(titles),
                              model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(quantized, str(folder / "openvino_int8.xml"), compress_to_fp16=False)


def make_ct2(folder):
    """BERT without its classifier, which CTranslate2 has no place for: it is applied outside."""
    from ctranslate2.converters import TransformersConverter
    TransformersConverter(str(folder / "hf")).convert(str(folder / "ct2"), force=True)


def make(job):
    """Makes the folder, and tells what could not be made and what is to be said of it."""
    folder = pathlib.Path(job["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "hf").mkdir(parents=True)
    model, note = (random_model if job["model"] == "random" else demo_model)(folder)
    save(model, folder / "hf")
    forms = {"plain": lambda: make_plain(folder, model), "fused": lambda: make_fused(folder, model),
             "plain_int8": lambda: make_int8(folder, "plain"),
             "fused_int8": lambda: make_int8(folder, "fused"), "ct2": lambda: make_ct2(folder),
             "openvino_int8": lambda: make_openvino_int8(folder)}
    missing = {}
    for form, make_form in forms.items():
        try:
            make_form()
        except Exception as error:  # whatever a converter throws, the other forms are wanted
            lines = str(error).strip().split("\n")
            missing[form] = f"{type(error).__name__}: {lines[0]}"
    return {"missing": missing, "note": note}
