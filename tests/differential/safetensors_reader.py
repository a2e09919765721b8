#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares weights/safetensors.c with the safetensors library on random and damaged files.

usage: safetensors_reader.py DRIVER [--rounds N] [--seed N] [--venv DIR]

DRIVER is the program of safetensors_driver.c. Exits with 77 where Python has no safetensors module
and none can be installed.
Both must accept the same files and find the same bytes in them, except where a comment below says
that we differ on purpose.
"""

import argparse
import json
import os
import random
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'support'))
import packages  # noqa: E402

safetensors = None  # the library; main imports it

BITS = {'BOOL': 8, 'U8': 8, 'I8': 8, 'F8_E4M3': 8, 'F8_E5M2': 8, 'F8_E8M0': 8, 'I16': 16, 'U16': 16,
        'F16': 16, 'BF16': 16, 'I32': 32, 'U32': 32, 'F32': 32, 'I64': 64, 'U64': 64, 'F64': 64,
        'C64': 64, 'F4': 4, 'F6_E2M3': 6, 'F6_E3M2': 6}


def random_parts(rng):
    """A header as a list of [name, entry] and the bytes of data that it describes."""
    members, at = [], 0
    if rng.random() < 0.5:
        members.append(['__metadata__', rng.choice([{}, {'format': 'pt'}, None])])
    for i in range(rng.randrange(5)):
        dtype = rng.choice(list(BITS))
        shape = [rng.randrange(4) for _ in range(rng.randrange(4))]
        count = 1
        for dim in shape:
            count *= dim
        size = count * BITS[dtype] // 8
        entry = {'dtype': dtype, 'shape': shape, 'data_offsets': [at, at + size]}
        members.append([rng.choice(['t%d', 'layer.%d.weight', '\u00e9%d', '"%d']) % i, entry])
        at += size
    rng.shuffle(members)
    return members, at


def damage(rng, members, size):
    """Changes figures; most results are refused."""
    entries = [entry for name, entry in members if name != '__metadata__']
    if not entries:
        return size + rng.choice([0, 1])
    entry = rng.choice(entries)
    kind = rng.randrange(8)
    strange = rng.choice([0, 1, 2, 3, 7, 2 ** 31, 2 ** 62, 2 ** 63, 2 ** 64, -1, 1.0, None, '1'])
    if kind == 0:
        entry['data_offsets'][rng.randrange(2)] = strange
    elif kind == 1:
        entry['shape'].append(strange)
    elif kind == 2:
        entry['dtype'] = rng.choice(list(BITS))
    elif kind == 3:
        del entry[rng.choice(list(entry))]
    elif kind == 4:
        entry['extra'] = strange
    elif kind == 5:
        other = rng.choice(entries)
        entry['data_offsets'] = list(other['data_offsets'])
    elif kind == 6:
        shift = rng.choice([-1, 1])
        entry['data_offsets'] = [offset + shift for offset in entry['data_offsets']]
    else:
        return max(0, size + rng.choice([-1, 1, 8]))
    return size


def random_file(rng):
    members, size = random_parts(rng)
    if rng.random() < 0.6:
        size = damage(rng, members, size)
    text = '{' + ','.join(json.dumps(n, ensure_ascii=rng.random() < 0.5) + ':' + json.dumps(e)
                          for n, e in members) + '}'
    header = text.encode('utf-8') + b' ' * rng.randrange(3)
    length = len(header) + (rng.choice([-1, 1, 2 ** 40]) if rng.random() < 0.05 else 0)
    data = bytearray(struct.pack('<Q', length) + header + rng.randbytes(size))
    if rng.random() < 0.15:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.1:
        del data[rng.randrange(len(data)):]
    return bytes(data)


def library_reads(data):
    """The driver's line for `data`, or None where the library refuses it."""
    try:
        tensors = safetensors.deserialize(data)
    except (safetensors.SafetensorError, ValueError):
        return None
    out = []
    for name, info in tensors:
        shape = ','.join(str(dim) for dim in info['shape'][:4])
        out.append((name.encode('utf-8'), '%s:%s:%s:%s' % (
            name.encode('utf-8').hex(), info['dtype'], shape, bytes(info['data']).hex())))
    return 'ok' + ''.join(' ' + line for _, line in sorted(out))


def differs_on_purpose(data, want, answer):
    """Where neither is wrong; everything else that differs is a failure."""
    header = data[8:8 + struct.unpack('<Q', data[:8])[0]].decode('utf-8')
    members = json.loads(header)
    if want is not None:
        # The library keeps the last of two, and takes such a dimension beside one that is 0.
        return 'two tensors are named' in answer or '9223372036854775808' in header
    metadata = members.pop('__metadata__', None)
    if metadata is not None and not (isinstance(metadata, dict) and all(
            isinstance(value, str) for value in metadata.values())):
        return True  # we pass over it whatever it is
    # Formats that we do not know are kept, to be refused where they are needed.
    return any(entry['dtype'] not in BITS for entry in members.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('driver')
    parser.add_argument('--rounds', type=int, default=20000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--venv', help='install safetensors here where it cannot be imported')
    args = parser.parse_args()
    global safetensors
    safetensors = packages.use('safetensors', args.venv)
    rng = random.Random(args.seed)
    files = [random_file(rng) for _ in range(args.rounds)]
    lines = ''.join(data.hex() + '\n' for data in files)
    run = subprocess.run([args.driver], input=lines, capture_output=True, text=True, check=True)
    answers = run.stdout.split('\n')[:-1]
    assert len(answers) == len(files), (len(answers), len(files))
    accepted = failures = on_purpose = 0
    for data, answer in zip(files, answers):
        want = library_reads(data)
        accepted += want is not None
        if answer == want or (want is None and answer.startswith('no ')):
            continue
        if differs_on_purpose(data, want, answer):
            on_purpose += 1
            continue
        failures += 1
        print('file    %r\nlibrary %s\nours    %s' % (data, want, answer), file=sys.stderr)
    print('%d files, %d of them good, %d differences, %d on purpose (safetensors %s, seed %d)'
          % (len(files), accepted, failures, on_purpose, safetensors.__version__, args.seed))
    return 0 if failures == 0 and len(files) / 10 < accepted < len(files) * 9 / 10 else 1


if __name__ == '__main__':
    sys.exit(main())
