# SPDX-License-Identifier: Apache-2.0
"""How many titles get other ids than Hugging Face gives them: for tests/peers/tokenizers.py.

Peers say how many ids each title has. Where an engine only gives one flat array, as ours does, a
title begins at a [CLS] that stands first or after a [SEP]; because a title may spell such tokens
itself, the comparison follows the reference title by title and, after a title that differs, looks
for the place where one of the next fits.
"""
import hashlib

LOOK_AHEAD = 12  # titles, or beginnings, that a difference may span


def key(*parts):
    """A short name of what is in these files and strings."""
    digest = hashlib.sha256()
    for part in parts:
        if part.startswith("/"):
            with open(part, "rb") as stream:
                part = stream.read()
        else:
            part = part.encode()
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def beginnings(ids, cls, sep):
    """Where titles may begin, and the end."""
    import numpy
    starts = ids == cls
    starts[1:] &= ids[:-1] == sep
    return numpy.append(numpy.flatnonzero(starts), len(ids))


def rows_of(ids, lengths):
    """Titles as byte strings."""
    data, at, rows = ids.tobytes(), 0, []
    for length in lengths.tolist():
        rows.append(data[4 * at:4 * (at + length)])
        at += length
    return rows


def ways_on():
    """How far to go in the reference and in the ids after a title that differs, the likeliest
    first: both one on, or both some on; else titles were lost, or beginnings invented."""
    steps = [(d, d) for d in range(1, LOOK_AHEAD)]
    rest = [(i, j) for i in range(1, LOOK_AHEAD) for j in range(LOOK_AHEAD) if i != j]
    return steps[:3] + sorted(rest, key=sum) + steps[3:]


def differing(reference, lengths, ids, ids_lengths, cls, sep):
    """How many titles of the reference have other ids in `ids`."""
    import numpy
    if numpy.array_equal(reference, ids):
        return 0
    rows = rows_of(reference, lengths)
    if ids_lengths is not None and len(ids_lengths) == len(lengths):
        return sum(a != b for a, b in zip(rows, rows_of(ids, ids_lengths)))
    return followed(rows, ids, cls, sep)


def followed(rows, ids, cls, sep):
    """The same where nobody says where titles end in `ids`."""
    data = ids.tobytes()
    starts = beginnings(ids, cls, sep).tolist()
    which = {start: i for i, start in enumerate(starts)}
    ways = ways_on()

    def fits(number, at):
        return number < len(rows) and data.startswith(rows[number], 4 * at) and \
            at + len(rows[number]) // 4 in which

    wrong = number = i = 0
    while number < len(rows):
        if i >= len(starts) - 1:
            return wrong + len(rows) - number
        if fits(number, starts[i]):
            i = which[starts[i] + len(rows[number]) // 4]
            number += 1
            continue
        ahead = next(((n, j) for n, j in ways if i + j < len(starts) and
                      fits(number + n, starts[i + j])), (1, 1))
        wrong += min(ahead[0], len(rows) - number)
        number, i = number + ahead[0], i + ahead[1]
    return max(wrong, 1)  # they are not equal, if only by what follows the last
