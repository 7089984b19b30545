"""The live log: every event and outcome accepted, in one total order, each applied once."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.define.schema import SourceSchema
from holdfast.errors import StoreError
from holdfast.stores.base import OnlineStore, Transaction

__all__ = [
    "EVENT",
    "OUTCOME",
    "RETRACT",
    "SPACES",
    "Head",
    "Log",
    "Record",
    "event_prefix",
    "open_spaces",
    "packed_text",
]

SPACES = ("log", "state", "pending", "label", "future", "seen", "meta", "predictions")
"""The spaces of an online store that holds a log and the state folded from it."""

EVENT, OUTCOME, RETRACT = 0, 1, 2
"""What a record is: a row; the label of a row (`offset`); that a row is taken back.

A `RETRACT` record names its row by `offset`, -1 for a row of history, and by `key`, if it has one.
"""
_HEAD = struct.Struct(">qq")
_OFFSET = struct.Struct(">q")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_OF_HISTORY = _pack([-1, None])


@dataclass(frozen=True, slots=True)
class Head:
    """Where the log stands: its clock (us, never goes back) and the next offset."""

    clock_us: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Record:
    """One accepted record. `known_us` is the log's clock when it was accepted.

    `prediction` is the id of the answer given for it, None where none was asked.
    """

    offset: int
    source: str
    kind: int
    known_us: int
    row: dict[str, Any]
    prediction: str | None = None


class Log:
    """The log inside an online store; written only within a transaction of its caller.

    Offsets go up by one. A row of a source with a key of its own is accepted once: the second
    time `find` says where the first one is.
    """

    def __init__(self, schemas: Mapping[str, SourceSchema]) -> None:
        self.schemas = dict(schemas)

    def head(self, txn: Transaction) -> Head:
        """Return where the log stands; offset 0 and the beginning of time when it is empty."""
        found = txn.get("meta", b"head")
        return Head(*_HEAD.unpack(found)) if found else Head(-(1 << 62), 0)

    def set_head(self, txn: Transaction, head: Head) -> None:
        """Move the head: after an append, or after history was folded in."""
        txn.put("meta", b"head", _HEAD.pack(head.clock_us, head.next_offset))

    def known_us(self, source: str, row: Mapping[str, Any]) -> int:
        """Return when a row says it was known: its `KnownTime`, else its event time and lag."""
        schema = self.schemas[source]
        if schema.without_time:
            return 0
        if schema.known_time and row.get(schema.known_time) is not None:
            return int(row[schema.known_time])
        return int(row[schema.event_time]) + schema.lag_us

    def find(self, txn: Transaction, source: str, row: Mapping[str, Any]) -> list[Any] | None:
        """Return `[offset, prediction id or None]` of the row with this key, if there is one.

        A row of history has offset -1: the log does not hold it.
        """
        name = self.key_of(source, row)
        found = txn.get("seen", name) if name else None
        return None if found is None else list(_unpack(found))

    def key_of(self, source: str, row: Mapping[str, Any]) -> bytes:
        """Return the name under which a row with a key of its own is remembered, else b""."""
        key = self.schemas[source].key
        value = row.get(key) if key else None
        return b"" if value is None else f"{source}\x00{value}".encode()

    def append(
        self,
        txn: Transaction,
        source: str,
        row: Mapping[str, Any],
        *,
        head: Head,
        kind: int = EVENT,
        prediction: str | None = None,
    ) -> Head:
        """Write one record at the head and return the new head; its clock is the record's."""
        record = Record(head.next_offset, source, kind, head.clock_us, dict(row), prediction)
        self.put(txn, record)
        return self.note(txn, record)

    def put(self, txn: Transaction, record: Record) -> None:
        """Write one record at its offset; the head does not move."""
        value = _pack([record.source, record.kind, record.known_us, record.row, record.prediction])
        txn.put("log", _OFFSET.pack(record.offset), value)

    def note(self, txn: Transaction, record: Record) -> Head:
        """Remember the key of a record that the log holds, and move the head behind it."""
        name = self.key_of(record.source, record.row) if record.kind == EVENT else b""
        if name:
            self.remember_live(txn, name, record)
        moved = Head(record.known_us, record.offset + 1)
        self.set_head(txn, moved)
        return moved

    def remember_live(self, txn: Transaction, name: bytes, record: Record) -> None:
        """Remember the key of a live record: its place, and the answer given for it."""
        txn.put("seen", name, _pack([record.offset, record.prediction]))

    def place(self, found: bytes) -> list[Any]:
        """Return `[offset, prediction id or None]` of what is remembered of a key."""
        return list(_unpack(found))

    def next_offset(self, txn: Transaction) -> int:
        """Return the offset behind the last record, 0 when there is none."""
        found = txn.last("log")
        return _OFFSET.unpack(found[0])[0] + 1 if found else 0

    def record(self, txn: Transaction, offset: int) -> Record | None:
        """Return the record at an offset."""
        found = txn.get("log", _OFFSET.pack(offset))
        return None if found is None else _record(offset, found)

    def records(
        self,
        txn: Transaction,
        start: int = 0,
        stop: int | None = None,
        *,
        skip: Callable[[bytes], bool] | None = None,
    ) -> Iterator[Record]:
        """Yield the live records from `start`, in order, up to `stop` (exclusive).

        `skip` is told a record's bytes and says whether it may be left out, unread.
        """
        end = None if stop is None else _OFFSET.pack(stop)
        for key, value in txn.scan("log", _OFFSET.pack(start), end):
            if skip is None or not skip(value):
                yield _record(_OFFSET.unpack(key)[0], value)

    def forget(self, txn: Transaction, offset: int) -> None:
        """Remove a record; its offset stays unused."""
        txn.delete("log", _OFFSET.pack(offset))

    def link(self, txn: Transaction, source: str, row: Mapping[str, Any], prediction: str) -> None:
        """Remember the answer given to a row that the log or history had before it was asked."""
        found = self.find(txn, source, row)
        if found is not None:
            txn.put("seen", self.key_of(source, row), _pack([found[0], prediction]))

    def remember(self, txn: Transaction, names: Iterable[bytes]) -> None:
        """Remember rows of history by their key, so that they are not accepted again."""
        for name in names:
            txn.put("seen", name, _OF_HISTORY)


def event_prefix(source: str) -> bytes:
    """Return the bytes that a logged row of a source begins with."""
    return _pack([source, EVENT, 0, {}, None])[: len(_pack(source)) + 2]


def packed_text(text: str) -> bytes:
    """Return the bytes by which a logged row holds a text."""
    return _pack(text)


def _record(offset: int, value: bytes) -> Record:
    source, kind, known, row, prediction = _unpack(value)
    return Record(offset, source, kind, known, row, prediction)


def open_spaces(store: OnlineStore) -> OnlineStore:
    """Return the store after checking that it has every space the log needs.

    Raises:
        StoreError: HF305 when it was made by another version.
    """
    with store.transaction(write=False) as txn:
        version = txn.get("meta", b"version")
    if version not in (None, b"1"):
        raise StoreError(
            f"the online store has format {version!r}; this version reads format 1",
            code="HF305",
            hint="serve with the version that made it; the folder holds the log, keep it",
        )
    return store
