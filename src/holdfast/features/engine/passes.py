"""Passes over many keys, and over one packed state: the loops around the kernel."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.compile import njit
from holdfast.features.engine.kernel import read, reset, update

__all__ = ["by_entity", "read_packed", "replay_keys", "replay_packed", "update_packed"]


@njit
def by_entity(entity, keys):
    """Sort operations by key, keeping the log order within a key (a counting sort)."""
    starts = np.zeros(keys + 1, dtype=np.int64)
    for at in range(len(entity)):
        starts[entity[at] + 1] += 1
    for key in range(keys):
        starts[key + 1] += starts[key]
    place = starts[:-1].copy()
    order = np.empty(len(entity), dtype=np.int64)
    for at in range(len(entity)):
        key = entity[at]
        order[place[key]] = at
        place[key] += 1
    return order, starts


@njit
def _gather(ops, block, start, stop):
    """Copy operations [start, stop) of the order by key into a block, one array at a time.

    Reads from all over the log overlap in these short loops; in the kernel each would be waited
    for.
    """
    size, columns = stop - start, ops.values.shape[1]
    for i in range(size):
        at = ops.order[start + i]
        block.time[i] = ops.time[at]
        block.action[i] = ops.action[at]
        block.value_row[i] = ops.value_row[at]
        block.out_row[i] = ops.out_row[at]
    for i in range(size):
        row = block.value_row[i]
        for column in range(columns):
            block.values[i, column] = ops.values[row, column] if row >= 0 else np.nan


@njit
def _scatter(block, size, out):
    """Copy what the reads of a block saw to their rows of the output."""
    for i in range(size):
        if block.action[i] >= 2:
            row = block.out_row[i]
            for column in range(out.shape[1]):
                out[row, column] = block.out[i, column]


@njit
def _run_block(a, s, ops, block, key, start, stop, cached):
    """Run operations [start, stop); return the key they end in, and how many were late."""
    late = 0
    for i in range(stop - start):
        while start + i >= ops.starts[key + 1]:
            key += 1
            reset(s)
        if block.action[i] >= 2:
            read(a, s, block.time[i], block.values, i, cached, block.out, i)
        if block.action[i] != 2:
            late += update(a, s, block.time[i], block.values, i)
    return key, late


@njit
def replay_keys(a, s, ops, block, first, last, cached, out):
    """Replay the keys [first, last), each from an empty state; return the late events."""
    late, key = 0, first
    start, end = ops.starts[first], ops.starts[last]
    reset(s)
    while start < end:
        stop = min(start + len(block.time), end)
        _gather(ops, block, start, stop)
        key, dropped = _run_block(a, s, ops, block, key, start, stop, cached)
        late += dropped
        _scatter(block, stop - start, out)
        start = stop
    return late


@njit
def replay_packed(a, s, ops, block, first, cached, out, room, longest, ends):
    """Replay keys from `first` and pack each state until `room` is full; return the next key."""
    late, place, last = 0, 0, len(ops.starts) - 1
    for key in range(first, last):
        if place + longest > len(room):
            return key, late
        if ops.starts[key + 1] > ops.starts[key]:
            late += replay_keys(a, s, ops, block, key, key + 1, cached, out)
            place += _pack(a, s, room[place:])
        ends[key] = place
    return last, late


@njit
def _pack(a, s, into):
    """Write a state: header, per level its count and tiles, per map its count and pairs."""
    into[0], into[1] = a.name[0], a.name[1]
    into[2] = s.newest[0]
    at = 3
    for level in range(len(a.levels)):
        width, capacity, first = a.levels[level, 2], a.levels[level, 3], a.levels[level, 4]
        into[at] = s.tile_count[level]
        at += 1
        for index in range(s.tile_count[level]):
            ring = s.head[level] + index
            place = first + (ring - capacity if ring >= capacity else ring) * width
            for cell in range(width):
                into[at + cell] = s.tiles[place + cell]
            at += width
    for index in range(len(a.maps)):
        into[at] = s.map_count[index]
        at += 1
        for pair in range(s.map_count[index]):
            into[at] = s.map_ids[index, pair]
            into[at + 1] = s.map_times[index, pair]
            at += 2
    return at


@njit
def _unpack(a, s, packed):
    reset(s)
    if len(packed) == 0:
        return
    s.newest[0] = np.int64(packed[2])
    at = 3
    for level in range(len(a.levels)):
        width, first = a.levels[level, 2], a.levels[level, 4]
        count = np.int64(packed[at])
        s.tile_count[level] = count
        at += 1
        for cell in range(count * width):
            s.tiles[first + cell] = packed[at + cell]
        at += count * width
    for index in range(len(a.maps)):
        count = np.int64(packed[at])
        s.map_count[index] = count
        at += 1
        for pair in range(count):
            s.map_ids[index, pair] = packed[at]
            s.map_times[index, pair] = np.int64(packed[at + 1])
            at += 2


@njit
def update_packed(a, s, packed, time, values, into):
    """Fold one event into a packed state; return the length of the new one in `into`."""
    _unpack(a, s, packed)
    update(a, s, time, values, 0)
    return _pack(a, s, into)


@njit
def read_packed(a, s, packed, time, values, out):
    """Read the aggregates of a packed state at a moment into `out`."""
    _unpack(a, s, packed)
    read(a, s, time, values, 0, False, out, 0)
