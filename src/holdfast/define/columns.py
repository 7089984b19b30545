"""Columns: the contract of a source, one line per column."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from holdfast.define.expressions import Apply, Expr
from holdfast.errors import Site

if TYPE_CHECKING:
    from holdfast.define.sources import Entity, Source

__all__ = [
    "Boolean",
    "Category",
    "Column",
    "Deleted",
    "EventTime",
    "Float",
    "Integer",
    "Key",
    "KnownTime",
    "RetractedTime",
    "String",
    "Text",
    "Time",
    "ValidUntil",
]

T_co = TypeVar("T_co", covariant=True)
Kind = Literal[
    "float", "integer", "boolean", "category", "string", "text", "time", "event_time",
    "known_time", "retracted_time", "key",
]  # fmt: skip


class Column(Expr[T_co]):
    """One column of a source: its type, its bounds, whether it may be missing.

    Every type takes these:

    * `nullable`: the value may be missing.
    * `column`: the name in the data, where it is not a Python name (`column="marital-status"`).
    * `known_after="7d"`: the value is known only that long after the event: a label.
    * `known_at="reported_at"`: the value is known at the moment another column says: a label.
    * `known_later=True`: a label of a table without time.
    """

    kind: ClassVar[Kind]

    def __init__(
        self,
        *,
        nullable: bool = False,
        column: str = "",
        known_after: str = "",
        known_at: str = "",
        known_later: bool = False,
    ) -> None:
        self.nullable, self.column = nullable, column
        self.known_after, self.known_at, self.known_later = known_after, known_at, known_later
        self.bounds: dict[str, float] = {}
        self.values: tuple[str, ...] = ()
        self.unit = ""
        self.attr = ""
        self.source: type[Source] | None = None
        self.site = Site.here()

    def __set_name__(self, owner: type[Source], name: str) -> None:
        if self.source is not None:  # a feature set names a column that has its source already
            return
        self.attr = name
        self.source = owner
        self.column = self.column or name

    @property
    def is_label(self) -> bool:
        """Whether the value becomes known only after the event."""
        return bool(self.known_after or self.known_at or self.known_later)

    @property
    def correct(self) -> Expr[bool]:
        """True where the prediction of this label equals what happened."""
        return Apply("==", ("prediction", self))

    def __repr__(self) -> str:
        owner = self.source.__name__ if self.source else "?"
        return f"{owner}.{self.attr}"


class _Number(Column[T_co]):
    def _bound(self, unit: str, **bounds: float | None) -> None:
        self.unit = unit
        self.bounds = {name: limit for name, limit in bounds.items() if limit is not None}


class Float(_Number[float]):
    """A real number between bounds; NaN and infinity break the contract."""

    kind = "float"

    def __init__(
        self,
        *,
        gt: float | None = None,
        ge: float | None = None,
        lt: float | None = None,
        le: float | None = None,
        unit: str = "",
        nullable: bool = False,
        column: str = "",
        known_after: str = "",
        known_at: str = "",
        known_later: bool = False,
    ) -> None:
        super().__init__(
            nullable=nullable,
            column=column,
            known_after=known_after,
            known_at=known_at,
            known_later=known_later,
        )
        self._bound(unit, gt=gt, ge=ge, lt=lt, le=le)


class Integer(_Number[int]):
    """A whole number between bounds, at most 2**53 in size."""

    kind = "integer"

    def __init__(
        self,
        *,
        gt: int | None = None,
        ge: int | None = None,
        lt: int | None = None,
        le: int | None = None,
        unit: str = "",
        nullable: bool = False,
        column: str = "",
        known_after: str = "",
        known_at: str = "",
        known_later: bool = False,
    ) -> None:
        super().__init__(
            nullable=nullable,
            column=column,
            known_after=known_after,
            known_at=known_at,
            known_later=known_later,
        )
        self._bound(unit, gt=gt, ge=ge, lt=lt, le=le)


class Boolean(Column[bool]):
    """True or false. `true="Yes", false="No"` reads them from text or whole numbers."""

    kind = "boolean"

    def __init__(
        self,
        *,
        true: str = "",
        false: str = "",
        nullable: bool = False,
        column: str = "",
        known_after: str = "",
        known_at: str = "",
        known_later: bool = False,
    ) -> None:
        super().__init__(
            nullable=nullable,
            column=column,
            known_after=known_after,
            known_at=known_at,
            known_later=known_later,
        )
        self.true, self.false = true, false


class Deleted(Boolean):
    """True in a Snapshot's version that says: from now on there is nothing in force."""

    def __init__(self, *, true: str = "", false: str = "", column: str = "") -> None:
        super().__init__(true=true, false=false, nullable=True, column=column)


class Category(Column[str]):
    """One of a few names. Values given here are the only ones allowed; none given allows all."""

    kind = "category"

    def __init__(
        self,
        *values: str,
        nullable: bool = False,
        column: str = "",
        known_after: str = "",
        known_at: str = "",
        known_later: bool = False,
    ) -> None:
        super().__init__(
            nullable=nullable,
            column=column,
            known_after=known_after,
            known_at=known_at,
            known_later=known_later,
        )
        self.values = values


class String(Column[str]):
    """A short text that is not a category: a name, a code."""

    kind = "string"

    def __init__(
        self, *, max_length: int | None = None, nullable: bool = False, column: str = ""
    ) -> None:
        super().__init__(nullable=nullable, column=column)
        self.bounds = {} if max_length is None else {"max_length": max_length}


class Text(Column[str]):
    """Free text: a document, a message."""

    kind = "text"

    def __init__(
        self, *, max_length: int | None = None, nullable: bool = False, column: str = ""
    ) -> None:
        super().__init__(nullable=nullable, column=column)
        self.bounds = {} if max_length is None else {"max_length": max_length}


class Time(Column[datetime]):
    """A moment that is neither when the row happened nor when we knew of it."""

    kind = "time"

    def __init__(self, *, nullable: bool = False, column: str = "") -> None:
        super().__init__(nullable=nullable, column=column)


class ValidUntil(Time):
    """The moment from which a Snapshot's version holds no longer; missing: until replaced."""

    def __init__(self, *, column: str = "") -> None:
        super().__init__(nullable=True, column=column)


class EventTime(Column[datetime]):
    """When it happened. A moment without a zone is UTC."""

    kind = "event_time"

    def __init__(self, *, column: str = "") -> None:
        super().__init__(column=column)


class KnownTime(Column[datetime]):
    """When we knew of it; without this column that is when it happened."""

    kind = "known_time"

    def __init__(self, *, column: str = "") -> None:
        super().__init__(column=column)


class RetractedTime(Column[float]):
    """When the row was taken back, missing where it was not: from then on it does not count.

    What was computed before keeps what it saw. A request does not carry it; a live row is taken
    back by `POST /retract`.
    """

    kind = "retracted_time"

    def __init__(self, *, column: str = "") -> None:
        super().__init__(nullable=True, column=column)


class Key(Column[str]):
    """The source's own key, or, given an entity or another source, a reference to it."""

    kind = "key"

    def __init__(
        self,
        to: Entity | type[Source] | None = None,
        *,
        nullable: bool = False,
        column: str = "",
    ) -> None:
        super().__init__(nullable=nullable, column=column)
        self.to = to
