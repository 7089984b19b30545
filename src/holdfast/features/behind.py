"""The events behind a value: which rows made it, in the order in which the engine folded them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import iso
from holdfast.core.duration import duration_words
from holdfast.data.table import Table
from holdfast.define.schema import SourceSchema
from holdfast.features.engine.operators import OPERATORS, AggregateSpec, hop_us
from holdfast.features.engine.view import RETRACT
from holdfast.features.future import amounts_of, log_places
from holdfast.features.future_plan import FuturePlan, FutureWindow
from holdfast.features.keys import joint_codes
from holdfast.features.labels import NEVER_US, label_of_rows
from holdfast.features.plan import Plan, ViewPlan
from holdfast.features.training_set import ViewOps, log_order, view_ops, with_found_keys

__all__ = ["EVENTS_SHOWN_MAX", "Behind", "EventBehind", "events_behind"]

EVENTS_SHOWN_MAX = 1_000
"""Events that are listed behind one value, however many there are."""

EXACT = ("seen", "distinct")
"""Aggregates whose window begins exactly, not on a hop."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class EventBehind:
    """One row behind a value: when it happened, when it was known, its own key, what was folded.

    `value` is a number, or the text behind it; None where the row has none, or none is folded.
    """

    time_us: int
    known_us: int
    key: str | None
    value: float | str | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data, times in ISO 8601."""
        known = None if self.known_us == NEVER_US else iso(self.known_us)
        return {"time": iso(self.time_us), "known": known, "key": self.key, "value": self.value}


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The rows behind one aggregate at one moment, newest first, as many as were asked for.

    `from_us` is None for all time. `counted` rows made the value; `empty` ones stand in the window
    without a value; `known_later` ones happened before the moment and were not known then.
    """

    view: str
    source: str
    keys: dict[str, str | None]
    what: str
    from_us: int | None
    to_us: int
    counted: int
    empty: int
    known_later: int
    events: tuple[EventBehind, ...]
    later: tuple[EventBehind, ...] = ()

    @property
    def more(self) -> int:
        """How many counted events are not listed."""
        return self.counted - len(self.events)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data, times in ISO 8601."""
        return {
            "view": self.view,
            "source": self.source,
            "keys": self.keys,
            "what": self.what,
            "from": None if self.from_us is None else iso(self.from_us),
            "to": iso(self.to_us),
            "counted": self.counted,
            "empty": self.empty,
            "known_later": self.known_later,
            "events": [event.as_dict() for event in self.events],
            "more": self.more,
            "later": [event.as_dict() for event in self.later],
        }


def events_behind(
    plan: Plan,
    tables: Mapping[str, Table],
    *,
    row: int,
    feature: int | None = None,
    limit: int = 20,
) -> dict[str, list[Behind]]:
    """Return, for each feature made of events, the events behind its value at a row of `each`.

    The engine's own operations are read: what stands before the row in the log, of its key,
    inside the window. `tables` may be those of the row's keys alone. `feature`: the index of the
    only one asked for; `limit`: events listed behind one value.
    """
    tables = with_found_keys(plan, tables)
    labels = [label_of_rows(label, tables, until_us=NEVER_US - 1) for label in plan.labels]
    limit = min(limit, EVENTS_SHOWN_MAX)
    folded: dict[int, _Folded] = {}
    found: dict[str, list[Behind]] = {}
    for index, one in enumerate(plan.features):
        if feature is not None and index != feature:
            continue
        for name in plan.program.inputs_of(index):
            origin, *places = name.split(".")
            if origin == "ahead":
                future = plan.futures[int(places[0])]
                around = _around(plan, future, tables, row=row)
                shown = around.behind(future.windows[int(places[1])], limit)
                found.setdefault(one.name, []).append(shown)
            if origin != "view":
                continue
            view, aggregate = (int(part) for part in places)
            if view not in folded:
                folded[view] = _folded(plan, plan.views[view], tables, labels=labels, row=row)
            found.setdefault(one.name, []).append(folded[view].behind(aggregate, limit))
    return found


@dataclass(frozen=True, kw_only=True)
class _Folded:
    """A view's rows of one key, as seen from one row: those before it in the log, those after."""

    view: ViewPlan
    table: Table
    ops: ViewOps
    keys: dict[str, str | None]
    known: Ints
    before: Ints
    after: Ints
    asked_us: int

    def behind(self, aggregate: int, limit: int) -> Behind:
        spec = self.view.spec.aggregates[aggregate]
        times = self.ops.time
        newest = max((int(t) for t in times[self.before]), default=self.asked_us)
        now = max(self.asked_us, newest)
        low, high = _window(spec, now)
        inside = self.before[(times[self.before] >= low) & (times[self.before] <= high)]
        numbers = self._numbers(inside, spec.column)
        empty = np.isnan(numbers) if spec.column >= 0 else np.zeros(len(inside), dtype=np.bool_)
        counted = inside[~empty]
        later = self.after[(times[self.after] >= low) & (times[self.after] < self.asked_us)]
        return Behind(
            view=self.view.fingerprint,
            source=self.view.source,
            keys=self.keys,
            what=_what(self.view, spec),
            from_us=None if low == _BEGINNING else low,
            to_us=high,
            counted=len(counted),
            empty=int(empty.sum()),
            known_later=len(later),
            events=self._listed(counted, spec.column, limit),
            later=self._listed(later, spec.column, limit),
        )

    def _numbers(self, at: Ints, column: int) -> npt.NDArray[np.float64]:
        if column < 0:
            return np.full(len(at), np.nan)
        found: npt.NDArray[np.float64] = self.ops.values[self.ops.value_row[at], column]
        return found

    def _listed(self, at: Ints, column: int, limit: int) -> tuple[EventBehind, ...]:
        newest = np.lexsort((at, self.ops.time[at]))[::-1][:limit]
        at = at[newest]
        rows = self.ops.rows_of_source[at]
        own = self.table.schema.key
        keys = self.table.frame[rows].get_column(own).to_list() if own else [None] * len(rows)
        numbers = self._numbers(at, column)
        values = _texts(self.view, self.table, column=column, rows=rows, numbers=numbers)
        return tuple(
            EventBehind(time_us=int(time), known_us=int(known), key=key, value=value)
            for time, known, key, value in zip(
                self.ops.time[at], self.known[rows], keys, values, strict=True
            )
        )


_BEGINNING = np.iinfo(np.int64).min


def _window(spec: AggregateSpec, now: int) -> tuple[int, int]:
    """Return the first and the last moment of a window as the engine reads it at `now`."""
    if spec.window_us == 0:
        return _BEGINNING, now
    if spec.kind in EXACT:
        return now - spec.window_us, now
    hop = hop_us(spec.window_us)
    low = (now - spec.offset_us - spec.window_us) // hop * hop
    return low, (now - spec.offset_us) // hop * hop - 1 if spec.offset_us else now


def _folded(
    plan: Plan,
    view: ViewPlan,
    tables: Mapping[str, Table],
    *,
    labels: list[Any],
    row: int,
) -> _Folded:
    each, table = tables[plan.each], tables[view.source]
    ops = view_ops(plan, view, tables, labels=labels)
    keys = dict(zip(view.keys, each.frame[row].select(view.lookup).row(0), strict=True))
    asked = np.flatnonzero(ops.out_row == row)
    before = after = np.empty(0, dtype=np.int64)
    if len(asked):
        same = np.flatnonzero((ops.entity == ops.entity[asked[0]]) & (ops.action % 2 == 1))
        before, after = same[same < asked[0]], same[same >= asked[0]]
        taken = np.flatnonzero(ops.action[: asked[0]] == RETRACT)
        before = np.setdiff1d(before, ops.value_row[taken])
        after = after[ops.rows_of_source[after] != row] if view.source == plan.each else after
    known = table.known_us if view.label < 0 else labels[view.label][1]
    return _Folded(
        view=view,
        table=table,
        ops=ops,
        keys={name: None if value is None else str(value) for name, value in keys.items()},
        known=known,
        before=before,
        after=after,
        asked_us=int(each.event_us[row]),
    )


@dataclass(frozen=True, kw_only=True)
class _Around:
    """The records of one key that may lie ahead, as seen from one row; `known` marks those before.

    `rows` int64[m]: their places in the table, by event time and log order.
    """

    future: FuturePlan
    table: Table
    keys: dict[str, str | None]
    rows: Ints
    known: npt.NDArray[np.bool_]
    asked_us: int
    oldest_us: int

    def behind(self, window: FutureWindow, limit: int) -> Behind:
        low, high = self.asked_us + window.from_us, self.asked_us + window.to_us
        times = self.table.event_us[self.rows]
        inside = (times >= low) & (times < high) & (low >= self.oldest_us)
        known, later = self.rows[inside & self.known], self.rows[inside & ~self.known]
        if self.future.replaces:
            known = np.delete(known, np.flatnonzero(np.diff(self.table.event_us[known]) == 0))
        empty = np.isnan(self._numbers(known, window.column))
        return Behind(
            view=self.future.fingerprint,
            source=self.future.source,
            keys=self.keys,
            what=_what(self.future, window),
            from_us=low,
            to_us=high,
            counted=int((~empty).sum()),
            empty=int(empty.sum()),
            known_later=len(later),
            events=self._listed(known[~empty], window.column, limit),
            later=self._listed(later, window.column, limit),
        )

    def _numbers(self, rows: Ints, column: int) -> npt.NDArray[np.float64]:
        if column < 0:
            return np.zeros(len(rows))
        found: npt.NDArray[np.float64] = amounts_of(self.future, self.table)[column, rows]
        return found

    def _listed(self, rows: Ints, column: int, limit: int) -> tuple[EventBehind, ...]:
        rows = rows[::-1][:limit]
        own = self.table.schema.key
        keys = self.table.frame[rows].get_column(own).to_list() if own else [None] * len(rows)
        numbers = self._numbers(rows, column)
        values = _texts(self.future, self.table, column=column, rows=rows, numbers=numbers)
        times, known = self.table.event_us[rows], self.table.known_us[rows]
        return tuple(
            EventBehind(time_us=int(time), known_us=int(when), key=key, value=value)
            for time, when, key, value in zip(times, known, keys, values, strict=True)
        )


def _around(plan: Plan, future: FuturePlan, tables: Mapping[str, Table], *, row: int) -> _Around:
    each, table = tables[plan.each], tables[future.source]
    asked, own = each.frame[[row]].select(future.lookup), (table.frame, future.keys)
    (code, codes), _ = joint_codes([(asked, future.lookup), own])
    places, known_places = log_places(each, table, log_order(each, table))
    rows = np.flatnonzero((codes == code[0]) & (code[0] >= 0))
    rows = rows[np.lexsort((known_places[rows], table.event_us[rows]))]
    keys = dict(zip(future.keys, asked.row(0), strict=True))
    return _Around(
        future=future,
        table=table,
        keys={name: None if value is None else str(value) for name, value in keys.items()},
        rows=rows,
        known=known_places[rows] < places[row],
        asked_us=int(each.event_us[row]),
        oldest_us=int(each.known_us[row]) - future.patience_us,
    )


def _what(view: ViewPlan | FuturePlan, spec: AggregateSpec | FutureWindow) -> str:
    """Return an aggregate in words: `mean of amount`, `count`."""
    kind = f"{spec.kind.replace('_', ' ')}{_param(spec)}"
    if spec.column < 0:
        return kind
    return f"{kind} of {', '.join(view.values.inputs_of(spec.column)) or 'a constant'}"


def _param(spec: AggregateSpec | FutureWindow) -> str:
    """Return an operator's own number in words: ` (half life 7d)`."""
    if isinstance(spec, FutureWindow) or not spec.param:
        return ""
    name = OPERATORS[spec.kind].param
    if name.endswith("_us"):
        return f" ({name.removesuffix('_us').replace('_', ' ')} {duration_words(spec.param)})"
    return f" ({spec.param / 1e6:g})" if name == "millionths" else f" (number {spec.param})"


def _texts(
    view: ViewPlan | FuturePlan,
    table: Table,
    *,
    column: int,
    rows: Ints,
    numbers: npt.NDArray[np.float64],
) -> list[float | str | None]:
    """Return folded values as people read them: the text of a bare category, else the number."""
    if column < 0:
        return [None] * len(rows)
    names = view.values.inputs_of(column)
    if len(names) == 1 and names[0] in _text_attrs(table.schema):
        texts: list[float | str | None] = table.take(rows).values(names[0]).to_list()
        return texts
    return [None if x != x else float(x) for x in numbers]


def _text_attrs(schema: SourceSchema) -> set[str]:
    """Return the columns whose values are texts, those derived from others among them."""
    kinds = ("category", "string", "key")
    found = {column.attr for column in schema.columns if column.kind in kinds}
    return found | {derived.attr for derived in schema.derived if derived.kind == "category"}
