"""Sources and entities: what the world tells us, and about whom."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, cast, overload

from holdfast.define.columns import Column, EventTime, Key, KnownTime
from holdfast.define.expressions import ALL_TIME, Aggregate, Expr, Label
from holdfast.errors import DefinitionError, Site

__all__ = ["RESERVED", "Entity", "Event", "Grouped", "Snapshot", "Source"]

T = TypeVar("T")


class Entity:
    """Somebody or something that features are about, named by its key column."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.site = Site.here()

    def __repr__(self) -> str:
        return f'Entity("{self.key}")'


class Source:
    """A table of facts with a contract. Subclass `Event` or `Snapshot`, not this.

    Class options:

    * `source`: a file or a glob (`"payments/*.parquet"`), relative to the project.
    * `missing`: texts that stand for a missing value (`("?", "unknown")`).
    * `lag`: how long after the event a row is known, where no `KnownTime` column says so.
    * `without_time=True`: the table has no time at all. Then there are no windows, no replay and
      no test on the future: the split is random, and every figure says so.
    """

    columns: ClassVar[dict[str, Column[Any]]] = {}
    uri: ClassVar[str] = ""
    missing: ClassVar[tuple[str, ...]] = ()
    lag: ClassVar[str] = ""
    without_time: ClassVar[bool] = False
    site: ClassVar[Site]

    def __init_subclass__(
        cls,
        *,
        source: str = "",
        missing: tuple[str, ...] = (),
        lag: str = "",
        without_time: bool = False,
    ) -> None:
        super().__init_subclass__()
        cls.columns = {name: c for name, c in vars(cls).items() if isinstance(c, Column)}
        for name in RESERVED & set(cls.columns):
            raise DefinitionError(
                f"`{cls.__name__}.{name}` has a name that every source uses itself",
                code="HF128",
                site=cls.columns[name].site,
                hint=f'choose another and say what the data calls it: `column="{name}"`',
            )
        cls.uri, cls.missing, cls.lag, cls.without_time = source, missing, lag, without_time
        cls.site = Site.here()

    @classmethod
    def of_kind(cls, kind: type[Column[Any]]) -> list[Column[Any]]:
        """Return this source's columns of one type, in order."""
        return [column for column in cls.columns.values() if isinstance(column, kind)]

    @classmethod
    def event_time(cls) -> Column[Any] | None:
        """Return the column that says when a row happened."""
        return next(iter(cls.of_kind(EventTime)), None)

    @classmethod
    def known_time(cls) -> Column[Any] | None:
        """Return the column that says when a row was known."""
        return next(iter(cls.of_kind(KnownTime)), None)

    @classmethod
    def own_key(cls) -> Column[Any] | None:
        """Return the column that names a row, a `Key` that refers to nothing else."""
        keys = [cast(Key, key) for key in cls.of_kind(Key)]
        return next((key for key in keys if key.to is None), None)

    @classmethod
    def keys_to(cls, target: Entity | type[Source]) -> list[Column[Any]]:
        """Return the columns that refer to an entity or to another source."""
        return [key for key in cls.of_kind(Key) if cast(Key, key).to is target]

    @classmethod
    def by(cls, *keys: Entity | type[Source] | Column[Any]) -> Grouped:
        """Group this source's rows by entities, by a source they refer to, or by a key column."""
        return Grouped(cls, keys)


RESERVED = frozenset(name for name in dir(Source) if not name.startswith("_")) | {"site"}
"""What no column may be called in a definition; in the data it may."""


class Event(Source):
    """Facts that happened at a moment and never change: payments, clicks, sales."""


class Snapshot(Source):
    """Facts that hold from a moment until replaced: prices, addresses, limits."""


class Grouped:
    """Rows of a source grouped by entity, ready to aggregate over time.

    `over="7d"` looks back from the moment of prediction and makes a feature, `over="all"` looks
    back to the beginning; `ahead="7d"` looks forward and makes a label, or, for a source with a
    `KnownTime`, a feature of what is known of the future. Windows are half open, `[t - 7d, t)`
    and `[t, t + 7d)`; `offset="7d"` moves a window further away. Missing values are left out.
    """

    def __init__(
        self, source: type[Source], keys: tuple[Entity | type[Source] | Column[Any], ...]
    ) -> None:
        self.source, self.keys = source, keys

    @overload
    def count(self, *, over: str, offset: str = ...) -> Expr[int]: ...
    @overload
    def count(self, *, ahead: str, offset: str = ...) -> Label[int]: ...
    def count(self, *, over: str = "", ahead: str = "", offset: str = "") -> Expr[int]:
        """Return how many rows; 0 where there are none."""
        return self._make("count", None, over, ahead, offset=offset)

    @overload
    def sum(self, of: Expr[Any], *, over: str, offset: str = ...) -> Expr[float]: ...
    @overload
    def sum(self, of: Expr[Any], *, ahead: str, offset: str = ...) -> Label[float]: ...
    def sum(
        self, of: Expr[Any], *, over: str = "", ahead: str = "", offset: str = ""
    ) -> Expr[float]:
        """Return the sum; 0 where there are no rows."""
        return self._make("sum", of, over, ahead, offset=offset)

    @overload
    def mean(self, of: Expr[Any], *, over: str, offset: str = ...) -> Expr[float]: ...
    @overload
    def mean(self, of: Expr[Any], *, ahead: str, offset: str = ...) -> Label[float]: ...
    def mean(
        self, of: Expr[Any], *, over: str = "", ahead: str = "", offset: str = ""
    ) -> Expr[float]:
        """Return the mean; missing where there are no rows. Of a label: matured rows only."""
        return self._make("mean", of, over, ahead, offset=offset)

    @overload
    def min(self, of: Expr[T], *, over: str, offset: str = ...) -> Expr[T]: ...
    @overload
    def min(self, of: Expr[T], *, ahead: str, offset: str = ...) -> Label[T]: ...
    def min(self, of: Expr[T], *, over: str = "", ahead: str = "", offset: str = "") -> Expr[T]:
        """Return the smallest value; missing where there are no rows."""
        return self._make("min", of, over, ahead, offset=offset)

    @overload
    def max(self, of: Expr[T], *, over: str, offset: str = ...) -> Expr[T]: ...
    @overload
    def max(self, of: Expr[T], *, ahead: str, offset: str = ...) -> Label[T]: ...
    def max(self, of: Expr[T], *, over: str = "", ahead: str = "", offset: str = "") -> Expr[T]:
        """Return the largest value; missing where there are no rows."""
        return self._make("max", of, over, ahead, offset=offset)

    def std(self, of: Expr[Any], *, over: str, offset: str = "") -> Expr[float]:
        """Return the sample standard deviation (n - 1); missing for fewer than two rows."""
        return self._make("std", of, over, "", offset=offset)

    @overload
    def first(self, of: Expr[T], *, over: str, offset: str = ...) -> Expr[T]: ...
    @overload
    def first(self, of: Expr[T], *, ahead: str, offset: str = ...) -> Label[T]: ...
    def first(self, of: Expr[T], *, over: str = "", ahead: str = "", offset: str = "") -> Expr[T]:
        """Return the value of the earliest row; missing where there are no rows."""
        return self._make("first", of, over, ahead, offset=offset)

    @overload
    def last(self, of: Expr[T], *, over: str, offset: str = ...) -> Expr[T]: ...
    @overload
    def last(self, of: Expr[T], *, ahead: str, offset: str = ...) -> Label[T]: ...
    def last(self, of: Expr[T], *, over: str = "", ahead: str = "", offset: str = "") -> Expr[T]:
        """Return the value of the latest row; missing where there are no rows."""
        return self._make("last", of, over, ahead, offset=offset)

    @overload
    def any(self, *, over: str, offset: str = ...) -> Expr[bool]: ...
    @overload
    def any(self, *, ahead: str, offset: str = ...) -> Label[bool]: ...
    def any(self, *, over: str = "", ahead: str = "", offset: str = "") -> Expr[bool]:
        """Return whether there is any row."""
        return self._make("any", None, over, ahead, offset=offset)

    def seen(self, of: Expr[Any], *, over: str) -> Expr[bool]:
        """Return whether this row's value of a column occurred before within the window."""
        return self._make("seen", of, over, "")

    def hours_until_next(self, *, ahead: str, offset: str = "") -> Expr[float]:
        """Return the hours until the earliest row ahead; missing where there are no rows."""
        return self._make("hours_until_next", None, "", ahead, offset=offset)

    def hours_since_first(self, *, over: str = ALL_TIME) -> Expr[float]:
        """Return the hours since the earliest row; missing where there are no rows."""
        return self._make("hours_since_first", None, over, "")

    def hours_since_last(self, *, over: str = ALL_TIME) -> Expr[float]:
        """Return the hours since the latest row; missing where there are no rows."""
        return self._make("hours_since_last", None, over, "")

    def _make(
        self, kind: str, of: Expr[Any] | None, over: str, ahead: str, *, offset: str = ""
    ) -> Aggregate[Any] | Label[Any]:
        if ahead and not over:
            return Label(kind, self.source, self.keys, of, ahead, offset)
        window = over if not ahead else f"{over} ahead {ahead}"
        return Aggregate(kind, self.source, self.keys, of, window, offset)
