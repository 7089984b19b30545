"""Catching up: the part of the live log that a plan's state has not folded yet."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from holdfast.core.clock import monotonic_s
from holdfast.data.table import Table
from holdfast.features.live import live_records
from holdfast.features.log import EVENT, Head, Record
from holdfast.features.online import OnlineFeatures
from holdfast.features.paced import Rest
from holdfast.stores.base import OnlineStore, Transaction

__all__ = ["LOOKED_AT", "PIECE_RECORDS", "behind_by", "catch_up", "fold_rest"]

LOOKED_AT = 4_096
"""Records compared with history at a time."""
PIECE_RECORDS = 64
"""Records folded in one transaction beside a service, so that no request waits for long."""


def behind_by(online: OnlineFeatures, txn: Transaction) -> int:
    """Return how many offsets a plan's state lies behind the log."""
    return max(0, online.log.next_offset(txn) - online.log.head(txn).next_offset)


def catch_up(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    rest: Rest | None = None,
) -> int:
    """Fold what the log holds beyond a plan's state, and return how many records that were.

    State and place in the log change in one transaction, so a crash loses nothing and folds
    nothing twice. With `rest` it is done in small pieces, with a rest after each.
    """
    folded = 0
    online.history = lambda: tables
    while True:
        with store.transaction(write=False) as txn:
            start = online.log.head(txn).next_offset
            found = list(islice(online.log.records(txn, start), LOOKED_AT))
            new = _new(online, txn, tables, found)
        if not found:
            return folded
        size = PIECE_RECORDS if rest else LOOKED_AT
        for at in range(0, len(found), size):
            piece, began = found[at : at + size], monotonic_s()
            with store.transaction(write=True) as txn:
                _fold(online, txn, piece, new)
            folded += len(piece)
            if rest is not None:
                rest.after(monotonic_s() - began)


def fold_rest(online: OnlineFeatures, txn: Transaction, tables: Mapping[str, Table]) -> int:
    """Fold what is left of the log within one transaction, and return how many records."""
    start = online.log.head(txn).next_offset
    found = list(online.log.records(txn, start))
    _fold(online, txn, found, _new(online, txn, tables, found))
    return len(found)


def _new(
    online: OnlineFeatures, txn: Transaction, tables: Mapping[str, Table], found: list[Record]
) -> dict[int, Record]:
    """Return the records that history does not have, as known behind it, by offset."""
    here = {record.offset for record in found}
    elsewhere = {int(r.row["offset"]) for r in found if r.kind != EVENT} - here
    rows = [online.log.record(txn, offset) for offset in sorted(elsewhere) if offset >= 0]
    asked = [row for row in rows if row is not None] + found
    new = live_records(online.log, txn, tables, records=asked).new
    return {record.offset: record for record in new if record.offset in here}


def _fold(
    online: OnlineFeatures, txn: Transaction, piece: list[Record], new: Mapping[int, Record]
) -> None:
    changed = []
    for record in piece:
        if record.offset in new:
            changed += online.refold(txn, new[record.offset])
    online.settle(txn, changed)
    if piece:
        clock_us = online.log.head(txn).clock_us
        online.log.set_head(txn, Head(clock_us, piece[-1].offset + 1))
