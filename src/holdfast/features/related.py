"""The rows of history that can matter to some rows' features: those of the same keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.data.table import Table
from holdfast.features.plan import Plan

__all__ = ["Reader", "readers_of", "related_tables", "rows_with_keys"]

Rows = npt.NDArray[np.int64]
Marks = list[npt.NDArray[np.bool_]]

VIEW_PARTS = {"source", "keys", "lookup", "values", "spec", "label"}
FUTURE_PARTS = {"source", "keys", "lookup", "values", "windows", "patience_us", "replaces"}
PLAN_PARTS = {"use_case", "each", "task", "schemas", "labels", "views", "features", "program",
              "value", "futures", "holidays", "vias", "constants"}  # fmt: skip
"""What is known here of a plan. Where one says more, its rows are not looked for by key."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One way in which a plan reads a source: rows whose `keys` equal the asking row's `lookup`.

    `keyed` is False where other rows may matter as well.
    """

    source: str
    keys: tuple[str, ...]
    lookup: tuple[str, ...]
    keyed: bool
    label: int = -1


def readers_of(plan: Plan) -> list[Reader]:
    """Return every way in which a plan's features read a source by key."""
    known = _says_no_more(plan, PLAN_PARTS)
    found = [
        Reader(
            source=part.source,
            keys=part.keys,
            lookup=part.lookup,
            keyed=known and _says_no_more(part, parts) and _stored((*part.keys, *part.lookup)),
            label=getattr(part, "label", -1),
        )
        for group, parts in ((plan.views, VIEW_PARTS), (plan.futures, FUTURE_PARTS))
        for part in group
    ]
    if not known:
        found += [Reader(source=n, keys=(), lookup=(), keyed=False) for n in plan.schemas]
    return found


def _stored(attrs: tuple[str, ...]) -> bool:
    """Whether keys are columns of their rows, and not found through a Snapshot."""
    return not any(attr.startswith("~") for attr in attrs)


def _says_no_more(part: Any, parts: set[str]) -> bool:
    """Whether everything that a part of a plan says is known here."""
    return all(one.name in parts or getattr(part, one.name) == one.default for one in fields(part))


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
    for reader in readers_of(plan):
        for mark, part in zip(marks[reader.source], parts, strict=True):
            frame = part[reader.source].frame
            mark |= not reader.keyed or rows_with_keys(frame, reader.keys, asked, reader.lookup)
    for index in sorted({view.label for view in plan.views if view.label >= 0}):
        label = plan.labels[index]
        if label.kind != "ahead":
            continue
        rows = [
            p[label.source].frame.filter(m) for p, m in zip(parts, marks[label.source], strict=True)
        ]
        wanted = pl.concat([frame.select(label.row_keys) for frame in rows])
        for mark, part in zip(marks[label.target], parts, strict=True):
            mark |= rows_with_keys(
                part[label.target].frame, label.target_keys, wanted, label.row_keys
            )
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


def _keep(marks: Marks, kept: Rows) -> None:
    starts = np.cumsum([0, *(len(mark) for mark in marks)])
    for mark, start in zip(marks, starts, strict=False):
        here = kept[(kept >= start) & (kept < start + len(mark))] - start
        mark[here] = True


def rows_with_keys(
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
