#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How the sources of kernels can be broken: for mutate.py."""
import collections
import re

from coverage import ROOT, kernels

# Characters `start` to `end` of `file` become `new`.
Mutant = collections.namedtuple("Mutant", "kind file start end new")

TOKEN = re.compile(r"[A-Za-z_]\w*|0x[0-9a-f]+u?|\d+\.\d*f?|\d+u?|<<|>>|<=|>=|==|!=|&&|\|\||->|::"
                   r"|\+\+|--|[-+*/%&|^]=|\S")
BINARY = {
    "arithmetic": {"+": "-", "-": "+", "*": "+/", "/": "*%", "%": "/*"},
    "assignment": {"+=": ("-=", "="), "-=": ("+=",), "*=": ("=", "/="), "/=": ("*=",)},
    "relation": {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
                 "==": ("!=",), "!=": ("==",)},
    "logic": {"&&": ("||",), "||": ("&&",)},
    "bits": {"<<": (">>",), ">>": ("<<",), "&": ("|",), "|": ("&",)},
}
# Names that one may take for each other, in groups: those of one kind, those that stand together.
ALIKE = """g t|i j r c u s k q|x y z w|keys values queries|key query value values_
x residual|weight bias x_bias|w b p|word place position|token_ids position_ids|low high
first end|first row title|first_row first_query n_keys title|first_query first_key|first_item n_jobs
n_rows n_keys n_titles n_labels|n_rows hidden_size n_columns|n_heads head_size|max sum larger other
larger max score|correction probability|set at lane|hidden_size stride|logits probabilities
dot logit|mean scale|sum squares|items starts|context qkv|blockIdx threadIdx gridDim|needed resident
DTYPE_F32 DTYPE_F16 DTYPE_BF16|__half __nv_bfloat16|GELU_ERF GELU_TANH|bucket items_cap|true false
LANES KEYS D|GROUP WARP|ROW_WARPS ROW_THREADS|TILE E|quad_max quad_sum|weight word|from to
cudaSuccess cudaErrorInvalidValue|break continue|job first_row column|first_row column|size d q k h
key_value query context|words_a_row n_titles|HIDDEN_MIN HIDDEN_MAX|row start|fmaxf fminf|min max
column key first_key|groups_a_row index|n_strips n_threads n_blocks|left n_keys|n_vectors n"""
# Without those to int, which thread numbers get: they are small and not negative either way.
CASTS = {"size_t", "unsigned", "uint32_t", "int64_t", "double", "float", "uintptr_t"}
NOT_CALLS = {"if", "for", "while", "switch", "return", "sizeof", "min", "max", "fmaxf", "fminf"}
TYPES = {"const", "int", "float", "double", "uint32_t", "int32_t", "int64_t", "unsigned", "size_t",
         "bool", "T", "static", "template", "enum", "struct", "using", "return", "case", "default",
         "else", "for", "if", "switch", "typename", "softmax_rows", "uint4", "launch_shape"}


def code_of(text):
    """`text` with blanks in place of comments, strings and all directives but #define."""
    def blank(match):
        return re.sub(r"\S", " ", match.group())
    text = re.sub(r"//[^\n]*|\"[^\"\n]*\"", blank, text)
    return re.sub(r"^#(?!define)[^\n]*|^#define \w+(\([^)]*\))?", blank, text, flags=re.M)


def closing(tokens, i):
    """Index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(tokens[j].group(), 0)
        if depth == 0:
            return j
    return len(tokens) - 1


def split_at(tokens, i, end, separator):
    """Indices of the separators between i and end that stand in no inner bracket."""
    found = []
    while i < end:
        if tokens[i].group() in "([{":
            i = closing(tokens, i)
        elif tokens[i].group() == separator:
            found.append(i)
        i += 1
    return found


def swapped(text, kind, a_start, a_end, b_start, b_end):
    a, between, b = text[a_start:a_end], text[a_end:b_start], text[b_start:b_end]
    return kind, a_start, b_end, b + between + a


def alike_groups():
    return [set(group.split()) for line in ALIKE.split("\n") for group in line.split("|")]


def token_mutants(text, token, groups):
    """Mutants of one token: (kind, start, end, new)."""
    word, start, end = token.group(), token.start(), token.end()
    if text[start - 1] == " " and text[end] in " \n":
        for kind, table in BINARY.items():
            yield from ((kind, start, end, new) for new in table.get(word, ()))
    if re.fullmatch(r"(0x[0-9a-f]+|\d+)u?", word):
        value = int(word.rstrip("u"), 0)
        suffix = "u" if word.endswith("u") else ""
        yield from (("integer", start, end, f"{max(value + step, 0)}{suffix}")
                    for step in (1, -1) if value + step >= 0 or not suffix)
    elif re.fullmatch(r"\d+\.\d*f?", word):
        suffix = "f" if word.endswith("f") else ""
        value = float(word.rstrip("f"))
        yield from (("real", start, end, f"{new!r}{suffix}") for new in (value * 1.001, -value))
    if word in ("++", "--"):
        yield "assignment", start, end, "--" if word == "++" else "++"
    if word == "!":
        yield "logic", start, end, ""
    if word == "ALL_LANES":
        yield from (("shuffle", start, end, new) for new in ("0x7fffffffu", "0xfffffffeu"))
    if word == "__shfl_xor_sync":
        yield from (("shuffle", start, end, f"__shfl_{new}_sync") for new in ("up", "down"))
    for group in groups:
        if word in group:
            yield from (("name", start, end, other) for other in sorted(group - {word}))


def phrase_mutants(text, tokens, i):
    """Mutants of what begins at token i: a condition, choice, call, cast or statement."""
    word, start = tokens[i].group(), tokens[i].start()
    following = tokens[i + 1].group() if i + 1 < len(tokens) else ""
    if word == "if" and following == "(":
        end = tokens[closing(tokens, i + 1)].start()
        condition = text[tokens[i + 1].end():end]
        for new in (f"!({condition})", "true", "false"):
            yield "condition", tokens[i + 1].end(), end, new
    if word == "?":
        colon = next(j for j in range(i, len(tokens)) if tokens[j].group() == ":")
        last = colon + 1
        while tokens[last].group() not in (";", ",", ")", "}"):
            last = closing(tokens, last) + 1 if tokens[last].group() in "([{" else last + 1
        yield swapped(text, "choice", tokens[i].end() + 1, tokens[colon].start() - 1,
                      tokens[colon].end() + 1, tokens[last].start())
    if re.match(r"\w", word) and following == "(" and word not in NOT_CALLS:
        close = closing(tokens, i + 1)
        commas = split_at(tokens, i + 2, close, ",")
        edges = [i + 1, *commas, close]
        for a, b, c in zip(edges, edges[1:], edges[2:]):
            yield swapped(text, "arguments", tokens[a].end(), tokens[b].start(),
                          tokens[b].end() + 1, tokens[c].start())
    if word == "(" and following in CASTS and tokens[i + 2].group() == ")":
        yield "cast", start, tokens[i + 2].end(), ""
    before = tokens[i - 1].group() if i > 0 else ";"
    is_type = word in TYPES and not (word == "return" and following == ";")
    if before in (";", "{", "}", ")", ":") and re.match(r"[A-Za-z_*]", word) and not is_type:
        ends = split_at(tokens, i, len(tokens), ";")
        if ends and "{" not in text[start:tokens[ends[0]].start()]:
            deleted = re.sub(r"[^\n]", " ", text[start:tokens[ends[0]].start()])
            yield "deletion", start, tokens[ends[0]].start(), deleted
    if word == "if" and following == "(":
        after = closing(tokens, i + 1) + 1
        if tokens[after].group() not in ("{", "if", "for"):
            end = tokens[split_at(tokens, after, len(tokens), ";")[0]].start()
            yield "deletion", start, end, re.sub(r"[^\n]", " ", text[start:end])


def mutants_of(file):
    text = (ROOT / file).read_text()
    tokens = list(TOKEN.finditer(code_of(text)))
    groups = alike_groups()
    found = []
    for i, token in enumerate(tokens):
        found += token_mutants(text, token, groups)
        found += phrase_mutants(text, tokens, i)
    return sorted({Mutant(kind, file, start, end, new) for kind, start, end, new in found})


def kernel_files():
    """The files that are broken. gpu.cuh and ptx.cuh hold nothing that the emulator runs."""
    names = [f"cuda/{kernel}.cu" for kernel in kernels()]
    return names + [f"cuda/{path.name}" for path in sorted((ROOT / "cuda").glob("*.cuh"))
                    if path.name not in ("gpu.cuh", "ptx.cuh")]


def in_turn(mutants, source):
    """Shuffled, one of each kind after the other for as long as there are any."""
    by_kind = collections.defaultdict(list)
    for mutant in source.sample(mutants, len(mutants)):
        by_kind[mutant.kind].append(mutant)
    while any(by_kind.values()):
        for kind in sorted(by_kind):
            if by_kind[kind]:
                yield by_kind[kind].pop()


def applied(mutant):
    text = (ROOT / mutant.file).read_text()
    return text[:mutant.start] + mutant.new + text[mutant.end:]


def difference(old, new):
    """Lines that differ, as one would read them in a patch."""
    a, b = old.split("\n"), new.split("\n")
    first = next(i for i in range(len(a)) if i >= len(b) or a[i] != b[i])
    last = next(i for i in range(1, len(a) + 1) if i > len(b) or a[-i] != b[-i])
    return [f"-{line}" for line in a[first:len(a) - last + 1]] + \
        [f"+{line}" for line in b[first:len(b) - last + 1]]
