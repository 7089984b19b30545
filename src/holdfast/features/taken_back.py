"""The operations of a view whose rows were taken back, or whose labels were corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.data.corrections import NEVER_US, Corrections
from holdfast.data.table import OF_HISTORY, Table
from holdfast.features.labels import first_labels
from holdfast.features.plan import Plan, ViewPlan

__all__ = ["BEGINNING_US", "Changed", "Ordered", "changed_of", "gone_places", "in_log_order"]

BEGINNING_US = np.iinfo(np.int64).min

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Changed:
    """What happened to a view's rows after they were folded.

    `label`: the label folded first, float64[n], None where rows are folded as they come.
    `due_us`: when a row is folded, int64[n]. `changes`: by row and in log order; NaN takes back.
    """

    label: Floats | None
    due_us: Ints
    changes: Corrections


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """Operations in log order, as `ViewOps` has them."""

    entity: Codes
    time: Ints
    action: npt.NDArray[np.int8]
    value_row: Ints
    source_row: Ints
    out_row: Ints
    due_us: Ints


def changed_of(plan: Plan, view: ViewPlan, tables: Mapping[str, Table]) -> Changed | None:
    """Return what happened to a view's rows after they were folded, None where nothing did."""
    source = tables[view.source]
    if view.label < 0:
        rows = np.flatnonzero(source.gone)
        if not len(rows) or source.retracted_us is None or source.retracted_order is None:
            return None
        nothing = np.full(len(rows), np.nan)
        gone = Corrections(rows, nothing, source.retracted_us[rows], source.retracted_order[rows])
        return Changed(None, source.known_us, gone)
    label = plan.labels[view.label]
    touched = bool(source.gone.any()) or len(source.corrections or ()) > 0
    touched = touched or (label.kind == "ahead" and bool(tables[label.target].gone.any()))
    if not touched:
        return None
    values, due, changes = first_labels(label, tables)
    return Changed(values, np.where(np.isnan(values), NEVER_US, due), changes)


def in_log_order(
    each: Table,
    source: Table,
    changed: Changed,
    *,
    codes: tuple[Codes, Codes],
    asked: Ints,
    counted: npt.NDArray[np.bool_],
    together: bool,
) -> Ordered:
    """Return reads, updates and what is taken back in log order.

    A label counts after everything known by then. What takes a row back, or corrects its label,
    stands where the log has it: behind the rows of history known by then, and among live ones.
    `asked`: rows of `each` that are read; `counted`: which rows of the source are folded;
    `together`: they are the same rows, each read and then folded.
    """
    updates = np.flatnonzero(counted & (changed.due_us < NEVER_US))
    matured = changed.label is not None
    if matured:
        updates = updates[np.argsort(changed.due_us[updates], kind="stable")]
    changes = changed.changes.of(counted)
    reads = np.empty(0, dtype=np.int64) if together else asked
    fold, again = 3 if together else 1, np.repeat(changes.rows, 2)
    parts = (len(reads), len(updates), len(again))
    rows = np.concatenate([np.full(len(reads), -1), updates, again])
    known = [each.known_us[reads], changed.due_us[updates], np.repeat(changes.known_us, 2)]
    rank = [
        _rank(each)[reads],
        np.zeros(len(updates)) if matured else _rank(source)[updates],
        np.repeat(changes.order, 2),
    ]
    late = np.repeat(np.array([False, matured, False]), parts)
    before, after = _chained(changes, updates, len(source))
    there = np.stack([before >= 0, after], axis=1).ravel()
    ranks = np.concatenate(rank)
    last = np.where(ranks < -1, ranks + (OF_HISTORY + 1), 0)  # what history itself takes back
    order = np.lexsort((last, np.maximum(ranks, -1), late, np.concatenate(known)))
    order = order[np.concatenate([np.full(len(rows) - len(again), True), there])[order]]
    action = np.repeat(np.array([2, fold, 4], dtype=np.int8), parts)
    action[len(rows) - len(again) + 1 :: 2] = 1
    place = np.full(len(rows), -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    value = rows.copy()
    first = len(rows) - len(again)
    value[first::2] = place[before + len(reads)]
    value[first + 1 :: 2] = len(source) + np.arange(len(changes))
    of_row = np.concatenate([codes[0][reads], codes[1][rows[len(reads) :]]])
    out = np.concatenate([reads, updates if together else np.full(len(updates), -1), 0 * again - 1])
    return Ordered(
        entity=of_row[order],
        time=np.concatenate([each.event_us[reads], source.event_us[rows[len(reads) :]]])[order],
        action=action[order],
        value_row=value[order],
        source_row=rows[order],
        out_row=out[order],
        due_us=np.where(late, np.concatenate(known), BEGINNING_US)[order],
    )


def _chained(changes: Corrections, updates: Ints, rows: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Return which fold each change takes back, -1 for none, and whether it folds a value.

    Folds are counted so: `updates` first, then two for each change, of which the second folds.
    """
    first = np.full(rows, -1, dtype=np.int64)
    first[updates] = np.arange(len(updates))
    folds = ~np.isnan(changes.values)
    own = len(updates) + 2 * np.arange(len(changes)) + 1
    before = first[changes.rows]
    follows = np.flatnonzero(changes.rows[1:] == changes.rows[:-1]) + 1
    before[follows] = np.where(folds[follows - 1], own[follows - 1], -1)
    return before, folds


def gone_places(each: Table, source: Table, log_order: Ints) -> Ints | None:
    """Return the place in the log behind which each record is taken back, int64[m].

    `log_order` has the rows of `each` followed by the source's records; where they are the same,
    the table's own order counts. `NEVER_US` for a record that stays; None where all stay.
    """
    rows = np.flatnonzero(source.gone)
    if not len(rows) or source.retracted_us is None or source.retracted_order is None:
        return None
    known, rank = source.known_us, _rank(source)
    if each is not source:
        known = np.concatenate([each.known_us, known])[log_order]
        rank = np.concatenate([_rank(each), rank])[log_order]
    order = np.lexsort(
        (
            np.concatenate([rank, np.maximum(source.retracted_order[rows], -1)]),
            np.concatenate([known, source.retracted_us[rows]]),
        )
    )
    before = np.cumsum(order < len(known)) - 1
    place = np.empty(len(order), dtype=np.int64)
    place[order] = before
    found = np.full(len(source), NEVER_US)
    found[rows] = place[len(known) :]
    return found


def _rank(table: Table) -> Ints:
    return np.full(len(table), -1, dtype=np.int64) if table.order is None else table.order
