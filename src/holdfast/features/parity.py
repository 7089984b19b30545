"""Parity: training values against served values, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import iso
from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table
from holdfast.features.backfill import backfill
from holdfast.features.behind import Behind
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.stores.base import OnlineStore

__all__ = ["Difference", "Parity", "compare", "entities_of", "joined", "verify_history"]

DIFFERENCES_KEPT_MAX = 100


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One value that training and serving do not agree on, bit for bit.

    `training` is what history and the log say, `serving` what was served. `entity`: the keys of
    its row; `row`: its place in history, or its offset in the log. The first difference of a
    comparison also names its `prediction` and the events `behind` the value.
    """

    feature: str
    row: int
    at: str
    training: float
    serving: float
    entity: dict[str, str] = field(default_factory=dict)
    prediction: str = ""
    behind: tuple[Behind, ...] = ()

    def in_words(self) -> str:
        """Return the difference as one line for a journal: what, whose, when, and behind it."""
        whose = ", ".join(f"{name}={value}" for name, value in self.entity.items())
        said = f"`{self.feature}` of {whose or 'a row without keys'} at {self.at}: "
        said += f"served {self.serving!r}, the log says {self.training!r}"
        if self.prediction:
            said += f" ({self.prediction})"
        for one in self.behind:
            events = ", ".join(
                f"{iso(event.time_us)} {event.key or ''}={event.value}" for event in one.events
            )
            said += f"; {one.what} of {one.counted} {one.source}: {events or 'none'}"
            said += f" and {one.more} more" if one.more else ""
        return said

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data; a missing value is null."""
        return {
            "feature": self.feature,
            "entity": self.entity,
            "row": self.row,
            "at": self.at,
            "training": None if np.isnan(self.training) else self.training,
            "serving": None if np.isnan(self.serving) else self.serving,
            "prediction": self.prediction or None,
            "behind": [one.as_dict() for one in self.behind],
        }


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How many values were compared, how many differ, and the first of those."""

    rows: int
    values: int
    differ: int
    differences: tuple[Difference, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data; a missing value is null."""
        return {
            "rows": self.rows,
            "values": self.values,
            "differ": self.differ,
            "differences": [one.as_dict() for one in self.differences],
        }


def compare(
    names: tuple[str, ...],
    training: npt.NDArray[np.float64],
    serving: npt.NDArray[np.float64],
    *,
    rows: npt.NDArray[np.int64],
    time_us: npt.NDArray[np.int64],
    entities: Sequence[dict[str, str]] = (),
) -> Parity:
    """Compare two matrices of features, float64[n, F], bit for bit; any NaN equals any NaN.

    `entities`: for each row, the keys that it names.
    """
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
            entity=entities[row] if entities else {},
        )
        for row, column in np.argwhere(unequal)[:DIFFERENCES_KEPT_MAX]
    ]
    return Parity(
        rows=len(training),
        values=int(training.size),
        differ=int(unequal.sum()),
        differences=tuple(found),
    )


def joined(found: Sequence[Parity]) -> Parity:
    """Return several comparisons as one."""
    differences = tuple(one for parity in found for one in parity.differences)
    return Parity(
        rows=sum(one.rows for one in found),
        values=sum(one.values for one in found),
        differ=sum(one.differ for one in found),
        differences=differences[:DIFFERENCES_KEPT_MAX],
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
        plan.feature_names,
        training.values[where],
        served,
        rows=where,
        time_us=each.event_us[where],
        entities=entities_of(each, where),
    )


def entities_of(each: Table, rows: npt.NDArray[np.int64]) -> list[dict[str, str]]:
    """Return the keys that some rows name, by column."""
    keys = [column.attr for column in each.schema.columns if column.kind == "key"]
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in each.frame[rows].select(keys).iter_rows(named=True)
    ]


def _later(
    plan: Plan, tables: Mapping[str, Table], earlier: Mapping[str, Table]
) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the rows after the back-fill in log order: known time, `each` first, position.

    Rows of a schedule come last: they stand after everything known at their moment.
    """
    names = [name for name in tables if name != plan.each]
    names.insert(len(names) if plan.schedule else 0, plan.each)
    parts = []
    for rank, name in enumerate(names):
        table, start = tables[name], earlier[name].frame.height
        rows = table.frame[start:].iter_rows(named=True)
        for at, row in enumerate(rows, start=start):
            parts.append((int(table.known_us[at]), rank, at, row))
    parts.sort(key=lambda part: part[:3])
    return [(names[rank], at, row) for _, rank, at, row in parts]
