"""What stands beside the tiles: values seen, distinct values, bags of values, sessions."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.bags import fold_bag, put_in_bag
from holdfast.features.engine.compile import njit
from holdfast.features.engine.layout import (
    BAGS,
    DISTINCT,
    FOLDS,
    MAPS,
    SEEN,
    SESSION_READS,
    SESSIONS,
    SKETCHES,
)
from holdfast.features.engine.operators import DISTINCT_VALUES_MAX, SEEN_VALUES_MAX
from holdfast.features.engine.sets import count_distinct, note_distinct, note_seen, was_seen

__all__ = ["read_beside", "reset_beside", "update_beside"]

NEVER = np.iinfo(np.int64).min


@njit
def reset_beside(a, f, i):
    """Make maps, sketches, bags and sessions empty."""
    for index in range(a[MAPS]):
        i[a[a[MAPS + 1] + 4 * index + 3]] = 0
    for index in range(a[SKETCHES]):
        rec = a[SKETCHES + 1] + 4 * index
        i[a[rec + 3]] = 0
        i[a[rec + 3] + 1] = NEVER
        f[a[rec + 2] + DISTINCT_VALUES_MAX] = 1.0
    for index in range(a[BAGS]):
        i[a[a[BAGS + 1] + 6 * index + 5]] = 0
    for index in range(a[SESSIONS]):
        place = a[a[SESSIONS + 1] + 2 * index + 1]
        i[place], i[place + 1] = NEVER, 0


@njit
def update_beside(a, f, i, time, values, row):
    """Fold one event, before the newest moment is raised; return 1 if it came too late."""
    late, before = 0, i[0]
    newest = max(before, time)
    for index in range(a[SESSIONS]):
        rec = a[SESSIONS + 1] + 2 * index
        place = a[rec + 1]
        if before == NEVER or time - before > a[rec]:
            i[place], i[place + 1] = time, 1
        elif time >= i[place]:
            i[place + 1] += 1
    for index in range(a[MAPS]):
        rec = a[MAPS + 1] + 4 * index
        x = values[row + a[rec]]
        if x == x:
            note_seen(f, i, a[rec + 2], a[rec + 3], SEEN_VALUES_MAX, a[rec + 1], newest, time, x)
    for index in range(a[SKETCHES]):
        rec = a[SKETCHES + 1] + 4 * index
        x = values[row + a[rec]]
        if x == x:
            note_distinct(f, i, a[rec + 2], a[rec + 3], a[rec + 1], newest, time, x)
    for index in range(a[BAGS]):
        rec = a[BAGS + 1] + 6 * index
        x = values[row + a[rec]]
        if x == x:
            late = max(late, put_in_bag(a, rec, f, i, newest, time, x))
    return late


@njit
def read_beside(a, f, i, now, values, row, out, to):
    """Write the aggregates that are not kept in tiles; `values[row:]` are for `seen`."""
    for index in range(a[SEEN]):
        rec = a[SEEN + 1] + 3 * index
        box = a[MAPS + 1] + 4 * a[rec]
        x = values[row + a[box]]
        out[to + a[rec + 2]] = was_seen(f, i, a[box + 2], a[box + 3], now, a[rec + 1], x)
    for index in range(a[DISTINCT]):
        rec = a[DISTINCT + 1] + 3 * index
        box = a[SKETCHES + 1] + 4 * a[rec]
        out[to + a[rec + 2]] = count_distinct(f, i, a[box + 2], a[box + 3], now, a[rec + 1])
    for index in range(a[FOLDS]):
        fold_bag(a, a[FOLDS + 1] + 7 * index, f, i, now, out, to)
    for index in range(a[SESSION_READS]):
        rec = a[SESSION_READS + 1] + 3 * index
        session = a[SESSIONS + 1] + 2 * a[rec + 1]
        gap, place = a[session], a[session + 1]
        value = 0.0
        if i[0] != NEVER and now - i[0] <= gap:
            value = float(i[place + 1]) if a[rec] == 14 else (now - i[place]) / 6e7
        out[to + a[rec + 2]] = value
