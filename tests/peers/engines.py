#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tokenizers that tests/peers/tokenizers.py races, each behind the same few methods.

An engine is loaded from a model directory (vocab.txt and tokenizer.json). `prepare` is not timed:
it makes what `encode` takes, a path where the engine reads files by itself, else a list of str.
`encode` is timed and leaves ids in memory in whatever form the engine likes best; `ids` flattens
them to int32, [CLS] and [SEP] around every title, and is not timed.
"""
import ctypes
import importlib
import os
import pathlib
import shutil
import subprocess

from environment import Cannot

# Every version in one place: name of the engine, package of the registry, module to import.
PINNED = {
    "nanotoken": ("nanotoken", "0.1.0", "nanotoken"),
    "tokie": ("tokie", "0.1.4", "tokie"),
    "splintr": ("splintr-rs", "0.22.0", "splintr"),
    "tf-text": ("tensorflow-text", "2.21.1", "tensorflow_text"),
    "iree": ("iree-tokenizer", "0.3.0", "iree.tokenizer"),
    "blingfire": ("blingfire", "0.1.8", "blingfire"),
    "flash": ("flash-tokenizer", "1.2.0", "flash_tokenizer._core"),
    "kitoken": ("kitoken", "0.11.1", "kitoken"),
    "hf": ("tokenizers", "0.23.3", "tokenizers"),
}
BASE = [("numpy", "2.4.6"), ("tokenizers", "0.23.3")]  # without these there is no comparison
BIG = ["tf-text"]  # gigabytes: only when asked for
LONGEST = 1 << 20  # a limit of tokens that no title reaches


def read_lines(path, limit=None):
    with open(path, "rb") as stream:
        lines = stream.read().decode("utf-8").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return lines[:limit]


class Engine:
    name = ""
    threads = False    # can use more than one thread
    memory = "fresh"   # it forgets by a call: "clear"; in a new process: "fresh"; nothing: "none"
    reads_files = False
    limit = None       # time only so many titles of the usual length

    def __init__(self):
        import numpy
        self.numpy = numpy
        self.cls, self.sep = 101, 102

    def open(self, model, lower, threads):
        """Loads the model; `threads` is 1 or the number of cores."""
        with open(os.path.join(model, "vocab.txt"), encoding="utf-8", newline="\n") as lines:
            self.vocab = [line.rstrip("\n") for line in lines]
        self.cls, self.sep = self.vocab.index("[CLS]"), self.vocab.index("[SEP]")
        self.parallel = threads > 1
        self.load(importlib.import_module(PINNED[self.name][2]), model, lower)

    def load(self, module, model, lower):
        raise NotImplementedError

    def prepare(self, path):
        if self.reads_files:
            with open(path, "rb") as stream:  # into the page cache
                stream.read()
            return path
        return read_lines(path, self.limit)

    def encode(self, prepared):
        raise NotImplementedError

    def ids(self, encoded):
        raise NotImplementedError

    def lengths(self, encoded):
        """How many of the ids belong to each title; not timed."""
        return self.numpy.diff(self.offsets(encoded).astype("<i8")).astype("<i4")

    def offsets(self, encoded):
        return encoded[1]

    def clear(self):
        pass

    def flat(self, rows, bare=False):
        """Rows of ids as one array; `bare` rows get their [CLS] and [SEP] here."""
        import itertools
        if bare:
            rows = ([self.cls, *row, self.sep] for row in rows)
        return self.numpy.fromiter(itertools.chain.from_iterable(rows), dtype="<i4")

    def with_ends(self, flat, offsets):
        """Puts [CLS] and [SEP] around the rows of a flat array."""
        flat = self.numpy.asarray(flat, dtype="<i4")
        ends = self.numpy.repeat(self.numpy.asarray(offsets[1:-1], dtype="i8"), 2)
        between = self.numpy.tile([self.sep, self.cls], len(offsets) - 2)
        return self.numpy.concatenate(
            ([self.cls], self.numpy.insert(flat, ends, between), [self.sep])).astype("<i4")


class HuggingFace(Engine):
    name = "hf"
    threads = True
    memory = "none"
    limit = 20000  # a few MB/s: the whole corpus would take longer than all others together

    def load(self, module, model, lower):
        self.tokenizer = module.Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def encode(self, prepared):
        return self.tokenizer.encode_batch_fast(prepared)

    def ids(self, encoded):
        return self.flat(encoding.ids for encoding in encoded)

    def lengths(self, encoded):
        return self.numpy.fromiter(map(len, encoded), dtype="<i4")


class Nanotoken(Engine):
    name = "nanotoken"
    threads = True
    memory = "clear"
    reads_files = True

    def load(self, module, model, lower):
        self.module = module
        text = pathlib.Path(model, "tokenizer.json").read_text("utf-8")
        self.tokenizer = module.WordPieceTokenizer.from_json(text)

    def prepare(self, path):
        return self.module.TextFileSource(super().prepare(path), separator="\n")

    def encode(self, prepared):
        return self.tokenizer.encode_files(prepared, parallel=self.parallel)

    def ids(self, encoded):
        return encoded[0].astype("<i4")

    def clear(self):
        self.tokenizer.clear_cache()


class Tokie(Engine):
    name = "tokie"
    threads = True
    reads_files = True

    def load(self, module, model, lower):
        self.tokenizer = module.Tokenizer.from_json(os.path.join(model, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def encode(self, prepared):
        return self.tokenizer.encode_files([prepared], b"\n", True)

    def ids(self, encoded):
        return encoded[0].astype("<i4")


class Splintr(Engine):
    name = "splintr"
    threads = True
    memory = "none"  # its clear_cache() is for BPE and refuses WordPiece

    def load(self, module, model, lower):
        self.tokenizer = module.from_json(os.path.join(model, "tokenizer.json"))

    def encode(self, prepared):
        return self.tokenizer.encode_batch_flat(prepared)

    def ids(self, encoded):
        return self.numpy.frombuffer(encoded[0], dtype="<i4")

    def offsets(self, encoded):
        return self.numpy.frombuffer(encoded[1], dtype="<u8")


class TensorFlowText(Engine):
    name = "tf-text"
    memory = "none"

    def load(self, module, model, lower):
        self.tf = importlib.import_module("tensorflow")
        self.tokenizer = module.FastBertTokenizer(
            self.vocab, token_out_type=self.tf.int32, lower_case_nfd_strip_accents=lower)

    def prepare(self, path):
        return self.tf.constant(super().prepare(path))

    def encode(self, prepared):
        return self.tokenizer.tokenize(prepared)

    def ids(self, encoded):
        return self.with_ends(encoded.flat_values.numpy(), encoded.row_splits.numpy())

    def lengths(self, encoded):
        return self.numpy.diff(encoded.row_splits.numpy()).astype("<i4") + 2


class Iree(Engine):
    name = "iree"

    def load(self, module, model, lower):
        self.tokenizer = module.Tokenizer.from_file(os.path.join(model, "tokenizer.json"))

    def encode(self, prepared):
        return self.tokenizer.encode_batch_to_array(prepared, add_special_tokens=True)

    def ids(self, encoded):
        return encoded[0].astype("<i4")

    def lengths(self, encoded):
        return encoded[1].astype("<i4")


class BlingFire(Engine):
    """Called from a loop in C, as its users from C and C++ would: one call a title."""
    name = "blingfire"
    memory = "none"
    models = {"bert-base-multilingual-cased": "bert_multi_cased.bin",
              "bert-base-uncased": "bert_base_tok.bin"}  # compiled ones, none from a vocab.txt

    def load(self, module, model, lower):
        compiled = self.models.get(os.path.basename(model))
        if not compiled:
            raise Cannot("its package has no model of this vocabulary")
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise Cannot("no C compiler for the loop around it")
        here = pathlib.Path(__file__).resolve().parent
        shared = os.path.join(os.path.dirname(model), f"blingfire_loop_{os.getpid()}.so")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", shared,
                        str(here / "blingfire_loop.c")], check=True)
        self.loop = ctypes.CDLL(shared).loop
        os.unlink(shared)
        self.loop.restype = ctypes.c_long
        folder = pathlib.Path(module.__file__).resolve().parent
        library = ctypes.CDLL(str(folder / "libblingfiretokdll.so"))
        library.LoadModel.restype = ctypes.c_void_p
        self.handle = ctypes.c_void_p(library.LoadModel(str(folder / compiled).encode()))
        if not self.handle:
            raise Cannot("its model cannot be loaded")
        self.function = ctypes.cast(library.TextToIds, ctypes.c_void_p)
        self.unknown = self.vocab.index("[UNK]")

    def prepare(self, path):
        data = "".join(line + "\n" for line in super().prepare(path)).encode()
        n_titles = data.count(b"\n")
        return (data, self.numpy.zeros(2 * n_titles + len(data), dtype="<i4"),
                self.numpy.zeros(n_titles, dtype="<i4"))

    def encode(self, prepared):
        data, ids, lengths = prepared
        n = self.loop(self.function, self.handle, data, ctypes.c_long(len(data)),
                      ids.ctypes.data_as(ctypes.c_void_p), ctypes.c_long(len(ids)),
                      lengths.ctypes.data_as(ctypes.c_void_p), self.unknown, self.cls, self.sep)
        if n < 0:
            raise Cannot("it failed on a title")
        return ids[:n], lengths

    def ids(self, encoded):
        return encoded[0]

    def lengths(self, encoded):
        return encoded[1]


class Flash(Engine):
    name = "flash"
    threads = True

    def load(self, module, model, lower):
        self.tokenizer = module.FlashBertTokenizer(os.path.join(model, "vocab.txt"), lower,
                                                   LONGEST, True)

    def encode(self, prepared):
        return self.tokenizer.batch_encode(prepared, "longest", -1, self.parallel)

    def ids(self, encoded):
        return self.flat(encoded)

    def lengths(self, encoded):
        return self.numpy.fromiter(map(len, encoded), dtype="<i4")


class Kitoken(Engine):
    name = "kitoken"

    def load(self, module, model, lower):
        self.tokenizer = module.Kitoken.from_tokenizers_file(os.path.join(model, "tokenizer.json"))

    def encode(self, prepared):
        return self.tokenizer.encode_all(prepared, True)

    def ids(self, encoded):
        return self.flat(encoded, bare=True)

    def lengths(self, encoded):
        return self.numpy.fromiter(map(len, encoded), dtype="<i4") + 2


ENGINES = {engine.name: engine for engine in (
    Nanotoken, Tokie, Splintr, TensorFlowText, Iree, BlingFire, Flash, Kitoken, HuggingFace)}
