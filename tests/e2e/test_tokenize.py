#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`wader tokenize`: a line of ids for each line of input."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import e2e  # noqa: E402


def ids_of(result):
    return [[int(x) for x in line.split(" ")] for line in result.out.decode().splitlines()]


def hexed(titles):
    return "".join(x.encode().hex() + "\n" for x in titles).encode()


def tokenize(t, *args, model=e2e.MODEL, **kwargs):
    return t.run("tokenize", "--model", model, *args, **kwargs)


def test_fixtures(t):
    for fixture in e2e.FIXTURES:
        model, wanted = os.path.join(e2e.GOLDEN, fixture), e2e.expected(fixture)
        cases, most = wanted["cases"], wanted["max_length"]
        ids = [c["ids"] for c in cases]
        data = hexed(c["title"] for c in cases)
        result = tokenize(t, "--hex", "--max-length", str(most), stdin=data, model=model)
        t.equal("%s: ids of %d titles" % (fixture, len(ids)), ids_of(result), ids)
        whole = ids_of(tokenize(t, "--hex", "--max-length", "0", stdin=data, model=model))
        t.check("%s: --max-length 0 cuts nothing" % fixture, len(whole) == len(ids) and all(
            (full[:most - 1] == cut[:-1] and len(full) > most) if case["truncated"]
            else full == cut for full, cut, case in zip(whole, ids, cases)))
        lines = [c for c in cases if not set(c["title"]) & set("\n\r")]
        path = e2e.write(t.directory(), "titles.txt.gz", e2e.gzip_bytes(
            "\n".join(c["title"] for c in lines).encode()))
        result = tokenize(t, "--max-length", str(most), path, model=model)
        t.equal("%s: from lines of gzip text" % fixture, ids_of(result), [c["ids"] for c in lines])


def test_no_weights(t):
    model = e2e.copy_model(t)
    wanted = tokenize(t, stdin=b"Why the price of oil\n").out
    os.remove(model + "/model.safetensors")
    result = tokenize(t, stdin=b"Why the price of oil\n", model=model)
    t.exits("without weights", result, e2e.OK)
    t.equal("the same ids", result.out, wanted)


def test_lengths(t):
    titles = e2e.random_titles(t.seed, 500)
    whole = ids_of(tokenize(t, "--hex", "--max-length", "0", stdin=hexed(titles)))
    t.equal("a line out for a line in", len(whole), len(titles))
    for most in (2, 3, 17, 40, 5000):
        cut = ids_of(tokenize(t, "--hex", "--max-length", str(most), stdin=hexed(titles)))
        t.check("--max-length %d" % most, cut == [
            x if len(x) <= most else x[:most - 1] + x[-1:] for x in whole])
    default = ids_of(tokenize(t, "--hex", stdin=hexed(titles)))
    t.equal("the default is the model's limit", max(len(x) for x in default), 40)
    result = tokenize(t, stdin=b"")
    t.equal("no line, no ids", (result.code, result.out), (0, b""))
    t.equal("an empty line is an empty title", len(ids_of(tokenize(t, stdin=b"\n\n"))), 2)
    t.equal("hex: an empty line too", ids_of(tokenize(t, "--hex", stdin=b"\n")),
            ids_of(tokenize(t, stdin=b"\n")))
    t.equal("hex: either case, CRLF", tokenize(t, "--hex", stdin=b"C3A9\r\nc3a9").out,
            tokenize(t, stdin="é\né\n".encode()).out)


def test_long_lines(t):
    most = 1 << 20
    for what, line, n in (("words", b"the " * (most // 4), most // 4), ("one word", b"x" * most, 1),
                          ("Han", "今".encode() * (most // 3), most // 3),
                          ("marks", b"e" + b"\xcc\x81" * (most // 2 - 1), 1),
                          ("marks to put in order", b"\xe3\x80\xae" * (most // 3), 1),
                          ("deleted characters", b"\xc2\xad" * (most // 2), 0),
                          ("ill-formed bytes", b"\xff" * most, 0),
                          ("halves of characters", b"\xf0\x9f" * (most // 2), 0),
                          ("brackets", b"[" * most, most),
                          ("beginnings of added tokens", b"[SEP" * (most // 4), None)):
        result = tokenize(t, "--max-length", "0", stdin=line + b"\n" + b"gold\n")
        ids = ids_of(result) if result.code == e2e.OK else [[], []]
        t.check("a line of 1 MiB: %s" % what,
                len(ids) == 2 and n in (len(ids[0]) - 2, None), result)
    half = tokenize(t, "--hex", "--max-length", "0", stdin=(b"the " * (most // 8)).hex().encode())
    t.check("hex: a line of 1 MiB", [len(x) for x in ids_of(half)] == [most // 8 + 2], half)
    result = tokenize(t, stdin=b"gold\n" + b"x" * (most + 1) + b"\n")
    t.exits("a longer line", result, e2e.INPUT, "stdin", "record 2 at byte 5", "1048576")


def test_bad_input(t):
    for line in (b"c3a", b"c3 a9", b"0x41", b"zz", b"c3a9\t", "é".encode()):
        result = tokenize(t, "--hex", stdin=b"41\n" + line + b"\n42\n")
        t.exits("hex: %r" % line, result, e2e.INPUT, "stdin", "record 2 at byte 3", "hexadecimal")
    path = e2e.write(t.directory(), "a.txt.gz", e2e.gzip_bytes(b"gold\n" * 99)[:-1])
    t.exits("truncated gzip", tokenize(t, path), e2e.INPUT, path, "truncated")
    t.exits("no such file", tokenize(t, path + "x"), e2e.INPUT, path + "x")
    ill = tokenize(t, "--hex", stdin=b"61ff62\n")
    t.equal("ill-formed UTF-8 is read as U+FFFD", ill.out,
            tokenize(t, stdin="a\ufffdb\n".encode()).out)


def main():
    t = e2e.Suite(__doc__)
    print("titles from seed %d" % t.seed)
    for test in (test_fixtures, test_no_weights, test_lengths, test_long_lines, test_bad_input):
        test(t)
    t.finish()


if __name__ == "__main__":
    main()
