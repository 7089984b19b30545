"""Labels over history: the value of each row, and the moment from which it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.data.corrections import NEVER_US, Corrections
from holdfast.data.table import Table
from holdfast.define.schema import SourceSchema
from holdfast.errors import InternalError
from holdfast.features.engine.compile import njit
from holdfast.features.keys import joint_codes
from holdfast.features.label_changes import asked_again, changes_of_rows, log_ranks
from holdfast.features.plan import LabelPlan
from holdfast.features.rows import run

__all__ = [
    "ELSEWHERE",
    "KINDS",
    "NEVER_US",
    "Counted",
    "aggregate_ahead",
    "first_labels",
    "horizon_us",
    "label_of_rows",
    "patience_us",
    "program_inputs",
]

ELSEWHERE = np.iinfo(np.int64).min
"""The position of a row in a source that it does not belong to: before everything."""

_NOWHERE = np.empty(0, dtype=np.int64)
NOTHING_TOLD = Corrections(_NOWHERE, np.empty(0, dtype=np.float64), _NOWHERE, _NOWHERE)
"""No corrections."""

KINDS = {"any": 0, "count": 1, "sum": 2, "mean": 3, "min": 4, "max": 5, "first": 6, "last": 7}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def label_of_rows(
    label: LabelPlan, tables: Mapping[str, Table], *, until_us: int
) -> tuple[Floats, Ints]:
    """Return the label of each row of its source, and when it counts, as known at `until_us`.

    A label ahead counts once its horizon has passed, whatever is known earlier, and uses only
    records known by then. A label column counts when it became known. What was corrected has its
    newest value; a row that was taken back has none.

    Returns:
        `values` float64[n], NaN where not known; `due_us` int64[n], `NEVER_US` where not known.
    """
    values, due, changes = first_labels(label, tables)
    values = changes.newest(values) if len(changes) else values
    unknown = np.isnan(values) | (due > until_us)
    due = np.where(np.isnan(values), NEVER_US, due)
    return np.where(unknown, np.nan, values), due


def first_labels(label: LabelPlan, tables: Mapping[str, Table]) -> tuple[Floats, Ints, Corrections]:
    """Return the label of each row as it was when it counted first, and what it became after.

    Returns:
        `values` float64[n], NaN for none; `due_us` int64[n], `NEVER_US` where it never counts;
        the changes after that, NaN for a label withdrawn, by row and in log order.
    """
    table = tables[label.source]
    if label.kind == "column":
        values, due = _column(label, table)
        told = table.corrections if table.outcome_attr == label.column else None
        told = told if told is not None else NOTHING_TOLD
    else:
        values, due, told = _ahead(label, table, tables[label.target])
    if len(told) or table.retracted_us is not None:
        values, told = changes_of_rows(table, values, due, told)
    return values, due, told


def horizon_us(label: LabelPlan, table: Table) -> Ints:
    """Return when a label ahead counts for each row, int64[n], whether or not it has a value."""
    return np.maximum(table.event_us + label.ahead_us, table.known_us)


def patience_us(label: LabelPlan, schema: SourceSchema) -> int:
    """Return how long after it happened a row may become known and still count in features.

    Only features of a label ahead have this bound: the records that such a row needs are kept
    for twice the horizon (and the source's lag), not for ever.
    """
    return 2 * label.ahead_us + schema.lag_us


def program_inputs(table: Table, names: tuple[str, ...], label: Floats | None = None) -> Floats:
    """Return a source's columns as a matrix, float64[n, len(names)]; "label" is the label."""
    rows = len(table.event_us)
    matrix = np.empty((rows, len(names)), dtype=np.float64)
    for index, name in enumerate(names):
        if name == "label":
            if label is None:
                raise InternalError("a program reads a label that is not given", code="HF900")
            matrix[:, index] = label
        else:
            matrix[:, index] = table.numbers(name)
    return matrix


def _column(label: LabelPlan, table: Table) -> tuple[Floats, Ints]:
    values = np.array(table.numbers(label.column), dtype=np.float64)
    if label.known_later:
        return values, np.zeros(len(values), dtype=np.int64)
    told = table.outcome_us if table.outcome_attr == label.column else None
    outcome = np.full(len(values), -1, dtype=np.int64) if told is None else told
    earliest = np.maximum(table.known_us, outcome)
    if label.known_after_us is not None:
        return values, np.maximum(table.event_us + label.known_after_us, earliest)
    known = np.array(table.numbers(label.known_at), dtype=np.float64)
    known = np.where(outcome >= 0, table.event_us, known)
    missing = np.isnan(known)
    due = np.maximum(np.where(missing, 0.0, known).astype(np.int64), earliest)
    return np.where(missing, np.nan, values), np.where(missing, NEVER_US, due)


def _ahead(label: LabelPlan, table: Table, target: Table) -> tuple[Floats, Ints, Corrections]:
    due = horizon_us(label, table)
    codes, keys = joint_codes([(table.frame, label.row_keys), (target.frame, label.target_keys)])
    if label.value is None:
        amounts = np.ones(len(target), dtype=np.float64)
    else:
        amounts = run(label.value, program_inputs(target, label.value.inputs))[:, 0]
    position = np.arange(len(target), dtype=np.int64)
    order = np.lexsort((position, target.event_us, codes[1]))
    order = order[codes[1][order] >= 0]
    starts = np.searchsorted(codes[1][order], np.arange(keys + 1)).astype(np.int64)
    own = np.arange(len(table), dtype=np.int64)
    if label.source != label.target:
        own = np.full(len(table), ELSEWHERE, dtype=np.int64)
    taken, rank = log_ranks(target)
    records = Counted(
        target.event_us[order],
        target.known_us[order],
        position[order],
        amounts[order],
        rank[order],
    )

    def count(rows: Ints, after: Ints) -> Floats:
        """Return the labels of rows as they are after so many retractions."""
        found: Floats = aggregate_ahead(
            KINDS[label.aggregate],
            codes[0][rows].astype(np.int64),
            table.event_us[rows],
            due[rows],
            own[rows],
            after,
            starts,
            records,
            label.ahead_us,
        )
        return found

    every = np.arange(len(table), dtype=np.int64)
    if not len(taken) or target.retracted_us is None or target.retracted_order is None:
        return count(every, np.zeros(len(table), dtype=np.int64)), due, NOTHING_TOLD
    gone = target.retracted_us[taken]
    values = count(every, np.searchsorted(gone, due, side="right").astype(np.int64))
    rows, after = asked_again(
        taken, target, times=table.event_us, due_us=due, codes=(codes[0], codes[1]),
        ahead_us=label.ahead_us,
    )  # fmt: skip
    by = taken[after - 1]
    told = Corrections(
        rows, count(rows, after), target.retracted_us[by], target.retracted_order[by]
    )
    return values, due, told


class Counted(NamedTuple):
    """The records that labels count, sorted by key, event time and place.

    `taken`: which retraction took a record back, counted from 0; `NEVER_US` for none.
    """

    event_us: Ints
    known_us: Ints
    position: Ints
    amounts: Floats
    taken: Ints


@njit
def aggregate_ahead(  # type: ignore[no-untyped-def]
    kind, codes, times, due, own, after, starts, records, ahead
):
    """Aggregate the `Counted` records in `[t, t + ahead)` known by `due`, for each row.

    A record at exactly `t` of the row's own source counts only if it stands after it (`own` is
    the row's position there, `ELSEWHERE` for another source). `after`: how many retractions a
    row's label knows. The same code serves history and, with one row, a live label.
    """
    event, known, position, amounts, taken = records
    out = np.empty(len(codes), dtype=np.float64)
    for row in range(len(codes)):
        count, total = 0, 0.0
        smallest, largest, first, last = np.inf, -np.inf, np.nan, np.nan
        if codes[row] >= 0:
            low, high = starts[codes[row]], starts[codes[row] + 1]
            begin = low + np.searchsorted(event[low:high], times[row])
            for at in range(begin, high):
                if event[at] >= times[row] + ahead:
                    break
                if known[at] > due[row] or amounts[at] != amounts[at] or taken[at] < after[row]:
                    continue
                if event[at] == times[row] and position[at] <= own[row]:
                    continue
                if count == 0:
                    first = amounts[at]
                count += 1
                total += amounts[at]
                smallest = min(smallest, amounts[at])
                largest = max(largest, amounts[at])
                last = amounts[at]
        if kind == 0:
            out[row] = 1.0 if count > 0 else 0.0
        elif kind == 1:
            out[row] = count
        elif kind == 2:
            out[row] = total
        elif count == 0:
            out[row] = np.nan
        elif kind == 3:
            out[row] = total / count
        elif kind == 4:
            out[row] = smallest
        elif kind == 5:
            out[row] = largest
        elif kind == 6:
            out[row] = first
        else:
            out[row] = last
    return out
