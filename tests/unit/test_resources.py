#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test_resources.py [--nvcc PATH] [--seed N]: what cuda/resources.py reads, refuses and writes.

A stand-in for nvcc prints recorded output of ptxas. With the toolkit, occupancy is held against
cuda_occupancy.h, and real kernels are refused; lines that begin with SKIP tell what could not run.
"""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "cuda" / "resources.py"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPT.parent))
import resources  # noqa: E402

LAYER_NORM, NAME = "_Z10layer_normI13__nv_bfloat16Li3EEv17kernel_layer_norm", "layer_norm<bf16, 3>"
GELU, HELPER, HEAD = "_Z4geluIfLi1EEv11kernel_gelu", "_Z6helperPii", "_ZN12_GLOBAL__N_14headEPKfi"

# Recorded from nvcc 13.0; sm_120 tells no constant memory. %(...)s: what a test changes.
BLOCK = """\
ptxas info    : Compiling entry function '%(kernel)s' for '%(architecture)s'
ptxas info    : Function properties for %(kernel)s
    %(frame)d bytes stack frame, %(spill)d bytes spill stores, %(spill)d bytes spill loads
ptxas info    : Used %(registers)d registers, used 1 barriers%(shared)s, 416 bytes cmem[0]
ptxas info    : Compile time = 38.171 ms
"""
PTX = """\
.extern .shared .align 16 .b8 dynamic_[];
.visible .entry %(kernel)s(
)
%(bounds)s
{ %(body)s }
"""

# Writes what the test laid down beside it, as nvcc would.
COMPILER = """\
#!%s
import pathlib, sys
here = pathlib.Path(__file__).parent
if "-Xptxas=-v" not in sys.argv or "--keep" not in sys.argv:
    sys.exit("the stand-in was not asked for what resources.py reads")
sys.stderr.write((here / "stderr").read_text())
kept = pathlib.Path(sys.argv[sys.argv.index("--keep-dir") + 1])
(kept / "x.compute_75.ptx").write_text((here / "ptx").read_text())
pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).write_text("object")
sys.exit(int((here / "status").read_text()))
""" % sys.executable

failed = []


def check(what, good, detail=""):
    print(f"{'ok  ' if good else 'FAIL'} {what}" + ("" if good else f"\n     {detail}"))
    if not good:
        failed.append(what)


def told(kernel=LAYER_NORM, architecture="sm_75", registers=60, shared=0, frame=0, spill=0):
    shared = f", {shared} bytes smem" if shared else ""
    return BLOCK % locals()


class Place:
    """A directory with the stand-in, a table of two architectures and one kernel, and the logs."""

    def __init__(self, scratch):
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        self.table, self.logs = self.dir / "t.tsv", self.dir / "logs"
        self.compiler, self.object = self.dir / "nvcc", self.dir / "a.cu.o"
        self.compiler.write_text(COMPILER)
        self.compiler.chmod(0o755)
        self.write_table()

    def write_table(self, sm_90="64:50%", sm_120="64:66%", shared="0", more=""):
        self.table.write_text("kernel\tthreads\tshared\tsm_90\tsm_120\n"
                              f"{NAME}\t128\t{shared}\t{sm_90}\t{sm_120}\n{more}")

    def run(self, use, *args):
        """(exit status, stderr, stdout)"""
        done = subprocess.run([sys.executable, str(SCRIPT), "--table", str(self.table), use,
                               str(self.logs), *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True)
        return done.returncode, done.stderr, done.stdout

    def compile(self, text, status=0, target=None, bounds=".maxntid 128, 1, 1", kernel=LAYER_NORM,
                body="ret;", codes="compute_120,sm_120"):
        """Compiles by the stand-in, which prints `text`."""
        (self.dir / "stderr").write_text(text)
        (self.dir / "ptx").write_text(PTX % {"kernel": kernel, "bounds": bounds, "body": body})
        (self.dir / "status").write_text(str(status))
        return self.run("--log-dir", "--", str(self.compiler),
                        f"--generate-code=arch=compute_120,code=[{codes}]",
                        "-c", "a.cu", "-o", str(target or self.object))


def both(**changes):
    """ptxas on the kernel of the table, for both its architectures; sm_120 with `changes`."""
    return told(architecture="sm_90") + told(architecture="sm_120", **changes)


def test_reading():
    names = resources.readable([LAYER_NORM, GELU, HEAD, "_Z5plainPi"])
    check("names are readable", names == {LAYER_NORM: NAME, GELU: "gelu<fp32, 1>", HEAD: "head",
                                          "_Z5plainPi": "plain"}, names)
    head = json.dumps({"object": "/a.o", "command": ["nvcc"],
                       "kernels": [[LAYER_NORM, 128, False], [GELU, 256, True]]})
    log = resources.read_log(
        head + "\nptxas info    : 0 bytes gmem\n" + told() + told(GELU, registers=32, shared=400) +
        told(architecture="sm_120", registers=255).replace(", 416 bytes cmem[0]", ""))
    check("usages by kernel", log.usages == {NAME: [("sm_75", 60, 0), ("sm_120", 255, 0)],
                                             "gelu<fp32, 1>": [("sm_75", 32, 400)]}, log.usages)
    check("threads, dynamic memory, nothing wrong", log.dynamic == {"gelu<fp32, 1>"} and
          log.threads == {NAME: {128}, "gelu<fp32, 1>": {256}} and log.faults == [], log)


def test_ptx():
    def read(bounds=".maxntid 8, 4, 2", body="ret;"):
        return list(resources.read_ptx(PTX % {"kernel": GELU, "bounds": bounds, "body": body} +
                                       ".entry local()\n.maxntid 32\n{}\n"))[0]
    check("threads are the product", read() == (GELU, 64, False), read())
    check("one number will do", read(".maxntid 256")[1] == 256)
    check("no bounds, though the next has them", read(".minnctapersm 2")[1] == 0)
    check("dynamic memory", read(body="mov.u32 %r1, dynamic_;")[2])


# Architecture, threads, registers, bytes, percent: by hand from the tables of the guide.
OCCUPANCY = [
    ("sm_75", 128, 64, 0, 100), ("sm_75", 128, 65, 0, 87), ("sm_75", 32, 16, 0, 50),
    ("sm_75", 64, 16, 16384, 25), ("sm_80", 32, 16, 0, 50), ("sm_80", 128, 32, 0, 100),
    ("sm_80", 128, 33, 0, 75), ("sm_80", 256, 40, 0, 75), ("sm_86", 32, 16, 0, 33),
    ("sm_86", 128, 40, 0, 100), ("sm_89", 32, 16, 0, 50), ("sm_90", 1024, 64, 0, 50),
    ("sm_90", 1024, 65, 0, 0), ("sm_90", 128, 32, 112640, 12), ("sm_90", 128, 32, 115713, 6),
    ("sm_100", 128, 255, 0, 12), ("sm_120", 128, 168, 0, 25), ("sm_120", 32, 40, 0, 50),
]


def test_occupancy():
    wrong = [case for case in OCCUPANCY if resources.occupancy(*case[:4]) != case[4]]
    check(f"{len(OCCUPANCY)} occupancies by hand", not wrong, wrong)
    cases = [(a, threads, registers) for a in resources.ARCHITECTURES
             for threads in (32, 128, 256, 1024) for registers in range(1, 256, 7)]
    wrong = []
    for case in cases:
        most, now = resources.ceiling(*case, 0), resources.occupancy(*case, 0)
        if resources.occupancy(*case[:2], most, 0) != now or (
                most < 255 and resources.occupancy(*case[:2], most + 1, 0) >= now):
            wrong.append((case, most))
    check(f"{len(cases)} ceilings cost nothing, one more register does", not wrong, wrong[:3])


# Reads cases, prints warps. Of a device it is told warps and memory, the rest it knows.
ORACLE = """\
#include <cuda_occupancy.h>
#include <stdio.h>
int main(void) {
    int major, minor, threads, registers, bytes, warps, total, reserved;
    while (scanf("%d.%d %d %d %d %d %d %d", &major, &minor, &threads, &registers, &bytes, &warps,
                 &total, &reserved) == 8) {
        cudaOccDeviceProp device = {major, minor, 1024, 32 * warps, 1 << 16, 1 << 16, 32, 48 << 10,
                                    total, 1, total - reserved, reserved};
        cudaOccFuncAttributes kernel = {1024, registers, 0, 0, FUNC_SHMEM_LIMIT_OPTIN, total, 1};
        cudaOccDeviceState state = {CACHE_PREFER_NONE, SHAREDMEM_CARVEOUT_DEFAULT};
        cudaOccResult result;
        if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads,
                                                    bytes) != CUDA_OCC_SUCCESS) return 1;
        printf("%d\\n", result.activeBlocksPerMultiprocessor * ((threads + 31) / 32));
    }
    return 0;
}
"""


def test_occupancy_of_the_toolkit(nvcc, scratch):
    include = nvcc and pathlib.Path(nvcc).resolve().parents[1] / "include"
    if not shutil.which("cc") or not include or not (include / "cuda_occupancy.h").exists():
        print("SKIP occupancy beside cuda_occupancy.h: no CUDA toolkit, or no cc")
        return
    oracle, lines, cases = scratch + "/oracle", [], []
    pathlib.Path(oracle + ".c").write_text(ORACLE)
    subprocess.run(["cc", "-w", "-I", str(include), oracle + ".c", "-o", oracle], check=True)
    for a, limits in resources.ARCHITECTURES.items():
        for _ in range(3000):
            shared = random.choice([0, random.randint(1, 48 << 10), random.randint(1, 64 << 10)])
            cases.append((a, random.randint(1, 1024), random.randint(1, 255), shared))
            lines.append(" ".join(map(str, (f"{a[3:-1]}.{a[-1]}", *cases[-1][1:], limits.warps,
                                            limits.shared, limits.reserved))))
    warps = subprocess.run([oracle], input="\n".join(lines), check=True, stdout=subprocess.PIPE,
                           universal_newlines=True).stdout.split()
    wrong = [(c, w, resources.occupancy(*c)) for c, w in zip(cases, warps)
             if 100 * int(w) // resources.ARCHITECTURES[c[0]].warps != resources.occupancy(*c)]
    check(f"{len(cases)} occupancies beside cuda_occupancy.h",
          len(warps) == len(cases) and not wrong, wrong[:5])


def refused(scratch, what, words, text=None, place=None, **compilation):
    place = place or Place(scratch)
    status, err, _ = place.compile(both() if text is None else text, **compilation)
    check(f"refused: {what}", status == 1 and not place.object.exists() and err.count("\n") == 1 and
          err.startswith("resources.py: error: ") and all(w in err for w in words), (status, err))


def test_launcher(scratch):
    place = Place(scratch)
    noise = "a.cu(3): warning #177-D: unused\nptxas info    : (C7510) Potential Performance Loss\n"
    status, err, out = place.compile("ptxas info    : 0 bytes gmem\n" + noise + both())
    check("accepted, and all but the report comes through",
          status == 0 and place.object.exists() and err == noise and out == "", (status, err))
    check("at the ceiling", place.compile(both(registers=64))[0] == 0)
    kernel = NAME + ", sm_120"
    refused(scratch, "a stack frame", [kernel, "16 bytes stack frame"], both(frame=16))
    refused(scratch, "a spill", [kernel, "8 bytes spill stores"], both(spill=8))
    refused(scratch, "a frame of what it calls", ["helper", "sm_120", "24 bytes stack frame"],
            both() + f"ptxas info    : Function properties for {HELPER}\n"
            "    24 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n")
    refused(scratch, "a register above the ceiling",
            [kernel, "65 registers, ceiling 64", "58 %", "66 %", "--update"], both(registers=65))
    refused(scratch, "shared memory above the ceiling", [kernel, "400 bytes", "ceiling 0"],
            both(shared=400))
    refused(scratch, "an unknown kernel", ["gelu<fp32, 1>: not in the table", "--update"],
            told(GELU, "sm_90"), kernel=GELU)
    refused(scratch, "an architecture without limits", ["sm_110"],
            both() + told(architecture="sm_110"))
    refused(scratch, "an architecture without a column", ["sm_80", "ceiling 0"],
            both() + told(architecture="sm_80"))
    refused(scratch, "another block", ["256", "the table says 128"], bounds=".maxntid 256")
    refused(scratch, "dynamic memory that the table lacks", ["dynamic"], body="mov dynamic_;")
    refused(scratch, "a report without the kernel", ["ptxas told nothing"], "")
    unbounded = Place(scratch).compile(both(), bounds="")
    check("refused: no launch bounds", "__launch_bounds__" in unbounded[1], unbounded)
    place = Place(scratch)
    place.write_table(shared="0+2048")
    refused(scratch, "dynamic memory that the kernel lacks", ["2048"], place=place)
    check("dynamic memory by hand", place.compile(both(), body="mov dynamic_;")[0] == 0)
    status, err, _ = place.compile("a.cu(1): error: no\n", status=2)
    check("what the compiler returns", status == 2 and "a.cu(1): error: no\n" in err, (status, err))


def found(what, place, *words):
    status, err, _ = place.run("--check")
    check(f"found: {what}", status == 1 and all(word in err for word in words) and
          err.count("\n") == 1, (status, err))


def built(scratch, text=None, **compilation):
    place = Place(scratch)
    place.compile(text or both(), **compilation)
    return place


def test_check(scratch):
    status, err, out = (place := built(scratch)).run("--check")
    check("a build as the table says", status == 0 and err == "", err)
    check("registers and occupancy are printed",
          out.splitlines()[1].split() == ["layer_norm<bf16,", "3>", "60", "50%", "60", "66%"], out)
    place.write_table(more="gone<3>\t128\t0\t64:50%\t64:66%\n")
    found("a row without a kernel", place, "gone<3>: a row of the table without a kernel")
    place.write_table(sm_120="64:67%")
    found("a wrong occupancy", place, NAME + ", sm_120: 67 %", "66 %")
    place.write_table(sm_90="56:56%")
    found("a ceiling lowered since", place, "sm_90", "60 registers, ceiling 56")
    found("an architecture left out", built(scratch, told(architecture="sm_90")),
          NAME + ", sm_120: in the table, but")
    one = built(scratch, told(architecture="sm_120")).run
    check("a build for one of them", one("--check", "--only", "sm_120")[:2] == (0, ""))
    check("for another", "has no sm_70" in one("--check", "--only", "sm_70")[1])
    found("no PTX", built(scratch, codes="sm_120"), "without PTX of compute_120")
    (place := built(scratch)).object.unlink()
    found("an object that is gone", place, "build again")
    place.object.touch()
    place.compile(both(), target=place.dir / "b.cu.o")
    check("found: one name in two objects", "2 of one name" in place.run("--check")[1])
    check("no logs, no verdict", "no kernels" in Place(scratch).run("--check")[1])


def test_update(scratch):
    place = Place(scratch)
    place.write_table("8:100%", "8:100%", more="gone\t128\t0\t64:50%\t64:66%\n")
    place.compile(both(registers=49, shared=400))
    status, err, _ = place.run("--update")
    rows = resources.read_table(place.table)[1]
    check("the table is what was measured", status == 0 and rows == {
        NAME: (128, 400, 0, {"sm_90": (64, 50), "sm_120": (56, 75)})}, (err, rows))
    place.compile(both(registers=56, shared=400))
    check("and then the build passes", place.run("--check")[0] == 0)
    place.write_table(shared="0+2048")
    place.compile(both(), body="mov dynamic_;")
    check("dynamic memory stays", place.run("--update")[0] == 0 and
          resources.read_table(place.table)[1][NAME].dynamic == 2048, place.table.read_text())
    for what, text in (("spill", both(spill=4)),
                       ("not compiled once for each", both() + told(LAYER_NORM, "sm_90"))):
        place = Place(scratch)
        place.compile(text)
        before = place.table.read_text()
        err = place.run("--update")[1]
        check(f"no table: {what}", what in err and place.table.read_text() == before, err)


REAL = """\
__global__ void __launch_bounds__(%d) sums(float *p, int n) {
    float v[96];
    for (int i = 0; i < 96; i++) v[i] = p[i * 1024 + threadIdx.x];
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 96; i++) v[i] = v[i] * v[(i * 7 + 1) %% 96] + p[k];
    for (int i = 0; i < 96; i++) p[i * 1024 + threadIdx.x] = v[i];
}
"""


def test_real(nvcc, scratch):
    if not nvcc:
        print("SKIP kernels of the real compiler: no nvcc")
        return
    place = Place(scratch)
    place.table.unlink()

    def compile_real(threads):
        (place.dir / "real.cu").write_text(REAL % threads)
        return place.run("--log-dir", "--", nvcc, "--threads=2",
                         "--generate-code=arch=compute_90,code=[sm_90]",
                         "--generate-code=arch=compute_120,code=[compute_120,sm_120]",
                         "-c", str(place.dir / "real.cu"), "-o", str(place.object))
    status, err, _ = compile_real(1024)
    check("a real spill is refused", status == 1 and not place.object.exists() and
          all(f"error: sums, {a}: " in err for a in ("sm_90", "sm_120")) and "spill" in err, err)
    status, err, _ = compile_real(128)
    check("a real kernel that the table lacks is taken into it",
          "sums: not in the table" in err and place.run("--update")[0] == 0, (status, err))
    status, err, _ = compile_real(128)
    check("and accepted", status == 0 and place.object.exists() and err == "", err)
    status, err, out = place.run("--check", str(place.object))
    check("and checked, with the size of the fat binary", status == 0 and
          0 < int(out.split("fat binary ")[1]) < place.object.stat().st_size, (err, out))
    check("nothing is left of the compiler's own files", len(list(place.logs.iterdir())) == 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nvcc", default=shutil.which("nvcc"))
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    args = parser.parse_args()
    print("seed", random.seed(args.seed) or args.seed)
    for test in (test_reading, test_ptx, test_occupancy):
        test()
    with tempfile.TemporaryDirectory(prefix="wader-resources-") as scratch:
        for test in (test_launcher, test_check, test_update):
            test(scratch)
        test_occupancy_of_the_toolkit(args.nvcc, scratch)
        test_real(args.nvcc, scratch)
    print(f"{len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
