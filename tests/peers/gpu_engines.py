# SPDX-License-Identifier: Apache-2.0
"""The classifiers that tests/peers/gpu_encoders.py times on a device: PyTorch in the forms that are
usual, and the quickest that PyTorch alone allows (gpu_packed.py).

Everybody has what makes PyTorch quick: titles go to the device once, as flat ids; batches are of
titles sorted by length and are put together there; labels come back once; the next titles are
tokenized meanwhile. `open` loads a Hugging Face directory.
"""
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess

import corpora
from encoder_engines import Engine, Wader, key
from environment import Cannot

CHUNK = 65536  # titles that are tokenized together, and sorted together
PADDING = 0


def flatten(rows):
    """Flat ids and lengths of rows of ids."""
    import numpy
    lengths = numpy.fromiter(map(len, rows), dtype=numpy.int64, count=len(rows))
    flat = numpy.fromiter(itertools.chain.from_iterable(rows), dtype=numpy.int32,
                          count=int(lengths.sum()))
    return flat, lengths


def slices(lengths, most_titles, most_tokens):
    """Where to cut titles of these lengths, which rise, into batches: pairs of begin and end, of at
    most so many titles, and tokens (one title is always taken)."""
    cuts, begin, tokens = [], 0, 0
    for i, length in enumerate(lengths):
        if i > begin and (i - begin == most_titles or tokens + length > most_tokens):
            cuts.append((begin, i))
            begin, tokens = i, 0
        tokens += length
    return cuts + [(begin, len(lengths))] if len(lengths) else []


class Batch:
    """Titles begin to end of what lies on the device, sorted by length."""

    def __init__(self, device, begin, end):
        self.flat = device["flat"]
        self.starts = device["starts"][begin:end]
        self.lengths = device["lengths"][begin:end]
        self.widths = device["host_lengths"][begin:end]  # on the host

    def padded(self, torch, multiple=1):
        """Ids and mask, as wide as the longest title, or a multiple."""
        width = -(-int(self.widths[-1]) // multiple) * multiple
        columns = torch.arange(width, device=self.flat.device)
        mask = columns[None, :] < self.lengths[:, None]
        at = torch.where(mask, self.starts[:, None] + columns[None, :], 0)
        return torch.where(mask, self.flat[at], PADDING), mask

    def packed(self, torch):
        """Ids, positions, offsets and the longest: nothing is padded."""
        offsets = torch.zeros(len(self.widths) + 1, dtype=torch.int64, device=self.flat.device)
        torch.cumsum(self.lengths, 0, out=offsets[1:])
        total = int(self.widths.sum())
        titles = torch.repeat_interleave(
            torch.arange(len(self.widths), device=self.flat.device), self.lengths,
            output_size=total)
        positions = torch.arange(total, device=self.flat.device) - offsets[titles]
        return self.flat[self.starts[titles] + positions], positions, offsets


class GpuEngine(Engine):
    """`batch` is in titles, or in tokens where `by_tokens`."""
    package = "torch"
    by_tokens = False
    sizes = [256, 1024, 4096]
    most_tokens = 131072  # of a padded batch, as memory wants it
    tokens_given = True   # can it be given ids?

    def open(self, folder, variant, device, threads=1):
        import torch
        self.torch, self.device = torch, torch.device(device)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.open_tokenizer(pathlib.Path(folder))
        self.batch = self.sizes[0]
        self.load(pathlib.Path(folder), variant)

    def open_tokenizer(self, folder):
        if (folder / "tokenizer.json").exists():
            super().open_tokenizer(folder)
            return
        import tokenizers
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self.tokenizer = corpora.build_tokenizer(tokenizers, folder / "vocab.txt", False)
        self.tokenizer.enable_truncation(config["max_position_embeddings"])

    def load_model(self, folder, dtype, attention="sdpa"):
        import transformers
        transformers.utils.logging.set_verbosity_error()
        model = transformers.BertForSequenceClassification.from_pretrained(
            folder, attn_implementation=attention, dtype=self.torch.float32, local_files_only=True)
        return model.to(dtype).to(self.device).eval()

    def forward_batch(self, batch):
        """Logits of a Batch, on the device."""
        raise NotImplementedError

    def computed(self, flat, lengths):
        """Logits on the device, in the order of the titles."""
        torch = self.torch
        import numpy
        order = numpy.argsort(lengths, kind="stable")
        starts = numpy.concatenate([[0], numpy.cumsum(lengths)[:-1]])
        sorted_lengths = lengths[order]

        def there(values):
            tensor = torch.from_numpy(numpy.ascontiguousarray(values))
            return tensor.pin_memory().to(self.device, non_blocking=True) \
                if self.device.type == "cuda" else tensor
        device = {"flat": there(flat.astype(numpy.int64)), "starts": there(starts[order]),
                  "lengths": there(sorted_lengths), "host_lengths": sorted_lengths}
        most = (len(lengths), self.batch) if self.by_tokens else (self.batch, self.most_tokens)
        with torch.inference_mode():
            parts = [self.forward_batch(Batch(device, *cut))
                     for cut in slices(sorted_lengths.tolist(), *most)]
            back = torch.empty(len(order), dtype=torch.int64, device=self.device)
            back[there(order)] = torch.arange(len(order), device=self.device)
            return torch.cat(parts)[back]

    def logits_of_ids(self, flat, lengths):
        return self.computed(flat, lengths).double().cpu().numpy()

    def labels_of_ids(self, flat, lengths):
        return self.computed(flat, lengths).argmax(1).cpu().tolist()

    def logits(self, titles):
        return self.logits_of_ids(*flatten(self.tokenize(titles)))

    def labels(self, titles):
        """From titles: a chunk is tokenized while the one before is computed."""
        def prepare(at):
            return flatten(self.tokenize(titles[at:at + CHUNK]))
        found = []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            coming = pool.submit(prepare, 0)
            for at in range(CHUNK, len(titles) + CHUNK, CHUNK):
                ready = coming.result()
                coming = pool.submit(prepare, at) if at < len(titles) else None
                found += self.labels_of_ids(*ready)
        return found

    def finish(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize(self.device)

    def peak_bytes(self):
        """Of the device's memory; without a device, of the process."""
        if self.device.type == "cuda":
            return self.torch.cuda.max_memory_allocated(self.device)
        import resource
        return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class GpuReference(GpuEngine):
    """What others are compared with; never timed. fp32 on the device, or float64 on the host."""
    name, tier, variants = "reference", "", ["fp32", "fp64"]

    def load(self, folder, variant):
        if variant == "fp64":
            self.device = self.torch.device("cpu")
        self.model = self.load_model(folder, self.torch.float32 if variant == "fp32" else
                                     self.torch.float64, "eager")

    def forward_batch(self, batch):
        ids, mask = batch.padded(self.torch)
        return self.model(input_ids=ids, attention_mask=mask.long()).logits


class GpuTorch(GpuEngine):
    """transformers' model in bf16, attention by PyTorch's scaled_dot_product_attention."""
    name, tier, variants = "PyTorch", "bf16", ["sdpa"]

    def load(self, folder, variant):
        self.model = self.prepare(self.load_model(folder, self.torch.bfloat16))

    def prepare(self, model):
        return model

    def forward_batch(self, batch):
        ids, mask = batch.padded(self.torch, 8)
        return self.model(input_ids=ids, attention_mask=mask.long()).logits.float()


class GpuTorchFp32(GpuTorch):
    tier = "fp32"

    def load(self, folder, variant):
        self.model = self.load_model(folder, self.torch.float32)


class GpuCompiled(GpuTorch):
    name, compiles = "PyTorch compiled", True

    def prepare(self, model):
        return self.torch.compile(model, dynamic=True)


class GpuPipeline(GpuEngine):
    """transformers' pipeline in bf16, as those call it who set its batch size and nothing else: in
    the order of the titles."""
    name, tier, package = "transformers pipeline", "bf16", "transformers"
    tokens_given = False
    sizes = [64, 256, 1024]

    def load(self, folder, variant):
        import transformers
        model = self.load_model(folder, self.torch.bfloat16)
        self.ids = {label: int(i) for i, label in model.config.id2label.items()}
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=self.tokenizer, pad_token="[PAD]", cls_token="[CLS]",
            sep_token="[SEP]", unk_token="[UNK]", model_max_length=512,
            model_input_names=["input_ids", "attention_mask"])
        self.pipe = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer,
                                          device=self.device)

    def labels(self, titles):
        return [self.ids[row["label"]]
                for row in self.pipe(titles, truncation=True, batch_size=self.batch)]

    def logits(self, titles):
        import numpy
        rows = self.pipe(titles, truncation=True, top_k=None, function_to_apply="none",
                         batch_size=self.batch)
        return numpy.array([[score for _, score in sorted(
            (self.ids[item["label"]], item["score"]) for item in row)] for row in rows])


class GpuWader(Wader):
    """The program wader, on a file of titles, one a line."""
    tokens_given = False
    variants = [""]

    def open(self, folder, variant, device, threads=1):
        self.device = "cuda" if device.startswith("cuda") else "cpu"
        super().open(folder, variant, 1, threads)

    def command(self, *arguments):
        return [self.program, "label", "--model", self.model, "--device", self.device,
                "--precision", self.tier, "--quiet", *arguments]

    def peak_bytes(self):
        """What wader says that it takes of the device."""
        done = subprocess.run([self.program, "info", "--json", *self.command()[2:-1]], check=False,
                              capture_output=True, text=True,
                              env={k: v for k, v in os.environ.items() if k[:6] != "WADER_"})
        try:
            memory = json.loads(done.stdout)["device"]["memory"]
            return memory.get("device_nbytes") or memory.get("working_nbytes")
        except (ValueError, KeyError, TypeError):
            raise Cannot(f"wader info: {done.stderr.strip()[-200:]}") from None


def of_wader(tier):
    return type(f"GpuWader{tier}", (GpuWader,), {"tier": tier})


def engines():
    """All of them by name, wader's tiers first."""
    import gpu_packed
    found = [*map(of_wader, ("bf16", "fp8", "fp16", "fp32")), GpuTorch, GpuCompiled,
             *gpu_packed.ENGINES, GpuPipeline, GpuTorchFp32, GpuReference]
    return {key(engine): engine for engine in found}
