"""Row-level operators: one row has the bits of a column; domains, overflow, rounding, distance."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.features.row_machine import ARITY, CALENDAR, EARTH_RADIUS_KM, IS_IN
from holdfast.features.rows import Builder, Program, run, run_row

NAN = float("nan")
LARGEST = 1.7976931348623157e308

numbers = st.one_of(
    st.just(NAN), st.floats(allow_infinity=False, width=64), st.integers(-400, 400).map(float)
)


def program_of(op: str) -> Program:
    builder = Builder()
    for place in range(ARITY[op]):
        builder.input(f"x{place}")
    builder.op(op)
    builder.output()
    return builder.build()


def value(op: str, *operands: float) -> float:
    return float(run_row(program_of(op), np.array(operands, dtype=np.float64))[0])


def same(got: float, expected: float) -> bool:
    return got == expected or (math.isnan(got) and math.isnan(expected))


@given(st.sampled_from(sorted(ARITY)), st.data())
def test_one_row_has_the_bits_of_a_column_of_any_length(op: str, data: st.DataObject) -> None:
    row = st.tuples(*[numbers] * ARITY[op])
    matrix = np.array(data.draw(st.lists(row, min_size=1, max_size=40)), dtype=np.float64)
    program = program_of(op)
    many = run(program, matrix).view(np.int64)
    ones = np.array([run_row(program, one) for one in matrix]).view(np.int64)
    half = run(program, matrix[: len(matrix) // 2]).view(np.int64)
    assert many.tolist() == ones.tolist()
    assert many[: len(half)].tolist() == half.tolist()


@given(st.sampled_from(sorted(set(ARITY) - {"when"})), st.data())
def test_no_operator_makes_a_number_infinite(op: str, data: st.DataObject) -> None:
    assert not math.isinf(value(op, *data.draw(st.tuples(*[numbers] * ARITY[op]))))


@pytest.mark.parametrize("op", sorted(set(ARITY) - {"&", "|", "coalesce", "is_missing", "when"}))
def test_missing_stays_missing(op: str) -> None:
    for place in range(ARITY[op]):
        operands = [1.0] * ARITY[op]
        operands[place] = NAN
        assert math.isnan(value(op, *operands))


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        ("log", (0.0,)), ("log", (-1.0,)), ("log1p", (-1.0,)), ("sqrt", (-1e-300,)),
        ("exp", (709.79,)), ("+", (LARGEST, LARGEST)), ("*", (1e200, 1e200)),
        ("/", (1e200, 1e-200)), ("/", (1.0, 0.0)), ("%", (1.0, 0.0)), ("//", (1.0, 0.0)),
        ("**", (-8.0, 1 / 3)),
        ("**", (0.0, -1.0)), ("**", (10.0, 400.0)),
    ],
)  # fmt: skip
def test_what_has_no_finite_answer_is_missing(op: str, operands: tuple[float, ...]) -> None:
    assert math.isnan(value(op, *operands))


@pytest.mark.parametrize(
    ("op", "function"),
    [("exp", math.exp), ("sqrt", math.sqrt), ("log", math.log), ("log1p", math.log1p),
     ("floor", math.floor), ("ceil", math.ceil), ("abs", abs)],
)  # fmt: skip
@given(number=st.floats(1e-9, 700.0))
def test_functions_are_those_of_the_textbook(op: str, function: Any, number: float) -> None:
    assert value(op, number) == pytest.approx(function(number), rel=1e-15)


whole = st.floats(-1e15, 1e15)


@given(whole, whole.filter(bool))
def test_remainder_and_floor_division_are_pythons(a: float, b: float) -> None:
    assert same(value("%", a, b), a % b)
    expected = a // b
    assert same(value("//", a, b), expected if math.isfinite(expected) else NAN)


@given(st.floats(-1e12, 1e12), st.integers(-9, 9))
def test_rounding_is_numpys(number: float, digits: int) -> None:
    expected = float(np.round(number, digits))
    assert value("round", number, float(digits)) == pytest.approx(expected, rel=1e-15, abs=1e-300)


def test_halves_are_rounded_to_the_even_neighbour() -> None:
    assert [value("round", x, 0.0) for x in (0.5, 1.5, 2.5, -0.5)] == [0.0, 2.0, 2.0, 0.0]
    assert [value("round", x, 1.0) for x in (0.25, 0.35)] == [0.2, 0.4]
    assert value("round", 12_345.0, -2.0) == 12_300.0
    assert value("round", 1e300, 15.0) == 1e300


def test_signs() -> None:
    assert [value("sign", x) for x in (-3.0, 0.0, -0.0, 7.0)] == [-1.0, 0.0, 0.0, 1.0]


def test_coalesce_takes_the_first_that_is_there() -> None:
    assert [value("coalesce", a, b) for a, b in ((1.0, 2.0), (NAN, 2.0))] == [1.0, 2.0]
    assert math.isnan(value("coalesce", NAN, NAN))


@given(st.lists(whole, min_size=1, max_size=20), numbers)
def test_is_in_is_membership(values: list[float], asked: float) -> None:
    builder = Builder()
    builder.input("x")
    builder.is_in(values)
    builder.output()
    program = builder.build()
    assert IS_IN in program.code
    got = [float(x) for x in run(program, np.array([[asked], [values[0]]]))[:, 0]]
    assert same(got[0], NAN if math.isnan(asked) else float(asked in values))
    assert got[1] == 1.0


def test_distances() -> None:
    lisbon, porto = (38.7223, -9.1393), (41.1579, -8.6291)
    assert value("distance_km", *lisbon, *porto) == pytest.approx(274.3, abs=0.5)
    assert value("distance_km", 0.0, 0.0, 0.0, 180.0) == math.pi * EARTH_RADIUS_KM
    assert value("distance_km", *lisbon, *lisbon) == 0.0
    for beyond in ((90.1, 0.0), (0.0, 180.1), (-91.0, 0.0), (0.0, -181.0)):
        assert math.isnan(value("distance_km", *lisbon, *beyond))
        assert math.isnan(value("distance_km", *beyond, *lisbon))


points = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(points, points)
def test_a_distance_is_that_of_the_chord(one: Any, other: Any) -> None:
    def on_sphere(point: Any) -> Any:
        lat, lon = math.radians(point[0]), math.radians(point[1])
        return np.array(
            [math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)]
        )

    chord = float(np.linalg.norm(on_sphere(one) - on_sphere(other)))
    expected = 2 * EARTH_RADIUS_KM * math.asin(min(1.0, chord / 2))
    assert value("distance_km", *one, *other) == pytest.approx(expected, rel=1e-6, abs=1e-6)


ZONES = sorted(
    {"Europe/Lisbon", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
     "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia", "UTC"} & available_timezones()
)  # fmt: skip
FIRST, LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1971, 2037))


def fields(us: int, zone: str) -> list[float]:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(
        ZoneInfo(zone)
    )
    found = {
        "minute": local.minute, "hour": local.hour, "weekday": local.weekday(),
        "is_weekend": local.weekday() >= 5, "day": local.day, "month": local.month,
        "year": local.year, "day_of_year": local.timetuple().tm_yday,
        "week": local.isocalendar().week,
    }  # fmt: skip
    return [float(found[part]) for part in CALENDAR]


def calendar_program(zone: str) -> Program:
    builder = Builder()
    for part in CALENDAR:
        builder.input("moment")
        builder.calendar(part, zone)
        builder.output()
    return builder.build()


def changes(zone: str) -> list[int]:
    """The hours around which a zone's offset changes, in us, between 1996 and 2036."""
    at, step = int(datetime(1996, 1, 1, tzinfo=UTC).timestamp()), 3600 * 24
    found, before = [], None
    for second in range(at, int(datetime(2036, 1, 1, tzinfo=UTC).timestamp()), step):
        offset = datetime.fromtimestamp(second, ZoneInfo(zone)).utcoffset()
        if before is not None and offset != before:
            found.append(second * 1_000_000)
        before = offset
    return found


@pytest.mark.parametrize("zone", ZONES)
@given(seconds=st.lists(st.integers(FIRST, LAST), min_size=1, max_size=20))
def test_date_parts_are_those_of_the_zone(zone: str, seconds: list[int]) -> None:
    moments = [second * 1_000_000 + second % 1_000_000 for second in seconds]
    got = run(calendar_program(zone), np.array(moments, dtype=np.float64)[:, None])
    assert got.tolist() == [fields(moment, zone) for moment in moments]


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "UTC"])
def test_date_parts_hold_around_every_change_of_the_clock(zone: str) -> None:
    quarters = range(-26 * 4, 2 * 4)
    moments = [at + q * 900_000_000 + d for at in changes(zone) for q in quarters for d in (-1, 0)]
    got = run(calendar_program(zone), np.array(moments, dtype=np.float64)[:, None])
    assert got.tolist() == [fields(moment, zone) for moment in moments]


@given(st.integers(1001, 9998), st.integers(1, 366))
def test_the_calendar_holds_for_every_year(year: int, day: int) -> None:
    at = datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=min(day, 365) - 1)
    us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    got = run_row(calendar_program("UTC"), np.array([float(us)]))
    assert got.tolist() == fields(us, "UTC")
