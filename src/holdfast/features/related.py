"""The rows of history that can matter to some rows' features: those of the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.data.table import Table
from holdfast.features.future_plan import FuturePlan
from holdfast.features.plan import Plan, ViewPlan

__all__ = ["is_keyed", "related_tables"]

Rows = npt.NDArray[np.int64]
Marks = list[npt.NDArray[np.bool_]]

KEYED = {"source", "keys", "lookup", "values", "spec", "label"}
"""What a view found by its keys alone says; one that says more is replayed whole."""


def related_tables(
    plan: Plan,
    parts: list[Mapping[str, Table]],
    asked: pl.DataFrame,
    *,
    kept: Rows | None = None,
) -> tuple[dict[str, Table], Rows]:
    """Return the rows that the features of the asking rows can depend on, and where `kept` are.

    A view's value depends on the rows of the asking row's key alone, so a replay of these gives
    the same bits as one of everything, at the cost of a few keys. `parts`: tables in log order,
    history before the live log. `asked`: rows of `each`, with the columns that views look up.
    `kept`: rows of `each`, counted through the parts, that stay whatever their key.
    """
    marks = {name: [np.zeros(len(p[name]), dtype=np.bool_) for p in parts] for name in parts[0]}
    for view in plan.views:
        if is_keyed(view):
            _mark(marks[view.source], parts, view, asked)
        else:
            for mark in marks[view.source]:
                mark[:] = True
    for future in plan.futures:
        _mark(marks[future.source], parts, future, asked)
    for index in sorted({view.label for view in plan.views if view.label >= 0}):
        label = plan.labels[index]
        if label.kind != "ahead":
            continue
        rows = [
            p[label.source].frame.filter(m) for p, m in zip(parts, marks[label.source], strict=True)
        ]
        wanted = pl.concat([frame.select(label.row_keys) for frame in rows])
        for mark, part in zip(marks[label.target], parts, strict=True):
            mark |= _found(part[label.target].frame, label.target_keys, wanted, label.row_keys)
    if kept is not None:
        _keep(marks[plan.each], kept)
    whole = {}
    for name, found in marks.items():
        tables = [
            part[name].take(np.flatnonzero(mark)) for part, mark in zip(parts, found, strict=True)
        ]
        whole[name] = tables[0]
        for later in tables[1:]:
            whole[name] = whole[name].extend(later) if len(later) else whole[name]
    if kept is None:
        return whole, np.empty(0, dtype=np.int64)
    return whole, np.cumsum(np.concatenate(marks[plan.each]))[kept].astype(np.int64) - 1


def is_keyed(view: ViewPlan | FuturePlan) -> bool:
    """Whether a view's rows are found by its keys; one with parts unknown here is not."""
    return isinstance(view, FuturePlan) or (
        not view.through
        and all(
            field.name in KEYED or getattr(view, field.name) == field.default
            for field in fields(view)
        )
    )


def _mark(
    marks: Marks,
    parts: list[Mapping[str, Table]],
    view: ViewPlan | FuturePlan,
    asked: pl.DataFrame,
) -> None:
    for mark, part in zip(marks, parts, strict=True):
        mark |= _found(part[view.source].frame, view.keys, asked, view.lookup)


def _keep(marks: Marks, kept: Rows) -> None:
    starts = np.cumsum([0, *(len(mark) for mark in marks)])
    for mark, start in zip(marks, starts, strict=False):
        here = kept[(kept >= start) & (kept < start + len(mark))] - start
        mark[here] = True


def _found(
    frame: pl.DataFrame, keys: tuple[str, ...], asked: pl.DataFrame, lookup: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """Return which rows have one of the asked keys, bool[n]; a missing part is no key."""
    wanted = asked.select(
        pl.col(theirs).alias(f"key{at}") for at, theirs in enumerate(lookup)
    ).drop_nulls()
    if not frame.height or not wanted.height:
        return np.zeros(frame.height, dtype=np.bool_)
    mine = frame.select(pl.col(own).alias(f"key{at}") for at, own in enumerate(keys))
    if len(keys) == 1:
        return mine["key0"].is_in(wanted["key0"].unique().implode()).fill_null(False).to_numpy()
    rows = mine.with_row_index("row").join(wanted.unique(), on=mine.columns, how="semi")
    found = np.zeros(frame.height, dtype=np.bool_)
    found[rows["row"].to_numpy()] = True
    return found
