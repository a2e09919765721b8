# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a file named .gz, case by case, and what wader makes of each."""
import bz2
import lzma
import zlib


class Case:
    """`wanted`: how many times the packed bytes are to come out; None: refused, with `words`.
    `lenient`: the same with --trailing warn or ignore, where `rest_at` is the first byte left."""

    def __init__(self, what, data, wanted=None, words=(), lenient=False, rest_at=None):
        self.what, self.data, self.wanted, self.words = what, data, wanted, words
        self.lenient = wanted if lenient is False else lenient
        self.rest_at = rest_at
        self.name = "".join(c if c.isalnum() else "-" for c in what)


def member(data):
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def flipped(data, at):
    out = bytearray(data)
    out[at] ^= 1
    return bytes(out)


# An empty frame of zstd with its checksum, and the first bytes of archives: no reader gets further.
ZSTD = bytes.fromhex("28b52ffd240001000099e9d851")
ZIP = b"PK\x03\x04\x14\0\0\0\0\0" + bytes(20)
SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c\0\4" + bytes(24)
LZ4 = bytes.fromhex("04224d186440a70000000005 5d cc02".replace(" ", ""))


def cases(plain):
    gz = member(plain)
    n = len(gz)
    return [
        Case("a good file", gz, 1),
        Case("two members", gz + gz, 2),
        Case("an empty member between two", gz + member(b"") + gz, 2),
        Case("an empty file", b"", words=["empty"]),
        Case("plain text", plain, words=["not gzip"]),
        Case("zstd", ZSTD, words=["zstd -dc"]),
        Case("xz", lzma.compress(plain), words=["xz -dc"]),
        Case("bzip2", bz2.compress(plain), words=["bzip2 -dc"]),
        Case("zip", ZIP, words=["unzip -p"]),
        Case("7z", SEVEN_ZIP, words=["7z x -so"]),
        Case("lz4", LZ4, words=["lz4 -dc"]),
        Case("cut in the header", gz[:5], words=["truncated at compressed byte 5"]),
        Case("cut in the stream", gz[:n // 2], words=["truncated at compressed byte %d" % (n // 2),
                                                      "whole records came before"]),
        Case("without the trailer", gz[:-8], words=["truncated at compressed byte %d" % (n - 8)]),
        Case("without the length", gz[:-4], words=["truncated at compressed byte %d" % (n - 4)]),
        Case("a wrong CRC", flipped(gz, -8), words=["damaged", "data check"]),
        Case("a wrong length", flipped(gz, -4), words=["damaged", "length check"]),
        Case("a flipped bit in the stream", flipped(gz, n // 2), words=["damaged"]),
        Case("the second member cut in its stream", gz + gz[:n // 2],
             words=["truncated at compressed byte %d" % (n + n // 2)]),
        Case("the second member cut in its header", gz + gz[:5],
             words=["truncated at compressed byte %d" % (n + 5)]),
        Case("text behind it", gz + b"garbage", words=["followed by other bytes",
                                                       "byte %d" % n, "--trailing"],
             lenient=1, rest_at=n),
        Case("a single 1f behind it", gz + b"\x1f", words=["truncated at compressed byte"],
             lenient=1, rest_at=n),
        Case("512 zeros behind it", gz + bytes(512), 1),
        Case("zeros and text behind it", gz + bytes(9) + b"x", words=["byte %d" % (n + 9)],
             lenient=1, rest_at=n + 9),
    ]
