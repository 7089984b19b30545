"""History and the live log as one: the tables a training set is built from after going live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from holdfast.data.table import Table
from holdfast.features.log import EVENT, OUTCOME, Log, Record
from holdfast.stores.base import OnlineStore, Transaction

__all__ = ["Live", "history_clock_us", "live_records", "live_tables", "with_live"]

BEGINNING_US = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Live:
    """The live log as seen from a history: `new` records lie behind it, `known` ones are in it."""

    new: list[Record]
    known: list[Record]


def history_clock_us(tables: Mapping[str, Table]) -> int:
    """Return when the last row of history was known; the beginning of time when it is empty."""
    ends = [int(table.known_us[-1]) for table in tables.values() if table.frame.height]
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

    A row counts as known when history has a row of its key; outcomes go with their row. The new
    ones were known no sooner than the end of history, which may have grown since they were
    accepted; records of a source that is no longer used are in neither list.
    """
    clock_us = history_clock_us(tables)
    given = log.records(txn) if records is None else records
    asked = [record for record in given if record.source in tables]
    known = _in_history(log, asked, tables)
    live = Live([], [])
    for record in asked:
        offset = int(record.row["offset"]) if record.kind == OUTCOME else record.offset
        if offset in known:
            live.known.append(record)
        else:
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
    later = live_tables(records, tables, label=label)
    return {
        name: table.extend(later[name]) if len(later[name]) else table
        for name, table in tables.items()
    }


def live_tables(
    records: Iterable[Record], tables: Mapping[str, Table], *, label: str = ""
) -> dict[str, Table]:
    """Return live records as tables of their own, in log order, outcomes filled in.

    Some records may be left out: an outcome without its row is.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
    orders: dict[str, list[int]] = {name: [] for name in tables}
    known: dict[str, list[int]] = {name: [] for name in tables}
    place: dict[int, int] = {}
    outcomes: dict[str, list[tuple[int, Any, int]]] = {name: [] for name in tables}
    for record in records:
        if record.kind == OUTCOME:
            where = place.get(int(record.row["offset"]))
            if where is not None and label and label in record.row:
                outcomes[record.source].append((where, record.row[label], record.known_us))
            continue
        place[record.offset] = len(rows[record.source])
        rows[record.source].append(record.row)
        orders[record.source].append(record.offset)
        known[record.source].append(record.known_us)
    found = {}
    for name, live in rows.items():
        outcome_us = np.full(len(live), -1, dtype=np.int64)
        for where, value, known_us in outcomes[name]:
            live[where] = {**live[where], label: value}
            outcome_us[where] = known_us
        found[name] = Table.from_rows(
            tables[name].schema,
            live,
            known_us=np.array(known[name], dtype=np.int64),
            order=np.array(orders[name], dtype=np.int64),
            outcome_us=outcome_us,
            outcome_attr=label,
        )
    return found


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
