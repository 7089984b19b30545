"""What is told of a row later: its label, another label, that it is taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.data.contract import row_numbers
from holdfast.errors import ContractError, NotFoundError
from holdfast.features.live import BEFORE_LIVE, has_label, history_clock_us
from holdfast.features.log import EVENT, OUTCOME, RETRACT, Record
from holdfast.features.maturity import Known
from holdfast.features.refold import Changed
from holdfast.stores.base import Transaction

if TYPE_CHECKING:
    from holdfast.features.online import OnlineFeatures

__all__ = ["Accepted", "Later"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a record: its offset, and whether the log had it already.

    `corrects`: it tells another value than the one known before.
    """

    offset: int
    repeated: bool = False
    prediction: str | None = None
    corrects: bool = False


class Later:
    """Outcomes and retractions on the log of some features.

    Each is a record of its own kind, at the clock of the log. What a row had fed already is
    folded again without it, from history and the log.
    """

    def __init__(self, online: OnlineFeatures) -> None:
        self.online = online

    def outcome(self, txn: Transaction, offset: int, value: float) -> Accepted:
        """Record the label column of the row of `each` at an offset; another value corrects it.

        Raises:
            NotFoundError: HF303 when the log has no such row.
            ContractError: HF342 when the row was taken back.
        """
        online, plan = self.online, self.online.plan
        logged = online.log.record(txn, offset) if offset >= 0 else None
        if logged is None or logged.source != plan.each or logged.kind != EVENT:
            raise NotFoundError(
                f"the log has no `{plan.each}` that this outcome could belong to",
                code="HF303",
                hint="send the key of a row that was predicted; history brings its own labels",
            )
        if txn.get("seen", self._mark(logged.source, logged.row, offset)) is not None:
            raise ContractError(
                f"this `{plan.each}` was taken back, so it has no label",
                code="HF342",
                hint="send the row again under a key of its own if it happened after all",
            )
        newest = self._newest(txn, logged)
        if newest is not None and newest[1] == value:
            return Accepted(newest[0], True)
        head = online.advance(txn, online.log.head(txn).clock_us)
        content = {plan.labels[0].column: value, "offset": offset}
        online.log.append(txn, plan.each, content, head=head, kind=OUTCOME)
        told = Record(head.next_offset, plan.each, OUTCOME, head.clock_us, content)
        online.settle(txn, self._tell(txn, logged, told))
        return Accepted(head.next_offset, corrects=newest is not None)

    def retract(self, txn: Transaction, source: str, *, key: str | None, offset: int) -> Accepted:
        """Take back a row, by the key of its own or by its place in the log.

        Raises:
            NotFoundError: HF341 when neither the log nor history has such a row.
        """
        online = self.online
        schema, prediction = online.plan.schemas[source], None
        row: Row = {schema.key: key} if schema.key and key is not None else {}
        if row:
            found = online.log.find(txn, source, row)
            offset, prediction = (found[0], found[1]) if found else (-1, None)
        else:
            found, logged = None, online.log.record(txn, offset) if offset >= 0 else None
            if logged is not None and (logged.source, logged.kind) == (source, EVENT):
                row, found = logged.row, [offset]
                place = online.log.find(txn, source, row)
                prediction = place[1] if place else logged.prediction
        if found is None:
            raise NotFoundError(
                f"there is no `{source}` to take back",
                code="HF341",
                hint="name a row by the key that it was sent with, or by its offset in the log",
            )
        earlier = txn.get("seen", self._mark(source, row, offset))
        if earlier is not None:
            return Accepted(int.from_bytes(earlier, signed=True), True, prediction)
        head = online.advance(txn, online.log.head(txn).clock_us)
        content = {"offset": offset, "key": row.get(schema.key) if schema.key else None}
        online.log.append(txn, source, content, head=head, kind=RETRACT)
        back = Record(head.next_offset, source, RETRACT, head.clock_us, content)
        online.settle(txn, self._take_back(txn, back))
        return Accepted(head.next_offset, prediction=prediction)

    def remember(self, txn: Transaction, source: str, keys: Iterable[str]) -> None:
        """Remember rows of history that history itself takes back."""
        attr = self.online.plan.schemas[source].key
        for key in keys:
            txn.put("seen", self._mark(source, {attr: key}, -1), (-1).to_bytes(8, signed=True))

    def refold(self, txn: Transaction, record: Record) -> list[Changed]:
        """Do again what a logged outcome or retraction did; return what has to be folded again."""
        if record.kind == RETRACT:
            return self._take_back(txn, record)
        logged = self.online.log.record(txn, int(record.row["offset"]))
        if logged is None or self.online.plan.labels[0].column not in record.row:
            return []  # the label was another one then
        return self._tell(txn, logged, record)

    def _newest(self, txn: Transaction, logged: Record) -> tuple[int, float] | None:
        """Return the newest label of a row and the offset that told it."""
        column = self.online.plan.labels[0].column
        told = txn.get("seen", _outcome_name(logged.offset))
        if told is not None:
            record = self.online.log.record(txn, int.from_bytes(told[-8:]))
            return None if record is None else (record.offset, float(record.row[column]))
        schema = self.online.plan.schemas[logged.source]
        if has_label(schema, logged.row, column):
            return logged.offset, float(row_numbers(schema, logged.row, (column,))[0])
        return None

    def _tell(self, txn: Transaction, logged: Record, told: Record) -> list[Changed]:
        """Let a row's label count, or count as it is told now."""
        online, name = self.online, _outcome_name(logged.offset)
        value = float(told.row[online.plan.labels[0].column])
        known = self._known(logged)
        here, first = told.offset.to_bytes(8), txn.get("seen", name)
        txn.put("seen", name, (first or here)[:8] + here)
        schema = online.plan.schemas[logged.source]
        with_label = has_label(schema, logged.row, online.plan.labels[0].column)
        if not with_label and (first is None or first[:8] == here):  # known since it was accepted
            online.maturity.outcome(txn, known, value, known_us=told.known_us)
            return []
        told_us = None if with_label else self._told_us(txn, first)
        if online.maturity.correct(txn, known, value, told_us=told_us):
            return [(logged.source, logged.row)]
        return []

    def _take_back(self, txn: Transaction, back: Record) -> list[Changed]:
        """Let a row count no longer; return it where the store knows it."""
        online, source = self.online, back.source
        key = online.plan.schemas[source].key
        offset = int(back.row["offset"])
        row: Row = {key: back.row["key"]} if key else {}
        txn.put("seen", self._mark(source, row, offset), back.offset.to_bytes(8, signed=True))
        logged = online.log.record(txn, offset) if offset >= 0 else None
        known = self._of_history(source, row) if logged is None else self._known(logged)
        if known is None:
            return []
        told = txn.get("seen", _outcome_name(offset)) if logged is not None else None
        told_us = self._told_us(txn, told)
        online.maturity.withdraw(txn, known, told_us=told_us)
        return [(source, known.row)]

    def _known(self, logged: Record) -> Known:
        schema = self.online.plan.schemas[logged.source]
        known_us = max(logged.known_us, history_clock_us(self.online.history()))
        time_us = 0 if schema.without_time else int(logged.row[schema.event_time])
        return Known(logged.source, logged.row, time_us, known_us, logged.offset)

    def _of_history(self, source: str, row: Row) -> Known | None:
        """Return a row of history by its key."""
        table = self.online.history()[source]
        key = table.schema.key
        keys = table.frame.get_column(key)
        found = np.flatnonzero((keys == str(row.get(key))).fill_null(False).to_numpy())
        if not len(found):
            return None
        at = int(found[0])
        content = table.frame.row(at, named=True)
        times = int(table.event_us[at]), int(table.known_us[at])
        return Known(source, content, *times, at - BEFORE_LIVE)

    def _told_us(self, txn: Transaction, told: bytes | None) -> int | None:
        """Return when the first outcome of a row was known, None without one."""
        first = self.online.log.record(txn, int.from_bytes(told[:8])) if told else None
        if first is None:
            return None
        return max(first.known_us, history_clock_us(self.online.history()))

    def _mark(self, source: str, row: Row, offset: int) -> bytes:
        """Return the name under which a row that was taken back is remembered."""
        name = self.online.log.key_of(source, row)
        return b"\x00retracted\x00" + (name or str(offset).encode())


def _outcome_name(offset: int) -> bytes:
    return f"\x00outcome\x00{offset}".encode()
