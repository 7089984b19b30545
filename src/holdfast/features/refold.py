"""States folded again: those of the keys that a record taken back, or corrected, had fed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.data.table import Table
from holdfast.features.engine.view import View
from holdfast.features.labels import NEVER_US, label_of_rows
from holdfast.features.live import live_parts, live_records
from holdfast.features.log import EVENT, Record
from holdfast.features.plan import Plan
from holdfast.features.related import readers_of, rows_with_keys
from holdfast.features.training_set import ViewOps, view_ops, with_found_keys
from holdfast.stores.base import Transaction

if TYPE_CHECKING:
    from holdfast.features.online import OnlineFeatures

__all__ = ["Changed", "refold_states"]

Row = Mapping[str, Any]
Changed = tuple[str, Row]
"""A record that no longer counts as it did: its source and its row."""

Key = tuple[str, ...]
Keys = dict[int, set[Key]]


def refold_states(online: OnlineFeatures, txn: Transaction, changed: Iterable[Changed]) -> None:
    """Fold the keys that some records had fed again, from history and the log as they are now.

    The engine's own operations of these keys are replayed, so the states have the bits of a
    replay. The log is read through once or twice; history is asked for the keys alone.
    """
    changed = list(changed)
    if not changed:
        return
    wanted = _Wanted(online.plan)
    for name, row in changed:
        wanted.add(name, row)
    history = online.history()
    wanted.rows_of_labels(history, _events(online, txn))
    tables = with_found_keys(online.plan, _related(online, txn, wanted, history))
    clock_us = online.log.head(txn).clock_us
    labels = [label_of_rows(one, tables, until_us=NEVER_US - 1) for one in online.plan.labels]
    for number, keys in wanted.views.items():
        view = online.plan.views[number]
        ops = view_ops(online.plan, view, tables, labels=labels, reads=False)
        states = _states(View(view.spec), ops.matured_before(clock_us))
        source = tables[view.source]
        found = dict(_by_key(source, view.keys, ops, states))
        for key in found if keys is None else keys:
            online.views[number].replace(txn, key, found.get(key, b""))
    for number, asked in wanted.futures.items():
        future = online.futures[number]
        source = tables[future.plan.source]
        left = source.take(np.flatnonzero(~source.gone))
        for key in sorted(asked):
            future.refold(txn, dict(zip(future.plan.keys, key, strict=True)), left)


@dataclass
class _Wanted:
    """Keys of views and of futures that are folded again; None for every key of a view."""

    plan: Plan
    views: dict[int, set[Key] | None] = field(default_factory=dict)
    futures: Keys = field(default_factory=dict)
    told: Keys = field(default_factory=dict)
    keyed: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keyed = [reader.keyed for reader in readers_of(self.plan)]

    def add(self, source: str, row: Row) -> None:
        """Want the keys that a row feeds, and the labels that count it."""
        plan = self.plan
        for number, view in enumerate(plan.views):
            if view.source == source:
                self._view(number, row)
        for number, future in enumerate(plan.futures):
            if future.source == source:
                _put(self.futures, number, key_of(row, future.keys))
        for index in {view.label for view in plan.views if view.label >= 0}:
            label = plan.labels[index]
            if label.kind == "ahead" and label.target == source:
                _put(self.told, index, key_of(row, label.target_keys))

    def rows_of_labels(self, history: Mapping[str, Table], events: Iterable[Record]) -> None:
        """Want the keys that the rows of the labels told of feed."""
        plan = self.plan
        for index, keys in self.told.items():
            label = plan.labels[index]
            frame = history[label.source].frame
            for row in frame.filter(_with_keys(frame, label.row_keys, keys)).iter_rows(named=True):
                self._label_row(index, row)
        if not self.told:
            return
        for record in events:
            for index, keys in self.told.items():
                label = plan.labels[index]
                if record.source == label.source and key_of(record.row, label.row_keys) in keys:
                    self._label_row(index, record.row)

    def feeds(self, source: str, row: Row) -> bool:
        """Return whether a row belongs to a key that is folded again."""
        for number, keys in self.views.items():
            view = self.plan.views[number]
            if view.source == source and (keys is None or key_of(row, view.keys) in keys):
                return True
        return any(
            self.plan.futures[number].source == source
            and key_of(row, self.plan.futures[number].keys) in keys
            for number, keys in self.futures.items()
        )

    def counted(self, frames: Mapping[str, pl.DataFrame], rows: Iterable[Record]) -> Keys:
        """Return the keys by which the labels of rows folded again find their records."""
        found: Keys = {}
        indices = {self.plan.views[number].label for number in self.views} - {-1}
        aheads = [i for i in indices if self.plan.labels[i].kind == "ahead"]
        for index in aheads:
            label = self.plan.labels[index]
            for part in frames[label.source].select(label.row_keys).unique().iter_rows():
                _put(found, index, part if None not in part else None)
        for record in rows:
            for index in aheads:
                label = self.plan.labels[index]
                if record.source == label.source:
                    _put(found, index, key_of(record.row, label.row_keys))
        return found

    def _label_row(self, index: int, row: Row) -> None:
        for number, view in enumerate(self.plan.views):
            if view.label == index:
                self._view(number, row)

    def _view(self, number: int, row: Row) -> None:
        view = self.plan.views[number]
        if not self.keyed[number]:
            self.views[number] = None
            return
        key, keys = key_of(row, view.keys), self.views.setdefault(number, set())
        if key is not None and keys is not None:
            keys.add(key)


def key_of(row: Row, attrs: tuple[str, ...]) -> Key | None:
    """Return the key of a row as texts, None where a part of it is missing."""
    parts = tuple(row.get(attr) for attr in attrs)
    return None if None in parts else tuple(str(part) for part in parts)


def _put(keys: Keys, number: int, key: Key | None) -> None:
    if key is not None:
        keys.setdefault(number, set()).add(key)


def _folded(online: OnlineFeatures, txn: Transaction) -> Iterable[Record]:
    """Yield the log as far as it is folded: beside a service it may already go on."""
    return online.log.records(txn, 0, online.log.head(txn).next_offset)


def _events(online: OnlineFeatures, txn: Transaction) -> Iterable[Record]:
    return (record for record in _folded(online, txn) if record.kind == EVENT)


def _related(
    online: OnlineFeatures, txn: Transaction, wanted: _Wanted, history: Mapping[str, Table]
) -> dict[str, Table]:
    """Return the rows of the wanted keys, and what their labels count, history before the log."""
    records = [
        record
        for record in _folded(online, txn)
        if record.kind != EVENT or wanted.feeds(record.source, record.row)
    ]
    marks = {name: np.zeros(len(table), dtype=np.bool_) for name, table in history.items()}
    for number, keys in wanted.views.items():
        view = online.plan.views[number]
        marks[view.source] |= _with_keys(history[view.source].frame, view.keys, keys)
    for number, keys in wanted.futures.items():
        future = online.plan.futures[number]
        marks[future.source] |= _with_keys(history[future.source].frame, future.keys, keys)
    frames = {name: table.frame.filter(marks[name]) for name, table in history.items()}
    counted = wanted.counted(frames, [one for one in records if one.kind == EVENT])
    for index, keys in counted.items():
        label = online.plan.labels[index]
        marks[label.target] |= _with_keys(history[label.target].frame, label.target_keys, keys)
    if counted:
        there = {record.offset for record in records}
        for record in _events(online, txn):
            if record.offset not in there and _counts(online.plan, counted, record):
                records.append(record)
        records.sort(key=lambda record: record.offset)
    live = live_records(online.log, txn, history, records=records).new
    few = {name: table.take(np.flatnonzero(marks[name])) for name, table in history.items()}
    before, later = live_parts(live, few, label=online.plan.labels[0].column)
    return {name: before[name].extend(later[name]) for name in before}


def _counts(plan: Plan, counted: Keys, record: Record) -> bool:
    return any(
        plan.labels[index].target == record.source
        and key_of(record.row, plan.labels[index].target_keys) in keys
        for index, keys in counted.items()
    )


def _with_keys(
    frame: pl.DataFrame, attrs: tuple[str, ...], keys: set[Key] | None
) -> npt.NDArray[np.bool_]:
    """Return which rows have one of some keys, bool[n]; every row where no keys are named."""
    if keys is None:
        return np.ones(frame.height, dtype=np.bool_)
    names = [f"part{at}" for at in range(len(attrs))]
    asked = pl.DataFrame(sorted(keys), schema=dict.fromkeys(names, pl.String), orient="row")
    texts = frame.select(pl.col(attr).cast(pl.String) for attr in attrs)
    return rows_with_keys(texts, attrs, asked, tuple(names))


def _states(view: View, ops: ViewOps) -> list[bytes]:
    """Return the state of each entity after some operations."""
    result = view.replay(
        entity=ops.entity,
        time=ops.time,
        action=ops.action,
        value_row=ops.value_row,
        values=ops.values,
        out_row=ops.out_row,
        outputs=0,
        states=True,
    )
    states = result.states or []
    return states + [b""] * (ops.keys - len(states))


def _by_key(
    source: Table, attrs: tuple[str, ...], ops: ViewOps, states: list[bytes]
) -> Iterable[tuple[Key, bytes]]:
    """Yield the keys of a source with their states; of a key that folds nothing, none."""
    rows = ops.rows_of_source
    first = np.full(ops.keys, -1, dtype=np.int64)
    first[ops.entity[::-1]] = rows[::-1]
    codes = np.flatnonzero(first >= 0)
    frame = source.frame.select(attrs)[first[codes]]
    for code, parts in zip(codes.tolist(), frame.iter_rows(), strict=True):
        yield tuple(str(part) for part in parts), states[code]
