"""Passes over many keys, and over one packed state: the loops around the kernel."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.compile import njit
from holdfast.features.kernel import read, reset, update

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
def _replay_key(a, s, key, order, starts, time, action, value_row, values, out_row, cached,
                out):  # fmt: skip
    late = 0
    for position in range(starts[key], starts[key + 1]):
        at = order[position]
        row = value_row[at]
        if action[at] >= 2:
            read(a, s, time[at], values, row, cached, out, out_row[at])
        if action[at] != 2:
            late += update(a, s, time[at], values, row)
    return late


@njit
def replay_keys(a, s, first, last, order, starts, time, action, value_row, values, out_row, cached,
                out):  # fmt: skip
    """Replay the keys [first, last), each from an empty state; return the late events."""
    late = 0
    for key in range(first, last):
        reset(s)
        late += _replay_key(a, s, key, order, starts, time, action, value_row, values, out_row,
                            cached, out)  # fmt: skip
    return late


@njit
def replay_packed(a, s, first, last, order, starts, time, action, value_row, values, out_row,
                  cached, out, room, longest, ends):  # fmt: skip
    """Replay keys and pack each state into `room` until it is full; return the next key."""
    late, place = 0, 0
    for key in range(first, last):
        if place + longest > len(room):
            return key, late
        reset(s)
        late += _replay_key(a, s, key, order, starts, time, action, value_row, values, out_row,
                            cached, out)  # fmt: skip
        if starts[key + 1] > starts[key]:
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
