"""Operators: what each aggregation keeps in a tile, and how its value is read from the tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from holdfast.core.fingerprint import fingerprint
from holdfast.errors import InternalError

__all__ = [
    "COUNT",
    "FIRST",
    "LAST",
    "M2",
    "MAX",
    "MIN",
    "OPERATORS",
    "SUM",
    "AggregateSpec",
    "Operator",
    "ViewSpec",
    "hop_us",
]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
HOPS_US = ((12 * HOUR_US, 300_000_000), (12 * DAY_US, HOUR_US))
"""A window shorter than the first number begins on a multiple of the second; others on a day."""

M2, COUNT, SUM, MIN, MAX, FIRST, LAST = range(7)
"""What a tile can keep for a column. The order is that of updating and merging: the sum of
squared deviations (M2) needs the count and the sum from before."""

CELLS = {M2: 1, COUNT: 1, SUM: 1, MIN: 1, MAX: 1, FIRST: 2, LAST: 2}


def hop_us(window_us: int) -> int:
    """Return the hop on which a window begins, 0 for all time.

    >>> hop_us(HOUR_US) // 60_000_000, hop_us(7 * DAY_US) // HOUR_US, hop_us(30 * DAY_US) // DAY_US
    (5, 1, 1)
    """
    if window_us == 0:
        return 0
    for limit, hop in HOPS_US:
        if window_us < limit:
            return hop
    return DAY_US


class Operator:
    """One aggregation. `needs` are the parts of a tile it reads; `code` is its place in the kernel.

    The law of every operator: its value is a function of the tiles' content alone, folded from
    the oldest to the newest; nothing is ever subtracted.
    """

    kind: ClassVar[str]
    code: ClassVar[int]
    needs: ClassVar[tuple[int, ...]] = ()


class Count(Operator):
    """How many rows; 0 where there are none."""

    kind, code, needs = "count", 0, (COUNT,)


class Sum(Operator):
    """The sum of the values; 0 where there are none."""

    kind, code, needs = "sum", 1, (SUM,)


class Mean(Operator):
    """The sum over the count; missing where there are no values."""

    kind, code, needs = "mean", 2, (SUM, COUNT)


class Min(Operator):
    """The smallest value; missing where there are none."""

    kind, code, needs = "min", 3, (MIN,)


class Max(Operator):
    """The largest value; missing where there are none."""

    kind, code, needs = "max", 4, (MAX,)


class Std(Operator):
    """The sample standard deviation; missing for fewer than two values.

    Tiles keep the sum of squared deviations from their own mean; two tiles merge by the pairwise
    formula of Chan, Golub and LeVeque (1983), which loses no digits to cancellation.
    """

    kind, code, needs = "std", 5, (M2, COUNT, SUM)


class First(Operator):
    """The value of the earliest row; of two at one moment, the earlier in the log."""

    kind, code, needs = "first", 6, (FIRST,)


class Last(Operator):
    """The value of the latest row; of two at one moment, the later in the log."""

    kind, code, needs = "last", 7, (LAST,)


class Any_(Operator):
    """Whether there is any row."""

    kind, code, needs = "any", 8, (COUNT,)


class HoursSinceFirst(Operator):
    """Hours since the earliest row; missing where there are none."""

    kind, code, needs = "hours_since_first", 9, (FIRST,)


class HoursSinceLast(Operator):
    """Hours since the latest row; missing where there are none."""

    kind, code, needs = "hours_since_last", 10, (LAST,)


class Seen(Operator):
    """Whether this row's value occurred within the window.

    Kept as a map from value to the moment it was last seen, exact, up to `SEEN_VALUES_MAX` values
    per key; beyond that the value not seen for longest is forgotten.
    """

    kind, code = "seen", 11


OPERATORS: dict[str, type[Operator]] = {
    operator.kind: operator for operator in Operator.__subclasses__()
}


@dataclass(frozen=True)
class AggregateSpec:
    """One aggregate: its kind, the folded column (-1: the rows), window and offset in us.

    A window of 0 is all time.
    """

    kind: str
    column: int
    window_us: int
    offset_us: int = 0

    def __post_init__(self) -> None:
        if self.kind not in OPERATORS:
            raise InternalError(f"no operator {self.kind!r}", code="HF900")


@dataclass(frozen=True)
class ViewSpec:
    """What one view folds: how many columns, and the aggregates read from them."""

    columns: int
    aggregates: tuple[AggregateSpec, ...]

    @property
    def fingerprint(self) -> str:
        """The name of the state's layout and meaning."""
        return fingerprint(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        rows = [[a.kind, a.column, a.window_us, a.offset_us] for a in self.aggregates]
        return {"columns": self.columns, "aggregates": rows}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ViewSpec:
        """Return the spec that `as_dict` wrote."""
        rows = tuple(AggregateSpec(k, int(c), int(w), int(o)) for k, c, w, o in data["aggregates"])
        return cls(int(data["columns"]), rows)
