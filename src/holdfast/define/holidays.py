"""Public holidays: features of the moment's local day, and the days that they count."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal, TypeVar, overload

from holdfast.core.duration import UNITS_US, duration_us
from holdfast.define.expressions import Expr
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.errors import Site

__all__ = ["HolidayCalendar", "Holidays", "PublicHolidays", "holiday_faults", "public_holidays"]

T_co = TypeVar("T_co", covariant=True)

FIRST_YEAR, LAST_YEAR = 1970, 2070
"""The years whose holidays are known, both inside; a country's own laws may begin later."""

PARTS_SHOWN_MAX = 20
EPOCH = date(1970, 1, 1).toordinal()

Measure = Literal["count", "is", "days_to", "days_since"]


@dataclass(frozen=True, eq=False)
class Holidays(Expr[T_co]):
    """What the public holidays of a country, or of a part of it, are to the moment's local day."""

    measure: Measure
    country: str
    zone: str
    ahead: str = ""
    over: str = ""
    offset: str = ""
    site: Site = field(default_factory=Site.here)

    def __str__(self) -> str:
        if self.measure != "count":
            return f"{self.measure} holiday of {self.country} ({self.zone})".replace("_", " ")
        window = f"{self.ahead} ahead" if self.ahead else f"over {self.over}"
        moved = f", moved by {self.offset}" if self.offset else ""
        return f"holidays of {self.country}, {window}{moved} ({self.zone})"

    def days(self) -> tuple[int, int]:
        """Return the first day of the window and the day behind its last, from today on."""
        offset = _days(self.offset)
        if self.ahead:
            return offset, offset + _days(self.ahead)
        return (-offset - _days(self.over), -offset) if self.over else (0, 1)


@dataclass(frozen=True, kw_only=True)
class PublicHolidays:
    """A country's public holidays as days since 1970-01-01, and the days that they cover."""

    country: str
    package: str
    first_day: int
    last_day: int
    days: tuple[int, ...]


class HolidayCalendar:
    """The public holidays of a country, or of a part of it such as `"DE-BY"`, in one zone.

    A day is a local day of the zone. `ahead="7d"` is today and the six days after it, `over="7d"`
    the seven days before today; `offset=` moves a window further away. Beyond the years that are
    known (1970 to 2070, or what the country's laws cover) there is no value. The dates come from
    the package `holidays` when the definition is compiled, and stay with the model.
    """

    def __init__(self, zone: str = "UTC") -> None:
        self.zone = zone

    @overload
    def holidays(
        self, country: str, *, ahead: str, offset: str = ..., subdivision: str = ...
    ) -> Expr[int]: ...
    @overload
    def holidays(
        self, country: str, *, over: str, offset: str = ..., subdivision: str = ...
    ) -> Expr[int]: ...
    def holidays(
        self,
        country: str,
        *,
        ahead: str = "",
        over: str = "",
        offset: str = "",
        subdivision: str = "",
    ) -> Expr[int]:
        """Return how many days of a window, in whole days, are public holidays."""
        place = _place(country, subdivision)
        return Holidays("count", place, self.zone, ahead, over, offset)

    def is_holiday(self, country: str, *, subdivision: str = "") -> Expr[bool]:
        """Return whether today is a public holiday."""
        return Holidays("is", _place(country, subdivision), self.zone)

    def days_to_holiday(self, country: str, *, subdivision: str = "") -> Expr[int]:
        """Return the days until the next public holiday; 0 on one."""
        return Holidays("days_to", _place(country, subdivision), self.zone)

    def days_since_holiday(self, country: str, *, subdivision: str = "") -> Expr[int]:
        """Return the days since the last public holiday; 0 on one."""
        return Holidays("days_since", _place(country, subdivision), self.zone)


def holiday_faults(name: str, node: Holidays[Any], *, without_time: bool) -> Iterator[Fault]:
    """Yield what is wrong with a feature made of public holidays."""
    if without_time:
        yield fault(
            f"`{name}` asks for the day of rows that have no time",
            code="HF117",
            site=node.site,
            hint="holidays need an `hf.EventTime()`",
        )
    if node.measure == "count" and bool(node.ahead) == bool(node.over):
        yield fault(
            f"`{name}` needs either `over=` or `ahead=`",
            code="HF105",
            site=node.site,
            hint='write `ahead="7d"` for today and the six days after it',
        )
    for span in filter(None, (node.ahead, node.over, node.offset)):
        yield from _span_faults(name, span, node.site)
    yield from _country_faults(name, node)


@lru_cache(maxsize=64)
def public_holidays(country: str) -> PublicHolidays:
    """Return the public holidays of a country that `holiday_faults` found nothing wrong with."""
    import holidays

    name, _, part = country.partition("-")
    asked = holidays.country_holidays(name, subdiv=part or None)
    first, last = max(FIRST_YEAR, asked.start_year), min(LAST_YEAR, asked.end_year)
    found = holidays.country_holidays(name, subdiv=part or None, years=range(first, last + 1))
    days = sorted(day.toordinal() - EPOCH for day in found if first <= day.year <= last)
    return PublicHolidays(
        country=country,
        package=f"holidays {version('holidays')}",
        first_day=_new_year(first),
        last_day=_new_year(last + 1) - 1,
        days=tuple(days),
    )


def _span_faults(name: str, span: str, site: Site) -> Iterator[Fault]:
    found = list(duration_fault(span, site))
    yield from found
    if not found and duration_us(span) % UNITS_US["d"]:
        yield fault(
            f'`{name}` counts holidays over "{span}", which is no number of days',
            code="HF142",
            site=site,
            hint='such as "1d", "7d" or "4w"',
        )


def _country_faults(name: str, node: Holidays[Any]) -> Iterator[Fault]:
    if find_spec("holidays") is None:
        yield fault(
            f"`{name}` needs the public holidays of {node.country}; their package is not installed",
            code="HF144",
            site=node.site,
            hint="pip install 'holdfast[holidays]'",
        )
        return
    places, names = _places()
    country, _, part = node.country.partition("-")
    if country not in places:
        yield fault(
            f'`{name}` asks for the holidays of "{country}", which is no country we know',
            code="HF143",
            site=node.site,
            hint=_near(country, places, names),
        )
    elif part and part not in places[country]:
        yield fault(
            f'`{name}` asks for the holidays of "{part}", which is no part of {country}',
            code="HF143",
            site=node.site,
            hint=_parts(places[country]),
        )


@lru_cache(maxsize=1)
def _places() -> tuple[Mapping[str, Sequence[str]], Mapping[str, str]]:
    """Return the parts of each country by its code, and the codes of countries by their name."""
    import holidays
    from holidays.registry import COUNTRIES

    names = {name.replace("_", " "): codes[1] for name, codes in COUNTRIES.items()}
    return holidays.list_supported_countries(include_aliases=True), names


def _near(word: str, places: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return a hint with the codes that a wrong country may stand for."""
    by_name = difflib.get_close_matches(word.lower(), names, n=1)
    if by_name:
        return f'write "{names[by_name[0]]}"'
    near = difflib.get_close_matches(word.upper(), places, n=3, cutoff=0.4)
    return f"two letters, such as {', '.join(near or list(places)[:3])}"


def _parts(parts: Sequence[str]) -> str:
    """Return a hint with the parts that a country has."""
    shown = ", ".join(parts[:PARTS_SHOWN_MAX])
    more = f" and {len(parts) - PARTS_SHOWN_MAX} more" if len(parts) > PARTS_SHOWN_MAX else ""
    return f"its parts are {shown}{more}" if parts else "it has no parts here; leave it out"


def _place(country: str, subdivision: str) -> str:
    return f"{country}-{subdivision}" if subdivision else country


def _days(span: str) -> int:
    return duration_us(span) // UNITS_US["d"] if span else 0


def _new_year(year: int) -> int:
    return date(year, 1, 1).toordinal() - EPOCH
