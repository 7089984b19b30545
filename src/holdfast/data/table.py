"""A source's rows as columns that kept their contract, in the order in which they were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import category_id
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
}
"""How each kind of column is kept; times are microseconds, UTC. Missing is null, never NaN."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One source's rows, stably sorted by when they were known.

    `frame`: columns named by attr, typed by `TYPES`. `event_us`, `known_us`: int64[n]. `order`:
    log offsets of live rows, -1 for history, None where all rows are history. `outcome_us`: when
    a live row's column `outcome_attr` became known, -1 where it did not.
    """

    schema: SourceSchema
    frame: pl.DataFrame
    event_us: Ints
    known_us: Ints
    order: Ints | None = None
    outcome_us: Ints | None = None
    outcome_attr: str = ""
    _numbers: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, schema: SourceSchema, frame: pl.DataFrame) -> Table:
        """Return a table of valid rows; they are sorted by known time, file order breaking ties."""
        event, known = times_of(schema, frame)
        if len(known) > 1 and bool((np.diff(known) < 0).any()):
            order = np.argsort(known, kind="stable")
            frame, event, known = frame[order], event[order], known[order]
        return cls(schema=schema, frame=frame, event_us=event, known_us=known)

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

    def __len__(self) -> int:
        return self.frame.height

    def extend(self, later: Table) -> Table:
        """Return these rows followed by later ones, not sorted again."""
        history = np.full(len(self), -1, dtype=np.int64)
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
        )

    def known_until(self, until_us: int) -> Table:
        """Return the rows known at a moment or before."""
        stop = int(np.searchsorted(self.known_us, until_us, side="right"))
        return self.head(stop)

    def head(self, rows: int) -> Table:
        """Return the first rows."""
        return replace(
            self,
            frame=self.frame[:rows],
            event_us=self.event_us[:rows],
            known_us=self.known_us[:rows],
            order=None if self.order is None else self.order[:rows],
            outcome_us=None if self.outcome_us is None else self.outcome_us[:rows],
            _numbers={},
        )

    def take(self, rows: Ints) -> Table:
        """Return the rows at ascending positions, int64[k]."""
        return replace(
            self,
            frame=self.frame[rows],
            event_us=self.event_us[rows],
            known_us=self.known_us[rows],
            order=None if self.order is None else self.order[rows],
            outcome_us=None if self.outcome_us is None else self.outcome_us[rows],
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
