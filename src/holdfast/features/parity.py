"""Parity: training values against served values, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import iso
from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table
from holdfast.features.backfill import backfill
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.stores.base import OnlineStore

__all__ = ["Difference", "Parity", "compare", "verify_history"]

DIFFERENCES_KEPT_MAX = 100


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One value that training and serving do not agree on."""

    feature: str
    row: int
    at: str
    training: float
    serving: float


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How many values were compared, how many differ, and the first of those."""

    rows: int
    values: int
    differ: int
    differences: tuple[Difference, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data; a missing value is null."""
        shown = [
            {
                "feature": d.feature,
                "row": d.row,
                "at": d.at,
                "training": None if np.isnan(d.training) else d.training,
                "serving": None if np.isnan(d.serving) else d.serving,
            }
            for d in self.differences
        ]
        return {
            "rows": self.rows,
            "values": self.values,
            "differ": self.differ,
            "differences": shown,
        }


def compare(
    names: tuple[str, ...],
    training: npt.NDArray[np.float64],
    serving: npt.NDArray[np.float64],
    *,
    rows: npt.NDArray[np.int64],
    time_us: npt.NDArray[np.int64],
) -> Parity:
    """Compare two matrices of features, float64[n, F], bit for bit; any NaN equals any NaN."""
    unequal = np.ascontiguousarray(training).view(np.int64) != np.ascontiguousarray(serving).view(
        np.int64
    )
    unequal &= ~(np.isnan(training) & np.isnan(serving))
    found = [
        Difference(
            feature=names[column],
            row=int(rows[row]),
            at=iso(int(time_us[row])),
            training=float(training[row, column]),
            serving=float(serving[row, column]),
        )
        for row, column in np.argwhere(unequal)[:DIFFERENCES_KEPT_MAX]
    ]
    return Parity(
        rows=len(training),
        values=int(training.size),
        differ=int(unequal.sum()),
        differences=tuple(found),
    )


def verify_history(
    plan: Plan,
    tables: Mapping[str, Table],
    store: OnlineStore,
    *,
    sample: int,
    training: TrainingSet | None = None,
    progress: Progress = SILENT,
) -> Parity:
    """Serve the last `sample` rows of history one at a time and compare with the training set.

    The state before them comes from a back-fill, so three ways meet: columns, back-fill, and
    one record at a time through the code and the store that serve. `store` must be empty.
    """
    if training is None:
        training = build_training_set(plan, tables, progress=progress)
    each = tables[plan.each]
    start = max(0, each.frame.height - sample)
    if each.frame.height == 0:
        return compare(plan.feature_names, training.values, training.values,
                       rows=np.arange(0), time_us=each.event_us)  # fmt: skip
    cut = int(each.known_us[start]) - 1
    online = OnlineFeatures(plan)
    earlier = {name: table.known_until(cut) for name, table in tables.items()}
    backfill(online, store, earlier, progress=progress)
    first = earlier[plan.each].frame.height
    served = np.empty((each.frame.height - first, len(plan.features)), dtype=np.float64)
    with progress.step("serving history again", total=len(served), unit="rows") as step:
        for name, at, row in _later(plan, tables, earlier):
            with store.transaction(write=True) as txn:
                accepted = online.accept(txn, name, row)
                if name == plan.each:
                    served[at - first] = online.read(txn, row)[0]
                    step.advance(1)
                if not accepted.repeated:
                    online.fold(txn, name, row, accepted.offset)
    where = np.arange(first, each.frame.height)
    return compare(
        plan.feature_names, training.values[where], served, rows=where, time_us=each.event_us[where]
    )


def _later(
    plan: Plan, tables: Mapping[str, Table], earlier: Mapping[str, Table]
) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the rows after the back-fill in log order: known time, `each` first, position."""
    names = [plan.each, *(name for name in tables if name != plan.each)]
    parts = []
    for rank, name in enumerate(names):
        table, start = tables[name], earlier[name].frame.height
        rows = table.frame[start:].iter_rows(named=True)
        for at, row in enumerate(rows, start=start):
            parts.append((int(table.known_us[at]), rank, at, row))
    parts.sort(key=lambda part: part[:3])
    return [(names[rank], at, row) for _, rank, at, row in parts]
