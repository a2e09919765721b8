# SPDX-License-Identifier: Apache-2.0
"""The characters that tokenizers get wrong, by kind; tokenizer_strings.py makes strings of them."""
import pathlib
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parents[2]


def is_scalar(code):
    return 0 <= code < 0x110000 and not 0xD800 <= code < 0xE000


def spans(text):
    """The characters of "0041-0043 0061": ABCa."""
    chars = []
    for span in text.split():
        first, _, last = span.partition("-")
        chars += map(chr, range(int(first, 16), int(last or first, 16) + 1))
    return chars


# Where Hugging Face's frozen tables part from newer Unicode, and other old acquaintances.
ODD = spans("""0 B C 1C 1F 7F 85 A0 AD 130 131 34F 61C 61D 890 8E2 110CD 13430 166D 111C9 1734 180E
200B-200E 2028 2029 202E 2060 2065 20E3 2E43 2E5D 3000 3007 D7FF E000 F8FF FDD0 FE0E FE0F FEFF FFF9
FFFC-FFFF 1F1E6 1F3FB 1F468 1F600 2B81F 2B820 2B91F 2B920 2CEB0 E0001 E0061 E007F E0100 F0000 FFFFD
FFFFE 10FFFD 10FFFF""")

# Marks that are not category Mn of Unicode 8 but have a combining class in Unicode 9: they survive
# the stripping of accents, and canonical order moves them. The musical symbols become such marks.
SURVIVORS = spans("""8D4-8E1 1B44 1BAA 1BF2-1BF3 1DFB 302E-302F A953 A9C0 111C0 11235 1134D 11442
11446 116B6 11C3F 1D165-1D166 1D16D-1D172 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024
1E026-1E02A 1E944-1E94A""")
MUSICAL = spans("1D15E-1D164 1D1BB-1D1C0")

# Marks that are stripped: with many combining classes, with class 0, and decomposing ones.
STRIPPED = spans("""300 301 302 308 30C 315 316 31B 323 327 328 334 338 345 350 35C 360 483 591 5B0
5C1 610 64B 651 670 711 93C 94D 9BC E38 E48 EB8 EC8 F18 F39 F71 F72 F74 1037 135D 1714 1734 17D2
18A9 1939 1A17 1A60 1AB0 1B34 1BAB 1CD0 1DC0 1DF5 1DFC 20D0 20E1 2CEF 302A 302D 3099 309A A66F A806
A8C4 A92B A9B3 ABED FB1E FE20 101FD 10A0D 1107F 11133 1D167 1D17B 1D242 1E8D0""")
STRIPPED_STARTERS = spans("34F 900 941 962 BC0 E31 E34 E47 180B FE00 FE0F 1D173 E0100 E01EF")
DECOMPOSING_MARKS = spans("340 341 343 344 F73 F75 F81 958 9DC A59 FB2C 1134B 110AB 114BC 1D15F")

# Marks newer than Unicode 8: not stripped. Those of 10 and later have no combining class either.
NEW_MARKS = spans("""7FD 898-89F 8CA-8E1 9FE AFA-AFF B55 C04 C3C D00 D3B-D3C D81 EBA ECE 180F 1885
1886 1ABF-1ACE 1DF6-1DFB A82C A8C5 A8FF A9BD 10A34 10D24-10D27 10D69-10D6D 10EAB-10EAC 10EFA-10EFF
10F46-10F50 10F82-10F85 11070 1123E 11241 1133B 11435-1143F 11440 11442-11444 1145E 1182F-11837
1183A 1193B-1193E 11943 119D4-119D7 119E0 11A01-11A06 11A33-11A38 11A98-11A99 11C30-11C36 11C3F
11D3A 11D44 11D97 11F00-11F01 11F36 11F42 16FE4 1CF00-1CF2D 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF
1E4EC-1E4EF 1E5EE-1E5EF""")
MARKS_OF_CLASS_0 = spans("903 93E 982 9BE B83 E33 1B35 20DD 20E3 A823 1D16F 16F51")

# Lower case: to two letters, to letters elsewhere, title case, recent pairs, no pairs at all.
CASES = spans("""41 49 5A 61 69 C0 C5 DF 130 131 149 178 17F 1C4-1CC 1F0-1F3 23A 23E 243 2BC 345 370
37F 386 390 391 39F 3A3 3AA 3B0 3C2 3C3 3CF 3D0-3D2 3F4 3F7 3F9 3FD 400 410 42F 460 4C0 4C1 52E 531
556 587 10A0 10C5 10C7 10CD 10D0 10FA 10FD 13A0 13EF 13F0 13F5 13F8 13FD 1C80 1C88 1C89 1C8A 1C90
1CBA 1CBD 1CBF 1E00 1E96 1E9E 1E9F 1EA0 1F08 1F50 1F52 1F59 1F80 1F88 1FB3 1FBC 1FBE 1FC3 1FCC 1FD3
1FFA 2126 212A 212B 2132 214E 2160 216F 2183 24B6 24CF 2C00 2C2F 2C5F 2C62 2C63 2C64 2C6D 2C7E 2CF2
A640 A64A A77D A78D A7AA-A7AE A7B0-A7B4 A7C4-A7C7 A7C9 A7CB-A7CC A7CE A7D0 A7D2 A7D4 A7D6 A7DA A7DC
A7F5 AB53 AB70 ABBF FB00 FB13 FF21 FF3A 10400 10427 104B0 104D3 10570 10595 10C80 10CB2 10D50 10D65
118A0 118BF 16E40 16E5F 16EA0 16EB8 1D400 1E900 1E921""")

# What NFD turns into punctuation, spaces, or other ideographs.
MADE_PUNCTUATION = spans("""2260 226E 226F 1FEF 37E 387 2000 2001 2329 232A 340 374 2280 219A 21CD
2204 2209 2224 226D 2ADC""") + ["=\u0338", "<\u0338", ">\u0338", "\u0338=", "`\u0300", ";\u0301",
                               "-\u0338", " \u0301", "\u3000\u0301", "#\u20e3"]
COMPATIBLE = spans("F900 F951 F9D0 FA0E FA11 FA30 FAD9 FB1D FB1F FB2A FB4E 2F800 2F94E 2FA1D 2FA1E")

HANGUL = spans("""1100 1112 113C 115F 1160 1161 1175 11A7 11A8 11C2 11D9 11FF 3131 3164 A960 AC00
AC01 AC1B AC1C B098 D55C D788 D7A3 D7A4 D7B0 D7CB FFA1 FFC2 302E 302F""")
DELETED = spans("AD 200B 200C 200D FEFF 0 7F B 85 61C 180E E001 FFFD E0061 F0001")


def kinds_of_raw_characters():
    """First and last of each range of tokenizer/unicode_ranges.tsv, by its class."""
    classes = {}
    for line in (ROOT / "tokenizer/unicode_ranges.tsv").read_text("ascii").splitlines():
        if not line.startswith("#"):
            first, last, name = line.split("\t")[:3]
            classes.setdefault(name, []).append((int(first, 16), int(last, 16)))
    return classes


def decomposing():
    """Every character that NFD takes apart, as far as Python knows; no Hangul, no ideographs."""
    return [chr(code) for code in range(0x80, 0x20000)
            if is_scalar(code) and not 0xAC00 <= code < 0xD7A4 and not 0xF900 <= code < 0xFB00
            and unicodedata.normalize("NFD", chr(code)) != chr(code)]
