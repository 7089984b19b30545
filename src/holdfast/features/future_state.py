"""The known future online: the records of a key that some row may still ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.data.contract import row_numbers
from holdfast.data.table import Table, encode_key
from holdfast.define.schema import SourceSchema
from holdfast.errors import StoreError
from holdfast.features.future import NEVER, amounts_of, look_around, windows_as_numbers
from holdfast.features.future_plan import FuturePlan
from holdfast.features.keys import joint_codes
from holdfast.features.rows import run_row
from holdfast.features.through import key_part
from holdfast.stores.base import OnlineStore, Transaction

__all__ = ["RECORDS_PER_KEY_MAX", "SPACE", "OnlineFuture", "Records", "fill_futures"]

RECORDS_PER_KEY_MAX = 100_000
"""How many records of one key, not forgotten yet, a store holds."""

SPACE = "future"
BATCH_KEYS = 50_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Row = Mapping[str, Any]

_ONE = np.ones(1, dtype=np.int64)
_FIRST, _NONE = np.zeros(1, dtype=np.int64), np.full(1, -1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one key, sorted by event time, those of one moment in log order.

    `events` int64[m]: event times, us; `amounts` float64[C, m]: their values, by column.
    """

    events: Ints
    amounts: Floats

    @classmethod
    def unpack(cls, packed: bytes | None, columns: int) -> Records:
        """Return the records that `pack` wrote."""
        count = len(packed or b"") // (8 * (1 + columns))
        whole = np.frombuffer(bytearray(packed or b""), dtype=np.int64)  # of our own: writable
        return cls(whole[:count], whole[count:].view(np.float64).reshape(columns, count))

    def __len__(self) -> int:
        return len(self.events)

    def pack(self) -> bytes:
        """Return the records as bytes: the event times, then column after column."""
        return self.events.astype("<i8").tobytes() + self.amounts.astype("<f8").tobytes()

    def take(self, where: slice) -> Records:
        """Return some of the records."""
        return Records(self.events[where], self.amounts[:, where])

    def since(self, oldest_us: int) -> Records:
        """Return the records that happened at a moment or after it."""
        return self.take(slice(int(np.searchsorted(self.events, oldest_us)), None))

    def plus(self, time_us: int, amounts: Floats, *, replaces: bool) -> Records:
        """Return the records with the log's next one; it may replace the one of its moment."""
        at = int(np.searchsorted(self.events, time_us, side="right"))
        again = replaces and at > 0 and self.events[at - 1] == time_us
        before, after = self.take(slice(at - again)), self.take(slice(at, None))
        return Records(
            np.concatenate([before.events, [time_us], after.events]),
            np.concatenate([before.amounts, amounts[:, None], after.amounts], axis=1),
        )


class OnlineFuture:
    """The records of one `FuturePlan` in a store, one entry per key.

    An entry is what the key's records in log order leave behind. Whatever wrote it, one record
    at a time or a back-fill, the bytes are the same.
    """

    def __init__(self, plan: FuturePlan) -> None:
        self.plan = plan
        self.prefix = bytes.fromhex(plan.fingerprint)
        self._windows = windows_as_numbers(plan)

    def fold(
        self, txn: Transaction, schema: SourceSchema, row: Row, *, time_us: int, clock_us: int
    ) -> None:
        """Keep an accepted record; forget those that no row can see from this clock on.

        Raises:
            StoreError: HF320 when the key has too many records to keep.
        """
        key = self._key(row, self.plan.keys)
        if key is None:
            return
        oldest = clock_us - self.plan.patience_us
        records = self.records(txn, key).since(oldest)
        if time_us >= oldest:
            amounts = self._amounts(schema, row)
            records = records.plus(time_us, amounts, replaces=self.plan.replaces)
        if len(records):
            txn.put(SPACE, key, self._packed(records))
        else:
            txn.delete(SPACE, key)

    def read(self, txn: Transaction, row: Row, *, time_us: int, clock_us: int) -> Floats:
        """Return the windows of a row at its place in the log, float64[K]."""
        key = self._key(row, self.plan.lookup)
        records = self.records(txn, key)
        found = look_around(
            *self._windows,
            self.plan.replaces,
            _NONE if key is None else _FIRST,
            np.array([time_us]),
            _ONE,
            np.array([clock_us - self.plan.patience_us]),
            np.array([0, len(records)]),
            records.events,
            np.zeros(len(records), dtype=np.int64),
            np.full(len(records), NEVER),
            records.amounts,
        )
        values: Floats = found[0]
        return values

    def refold(self, txn: Transaction, row: Row, source: Table) -> None:
        """Write the entry of a record's key anew, from all that the log still has of it.

        For a record that was taken back: `source` holds the key's other rows in log order.
        """
        key = self._key(row, self.plan.keys)
        if key is None:
            return
        packed = dict(self.entries(source)).get(key)
        if packed is None:
            txn.delete(SPACE, key)
        else:
            txn.put(SPACE, key, packed)

    def records(self, txn: Transaction, key: bytes | None) -> Records:
        """Return what is kept under a key."""
        packed = None if key is None else txn.get(SPACE, key)
        return Records.unpack(packed, self.plan.values.outputs)

    def entries(self, source: Table) -> list[tuple[bytes, bytes]]:
        """Return every key's entry after all rows of a table, sorted by key.

        Raises:
            StoreError: HF320 as `fold`.
        """
        (codes,), keys = joint_codes([(source.frame, self.plan.keys)])
        latest = _latest(codes, keys)
        order = self._kept(source, codes, latest)
        records = Records(source.event_us[order], amounts_of(self.plan, source)[:, order])
        starts = np.searchsorted(codes[order], np.arange(keys + 1))
        attrs, found = source.frame.select(self.plan.keys), []
        for code in np.flatnonzero(np.diff(starts)).tolist():
            name = self.prefix + encode_key([str(part) for part in attrs.row(int(latest[code]))])
            here = slice(int(starts[code]), int(starts[code + 1]))
            found.append((name, self._packed(records.take(here))))
        return sorted(found)

    def _kept(self, source: Table, codes: Codes, latest: Ints) -> Ints:
        """Return the rows that are not forgotten or replaced, by key, event time and log order."""
        order = np.lexsort((np.arange(len(codes)), source.event_us, codes))
        order = order[codes[order] >= 0]
        clock = source.known_us[latest[codes[order]]]
        order = order[source.event_us[order] >= clock - self.plan.patience_us]
        if not self.plan.replaces:
            return order
        again = (np.diff(codes[order]) == 0) & (np.diff(source.event_us[order]) == 0)
        last: Ints = np.delete(order, np.flatnonzero(again))
        return last

    def _amounts(self, schema: SourceSchema, row: Row) -> Floats:
        values = self.plan.values
        return run_row(values, row_numbers(schema, row, values.inputs))

    def _key(self, row: Row, attrs: tuple[str, ...]) -> bytes | None:
        parts = [key_part(row, attr) for attr in attrs]
        known = [part for part in parts if part is not None]
        return self.prefix + encode_key(known) if len(known) == len(parts) else None

    def _packed(self, records: Records) -> bytes:
        if len(records) > RECORDS_PER_KEY_MAX:
            raise StoreError(
                f"more than {RECORDS_PER_KEY_MAX} records of `{self.plan.source}` share one key "
                "and may still be asked about",
                code="HF320",
                hint="group by more keys, or leave out what no window reaches",
            )
        return records.pack()


def fill_futures(
    futures: Sequence[OnlineFuture], store: OnlineStore, tables: Mapping[str, Table]
) -> None:
    """Write what history leaves behind: the bytes that folding its rows one by one would."""
    for future in futures:
        entries = future.entries(tables[future.plan.source])
        for start in range(0, len(entries), BATCH_KEYS):
            with store.transaction(write=True) as txn:
                _put(txn, entries[start : start + BATCH_KEYS])


def _put(txn: Transaction, entries: list[tuple[bytes, bytes]]) -> None:
    for name, packed in entries:
        txn.put(SPACE, name, packed)


def _latest(codes: Codes, keys: int) -> Ints:
    """Return the last row of each key, int64[keys]."""
    latest = np.full(keys, -1, dtype=np.int64)
    has = np.flatnonzero(codes >= 0)
    latest[codes[has]] = has  # of several rows of one key the last one stays
    return latest
