"""History and the live log as one: the tables a training set is built from after going live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from holdfast.data.table import Table
from holdfast.features.log import OUTCOME, Log
from holdfast.stores.base import OnlineStore

__all__ = ["with_live"]


def with_live(
    log: Log, store: OnlineStore, tables: Mapping[str, Table], *, label: str = ""
) -> dict[str, Table]:
    """Return the tables with the log's rows behind history, in log order, outcomes filled in.

    `label` is the attr of the label column that outcomes carry, "" where the label lies ahead.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
    orders: dict[str, list[int]] = {name: [] for name in tables}
    known: dict[str, list[int]] = {name: [] for name in tables}
    place: dict[int, int] = {}
    outcomes: dict[str, list[tuple[int, Any, int]]] = {name: [] for name in tables}
    with store.transaction(write=False) as txn:
        for record in log.records(txn):
            if record.source not in rows:
                continue
            if record.kind == OUTCOME:
                where = place.get(int(record.row["offset"]))
                if where is not None and label:
                    outcomes[record.source].append((where, record.row[label], record.known_us))
                continue
            place[record.offset] = len(rows[record.source])
            rows[record.source].append(record.row)
            orders[record.source].append(record.offset)
            known[record.source].append(record.known_us)
    whole = dict(tables)
    for name, live in rows.items():
        if not live:
            continue
        outcome_us = np.full(len(live), -1, dtype=np.int64)
        for where, value, known_us in outcomes[name]:
            live[where] = {**live[where], label: value}
            outcome_us[where] = known_us
        added = Table.from_rows(
            tables[name].schema,
            live,
            known_us=np.array(known[name], dtype=np.int64),
            order=np.array(orders[name], dtype=np.int64),
            outcome_us=outcome_us,
        )
        whole[name] = tables[name].extend(added)
    return whole
