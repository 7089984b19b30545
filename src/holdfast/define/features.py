"""The feature set of a use case."""

from __future__ import annotations

import difflib
from typing import Any, ClassVar

from holdfast.define.expressions import Expr, Moment
from holdfast.define.holidays import HolidayCalendar
from holdfast.errors import DefinitionError, Site

__all__ = ["Calendar", "Features", "calendar"]


class Features:
    """Subclass and assign expressions; each attribute is one feature, named by its attribute."""

    features: ClassVar[dict[str, Expr[Any]]] = {}
    site: ClassVar[Site]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        inherited = {k: v for base in reversed(cls.__mro__[1:]) for k, v in _expressions(base)}
        cls.features = {**inherited, **dict(_expressions(cls))}
        cls.site = Site.here()

    @classmethod
    def select(cls, *names: str) -> type[Features]:
        """Return a feature set with some of these features, in the order given.

        A class may combine several: `class Features(Cards, Shops.select("rate")): ...`.

        Raises:
            DefinitionError: HF183 when there is no feature of a name.
        """
        for name in names:
            if name not in cls.features:
                near = difflib.get_close_matches(name, cls.features, n=1)
                raise DefinitionError(
                    f"`{cls.__name__}` has no feature `{name}`",
                    code="HF183",
                    site=Site.here(),
                    hint=f"did you mean `{near[0]}`?"
                    if near
                    else f"it has {', '.join(cls.features)}",
                )
        return type(cls.__name__, (Features,), {name: cls.features[name] for name in names})


def _expressions(owner: type) -> list[tuple[str, Expr[Any]]]:
    return [(name, value) for name, value in vars(owner).items() if isinstance(value, Expr)]


class Calendar(HolidayCalendar):
    """Features of the moment of prediction itself, in one time zone (an IANA name).

    >>> Calendar("Europe/Lisbon").hour.zone
    'Europe/Lisbon'
    """

    @property
    def minute(self) -> Moment[int]:
        """The minute of the hour, 0 to 59."""
        return Moment("minute", self.zone)

    @property
    def hour(self) -> Moment[int]:
        """The hour of the day, 0 to 23."""
        return Moment("hour", self.zone)

    @property
    def weekday(self) -> Moment[int]:
        """The day of the week, Monday 0 to Sunday 6."""
        return Moment("weekday", self.zone)

    @property
    def is_weekend(self) -> Moment[bool]:
        """Whether it is Saturday or Sunday."""
        return Moment("is_weekend", self.zone)

    @property
    def day(self) -> Moment[int]:
        """The day of the month, 1 to 31."""
        return Moment("day", self.zone)

    @property
    def day_of_year(self) -> Moment[int]:
        """The day of the year, 1 to 366."""
        return Moment("day_of_year", self.zone)

    @property
    def week(self) -> Moment[int]:
        """The week, 1 to 53 (ISO 8601: it begins on Monday, and belongs to its Thursday's year)."""
        return Moment("week", self.zone)

    @property
    def month(self) -> Moment[int]:
        """The month, 1 to 12."""
        return Moment("month", self.zone)

    @property
    def year(self) -> Moment[int]:
        """The year."""
        return Moment("year", self.zone)

    def at(self, zone: str) -> Calendar:
        """Return the calendar of another time zone."""
        return Calendar(zone)


calendar = Calendar()
