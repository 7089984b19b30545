"""Expressions: values that exist once per row, known at a moment in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from holdfast.errors import DefinitionError, Site

if TYPE_CHECKING:
    from holdfast.define.columns import Column
    from holdfast.define.sources import Entity, Source

__all__ = ["ALL_TIME", "Aggregate", "Apply", "Encoded", "Expr", "Label", "Moment", "when"]

T_co = TypeVar("T_co", covariant=True)
Operator = Literal[
    "+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "~", "&", "|", "when", "abs", "is_missing"
]

ALL_TIME = "all"
"""The window `over="all"`: everything known before the moment."""


class Expr(Generic[T_co]):
    """A value per row. Arithmetic and comparison build new expressions; nothing is computed.

    Missing values stay missing through arithmetic and comparison; dividing by zero is missing.
    """

    site: Site

    def __add__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("+", (self, other))

    def __radd__(self, other: float) -> Expr[float]:
        return Apply("+", (other, self))

    def __sub__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("-", (self, other))

    def __rsub__(self, other: float) -> Expr[float]:
        return Apply("-", (other, self))

    def __mul__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("*", (self, other))

    def __rmul__(self, other: float) -> Expr[float]:
        return Apply("*", (other, self))

    def __truediv__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("/", (self, other))

    def __rtruediv__(self, other: float) -> Expr[float]:
        return Apply("/", (other, self))

    def __neg__(self) -> Expr[float]:
        return Apply("*", (-1.0, self))

    def __abs__(self) -> Expr[float]:
        return Apply("abs", (self,))

    def __invert__(self) -> Expr[bool]:
        return Apply("~", (self,))

    def __and__(self, other: Expr[bool]) -> Expr[bool]:
        return Apply("&", (self, other))

    def __or__(self, other: Expr[bool]) -> Expr[bool]:
        return Apply("|", (self, other))

    def __lt__(self, other: Expr[Any] | float) -> Expr[bool]:
        return Apply("<", (self, other))

    def __le__(self, other: Expr[Any] | float) -> Expr[bool]:
        return Apply("<=", (self, other))

    def __gt__(self, other: Expr[Any] | float) -> Expr[bool]:
        return Apply(">", (self, other))

    def __ge__(self, other: Expr[Any] | float) -> Expr[bool]:
        return Apply(">=", (self, other))

    def __eq__(self, other: object) -> Expr[bool]:  # type: ignore[override]
        return Apply("==", (self, other))

    def __ne__(self, other: object) -> Expr[bool]:  # type: ignore[override]
        return Apply("!=", (self, other))

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        what = "an expression has no truth value until it meets a row"
        hint = "write `hf.when(condition, then, otherwise)`; combine conditions with & and |"
        raise DefinitionError(what, code="HF104", site=Site.here(), hint=hint)

    def is_missing(self) -> Expr[bool]:
        """True where there is no value."""
        return Apply("is_missing", (self,))


@dataclass(frozen=True, eq=False)
class Apply(Expr[T_co]):
    """An operator applied to expressions and constants."""

    op: Operator
    args: tuple[Any, ...]
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False)
class Aggregate(Expr[T_co]):
    """An aggregation of a source's rows over a window behind the moment of prediction."""

    kind: str
    source: type[Source]
    keys: tuple[Entity | type[Source] | Column[Any], ...]
    of: Expr[Any] | None
    over: str
    offset: str
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

    part: str
    zone: str
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False)
class Encoded(Expr[T_co]):
    """What an encoder makes of a value, after the engine: most learn on the training window."""

    kind: str
    of: Expr[Any]
    options: tuple[tuple[str, Any], ...]
    site: Site = field(default_factory=Site.here)


def when(
    condition: Expr[bool], then: Expr[Any] | float, otherwise: Expr[Any] | float
) -> Expr[float]:
    """Return `then` where the condition holds, `otherwise` where not; missing where unknown."""
    return Apply("when", (condition, then, otherwise))
