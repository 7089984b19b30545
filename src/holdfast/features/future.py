"""The known future: records of a source around a moment, as far as they were known before a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.data.table import Table
from holdfast.features import labels
from holdfast.features.engine.compile import njit
from holdfast.features.future_plan import FuturePlan
from holdfast.features.keys import joint_codes
from holdfast.features.rows import run

__all__ = [
    "KINDS",
    "NEVER",
    "amounts_of",
    "future_of_rows",
    "log_places",
    "look_around",
    "windows_as_numbers",
]

NEVER = np.iinfo(np.int64).max
"""The place in the log at which a record is taken back that stays."""

KINDS = {**labels.KINDS, "hours_until_next": 8}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def windows_as_numbers(plan: FuturePlan) -> Ints:
    """Return a plan's windows as the kernel reads them, int64[K, 4]."""
    rows = [(KINDS[w.kind], w.column, w.from_us, w.to_us) for w in plan.windows]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def amounts_of(plan: FuturePlan, source: Table) -> Floats:
    """Return the values of every record of a source, float64[C, m]: one column after another."""
    if not plan.values.outputs:
        return np.empty((0, len(source)), dtype=np.float64)
    computed = run(plan.values, labels.program_inputs(source, plan.values.inputs))
    return np.ascontiguousarray(computed.T)


def future_of_rows(
    plan: FuturePlan,
    each: Table,
    source: Table,
    *,
    log_order: Ints,
    gone: Ints | None = None,
) -> Floats:
    """Return the windows of every row, float64[n, K], from what was known before it.

    `log_order`: the order in which the log has the rows followed by the records, int64[n + m].
    Not used where the rows are records themselves: there the table's order is the log's. `gone`:
    the place in that order behind which a record is taken back, int64[m], `NEVER` where it stays.
    """
    (codes, keys_of), keys = joint_codes([(each.frame, plan.lookup), (source.frame, plan.keys)])
    places, known_places = log_places(each, source, log_order)
    order = np.lexsort((known_places, source.event_us, keys_of))
    order = order[keys_of[order] >= 0]
    starts = np.searchsorted(keys_of[order], np.arange(keys + 1)).astype(np.int64)
    found: Floats = look_around(
        windows_as_numbers(plan),
        plan.replaces,
        codes.astype(np.int64),
        each.event_us,
        places,
        each.known_us - plan.patience_us,
        starts,
        source.event_us[order],
        known_places[order],
        np.full(len(order), NEVER, dtype=np.int64) if gone is None else gone[order],
        np.ascontiguousarray(amounts_of(plan, source)[:, order]),
    )
    return found


def log_places(each: Table, source: Table, log_order: Ints) -> tuple[Ints, Ints]:
    """Return where the log has each row, int64[n], and each record, int64[m]."""
    if each is source:
        own = np.arange(len(each), dtype=np.int64)
        return own, own
    place = np.empty(len(log_order), dtype=np.int64)
    place[log_order] = np.arange(len(log_order))
    return place[: len(each)], place[len(each) :]


@njit
def look_around(  # type: ignore[no-untyped-def]
    windows, replaces, codes, times, places, oldest, starts, event, known_place, gone_place, amounts
):
    """Aggregate the records around each row, float64[n, K]; for all rows, or for one.

    Records are sorted by key, event time and place in the log; a row at a place sees those of
    its key (`codes`, -1 for none) at an earlier one, unless they are gone by then: taken back
    before the row. `oldest`: records that happened before it
    are forgotten, so a window that begins there has no value.
    """
    out = np.full((len(codes), len(windows)), np.nan)
    for row in range(len(codes)):
        if codes[row] < 0:
            continue
        start, stop = starts[codes[row]], starts[codes[row] + 1]
        for which in range(len(windows)):
            low = times[row] + windows[which, 2]
            if low < oldest[row]:
                continue
            begin = start + np.searchsorted(event[start:stop], low)
            out[row, which] = _aggregate(
                windows[which],
                replaces,
                times[row],
                places[row],
                begin,
                stop,
                event,
                known_place,
                gone_place,
                amounts,
            )
    return out


@njit
def _aggregate(  # type: ignore[no-untyped-def]
    window, replaces, time, place, begin, stop, event, known_place, gone_place, amounts
):
    kind, column, end = window[0], window[1], time + window[3]
    count, total, next_at = 0, 0.0, np.nan
    smallest, largest, first, last = np.inf, -np.inf, np.nan, np.nan
    for at in range(begin, stop):
        if event[at] >= end:
            break
        if known_place[at] >= place or gone_place[at] < place:
            continue
        if replaces and _is_replaced(at, place, stop, event, known_place, gone_place):
            continue
        amount = 1.0 if column < 0 else amounts[column, at]
        if amount != amount:
            continue
        if count == 0:
            first = amount
            next_at = (event[at] - time) / 3_600_000_000.0
        count += 1
        total += amount
        smallest = min(smallest, amount)
        largest = max(largest, amount)
        last = amount
    if kind == 0:
        return 1.0 if count > 0 else 0.0
    if kind == 1:
        return float(count)
    if kind == 2:
        return total
    if count == 0:
        return np.nan
    if kind == 3:
        return total / count
    if kind == 4:
        return smallest
    if kind == 5:
        return largest
    if kind == 6:
        return first
    return last if kind == 7 else next_at


@njit
def _is_replaced(at, place, stop, event, known_place, gone_place):  # type: ignore[no-untyped-def]
    """Return whether the log has a later record of the same moment before a place."""
    later = at + 1
    while later < stop and event[later] == event[at]:
        if known_place[later] < place and gone_place[later] >= place:
            return True
        later += 1
    return False
