#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What only nvcc's output can show of the CUDA sources, read from PTX.

usage: test_ptx.py SOURCE_ROOT [NVCC]

1. cuda/ptx.cuh says what it means. Probes, straight-line code, call each of its functions; their
   registers are followed from the words they load to the operands of the instruction, and from its
   results to the words they store.
2. What nvcc makes of each kernel has no local memory, no fp64, no calls, no 64-bit division and no
   shared array of loose alignment, and accesses global memory 16 bytes at a time, but for NARROW.

Both are repeated with defects in the sources, each of which must be noticed. Exit status 77: there
is no nvcc.
"""
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

KERNEL_ARCHITECTURES = ("sm_75", "sm_90")

# ---- PTX

INSTRUCTION = re.compile(r"[\s{}]*(@!?%p\d+\s+)?([a-z][\w.:]*)\s*(.*)")
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^\s,{}\[\]]+")
PLACE = re.compile(r"(?:\.loc\s+|\binlined_at )(\d+) (\d+)")
TOOLKIT = re.compile(r"/include/(crt/)?[\w.]+$")


def compile_ptx(nvcc, root, source, architecture, output):
    subprocess.run([nvcc, "-ptx", "-std=c++17", "-lineinfo", "-w", f"-arch={architecture}",
                    f"-I{root}", "-o", output, source], check=True)
    return output.read_text()


def entries(ptx):
    """[(mangled name, [((path, line), predicate, opcode, operands)])] of the kernels."""
    files = dict(re.findall(r'^\s*\.file\s+(\d+) "(.*?)"', ptx, re.M))
    return [(re.match(r"\w+", piece).group(), list(instructions(piece.partition("{")[2], files)))
            for piece in re.split(r"^(?:\.\w+ )*\.entry ", ptx, flags=re.M)[1:]]


def instructions(body, files):
    place = None, 0
    for text in body.splitlines():
        # What comes from the toolkit's headers is put down to where our sources call it.
        calls = [(files[file], int(line)) for file, line in PLACE.findall(text)]
        place = next((call for call in calls if not TOOLKIT.search(call[0])), place)
        for statement in text.partition("//")[0].split(";"):
            match = INSTRUCTION.match(statement)
            if match:
                yield place, match.group(1), match.group(2), OPERAND.findall(match.group(3))


# ---- 1. the header

# What calls the function; what that must come to on sm_75, from sm_80 on, and from sm_89 on where
# that is another. All probes have the same parameters. Word i behind a pointer x is x[i], x* all
# four; p and q are the results of the first and the second instruction. The stores to `mark` must
# not be moved across an access.
PARAMETERS = "const uint32_t *a, const uint32_t *b, const float *d, float *out, int *mark"
POINTERS = re.findall(r"\*(\w+)", PARAMETERS)
MMA = ("uint32_t x[4] = {a[0], a[1], a[2], a[3]}, y[2] = {b[0], b[1]};"
       "float z[4] = {d[0], d[1], d[2], d[3]}; mma_m16n8k16(z, x, y, %s());"
       "for (int i = 0; i < 4; i++) out[i] = z[i];")
LDMATRIX = ("uint32_t r[4]; *mark = 1; %s(r, a); *mark = 2;"
            "for (int i = 0; i < 4; i++) out[i] = __uint_as_float(r[i]);")
CP_ASYNC = "*mark = 1; %s; *mark = 2;"
MARKED = "mark[0] = 1; %s; mark[0] = 2"
TILES = MARKED % "ldmatrix.sync.aligned.m8n8.x4%s.shared.b16 {p*}, [shared(a)]" + "; out* = p*"
MMA_HALF_DEPTH = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%s*}, {%s}, {%s}, {%s*}"
MMA_WHOLE_DEPTH = ("mma.sync.aligned.m16n8k16.row.col.f32.{0}.{0}.f32 "
                   "{{p*}}, {{a*}}, {{b[0],b[1]}}, {{d*}}; out* = p*")
PROBES = {
    "half": (MMA % "__half", "; ".join((MMA_HALF_DEPTH % ("p", "a[0],a[1]", "b[0]", "d"),
                                        MMA_HALF_DEPTH % ("q", "a[2],a[3]", "b[1]", "p"),
                                        "out* = q*")), MMA_WHOLE_DEPTH.format("f16")),
    "bf16": (MMA % "__nv_bfloat16", "trap; out* = d*", MMA_WHOLE_DEPTH.format("bf16")),
    "plain": (LDMATRIX % "ldmatrix_x4", TILES % "", TILES % ""),
    "trans": (LDMATRIX % "ldmatrix_x4_trans", TILES % ".trans", TILES % ".trans"),
    "copy": (CP_ASYNC % "cp_async16(out, a)", MARKED % "out* = a*",
             MARKED % "cp.async.cg.shared.global [shared(out)], [a], 16"),
    "e4m3": ("out[0] = __uint_as_float(pack4_e4m3(d[0], d[1], d[2], d[3]));",
             "trap; out[0] = 0", "trap; out[0] = 0",
             "cvt.rn.satfinite.e4m3x2.f32 low, d[1], d[0]; "
             "cvt.rn.satfinite.e4m3x2.f32 high, d[3], d[2]; out[0] = low; out[1] = high"),
    # Before sm_80 these are nothing at all, so that of two stores the second is left.
    "commit": (CP_ASYNC % "cp_async_commit()", "mark[0] = 2", MARKED % "cp.async.commit_group"),
    "wait": (CP_ASYNC % "cp_async_wait<3>()", "mark[0] = 2", MARKED % "cp.async.wait_group 3"),
}


def words_at(address, n_words):
    name, offset = re.fullmatch(r"\[(.+?)(?:\+(\d+))?\]", address).groups()
    return [f"{name}[{int(offset or 0) // 4 + i}]" for i in range(n_words)]


def trace(code):
    """What straight-line code does. What is unknown here, or not run always, is told as it is."""
    values, effects = {}, []
    for _, predicate, opcode, operands in code:
        registers = re.findall(r"%\w+", operands[0] if operands else "")
        shown = [re.sub(r"%\w+", lambda match: values.get(match.group(), "undefined"), operand)
                 for operand in operands]
        if predicate:
            effects.append(f"{predicate}{opcode}")
        elif opcode == "ld.param.u64":
            values[operands[0]] = POINTERS[int(re.search(r"_param_(\d+)\]", shown[1]).group(1))]
        elif re.fullmatch(r"mov\.[busf](32|64)|cvta\.to\.global\.u64|cvt\.u32\.u64", opcode):
            values[operands[0]] = shown[1]
        elif opcode == "cvta.to.shared.u64":
            values[operands[0]] = f"shared({shown[1]})"
        elif re.fullmatch(r"ld\.global(\.v[24])?\.[busf]32", opcode):
            values.update(zip(registers, words_at(shown[1], len(registers))))
        elif re.fullmatch(r"st\.global(\.v[24])?\.[busf]32", opcode):
            stored = re.findall(r"[^{}, ]+", shown[1])
            effects += map(" = ".join, zip(words_at(shown[0], len(stored)), stored))
        elif opcode != "ret":
            if registers and operands[0].startswith("{"):
                name = "q" if "p[0]" in values.values() else "p"
                values.update((register, f"{name}[{i}]") for i, register in enumerate(registers))
                shown[0] = "{" + ",".join(values[register] for register in registers) + "}"
            effects.append(f"{opcode} {', '.join(shown)}".strip())
    text = re.sub(r"(\w+)\[0\],\1\[1\],\1\[2\],\1\[3\]", r"\1*", "; ".join(effects))
    rest = "".join(rf"; \1\[{i}\] = \2\[{i}\]" for i in (1, 2, 3))
    return re.sub(r"(\w+)\[0\] = (\w+)\[0\]" + rest, r"\1* = \2*", text)


def probe_headers(nvcc, root, headers, architecture, directory):
    """Of each of these forms of ptx.cuh, by number, what is wrong on one architecture."""
    kernels = "\n".join(f"__global__ void {name}({PARAMETERS}) {{ {body} }}"
                        for name, (body, *_) in PROBES.items())
    source = directory / "probes.cu"
    source.write_text("".join(
        ["#include <cuda_bf16.h>\n#include <cuda_fp16.h>\n#include <stdint.h>\n"]
        + ["#undef WADER_CUDA_PTX_CUH\n"
           f'namespace header_{i}_ {{\n#include "{header}"\n{kernels}\n}}\n'
           for i, header in enumerate(headers)]))
    code = entries(compile_ptx(nvcc, root, source, architecture, directory / "probes.ptx"))
    assert len(code) == len(headers) * len(PROBES)
    faults = {i: [] for i in range(len(headers))}
    for mangled, probe in code:
        number, name = re.search(r"header_(\d+)_\d+([a-z]\w*?)E", mangled).groups()
        wanted = PROBES[name][{"sm_75": 1, "sm_80": 2}.get(architecture, -1)]
        found = trace(probe)
        if found != wanted:
            faults[int(number)].append(f"{name} on {architecture}: {found}, wanted: {wanted}")
    return faults


# Where a pattern stands in ptx.cuh, each time by itself.
HEADER_DEFECTS = (
    (r"(%\d),(%\d)", r"\2,\1"), (r"(?<=\d,)(%\d),(%\d)", r"\2,\1"),  # operands, swapped
    (r"(%\d)([}\]], [{\[])(%\d)", r"\3\2\1"),
    (r'\(([\w\[\] *+]+)\), ("[+=]?\w"\()([\w\[\] *+]+)\)', r"(\3), \2\1)"),  # what they are
    (r'\((\w\[[13]\])\), ("[+=]?\w"\()([\w\[\] *+]+)\)', r"(\3), \2\1)"),
    (r"(?<=\w)\.[a-z]\w*(?=[\w.]* (?:\"|\{%|\[%))", ""),  # parts of an instruction's name
    (r"bf16\.bf16", "f16.f16"), (r"\bf16\.f16", "bf16.bf16"), (r"f32 \"", 'f16 "'),
    (r"m16n8k16\.row", "m16n8k8.row"), (r"\.x4\.", ".x2."), (r"\.x4\.shared", ".x4.trans.shared"),
    (r"\.cg", ".ca"), (r"16;\"", '8;"'), (r"commit_group;", "wait_all;"), (r"\+f", "=f"),
    (r"wait_group %0", "wait_group 0"), (r"\(n_groups\)", "(n_groups + 1)"), (r">= 800", ">= 900"),
    (r">= 800", ">= 750"), (r">= 890", ">= 1000"), (r">= 890", ">= 800"),
    (r"low, high\}", "high, low}"), (r"satfinite\.e4m3x2", "satfinite.e5m2x2"),
    (r"__cvta_generic_to_shared\((\w+)\)", r"(uintptr_t)\1"),
    (r"__trap\(\);", ""), (r"half < 2", "half < 1"), (r"2 \* half", "half"),
    (r"b\[half\]", "b[1 - half]"), (r"uint4( .*?)uint4", r"uint2\1uint2"),
    (r"asm volatile\((\"ldmatrix.*?)\s*: \"memory\"\)", r"asm(\1)"),
)


def check_header(nvcc, root, directory):
    text = (root / "cuda/ptx.cuh").read_text()
    for name, n in collections.Counter(re.findall(r"__forceinline__ \w+ (\w+)\(", text)).items():
        if sum(bool(re.search(rf"\b{name}\b", body)) for body, *_ in PROBES.values()) < n:
            yield f"ptx.cuh: {name} has no probe"
    headers, defects = [root / "cuda/ptx.cuh"], [None]
    for pattern, instead in HEADER_DEFECTS:
        places = list(re.finditer(pattern, text, re.S))
        if not places:
            yield f"ptx.cuh has no place for the defect {pattern}"
        for place in places:
            changed, line = place.expand(instead), text.count("\n", 0, place.start()) + 1
            headers.append(directory / f"defect_{len(headers)}.cuh")
            headers[-1].write_text(text[:place.start()] + changed + text[place.end():])
            defects.append(f"ptx.cuh:{line}: {place.group()!r} made {changed!r}")
    noticed = set()
    # From sm_90 on nvcc has ptxas look at PTX, which most of the defects do not survive.
    for architecture, forms in (("sm_75", headers), ("sm_80", headers), ("sm_89", headers),
                                ("sm_90", headers[:1])):
        faults = probe_headers(nvcc, root, forms, architecture, directory)
        yield from faults[0]
        noticed.update(i for i, found in faults.items() if found)
    yield from (f"not noticed: {defects[i]}" for i in range(1, len(headers)) if i not in noticed)
    print(f"ptx.cuh: {len(PROBES)} probes; {len(headers) - 1} defects")


# ---- 2. the kernels

# Accesses of global memory that may take less than 16 bytes: the kernels, the access, the statement
# of the source, how many of them an entry has at most (times the number caught in its name), why.
NARROW = (
    (r"attention(?:_f32)?<.*>", "load 4", r"args\.starts\[", 2, "the bucket: uniform"),
    (r"attention<\w+, 32, (\d+), .*>", "load 8", r"chunk = .*uint2", 4,
     "a lane needs no more of a row of values where a head has 32 elements"),
    (r"attention_cls<.*>|gather_cls", "load 4", r"= .*cu_seqlens\[", 2, "the title: uniform"),
    (r"(?:layer_norm|gelu)_e4m3<.*>", "load 4", r"row_scales\[row\]", 1, "the row: uniform"),
    (r"layer_norm_e4m3<(\d)>", "store 8", r"pack4_e4m3\(v", 1, "eight values of a byte"),
    (r"gelu_e4m3<\d, (\d)>", "store 8", r"pack4_e4m3\(v", 1, "eight values of a byte"),
    (r"layer_norm_e4m3<.*>", "store 4", r"\*scale =", 1, "one lane has it"),
    (r"gelu_e4m3<.*>", "store 4", r"args\.scales\[row\] =", 1, "one thread has it"),
    (r"embed<.*>", "load 4", r"args\.(position|token)_ids\[", 2, "the row: uniform"),
    # nvcc unrolls the loop over labels in the smallest, and that of the softmax in all.
    (r"head<1, .>", "load 4", r"args\.bias\[k\]", 3, "the label: uniform"),
    (r"head<1, .>", "store 4", r"\) logits\[k\] =", 3, "one lane has it"),
    (r"head<[2-4], .>", "load 4", r"args\.bias\[k\]", 1, "the label: uniform"),
    (r"head<[2-4], .>", "store 4", r"\) logits\[k\] =", 1, "one lane has it"),
    (r"head<.*>", "load 4", r"exp.*logits\[k\]", 5, "rows of K words begin anywhere"),
    (r"head<.*>", "store 4", r"probabilities\[k\] =", 5, "rows of K words begin anywhere"),
)
UNWANTED = re.compile(r"\.local\b|\.f64\b|^call|^(div|rem)\.[us]64")


def access_of(opcode, operands):
    """"load 4" for 4 bytes of global memory; None where nothing is accessed, or 16 bytes are."""
    kind, *modifiers = opcode.split(".")
    if kind in ("atom", "red", "cp"):
        is_copy = kind == "cp" and (operands[2:] == ["16"] or not operands[2:])
        return None if is_copy else kind
    if kind not in ("ld", "ldu", "st") or {"shared", "param", "const", "local"} & set(modifiers):
        return None
    vector = re.search(r"\.v(\d)", opcode)
    n_bytes = int(vector.group(1) if vector else 1) * int(re.search(r"\d+$", opcode).group()) // 8
    access = f"{'store' if kind == 'st' else 'load'} {n_bytes}"
    return f"{access} generic" if "global" not in modifiers else None if n_bytes >= 16 else access


def check_ptx(ptx, used):
    """Yields what is wrong with the kernels of a PTX file; adds to `used` the rows of NARROW."""
    for align, name, size in re.findall(r"\.shared (?:\.align (\d+) )?\.\w+ (\w+)\[(\d*)\]", ptx):
        if int(align or 1) < 16 <= int(size or 16):
            yield f"shared {name}[{size}] is aligned to {align}"
    for mangled, code in entries(ptx):
        plain = subprocess.check_output(["c++filt", mangled], universal_newlines=True)
        kernel = re.match(r"(?:void )?(\w+(?:<[^(]*>)?)", plain).group(1)
        counts = collections.Counter()
        for (path, line), _, opcode, operands in code:
            what = opcode if UNWANTED.search(opcode) else access_of(opcode, operands)
            if not what:
                continue
            # What the compiler made up has no line, and no statement either.
            lines = pathlib.Path(path).read_text().splitlines()[line - 1:line + 3] if line else []
            statement = re.match(r"[\s{}]*[^;{}]*", " ".join(map(str.strip, lines))).group()
            row = next((row for row in NARROW if row[1] == what and re.fullmatch(row[0], kernel)
                        and re.search(row[2], statement)), None)
            counts[row] += 1
            most = row[3] * int((re.fullmatch(row[0], kernel).groups() or "1")[0]) if row else 0
            if counts[row] > most:
                yield f"{kernel}: {path}:{line}: {what}, at most {most} of them wanted: {statement}"
        used.update(counts)


# In gather_cls.cu, instead of COPY: what must be said, @: of the line.
COPY = "to[i] = is_dummy ? make_uint4(0, 0, 0, 0) : from[i];"
KERNEL_DEFECTS = (
    ("to[i] = make_uint4(from[i].x, 0, 0, 0);", "@load 4"),
    ("to[i].w = first;", "@store 4"),
    ("const int w = cu_seqlens[i]; to[i] = make_uint4(w, w, w, w);", "load 4, at most 2"),
    ("to[i] = make_uint4(i * 0.1, 0, 0, 0);", r"@\w+(\.\w+)*\.f64\b"),
    ("atomicAdd(&to[i].x, 1);", "@atom|@red"),
    ("to[i] = make_uint4(i / (1LL + title), 0, 0, 0);", "gather_cls.cu:0: div"),
    ("int w[9] = {}; w[i % 9] = i; to[i].x = w[title % 9];", r"@(ld|st)\.local"),
    ('printf("%d", i);', "@call"),
    ("__shared__ uint4 w[32]; const uint4 *f = i < 9 ? w : from; to[i] = f[i];", "@load 16 ge"),
    ("__shared__ int w[9]; w[i % 9] = i; __syncwarp(); to[i].x = w[i % 7];", r"w\[36\] is align"),
)


def check_kernels(nvcc, root, directory):
    used, n_kernels, output = collections.Counter(), 0, directory / "kernel.ptx"
    for source in sorted(set((root / "cuda").glob("*.cu")) - {root / "cuda/device.cu"}):
        for architecture in KERNEL_ARCHITECTURES:
            ptx = compile_ptx(nvcc, root, source, architecture, output)
            n_kernels += ptx.count(".entry ")
            yield from (f"{architecture}: {fault}" for fault in check_ptx(ptx, used))
    yield from (f"NARROW has a row that no kernel needs: {row}" for row in NARROW if not used[row])
    text, source = (root / "cuda/gather_cls.cu").read_text(), directory / "gather_cls.cu"
    place = f"gather_cls.cu:{text[:text.index(COPY)].count(chr(10)) + 1}: "
    for defect, said in KERNEL_DEFECTS:
        source.write_text(text.replace(COPY, f"{{ {defect} }}"))
        ptx = compile_ptx(nvcc, root, source, "sm_90", output)
        faults = list(check_ptx(ptx, collections.Counter()))
        if not any(re.search(said.replace("@", place), fault) for fault in faults):
            yield f"not noticed: {place}{defect}, but {faults}"
    print(f"PTX of {n_kernels} kernels; {len(KERNEL_DEFECTS)} defects")


def main():
    nvcc = shutil.which(sys.argv[2] if len(sys.argv) > 2 else "nvcc")
    if nvcc is None:
        print("SKIP: no nvcc")
        return 77
    root = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        faults = list(check_header(nvcc, root, pathlib.Path(name)))
        faults += check_kernels(nvcc, root, pathlib.Path(name))
    print(*faults[:20], f"{len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
