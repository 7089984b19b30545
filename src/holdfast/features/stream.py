"""Micro-batches: many rows of one source accepted and folded in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from holdfast.data.contract import rows_numbers
from holdfast.define.schema import SourceSchema
from holdfast.features.log import EVENT, Head, Record
from holdfast.features.online import Accepted, OnlineFeatures, OnlineView
from holdfast.features.rows import run
from holdfast.stores.base import Transaction

__all__ = ["replay_many"]

Row = Mapping[str, Any]


def replay_many(
    online: OnlineFeatures, txn: Transaction, source: str, rows: Sequence[Row]
) -> list[Accepted]:
    """Accept and fold rows of one source in their order; the store ends as after one at a time.

    The states of rows as they come depend on nothing else in the batch, so each key's state is
    read, folded and written once. What waits for labels is noted row by row.
    """
    log, accepted, fresh = online.log, list[Accepted](), list[Row]()
    head = log.head(txn)
    clock, offset = head.clock_us, head.next_offset
    beside = bool(online.futures or online.maturity.used)
    names = [log.key_of(source, row) for row in rows]
    asked = [name for name in names if name]
    known = dict(zip(asked, txn.get_many("seen", asked), strict=True)) if asked else {}
    mine: dict[bytes, int] = {}
    for name, row in zip(names, rows, strict=True):
        if name and (name in mine or known[name] is not None):
            before, answer = (mine[name], None) if name in mine else log.place(known[name] or b"")
            accepted.append(Accepted(before, True, answer))
            continue
        clock = max(clock, log.known_us(source, row))
        if online.maturity.used:
            online.maturity.drain(txn, clock)
        record = Record(offset, source, EVENT, clock, dict(row))
        log.put(txn, record)
        if name:
            mine[name] = offset
            log.remember_live(txn, name, record)
        accepted.append(Accepted(offset))
        fresh.append(row)
        offset += 1
        if beside:
            online.fold_beside(txn, source, row, offset=offset - 1, known_us=clock)
    if fresh:
        log.set_head(txn, Head(clock, offset))
    schema = online.plan.schemas[source]
    for view in online.views:
        if fresh and view.plan.source == source and view.plan.label < 0:
            _fold(view, txn, schema, fresh)
    return accepted


def _fold(view: OnlineView, txn: Transaction, schema: SourceSchema, rows: Sequence[Row]) -> None:
    """Fold rows into the states of one view, each state read and written once."""
    places: dict[bytes, list[int]] = {}
    for at, row in enumerate(rows):
        key = view.key(row, view.plan.keys)
        if key is not None:
            places.setdefault(key, []).append(at)
    if not places:
        return
    order = np.array([at for mine in places.values() for at in mine], dtype=np.int64)
    counts = np.array([0, *(len(mine) for mine in places.values())], dtype=np.int64)
    inputs = rows_numbers(schema, rows, view.plan.values.inputs)
    values = run(view.plan.values, inputs) if view.plan.spec.columns else inputs
    event = schema.event_time
    times = np.array([0 if schema.without_time else int(row[event]) for row in rows], np.int64)
    keys = list(places)
    states = [state or b"" for state in txn.get_many("state", keys)]
    folded = view.view.fold(
        states,
        starts=np.cumsum(counts),
        time=times[order],
        action=np.ones(len(order), dtype=np.int8),
        values=values[order],
    )
    for key, state in zip(keys, folded.states, strict=True):
        txn.put("state", key, state)
