"""Row-level expressions: what can be said of the values of one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any, Generic, Literal, TypeVar, overload

from holdfast.errors import DefinitionError, Site

__all__ = [
    "Apply",
    "DatePart",
    "Expr",
    "RowCall",
    "RowFunction",
    "coalesce",
    "concat",
    "distance_km",
    "hours_between",
    "maximum",
    "minimum",
    "when",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Operator = Literal[
    "+", "-", "*", "/", "%", "//", "**", "<", "<=", ">", ">=", "==", "!=", "~", "&", "|", "when",
    "abs", "is_missing", "log", "log1p", "exp", "sqrt", "round", "floor", "ceil", "sign", "min2",
    "max2", "coalesce", "is_in", "hash", "hours_between", "distance_km",
]  # fmt: skip


class Expr(Generic[T_co]):
    """A value per row. Operators and methods build new expressions; nothing is computed.

    Missing values stay missing. So is what has no finite answer: a division by zero, the logarithm
    of 0, the root of -1, a result too large for a float64 (1.8e308).
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

    def __mod__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("%", (self, other))

    def __rmod__(self, other: float) -> Expr[float]:
        return Apply("%", (other, self))

    def __floordiv__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("//", (self, other))

    def __rfloordiv__(self, other: float) -> Expr[float]:
        return Apply("//", (other, self))

    def __pow__(self, other: Expr[Any] | float) -> Expr[float]:
        return Apply("**", (self, other))

    def __rpow__(self, other: float) -> Expr[float]:
        return Apply("**", (other, self))

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

    def fill(self, value: Expr[Any] | float | str) -> Expr[T_co]:
        """Return the value, or another one where it is missing."""
        return Apply("coalesce", (self, value))

    def is_in(self, *values: float | str) -> Expr[bool]:
        """True where the value is one of those listed: numbers, or texts."""
        return Apply("is_in", (self, *values))

    def log(self: Expr[float]) -> Expr[float]:
        """Return the natural logarithm; missing at 0 and below."""
        return Apply("log", (self,))

    def log1p(self: Expr[float]) -> Expr[float]:
        """Return `log(1 + x)`, exact for small x; missing at -1 and below."""
        return Apply("log1p", (self,))

    def exp(self: Expr[float]) -> Expr[float]:
        """Return e to the power of the value; missing above 709.78, where it is too large."""
        return Apply("exp", (self,))

    def sqrt(self: Expr[float]) -> Expr[float]:
        """Return the square root; missing below 0."""
        return Apply("sqrt", (self,))

    def round(self: Expr[float], digits: int = 0) -> Expr[float]:
        """Return the value to so many digits, -15 to 15; halves go to the even neighbour.

        It is scaled, rounded and scaled back, as NumPy does it.
        """
        return Apply("round", (self, digits))

    def floor(self: Expr[float]) -> Expr[float]:
        """Return the largest whole number that is not above the value."""
        return Apply("floor", (self,))

    def ceil(self: Expr[float]) -> Expr[float]:
        """Return the smallest whole number that is not below the value."""
        return Apply("ceil", (self,))

    def sign(self: Expr[float]) -> Expr[float]:
        """Return -1, 0 or 1."""
        return Apply("sign", (self,))

    def clip(
        self: Expr[float],
        low: Expr[Any] | float | None = None,
        high: Expr[Any] | float | None = None,
    ) -> Expr[float]:
        """Return the value, not below `low` and not above `high`."""
        above: Expr[float] = self if low is None else Apply("max2", (self, low))
        return above if high is None else Apply("min2", (above, high))

    def between(self: Expr[float], low: Expr[Any] | float, high: Expr[Any] | float) -> Expr[bool]:
        """True from `low` to `high`, both included."""
        return (self >= low) & (self <= high)

    def minute(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the minute of the hour of a time column, 0 to 59, in a time zone."""
        return DatePart(self, "minute", zone)

    def hour(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the hour of the day of a time column, 0 to 23, in a time zone."""
        return DatePart(self, "hour", zone)

    def weekday(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the day of the week of a time column, Monday 0 to Sunday 6."""
        return DatePart(self, "weekday", zone)

    def is_weekend(self: Expr[datetime], zone: str = "UTC") -> Expr[bool]:
        """True where a time column lies on a Saturday or a Sunday."""
        return DatePart(self, "is_weekend", zone)

    def day(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the day of the month of a time column, 1 to 31."""
        return DatePart(self, "day", zone)

    def day_of_year(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the day of the year of a time column, 1 to 366."""
        return DatePart(self, "day_of_year", zone)

    def week(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the week of a time column, 1 to 53 (ISO 8601: it begins on Monday)."""
        return DatePart(self, "week", zone)

    def month(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the month of a time column, 1 to 12."""
        return DatePart(self, "month", zone)

    def year(self: Expr[datetime], zone: str = "UTC") -> Expr[int]:
        """Return the year of a time column."""
        return DatePart(self, "year", zone)

    def lower(self: Expr[str]) -> Expr[str]:
        """Return the text in lower case (Unicode, no locale)."""
        return RowCall("lower", (self,))

    def upper(self: Expr[str]) -> Expr[str]:
        """Return the text in upper case (Unicode, no locale)."""
        return RowCall("upper", (self,))

    def strip(self: Expr[str]) -> Expr[str]:
        """Return the text without white space at its ends."""
        return RowCall("strip", (self,))

    def slice(self: Expr[str], start: int, stop: int | None = None) -> Expr[str]:
        """Return the characters from `start` up to `stop`, as Python's `text[start:stop]`."""
        return RowCall("slice", (self,), (start, stop))

    def part(self: Expr[str], separator: str, index: int) -> Expr[str]:
        """Return one part between separators, from 0, or from -1 at the end; missing beyond."""
        return RowCall("part", (self,), (separator, index))

    def replace(self: Expr[str], old: str, new: str) -> Expr[str]:
        """Return the text with each `old` replaced by `new`."""
        return RowCall("replace", (self,), (old, new))

    def length(self: Expr[str]) -> Expr[int]:
        """Return how many characters the text has."""
        return RowCall("length", (self,))

    def words(self: Expr[str]) -> Expr[int]:
        """Return how many words the text has, separated by white space."""
        return RowCall("words", (self,))

    def contains(self: Expr[str], text: str) -> Expr[bool]:
        """True where a text stands anywhere inside."""
        return RowCall("contains", (self,), (text,))

    def starts_with(self: Expr[str], text: str) -> Expr[bool]:
        """True where the text begins with another."""
        return RowCall("starts_with", (self,), (text,))

    def ends_with(self: Expr[str], text: str) -> Expr[bool]:
        """True where the text ends with another."""
        return RowCall("ends_with", (self,), (text,))

    def matches(self: Expr[str], pattern: str) -> Expr[bool]:
        """True where a regular expression matches anywhere inside.

        Its language is that of Rust's `regex`, without look-around and references back: the time
        it takes grows with the length of the text, whatever the pattern.
        """
        return RowCall("matches", (self,), (pattern,))

    def to_number(self: Expr[str]) -> Expr[float]:
        """Return the number that the text says (`-1.5`, `2e3`); missing where it says none."""
        return RowCall("to_number", (self,))

    def hash(self: Expr[str], buckets: int) -> Expr[int]:
        """Return a number from 0 to `buckets - 1`: the same for the same text, on every machine."""
        return Apply("hash", (self, buckets))


@dataclass(frozen=True, eq=False)
class Apply(Expr[T_co]):
    """An operator applied to expressions and constants."""

    op: Operator
    args: tuple[Any, ...]
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False)
class DatePart(Expr[T_co]):
    """A field of a time, in a time zone."""

    of: Expr[Any]
    what: str
    zone: str
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False)
class RowCall(Expr[T_co]):
    """What plain Python makes of columns of one row: a text operation, or a user's function.

    `args`: columns, other calls, and texts; `options`: constants. `function` is that of the
    operation "call".
    """

    op: str
    args: tuple[Any, ...]
    options: tuple[str | int | None, ...] = ()
    function: RowFunction | None = None
    site: Site = field(default_factory=Site.here)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowFunction:
    """A user's function of one row: `fingerprint` names its source, `problems` say what is wrong.

    `returns`: "number", "boolean" or "category".
    """

    name: str
    call: Callable[..., Any]
    returns: str
    fingerprint: str
    problems: tuple[tuple[str, str], ...]
    site: Site


@overload
def when(condition: Expr[bool], then: str, otherwise: Expr[str] | str) -> Expr[str]: ...
@overload
def when(condition: Expr[bool], then: Expr[str], otherwise: Expr[str] | str) -> Expr[str]: ...
@overload
def when(
    condition: Expr[bool], then: Expr[Any] | float, otherwise: Expr[Any] | float
) -> Expr[float]: ...
def when(
    condition: Expr[bool], then: Expr[Any] | float | str, otherwise: Expr[Any] | float | str
) -> Expr[Any]:
    """Return `then` where the condition holds, `otherwise` where not; missing where unknown."""
    return Apply("when", (condition, then, otherwise))


def coalesce(first: Expr[T], *others: Expr[T] | float | str) -> Expr[T]:
    """Return the first value that is not missing; missing where all are."""
    return reduce(lambda left, right: Apply("coalesce", (left, right)), others, first)


def concat(first: Expr[str], *others: Expr[str] | str) -> Expr[str]:
    """Return texts of a row, one behind the other; missing where one of them is."""
    return RowCall("concat", (first, *others))


def minimum(
    first: Expr[Any] | float, second: Expr[Any] | float, *others: Expr[Any] | float
) -> Expr[float]:
    """Return the smallest of several values of a row; missing where one of them is."""
    return reduce(
        lambda left, right: Apply("min2", (left, right)), others, Apply("min2", (first, second))
    )


def maximum(
    first: Expr[Any] | float, second: Expr[Any] | float, *others: Expr[Any] | float
) -> Expr[float]:
    """Return the largest of several values of a row; missing where one of them is."""
    return reduce(
        lambda left, right: Apply("max2", (left, right)), others, Apply("max2", (first, second))
    )


def hours_between(start: Expr[datetime], end: Expr[datetime]) -> Expr[float]:
    """Return the hours from one time to another of a row; negative where `end` comes first."""
    return Apply("hours_between", (start, end))


def distance_km(
    lat1: Expr[float] | float,
    lon1: Expr[float] | float,
    lat2: Expr[float] | float,
    lon2: Expr[float] | float,
) -> Expr[float]:
    """Return the distance of two points on the Earth in km, over a sphere of 6371.0088 km.

    In degrees: latitudes -90 to 90, longitudes -180 to 180; beyond is missing. The haversine
    formula (Sinnott 1984) on the mean radius of GRS 80 (Moritz 2000): at most 0.6 % off the
    distance on the ellipsoid.
    """
    return Apply("distance_km", (lat1, lon1, lat2, lon2))
