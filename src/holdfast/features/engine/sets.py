"""Sets of values with the moment each was last seen: exact ones, and a sketch to count by."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from holdfast.features.engine.compile import njit
from holdfast.features.engine.operators import DISTINCT_VALUES_MAX

__all__ = ["count_distinct", "mixed", "note_distinct", "note_seen", "was_seen"]

_EXPIRE_EVERY = 32
_NEVER = np.iinfo(np.int64).min
_A, _B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@njit
def mixed(x):
    """Return a hash of a number, evenly spread over [0, 1): splitmix64 (Steele et al., 2014)."""
    if np.isinf(x):
        return 0.25 if x > 0.0 else 0.75
    mantissa, exponent = math.frexp(x)
    whole = np.int64(mantissa * 9007199254740992.0)
    z = np.uint64(whole) + np.uint64(np.int64(exponent)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * _A
    z = (z ^ (z >> np.uint64(27))) * _B
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) * 1.1102230246251565e-16


@njit
def _forget_old(f, i, values, count_at, times, oldest):
    """Forget values that no window reaches any more."""
    kept = 0
    for at in range(i[count_at]):
        if i[times + at] >= oldest:
            f[values + kept] = f[values + at]
            i[times + kept] = i[times + at]
            kept += 1
    i[count_at] = kept


@njit
def _remove(f, i, values, count_at, times, index):
    for at in range(index, i[count_at] - 1):
        f[values + at] = f[values + at + 1]
        i[times + at] = i[times + at + 1]
    i[count_at] -= 1


@njit
def note_seen(f, i, values, state, most, span, newest, time, x):
    """Note that a value occurred; a full map forgets the value not seen for longest."""
    times, count = state + 1, i[state]
    if span > 0 and time < newest - span:
        return
    for at in range(count):
        if f[values + at] == x:
            i[times + at] = max(i[times + at], time)
            return
    if span > 0 and count > 0 and count % _EXPIRE_EVERY == 0:
        _forget_old(f, i, values, state, times, newest - span)
    if i[state] == most:
        oldest = 0
        for at in range(most):
            if i[times + at] < i[times + oldest]:
                oldest = at
        if i[times + oldest] > time:
            return
        _remove(f, i, values, state, times, oldest)
    count = i[state]
    f[values + count] = x
    i[times + count] = time
    i[state] = count + 1


@njit
def was_seen(f, i, values, state, now, span, x):
    """Return 1 or 0: whether a value occurred within the span; missing for a missing value."""
    if x != x:
        return np.nan
    for at in range(i[state]):
        if f[values + at] == x:
            return 1.0 if span == 0 or i[state + 1 + at] >= now - span else 0.0
    return 0.0


@njit
def note_distinct(f, i, values, state, span, newest, time, x):
    """Note a value; where there is no room, keep those of small hashes and say from which on.

    `state`: count, the moment something was last left out, the moments. Behind the values stands
    the bound: hashes below it are all here. What was left out matters until it leaves the window.
    """
    bound, times = values + DISTINCT_VALUES_MAX, state + 2
    if span > 0:
        if time < newest - span:
            return
        if f[bound] < 1.0 and i[state + 1] < newest - span:
            f[bound] = 1.0
    for at in range(i[state]):
        if f[values + at] == x:
            i[times + at] = max(i[times + at], time)
            return
    if mixed(x) >= f[bound]:
        i[state + 1] = max(i[state + 1], time)
        return
    if span > 0 and i[state] > 0 and i[state] % _EXPIRE_EVERY == 0:
        _forget_old(f, i, values, state, times, newest - span)
    count = i[state]
    if count == DISTINCT_VALUES_MAX:
        largest, hashed = -1, mixed(x)
        for at in range(count):
            here = mixed(f[values + at])
            if here > hashed:
                largest, hashed = at, here
        f[bound] = hashed
        if largest < 0:
            i[state + 1] = max(i[state + 1], time)
            return
        i[state + 1] = max(i[state + 1], i[times + largest])
        _remove(f, i, values, state, times, largest)
        count -= 1
    f[values + count] = x
    i[times + count] = time
    i[state] = count + 1


@njit
def count_distinct(f, i, values, state, now, span):
    """Return how many values the span has: counted, or estimated where some were left out."""
    times, bound, count = state + 2, f[values + DISTINCT_VALUES_MAX], 0
    for at in range(i[state]):
        if span == 0 or i[times + at] >= now - span:
            count += 1
    if span > 0 and i[state + 1] < now - span:
        return float(count)  # what was left out lies before the window
    return count / bound
