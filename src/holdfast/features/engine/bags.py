"""Bags: how often each value occurred in each hop; top values, entropy, quantiles of a window.

A bag's record: column, hop, longest span, whether values are rounded, place in `f` (the values,
then how often), place in `i` (how many pairs, then their hops, ascending).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from holdfast.features.engine.compile import njit
from holdfast.features.engine.layout import BAG_SLOTS, BAGS
from holdfast.features.engine.operators import BAG_ENTRIES_MAX
from holdfast.features.engine.sets import mixed
from holdfast.features.engine.times import hop_of

__all__ = ["fold_bag", "put_in_bag"]

_SPLIT = 70368744177665.0  # 2**46 + 1: leaves 53 - 46 digits (Dekker, 1971)
_ROUNDED_MAX = 1e290


@njit
def _rounded(x):
    """Return a number rounded to 7 binary digits; one so large that this overflows, as it is."""
    if abs(x) > _ROUNDED_MAX:
        return x
    scaled = x * _SPLIT
    return scaled - (scaled - x)


@njit
def _drop(f, i, values, state, stop):
    """Drop the first pairs, up to `stop`."""
    count = i[state]
    for at in range(stop, count):
        f[values + at - stop] = f[values + at]
        f[values + BAG_ENTRIES_MAX + at - stop] = f[values + BAG_ENTRIES_MAX + at]
        i[state + 1 + at - stop] = i[state + 1 + at]
    i[state] = count - stop


@njit
def put_in_bag(a, rec, f, i, newest, time, x):
    """Count one value in its hop; return 1 if it came too late. The oldest hop makes room."""
    hop, values, state = a[rec + 1], a[rec + 4], a[rec + 5]
    counts, hops, at = values + BAG_ENTRIES_MAX, state + 1, np.int64(0)
    if a[rec + 3]:
        x = _rounded(x)
    if hop > 0:
        at, oldest = hop_of(time, hop), hop_of(newest - a[rec + 2], hop)
        expired = 0
        while expired < i[state] and i[hops + expired] < oldest:
            expired += 1
        if expired:
            _drop(f, i, values, state, expired)
        if at < oldest:
            return 1
    index = i[state]
    while index > 0 and i[hops + index - 1] >= at:
        index -= 1
        if i[hops + index] == at and f[values + index] == x:
            f[counts + index] += 1.0
            return 0
    while index < i[state] and i[hops + index] == at:
        index += 1
    if i[state] == BAG_ENTRIES_MAX:
        if i[hops] >= at:
            return 0  # everything here is newer, or the one hop is full
        first = 1
        while i[hops + first] == i[hops] and first < BAG_ENTRIES_MAX - 1:
            first += 1
        _drop(f, i, values, state, first)
        index -= first
    for back in range(i[state], index, -1):
        f[values + back], f[counts + back] = f[values + back - 1], f[counts + back - 1]
        i[hops + back] = i[hops + back - 1]
    f[values + index], f[counts + index], i[hops + index] = x, 1.0, at
    i[state] += 1
    return 0


@njit
def fold_bag(a, fold, f, i, now, out, to):
    """Count the values of one window of a bag and write what is asked of them."""
    rec = a[BAGS + 1] + 6 * a[fold]
    hop, values, state = a[rec + 1], a[rec + 4], a[rec + 5]
    into, table = a[fold + 5], a[fold + 6]
    counts, hops = values + BAG_ENTRIES_MAX, state + 1
    low, high = np.int64(0), i[state]
    if hop > 0:
        start = hop_of(now - a[fold + 2] - a[fold + 1], hop)
        while low < high and i[hops + low] < start:
            low += 1
        if a[fold + 2] > 0:
            end = hop_of(now - a[fold + 2], hop)
            while high > low and i[hops + high - 1] >= end:
                high -= 1
    found, total = 0, 0.0
    for at in range(table, table + BAG_SLOTS):
        i[at] = -1
    for at in range(low, high):
        slot = np.int64(mixed(f[values + at]) * BAG_SLOTS)
        while i[table + slot] >= 0 and f[into + i[table + slot]] != f[values + at]:
            slot = (slot + 1) % BAG_SLOTS
        if i[table + slot] < 0:
            i[table + slot] = found
            f[into + found], f[into + BAG_ENTRIES_MAX + found] = f[values + at], 0.0
            found += 1
        f[into + BAG_ENTRIES_MAX + i[table + slot]] += f[counts + at]
        total += f[counts + at]
    _sort(f, into, into + BAG_ENTRIES_MAX, found, a[rec + 3] == 0)
    for read in range(a[fold + 3], a[fold + 4], 3):
        out[to + a[read + 1]] = _asked(a[read], a[read + 2], f, into, found, total)


@njit
def _before(f, values, counts, p, q, by_count):
    if by_count and f[counts + p] != f[counts + q]:
        return f[counts + p] > f[counts + q]
    return f[values + p] < f[values + q]


@njit
def _sort(f, values, counts, found, by_count):
    """Sort values, by count (largest first) or by value (smallest first): Shell's sort."""
    gap = found // 2
    while gap > 0:
        for at in range(gap, found):
            here = at
            while here >= gap and _before(f, values, counts, here, here - gap, by_count):
                before = here - gap
                f[values + here], f[values + before] = f[values + before], f[values + here]
                f[counts + here], f[counts + before] = f[counts + before], f[counts + here]
                here = before
        gap //= 2


@njit
def _asked(code, param, f, into, found, total):
    counts = into + BAG_ENTRIES_MAX
    if code == 18 or code == 19:
        nth = max(param, 1) - 1
        if nth >= found:
            return np.nan if code == 18 else 0.0
        return f[into + nth] if code == 18 else f[counts + nth]
    if found == 0:
        return np.nan
    if code == 20:
        entropy = 0.0
        for at in range(found):
            share = f[counts + at] / total
            entropy -= share * math.log(share)
        return max(entropy, 0.0) / 0.6931471805599453
    rank, passed = math.ceil(param * total / 1e6), 0.0
    for at in range(found):
        passed += f[counts + at]
        if passed >= rank:
            return f[into + at]
    return f[into + found - 1]
