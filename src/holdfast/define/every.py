"""Decisions on a schedule: when, and about whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from holdfast.core.duration import UNITS_US, duration_us
from holdfast.define.columns import Column, EventTime, Key
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.sources import Entity, Event, Snapshot, Source
from holdfast.errors import Site

__all__ = ["MOMENT", "ROWS", "Every", "every_faults", "listed_sources", "seen_sources"]

ROWS = "Every"
"""The name of the source whose rows a schedule makes."""

MOMENT = "at"
"""The column of such a row that says when it is decided."""

_AT = re.compile(r"^([01][0-9]|2[0-3]):([0-5][0-9])(?: (\S+))?$")


class Every:
    """A moment of prediction on a schedule, for every active entity.

    `Every("1d", Store, Item, at="05:00 Europe/Lisbon")` decides each day at five o'clock, as the
    clocks in Lisbon show it, for every store and item that was seen within the longest window of
    the definition, or that a Snapshot about them lists. `period`: whole days, which are counted
    from a Monday, or a part of a day such as "6h", counted from `at`. `at` without a zone is UTC.

    `rows`: the source that the schedule stands for; it has the moment and a key per entity.
    """

    def __init__(self, period: str, *entities: Entity, at: str = "00:00") -> None:
        self.period, self.entities, self.at = period, entities, at
        self.site = Site.here()
        columns: dict[str, Column[object]] = {MOMENT: EventTime()}
        for entity in entities:
            if isinstance(entity, Entity):
                columns[entity.key] = Key(entity)
        self.rows: type[Event] = type(ROWS, (Event,), columns)
        self.rows.site = self.site

    @property
    def at_us(self) -> int:
        """The time of day, us after midnight by the clocks of the zone."""
        hour, minute = self.at[:5].split(":")
        return int(hour) * UNITS_US["h"] + int(minute) * UNITS_US["min"]

    @property
    def zone(self) -> str:
        """The zone whose clocks show it."""
        return self.at[6:] or "UTC"


def seen_sources(every: Every, sources: list[type[Source]]) -> list[type[Source]]:
    """Return the sources of events whose rows name exactly one of each entity of a schedule."""
    return [
        source
        for source in sources
        if issubclass(source, Event)
        and source is not every.rows
        and not source.without_time
        and all(len(source.keys_to(entity)) == 1 for entity in every.entities)
    ]


def listed_sources(every: Every, sources: list[type[Source]]) -> list[type[Source]]:
    """Return the Snapshots that are about the entities of a schedule and nothing else."""
    return [
        source
        for source in sources
        if issubclass(source, Snapshot)
        and set(source.about()) == set(every.entities)
        and all(len(source.keys_to(entity)) == 1 for entity in every.entities)
    ]


def every_faults(every: Every, sources: list[type[Source]]) -> Iterator[Fault]:
    """Yield what is wrong with a schedule: its period, its time, its entities."""
    yield from duration_fault(every.period, every.site)
    yield from _period_faults(every)
    yield from _time_faults(every)
    keys = [getattr(entity, "key", "") for entity in every.entities]
    if not keys or "" in keys or len(set(keys)) < len(keys) or MOMENT in keys:
        yield fault(
            f"`hf.Every` names no entities, names one twice, or one whose key is `{MOMENT}`",
            code="HF145",
            site=every.site,
            hint='name each once: `hf.Every("1d", Store, Item)`',
        )
    elif any(source.__name__ == ROWS for source in sources if source is not every.rows):
        yield fault(
            f"a source is called `{ROWS}`, which is what the rows of a schedule are called",
            code="HF145",
            site=every.site,
            hint="give the source another name",
        )
    elif not seen_sources(every, sources) and not listed_sources(every, sources):
        yield fault(
            f"no source tells which {' and '.join(keys)} there are",
            code="HF146",
            site=every.site,
            hint="read a source that has a key to each, or list them in a Snapshot about them",
        )


def _period_faults(every: Every) -> Iterator[Fault]:
    try:
        period, day = duration_us(every.period), UNITS_US["d"]
    except ValueError:
        return
    if period and period % day and day % period:
        yield fault(
            f'"{every.period}" is neither whole days nor a part of a day',
            code="HF145",
            site=every.site,
            hint='such as "1d", "7d", "12h", "6h" or "15min"',
        )


def _time_faults(every: Every) -> Iterator[Fault]:
    found = _AT.match(every.at)
    if found is None:
        yield fault(
            f'`at="{every.at}"` is no time of day',
            code="HF145",
            site=every.site,
            hint='such as at="05:00" (UTC) or at="05:00 Europe/Lisbon"',
        )
        return
    try:
        ZoneInfo(found[3] or "UTC")
    except (OSError, ValueError, LookupError):
        yield fault(
            f'there is no time zone "{found[3]}"',
            code="HF127",
            site=every.site,
            hint='use an IANA name such as "Europe/Lisbon"',
        )
