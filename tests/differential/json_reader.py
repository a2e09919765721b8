#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares host/base/json.c with Python's json module on random and mutated documents.

usage: json_reader.py DRIVER [--rounds N] [--seed N]

DRIVER is the program of json_driver.c. Both must accept the same texts and read the same values
from them. Python is made as strict as RFC 8259 (no NaN); the one difference that remains, our
nesting limit of 64, is checked by counting. Escaped lone surrogates are U+FFFD here.
"""

import argparse
import json
import random
import re
import subprocess
import sys

SEEDS = [
    '{"id":"a1","title":"A \\u00e9t\\u00e9 \\ud83d\\ude00","price":12.50,"tags":["x",null,true]}',
    '[1,-0,0.5,1e3,-1.25E-7,123456789012345678901234567890,9223372036854775807]',
    ' { "a" : { "b" : [ [ ] , { } , "" ] } , "a" : false } ',
    '"plain \u00fc \u4f60\u597d \U0001f600 \\\\ \\" \\/ \\b\\f\\n\\r\\t"',
    '["\\ud800","\\udc00\\ud800","\\uD83D\\uDE00\\ude00"]',
    '[' * 63 + '1' + ']' * 63,
    '{"model_type":"bert","id2label":{"0":"news","1":"sport"},"layer_norm_eps":1e-12}',
]
PIECES = list('{}[]:,"\\ \t\n\r0123456789.eE+-') + [
    'true', 'false', 'null', 'NaN', 'Infinity', '-Infinity', '\\u', '\\ud83d', '\\ude00', '\\u0000',
    '""', '[]', '{}', '"a":', '\x00', '\x1f', '\x7f', '\u00a0', '\u2028', '\ufeff', '\u00e9',
    '\U0001f600', '[' * 70, ']' * 70, '1e400', '-0', '//', "'", '1' * 30]
LONE = re.compile('[\ud800-\udfff]')


class Number(str):
    """A number's text."""


class Members(list):
    """An object's members, in order, with duplicates."""


def refuse(text):
    raise ValueError(text)


def random_value(rng, depth):
    kind = rng.randrange(8 if depth > 0 else 6)
    if kind == 0:
        return rng.choice(['null', 'true', 'false'])
    if kind == 1:
        return str(rng.randrange(-10 ** rng.randrange(1, 25), 10 ** rng.randrange(1, 25)))
    if kind == 2:
        return repr(rng.uniform(-1, 1) * 10 ** rng.randrange(-300, 300))
    if kind <= 5:
        return random_string(rng)
    space = rng.choice(['', '', ' ', '\n\t'])
    values = [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return '[' + space + (',' + space).join(values) + ']'
    return '{' + (space + ',').join(random_string(rng) + space + ':' + v for v in values) + '}'


def random_string(rng):
    letters = ['a', 'b', 'xyz' * 5, '\\n', '\\"', '\\\\', '\\u0041', '\\uD83D\\uDE00', '\\udead',
               '\u00fc', '\u4f60', '\U0001f600', ' ', '/', '\\/']
    return '"' + ''.join(rng.choice(letters) for _ in range(rng.randrange(8))) + '"'


def mutate(rng, text):
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(text) + 1)
        span = rng.randrange(1, 4)
        text = rng.choice([
            lambda: text[:at] + text[at + span:],
            lambda: text[:at] + rng.choice(PIECES) + text[at:],
            lambda: text[:at] + rng.choice(PIECES) + text[at + span:],
            lambda: text[:at],
            lambda: text[:at] + text[rng.randrange(len(text) + 1):],
        ])()
    return text


def notation(value, out):
    if value is None or value is True or value is False:
        out.append({None: 'n', True: 't', False: 'f'}[value])
    elif isinstance(value, Number):
        real = float(value)
        parts = [str(value), 'inf' if abs(real) == float('inf') else '%.17g' % real]
        if re.fullmatch('-?[0-9]+', value) and -2 ** 63 <= int(value) < 2 ** 63:
            parts.append(str(int(value)))
        out.append('#' + '='.join(parts))
    elif isinstance(value, str):
        out.append('"' + LONE.sub('\ufffd', value).encode('utf-8').hex())
    elif isinstance(value, Members):
        out.append('{')
        for key, member in value:
            notation(key, out)
            notation(member, out)
        out.append('}')
    else:
        out.append('[')
        for element in value:
            notation(element, out)
        out.append(']')


def python_reads(text):
    """The notation of the value, or None where Python refuses the text."""
    try:
        value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse,
                           object_pairs_hook=Members)
    except ValueError:
        return None
    out = []
    notation(value, out)
    return 'ok ' + ' '.join(out)


def depth_of(text):
    depth = deepest = 0
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|[][{}]', text):
        depth += {'[': 1, '{': 1, ']': -1, '}': -1}.get(token, 0)
        deepest = max(deepest, depth)
    return deepest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('driver')
    parser.add_argument('--rounds', type=int, default=40000)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    texts = list(SEEDS)
    while len(texts) < args.rounds:
        base = rng.choice(SEEDS) if rng.random() < 0.3 else random_value(rng, 4)
        texts.append(mutate(rng, base) if rng.random() < 0.8 else base)
    lines = ''.join(text.encode('utf-8').hex() + '\n' for text in texts)
    run = subprocess.run([args.driver], input=lines, capture_output=True, text=True, check=True)
    answers = run.stdout.split('\n')[:-1]
    assert len(answers) == len(texts), (len(answers), len(texts))
    accepted = failures = 0
    for text, answer in zip(texts, answers):
        want = python_reads(text)
        accepted += want is not None
        if want is None:
            same = answer.startswith('no ')
        elif 'nested deeper' in answer:
            same = depth_of(text) > 64
        else:
            same = answer == want
        if not same:
            failures += 1
            print('text   %r\npython %s\nours   %s' % (text, want, answer), file=sys.stderr)
    print('%d texts, %d of them JSON, %d differences (seed %d)'
          % (len(texts), accepted, failures, args.seed))
    # Both kinds must be there in numbers, or nothing was compared.
    return 0 if failures == 0 and len(texts) / 10 < accepted < len(texts) * 9 / 10 else 1


if __name__ == '__main__':
    sys.exit(main())
