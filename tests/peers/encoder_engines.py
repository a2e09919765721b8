# SPDX-License-Identifier: Apache-2.0
"""The classifiers that tests/peers/encoders.py races, each behind the same few methods.

`open` loads a form that encoder_models.py made. `logits` takes titles as a list of str and gives a
row for each, in their order: tokenizing, sorting by length, batching, padding and computing are
all in it, and are what is timed. wader, which is no Python module, is at the end.
"""
import concurrent.futures
import json
import os
import pathlib
import selectors
import subprocess
import tempfile
import time

from environment import Cannot

PACKAGES = [("torch", "2.15.0"), ("transformers", "5.23.0"), ("onnx", "1.23.2"),
            ("onnxruntime", "1.32.0"), ("ctranslate2", "4.8.5"), ("openvino", "2026.4.1"),
            ("nncf", "3.4.0")]
BASE = ["torch", "transformers"]  # without these there is no model, and no comparison
TIERS = ["fp32", "bf16", "int8"]
SETUP = 6  # wader's exit code where the device cannot do what is asked


class Engine:
    name = tier = ""
    package = ""
    variants = [""]   # ways to run it, of which the quickest is taken
    forms = {}        # what of encoder_models.py a variant needs
    batches = True    # does it matter how many titles are computed together?
    compiles = False  # for long, in every process, and for every new kind of batch

    def open(self, folder, variant, streams, threads):
        """`streams` batches at a time, each by `threads` threads."""
        folder = pathlib.Path(folder)
        self.open_tokenizer(folder / "hf")
        self.streams, self.threads = streams, threads
        self.batch = 8
        self.load(folder, variant)
        # A thread of ours for each stream; torch wants to be told in each of them.
        self.pool = concurrent.futures.ThreadPoolExecutor(
            streams, initializer=self.begin_thread) if streams > 1 else None

    def open_tokenizer(self, folder):
        import tokenizers
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(config["max_position_embeddings"])

    def load(self, folder, variant):
        raise NotImplementedError

    def begin_thread(self):
        pass

    def forward(self, rows):
        """Logits of one batch of token ids."""
        raise NotImplementedError

    def tokenize(self, titles):
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(titles)]

    def logits(self, titles):
        import numpy
        rows = self.tokenize(titles)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        batches = [[rows[i] for i in order[at:at + self.batch]]
                   for at in range(0, len(order), self.batch)]
        if self.pool:
            # The long ones first, so that no stream is left alone with them at the end.
            parts = list(self.pool.map(self.forward, batches[::-1]))[::-1]
        else:
            parts = [self.forward(batch) for batch in batches]
        sorted_logits = numpy.concatenate(parts)
        logits = numpy.empty_like(sorted_logits)
        logits[order] = sorted_logits
        return logits

    def labels(self, titles):
        return self.logits(titles).argmax(axis=1).tolist()


def padded(rows):
    """Ids and mask, as wide as the longest row; the token of number 0 is padding."""
    import numpy
    width = max(map(len, rows))
    ids = numpy.zeros((len(rows), width), dtype="i8")
    mask = numpy.zeros((len(rows), width), dtype="i8")
    for i, row in enumerate(rows):
        ids[i, :len(row)] = row
        mask[i, :len(row)] = 1
    return ids, mask


class Torch(Engine):
    name, tier, package = "PyTorch", "fp32", "torch"
    variants = ["sdpa", "eager"]

    def load(self, folder, variant):
        import torch
        import transformers
        torch.set_num_threads(self.threads)
        self.torch = torch
        model = transformers.BertForSequenceClassification.from_pretrained(
            folder / "hf", attn_implementation=variant, dtype=torch.float32)
        self.model = self.prepare(model.eval())

    def prepare(self, model):
        return model

    def begin_thread(self):
        self.torch.set_num_threads(self.threads)

    def forward(self, rows):
        ids, mask = map(self.torch.from_numpy, padded(rows))
        with self.torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask).logits
        return logits.to(self.torch.float64).numpy()


class Reference(Torch):
    """What the logits of all others are compared with; never timed."""
    name, tier, variants = "float64", "", ["eager"]

    def prepare(self, model):
        return model.double()


class TorchBf16(Torch):
    tier = "bf16"

    def prepare(self, model):
        return model.to(self.torch.bfloat16)


class TorchCompiled(Torch):
    """By torch.compile, with the weights packed; it takes a C++ compiler, and most of a minute."""
    name, variants, compiles = "PyTorch compiled", ["sdpa"], True

    def prepare(self, model):
        import torch._inductor.config
        torch._inductor.config.freezing = True
        return torch.compile(super().prepare(model), dynamic=True)


class TorchCompiledBf16(TorchCompiled):
    tier = "bf16"

    def prepare(self, model):
        return super().prepare(model.to(self.torch.bfloat16))


class TorchInt8(Torch):
    tier = "int8"

    def prepare(self, model):
        from torch.ao import quantization
        return quantization.quantize_dynamic(
            model, {self.torch.nn.Linear: quantization.per_channel_dynamic_qconfig})


class Pipeline(Torch):
    """transformers' own pipeline as it is called by those who change nothing: it takes care of
    titles one by one."""
    name, package = "transformers pipeline", "transformers"
    variants = ["sdpa"]
    batches = False

    def load(self, folder, variant):
        import transformers
        super().load(folder, variant)
        self.ids = self.model.config.label2id
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "hf")
        tokenizer.model_max_length = self.model.config.max_position_embeddings
        self.pipe = transformers.pipeline("text-classification", model=self.model,
                                          tokenizer=tokenizer, device="cpu")

    def labels(self, titles):
        return [self.ids[row["label"]] for row in self.pipe(titles, truncation=True)]

    def logits(self, titles):
        import numpy
        rows = self.pipe(titles, truncation=True, top_k=None, function_to_apply="none")
        return numpy.array([[score for _, score in sorted(
            (self.ids[item["label"]], item["score"]) for item in row)] for row in rows])


class OnnxRuntime(Engine):
    name, tier, package = "ONNX Runtime", "fp32", "onnxruntime"
    variants = ["fused", "plain"]
    forms = {"fused": "fused", "plain": "plain"}

    def load(self, folder, variant):
        import onnxruntime
        onnxruntime.set_default_logger_severity(3)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(folder / (self.forms[variant] + ".onnx")), options,
            providers=["CPUExecutionProvider"])

    def forward(self, rows):
        ids, mask = padded(rows)
        return self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


class OnnxRuntimeInt8(OnnxRuntime):
    tier = "int8"
    variants = ["plain", "fused"]
    forms = {"fused": "fused_int8", "plain": "plain_int8"}


class CTranslate2(Engine):
    name, tier, package = "CTranslate2", "fp32", "ctranslate2"
    forms = {"": "ct2"}
    compute = "float32"

    def load(self, folder, variant):
        import ctranslate2
        import numpy
        import safetensors.numpy
        if self.compute not in ctranslate2.get_supported_compute_types("cpu"):
            raise Cannot(f"it has no {self.compute} on this processor")
        self.numpy = numpy
        self.encoder = ctranslate2.Encoder(
            str(folder / "ct2"), device="cpu", compute_type=self.compute,
            inter_threads=self.streams, intra_threads=self.threads)
        tensors = safetensors.numpy.load_file(folder / "hf/model.safetensors")
        self.weight, self.bias = tensors["classifier.weight"], tensors["classifier.bias"]

    def forward(self, rows):
        pooled = self.numpy.array(self.encoder.forward_batch(rows).pooler_output)
        return pooled @ self.weight.T + self.bias


class CTranslate2Bf16(CTranslate2):
    tier, compute = "bf16", "bfloat16"


class CTranslate2Int8(CTranslate2):
    tier, compute = "int8", "int8"


class OpenVino(Engine):
    name, tier, package = "OpenVINO", "fp32", "openvino"
    forms = {"": "plain"}
    file = "plain.onnx"
    precision = "f32"

    def load(self, folder, variant):
        import threading

        import openvino
        core = openvino.Core()
        if self.precision == "bf16" and "BF16" not in core.get_property(
                "CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Cannot("it has no bf16 on this processor")
        self.model = core.compile_model(str(folder / self.file), "CPU", {
            "INFERENCE_PRECISION_HINT": self.precision, "NUM_STREAMS": str(self.streams),
            "INFERENCE_NUM_THREADS": self.streams * self.threads,
            "ENABLE_CPU_PINNING": False})
        self.local = threading.local()

    def forward(self, rows):
        if not hasattr(self.local, "request"):
            self.local.request = self.model.create_infer_request()
        ids, mask = padded(rows)
        result = self.local.request.infer({"input_ids": ids, "attention_mask": mask})
        return result["logits"].copy()


class OpenVinoBf16(OpenVino):
    tier, precision = "bf16", "bf16"


class OpenVinoInt8(OpenVino):
    tier, forms, file = "int8", {"": "openvino_int8"}, "openvino_int8.xml"


class Wader(Engine):
    """The program wader, on a file of titles, one a line."""
    name, tier = "wader", "fp32"
    batches = False

    def open(self, folder, variant, streams, threads):
        self.program, self.model = folder["wader"], folder["model"]
        self.threads = streams * threads
        config = json.loads(pathlib.Path(self.model, "config.json").read_text("utf-8"))
        self.ids = {label: int(i) for i, label in config["id2label"].items()}

    def command(self, *arguments):
        return [self.program, "label", "--model", self.model, "--device", "cpu", "--precision",
                self.tier, "--threads", str(self.threads), "--quiet", *arguments]

    def start(self, command, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WADER_")}
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **options)

    def end(self, process, errors):
        lines = errors.decode(errors="replace").strip().split("\n")
        if process.returncode == SETUP:
            raise Cannot(f"not there: {lines[-1]}")
        if process.returncode:
            raise Cannot(f"it exited {process.returncode}: {lines[-1]}")

    def run(self, path, *arguments):
        """The seconds that the whole command takes, and its rows."""
        with tempfile.TemporaryDirectory(prefix="wader-peers-") as folder:
            out = os.path.join(folder, "out.jsonl")
            started = time.monotonic()
            process = self.start(self.command(*arguments, "-o", out, path))
            errors = process.communicate()[1]
            seconds = time.monotonic() - started
            self.end(process, errors)
            with open(out, encoding="utf-8") as stream:
                return seconds, [json.loads(line) for line in stream]

    def first_label(self, title):
        """Seconds from the start of the command to the first row, of one title."""
        started = time.monotonic()
        process = self.start(self.command("-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            process.stdin.write(title.encode() + b"\n")
            process.stdin.close()
            process.stdin = None
        except BrokenPipeError:  # it ended before; its exit code tells why
            process.stdin = None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.select()
        seconds = time.monotonic() - started
        self.end(process, process.communicate()[1])
        return seconds


class WaderBf16(Wader):
    tier = "bf16"


class WaderInt8(Wader):
    tier = "int8"


PEERS = (OnnxRuntime, CTranslate2, OpenVino, Torch, TorchCompiled, Pipeline, TorchBf16,
         TorchCompiledBf16, OpenVinoBf16, CTranslate2Bf16, OnnxRuntimeInt8, CTranslate2Int8,
         OpenVinoInt8, TorchInt8)
OURS = (Wader, WaderBf16, WaderInt8)


def key(engine):
    """What an engine is called in options and figures."""
    return f"{engine.name} {engine.tier}".strip().lower().replace(" ", "-")


ENGINES = {key(engine): engine for engine in (*OURS, *PEERS, Reference)}
