"""History and the live log as one: the tables a training set is built from after going live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from holdfast.data.corrections import Corrections
from holdfast.data.table import Table
from holdfast.define.schema import SourceSchema
from holdfast.features.log import EVENT, RETRACT, Log, Record
from holdfast.stores.base import OnlineStore, Transaction

__all__ = [
    "BEFORE_LIVE",
    "Live",
    "has_label",
    "history_clock_us",
    "live_parts",
    "live_records",
    "live_tables",
    "with_live",
]

BEGINNING_US = -(1 << 62)

BEFORE_LIVE = 1 << 50
"""Rows of history stand this far before the log's first offset, whatever history's length."""


@dataclass(frozen=True, slots=True)
class Live:
    """The live log as seen from a history: `new` records lie behind it, `known` ones are in it."""

    new: list[Record]
    known: list[Record]


def history_clock_us(tables: Mapping[str, Table]) -> int:
    """Return when history ends: the last row known, or taken back; else the beginning of time."""
    ends = [table.end_us for table in tables.values() if table.frame.height]
    return max(ends, default=BEGINNING_US)


def live_records(
    log: Log,
    txn: Transaction,
    tables: Mapping[str, Table],
    *,
    records: Iterable[Record] | None = None,
) -> Live:
    """Return the log's records in their order, split by whether history has them by now.

    `records`: those of the log that are asked about; all of them where it is not given.

    A row counts as known when history has a row of its key; outcomes go with their row, and so
    does what takes it back, unless history does not say so. The new ones were known no sooner
    than the end of history, which may have grown since they were accepted; records of a source
    that is no longer used are in neither list.
    """
    clock_us = history_clock_us(tables)
    given = log.records(txn) if records is None else records
    asked = [record for record in given if record.source in tables]
    known = _in_history(log, asked, tables)
    live = Live([], [])
    for record in asked:
        offset = record.offset if record.kind == EVENT else int(record.row["offset"])
        if offset in known and record.kind == RETRACT:
            record = replace(record, row={**record.row, "offset": -1})
        elif offset in known:
            live.known.append(record)
            continue
        live.new.append(replace(record, known_us=max(clock_us, record.known_us)))
    return live


def with_live(
    log: Log, store: OnlineStore, tables: Mapping[str, Table], *, label: str = ""
) -> dict[str, Table]:
    """Return the tables with the log's rows behind history, in log order, outcomes filled in.

    `label` is the attr of the label column that outcomes carry, "" where the label lies ahead.
    """
    with store.transaction(write=False) as txn:
        records = live_records(log, txn, tables).new
    history, later = live_parts(records, tables, label=label)
    return {
        name: table.extend(later[name]) if len(later[name]) else table
        for name, table in history.items()
    }


def live_parts(
    records: Sequence[Record], tables: Mapping[str, Table], *, label: str = ""
) -> tuple[dict[str, Table], dict[str, Table]]:
    """Return history, with what the log took back of it, and the live records as tables."""
    back: dict[str, dict[str, Record]] = {}
    for record in records:
        if record.kind == RETRACT and int(record.row["offset"]) < 0:
            back.setdefault(record.source, {}).setdefault(str(record.row["key"]), record)
    history = dict(tables)
    for name, taken in back.items():
        table = tables[name]
        if not table.schema.key:
            continue
        keys = table.frame.get_column(table.schema.key)
        rows = np.flatnonzero(keys.is_in(list(taken)).fill_null(False).to_numpy())
        found = [taken[key] for key in keys[rows].to_list()]
        at_us = np.array([record.known_us for record in found], dtype=np.int64)
        order = np.array([record.offset for record in found], dtype=np.int64)
        history[name] = table.retracted(rows, at_us, order)
    return history, live_tables(records, tables, label=label)


def live_tables(
    records: Iterable[Record], tables: Mapping[str, Table], *, label: str = ""
) -> dict[str, Table]:
    """Return live records as tables of their own, in log order.

    The first outcome of a row is in its column, later ones are its corrections. Some records may
    be left out: an outcome without its row is.
    """
    found = {name: _Rows() for name in tables}
    for record in records:
        rows = found[record.source]
        if record.kind == EVENT:
            rows.place[record.offset] = len(rows.events)
            rows.events.append(record)
            continue
        where = rows.place.get(int(record.row["offset"]))
        if where is None:
            continue
        if record.kind == RETRACT:
            rows.retracted.setdefault(where, record)
        elif label and label in record.row:
            rows.told.append((where, record))
    return {name: rows.table(tables[name].schema, label) for name, rows in found.items()}


@dataclass(slots=True)
class _Rows:
    """The live records of one source: rows, and what was told of them later."""

    events: list[Record] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)
    told: list[tuple[int, Record]] = field(default_factory=list)
    retracted: dict[int, Record] = field(default_factory=dict)

    def table(self, schema: SourceSchema, label: str) -> Table:
        content = [record.row for record in self.events]
        outcome_us = np.full(len(content), -1, dtype=np.int64)
        later = []
        for where, record in self.told:
            if outcome_us[where] < 0 and not has_label(schema, content[where], label):
                content[where] = {**content[where], label: record.row[label]}
                outcome_us[where] = record.known_us
            else:
                later.append((where, record))
        table = Table.from_rows(
            schema,
            content,
            known_us=np.array([record.known_us for record in self.events], dtype=np.int64),
            order=np.array([record.offset for record in self.events], dtype=np.int64),
            outcome_us=outcome_us,
            outcome_attr=label,
        )
        if later:
            corrections = Corrections(
                np.array([where for where, _ in later], dtype=np.int64),
                np.array([float(record.row[label]) for _, record in later]),
                np.array([record.known_us for _, record in later], dtype=np.int64),
                np.array([record.offset for _, record in later], dtype=np.int64),
            )
            table = replace(table, corrections=corrections)
        return table.retracted(
            np.array(list(self.retracted), dtype=np.int64),
            np.array([record.known_us for record in self.retracted.values()], dtype=np.int64),
            np.array([record.offset for record in self.retracted.values()], dtype=np.int64),
        )


def has_label(schema: SourceSchema, row: Mapping[str, Any], label: str) -> bool:
    """Return whether a row came with its label, and with the moment from which it counts."""
    if not label or row.get(label) is None:
        return False
    known_at = schema.column(label).known_at
    return not known_at or row.get(known_at) is not None


def _in_history(log: Log, records: list[Record], tables: Mapping[str, Table]) -> set[int]:
    """Return the offsets of logged rows whose key history has."""
    found: set[int] = set()
    for name, table in tables.items():
        key = log.schemas[name].key
        mine = [r for r in records if r.source == name and r.kind == EVENT and key in r.row]
        if not key or not mine or not table.frame.height:
            continue
        keys = pl.Series("key", [str(record.row[key]) for record in mine], dtype=pl.String)
        there = keys.is_in(table.frame.get_column(key).implode()).to_list()
        found |= {record.offset for record, known in zip(mine, there, strict=True) if known}
    return found
