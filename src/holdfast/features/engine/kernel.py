"""The kernel: folding one event into a key's tiles, and reading windows from them.

Compiled by Numba and called by replay and by serving alike. No function here knows which of the
two is asking. Arguments: `a` is a `Layout`, `s` a `Scratch`; `values[row]` are the folded columns
of the event, all missing where `row` is negative.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.compile import njit

__all__ = ["read", "reset", "update"]

_NEVER = np.iinfo(np.int64).min
_EXPIRE_EVERY = 32


@njit
def reset(s):
    """Make the scratch an empty state."""
    for level in range(len(s.head)):
        s.head[level] = 0
        s.tile_count[level] = 0
        s.evicted[level] = 0
        s.epoch[level] = 0
    s.newest[0] = _NEVER
    for index in range(len(s.map_count)):
        s.map_count[index] = 0
    for window in range(len(s.closed_at)):
        s.closed_at[window, 0] = -1


@njit
def _hop(time, hop):
    """Return floor(time / hop), exactly, without the cost of a 64-bit division."""
    at = np.int64(np.floor(np.float64(time) / np.float64(hop)))
    rest = time - at * hop
    if rest < 0:
        return at - 1
    return at + 1 if rest >= hop else at


@njit
def _place(head, index, capacity, width, first):
    """Return where a level's tile, oldest 0, stands in the scratch."""
    ring = head + index
    if ring >= capacity:
        ring -= capacity
    return first + ring * width


@njit
def _find(a, s, level, hop, low):
    """Return the index, from `low` on, of the first tile at or after a hop."""
    high, head = s.tile_count[level], s.head[level]
    width, capacity, first = a.levels[level, 2], a.levels[level, 3], a.levels[level, 4]
    if low > 0 and s.tiles[_place(head, low - 1, capacity, width, first)] >= hop:
        low = 0  # asked about an earlier moment than last time
    if low < high and s.tiles[_place(head, low, capacity, width, first)] >= hop:
        return low
    while low < high:
        middle = (low + high) >> 1
        if s.tiles[_place(head, middle, capacity, width, first)] < hop:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def _blank(what, cells, used, low, high, into, start):
    """Make some slots' cells those of no rows."""
    for index in range(low, high):
        slot = used[index]
        cell = start + cells[slot]
        kind = what[slot]
        if kind <= 2:
            into[cell] = 0.0
        elif kind == 3:
            into[cell] = np.inf
        elif kind == 4:
            into[cell] = -np.inf
        else:
            into[cell] = np.nan
            into[cell + 1] = np.nan


@njit
def _fold_tile(what, cells, used, low, high, into, start, tiles, place):
    """Fold a later tile's cells into an accumulator."""
    for index in range(low, high):
        slot = used[index]
        kind, to, cell = what[slot], start + cells[slot], place + cells[slot]
        if kind == 1 or kind == 2:
            into[to] += tiles[cell]
        elif kind == 3:
            into[to] = min(into[to], tiles[cell])
        elif kind == 4:
            into[to] = max(into[to], tiles[cell])
        elif kind == 0:  # Chan, Golub and LeVeque (1983); the count and the sum stand beside
            n, m = into[to + 1], tiles[cell + 1]
            if m > 0.0:
                if n > 0.0:
                    delta = tiles[cell + 2] / m - into[to + 2] / n
                    into[to] += tiles[cell] + delta * delta * (n * m / (n + m))
                else:
                    into[to] = tiles[cell]
        elif kind == 5:
            if into[to] != into[to]:
                into[to] = tiles[cell]
                into[to + 1] = tiles[cell + 1]
        elif tiles[cell] == tiles[cell]:
            into[to] = tiles[cell]
            into[to + 1] = tiles[cell + 1]


@njit
def _fold_event(what, columns, cells, low, high, tiles, place, time, values, row):
    """Fold one event's values into an open tile; missing values are left out."""
    for slot in range(low, high):
        column, kind, cell = columns[slot], what[slot], place + cells[slot]
        x = float(time)
        if column >= 0:
            x = values[row, column] if row >= 0 else np.nan
        if x != x:
            continue
        if kind == 1:
            tiles[cell] += 1.0
        elif kind == 2:
            tiles[cell] += x
        elif kind == 3:
            tiles[cell] = min(tiles[cell], x)
        elif kind == 4:
            tiles[cell] = max(tiles[cell], x)
        elif kind == 0:  # Welford's step; the count and the sum stand beside, not yet raised
            count, total = tiles[cell + 1], tiles[cell + 2]
            before = total / count if count > 0.0 else x
            tiles[cell] += (x - before) * (x - (total + x) / (count + 1.0))
        elif kind == 5:
            if not time >= tiles[cell]:
                tiles[cell] = time
                tiles[cell + 1] = x
        elif not time < tiles[cell]:
            tiles[cell] = time
            tiles[cell + 1] = x


@njit
def _fresh_tile(a, s, level, index, hop):
    place = _place(s.head[level], index, a.levels[level, 3], a.levels[level, 2], a.levels[level, 4])
    s.tiles[place] = hop
    low, high = a.level_slots[level], a.level_slots[level + 1]
    _blank(a.what, a.cells, a.all_slots, low, high, s.tiles, place)
    return place


@njit
def _older_tile(a, s, level, hop):
    """A late event: find its tile, or make room for it among the older ones."""
    s.epoch[level] += 1
    index, head = _find(a, s, level, hop, 0), s.head[level]
    width, capacity, first = a.levels[level, 2], a.levels[level, 3], a.levels[level, 4]
    place = _place(head, index, capacity, width, first)
    if s.tiles[place] == hop:
        return place
    count = s.tile_count[level]
    s.tile_count[level] = count + 1
    for at in range(count, index, -1):
        to = _place(head, at, capacity, width, first)
        source = _place(head, at - 1, capacity, width, first)
        for cell in range(width):
            s.tiles[to + cell] = s.tiles[source + cell]
    return _fresh_tile(a, s, level, index, hop)


@njit
def _evict(a, s, level, oldest):
    """Drop the tiles that no window of this level can reach any more."""
    width, capacity, first = a.levels[level, 2], a.levels[level, 3], a.levels[level, 4]
    while s.tile_count[level] > 0 and s.tiles[first + s.head[level] * width] < oldest:
        s.head[level] += 1
        if s.head[level] == capacity:
            s.head[level] = 0
        s.tile_count[level] -= 1
        s.evicted[level] += 1


@njit
def update(a, s, time, values, row):
    """Fold one event; return 1 if it came too late for some window, else 0."""
    late = 0
    s.newest[0] = max(s.newest[0], time)
    for level in range(len(a.levels)):
        hop, at = a.levels[level, 0], np.int64(0)
        if hop > 0:
            at = _hop(time, hop)
            oldest = _hop(s.newest[0] - a.levels[level, 1], hop)
            _evict(a, s, level, oldest)
            if at < oldest:
                late = 1
                continue
        count = s.tile_count[level]
        place = _place(
            s.head[level], count - 1, a.levels[level, 3], a.levels[level, 2], a.levels[level, 4]
        )
        if count == 0 or s.tiles[place] < at:
            s.tile_count[level] = count + 1
            place = _fresh_tile(a, s, level, count, at)
        elif s.tiles[place] > at:
            place = _older_tile(a, s, level, at)
        low, high = a.level_slots[level], a.level_slots[level + 1]
        _fold_event(a.what, a.columns, a.cells, low, high, s.tiles, place, time, values, row)
    for index in range(len(a.maps)):
        x = values[row, a.maps[index, 0]] if row >= 0 else np.nan
        if x == x:
            _see(a, s, index, time, x)
    return late


@njit
def _forget_old(s, index, oldest):
    """Forget values of a map that no window reaches any more."""
    kept = 0
    for at in range(s.map_count[index]):
        if s.map_times[index, at] >= oldest:
            s.map_ids[index, kept] = s.map_ids[index, at]
            s.map_times[index, kept] = s.map_times[index, at]
            kept += 1
    s.map_count[index] = kept


@njit
def _see(a, s, index, time, x):
    """Note that a value occurred; a full map forgets the value not seen for longest."""
    span, count = a.maps[index, 1], s.map_count[index]
    if span > 0 and time < s.newest[0] - span:
        return
    for at in range(count):
        if s.map_ids[index, at] == x:
            s.map_times[index, at] = max(s.map_times[index, at], time)
            return
    if span > 0 and count > 0 and count % _EXPIRE_EVERY == 0:
        _forget_old(s, index, s.newest[0] - span)
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
def _fold_closed(a, s, window, base, start, stop):
    """Bring the kept fold of the closed tiles [start, stop) up to date: extend it, or begin again.

    The kept fold is a left fold of the same tiles in the same order, so it has the same bits.
    """
    level, at = a.windows[window, 0], s.closed_at
    low, high = a.window_slots[window], a.window_slots[window + 1]
    width, capacity, first = a.levels[level, 2], a.levels[level, 3], a.levels[level, 4]
    evicted, head = s.evicted[level], s.head[level]
    same = at[window, 0] == evicted + start and at[window, 2] == s.epoch[level]
    if not same or at[window, 1] > evicted + stop:
        _blank(a.what, a.cells, a.used, low, high, s.closed, base)
        at[window, 0], at[window, 1] = evicted + start, evicted + start
        at[window, 2] = s.epoch[level]
    for closed in range(at[window, 1] - evicted, stop):
        place = _place(head, closed, capacity, width, first)
        _fold_tile(a.what, a.cells, a.used, low, high, s.closed, base, s.tiles, place)
    at[window, 1] = evicted + stop
    for cell in range(base + 1, base + width):
        s.acc[cell] = s.closed[cell]


@njit
def _fold_window(a, s, window, now, cached):
    """Fold a window's tiles, oldest first, into its accumulator."""
    level = a.windows[window, 0]
    hop, offset = a.levels[level, 0], a.windows[window, 2]
    start, stop, base = np.int64(0), s.tile_count[level], window * s.widest[0]
    if hop > 0 and stop > 0:
        begin = start
        if cached and s.closed_at[window, 0] >= 0 and s.closed_at[window, 2] == s.epoch[level]:
            begin = min(max(s.closed_at[window, 0] - s.evicted[level], start), stop)
        start = _find(a, s, level, _hop(now - offset - a.windows[window, 1], hop), begin)
        if offset > 0:
            stop = _find(a, s, level, _hop(now - offset, hop), start)
    low, high = a.window_slots[window], a.window_slots[window + 1]
    if cached and offset == 0 and stop - start > 1:
        _fold_closed(a, s, window, base, start, stop - 1)
        start = stop - 1
    else:
        _blank(a.what, a.cells, a.used, low, high, s.acc, base)
    width, capacity, first = a.levels[level, 2], a.levels[level, 3], a.levels[level, 4]
    for tile in range(start, stop):
        place = _place(s.head[level], tile, capacity, width, first)
        _fold_tile(a.what, a.cells, a.used, low, high, s.acc, base, s.tiles, place)


@njit
def read(a, s, time, values, row, cached, out, to):
    """Write the view's aggregates at a moment into `out[to]`; `values[row]` are for `seen`."""
    now = max(time, s.newest[0])
    for window in range(len(a.windows)):
        _fold_window(a, s, window, now, cached)
    _finish(a.aggregates, s.acc, s.widest[0], now, out, to)
    for index in range(len(a.asked)):
        at = a.asked[index]
        column, span = a.maps[a.aggregates[at, 1], 0], a.aggregates[at, 5]
        x = values[row, column] if row >= 0 else np.nan
        out[to, at] = _seen(s, a.aggregates[at, 1], now, x, span)


@njit
def _finish(aggregates, acc, widest, now, out, to):
    """Write each aggregate from its window's accumulator; plain arrays, for this runs most."""
    for index in range(len(aggregates)):
        kind, base = aggregates[index, 0], aggregates[index, 1] * widest
        if kind == 11:
            continue
        x = acc[base + aggregates[index, 2]]
        if kind == 2:
            count = acc[base + aggregates[index, 3]]
            x = x / count if count > 0.0 else np.nan
        elif kind > 2:
            other = acc[base + aggregates[index, 3]]
            x = _value(kind, x, other, acc[base + aggregates[index, 2] + 1], now)
        out[to, index] = x


@njit
def _value(kind, x, other, beside, now):
    """Return an aggregate from the cell it reads first, another one, and the one beside."""
    if kind == 3 or kind == 4:
        return np.nan if np.isinf(x) else x
    if kind == 5:
        return np.sqrt(max(x, 0.0) / (other - 1.0)) if other > 1.0 else np.nan
    if kind == 6 or kind == 7:
        return beside
    if kind == 8:
        return 1.0 if x > 0.0 else 0.0
    return np.nan if x != x else (now - x) / 3.6e9


@njit
def _seen(s, index, now, x, span):
    if x != x:
        return np.nan
    for at in range(s.map_count[index]):
        if s.map_ids[index, at] == x:
            recent = span == 0 or s.map_times[index, at] >= now - span
            return 1.0 if recent else 0.0
    return 0.0
