"""Labels online: what waits to mature, and folding it once it does."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from holdfast.data.contract import row_numbers
from holdfast.data.table import encode_key
from holdfast.errors import StoreError
from holdfast.features.labels import (
    ELSEWHERE,
    KINDS,
    NEVER_US,
    Counted,
    aggregate_ahead,
    patience_us,
)
from holdfast.features.plan import LabelPlan, Plan
from holdfast.features.rows import run_row
from holdfast.stores.base import Transaction

if TYPE_CHECKING:
    from holdfast.features.online import OnlineView

__all__ = ["Known", "Maturity", "Waiting"]

RECORDS_PER_KEY_MAX = 100_000

_WHEN = struct.Struct(">QQH")
_DUE = struct.Struct(">Q")
_SIGN = 1 << 63
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

Floats = npt.NDArray[np.float64]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A row that was folded before: its times (us), and its place in the log or in history."""

    source: str
    row: Row
    time_us: int
    known_us: int
    position: int


class Waiting(msgspec.Struct, array_like=True):
    """A row whose label is not counted yet. `folds`: view index, key, inputs of its values."""

    time_us: int
    key: bytes
    value: float | None
    folds: list[tuple[int, bytes, list[float]]]


_decode_waiting = msgspec.msgpack.Decoder(Waiting).decode


class Maturity:
    """The labels that views aggregate: rows wait until due, then their label is folded.

    Due strictly before the log's clock: a label that matures at the moment of a record counts
    only after it, here as in a replay of history.
    """

    def __init__(self, plan: Plan, views: Sequence[OnlineView]) -> None:
        self.plan, self.views = plan, views
        self.used = sorted({view.plan.label for view in views if view.plan.label >= 0})

    def record(
        self, txn: Transaction, source: str, row: Row, *, time_us: int, known_us: int, offset: int
    ) -> None:
        """Take note of an accepted row: as a record of a label's target, as a row that waits."""
        for index in self.used:
            label = self.plan.labels[index]
            if label.target == source:
                self.add_target(
                    txn, index, row, time_us=time_us, known_us=known_us, position=offset
                )
            if label.source == source:
                due = self._due(label, row, time_us, known_us)
                late = label.kind == "ahead" and known_us - time_us > self._patience_us(label)
                if due is not None and not late:
                    value = None
                    if label.kind == "column":
                        value = float(row_numbers(self._schema(label), row, (label.column,))[0])
                    self.wait(txn, index, row, time_us=time_us, due=due, offset=offset, value=value)

    def outcome(self, txn: Transaction, known: Known, value: float, *, known_us: int) -> None:
        """Take note of the label column of a row logged before."""
        for index in self._told():
            self.wait(
                txn,
                index,
                known.row,
                time_us=known.time_us,
                due=self._due_of(index, known, known_us) or 0,
                offset=known.position,
                value=value,
            )

    def correct(self, txn: Transaction, known: Known, value: float, *, told_us: int | None) -> bool:
        """Let a label that still waits have another value; return whether one was folded already.

        `told_us`: when its first outcome was known, None where the row came with its label.
        """
        folded = False
        for index in self._told():
            name = self._name(index, known, told_us)
            packed = txn.get("pending", name) if name else None
            if packed is None:
                folded = True
            else:
                waiting = _decode_waiting(packed)
                waiting.value = value
                txn.put("pending", name, _pack(waiting))
        return folded

    def withdraw(self, txn: Transaction, known: Known, *, told_us: int | None) -> None:
        """Forget a row that is taken back: as what a label counts, and as what waits for one."""
        for index in self.used:
            label = self.plan.labels[index]
            key = None
            if label.kind == "ahead" and label.target == known.source:
                key = self._row_key(index, known.row, label.target_keys)
            if key is not None:
                kept = _records(txn.get("label", key))
                kept = kept[kept[:, 2] != known.position]
                if len(kept):
                    txn.put("label", key, kept.tobytes())
                else:
                    txn.delete("label", key)
            name = self._name(index, known, told_us) if label.source == known.source else b""
            if name:
                txn.delete("pending", name)

    def _told(self) -> list[int]:
        """Return the labels that outcomes tell."""
        told = self.plan.labels[0]
        return [
            index
            for index in self.used
            if (label := self.plan.labels[index]).kind == "column"
            and (label.source, label.column) == (told.source, told.column)
        ]

    def _name(self, index: int, known: Known, told_us: int | None) -> bytes:
        """Return where a row waits for a label, b"" where it does not."""
        due = self._due_of(index, known, told_us)
        return b"" if due is None else _WHEN.pack(due + _SIGN, known.position + _SIGN, index)

    def _due_of(self, index: int, known: Known, told_us: int | None) -> int | None:
        label = self.plan.labels[index]
        if label.kind == "column" and told_us is not None and index in self._told():
            return max(known.time_us + (label.known_after_us or 0), told_us)
        return self._due(label, known.row, known.time_us, known.known_us)

    def wait(
        self,
        txn: Transaction,
        index: int,
        row: Row,
        *,
        time_us: int,
        due: int,
        offset: int,
        value: float | None,
    ) -> None:
        """Let a row wait until its label is due."""
        label, folds = self.plan.labels[index], []
        for number, online in enumerate(self.views):
            if online.plan.label != index:
                continue
            key = online.key(row, online.plan.keys)
            if key is not None:
                names = tuple(n for n in online.plan.values.inputs if n != "label")
                numbers = row_numbers(self._schema(label), row, names)
                folds.append((number, key, [float(x) for x in numbers]))
        key = self._row_key(index, row, label.row_keys) if label.kind == "ahead" else b""
        waiting = Waiting(time_us, key or b"", value, folds)
        txn.put("pending", _WHEN.pack(due + _SIGN, offset + _SIGN, index), _pack(waiting))

    def add_target(
        self,
        txn: Transaction,
        index: int,
        row: Row,
        *,
        time_us: int,
        known_us: int,
        position: int,
    ) -> None:
        """Keep a record that a label ahead may count, dropping those no row waits for."""
        label = self.plan.labels[index]
        key = self._row_key(index, row, label.target_keys)
        if key is None:
            return
        amount = 1.0
        if label.value is not None:
            schema = self.plan.schemas[label.target]
            amount = float(run_row(label.value, row_numbers(schema, row, label.value.inputs))[0])
        kept = _records(txn.get("label", key))
        kept = kept[kept[:, 0] >= known_us - self._patience_us(label)]
        if len(kept) >= RECORDS_PER_KEY_MAX:
            raise StoreError(
                f"more than {RECORDS_PER_KEY_MAX} records of `{label.target}` share one key "
                "within the label's horizon",
                code="HF304",
                hint="shorten `ahead=`, or check the key",
            )
        added = np.array([[time_us, known_us, position, amount]], dtype=np.float64)
        txn.put("label", key, np.concatenate([kept, added]).tobytes())

    def drain(self, txn: Transaction, clock_us: int) -> int:
        """Fold every label due before the clock, in the order of their due times; how many."""
        due_now = list(txn.scan("pending", b"", _DUE.pack(clock_us + _SIGN)))
        for name, packed in due_now:
            due, offset, index = _WHEN.unpack(name)
            due, offset = due - _SIGN, offset - _SIGN
            waiting = _decode_waiting(packed)
            label = self.plan.labels[index]
            value = waiting.value
            if label.kind == "ahead":
                value = self._ahead(txn, label, waiting, due=due, offset=offset)
            if value is not None and value == value:
                self._fold(txn, waiting, value)
            txn.delete("pending", name)
        return len(due_now)

    def _fold(self, txn: Transaction, waiting: Waiting, value: float) -> None:
        for number, key, numbers in waiting.folds:
            online, given = self.views[number], iter(numbers)
            names = online.plan.values.inputs
            inputs = np.array([value if n == "label" else next(given) for n in names])
            online.fold(txn, key, waiting.time_us, run_row(online.plan.values, inputs))

    def _ahead(
        self, txn: Transaction, label: LabelPlan, waiting: Waiting, *, due: int, offset: int
    ) -> float:
        records = _records(txn.get("label", waiting.key)) if waiting.key else _records(None)
        records = records[np.lexsort((records[:, 2], records[:, 0]))]
        whole = records[:, :3].astype(np.int64)
        own = offset if label.source == label.target else ELSEWHERE
        result = aggregate_ahead(
            KINDS[label.aggregate],
            np.zeros(1, dtype=np.int64),
            np.array([waiting.time_us]),
            np.array([due]),
            np.array([own]),
            np.zeros(1, dtype=np.int64),
            np.array([0, len(records)]),
            Counted(
                np.ascontiguousarray(whole[:, 0]),
                np.ascontiguousarray(whole[:, 1]),
                np.ascontiguousarray(whole[:, 2]),
                np.ascontiguousarray(records[:, 3]),
                np.full(len(records), NEVER_US),
            ),
            label.ahead_us,
        )
        return float(result[0])

    def _due(self, label: LabelPlan, row: Row, time_us: int, known_us: int) -> int | None:
        if label.kind == "ahead":
            return max(time_us + label.ahead_us, known_us)
        if row.get(label.column) is None:
            return None
        if label.known_after_us is not None:
            return max(time_us + label.known_after_us, known_us)
        known_at = row.get(label.known_at)
        return None if known_at is None else max(int(known_at), known_us)

    def _patience_us(self, label: LabelPlan) -> int:
        return patience_us(label, self._schema(label))

    def _schema(self, label: LabelPlan) -> Any:
        return self.plan.schemas[label.source]

    def _row_key(self, index: int, row: Row, attrs: tuple[str, ...]) -> bytes | None:
        parts = [row.get(attr) for attr in attrs]
        if any(part is None for part in parts):
            return None
        return index.to_bytes(2, "big") + encode_key([str(part) for part in parts])


def _records(packed: bytes | None) -> Floats:
    """Return the kept records: float64[n, 4] of event time, known time, position, amount."""
    if not packed:
        return np.empty((0, 4), dtype=np.float64)
    return np.frombuffer(packed, dtype=np.float64).reshape(-1, 4)
