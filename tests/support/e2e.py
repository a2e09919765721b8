# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the program, temporary directories, fixtures, checks.

A test script is run as `python3 tests/e2e/test_x.py --wader PATH` (or WADER=PATH in the
environment). It prints each check and exits 0, 1 where one failed, 77 where it cannot run.
"""
import argparse
import atexit
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(ROOT, "tests", "golden")
# Those with tf_model.h5, which not every build reads, are test_keras.py's.
FIXTURES = sorted(n for n in os.listdir(GOLDEN)
                  if os.path.exists(os.path.join(GOLDEN, n, "expected.json"))
                  and not os.path.exists(os.path.join(GOLDEN, n, "tf_model.h5")))
MODEL = os.path.join(GOLDEN, "bert_small")  # where any model will do
OTHER_MODEL = os.path.join(GOLDEN, "bert_v5")

# Exit codes.
OK, ROWS, USAGE, INPUT, IO, LOCKED, UNUSABLE, AGAIN, PIPE = 0, 1, 2, 3, 4, 5, 6, 75, 141


class Result:
    """How a run ended."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.seconds = code, out, seconds
        self.err = err.decode("utf-8", "replace")

    def rows(self):
        return parse_rows(self.out)

    def __str__(self):
        return "exit %s, stdout %d bytes, stderr:\n%s" % (self.code, len(self.out), self.err)


class Suite:
    """Collects checks. Everything is printed; finish() exits."""

    def __init__(self, description, more=lambda parser: None):
        """`more` adds a test's own options, which are in .args."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--wader", default=os.environ.get("WADER"), help="the program")
        parser.add_argument("--seed", type=int, default=1, help="of the generated titles")
        parser.add_argument("--short", action="store_true",
                            default="WADER_TEST_SHORT" in os.environ,
                            help="fewer cases, if there are many (or WADER_TEST_SHORT)")
        more(parser)
        self.args = args = parser.parse_args()
        if args.wader is None:
            parser.error("--wader PATH, or WADER in the environment, tells where the program is")
        self.wader = os.path.abspath(args.wader)
        if not os.access(self.wader, os.X_OK):
            skip("%s is not there: build the program first" % args.wader)
        self.seed, self.short = args.seed, args.short
        # In a background job of a shell SIGINT is ignored, under nohup SIGHUP; wader respects that,
        # so the tests of signals must not pass it on.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        self.begun = time.monotonic()
        self.n_good, self.failed = 0, []
        self.scratch = tempfile.mkdtemp(prefix="wader-e2e-")
        atexit.register(shutil.rmtree, self.scratch, ignore_errors=True)
        self.n_dirs = 0

    def directory(self):
        """A new empty directory, gone with the test."""
        self.n_dirs += 1
        path = os.path.join(self.scratch, "%03d" % self.n_dirs)
        os.mkdir(path)
        return path

    def environment(self, more=None):
        """The environment without WADER_ options of whoever runs the test."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("WADER_")}
        env.update(more or {})
        return env

    def run(self, *args, stdin=b"", env=None, stdout=subprocess.PIPE, timeout=60, cwd=None,
            preexec_fn=None):
        """Runs the program to its end."""
        begun = time.monotonic()
        try:
            done = subprocess.run([self.wader, *args], input=stdin, stdout=stdout,
                                  stderr=subprocess.PIPE, env=self.environment(env), cwd=cwd,
                                  timeout=timeout, preexec_fn=preexec_fn, check=False)
        except subprocess.TimeoutExpired as hung:
            return Result("none: still running after %d s" % timeout, hung.stdout or b"",
                          hung.stderr or b"", time.monotonic() - begun)
        return Result(done.returncode, done.stdout or b"", done.stderr,
                      time.monotonic() - begun)

    def start(self, *args, **kwargs):
        """Starts the program and returns the process."""
        kwargs.setdefault("env", self.environment())
        kwargs.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([self.wader, *args], **kwargs)

    def label(self, *args, model=MODEL, **kwargs):
        return self.run("label", "--model", model, *args, **kwargs)

    def check(self, what, good, detail=""):
        if good:
            self.n_good += 1
            print("ok    %s" % what, flush=True)
        else:
            self.failed.append(what)
            print("FAIL  %s" % what)
            if str(detail):
                print("      " + str(detail)[:2000].replace("\n", "\n      "), flush=True)
        return good

    def equal(self, what, got, wanted):
        return self.check(what, got == wanted, "got    %.900r\nwanted %.900r" % (got, wanted))

    def exits(self, what, result, code, *words):
        """The exit code, and that stderr holds every one of `words`, whatever its case."""
        missing = [w for w in words if w.lower() not in result.err.lower()]
        detail = "wanted exit %d and %s in stderr; got %s" % (code, list(words), result)
        return self.check(what, result.code == code and not missing, detail)

    def finish(self):
        print("%d checks, %d failed, %.1f s" %
              (self.n_good + len(self.failed), len(self.failed), time.monotonic() - self.begun))
        for what in self.failed:
            print("failed: %s" % what)
        sys.exit(1 if self.failed else 0)


def skip(why):
    print("SKIP: %s" % why)
    sys.exit(77)


def cpu_precisions():
    """What --precision beside fp32 the CPU has here, by what Linux says of the processor."""
    wanted = {"bf16": {"avx512_bf16", "amx_bf16"}, "int8": {"avx512_vnni", "avx_vnni", "amx_int8"}}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = {word for line in file if line.startswith("flags") for word in line.split()}
    return [name for name, any_of in wanted.items() if any_of & flags]


def file_size_limit(nbytes):
    """For preexec_fn: writing beyond `nbytes` of a file fails, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, nbytes))


# ---- files

def write(directory, name, data):
    """Writes `data`, str or bytes, and returns the path."""
    path = os.path.join(directory, name)
    with open(path, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def kept_scores(output):
    """The name of the file beside an output that --previous looks into."""
    return os.path.join(os.path.dirname(output), "." + os.path.basename(output) + ".scores")


def listing(directory):
    """What is in a directory, hidden files too; but not the kept scores of finished outputs, which
    test_previous.py looks at. Names are bytes where the directory's is."""
    names = os.listdir(directory)
    known = {os.fsdecode(name) for name in names}
    finished = [n[:-len(".meta.json")] for n in known if n.endswith(".meta.json")]
    scores = {kept_scores(n) for n in finished if n in known}
    return sorted(name for name in names if os.fsdecode(name) not in scores)


def gzip_bytes(data, level=6):
    """One gzip member (RFC 1952) with neither time nor name."""
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def gunzip_bytes(data):
    """Every member; ValueError on anything else than whole ones."""
    out = b""
    while data:
        unpacker = zlib.decompressobj(31)
        out += unpacker.decompress(data)
        if not unpacker.eof:
            raise ValueError("truncated gzip")
        data = unpacker.unused_data
    return out


def read_output(path):
    """An output's plain bytes."""
    return gunzip_bytes(read(path)) if path.endswith(".gz") else read(path)


def parse_rows(data):
    """JSONL rows. Every line must end in a newline and be strict UTF-8."""
    text = data.decode("utf-8")
    if text and not text.endswith("\n"):
        raise ValueError("the last row has no newline")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def jsonl(records):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()


def titled(titles):
    """JSONL records with ids 1, 2, ... for `titles`."""
    return jsonl({"id": i + 1, "title": t} for i, t in enumerate(titles))


# ---- models

def expected(fixture):
    """The titles, ids and float64 logits that PyTorch gave for a fixture."""
    with open(os.path.join(GOLDEN, fixture, "expected.json"), encoding="utf-8") as file:
        return json.load(file)


def copy_model(suite, source=MODEL):
    """A copy to damage."""
    path = os.path.join(suite.directory(), "model")
    shutil.copytree(source, path)
    return path


def edit_json(path, **changes):
    """Changes keys of a JSON object file; a value of None removes the key."""
    with open(path, encoding="utf-8") as file:
        value = json.load(file)
    for key, change in changes.items():
        if change is None:
            value.pop(key, None)
        else:
            value[key] = change
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def safetensors_read(path):
    """{name: (dtype, shape, bytes)}"""
    data = read(path)
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"],
                   data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]])
            for name, t in header.items()}


def safetensors_write(path, tensors):
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    write(os.path.dirname(path), os.path.basename(path),
          struct.pack("<Q", len(text)) + text + body)


# ---- titles

WORDS = ("the of and price oil gold market science world news school team game week music film "
         "London Paris Berlin coffee health Marketlessness café Zürich naïve über мир война и "
         "новости 今天 新闻 北京大学 上海 电影 東京 한국 뉴스 שלום سلام สวัสดี नमस्ते Ελλάδα 🎬 🎵 👩‍👩‍👧 "
         "3-2 90 1,000 $5 50% C++ [MASK] [CLS] [SEP] [UNK] ... — “quoted” it's don't é ﬁ "
         "Ⅷ ① \u200b \u00ad \u0007 \u00a0 \u2028 \ufeff \ufffd \U0010ffff _ # @ / \\ \" <b>"
         ).split(" ")


def random_titles(seed, n):
    """Titles of many lengths and scripts, some awkward, the same ones for the same seed."""
    rng = random.Random(seed)
    out = []
    for _ in range(n):
        kind = rng.random()
        if kind < 0.03:
            out.append("")
        elif kind < 0.05:
            out.append(" " * rng.randrange(1, 9))
        elif kind < 0.07:
            out.append("".join(chr(rng.choice([rng.randrange(0x20, 0x7f),
                                               rng.randrange(0xa0, 0xd800),
                                               rng.randrange(0xe000, 0x110000)]))
                               for _ in range(rng.randrange(1, 30))))
        elif kind < 0.09:
            out.append("".join(rng.choice("abcdefghij") for _ in range(rng.randrange(90, 230))))
        else:
            longest = 60 if kind > 0.97 else 14
            out.append(" ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, longest))))
    return out
