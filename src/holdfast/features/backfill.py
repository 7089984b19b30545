"""Back-fill: the state that history leaves behind, written to an online store in one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from holdfast.core.fingerprint import fingerprint
from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table, encode_key
from holdfast.features.engine import View
from holdfast.features.labels import NEVER_US, label_of_rows
from holdfast.features.log import Head
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import ViewPlan
from holdfast.features.training_set import view_ops
from holdfast.stores.base import OnlineStore

__all__ = ["backfill", "history_fingerprint", "is_current"]

BATCH_KEYS = 50_000


def history_fingerprint(online: OnlineFeatures, tables: Mapping[str, Table]) -> str:
    """Return the name of the state that this history and this plan leave behind."""
    spans = {
        name: [
            table.frame.height,
            int(table.known_us[-1]) if table.frame.height else 0,
            int(table.event_us.sum(dtype=np.int64)) if table.frame.height else 0,
        ]
        for name, table in tables.items()
    }
    return fingerprint([online.plan.fingerprint, spans])


def is_current(online: OnlineFeatures, store: OnlineStore, tables: Mapping[str, Table]) -> bool:
    """Return whether the store holds the state of this history and this plan."""
    with store.transaction(write=False) as txn:
        return txn.get("meta", b"history") == history_fingerprint(online, tables).encode()


def backfill(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    progress: Progress = SILENT,
) -> Head:
    """Fold history into an empty store and return the head of the log after it.

    Bit for bit what folding the rows one at a time leaves behind. The store counts as filled
    only once the last batch is in, so a crash on the way means doing it again, never half a
    state.
    """
    clock = max((int(t.known_us[-1]) for t in tables.values() if t.frame.height), default=0)
    head = Head(clock, sum(table.frame.height for table in tables.values()))
    labels = [label_of_rows(label, tables, until_us=NEVER_US - 1) for label in online.plan.labels]
    total = sum(tables[view.source].frame.height for view in online.plan.views)
    with progress.step("filling the online store", total=total, unit="events") as step:
        for number, view in enumerate(online.plan.views):
            _fill_view(online, store, tables, number=number, labels=labels, clock=clock)
            step.advance(tables[view.source].frame.height)
        _fill_waiting(online, store, tables, labels=labels, clock=clock)
        _fill_seen(online, store, tables)
    with store.transaction(write=True) as txn:
        online.log.set_head(txn, head)
        txn.put("meta", b"version", b"1")
        txn.put("meta", b"history", history_fingerprint(online, tables).encode())
    store.sync()
    return head


def _fill_view(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    number: int,
    labels: list[tuple[np.ndarray, np.ndarray]],
    clock: int,
) -> None:
    view = online.plan.views[number]
    ops = view_ops(online.plan, view, tables, labels=labels, reads=False)
    kept = np.arange(len(ops.time))
    if view.label >= 0:  # what matures at the clock or later still waits
        kept = np.flatnonzero(labels[view.label][1][ops.update_rows] < clock)
    result = View(view.spec).replay(
        entity=ops.entity[kept],
        time=ops.time[kept],
        action=ops.action[kept],
        value_row=ops.value_row[kept],
        values=ops.values,
        out_row=ops.out_row[kept],
        outputs=0,
        states=True,
    )
    first = _first_rows(ops.entity[kept], ops.value_row[kept], ops.keys)
    keys = _key_rows(tables[view.source], view, first)
    states = result.states or []
    batch: list[tuple[bytes, bytes]] = []
    for code, key in keys:
        if states[code]:
            batch.append((online.views[number].prefix + key, states[code]))
    batch.sort()
    for start in range(0, len(batch), BATCH_KEYS):
        with store.transaction(write=True) as txn:
            for name, state in batch[start : start + BATCH_KEYS]:
                txn.put("state", name, state)


def _first_rows(entity: np.ndarray, rows: np.ndarray, keys: int) -> np.ndarray:
    """Return one row of the source for each entity code, -1 where it has none."""
    first = np.full(keys, -1, dtype=np.int64)
    first[entity[::-1]] = rows[::-1]
    return first


def _key_rows(table: Table, view: ViewPlan, first: np.ndarray) -> Iterator[tuple[int, bytes]]:
    codes = np.flatnonzero(first >= 0)
    frame = table.frame.select(view.keys)[first[codes]]
    for code, values in zip(codes.tolist(), frame.iter_rows(), strict=True):
        yield code, encode_key([str(value) for value in values])


def _fill_waiting(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    labels: list[tuple[np.ndarray, np.ndarray]],
    clock: int,
) -> None:
    maturity = online.maturity
    with store.transaction(write=True) as txn:
        for index in maturity.used:
            label = online.plan.labels[index]
            table = tables[label.source]
            values, due = labels[index]
            if label.kind == "ahead":
                target = tables[label.target]
                recent = np.flatnonzero(target.event_us >= clock - label.ahead_us)
                for at, row in zip(recent, target.frame[recent].iter_rows(named=True), strict=True):
                    maturity.add_target(
                        txn,
                        index,
                        row,
                        time_us=int(target.event_us[at]),
                        known_us=int(target.known_us[at]),
                        position=int(at),
                    )
            waiting = np.flatnonzero((due >= clock) & (due < NEVER_US))
            for at, row in zip(waiting, table.frame[waiting].iter_rows(named=True), strict=True):
                value = float(values[at]) if label.kind == "column" else None
                maturity.wait(
                    txn,
                    index,
                    row,
                    time_us=int(table.event_us[at]),
                    due=int(due[at]),
                    offset=int(at),
                    value=value,
                )


def _fill_seen(online: OnlineFeatures, store: OnlineStore, tables: Mapping[str, Table]) -> None:
    for name, table in tables.items():
        key = table.schema.key
        if not key:
            continue
        prefix = f"{name}\x00".encode()
        values = table.frame.get_column(key).drop_nulls().to_list()
        names = sorted((prefix + str(value).encode(), at) for at, value in enumerate(values))
        for start in range(0, len(names), BATCH_KEYS):
            with store.transaction(write=True) as txn:
                online.log.remember(txn, iter(names[start : start + BATCH_KEYS]))
