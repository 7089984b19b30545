"""Micro-batches: many rows of one source accepted and folded in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from holdfast.data.contract import rows_numbers
from holdfast.define.schema import SourceSchema
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
    accepted, fresh = [], []
    for row in rows:
        one = online.accept(txn, source, row)
        accepted.append(one)
        if not one.repeated:
            fresh.append(row)
            online.fold_beside(txn, source, row, one.offset)
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
