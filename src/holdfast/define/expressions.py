"""Expressions: values that exist once per row, known at a moment in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.define.row_expressions import Apply, DatePart, Expr, RowCall, when
from holdfast.errors import Site

if TYPE_CHECKING:
    from holdfast.define.columns import Column
    from holdfast.define.sources import Entity, Source

__all__ = [
    "ALL_TIME",
    "Aggregate",
    "Apply",
    "DatePart",
    "Encoded",
    "Expr",
    "Label",
    "Moment",
    "RowCall",
    "when",
]

T_co = TypeVar("T_co", covariant=True)

ALL_TIME = "all"
"""The window `over="all"`: everything known before the moment."""


@dataclass(frozen=True, eq=False)
class Aggregate(Expr[T_co]):
    """An aggregation of a source's rows over a window behind the moment of prediction."""

    kind: str
    source: type[Source]
    keys: tuple[Entity | type[Source] | Column[Any], ...]
    of: Expr[Any] | None
    over: str
    offset: str
    param: str = ""
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False)
class Label(Expr[T_co]):
    """An aggregation over a window ahead: what we want to know, before we can know it.

    Inside a feature it is the known future: the records that were known before the row.
    """

    kind: str
    source: type[Source]
    keys: tuple[Entity | type[Source] | Column[Any], ...]
    of: Expr[Any] | None
    ahead: str
    offset: str = ""
    site: Site = field(default_factory=Site.here)

    @property
    def correct(self) -> Expr[bool]:
        """True where the prediction equals what happened."""
        return Apply("==", ("prediction", self))


@dataclass(frozen=True, eq=False)
class Moment(Expr[T_co]):
    """A field of the moment of prediction itself, in a time zone."""

    what: str
    zone: str
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False)
class Encoded(Expr[T_co]):
    """What an encoder makes of a value, after the engine: most learn on the training window."""

    kind: str
    of: Expr[Any]
    options: tuple[tuple[str, Any], ...]
    site: Site = field(default_factory=Site.here)
