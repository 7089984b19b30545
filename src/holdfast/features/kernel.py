"""The kernel: folding one event into a key's tiles, and reading windows from them.

Compiled by Numba and called by replay and by serving alike. No function here knows which of the
two is asking. Arguments: `a` is a `Layout`, `s` a `Scratch`.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.compile import njit

__all__ = ["advance_past", "read", "reset", "update"]

_NEVER = np.iinfo(np.int64).min


@njit
def reset(s):
    """Make the scratch an empty state."""
    s.head[:] = 0
    s.tile_count[:] = 0
    s.evicted[:] = 0
    s.epoch[:] = 0
    s.newest[0] = _NEVER
    s.map_count[:] = 0
    s.closed_at[:] = -1


@njit
def _tile(a, s, level, index):
    """Return the place of a level's tile, oldest 0, in the scratch."""
    capacity = a.levels[level, 3]
    ring = (s.head[level] + index) % capacity
    return a.levels[level, 4] + ring * a.levels[level, 2]


@njit
def _find(a, s, level, hop):
    """Return the index of the first tile at or after a hop."""
    low, high = 0, s.tile_count[level]
    while low < high:
        middle = (low + high) // 2
        if s.tiles[_tile(a, s, level, middle)] < hop:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def _clear(a, into, start, first, last, slots):
    """Make the cells of some slots those of no rows."""
    for index in range(first, last):
        slot = slots[index]
        what, cell = a.slots[slot, 0], start + a.slots[slot, 2]
        if what <= 2:
            into[cell] = 0.0
        elif what == 3:
            into[cell] = np.inf
        elif what == 4:
            into[cell] = -np.inf
        else:
            into[cell] = np.nan
            into[cell + 1] = np.nan


@njit
def _open_tile(a, s, level, hop):
    """Return the place of the tile of a hop, making it where there is none."""
    count = s.tile_count[level]
    if count > 0:
        last = _tile(a, s, level, count - 1)
        if s.tiles[last] == hop:
            return last
        if s.tiles[last] > hop:
            return _older_tile(a, s, level, hop)
    s.tile_count[level] = count + 1
    return _fresh_tile(a, s, level, count, hop)


@njit
def _fresh_tile(a, s, level, index, hop):
    place = _tile(a, s, level, index)
    s.tiles[place] = hop
    for slot in range(a.level_slots[level], a.level_slots[level + 1]):
        what, cell = a.slots[slot, 0], place + a.slots[slot, 2]
        if what <= 2:
            s.tiles[cell] = 0.0
        elif what == 3:
            s.tiles[cell] = np.inf
        elif what == 4:
            s.tiles[cell] = -np.inf
        else:
            s.tiles[cell] = np.nan
            s.tiles[cell + 1] = np.nan
    return place


@njit
def _older_tile(a, s, level, hop):
    """A late event: find its tile, or make room for it among the older ones."""
    s.epoch[level] += 1
    index = _find(a, s, level, hop)
    place = _tile(a, s, level, index)
    if s.tiles[place] == hop:
        return place
    width, count = a.levels[level, 2], s.tile_count[level]
    s.tile_count[level] = count + 1
    for at in range(count, index, -1):
        to, source = _tile(a, s, level, at), _tile(a, s, level, at - 1)
        for cell in range(width):
            s.tiles[to + cell] = s.tiles[source + cell]
    return _fresh_tile(a, s, level, index, hop)


@njit
def _evict(a, s, level, oldest):
    """Drop the tiles that no window of this level can reach any more."""
    while s.tile_count[level] > 0 and s.tiles[_tile(a, s, level, 0)] < oldest:
        s.head[level] = (s.head[level] + 1) % a.levels[level, 3]
        s.tile_count[level] -= 1
        s.evicted[level] += 1


@njit
def update(a, s, time, values):
    """Fold one event; return 1 if it came too late for some window, else 0."""
    late = 0
    s.newest[0] = max(s.newest[0], time)
    for level in range(len(a.levels)):
        hop, span = a.levels[level, 0], a.levels[level, 1]
        at = 0
        if hop > 0:
            at = time // hop
            oldest = (s.newest[0] - span) // hop
            _evict(a, s, level, oldest)
            if at < oldest:
                late = 1
                continue
        place = _open_tile(a, s, level, at)
        for slot in range(a.level_slots[level], a.level_slots[level + 1]):
            column = a.slots[slot, 1]
            x = float(time) if column < 0 else values[column]
            if x == x:
                _add(a, s, place, slot, time, x)
    for index in range(len(a.maps)):
        x = values[a.maps[index, 0]]
        if x == x:
            _see(a, s, index, time, x)
    return late


@njit
def _add(a, s, place, slot, time, x):
    what, cell = a.slots[slot, 0], place + a.slots[slot, 2]
    if what == 1:
        s.tiles[cell] += 1.0
    elif what == 2:
        s.tiles[cell] += x
    elif what == 0:  # Welford's step; the next two slots of the column are its count and sum
        count, total = s.tiles[cell + 1], s.tiles[cell + 2]
        before = total / count if count > 0.0 else x
        s.tiles[cell] += (x - before) * (x - (total + x) / (count + 1.0))
    elif what == 3:
        s.tiles[cell] = min(s.tiles[cell], x)
    elif what == 4:
        s.tiles[cell] = max(s.tiles[cell], x)
    elif what == 5:
        if not time >= s.tiles[cell]:
            s.tiles[cell] = time
            s.tiles[cell + 1] = x
    elif not time < s.tiles[cell]:
        s.tiles[cell] = time
        s.tiles[cell + 1] = x


@njit
def _merge(a, into, start, source, place, slot):
    """Fold a later tile's cells into an accumulator."""
    what = a.slots[slot, 0]
    to, cell = start + a.slots[slot, 2], place + a.slots[slot, 2]
    if what == 1 or what == 2:
        into[to] += source[cell]
    elif what == 0:  # Chan, Golub and LeVeque (1983)
        n, m = into[to + 1], source[cell + 1]
        if m > 0.0:
            if n > 0.0:
                delta = source[cell + 2] / m - into[to + 2] / n
                into[to] += source[cell] + delta * delta * (n * m / (n + m))
            else:
                into[to] = source[cell]
    elif what == 3:
        into[to] = min(into[to], source[cell])
    elif what == 4:
        into[to] = max(into[to], source[cell])
    elif what == 5:
        if into[to] != into[to]:
            into[to] = source[cell]
            into[to + 1] = source[cell + 1]
    elif source[cell] == source[cell]:
        into[to] = source[cell]
        into[to + 1] = source[cell + 1]


@njit
def advance_past(s, index, time, span):
    """Forget values of a map that no window reaches any more."""
    if span == 0:
        return
    kept = 0
    for at in range(s.map_count[index]):
        if s.map_times[index, at] >= time - span:
            s.map_ids[index, kept] = s.map_ids[index, at]
            s.map_times[index, kept] = s.map_times[index, at]
            kept += 1
    s.map_count[index] = kept


@njit
def _see(a, s, index, time, x):
    span, count = a.maps[index, 1], s.map_count[index]
    if span > 0 and time < s.newest[0] - span:
        return
    for at in range(count):
        if s.map_ids[index, at] == x:
            s.map_times[index, at] = max(s.map_times[index, at], time)
            return
    if count > 0 and count % 32 == 0:
        advance_past(s, index, s.newest[0], span)
        count = s.map_count[index]
    if count == s.map_ids.shape[1]:
        oldest = 0
        for at in range(count):
            if s.map_times[index, at] < s.map_times[index, oldest]:
                oldest = at
        if s.map_times[index, oldest] > time:
            return
        for at in range(oldest, count - 1):
            s.map_ids[index, at] = s.map_ids[index, at + 1]
            s.map_times[index, at] = s.map_times[index, at + 1]
        count -= 1
    s.map_ids[index, count] = x
    s.map_times[index, count] = time
    s.map_count[index] = count + 1


@njit
def _fold_window(a, s, window, now, cached):
    """Fold a window's tiles, oldest first, into its accumulator."""
    level = a.windows[window, 0]
    hop, acc = a.levels[level, 0], s.acc[window]
    first, last = a.window_slots[window], a.window_slots[window + 1]
    start, stop = 0, s.tile_count[level]
    if hop > 0:
        offset = a.windows[window, 2]
        start = _find(a, s, level, (now - offset - a.windows[window, 1]) // hop)
        if offset > 0:
            stop = _find(a, s, level, (now - offset) // hop)
    if cached and a.windows[window, 3] == 1 and stop - start > 1:
        _fold_closed(a, s, window, start, stop - 1)
        for index in range(first, last):
            cell = a.slots[a.used[index], 2]
            acc[cell] = s.closed[window, cell]
            if a.slots[a.used[index], 0] >= 5:
                acc[cell + 1] = s.closed[window, cell + 1]
        start = stop - 1
    else:
        _clear(a, acc, 0, first, last, a.used)
    for tile in range(start, stop):
        place = _tile(a, s, level, tile)
        for index in range(first, last):
            _merge(a, acc, 0, s.tiles, place, a.used[index])


@njit
def _fold_closed(a, s, window, start, stop):
    """Bring the cached fold of tiles [start, stop) up to date: extend it, or fold again.

    The cache is a left fold of the same tiles in the same order, so it has the same bits.
    """
    level = a.windows[window, 0]
    first, last = a.window_slots[window], a.window_slots[window + 1]
    begin, end = s.evicted[level] + start, s.evicted[level] + stop
    at, acc = s.closed_at[window], s.closed[window]
    if at[0] != begin or at[2] != s.epoch[level] or at[1] > end:
        _clear(a, acc, 0, first, last, a.used)
        at[0], at[1], at[2] = begin, begin, s.epoch[level]
    for tile in range(at[1] - s.evicted[level], stop):
        place = _tile(a, s, level, tile)
        for index in range(first, last):
            _merge(a, acc, 0, s.tiles, place, a.used[index])
    at[1] = end


@njit
def read(a, s, time, values, cached, out):
    """Write the view's aggregates at a moment into `out`; `values` are the row's, for `seen`."""
    now = max(time, s.newest[0])
    for window in range(len(a.windows)):
        _fold_window(a, s, window, now, cached)
    for index in range(len(a.aggregates)):
        kind, window = a.aggregates[index, 0], a.aggregates[index, 1]
        if kind == 11:
            out[index] = _seen(a, s, window, now, values, a.aggregates[index, 5])
            continue
        acc = s.acc[window]
        out[index] = _value(kind, acc, a.aggregates[index, 2], a.aggregates[index, 3], now)


@njit
def _value(kind, acc, cell, other, now):
    x = acc[cell]
    if kind <= 1:
        return x
    if kind == 2:
        return x / acc[other] if acc[other] > 0.0 else np.nan
    if kind == 3 or kind == 4:
        return np.nan if np.isinf(x) else x
    if kind == 5:
        count = acc[other]
        return np.sqrt(max(x, 0.0) / (count - 1.0)) if count > 1.0 else np.nan
    if kind == 6 or kind == 7:
        return acc[cell + 1]
    if kind == 8:
        return 1.0 if x > 0.0 else 0.0
    return np.nan if x != x else (now - x) / 3.6e9


@njit
def _seen(a, s, index, now, values, span):
    x = values[a.maps[index, 0]]
    if x != x:
        return np.nan
    for at in range(s.map_count[index]):
        if s.map_ids[index, at] == x:
            recent = span == 0 or s.map_times[index, at] >= now - span
            return 1.0 if recent else 0.0
    return 0.0
