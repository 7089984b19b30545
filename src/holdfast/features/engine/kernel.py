"""The kernel: folding one event into a key's tiles, and reading windows from them.

Compiled by Numba and called by replay and by serving alike. No function here knows which of the
two is asking. Arguments: `a` points to the tables of the layout, `f` and `i` to the state of one
key; `values[row:]` are the folded columns of the event.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.beside import read_beside, reset_beside, update_beside
from holdfast.features.engine.compile import njit
from holdfast.features.engine.layout import (
    COLUMNS,
    CORE_READ,
    CORES,
    LEVEL,
    LEVELS,
    SESSIONS,
    TILED,
    WINDOW,
    WINDOWS,
)
from holdfast.features.engine.slots import (
    blank,
    blank_cores,
    feed,
    feed_core,
    merge,
    merge_cores,
    x_of,
)
from holdfast.features.engine.times import hop_of

__all__ = ["NEVER", "place_of", "read", "reset", "update"]

NEVER = np.iinfo(np.int64).min


@njit
def reset(a, f, i):
    """Make the scratch an empty state."""
    i[0] = NEVER
    for level in range(a[LEVELS]):
        state = a[a[LEVELS + 1] + LEVEL * level + 7]
        for at in range(4):
            i[state + at] = 0
    for window in range(a[WINDOWS]):
        i[a[a[WINDOWS + 1] + WINDOW * window + 7]] = -1
    reset_beside(a, f, i)


@njit
def place_of(a, i, level, index):
    """Return where a level's tile, oldest 0, stands in the scratch; `level` is its record."""
    ring = i[a[level + 7]] + index
    if ring >= a[level + 3]:
        ring -= a[level + 3]
    return a[level + 4] + ring * a[level + 2]


@njit
def _find(a, f, i, level, hop, low):
    """Return the index, from `low` on, of the first tile at or after a hop."""
    high = i[a[level + 7] + 1]
    if low > 0 and f[place_of(a, i, level, low - 1)] >= hop:
        low = 0  # asked about an earlier moment than last time
    if low < high and f[place_of(a, i, level, low)] >= hop:
        return low
    while low < high:
        middle = (low + high) >> 1
        if f[place_of(a, i, level, middle)] < hop:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def _fresh_tile(a, f, i, level, index, hop):
    place = place_of(a, i, level, index)
    f[place] = hop
    blank_cores(f, place + a[level + 8], a[level + 9])
    for rec in range(a[level + 5], a[level + 6], 4):
        blank(a, rec, f, place)
    return place


@njit
def _evict(a, f, i, level, oldest):
    """Drop the tiles that no window of this level can reach any more."""
    state = a[level + 7]
    while i[state + 1] > 0 and f[a[level + 4] + i[state] * a[level + 2]] < oldest:
        i[state] += 1
        if i[state] == a[level + 3]:
            i[state] = 0
        i[state + 1] -= 1
        i[state + 2] += 1


@njit
def _older_tile(a, f, i, level, hop):
    """A late event: find its tile, or make room for it among the older ones."""
    state, width = a[level + 7], a[level + 2]
    i[state + 3] += 1
    index = _find(a, f, i, level, hop, 0)
    place = place_of(a, i, level, index)
    if f[place] == hop:
        return place
    count = i[state + 1]
    i[state + 1] = count + 1
    for at in range(count, index, -1):
        to, source = place_of(a, i, level, at), place_of(a, i, level, at - 1)
        for cell in range(width):
            f[to + cell] = f[source + cell]
    return _fresh_tile(a, f, i, level, index, hop)


@njit
def _tile_for(a, f, i, level, time):
    """Return the tile that an event belongs to, -1 where it came too late for every window."""
    hop, state = a[level], a[level + 7]
    count = i[state + 1]
    if hop == 0:
        if count == 0:
            i[state + 1] = 1
            return _fresh_tile(a, f, i, level, 0, 0)
        return a[level + 4]
    at, newest = hop_of(time, hop), np.float64(-np.inf)
    if count > 0:
        place = place_of(a, i, level, count - 1)
        newest = f[place]
        if newest == at:
            return place
    oldest = hop_of(i[0] - a[level + 1], hop)
    _evict(a, f, i, level, oldest)
    if at < oldest:
        return np.int64(-1)
    count = i[state + 1]
    if count > 0 and newest > at:
        return _older_tile(a, f, i, level, at)
    i[state + 1] = count + 1
    return _fresh_tile(a, f, i, level, count, at)


@njit
def update(a, f, i, time, values, row):
    """Fold one event; return 1 if it came too late for some window, else 0."""
    late = update_beside(a, f, i, time, values, row)
    i[0] = max(i[0], time)
    sessions = a[a[SESSIONS + 1] + 1] if a[SESSIONS] > 0 else 0
    level = a[LEVELS + 1]
    for _ in range(a[LEVELS]):
        place = _tile_for(a, f, i, level, time)
        if place < 0:
            late = 1
        else:
            cell = place + a[level + 8]
            for column in range(a[level + 10], a[level + 10] + a[level + 9]):
                feed_core(f, cell, x_of(a[COLUMNS], a[column], time, values, row, i, sessions))
                cell += 4
            for rec in range(a[level + 5], a[level + 6], 4):
                x = x_of(a[COLUMNS], a[rec + 1], time, values, row, i, sessions)
                feed(a, rec, f, place, time, x)
        level += LEVEL
    return late


@njit
def _blank_fold(a, f, window, level, base):
    blank_cores(f, base + a[level + 8], a[level + 9])
    for used in range(a[window + 3], a[window + 4]):
        blank(a, a[used], f, base)


@njit
def _merge_tile(a, f, window, level, into, left, place):
    cell = a[level + 8]
    merge_cores(f, into + cell, left + cell, place + cell, a[level + 9])
    for used in range(a[window + 3], a[window + 4]):
        merge(a, a[used], f, into, left, place)


@njit
def _closed(a, f, i, window, level, start, stop):
    """Bring the kept fold of the closed tiles [start, stop) up to date: extend it, or begin again.

    The kept fold is a left fold of the same tiles in the same order, so it has the same bits.
    """
    at, base = a[window + 7], a[window + 6]
    evicted, epoch = i[a[level + 7] + 2], i[a[level + 7] + 3]
    same = i[at] == evicted + start and i[at + 2] == epoch
    if not same or i[at + 1] > evicted + stop:
        _blank_fold(a, f, window, level, base)
        i[at], i[at + 1], i[at + 2] = evicted + start, evicted + start, epoch
    for tile in range(i[at + 1] - evicted, stop):
        place = place_of(a, i, level, tile)
        _merge_tile(a, f, window, level, base, base, place)
    i[at + 1] = evicted + stop


@njit
def _fold_window(a, f, i, window, now, cached):
    """Fold a window's tiles, oldest first, into its accumulator."""
    level = a[LEVELS + 1] + LEVEL * a[window]
    hop, offset, base = a[level], a[window + 2], a[window + 5]
    start, count = np.int64(0), i[a[level + 7] + 1]
    stop = count
    if hop > 0 and count > 0:
        begin = start
        at = a[window + 7]
        if cached and i[at] >= 0 and i[at + 2] == i[a[level + 7] + 3]:
            begin = min(max(i[at] - i[a[level + 7] + 2], start), stop)
        start = _find(a, f, i, level, hop_of(now - offset - a[window + 1], hop), begin)
        if offset > 0:
            stop = _find(a, f, i, level, hop_of(now - offset, hop), start)
    left, closed = base, min(stop, count - 1)
    if cached and closed > start:
        _closed(a, f, i, window, level, start, closed)
        left, start = a[window + 6], closed
        if start == stop:
            for cell in range(1, a[level + 2]):
                f[base + cell] = f[left + cell]
    else:
        _blank_fold(a, f, window, level, base)
    for tile in range(start, stop):
        place = place_of(a, i, level, tile)
        _merge_tile(a, f, window, level, base, left, place)
        left = base


@njit
def read(a, f, i, time, values, row, cached, out, to):
    """Write the view's aggregates at a moment into `out[to:]`; `values[row:]` are for `seen`."""
    now = max(time, i[0])
    window = a[WINDOWS + 1]
    for _ in range(a[WINDOWS]):
        _fold_window(a, f, i, window, now, cached)
        window += WINDOW
    rec = a[CORES + 1]
    for _ in range(a[CORES]):
        _read_core(a, rec, f, out, to)
        rec += CORE_READ
    rec = a[TILED + 1]
    for _ in range(a[TILED]):
        out[to + a[rec + 2]] = _value(a[rec], f, a[rec + 1], time, now, a[rec + 3])
        rec += 4
    read_beside(a, f, i, now, values, row, out, to)


@njit
def _read_core(a, rec, f, out, to):
    """Write what is asked of one column's count, sum, min and max."""
    cell = a[rec]
    count = f[cell]
    if a[rec + 1] >= 0:
        out[to + a[rec + 1]] = count
    if a[rec + 2] >= 0:
        out[to + a[rec + 2]] = f[cell + 1]
    if a[rec + 3] >= 0:
        out[to + a[rec + 3]] = f[cell + 1] / count if count > 0.0 else np.nan
    if a[rec + 4] >= 0:
        out[to + a[rec + 4]] = f[cell + 2] if count > 0.0 else np.nan
    if a[rec + 5] >= 0:
        out[to + a[rec + 5]] = f[cell + 3] if count > 0.0 else np.nan


@njit
def _value(kind, f, cell, time, now, param):
    """Return an aggregate that is read from more than a core's cells."""
    if kind <= 1:
        return f[cell]
    if kind == 2:
        return f[cell + 1] / f[cell] if f[cell] > 0.0 else np.nan
    if kind == 3 or kind == 4:
        return f[cell + kind - 1] if f[cell] > 0.0 else np.nan
    if kind == 5 or kind == 6:
        if not f[cell] > 1.0:
            return np.nan
        variance = f[cell + 2] / (f[cell] - 1.0)
        return np.sqrt(variance) if kind == 5 else variance
    if kind == 7:
        return f[cell + 1]
    if kind == 8:
        return 1.0 if f[cell] > 0.0 else 0.0
    if kind == 9:
        return np.nan if f[cell] != f[cell] else (now - f[cell]) / 3.6e9
    if kind == 10:
        return f[cell + 4] / f[cell + 3] * 8.64e10 if f[cell + 3] > 0.0 else np.nan
    if kind <= 12:
        if f[cell] != f[cell]:
            return 0.0
        return f[cell + 1] * 0.5 ** ((now - f[cell]) / float(param))
    for at in range(cell, cell + 16, 2):
        if f[at] <= time:
            return f[at + 1]
    return np.nan
