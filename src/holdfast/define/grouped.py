"""Rows of a source grouped by entity, ready to aggregate over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from holdfast.core.duration import duration_us
from holdfast.define.expressions import ALL_TIME, Aggregate, Apply, Expr, Label, when

if TYPE_CHECKING:
    from holdfast.define.columns import Column
    from holdfast.define.sources import Entity, Source

__all__ = ["MISSING", "NTH_MAX", "Grouped"]

T = TypeVar("T")
HOUR_US = 3_600_000_000

Where = Expr[bool] | None

NTH_MAX = 16
"""How many values `first_n`, `last_n` and `top_k` reach."""

MISSING: Expr[Any] = Apply("/", (0.0, 0.0))
"""No value."""


class Grouped:
    """Rows of a source grouped by entity, ready to aggregate over time.

    `over="7d"` looks back from the moment of prediction and makes a feature, `over="all"` looks
    back to the beginning; `ahead="7d"` looks forward and makes a label, or, for a source with a
    `KnownTime`, a feature of what is known of the future. Windows are half open, `[t - 7d, t)`
    and `[t, t + 7d)`; `offset="7d"` moves a window further away. Missing values are left out, and
    so are rows that do not meet the condition `where=`, an expression over the row's columns.
    """

    def __init__(
        self, source: type[Source], keys: tuple[Entity | type[Source] | Column[Any], ...]
    ) -> None:
        self.source, self.keys = source, keys

    @overload
    def count(self, *, over: str, offset: str = ..., where: Where = ...) -> Expr[int]: ...
    @overload
    def count(self, *, ahead: str, offset: str = ..., where: Where = ...) -> Label[int]: ...
    def count(
        self, *, over: str = "", ahead: str = "", offset: str = "", where: Where = None
    ) -> Expr[int]:
        """Return how many rows; 0 where there are none."""
        return self._make("count", None, over, ahead, offset=offset, where=where)

    @overload
    def sum(
        self, of: Expr[Any], *, over: str, offset: str = ..., where: Where = ...
    ) -> Expr[float]: ...
    @overload
    def sum(
        self, of: Expr[Any], *, ahead: str, offset: str = ..., where: Where = ...
    ) -> Label[float]: ...
    def sum(
        self,
        of: Expr[Any],
        *,
        over: str = "",
        ahead: str = "",
        offset: str = "",
        where: Where = None,
    ) -> Expr[float]:
        """Return the sum; 0 where there are no rows."""
        return self._make("sum", of, over, ahead, offset=offset, where=where)

    @overload
    def mean(
        self, of: Expr[Any], *, over: str, offset: str = ..., where: Where = ...
    ) -> Expr[float]: ...
    @overload
    def mean(
        self, of: Expr[Any], *, ahead: str, offset: str = ..., where: Where = ...
    ) -> Label[float]: ...
    def mean(
        self,
        of: Expr[Any],
        *,
        over: str = "",
        ahead: str = "",
        offset: str = "",
        where: Where = None,
    ) -> Expr[float]:
        """Return the mean; missing where there are no rows. Of a label: matured rows only."""
        return self._make("mean", of, over, ahead, offset=offset, where=where)

    @overload
    def min(self, of: Expr[T], *, over: str, offset: str = ..., where: Where = ...) -> Expr[T]: ...
    @overload
    def min(
        self, of: Expr[T], *, ahead: str, offset: str = ..., where: Where = ...
    ) -> Label[T]: ...
    def min(
        self,
        of: Expr[T],
        *,
        over: str = "",
        ahead: str = "",
        offset: str = "",
        where: Where = None,
    ) -> Expr[T]:
        """Return the smallest value; missing where there are no rows."""
        return self._make("min", of, over, ahead, offset=offset, where=where)

    @overload
    def max(self, of: Expr[T], *, over: str, offset: str = ..., where: Where = ...) -> Expr[T]: ...
    @overload
    def max(
        self, of: Expr[T], *, ahead: str, offset: str = ..., where: Where = ...
    ) -> Label[T]: ...
    def max(
        self,
        of: Expr[T],
        *,
        over: str = "",
        ahead: str = "",
        offset: str = "",
        where: Where = None,
    ) -> Expr[T]:
        """Return the largest value; missing where there are no rows."""
        return self._make("max", of, over, ahead, offset=offset, where=where)

    @overload
    def first(
        self, of: Expr[T], *, over: str, offset: str = ..., where: Where = ...
    ) -> Expr[T]: ...
    @overload
    def first(
        self, of: Expr[T], *, ahead: str, offset: str = ..., where: Where = ...
    ) -> Label[T]: ...
    def first(
        self,
        of: Expr[T],
        *,
        over: str = "",
        ahead: str = "",
        offset: str = "",
        where: Where = None,
    ) -> Expr[T]:
        """Return the value of the earliest row; missing where there are no rows."""
        return self._make("first", of, over, ahead, offset=offset, where=where)

    @overload
    def last(self, of: Expr[T], *, over: str, offset: str = ..., where: Where = ...) -> Expr[T]: ...
    @overload
    def last(
        self, of: Expr[T], *, ahead: str, offset: str = ..., where: Where = ...
    ) -> Label[T]: ...
    def last(
        self,
        of: Expr[T],
        *,
        over: str = "",
        ahead: str = "",
        offset: str = "",
        where: Where = None,
    ) -> Expr[T]:
        """Return the value of the latest row; missing where there are no rows."""
        return self._make("last", of, over, ahead, offset=offset, where=where)

    @overload
    def any(self, *, over: str, offset: str = ..., where: Where = ...) -> Expr[bool]: ...
    @overload
    def any(self, *, ahead: str, offset: str = ..., where: Where = ...) -> Label[bool]: ...
    def any(
        self, *, over: str = "", ahead: str = "", offset: str = "", where: Where = None
    ) -> Expr[bool]:
        """Return whether there is any row."""
        return self._make("any", None, over, ahead, offset=offset, where=where)

    # ------------------------------------------------------------- spread and trend

    def std(
        self, of: Expr[Any], *, over: str, offset: str = "", where: Where = None
    ) -> Expr[float]:
        """Return the sample standard deviation (n - 1); missing for fewer than two rows."""
        return self._make("std", of, over, "", offset=offset, where=where)

    def variance(
        self, of: Expr[Any], *, over: str, offset: str = "", where: Where = None
    ) -> Expr[float]:
        """Return the sample variance (n - 1); missing for fewer than two rows."""
        return self._make("variance", of, over, "", offset=offset, where=where)

    def slope(
        self, of: Expr[Any], *, over: str, offset: str = "", where: Where = None
    ) -> Expr[float]:
        """Return the least-squares trend of the values, per day; missing for fewer than two."""
        return self._make("slope", of, over, "", offset=offset, where=where)

    def quantile(
        self, of: Expr[Any], q: float, *, over: str, offset: str = "", where: Where = None
    ) -> Expr[float]:
        """Return the value of rank `ceil(q * n)`, within 0.8%; missing where there are no rows."""
        return self._make("quantile", of, over, "", offset=offset, where=where, param=str(q))

    def median(
        self, of: Expr[Any], *, over: str, offset: str = "", where: Where = None
    ) -> Expr[float]:
        """Return the lower median, within 0.8%; missing where there are no rows."""
        return self.quantile(of, 0.5, over=over, offset=offset, where=where)

    # ------------------------------------------------------------- which values

    def seen(self, of: Expr[Any], *, over: str, where: Where = None) -> Expr[bool]:
        """Return whether this row's value of a column occurred before within the window."""
        return self._make("seen", of, over, "", where=where)

    def distinct(self, of: Expr[Any], *, over: str, where: Where = None) -> Expr[float]:
        """Return how many different values; exact up to 512 a key, then about 4% off."""
        return self._make("distinct", of, over, "", where=where)

    def entropy(
        self, of: Expr[Any], *, over: str, offset: str = "", where: Where = None
    ) -> Expr[float]:
        """Return the entropy of the values' frequencies in bits; missing without rows."""
        return self._make("entropy", of, over, "", offset=offset, where=where)

    def most_frequent(
        self, of: Expr[T], *, over: str, offset: str = "", where: Where = None
    ) -> Expr[T]:
        """Return the value that occurs most often; missing where there are no rows."""
        return self._make("top_value", of, over, "", offset=offset, where=where, param="1")

    def top_k(
        self, of: Expr[T], k: int, *, over: str, offset: str = "", where: Where = None
    ) -> tuple[tuple[Expr[T], Expr[float]], ...]:
        """Return the k most frequent values and how often each occurs, the first one first.

        `(first, times), (second, _) = by_card.top_k(Payment.country, 2, over="90d")`. Missing,
        and 0 times, where there are fewer values.
        """
        options: dict[str, Any] = {"offset": offset, "where": where}
        return tuple(
            (
                self._make("top_value", of, over, "", param=str(nth), **options),
                self._make("top_count", of, over, "", param=str(nth), **options),
            )
            for nth in range(1, k + 1)
        )

    def first_n(
        self, of: Expr[T], n: int, *, over: str, offset: str = "", where: Where = None
    ) -> tuple[Expr[T], ...]:
        """Return the n earliest values, the earliest first; missing where there are fewer."""
        options: dict[str, Any] = {"offset": offset, "where": where}
        return tuple(
            self._make("first", of, over, "", param=str(nth), **options) for nth in range(1, n + 1)
        )

    def last_n(
        self, of: Expr[T], n: int, *, over: str, offset: str = "", where: Where = None
    ) -> tuple[Expr[T], ...]:
        """Return the n latest values, the latest first; missing where there are fewer."""
        options: dict[str, Any] = {"offset": offset, "where": where}
        return tuple(
            self._make("last", of, over, "", param=str(nth), **options) for nth in range(1, n + 1)
        )

    def in_force(self, of: Expr[T]) -> Expr[T]:
        """Return a Snapshot's value in force: of the newest version that had begun by then.

        For keys that a row reaches through another Snapshot; otherwise write the bare column.
        """
        return self._make("in_force", of, ALL_TIME, "")

    # ------------------------------------------------------------- how often, how long ago

    def ratio(self, *, where: Expr[bool], over: str, offset: str = "") -> Expr[float]:
        """Return the share of rows that meet a condition; missing where there are no rows."""
        some = self.count(over=over, offset=offset, where=where)
        return some / self.count(over=over, offset=offset)

    def rate(self, *, over: str, offset: str = "", where: Where = None) -> Expr[float]:
        """Return how many rows per hour of the window."""
        return self.count(over=over, offset=offset, where=where) / _hours(over)

    def decayed_count(self, *, half_life: str, where: Where = None) -> Expr[float]:
        """Return the count over all time, a row weighing half after every half-life."""
        return self._make("decayed_count", None, ALL_TIME, "", where=where, param=half_life)

    def decayed_sum(self, of: Expr[Any], *, half_life: str, where: Where = None) -> Expr[float]:
        """Return the sum over all time, a value weighing half after every half-life."""
        return self._make("decayed_sum", of, ALL_TIME, "", where=where, param=half_life)

    def decayed_mean(self, of: Expr[Any], *, half_life: str, where: Where = None) -> Expr[float]:
        """Return the mean over all time with those weights; missing where there are no rows."""
        weights = self._make("decayed_count", of, ALL_TIME, "", where=where, param=half_life)
        return self.decayed_sum(of, half_life=half_life, where=where) / weights

    def hours_until_next(self, *, ahead: str, offset: str = "", where: Where = None) -> Expr[float]:
        """Return the hours until the earliest row ahead; missing where there are no rows."""
        return self._make("hours_until_next", None, "", ahead, offset=offset, where=where)

    def hours_since_first(self, *, over: str = ALL_TIME, where: Where = None) -> Expr[float]:
        """Return the hours since the earliest row; missing where there are no rows."""
        return self._make("hours_since_first", None, over, "", where=where)

    def hours_since_last(self, *, over: str = ALL_TIME, where: Where = None) -> Expr[float]:
        """Return the hours since the latest row; missing where there are no rows."""
        return self._make("hours_since_last", None, over, "", where=where)

    # ------------------------------------------------------------- sessions

    def sessions(self, *, gap: str, over: str, offset: str = "") -> Expr[float]:
        """Return how many sessions began: rows after more than a gap without any."""
        return self._make("sessions", None, over, "", offset=offset, param=gap)

    def session_rows(self, *, gap: str) -> Expr[float]:
        """Return the rows of the session that is going on; 0 once the gap has passed."""
        return self._make("session_rows", None, ALL_TIME, "", param=gap)

    def session_minutes(self, *, gap: str) -> Expr[float]:
        """Return the minutes since the session that is going on began; 0 where there is none."""
        return self._make("session_minutes", None, ALL_TIME, "", param=gap)

    def _make(
        self,
        kind: str,
        of: Expr[Any] | None,
        over: str,
        ahead: str,
        *,
        offset: str = "",
        where: Where = None,
        param: str = "",
    ) -> Aggregate[Any] | Label[Any]:
        if where is not None:
            of = when(where, 1.0 if of is None else of, MISSING)
        if ahead and not over:
            return Label(kind, self.source, self.keys, of, ahead, offset)
        window = over if not ahead else f"{over} ahead {ahead}"
        return Aggregate(kind, self.source, self.keys, of, window, offset, param)


def _hours(over: str) -> float:
    try:
        return duration_us(over) / HOUR_US
    except ValueError:  # the count is a fault already
        return 1.0
