"""Calendar features agree with Python's own calendar, in every zone, on both sides of a change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.define.holidays import public_holidays
from holdfast.features.holidays import HolidayPlan, HolidayTable, HolidayWindow
from holdfast.features.rows import Builder, Program, run, run_row
from holdfast.features.zones import zone_offsets

EXAMPLES = 300
ZONES = (
    "UTC",
    "Europe/Lisbon",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",  # its summer time is half an hour
    "Asia/Kathmandu",
    "Pacific/Apia",  # it left out a day
    "Africa/Casablanca",
    "Africa/Monrovia",  # it once was 44 minutes and 30 seconds behind
    "Antarctica/Troll",
)
COUNTRIES = ("PT", "PT-20", "DE-BY", "US", "HK", "SA")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = 0, 3_155_760_000_000_000  # 1970 to 2070, us
DAY = 86_400_000_000
PARTS: dict[str, Any] = {
    "minute": lambda d: d.minute,
    "hour": lambda d: d.hour,
    "weekday": lambda d: d.weekday(),
    "is_weekend": lambda d: d.weekday() >= 5,
    "day": lambda d: d.day,
    "month": lambda d: d.month,
    "year": lambda d: d.year,
}


@st.composite
def moments(draw: st.DrawFn, zone: str) -> int:
    """A moment, every second time within a day of a change of the zone's clocks."""
    changes = [int(at) for at in zone_offsets(zone)[0] if FIRST < at < LAST]
    if not changes or draw(st.booleans()):
        return draw(st.integers(FIRST, LAST - 1))
    near = draw(st.sampled_from(changes)) + draw(st.sampled_from([-DAY, -1, 0, 1, DAY]))
    return min(max(FIRST, near + draw(st.integers(-7_200, 7_200)) * 1_000_000), LAST - 1)


zoned = st.sampled_from(ZONES).flatmap(lambda zone: st.tuples(st.just(zone), moments(zone)))


def local(zone: str, moment: int) -> datetime:
    return (EPOCH + timedelta(microseconds=moment)).astimezone(ZoneInfo(zone))


@lru_cache
def program(zone: str) -> Program:
    builder = Builder()
    for part in PARTS:
        builder.input("moment")
        builder.calendar(part, zone)
        builder.output()
    return builder.build()


@settings(max_examples=EXAMPLES)
@given(where=zoned)
@example(where=("Africa/Monrovia", 63_593_070_000_000))
@example(where=("Africa/Monrovia", 63_593_069_999_999))
def test_a_part_of_the_moment_is_what_python_says(where: tuple[str, int]) -> None:
    zone, moment = where
    asked = np.array([[float(moment)]])
    found = run(program(zone), asked)[0]
    then = local(zone, moment)
    assert dict(zip(PARTS, found.tolist(), strict=True)) == {
        name: float(part(then)) for name, part in PARTS.items()
    }
    assert np.array_equal(found, run_row(program(zone), asked[0]))


@pytest.mark.parametrize(
    ("zone", "summer", "days"),
    [("Europe/Lisbon", "2024-03-31", 23), ("Europe/Lisbon", "2024-10-27", 25)],
)
def test_a_local_day_may_have_another_length(zone: str, summer: str, days: int) -> None:
    midnight = datetime.fromisoformat(summer).replace(tzinfo=ZoneInfo(zone))
    start = int(midnight.timestamp()) * 1_000_000
    hours = np.arange(start, start + 26 * 3_600_000_000, 3_600_000_000, dtype=np.float64)
    found = run(program(zone), hours[:, None])
    names = list(PARTS)
    assert int((found[:, names.index("day")] == midnight.day).sum()) == days
    last_hour = found[days - 1, names.index("hour")]
    assert last_hour == 23.0


def windows(zone: str) -> tuple[HolidayWindow, ...]:
    return (
        HolidayWindow(measure="count", zone=zone, begin=0, end=7),
        HolidayWindow(measure="count", zone=zone, begin=-31, end=-1),
        HolidayWindow(measure="is", zone=zone),
        HolidayWindow(measure="days_to", zone=zone),
        HolidayWindow(measure="days_since", zone=zone),
    )


@lru_cache
def table(country: str, zone: str) -> HolidayTable:
    return HolidayTable(HolidayPlan(**vars(public_holidays(country)), windows=windows(zone)))


@lru_cache
def days_off(country: str) -> tuple[frozenset[date], int, int]:
    name, _, part = country.partition("-")
    known = holidays.country_holidays(name, subdiv=part or None)
    years = max(1970, known.start_year), min(2070, known.end_year)
    found = holidays.country_holidays(name, subdiv=part or None, years=range(1969, 2072))
    return frozenset(found), *years


@settings(max_examples=EXAMPLES)
@given(where=zoned, country=st.sampled_from(COUNTRIES))
@example(where=("Europe/Lisbon", FIRST), country="PT")
@example(where=("UTC", LAST - DAY), country="US")
@example(where=("UTC", 662_688_000_000_000 - 1), country="DE-BY")  # 1990 ends; its laws begin
def test_holidays_are_those_of_the_local_day(where: tuple[str, int], country: str) -> None:
    zone, moment = where
    found = table(country, zone).at(np.array([moment]))[0]
    off, first, last = days_off(country)
    today = local(zone, moment).date()

    def count(begin: int, end: int) -> float:
        asked = [today + timedelta(days=n) for n in range(begin, end)]
        if asked[0].year < first or asked[-1].year > last:
            return float("nan")
        return float(sum(day in off for day in asked))

    def distance(step: int) -> float:
        if not first <= today.year <= last:
            return float("nan")
        for days in range(800):
            day = today + timedelta(days=step * days)
            if not first <= day.year <= last:
                break
            if day in off:
                return float(days)
        return float("nan")

    expected = [count(0, 7), count(-31, -1), count(0, 1), distance(1), distance(-1)]
    assert np.array_equal(found, expected, equal_nan=True), (found, expected)


@settings(max_examples=30)
@given(data=st.data(), zone=st.sampled_from(ZONES))
def test_many_moments_have_the_bits_of_each(data: st.DataObject, zone: str) -> None:
    asked = np.array(data.draw(st.lists(moments(zone), max_size=20)), dtype=np.int64)
    whole = table("PT", zone).at(asked)
    single = [table("PT", zone).at(asked[at : at + 1])[0] for at in range(len(asked))]
    assert np.array_equal(whole, np.array(single).reshape(whole.shape), equal_nan=True)


def test_the_calendar_of_a_zone_asks_for_its_local_day() -> None:
    node = hf.calendar.at("Asia/Kathmandu").is_holiday("NP")
    assert node.zone == "Asia/Kathmandu"  # type: ignore[attr-defined]
