"""Packed states: one key's state as one run of numbers, and back.

Header (name, newest moment), per level the number of tiles and the tiles, per map and sketch the
number of values and pairs of value and moment, per bag the number of pairs and triples of value,
count and hop, per session one pair of its start and its rows.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.compile import njit
from holdfast.features.engine.kernel import NEVER, place_of, reset
from holdfast.features.engine.layout import BAGS, LEVEL, LEVELS, MAPS, PACKED, SESSIONS, SKETCHES
from holdfast.features.engine.operators import BAG_ENTRIES_MAX, DISTINCT_VALUES_MAX

__all__ = ["is_whole", "pack", "unpack"]


@njit
def pack(a, f, i, into, at):
    """Write a state at a place; return the place behind it. The empty state is nothing."""
    if i[0] == NEVER:
        return at
    into[at], into[at + 1], into[at + 2] = f[0], f[1], i[0]
    at += 3
    for index in range(a[LEVELS]):
        level = a[LEVELS + 1] + LEVEL * index
        count, width = i[a[level + 7] + 1], a[level + 2]
        into[at] = count
        at += 1
        for tile in range(count):
            place = place_of(a, i, level, tile)
            for cell in range(width):
                into[at + cell] = f[place + cell]
            at += width
    for index in range(a[MAPS]):
        rec = a[MAPS + 1] + 4 * index
        at = _pack_pairs(f, i, a[rec + 2], i[a[rec + 3]], a[rec + 3] + 1, into, at)
    for index in range(a[SKETCHES]):
        rec = a[SKETCHES + 1] + 4 * index
        at = _pack_pairs(f, i, a[rec + 2], i[a[rec + 3]], a[rec + 3] + 2, into, at)
        into[at], into[at + 1] = 1.0, f[a[rec + 2] + DISTINCT_VALUES_MAX]
        into[at + 2] = i[a[rec + 3] + 1]
        at += 3
    for index in range(a[BAGS]):
        rec = a[BAGS + 1] + 6 * index
        values, state = a[rec + 4], a[rec + 5]
        into[at] = i[state]
        at += 1
        for entry in range(i[state]):
            into[at] = f[values + entry]
            into[at + 1] = f[values + BAG_ENTRIES_MAX + entry]
            into[at + 2] = i[state + 1 + entry]
            at += 3
    for index in range(a[SESSIONS]):
        place = a[a[SESSIONS + 1] + 2 * index + 1]
        into[at], into[at + 1], into[at + 2] = 1.0, i[place], i[place + 1]
        at += 3
    return at


@njit
def _pack_pairs(f, i, values, count, times, into, at):
    into[at] = count
    at += 1
    for entry in range(count):
        into[at], into[at + 1] = f[values + entry], i[times + entry]
        at += 2
    return at


@njit
def is_whole(a, f, packed, at, stop):
    """Return whether a packed state is of this view and as long as it says: nothing else checks."""
    if at == stop:
        return True
    if stop - at < 3 or packed[at] != f[0] or packed[at + 1] != f[1]:
        return False
    at += 3
    for index in range(a[PACKED]):
        run = a[PACKED + 1] + 2 * index
        if at >= stop or not (0.0 <= packed[at] <= a[run]):
            return False
        at += 1 + np.int64(packed[at]) * a[run + 1]
    return at == stop


@njit
def unpack(a, f, i, packed, at, stop):
    """Read the state that stands at [at, stop); an empty place is the empty state."""
    reset(a, f, i)
    if at == stop:
        return
    i[0] = np.int64(packed[at + 2])
    at += 3
    for index in range(a[LEVELS]):
        level = a[LEVELS + 1] + LEVEL * index
        count, width, first = np.int64(packed[at]), a[level + 2], a[level + 4]
        i[a[level + 7] + 1] = count
        at += 1
        for cell in range(count * width):
            f[first + cell] = packed[at + cell]
        at += count * width
    for index in range(a[MAPS]):
        rec = a[MAPS + 1] + 4 * index
        at = _unpack_pairs(f, i, a[rec + 2], a[rec + 3], a[rec + 3] + 1, packed, at)
    for index in range(a[SKETCHES]):
        rec = a[SKETCHES + 1] + 4 * index
        at = _unpack_pairs(f, i, a[rec + 2], a[rec + 3], a[rec + 3] + 2, packed, at)
        f[a[rec + 2] + DISTINCT_VALUES_MAX] = packed[at + 1]
        i[a[rec + 3] + 1] = np.int64(packed[at + 2])
        at += 3
    for index in range(a[BAGS]):
        rec = a[BAGS + 1] + 6 * index
        values, state = a[rec + 4], a[rec + 5]
        count = np.int64(packed[at])
        i[state] = count
        at += 1
        for entry in range(count):
            f[values + entry] = packed[at]
            f[values + BAG_ENTRIES_MAX + entry] = packed[at + 1]
            i[state + 1 + entry] = np.int64(packed[at + 2])
            at += 3
    for index in range(a[SESSIONS]):
        place = a[a[SESSIONS + 1] + 2 * index + 1]
        i[place], i[place + 1] = np.int64(packed[at + 1]), np.int64(packed[at + 2])
        at += 3


@njit
def _unpack_pairs(f, i, values, state, times, packed, at):
    count = np.int64(packed[at])
    i[state] = count
    at += 1
    for entry in range(count):
        f[values + entry] = packed[at]
        i[times + entry] = np.int64(packed[at + 1])
        at += 2
    return at
