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


def windows_as_numbers(plan: FuturePlan) -> tuple[Ints, Ints]:
    """Return a plan's windows as the kernel reads them.

    Returns:
        `windows` int64[K, 2]: what is asked, and of which span; `spans` int64[S, 3]: column,
        begin and end, each only once, because one pass over its records answers all that is asked.
    """
    spans = list(dict.fromkeys((w.column, w.from_us, w.to_us) for w in plan.windows))
    asked = [(KINDS[w.kind], spans.index((w.column, w.from_us, w.to_us))) for w in plan.windows]
    return (
        np.array(asked, dtype=np.int64).reshape(-1, 2),
        np.array(spans, dtype=np.int64).reshape(-1, 3),
    )


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
        *windows_as_numbers(plan),
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
    windows, spans, replaces, codes, times, places, oldest, starts, event, known_place, gone_place,
    amounts,
):  # fmt: skip
    """Aggregate the records around each row, float64[n, K]; for all rows, or for one.

    Records are sorted by key, event time and place in the log; a row at a place sees those of
    its key (`codes`, -1 for none) at an earlier one, unless they are gone by then: taken back
    before the row. `oldest`: records that happened before it are forgotten, so a window that
    begins there has no value.
    """
    out = np.full((len(codes), len(windows)), np.nan)
    values = np.empty(9, dtype=np.float64)
    for row in range(len(codes)):
        if codes[row] < 0:
            continue
        start, stop = starts[codes[row]], starts[codes[row] + 1]
        for span in range(len(spans)):
            low = times[row] + spans[span, 1]
            if low < oldest[row]:
                continue
            begin = start + np.searchsorted(event[start:stop], low)
            _aggregate(
                values,
                spans[span],
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
            for which in range(len(windows)):
                if windows[which, 1] == span:
                    out[row, which] = values[windows[which, 0]]
    return out


@njit
def _aggregate(  # type: ignore[no-untyped-def]
    values, span, replaces, time, place, begin, stop, event, known_place, gone_place, amounts
):
    """Write everything that can be asked of one span, in the order of `KINDS`, to `values`."""
    column, end = span[0], time + span[2]
    count, total = 0, 0.0
    values[:] = np.nan
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
            values[4] = values[5] = values[6] = amount
            values[8] = (event[at] - time) / 3_600_000_000.0
        count += 1
        total += amount
        values[4] = min(values[4], amount)
        values[5] = max(values[5], amount)
        values[7] = amount
    values[0] = 1.0 if count > 0 else 0.0
    values[1] = count
    values[2] = total
    if count > 0:
        values[3] = total / count


@njit
def _is_replaced(at, place, stop, event, known_place, gone_place):  # type: ignore[no-untyped-def]
    """Return whether the log has a later record of the same moment before a place."""
    later = at + 1
    while later < stop and event[later] == event[at]:
        if known_place[later] < place and gone_place[later] >= place:
            return True
        later += 1
    return False
