"""Sources and entities: what the world tells us, and about whom."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from holdfast.define.columns import Column, EventTime, Key, KnownTime, RetractedTime
from holdfast.define.grouped import Grouped
from holdfast.errors import DefinitionError, Site

__all__ = ["RESERVED", "Entity", "Event", "Snapshot", "Source"]


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
    * `of`: for a `Snapshot`, the entity or entities it is about (`of=Merchant`); its other keys are
      then facts like the rest. Left out, it is about all that it has a key to.
    * `without_time=True`: the table has no time at all. Then there are no windows, no replay and
      no test on the future: the split is random, and every figure says so.
    """

    columns: ClassVar[dict[str, Column[Any]]] = {}
    uri: ClassVar[str] = ""
    missing: ClassVar[tuple[str, ...]] = ()
    lag: ClassVar[str] = ""
    without_time: ClassVar[bool] = False
    of: ClassVar[tuple[Entity | type[Source], ...]] = ()
    site: ClassVar[Site]

    def __init_subclass__(
        cls,
        *,
        source: str = "",
        missing: tuple[str, ...] = (),
        lag: str = "",
        without_time: bool = False,
        of: Entity | type[Source] | tuple[Entity | type[Source], ...] = (),
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
        cls.of = of if isinstance(of, tuple) else (of,)
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
    def retracted_time(cls) -> Column[Any] | None:
        """Return the column that says when a row was taken back."""
        return next(iter(cls.of_kind(RetractedTime)), None)

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
    def about(cls) -> tuple[Entity | type[Source], ...]:
        """Return what a Snapshot is about: the keys by which a row finds what is in force."""
        keys = [cast(Key, key).to for key in cls.of_kind(Key)]
        return cls.of or tuple(dict.fromkeys(key for key in keys if key is not None))

    @classmethod
    def by(cls, *keys: Entity | type[Source] | Column[Any]) -> Grouped:
        """Group this source's rows by entities, by a source they refer to, or by a key column.

        A key column of a `Snapshot` groups by what it refers to and says how a row gets there:
        `Complaint.by(MerchantInfo.owner_id)` are the complaints about the owner that the
        payment's merchant has at the moment.
        """
        return Grouped(cls, keys)


RESERVED = frozenset(name for name in dir(Source) if not name.startswith("_")) | {"site"}
"""What no column may be called in a definition; in the data it may."""


class Event(Source):
    """Facts that happened at a moment and never change: payments, clicks, sales."""


class Snapshot(Source):
    """Facts that hold from a moment until replaced: prices, addresses, limits.

    A bare column is its value in force at the moment of prediction, by the row's keys: that of
    the newest version that had begun and was known. A missing value is a value. A version of the
    same `EventTime` that is known later corrects the earlier one. After `hf.ValidUntil()`, and
    from a version on that `hf.Deleted()` marks, there is no value.
    """
