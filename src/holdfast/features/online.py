"""Features asked now: the same kernel on the state that the log's records left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.data.contract import row_numbers
from holdfast.data.table import Table, encode_key
from holdfast.features.engine.view import View
from holdfast.features.future_state import OnlineFuture
from holdfast.features.holidays import HolidayTable
from holdfast.features.later import Accepted, Later
from holdfast.features.log import EVENT, Head, Log, Record
from holdfast.features.maturity import Maturity
from holdfast.features.plan import Plan, ViewPlan
from holdfast.features.refold import Changed, refold_states
from holdfast.features.rows import run_row
from holdfast.features.through import id_text, key_part
from holdfast.stores.base import Transaction

__all__ = ["Accepted", "OnlineFeatures", "OnlineView"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Row = Mapping[str, Any]
History = Callable[[], Mapping[str, Table]]


class OnlineView:
    """One view with its place in the store."""

    def __init__(self, plan: ViewPlan) -> None:
        self.plan = plan
        self.view = View(plan.spec)
        self.prefix = bytes.fromhex(plan.fingerprint)
        self.empty = self.view.read(b"", 0, np.full(plan.spec.columns, np.nan))
        self.unknown = np.full(len(plan.spec.aggregates), np.nan)
        self.asks_values = plan.label < 0 and any(a.kind == "seen" for a in plan.spec.aggregates)

    def key(self, row: Row, attrs: tuple[str, ...]) -> bytes | None:
        """Return the state's key for a row, None where a part of the key is missing."""
        parts = [key_part(row, attr) for attr in attrs]
        known = [part for part in parts if part is not None]
        return self.prefix + encode_key(known) if len(known) == len(parts) else None

    def fold(self, txn: Transaction, key: bytes, time_us: int, values: Floats) -> None:
        """Fold one record into the state of its key."""
        state = txn.get("state", key) or b""
        txn.put("state", key, self.view.update(state, time_us, values))

    def replace(self, txn: Transaction, parts: Sequence[str], state: bytes) -> None:
        """Set the state of a key that was folded again; b"" for a key without events."""
        key = self.prefix + encode_key(list(parts))
        if state:
            txn.put("state", key, state)
        else:
            txn.delete("state", key)

    def read(
        self, states: Mapping[bytes, bytes | None], key: bytes | None, time_us: int, values: Floats
    ) -> Floats:
        """Return the view's aggregates for a key at a moment; without a key all are missing."""
        if key is None:
            return self.unknown
        state = states[key]
        if state is None and not self.asks_values:
            return self.empty
        return self.view.read(state or b"", time_us, values)


class OnlineFeatures:
    """The log folded one record at a time, and features read at the moment they are asked.

    One record: `accept` (its place in the log; what matured before it is folded first), `read`
    (before it is folded), `fold`. All in one transaction of the caller, so that log and state
    can never disagree. `history` gives the tables behind which the log stands, none if it is not
    given; they are asked for only when a record is taken back, or a label corrected.
    """

    def __init__(self, plan: Plan, *, history: History | None = None) -> None:
        self.plan = plan
        self.history = history or (lambda: {n: Table.none(s) for n, s in plan.schemas.items()})
        self.log = Log(plan.schemas)
        self.views = [OnlineView(view) for view in plan.views]
        self.futures = [OnlineFuture(future) for future in plan.futures]
        self.holidays = [HolidayTable(asked) for asked in plan.holidays]
        self.maturity = Maturity(plan, self.views)
        self.later = Later(self)
        self._found: dict[tuple[str, ...], tuple[tuple[str, ...], Ints]] = {}

    def accept(
        self, txn: Transaction, source: str, row: Row, *, prediction: str | None = None
    ) -> Accepted:
        """Give a record its place in the log, unless the log has its key already."""
        known = self.log.find(txn, source, row)
        if known is not None:
            return Accepted(known[0], True, known[1])
        head = self.advance(txn, self.log.known_us(source, row))
        self.log.append(txn, source, row, head=head, prediction=prediction)
        return Accepted(head.next_offset)

    def fold(self, txn: Transaction, source: str, row: Row, offset: int) -> None:
        """Fold an accepted record into every view and label that it feeds."""
        schema = self.plan.schemas[source]
        time_us = 0 if schema.without_time else int(row[schema.event_time])
        for online in self.views:
            view = online.plan
            if view.source != source or view.label >= 0:
                continue
            key = online.key(row, view.keys)
            if key is not None:
                inputs = row_numbers(schema, row, view.values.inputs)
                values = run_row(view.values, inputs) if view.spec.columns else inputs
                online.fold(txn, key, time_us, values)
        known_us = self.log.head(txn).clock_us
        self.fold_beside(txn, source, row, offset=offset, known_us=known_us)

    def fold_beside(
        self, txn: Transaction, source: str, row: Row, *, offset: int, known_us: int
    ) -> None:
        """Fold an accepted record into what is known of the future and what waits for labels."""
        schema = self.plan.schemas[source]
        time_us = 0 if schema.without_time else int(row[schema.event_time])
        for future in self.futures:
            if future.plan.source == source:
                future.fold(txn, schema, row, time_us=time_us, clock_us=known_us)
        self.maturity.record(txn, source, row, time_us=time_us, known_us=known_us, offset=offset)

    def read(self, txn: Transaction, row: Row) -> tuple[Floats, Floats]:
        """Return the features of a row of `each` now, and the inputs of its value.

        Returns:
            float64[F] in the order of the plan's features; float64[R] as `ValuePlan.context`.
        """
        plan = self.plan
        schema = plan.schemas[plan.each]
        time_us = 0 if schema.without_time else int(row[schema.event_time])
        outputs: dict[str, list[Floats]] = {"view": [], "ahead": []}
        states = self._states(txn, [online.key(row, online.plan.lookup) for online in self.views])
        for online in self.views:
            view = online.plan
            values = np.full(view.spec.columns, np.nan)
            if online.asks_values:
                values = run_row(view.values, row_numbers(schema, row, view.values.inputs))
            key = online.key(row, view.lookup)
            if view.through:  # found by what was read before
                states |= self._states(txn, [key])
            outputs["view"].append(online.read(states, key, time_us, values))
            for via in plan.vias:
                if via.view == len(outputs["view"]) - 1:
                    row = {**row, via.attr: id_text(float(outputs["view"][-1][via.aggregate]))}
        clock_us = self.log.head(txn).clock_us
        for future in self.futures:
            outputs["ahead"].append(future.read(txn, row, time_us=time_us, clock_us=clock_us))
        now = np.array([time_us], dtype=np.int64)
        outputs["holiday"] = [table.at(now)[0] for table in self.holidays]
        features = run_row(plan.program, self._inputs(plan.program.inputs, row, outputs, time_us))
        return features, self._inputs(plan.value.context, row, outputs, time_us)

    def _states(self, txn: Transaction, keys: list[bytes | None]) -> dict[bytes, bytes | None]:
        """Return the states of some keys: one read of the store, however many views there are."""
        known = [key for key in keys if key is not None]
        return dict(zip(known, txn.get_many("state", known), strict=True)) if known else {}

    def outcome(self, txn: Transaction, offset: int, value: float) -> Accepted:
        """Record the label column of the row of `each` at an offset; another value corrects it.

        Raises:
            NotFoundError: HF303 when the log has no such row.
            ContractError: HF342 when the row was taken back.
        """
        return self.later.outcome(txn, offset, value)

    def retract(
        self, txn: Transaction, source: str, *, key: str | None = None, offset: int = -1
    ) -> Accepted:
        """Take back the row of a source with this key of its own, or at this place in the log.

        From here on nothing counts it; what was read before keeps what it saw.

        Raises:
            NotFoundError: HF341 when neither the log nor history has such a row.
        """
        return self.later.retract(txn, source, key=key, offset=offset)

    def replay(self, txn: Transaction, source: str, row: Row) -> Accepted:
        """Accept and fold one record that is not asked about."""
        accepted = self.accept(txn, source, row)
        if not accepted.repeated:
            self.fold(txn, source, row, accepted.offset)
        return accepted

    def refold(self, txn: Transaction, record: Record) -> list[Changed]:
        """Fold a record that the log has already, as it was folded when it was accepted.

        Returns what it took back or corrected: `settle` is for all of them at once.
        """
        self.maturity.drain(txn, record.known_us)
        self.log.note(txn, record)
        if record.kind == EVENT:
            self.fold(txn, record.source, record.row, record.offset)
            return []
        return self.later.refold(txn, record)

    def settle(self, txn: Transaction, changed: list[Changed]) -> None:
        """Fold the keys again that records taken back or corrected had fed."""
        refold_states(self, txn, changed)

    def advance(self, txn: Transaction, known_us: int) -> Head:
        """Move the log's clock, folding first what matured before the new moment."""
        head = self.log.head(txn)
        clock = max(head.clock_us, known_us)
        self.maturity.drain(txn, clock)
        return Head(clock, head.next_offset)

    def _inputs(
        self, names: tuple[str, ...], row: Row, outputs: Mapping[str, list[Floats]], time_us: int
    ) -> Floats:
        attrs, place = self._places(names)
        numbers = row_numbers(self.plan.schemas[self.plan.each], row, attrs)
        parts = [numbers, *outputs["view"], *outputs["ahead"], *outputs["holiday"]]
        inputs: Floats = np.concatenate([*parts, np.array([float(time_us)])])[place]
        return inputs

    def _places(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], Ints]:
        """Return the row's columns that inputs need, and where each input stands behind them."""
        if names not in self._found:
            attrs = tuple(name[4:] for name in names if name.startswith("row."))
            at = {f"row.{attr}": number for number, attr in enumerate(attrs)}
            widths = {
                "view": [len(view.spec.aggregates) for view in self.plan.views],
                "ahead": [len(future.windows) for future in self.plan.futures],
                "holiday": [len(asked.windows) for asked in self.plan.holidays],
            }
            for origin, sizes in widths.items():
                for part, size in enumerate(sizes):
                    at |= {f"{origin}.{part}.{output}": len(at) + output for output in range(size)}
            end = len(at)
            place = np.array([at.get(name, end) for name in names], dtype=np.int64)
            self._found[names] = attrs, place
        return self._found[names]
