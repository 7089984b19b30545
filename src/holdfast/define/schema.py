"""Sources as plain data: what the data layer, the plan and a bundle know of a source."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from holdfast.core.duration import duration_us
from holdfast.define.columns import Boolean, Column, Key
from holdfast.define.derived import DerivedColumn
from holdfast.define.sources import Entity, Snapshot, Source

__all__ = ["ColumnSchema", "SourceSchema", "schema_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """One column. `attr` is its name in requests and expressions, `column` its name in files."""

    attr: str
    column: str
    kind: str
    nullable: bool = False
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    max_length: int | None = None
    values: tuple[str, ...] = ()
    true: str = ""
    false: str = ""
    unit: str = ""
    to: str = ""
    known_after_us: int | None = None
    known_at: str = ""
    known_later: bool = False

    @property
    def is_label(self) -> bool:
        """Whether the value becomes known only after the event; requests must not carry it."""
        return self.known_after_us is not None or bool(self.known_at) or self.known_later


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSchema:
    """One source. `event_time`, `known_time` and `key` are attrs of its columns, "" for none.

    `foreseen`: features look ahead at it, so its rows may be known before they happen. `derived`:
    what is computed from columns of the same row, and supplied by name like a column.
    `retracted_time`: the attr of the column that says when a row was taken back, "" for none.
    """

    name: str
    uri: str
    kind: str
    columns: tuple[ColumnSchema, ...]
    key: str = ""
    event_time: str = ""
    known_time: str = ""
    lag_us: int = 0
    missing: tuple[str, ...] = ()
    without_time: bool = False
    where: str = ""
    foreseen: bool = False
    retracted_time: str = ""
    derived: tuple[DerivedColumn, ...] = ()

    def column(self, attr: str) -> ColumnSchema:
        """Return one column.

        Raises:
            KeyError: when there is none of that name.
        """
        for column in self.columns:
            if column.attr == attr:
                return column
        raise KeyError(attr)

    @property
    def late_attrs(self) -> frozenset[str]:
        """Columns known only after the event: labels, and the times that say when.

        Another such time is when the row was taken back.
        """
        times = {c.known_at for c in self.columns if c.known_at} | {self.retracted_time} - {""}
        return frozenset(times | {c.attr for c in self.columns if c.is_label})

    def derived_column(self, attr: str) -> DerivedColumn | None:
        """Return the derived column of that name, None where there is none."""
        return next((derived for derived in self.derived if derived.attr == attr), None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data = asdict(replace(self, derived=()))
        return data | {"derived": [derived.as_dict() for derived in self.derived]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SourceSchema:
        """Return the schema that `as_dict` wrote."""
        columns = tuple(
            ColumnSchema(**{**column, "values": tuple(column["values"])})
            for column in data["columns"]
        )
        derived = tuple(DerivedColumn.from_dict(one) for one in data.get("derived", ()))
        missing = tuple(data["missing"])
        return cls(**{**data, "columns": columns, "missing": missing, "derived": derived})


def schema_of(source: type[Source]) -> SourceSchema:
    """Return a source as plain data; the source has passed `check`."""
    times = (source.own_key(), source.event_time(), source.known_time(), source.retracted_time())
    key, event_time, known_time, retracted_time = (
        "" if column is None else column.attr for column in times
    )
    return SourceSchema(
        name=source.__name__,
        uri=source.uri,
        kind="snapshot" if issubclass(source, Snapshot) else "event",
        columns=tuple(_column(column) for column in source.columns.values()),
        key=key,
        event_time=event_time,
        known_time=known_time,
        retracted_time=retracted_time,
        lag_us=duration_us(source.lag) if source.lag else 0,
        missing=source.missing,
        without_time=source.without_time,
        where=str(source.site),
    )


def _column(column: Column[Any]) -> ColumnSchema:
    target = column.to if isinstance(column, Key) else None
    name = target.key if isinstance(target, Entity) else target.__name__ if target else ""
    boolean = column if isinstance(column, Boolean) else None
    bounds = cast(dict[str, Any], column.bounds)
    return ColumnSchema(
        attr=column.attr,
        column=column.column,
        kind=column.kind,
        nullable=column.nullable,
        values=column.values,
        true="" if boolean is None else boolean.true,
        false="" if boolean is None else boolean.false,
        unit=column.unit,
        to=name,
        known_after_us=duration_us(column.known_after) if column.known_after else None,
        known_at=column.known_at,
        known_later=column.known_later,
        **bounds,
    )
