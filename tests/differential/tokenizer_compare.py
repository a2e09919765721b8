# SPDX-License-Identifier: Apache-2.0
"""Asks both tokenizers about blocks of strings and compares what they say."""
import ctypes
import json
import os
import pathlib
import shutil
import subprocess

import tokenizer_models as models
from tokenizer_strings import Strings

PACK = 64  # characters in one string, where they stand between others


class Refused(Exception):
    pass


def ask_wader(wader, model, max_length, strings):
    command = [*wader.split(), "tokenize", "--model", str(model), "--hex", "--max-length",
               str(max_length)]
    lines = "".join([string.hex() + "\n" for string in strings]).encode()
    done = subprocess.run(command, input=lines, capture_output=True, check=False)
    if done.returncode == 6:
        raise Refused(done.stderr.decode().strip())
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited {done.returncode}: "
                           f"{done.stderr.decode('utf-8', 'replace').strip()[-2000:]}")
    answers = done.stdout.decode().splitlines()
    if len(answers) != len(strings):
        raise RuntimeError(f"{len(strings)} lines in, {len(answers)} lines out")
    return answers


def ask_reference(tokenizer, max_length, strings):
    if max_length:
        tokenizer.enable_truncation(max_length)
    else:
        tokenizer.no_truncation()
    encode = getattr(tokenizer, "encode_batch_fast", tokenizer.encode_batch)
    answers = []
    for at in range(0, len(strings), 1000):
        texts = [string.decode("utf-8", "replace") for string in strings[at : at + 1000]]
        answers += [" ".join(map(str, encoding.ids)) for encoding in encode(texts)]
    return answers


class Worker:
    """What a process needs to compare blocks; made before the processes are forked, except for the
    model at hand: a path, ("random", number), ("flags", path, index into FLAGS), or
    ("scalars", path, index into FLAGS)."""

    def __init__(self, wader, seed, tokenizers, titles, directory):
        self.wader, self.seed, self.tokenizers, self.titles = wader, seed, tokenizers, titles
        self.directory = pathlib.Path(directory)
        self.model = self.path = self.reference = self.strings = None
        self.keep = False

    def open(self, model):
        if model == self.model:
            return
        if self.model is not None and not isinstance(self.model, str) and not self.keep:
            shutil.rmtree(self.path)
        self.model, self.strings, self.keep = model, None, False
        self.path = model if isinstance(model, str) else self.make(*model)
        self.reference = models.reference(self.tokenizers, self.path)

    def make(self, kind, source, index=0):
        """A directory for a made model; each process makes its own."""
        stem = source if kind == "random" else f"{pathlib.Path(source).name}-{index}"
        path = self.directory / f"{kind}-{stem}-{os.getpid()}"
        if kind == "random":
            models.write(path, models.RandomModel(self.tokenizers, f"{self.seed} {source}",
                                                  self.titles).make())
        elif kind == "flags":
            models.write(path, models.tokenizer_json(models.read_vocab(source),
                                                     models.FLAGS[index]))
        else:
            models.write_with_flags(path, source, models.FLAGS[index])
        return path

    def strings_of(self, seed, n):
        if self.strings is None:
            said = json.loads(self.reference.to_str())
            specials = [row["content"] for row in said["added_tokens"]]
            self.strings = Strings(0, self.titles, sorted(said["model"]["vocab"]), specials,
                                   said["model"]["max_input_chars_per_word"],
                                   said["model"]["continuing_subword_prefix"])
        self.strings.reseed(seed)
        return [self.strings.next() for _ in range(n)]

    def compare(self, task):
        """Compares a block. `what` is the seed of n strings, or a range of characters."""
        name, model, what, n, max_length = task
        result = {"name": name, "strings": 0, "ids": 0, "wrong": 0, "shown": [], "refused": None}
        self.open(model)
        try:
            if isinstance(what, str):
                self.compare_strings(result, max_length, self.strings_of(what, n))
            else:
                self.compare_scalars(result, what)
        except Refused as refused:
            result["refused"] = str(refused)
        if not isinstance(model, str) and (result["wrong"] or result["refused"]):
            self.keep = True
            result["shown"].append(f"  the model is kept: --model {self.path}")
        return result

    def compare_strings(self, result, max_length, strings, show=True):
        """Adds to the result; returns the strings that came out differently."""
        got = ask_wader(self.wader, self.path, max_length, strings)
        want = ask_reference(self.reference, max_length, strings)
        result["strings"] += len(strings)
        result["ids"] += sum(ids.count(" ") + 1 for ids in want)
        if got == want:
            return []
        wrong = [i for i in range(len(strings)) if got[i] != want[i]]
        if show:
            result["wrong"] += len(wrong)
            result["shown"] += [
                f"  max length {max_length}, bytes {strings[i][:200].hex()} ({len(strings[i])})\n"
                f"    Hugging Face: {want[i][:300]}\n    wader:        {got[i][:300]}"
                for i in sorted(wrong, key=lambda i: len(strings[i]))[:3]]
        return [strings[i] for i in wrong]

    def compare_scalars(self, result, codes):
        """Each character alone, between letters, and between spaces. The latter two many to a
        string, and one by one where that string came out differently."""
        chars = [chr(code) for code in codes if models.alphabet.is_scalar(code)]
        self.compare_strings(result, 0, [char.encode() for char in chars])
        for before, after in (("a", "b "), (" ", " ")):
            packs = ["".join([before + char + after for char in chars[at : at + PACK]]).encode()
                     for at in range(0, len(chars), PACK)]
            for pack in self.compare_strings(result, 0, packs, show=False):
                size = len(before + "x" + after)
                text = pack.decode()
                ones = [text[at : at + size].encode() for at in range(0, len(text), size)]
                if not self.compare_strings(result, 0, ones):
                    self.compare_strings(result, 0, [pack])


WORKER = None  # forked with the processes


def start_process():
    # Keep freed memory: the reference allocates and frees all the time.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-1, 1 << 30)
        libc.mallopt(-3, 1 << 30)


def compare(task):
    try:
        return WORKER.compare(task)
    except RuntimeError as error:
        WORKER.keep = True
        return {"name": task[0], "failed": str(error)}
