"""A source's rows as columns that kept their contract, in the order in which they were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.data.corrections import NEVER_US, Corrections
from holdfast.data.derived import derived_series
from holdfast.data.keys import encode_key
from holdfast.define.schema import ColumnSchema, SourceSchema

__all__ = ["TYPES", "Table", "encode_key", "numbers_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TYPES: dict[str, type[pl.DataType]] = {
    "float": pl.Float64,
    "integer": pl.Int64,
    "boolean": pl.Boolean,
    "category": pl.String,
    "string": pl.String,
    "text": pl.String,
    "key": pl.String,
    "time": pl.Int64,
    "event_time": pl.Int64,
    "known_time": pl.Int64,
    "retracted_time": pl.Int64,
}
"""How each kind of column is kept; times are microseconds, UTC. Missing is null, never NaN."""

OF_HISTORY = 1 << 40
"""Retractions that history tells of stand so far before the log's first offset."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One source's rows, stably sorted by when they were known.

    `frame`: columns named by attr, typed by `TYPES`. `event_us`, `known_us`: int64[n]. `order`:
    log offsets of live rows, -1 for history, None where all rows are history. `outcome_us`: when
    a live row's column `outcome_attr` became known, -1 where it did not. `retracted_us`: when a
    row was taken back, `NEVER_US` where it was not, None where none was; `retracted_order`: the
    log offset of that, far below 0 and in their order where history says so. `corrections`: of
    the column `outcome_attr`.
    """

    schema: SourceSchema
    frame: pl.DataFrame
    event_us: Ints
    known_us: Ints
    order: Ints | None = None
    outcome_us: Ints | None = None
    outcome_attr: str = ""
    retracted_us: Ints | None = None
    retracted_order: Ints | None = None
    corrections: Corrections | None = None
    _numbers: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, schema: SourceSchema, frame: pl.DataFrame) -> Table:
        """Return a table of valid rows; they are sorted by known time, file order breaking ties."""
        event, known = times_of(schema, frame)
        if len(known) > 1 and bool((np.diff(known) < 0).any()):
            order = np.argsort(known, kind="stable")
            frame, event, known = frame[order], event[order], known[order]
        table = cls(schema=schema, frame=frame, event_us=event, known_us=known)
        if not schema.retracted_time:
            return table
        told = frame.get_column(schema.retracted_time)
        there = np.flatnonzero(told.is_not_null().to_numpy())
        return table.retracted(there, told[there].to_numpy(), there - OF_HISTORY)

    @classmethod
    def from_rows(
        cls,
        schema: SourceSchema,
        rows: Sequence[Mapping[str, Any]],
        *,
        known_us: Ints,
        order: Ints,
        outcome_us: Ints,
        outcome_attr: str = "",
    ) -> Table:
        """Return live rows as a table, in the order given."""
        columns = {
            column.attr: pl.Series(
                column.attr,
                [_kept(column, row.get(column.attr)) for row in rows],
                dtype=TYPES[column.kind],
            )
            for column in schema.columns
        }
        frame = pl.DataFrame(columns)
        event, _ = times_of(schema, frame)
        return cls(
            schema=schema,
            frame=frame,
            event_us=event,
            known_us=known_us,
            order=order,
            outcome_us=outcome_us,
            outcome_attr=outcome_attr,
        )

    @classmethod
    def none(cls, schema: SourceSchema) -> Table:
        """Return a source without rows."""
        types = {column.attr: TYPES[column.kind] for column in schema.columns}
        return cls.of(schema, pl.DataFrame(schema=types))

    def __len__(self) -> int:
        return self.frame.height

    @property
    def end_us(self) -> int:
        """When the last thing was known: a row, or that one was taken back."""
        end = int(self.known_us[-1])
        gone = self.gone
        if self.retracted_us is None or not gone.any():
            return end
        return max(end, int(self.retracted_us[gone].max()))

    @property
    def gone(self) -> npt.NDArray[np.bool_]:
        """Which rows were taken back, bool[n]."""
        if self.retracted_us is None:
            return np.zeros(len(self), dtype=np.bool_)
        gone: npt.NDArray[np.bool_] = self.retracted_us < NEVER_US
        return gone

    def retracted(self, rows: Ints, at_us: Ints, order: Ints) -> Table:
        """Return the table with some rows taken back, unless they are already.

        `at_us` int64[k]: when; a row is known before it is taken back. `order` int64[k]: log
        offsets of the retractions, below -1 for history.
        """
        if not len(rows):
            return self
        when = _or(self.retracted_us, np.full(len(self), NEVER_US)).copy()
        where = _or(self.retracted_order, np.full(len(self), -1)).copy()
        new = when[rows] == NEVER_US
        rows, at_us, order = rows[new], at_us[new], order[new]
        when[rows] = np.maximum(at_us, self.known_us[rows])
        where[rows] = order
        return replace(self, retracted_us=when, retracted_order=where)

    def extend(self, later: Table) -> Table:
        """Return these rows followed by later ones, not sorted again."""
        history = np.full(len(self), -1, dtype=np.int64)
        when = where = None
        if self.retracted_us is not None or later.retracted_us is not None:
            never = [np.full(len(table), NEVER_US) for table in (self, later)]
            parts = [_or(self.retracted_us, never[0]), _or(later.retracted_us, never[1])]
            when = np.concatenate(parts)
            ranks = _or(later.retracted_order, None, len(later))
            where = np.concatenate([_or(self.retracted_order, history), ranks])
        corrections = later.corrections and later.corrections.behind(len(self))
        if self.corrections is not None:
            corrections = self.corrections.then(corrections) if corrections else self.corrections
        return Table(
            schema=self.schema,
            frame=pl.concat([self.frame, later.frame]),
            event_us=np.concatenate([self.event_us, later.event_us]),
            known_us=np.concatenate([self.known_us, later.known_us]),
            order=np.concatenate([_or(self.order, history), _or(later.order, None, len(later))]),
            outcome_us=np.concatenate(
                [_or(self.outcome_us, history), _or(later.outcome_us, None, len(later))]
            ),
            outcome_attr=self.outcome_attr or later.outcome_attr,
            retracted_us=when,
            retracted_order=where,
            corrections=corrections,
        )

    def known_until(self, until_us: int) -> Table:
        """Return the rows known at a moment or before, and what became of them by then."""
        stop = int(np.searchsorted(self.known_us, until_us, side="right"))
        table = self.head(stop)
        if table.corrections is not None:
            table = replace(table, corrections=table.corrections.known_until(until_us))
        if table.retracted_us is not None:
            later = table.retracted_us > until_us
            table = replace(table, retracted_us=np.where(later, NEVER_US, table.retracted_us))
        return table

    def head(self, rows: int) -> Table:
        """Return the first rows."""
        return self._part(slice(rows))

    def take(self, rows: Ints) -> Table:
        """Return the rows at ascending positions, int64[k]."""
        return self._part(rows)

    def _part(self, rows: Ints | slice) -> Table:
        def part(values: Ints | None) -> Ints | None:
            return None if values is None else values[rows]

        corrections = self.corrections
        if corrections is not None:
            place = np.full(len(self), -1, dtype=np.int64)
            kept = np.arange(len(self))[rows]
            place[kept] = np.arange(len(kept))
            corrections = corrections.taken(place)
        return replace(
            self,
            frame=self.frame[rows],
            event_us=self.event_us[rows],
            known_us=self.known_us[rows],
            order=part(self.order),
            outcome_us=part(self.outcome_us),
            retracted_us=part(self.retracted_us),
            retracted_order=part(self.retracted_order),
            corrections=corrections,
            _numbers={},
        )

    def numbers(self, attr: str) -> Floats:
        """Return a column as float64[n]: booleans 0 and 1, times us, texts as `category_id`."""
        found = self._numbers.get(attr)
        if found is None:
            found = numbers_of(self.values(attr))
            self._numbers[attr] = found
        return found

    def values(self, attr: str) -> pl.Series:
        """Return a column, or one derived from others, as the data says it: texts, times in us."""
        derived = self.schema.derived_column(attr)
        if derived is None:
            return self.frame.get_column(attr)
        return derived_series(self.schema, derived, self.frame)


def _or(values: Ints | None, default: Ints | None, rows: int = 0) -> Ints:
    if values is not None:
        return values
    return np.full(rows, -1, dtype=np.int64) if default is None else default


def _kept(column: ColumnSchema, value: Any) -> Any:
    if value is None:
        return None
    return bool(value) if column.kind == "boolean" else value


def times_of(schema: SourceSchema, frame: pl.DataFrame) -> tuple[Ints, Ints]:
    """Return when each row happened and when it was known, int64[n] each."""
    if schema.without_time or not schema.event_time:
        nothing = np.zeros(frame.height, dtype=np.int64)
        return nothing, nothing.copy()
    event = frame.get_column(schema.event_time).to_numpy().astype(np.int64)
    if schema.known_time:
        return event, frame.get_column(schema.known_time).to_numpy().astype(np.int64)
    return event, event + schema.lag_us


def numbers_of(values: pl.Series) -> Floats:
    """Return a typed column as the engine's numbers, missing as NaN."""
    if values.dtype == pl.String:
        distinct = values.drop_nulls().unique()
        ids = pl.DataFrame(
            {
                "text": distinct,
                "id": np.array([category_id(text) for text in distinct.to_list()], dtype=float),
            },
            schema={"text": pl.String, "id": pl.Float64},
        )
        joined = values.to_frame("text").join(ids, on="text", how="left", maintain_order="left")
        values = joined.get_column("id")
    numbers = values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.ascontiguousarray(numbers, dtype=np.float64)
