#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which lines of the CUDA kernels the tests of kernels run: each one must.

usage: coverage.py [--build-dir DIR] [--jobs N]

Builds the kernels with gcov's counters, runs each test of a kernel once and prints every line of
cuda/*.cu and *.cuh that no instantiation of a template ran. Exit code 1 if there is one.

Its first half, which mutate.py shares, builds test programs without CMake: a program is a test, the
one kernel that it is about, and the support (emulator, rig, reference).
"""
import argparse
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIMT = "tests/simt"
SANITIZERS = "-fsanitize=address,undefined"
# Flags of a kernel, of the support and of the link: those of CMakeLists.txt beside this file.
FLAVOURS = {
    "plain": (["-O2"], ["-O2"], []),
    "asan": (["-O1", "-g", SANITIZERS, "-fsanitize-recover=address"],
             ["-O1", "-g", SANITIZERS], [SANITIZERS]),
    "check": (["-O1", "-g", "-fno-tree-sra", "-fsanitize=thread", "--param",
               "tsan-instrument-func-entry-exit=0"], ["-O2", "-g"], []),
    "gcov": (["-O0", "--coverage"], ["-O2"], ["--coverage"]),
}
C = ["gcc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE"]
CXX = ["g++", "-std=c++17", "-ffp-contract=off", "-fno-strict-aliasing"]


def command(arguments, directory=ROOT):
    result = subprocess.run(arguments, cwd=directory, capture_output=True, text=True)
    return result.returncode == 0, result.stderr


def must(arguments, directory=ROOT):
    is_good, text = command(arguments, directory)
    if not is_good:
        sys.exit(f"{' '.join(map(str, arguments))}\n{text}")


@functools.lru_cache(maxsize=None)
def kernels():
    """Names of the kernel files. Other .cu files know no launches."""
    return sorted(path.stem for path in (ROOT / "cuda").glob("*.cu")
                  if '#include "cuda/launch.cuh"' in path.read_text())


@functools.lru_cache(maxsize=None)
def tests():
    """Names of the tests, each with its kernel: the one whose name it begins with."""
    found = {}
    for path in sorted((ROOT / SIMT).glob("test_*.c")):
        name = path.stem[len("test_"):]
        named = [kernel for kernel in kernels() if name.startswith(kernel)]
        if named:
            found[name] = max(named, key=len)
    return found


def copy_kernels(directory):
    """A directory where the kernels' sources can be changed: compilers run in it."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(ROOT / "cuda", directory / "cuda")
    for kernel in kernels():
        (directory / f"{kernel}.cpp").write_text(f'#include "cuda/{kernel}.cu"\n')
    return directory


def compile_kernel(kernel, flavour, directory, more=()):
    """Of a directory that copy_kernels() made. The object, or None where it does not compile."""
    name = f"{kernel}.{flavour}.o"
    (directory / name).unlink(missing_ok=True)
    is_good, _ = command([*CXX, *FLAVOURS[flavour][0], *more, "-w", "-I.", f"-I{ROOT}",
                          f"-I{ROOT / SIMT / 'emulator'}", "-c", f"{kernel}.cpp", "-o", name],
                         directory)
    return directory / name if is_good else None


class NoProgram(Exception):
    """A test does not link with the kernel it got."""


class Build:
    """The support of each flavour and the objects of the tests, kept between runs."""

    def __init__(self, directory, jobs):
        self.directory = directory
        self.jobs = jobs

    def compile(self, flavour, source):
        output = self.directory / flavour / (source.replace("/", "_") + ".o")
        compiler = C if source.endswith(".c") else [*CXX, f"-I{SIMT}", f"-I{SIMT}/emulator"]
        must([*compiler, *FLAVOURS[flavour][1], "-w", "-I.", "-c", source, "-o", output])
        return output

    def make(self, flavour):
        """Compiles what stands for `flavour`, anew when any source or flag is another one."""
        lines = (ROOT / SIMT / "emulator/SOURCES").read_text().strip().split("\n")
        sources = [source for source, where in map(str.split, lines) if where in ("all", flavour)]
        sources += ["cuda/attention_items.c", "weights/dtype.c", "weights/quantize.c",
                    "host/base/base.c"]
        sources += [f"{SIMT}/{path.name}" for path in sorted((ROOT / SIMT).glob("*.c"))
                    if path.name != "test_forward.c"]  # it needs the reference encoder
        used = [path for room in (SIMT, "cuda", "weights", "host/base")
                for path in sorted((ROOT / room).rglob("*"))
                if path.suffix in (".c", ".cpp", ".h")]
        stamp = hashlib.sha256(repr((FLAVOURS[flavour], sources)).encode())
        for path in [ROOT / "tests/check.h", *used]:
            stamp.update(path.read_bytes())
        kept = self.directory / flavour / "stamp"
        if not kept.exists() or kept.read_text() != stamp.hexdigest():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
                list(pool.map(lambda source: self.compile(flavour, source), sources))
            kept.write_text(stamp.hexdigest())

    def link(self, test, flavour, kernel_object, output):
        objects = sorted((self.directory / flavour).glob("*.o"))
        support = [path for path in objects if "_test_" not in path.name]
        own = self.directory / flavour / f"tests_simt_test_{test}.c.o"
        is_good, text = command(["g++", *FLAVOURS[flavour][2], own, kernel_object, *support, "-lm",
                                 "-lpthread", "-o", output])
        if not is_good:
            raise NoProgram(text)
        return output


def run_test(program, seed, order, timeout, until=None):
    """How a test ended: None where it passed, else the line that tells what fired.

    The first line of a failed check or of a fault decides the run, which is ended then; with
    `until`, the first that contains it."""
    environment = dict(os.environ, SIMT_ORDER=order)
    process = subprocess.Popen([program, "--seed", str(seed)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=environment)
    is_late = threading.Event()

    def end():
        is_late.set()
        process.kill()

    timer = threading.Timer(timeout, end)
    timer.start()
    fired = None
    for line in process.stderr:
        text = line.decode(errors="replace").strip()
        is_decisive = "FAIL" in text or text.startswith("simt: ")
        if until in text if until else is_decisive:
            fired = text
            process.kill()
            break
    process.stderr.close()
    code = process.wait()
    timer.cancel()
    if fired is None and code != 0:
        fired = "timeout" if is_late.is_set() else f"exit code {code}"
    return fired


# ---- coverage


def line_counts(directory):
    """How often each line ran, by file: {name: {line: runs}}, over all kernels."""
    counts = {}
    for notes in sorted(directory.glob("*.gcno")):  # there before, and without, any run
        result = subprocess.run(["gcov", "--json-format", "--stdout", notes.name], cwd=directory,
                                capture_output=True, text=True, check=True)
        for unit in result.stdout.strip().split("\n"):
            for source in json.loads(unit)["files"]:
                path = pathlib.PurePath(source["file"])
                if path.suffix not in (".cu", ".cuh"):
                    continue
                file = counts.setdefault(f"cuda/{path.name}", {})
                for line in source["lines"]:
                    number = line["line_number"]
                    file[number] = file.get(number, 0) + line["count"]
    return counts


def report(counts):
    n_lines = n_missed = 0
    for name, lines in sorted(counts.items()):
        text = (ROOT / name).read_text().split("\n")
        missed = [number for number in sorted(lines) if lines[number] == 0]
        n_lines += len(lines)
        n_missed += len(missed)
        print(f"{name:28} {len(lines) - len(missed):4} of {len(lines):4} lines")
        for number in missed:
            print(f"{name}:{number}: never ran: {text[number - 1].strip()}")
    print(f"{n_lines - n_missed} of {n_lines} lines ran")
    return n_missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        build = Build((options.build_dir or pathlib.Path(temporary)).resolve(), options.jobs)
        build.make("gcov")
        directory = copy_kernels(build.directory / "gcov/kernels")

        def run(test, kernel):
            output = directory / f"test_{test}"
            build.link(test, "gcov", directory / f"{kernel}.gcov.o", output)
            return test, run_test(output, options.seed, "forward", 300)

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            objects = list(pool.map(lambda kernel: compile_kernel(kernel, "gcov", directory),
                                    kernels()))
            outcomes = list(pool.map(lambda item: run(*item), tests().items()))
        failed = [f"test_{test}: {fired}" for test, fired in outcomes if fired]
        if failed or None in objects:
            print("\n".join(failed) or "a kernel does not compile")
            return 1
        counts = line_counts(directory)
        return 0 if report(counts) == 0 and counts else 1


if __name__ == "__main__":
    sys.exit(main())
