"""Erasing from a store: every record, answer and state that comes from some keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from holdfast.data.erased import Name, names_of
from holdfast.data.table import encode_key
from holdfast.features.backfill import FIRST_FREE
from holdfast.features.log import EVENT, RETRACT, Log, Record, packed_text
from holdfast.features.slots import ALL_SPACES, REGISTER
from holdfast.stores.base import Transaction

__all__ = ["RAW_BYTES_MIN", "Gone", "erase_from", "occurrences", "rows_of"]

KEPT = ("log", "predictions", REGISTER)
"""The spaces that are not made again from history and the log."""

RAW_BYTES_MIN = 6
"""Bytes of the shortest key that is looked for as it is: shorter ones occur by chance."""

_unpack = msgspec.msgpack.Decoder().decode

IsErased = Callable[[Name], bool]


@dataclass
class Gone:
    """What an entity has in one store: records by offset, and ids of answers."""

    records: dict[int, str] = field(default_factory=dict)
    names: set[Name] = field(default_factory=set)
    predictions: list[bytes] = field(default_factory=list)


def rows_of(
    log: Log, txn: Transaction, is_erased: IsErased, *, each: str, texts: Iterable[str]
) -> Gone:
    """Return what the log holds of erased keys, what refers to it, and the answers about it.

    `each`: the source whose rows are answered. `texts`: the erased key as text; an answer that
    says it anywhere goes too, unless it is so short that it occurs by chance.
    """
    gone = Gone()
    while True:
        found = len(gone.records)
        for record in log.records(txn):
            if record.offset not in gone.records and _goes(log, record, gone, is_erased):
                gone.records[record.offset] = record.source
                schema = log.schemas.get(record.source)
                if record.kind == EVENT and schema is not None and schema.key:
                    own = record.row.get(schema.key)
                    gone.names |= {(schema.name, str(own))} if own is not None else set()
        if len(gone.records) == found:
            break
    needles = [packed_text(text) for text in texts if len(text.encode()) >= RAW_BYTES_MIN]
    for name, packed in txn.scan("predictions"):
        answer = _unpack(packed)
        named = names_of(log.schemas[each], answer["row"])
        if (
            answer["offset"] in gone.records
            or any(one in gone.names or is_erased(one) for one in named)
            or any(needle in packed for needle in needles)
        ):
            gone.predictions.append(name)
    return gone


def _goes(log: Log, record: Record, gone: Gone, is_erased: IsErased) -> bool:
    schema = log.schemas.get(record.source)
    if record.kind != EVENT:
        key = record.row.get("key") if record.kind == RETRACT else None
        name = (record.source, str(key))
        known = key is not None and (name in gone.names or is_erased(name))
        return known or int(record.row["offset"]) in gone.records
    if schema is None:
        return False
    return any(name in gone.names or is_erased(name) for name in names_of(schema, record.row))


def erase_from(log: Log, txn: Transaction, gone: Gone) -> None:
    """Remove records and answers, and all state, which is made again at the next start.

    Offsets are not used again.
    """
    head = log.head(txn)
    stop = max(head.next_offset, log.next_offset(txn))
    for offset in gone.records:
        log.forget(txn, offset)
    for name in gone.predictions:
        txn.delete("predictions", name)
    for space in ALL_SPACES:
        if space not in KEPT:
            txn.clear(space)
        if space.partition(":")[0] == "meta":
            txn.put(space, FIRST_FREE, stop.to_bytes(8))


def occurrences(txn: Transaction, text: str) -> dict[str, int]:
    """Return in how many entries of each space a key stands, as records and states write it."""
    raw = text.encode("utf-8", "surrogatepass")
    needles = [packed_text(text), encode_key([text])]
    needles += [raw] if len(raw) >= RAW_BYTES_MIN else []
    return {
        space: sum(
            any(needle in name or needle in value for needle in needles)
            for name, value in txn.scan(space)
        )
        for space in ALL_SPACES
    }
