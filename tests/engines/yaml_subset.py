# SPDX-License-Identifier: Apache-2.0
"""Reads the YAML that our manifests are written in: maps, lists, plain and double-quoted words,
lists in brackets, comments. Whatever else YAML has is refused, so nothing is read in another way
than kubectl would read it."""
import json
import re

_KEY = re.compile(r"([A-Za-z][\w./-]*):(?: +(.*))?$")


class Refused(ValueError):
    pass


def _lines(text):
    """[(indentation, text, line number)], a list's dash as an indentation of its own."""
    out = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if not bare:
            continue
        if "\t" in bare or ("#" in line and '"' in line.partition("#")[2]):
            raise Refused("line %d: a tab, or a quote behind a #" % number)
        indentation = len(bare) - len(bare.lstrip())
        rest = bare.lstrip()
        while rest.startswith("- "):
            out.append((indentation, "-", number))
            indentation += len(rest) - len(rest[2:].lstrip())
            rest = rest[2:].lstrip()
        out.append((indentation, rest, number))
    return out


def _word(text, number):
    if text.startswith("["):
        if not text.endswith("]"):
            raise Refused("line %d: a list that is not closed" % number)
        items = re.findall(r'"(?:[^"\\]|\\.)*"|[^\s,"]+', text[1:-1])
        if re.sub(r"\s", "", ",".join(items)) != re.sub(r"\s", "", text[1:-1]):
            raise Refused("line %d: not a plain list: %s" % (number, text))
        return [_word(item, number) for item in items]
    if text == "{}":
        return {}
    if text.startswith('"'):
        return json.loads(text)
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    if text in ("true", "false"):
        return text == "true"
    if not re.fullmatch(r"[A-Za-z0-9/][\w./:@-]*", text) or \
            text.lower() in ("yes", "no", "on", "off", "null", "y", "n"):
        raise Refused("line %d: quote this: %s" % (number, text))
    return text


def _block(lines, at, indentation):
    """The map, list or word whose lines begin at `at` with this indentation, and where it ends."""
    if lines[at][1] == "-":
        items = []
        while at < len(lines) and lines[at][0] == indentation and lines[at][1] == "-":
            item, at = _block(lines, at + 1, lines[at + 1][0])
            items.append(item)
        return items, at
    if _KEY.match(lines[at][1]) is None:
        return _word(lines[at][1], lines[at][2]), at + 1
    found = {}
    while at < len(lines) and lines[at][0] == indentation and lines[at][1] != "-":
        match = _KEY.match(lines[at][1])
        if match is None or match.group(1) in found:
            raise Refused("line %d: no key, or twice: %s" % (lines[at][2], lines[at][1]))
        key, value = match.groups()
        if value:
            found[key] = _word(value, lines[at][2])
            at += 1
        elif at + 1 < len(lines) and lines[at + 1][0] > indentation:
            found[key], at = _block(lines, at + 1, lines[at + 1][0])
        else:
            raise Refused("line %d: %s has no value" % (lines[at][2], key))
    return found, at


def parse(text):
    lines = _lines(text)
    value, at = _block(lines, 0, 0)
    if at != len(lines):
        raise Refused("line %d: does not belong here: %s" % (lines[at][2], lines[at][1]))
    return value
