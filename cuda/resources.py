#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds each kernel, on each architecture, to a table of registers and shared memory.

  resources.py --table TSV --log-dir DIR -- NVCC ...
        compiles (a compiler launcher), keeps in DIR what ptxas told of the object, and fails on
        local memory, on a kernel above its ceiling and on one that the table does not know
  resources.py --table TSV --check DIR [--only SM,...] [FILE ...]
        holds a whole build and the table against each other, of all architectures of the table or
        of those alone that the build was for; prints what the kernels need and the size of the fat
        binary in each FILE (object, archive, program)
  resources.py --table TSV --update DIR
        writes the table anew from a whole build (`make -k`, where faults stop it), but for the
        bytes of dynamic shared memory behind a +, which are written by hand

A ceiling is the most registers that cost no occupancy beside those measured: another compiler's
choice passes, a lost block does not. nvcc prints what one ptxas told as one piece, with --threads,
too, since each writes to a file of its own.
"""
import argparse
import collections
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

# Of a multiprocessor: warps and blocks at most, bytes of shared memory, bytes of it that each block
# loses to the system, unit of its allocation. CUDA Programming Guide, "Compute Capabilities",
# tables of technical specifications; units and the arithmetic below are those of cuda_occupancy.h.
Limits = collections.namedtuple("Limits", "warps blocks shared reserved unit")
ARCHITECTURES = {
    "sm_75": Limits(32, 16, 64 << 10, 0, 256),
    "sm_80": Limits(64, 32, 164 << 10, 1024, 128),
    "sm_86": Limits(48, 16, 100 << 10, 1024, 128),
    "sm_89": Limits(48, 24, 100 << 10, 1024, 128),
    "sm_90": Limits(64, 32, 228 << 10, 1024, 128),
    "sm_100": Limits(64, 32, 228 << 10, 1024, 128),
    "sm_120": Limits(48, 24, 100 << 10, 1024, 128),
}
WARP, REGISTERS_MAX = 32, 255  # threads; of one of them
PARTITIONS, PARTITION_REGISTERS = 4, 16384  # of a multiprocessor; a warp lives in one of them
REGISTER_UNIT = 256  # of a warp

Usage = collections.namedtuple("Usage", "architecture registers shared")
# What the compiler told of an object: by kernel its usages and its threads of a block (a set: one
# for each compilation); kernels with shared memory sized at launch; what is wrong in any case.
Log = collections.namedtuple("Log", "object command usages threads dynamic faults")
# `dynamic`: bytes, by hand; `cells`: (most registers, percent) by architecture.
Row = collections.namedtuple("Row", "threads shared dynamic cells")


def occupancy(architecture, threads, registers, shared):
    """Percent of the warps of a multiprocessor that such blocks can fill; 0 where none fits."""
    limits = ARCHITECTURES[architecture]
    warps = math.ceil(threads / WARP)
    warp_registers = math.ceil(registers * WARP / REGISTER_UNIT) * REGISTER_UNIT
    by_registers = PARTITION_REGISTERS // warp_registers * PARTITIONS // warps
    block_shared = math.ceil((shared + limits.reserved) / limits.unit) * limits.unit
    by_shared = limits.shared // block_shared if block_shared else limits.blocks
    blocks = min(limits.warps // warps, limits.blocks, by_registers, by_shared)
    return 100 * blocks * warps // limits.warps


def ceiling(architecture, threads, registers, shared):
    """The most registers that leave the occupancy as it is."""
    wanted = occupancy(architecture, threads, registers, shared)
    return max(r for r in range(registers, REGISTERS_MAX + 1)
               if occupancy(architecture, threads, r, shared) == wanted)


# ---- what the compiler told

ENTRY = re.compile(r"ptxas info\s*: Compiling entry function '(\w+)' for '(sm_\w+)'")
FUNCTION = re.compile(r"ptxas info\s*: Function properties for (\w+)")
MEMORY = re.compile(r"\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill lo")
USED = re.compile(r"ptxas info\s*: Used (\d+) registers\b(?:.* (\d+) bytes smem)?")
CHATTER = re.compile(r"ptxas info\s*: (\d+ bytes gmem|Compile time = )")
TOLD = (ENTRY, FUNCTION, MEMORY, USED, CHATTER)


def readable(mangled):
    """{mangled: as a reader of the sources would write it}: layer_norm<bf16, 3>."""
    names = sorted(set(mangled))
    told = subprocess.run(["c++filt"], input="\n".join(names), stdout=subprocess.PIPE, check=True,
                          universal_newlines=True).stdout.split("\n")
    for pattern, instead in ((r"\(anonymous namespace\)::", ""),
                             (r"\((?!.*>).*\)$", ""),  # parameters: no template argument list after
                             (r"^void (?=.*<)", ""),  # what a template returns
                             (r"\b__nv_bfloat16\b", "bf16"), (r"\b__half\b", "fp16"),
                             (r"\bfloat\b", "fp32")):
        told = [re.sub(pattern, instead, name) for name in told]
    return dict(zip(names, told))


def read_ptx(text):
    """Each kernel, its threads of a block (0: unbounded), whether it has dynamic memory."""
    dynamic = re.findall(r"^\.extern \.shared .*\b(\w+)\[\]", text, re.M)
    for piece in re.split(r"^(?:\.\w+ )*\.entry ", text, flags=re.M)[1:]:
        bounds = re.search(r"^\.maxntid ([\d, ]+)", piece, re.M)
        threads = math.prod(int(n) for n in bounds.group(1).split(",")) if bounds else 0
        words = re.findall(r"\w+", piece)
        yield words[0], threads, not set(dynamic).isdisjoint(words)


def read_log(text):
    first, *lines = text.splitlines()
    head = json.loads(first)
    names = readable(re.findall(r"(?:function '|properties for )(\w+)", text)
                     + [kernel for kernel, _, _ in head["kernels"]])
    log = Log(head["object"], head["command"], {}, {}, set(), [])
    for kernel, threads, is_dynamic in head["kernels"]:
        log.threads.setdefault(names[kernel], set()).add(threads)
        log.dynamic.update([names[kernel]] if is_dynamic else [])
    for line in lines:
        if ENTRY.match(line):
            kernel, architecture = ENTRY.match(line).groups()
        elif FUNCTION.match(line):
            function = names[FUNCTION.match(line).group(1)]  # the kernel, or what it calls
        elif MEMORY.match(line) and any(int(n) for n in MEMORY.match(line).groups()):
            log.faults.append(f"{function}, {architecture}: {line.strip()}, and nothing may have "
                              "local memory: keep fewer values alive, or take smaller blocks")
        elif USED.match(line) and architecture in ARCHITECTURES:
            usage = Usage(architecture, *(int(n or 0) for n in USED.match(line).groups()))
            log.usages.setdefault(names[kernel], []).append(usage)
        elif USED.match(line):
            log.faults.append(f"{architecture}: resources.py lacks its limits: add them")
    for kernel in sorted({*log.usages, *log.threads}):
        threads = log.threads.setdefault(kernel, {0})
        if kernel not in log.usages:
            log.faults.append(f"{kernel}: ptxas told nothing of it")
        if len(threads) != 1 or 0 in threads:
            log.faults.append(f"{kernel}: give it __launch_bounds__, the same in every compilation")
    return log


# ---- the table


def read_table(path):
    """(architectures, {kernel: row}); nothing of both where there is no table yet."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    lines = [[cell.strip() for cell in line.split("\t")] for line in lines if line[:1] != "#"]
    architectures, rows = lines[0][3:] if lines else [], {}
    for name, threads, shared, *cells in lines[1:]:
        if name in rows or len(cells) != len(architectures):
            sys.exit(f"{path}: {name} stands twice or lacks a column")
        static, _, dynamic = shared.partition("+")
        cells = [tuple(int(n) for n in cell.rstrip("%").split(":")) for cell in cells]
        rows[name] = Row(int(threads), int(static), int(dynamic or 0),
                         dict(zip(architectures, cells)))
    return architectures, rows


def aligned(lines):
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    return ["\t".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines]


def write_table(path, architectures, rows):
    lines = [["kernel", "threads", "shared"] + architectures]
    for kernel, row in sorted(rows.items()):
        shared = f"{row.shared}+{row.dynamic}" if row.dynamic else str(row.shared)
        lines.append([kernel, str(row.threads), shared] +
                     ["{}:{}%".format(*row.cells[a]) for a in architectures])
    path.write_text("# SPDX-License-Identifier: Apache-2.0\n"
                    "# By kernel: threads of a block; most bytes of static shared memory, and of\n"
                    "# dynamic behind a +; by architecture most registers:occupancy with them.\n"
                    "# Written by resources.py --update, but for what is behind a +.\n"
                    + "\n".join(aligned(lines)) + "\n", "utf-8")


# ---- the checks


def faults_of_log(log, rows):
    yield from log.faults
    for kernel, usages in log.usages.items():
        row = rows.get(kernel)
        if row is None:
            yield (f"{kernel}: not in the table: build all with make -k, look at the occupancy, "
                   "then take it into the table with --update")
            continue
        for a, registers, shared in usages:
            most, before = row.cells.get(a, (0, 0))
            if registers > most or shared > row.shared:
                yield (f"{kernel}, {a}: {registers} registers, ceiling {most}; {shared} bytes of "
                       f"shared memory, ceiling {row.shared}; occupancy "
                       f"{occupancy(a, row.threads, registers, shared + row.dynamic)} %, at the "
                       f"ceilings {before} %: where that is wanted, raise them with --update")
        if log.threads[kernel] != {row.threads}:
            yield (f"{kernel}: {max(log.threads[kernel])} threads a block, the table says "
                   f"{row.threads}: where that is wanted, take it over with --update")
        if (kernel in log.dynamic) != (row.dynamic > 0):
            yield (f"{kernel}: {row.dynamic} bytes of dynamic shared memory in the table, which is "
                   "not so: write how many behind a + in the column shared, then --update")


def faults_of_build(logs, architectures, rows):
    """What only a whole build for these architectures can show, or the table on its own."""
    found = collections.Counter((kernel, usage.architecture) for log in logs
                                for kernel, usages in log.usages.items() for usage in usages)
    for kernel, a in sorted(key for key, n in found.items() if n > 1):
        yield f"{kernel}, {a}: {found[kernel, a]} of one name in this build"
    for kernel, row in sorted(rows.items()):
        if not any((kernel, a) in found for a in architectures):
            yield f"{kernel}: a row of the table without a kernel: drop it with --update"
            continue
        for a, (most, before) in ((a, row.cells[a]) for a in architectures):
            if (kernel, a) not in found:
                yield f"{kernel}, {a}: in the table, but not compiled for this architecture"
            right = occupancy(a, row.threads, most, row.shared + row.dynamic)
            if before != right:
                yield f"{kernel}, {a}: {before} % in the table, occupancy is {right} %"
    newest = architectures[-1].replace("sm", "compute") if architectures else "none"
    for log in logs:
        if not pathlib.Path(log.object).exists():
            yield f"{log.object}: gone, or refused: build again"
        if log.usages and not re.search(rf"code=\[?(\w+,)*{newest}\b", " ".join(log.command)):
            yield f"{log.object}: compiled without PTX of {newest}, which later devices need"


def tell(faults):
    for fault in faults:
        print(f"resources.py: error: {fault}", file=sys.stderr)
    return 1 if faults else 0


# ---- the three uses


def compile_object(table, log_dir, command):
    target = pathlib.Path(command[command.index("-o") + 1]).absolute()
    log_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=log_dir) as kept:
        result = subprocess.run(command[:1] + ["-Xptxas=-v", "--keep", "--keep-dir", kept] +
                                command[1:], stderr=subprocess.PIPE, universal_newlines=True)
        kernels = [kernel for ptx in sorted(pathlib.Path(kept).glob("*.ptx"))
                   for kernel in read_ptx(ptx.read_text("utf-8"))]
    told = [json.dumps({"object": str(target), "command": command, "kernels": kernels})]
    for line in result.stderr.splitlines():
        if any(pattern.match(line) for pattern in TOLD):
            told.append(line)
        else:
            print(line, file=sys.stderr)
    text = "\n".join(told) + "\n"
    (log_dir / (str(target).strip("/").replace("/", "-") + ".log")).write_text(text, "utf-8")
    status = tell(list(faults_of_log(read_log(text), read_table(table)[1])))
    if status and target.exists():
        target.unlink()  # so that the next build compiles it again
    return result.returncode or status


def read_logs(log_dir):
    logs = [read_log(path.read_text("utf-8")) for path in sorted(log_dir.glob("*.log"))]
    if not any(log.usages for log in logs):
        sys.exit(f"{log_dir}: no kernels: build first, with resources.py as compiler launcher")
    return logs


def check(table, log_dir, only, files):
    (architectures, rows), logs = read_table(table), read_logs(log_dir)
    if set(only) - set(architectures):
        sys.exit(f"{table}: has no {', '.join(sorted(set(only) - set(architectures)))}")
    architectures = [a for a in architectures if a in only or not only]
    lines = [["registers, occupancy"] + architectures]
    for kernel, row in sorted(rows.items()):
        found = {u.architecture: "%3d %3d%%" % (u.registers, occupancy(
            u.architecture, row.threads, u.registers, u.shared + row.dynamic))
            for log in logs for u in log.usages.get(kernel, [])}
        lines.append([kernel] + [found.get(a, "-") for a in architectures])
    print("\n".join(line.replace("\t", "  ") for line in aligned(lines)))
    for name in files:
        sections = subprocess.run(["size", "-A", name], stdout=subprocess.PIPE, check=True,
                                  universal_newlines=True).stdout
        fat = sum(int(n) for n in re.findall(r"^\.nv_fatbin\s+(\d+)", sections, re.M))
        print(f"{name}: {pathlib.Path(name).stat().st_size} bytes, fat binary {fat}")
    faults = [fault for log in logs for fault in faults_of_log(log, rows)]
    return tell(faults + list(faults_of_build(logs, architectures, rows)))


def update(table, log_dir):
    logs, (_, before), rows = read_logs(log_dir), read_table(table), {}
    built = {u.architecture for log in logs for usages in log.usages.values() for u in usages}
    architectures = [a for a in ARCHITECTURES if a in built]
    faults = [fault for log in logs for fault in log.faults] or [
        f"{kernel}: not compiled once for each of {', '.join(architectures)}"
        for log in logs for kernel, usages in log.usages.items()
        if sorted(usage.architecture for usage in usages) != sorted(architectures)]
    if faults:
        return tell(faults)
    for log in logs:
        for kernel, usages in log.usages.items():
            threads, cells = max(log.threads[kernel]), {}
            static = max(usage.shared for usage in usages)
            dynamic = before[kernel].dynamic if kernel in before else 0
            for a, registers, _ in usages:
                most = ceiling(a, threads, registers, static + dynamic)
                cells[a] = (most, occupancy(a, threads, most, static + dynamic))
            rows[kernel] = Row(threads, static, dynamic, cells)
    write_table(table, architectures, rows)
    print(f"{table}: {len(rows)} kernels, {len(set(rows) - set(before))} of them new, "
          f"{len(set(before) - set(rows))} gone")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=pathlib.Path, required=True)
    use = parser.add_mutually_exclusive_group(required=True)
    for option in ("--log-dir", "--check", "--update"):
        use.add_argument(option, type=pathlib.Path, metavar="DIR")
    parser.add_argument("--only", default="", metavar="sm_75,...")
    parser.add_argument("rest", nargs="*", metavar="FILE | -- NVCC ...")
    args = parser.parse_args()
    if args.log_dir:
        return compile_object(args.table, args.log_dir, args.rest)
    if args.check:
        return check(args.table, args.check, list(filter(None, args.only.split(","))), args.rest)
    return update(args.table, args.update)


if __name__ == "__main__":
    sys.exit(main())
