"""Slots: what a tile keeps of one column; made blank, fed with a row, merged with a later tile.

`rec` is the place of a slot's record in the tables: what it keeps, column, cell, number.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from holdfast.features.engine.compile import njit

__all__ = ["blank", "blank_cores", "feed", "feed_core", "merge", "merge_cores", "x_of"]

_LN_HALF = -0.6931471805599453


@njit
def blank_cores(f, cell, cores):
    """Make cores (count, sum, min, max of one column, side by side) those of no rows."""
    for _ in range(cores):
        f[cell] = 0.0
        f[cell + 1] = 0.0
        f[cell + 2] = np.inf
        f[cell + 3] = -np.inf
        cell += 4


@njit
def feed_core(f, cell, x):
    """Fold a value into a core; a missing value is left out."""
    if x == x:
        f[cell] += 1.0
        f[cell + 1] += x
        f[cell + 2] = min(f[cell + 2], x)
        f[cell + 3] = max(f[cell + 3], x)


@njit
def merge_cores(f, into, left, right, cores):
    """Write the cores of `left` followed by a later tile's into `into`, which may be `left`."""
    for _ in range(cores):
        f[into] = f[left] + f[right]
        f[into + 1] = f[left + 1] + f[right + 1]
        f[into + 2] = min(f[left + 2], f[right + 2])
        f[into + 3] = max(f[left + 3], f[right + 3])
        into += 4
        left += 4
        right += 4


@njit
def blank(a, rec, f, base):
    """Make a slot that of no rows."""
    kind, cell = a[rec], base + a[rec + 2]
    if kind == 0:
        f[cell] = 0.0
    elif kind == 2:
        f[cell] = 0.0
        f[cell + 1] = 0.0
        f[cell + 2] = 0.0
    elif kind == 5:
        for at in range(5):
            f[cell + at] = 0.0
    elif kind == 6 or kind == 8:
        f[cell] = np.nan
        f[cell + 1] = 0.0
    else:
        for at in range(2 * a[rec + 3]):
            f[cell + at] = np.nan


@njit
def x_of(columns, column, time, values, row, i, sessions):
    """Return what a slot folds of an event: a column, its time, or whether a session begins."""
    if column < 0:
        return float(time)
    if column < columns:
        return values[row + column]
    place = sessions + 2 * (column - columns)
    return 1.0 if i[place] == time and i[place + 1] == 1 else np.nan


@njit
def feed(a, rec, f, base, time, x):
    """Fold one event's value into a slot of an open tile; a missing value is left out."""
    kind, cell = a[rec], base + a[rec + 2]
    if kind == 0:
        f[cell] += 1.0
    elif kind == 7:
        _put_in_force(f, cell, a[rec + 3], float(time), x)
    elif x == x:
        if kind == 2:  # Welford (1962)
            f[cell] += 1.0
            delta = x - f[cell + 1]
            f[cell + 1] += delta / f[cell]
            f[cell + 2] += delta * (x - f[cell + 1])
        elif kind == 3:
            _put_first(f, cell, a[rec + 3], float(time), x)
        elif kind == 4:
            _put_last(f, cell, a[rec + 3], float(time), x)
        elif kind == 5:
            _trend(f, cell, float(time), x)
        else:
            _decay(f, cell, float(a[rec + 3]), float(time), 1.0 if kind == 8 else x)


@njit
def _put_first(f, cell, most, time, x):
    """Keep the earliest values, the earliest first; of two at one moment, the earlier in log."""
    last = cell + 2 * most - 2
    if f[last] <= time:
        return
    at = last
    while at > cell and not f[at - 2] <= time:
        f[at] = f[at - 2]
        f[at + 1] = f[at - 1]
        at -= 2
    f[at] = time
    f[at + 1] = x


@njit
def _put_last(f, cell, most, time, x):
    """Keep the latest values, the latest first; of two at one moment, the later in the log."""
    last = cell + 2 * most - 2
    if f[last] > time:
        return
    at = last
    while at > cell and not f[at - 2] > time:
        f[at] = f[at - 2]
        f[at + 1] = f[at - 1]
        at -= 2
    f[at] = time
    f[at + 1] = x


@njit
def _put_in_force(f, cell, most, time, x):
    """Keep the newest versions; one that begins at the same moment replaces the earlier one."""
    for at in range(cell, cell + 2 * most, 2):
        if f[at] == time:
            f[at + 1] = x
            return
    _put_last(f, cell, most, time, x)


@njit
def _trend(f, cell, t, x):
    """Fold a point into [count, mean time, mean value, co-moments tt and tx]; time in us."""
    f[cell] += 1.0
    dt, dx = t - f[cell + 1], x - f[cell + 2]
    f[cell + 1] += dt / f[cell]
    f[cell + 2] += dx / f[cell]
    f[cell + 3] += dt * (t - f[cell + 1])
    f[cell + 4] += dt * (x - f[cell + 2])


@njit
def _decay(f, cell, half_life, time, x):
    """Fold a value into [moment, weight at that moment]."""
    if f[cell] != f[cell]:
        f[cell] = time
        f[cell + 1] = x
    elif time >= f[cell]:
        f[cell + 1] = f[cell + 1] * math.exp(_LN_HALF * ((time - f[cell]) / half_life)) + x
        f[cell] = time
    else:
        f[cell + 1] += x * math.exp(_LN_HALF * ((f[cell] - time) / half_life))


@njit
def merge(a, rec, f, into, left, right):
    """Write a slot of `left` followed by a later tile's into `into`, which may be `left`."""
    kind, cell = a[rec], a[rec + 2]
    t, u, v = into + cell, left + cell, right + cell
    if kind == 0:
        f[t] = f[u] + f[v]
    elif kind == 2:
        _merge_var(f, t, u, v)
    elif kind == 5:
        _merge_trend(f, t, u, v)
    else:
        most = a[rec + 3]
        if kind == 6 or kind == 8:
            f[t] = f[v]  # one tile only, of all time
            f[t + 1] = f[v + 1]
            return
        if t != u:
            for at in range(2 * most):
                f[t + at] = f[u + at]
        if kind == 3:
            for at in range(v, v + 2 * most, 2):
                if f[at] == f[at]:
                    _put_first(f, t, most, f[at], f[at + 1])
        else:
            for at in range(v + 2 * most - 2, v - 2, -2):
                if f[at] == f[at]:
                    _put_last(f, t, most, f[at], f[at + 1])


@njit
def _merge_var(f, t, u, v):
    """Chan, Golub and LeVeque (1983): counts, means, squared deviations of two parts."""
    n, m = f[u], f[v]
    if m == 0.0 or n == 0.0:
        source = u if m == 0.0 else v
        for at in range(3):
            f[t + at] = f[source + at]
        return
    delta, total = f[v + 1] - f[u + 1], n + m
    f[t + 2] = f[u + 2] + f[v + 2] + delta * delta * (n * m / total)
    f[t + 1] = f[u + 1] + delta * (m / total)
    f[t] = total


@njit
def _merge_trend(f, t, u, v):
    """As for the variance, with the co-moment of time and value."""
    n, m = f[u], f[v]
    if m == 0.0 or n == 0.0:
        source = u if m == 0.0 else v
        for at in range(5):
            f[t + at] = f[source + at]
        return
    total = n + m
    dt, dx = f[v + 1] - f[u + 1], f[v + 2] - f[u + 2]
    weight = n * m / total
    f[t + 3] = f[u + 3] + f[v + 3] + dt * dt * weight
    f[t + 4] = f[u + 4] + f[v + 4] + dt * dx * weight
    f[t + 1] = f[u + 1] + dt * (m / total)
    f[t + 2] = f[u + 2] + dx * (m / total)
    f[t] = total
