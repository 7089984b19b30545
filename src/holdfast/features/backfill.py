"""Back-fill: the state that history and the live log leave behind, written in one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from holdfast.core.fingerprint import fingerprint
from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table, encode_key
from holdfast.features.engine.view import View
from holdfast.features.future_state import fill_futures
from holdfast.features.labels import NEVER_US, horizon_us, label_of_rows, patience_us
from holdfast.features.live import BEFORE_LIVE, history_clock_us, live_records
from holdfast.features.log import Head
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import ViewPlan
from holdfast.features.training_set import view_ops, with_found_keys
from holdfast.stores.base import OnlineStore, Transaction

__all__ = [
    "FIRST_FREE",
    "backfill",
    "comparable_from",
    "forget",
    "history_fingerprint",
    "is_current",
]

FIRST_FREE = b"first free"
"""Where `meta` says below which offset no record may stand, though those there were erased."""

BATCH_KEYS = 50_000
BATCH_RECORDS = 5_000

DERIVED = ("state", "pending", "label", "future", "seen", "meta")
"""The spaces that can be made again from history and the log."""


def history_fingerprint(online: OnlineFeatures, tables: Mapping[str, Table]) -> str:
    """Return the name of the state that this history and this plan leave behind."""
    return fingerprint(
        [online.plan.fingerprint, {name: _content(table) for name, table in tables.items()}]
    )


def is_current(online: OnlineFeatures, store: OnlineStore, tables: Mapping[str, Table]) -> bool:
    """Return whether the store holds the state of this history and this plan."""
    with store.transaction(write=False) as txn:
        return txn.get("meta", b"history") == history_fingerprint(online, tables).encode()


def backfill(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    live: bool = True,
    progress: Progress = SILENT,
) -> Head:
    """Fold history, then the live log behind it, and return the head of the log after both.

    Without `live` the log is left to `catch_up`, which begins at its first record.

    Bit for bit what folding the rows one at a time leaves behind. State from an earlier history
    or plan is dropped first; the log and the predictions stay. The store counts as filled only
    once the last batch is in, so a crash on the way means doing it again, never half a state.
    """
    clock = history_clock_us(tables)
    whole, tables = tables, with_found_keys(online.plan, tables)
    online.history = lambda: whole
    with store.transaction(write=True) as txn:
        since, first_free = txn.get("meta", b"since"), txn.get("meta", FIRST_FREE)
        for space in DERIVED:
            txn.clear(space)
        if since is not None:
            txn.put("meta", b"since", since)
        behind = online.log.next_offset(txn)
        if first_free is not None:
            txn.put("meta", FIRST_FREE, first_free)
            behind = max(behind, int.from_bytes(first_free))
    head = Head(clock, max(behind, sum(table.frame.height for table in tables.values())))
    labels = [label_of_rows(label, tables, until_us=NEVER_US - 1) for label in online.plan.labels]
    total = sum(tables[view.source].frame.height for view in online.plan.views)
    with progress.step("filling the online store", total=total, unit="events") as step:
        for number, view in enumerate(online.plan.views):
            _fill_view(online, store, tables, number=number, labels=labels, clock=clock)
            step.advance(tables[view.source].frame.height)
        _fill_waiting(online, store, tables, labels=labels, clock=clock)
        fill_futures(online.futures, store, tables)
        _fill_seen(online, store, tables)
    tables = whole
    if live:
        clock = _refold(online, store, tables, clock=clock, progress=progress)
    head = Head(clock, head.next_offset if live else 0)
    with store.transaction(write=True) as txn:
        online.log.set_head(txn, head)
        txn.put("meta", b"version", b"1")
        made_of = history_fingerprint(online, tables).encode()
        if since is None or since[8:] != made_of:  # what was served before had another state
            txn.put("meta", b"since", head.next_offset.to_bytes(8) + made_of)
        txn.put("meta", b"history", made_of)
    store.sync()
    return head


def forget(txn: Transaction) -> None:
    """Let the next start make the state again, because some of it is damaged."""
    txn.delete("meta", b"history")


def comparable_from(txn: Transaction) -> int:
    """Return the first offset that was served on the history and the plan of now."""
    found = txn.get("meta", b"since")
    return int.from_bytes(found[:8]) if found else 0


def _content(table: Table) -> list[Any]:
    """Return what changes when any value, any time or the order of a table changes."""
    rows = table.frame.hash_rows(seed=0).to_numpy()
    place = np.arange(1, len(rows) + 1, dtype=np.uint64)
    times = np.array([table.known_us.sum(dtype=np.int64), table.event_us.sum(dtype=np.int64)])
    return [len(rows), int((rows * place).sum(dtype=np.uint64)), times.tolist()]


def _refold(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    clock: int,
    progress: Progress,
) -> int:
    """Fold what the live log holds beyond history, and return the clock after it."""
    with store.transaction(write=False) as txn:
        live = live_records(online.log, txn, tables)
    if not live.new and not live.known:
        return clock
    total, changed = len(live.new), []
    with progress.step("folding the live log again", total=total, unit="events") as step:
        for start in range(0, len(live.new), BATCH_RECORDS):
            batch = live.new[start : start + BATCH_RECORDS]
            with store.transaction(write=True) as txn:
                for record in batch:
                    changed += online.refold(txn, record)
            step.advance(len(batch))
        if changed:
            with store.transaction(write=True) as txn:
                online.settle(txn, changed)
        with store.transaction(write=True) as txn:
            for record in live.known:
                if record.prediction is not None:
                    online.log.link(txn, record.source, record.row, record.prediction)
    return live.new[-1].known_us if live.new else clock


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
    ops = view_ops(online.plan, view, tables, labels=labels, reads=False).matured_before(clock)
    result = View(view.spec).replay(
        entity=ops.entity,
        time=ops.time,
        action=ops.action,
        value_row=ops.value_row,
        values=ops.values,
        out_row=ops.out_row,
        outputs=0,
        states=True,
    )
    first = _first_rows(ops.entity, ops.rows_of_source, ops.keys)
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
                patience = patience_us(label, table.schema)
                recent = np.flatnonzero((target.event_us >= clock - patience) & ~target.gone)
                due = horizon_us(label, table)  # a label without a value yet waits as well
                never = (table.known_us - table.event_us > patience) | table.gone
                due = np.where(never, NEVER_US, due)
                for at, row in zip(recent, target.frame[recent].iter_rows(named=True), strict=True):
                    maturity.add_target(
                        txn,
                        index,
                        row,
                        time_us=int(target.event_us[at]),
                        known_us=int(target.known_us[at]),
                        position=int(at) - BEFORE_LIVE,
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
                    offset=int(at) - BEFORE_LIVE,
                    value=value,
                )


def _fill_seen(online: OnlineFeatures, store: OnlineStore, tables: Mapping[str, Table]) -> None:
    for name, table in tables.items():
        key = table.schema.key
        if not key:
            continue
        prefix = f"{name}\x00".encode()
        values = table.frame.get_column(key).drop_nulls().to_list()
        names = sorted(prefix + str(value).encode() for value in values)
        for start in range(0, len(names), BATCH_KEYS):
            with store.transaction(write=True) as txn:
                online.log.remember(txn, names[start : start + BATCH_KEYS])
        gone = table.frame.get_column(key).filter(table.gone).drop_nulls()
        with store.transaction(write=True) as txn:
            online.later.remember(txn, name, gone.to_list())
