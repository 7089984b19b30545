"""Passes over many keys: the loops around the kernel.

Actions: 1 update, 2 read, 3 read then update, 4 take an earlier update of the key back.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.compile import njit
from holdfast.features.engine.kernel import read, reset, update
from holdfast.features.engine.layout import COLUMNS, LONGEST, MISSING
from holdfast.features.engine.packing import is_whole, pack, unpack
from holdfast.features.engine.pointers import pointer

__all__ = ["by_entity", "fold_packed", "replay_keys", "run_one"]


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
    for k in range(size):
        at = ops.order[start + k]
        block.time[k] = ops.time[at]
        block.action[k] = ops.action[at]
        block.value_row[k] = ops.value_row[at]
        block.out_row[k] = ops.out_row[at]
    for k in range(size):
        row = block.value_row[k] if block.action[k] < 4 else -1
        for column in range(columns):
            block.values[k, column] = ops.values[row, column] if row >= 0 else np.nan


@njit
def _gather_plain(ops, block, start, stop):
    """Copy operations that are all of one action, each with the row of its own place."""
    columns, action = ops.values.shape[1], ops.action[0]
    for k in range(stop - start):
        at = ops.order[start + k]
        block.time[k] = ops.time[at]
        block.action[k] = action
        block.out_row[k] = at
    for k in range(stop - start):
        at = block.out_row[k]
        for column in range(columns):
            block.values[k, column] = ops.values[at, column]


@njit
def _scatter(block, size, out):
    """Copy what the reads of a block saw to their rows of the output."""
    for k in range(size):
        if block.action[k] == 2 or block.action[k] == 3:
            row = block.out_row[k]
            for column in range(out.shape[1]):
                out[row, column] = block.out[k, column]


@njit
def _fold_again(a, f, i, ops, dead, start, stop):
    """Make the state what the updates [start, stop) of a key leave that were not taken back."""
    reset(a, f, i)
    for place in range(start, stop):
        at = ops.order[place]
        if (ops.action[at] == 1 or ops.action[at] == 3) and not dead[at]:
            row = ops.value_row[at]
            if row >= 0:
                update(a, f, i, ops.time[at], pointer(ops.values), row * a[COLUMNS])
            else:
                update(a, f, i, ops.time[at], f, a[MISSING])


@njit
def _run_block(a, f, i, ops, block, dead, key, start, stop, cached):
    """Run operations [start, stop); return the key they end in, and how many were late."""
    late, values, out, columns = 0, pointer(block.values), pointer(block.out), a[COLUMNS]
    for k in range(stop - start):
        while start + k >= ops.starts[key + 1]:
            key += 1
            reset(a, f, i)
        action = block.action[k]
        if action == 4:
            dead[block.value_row[k]] = True
            _fold_again(a, f, i, ops, dead, ops.starts[key], start + k)
        else:
            if action >= 2:
                to = k * block.out.shape[1]
                read(a, f, i, block.time[k], values, k * columns, cached, out, to)
            if action != 2:
                late += update(a, f, i, block.time[k], values, k * columns)
    return key, late


@njit
def replay_keys(tables, floats, ints, ops, block, dead, first, last, cached, plain, out):
    """Replay the keys [first, last), each from an empty state; return the late events."""
    a, f, i = pointer(tables), pointer(floats), pointer(ints)
    late, key = 0, first
    start, end = ops.starts[first], ops.starts[last]
    reset(a, f, i)
    while start < end:
        stop = min(start + len(block.time), end)
        if plain:
            _gather_plain(ops, block, start, stop)
        else:
            _gather(ops, block, start, stop)
        key, dropped = _run_block(a, f, i, ops, block, dead, key, start, stop, cached)
        late += dropped
        _scatter(block, stop - start, out)
        start = stop
    return late


@njit
def _run_key(a, f, i, ops, dead, start, stop, cached, out):
    """Run the operations [start, stop) of one key on the state; return the late events."""
    late = 0
    for at in range(start, stop):
        op = ops.order[at]
        action, row = ops.action[op], ops.value_row[op]
        if action == 4:
            dead[row] = True
            _fold_again(a, f, i, ops, dead, start, at)
            continue
        values, at_row = f, a[MISSING]
        if row >= 0:
            values, at_row = pointer(ops.values), row * a[COLUMNS]
        if action >= 2:
            to = ops.out_row[op] * out.shape[1]
            read(a, f, i, ops.time[op], values, at_row, cached, pointer(out), to)
        if action != 2:
            late += update(a, f, i, ops.time[op], values, at_row)
    return late


@njit
def fold_packed(tables, floats, ints, ops, packed, ends, dead, first, cached, out, room, room_ends):
    """Run the operations of keys from `first` on their packed states, which become new ones.

    `ends[key]`: where the packed state of a key ends. A key without operations keeps its state.
    Stops where `room` might not hold the next state; returns the next key, -1 where a state is
    damaged, and the late events.
    """
    a, f, i = pointer(tables), pointer(floats), pointer(ints)
    late, place, keys = 0, 0, len(ops.starts) - 1
    for key in range(first, keys):
        if place + a[LONGEST] > len(room):
            return key, late
        begin, end = ends[key - 1] if key else 0, ends[key]
        start, stop = ops.starts[key], ops.starts[key + 1]
        if not is_whole(a, f, pointer(packed), begin, end):
            return np.int64(-1), late
        if start == stop:
            for at in range(begin, end):
                room[place + at - begin] = packed[at]
            place += end - begin
        else:
            unpack(a, f, i, pointer(packed), begin, end)
            late += _run_key(a, f, i, ops, dead, start, stop, cached, out)
            place = pack(a, f, i, pointer(room), place)
        room_ends[key] = place
    return keys, late


@njit
def run_one(tables, floats, ints, packed, time, values, action, out, room):
    """Run one operation on a packed state: read into `out`, leave the new state in `room`.

    Returns the new state's length, 0 for a read alone, -1 where the state is damaged.
    """
    a, f, i = pointer(tables), pointer(floats), pointer(ints)
    if not is_whole(a, f, pointer(packed), 0, len(packed)):
        return -1
    unpack(a, f, i, pointer(packed), 0, len(packed))
    if action >= 2:
        read(a, f, i, time, pointer(values), 0, False, pointer(out), 0)
    if action == 2:
        return 0
    update(a, f, i, time, pointer(values), 0)
    return pack(a, f, i, pointer(room), 0)
