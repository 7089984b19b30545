"""Row-level programs: the same bits for a column and a row; missing values; the calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import DefinitionError
from holdfast.features.row_machine import ARITY, CALENDAR, STACK_MAX
from holdfast.features.rows import Builder, Program, run, run_row

NAN = float("nan")
BINARY = tuple(op for op, arity in ARITY.items() if arity == 2)
SECONDS = tuple(int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1971, 2068))


def binary(op: str) -> Program:
    builder = Builder()
    builder.input("a")
    builder.input("b")
    builder.op(op)
    builder.output()
    return builder.build()


numbers = st.one_of(st.just(NAN), st.floats(allow_infinity=False, width=64), st.integers(-2, 2))


@given(st.sampled_from(BINARY), st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9))
def test_one_row_has_the_bits_of_many(op: str, rows: list[tuple[float, float]]) -> None:
    program, matrix = binary(op), np.array(rows, dtype=np.float64)
    many = run(program, matrix)
    ones = np.array([run_row(program, row) for row in matrix])
    assert many.view(np.int64).tolist() == ones.view(np.int64).tolist()


def kleene_and(a: float, b: float) -> float:
    if 0.0 in (a, b):
        return 0.0
    return NAN if NAN in (a, b) or a != a or b != b else 1.0


@pytest.mark.parametrize(("a", "b"), list(product((0.0, 1.0, NAN), repeat=2)))
def test_and_and_or_follow_kleene(a: float, b: float) -> None:
    got = run_row(binary("&"), np.array([a, b]))[0]
    assert np.array_equal(got, kleene_and(a, b), equal_nan=True)
    got = run_row(binary("|"), np.array([a, b]))[0]
    flipped = kleene_and(1.0 - a, 1.0 - b)
    assert np.array_equal(got, 1.0 - flipped, equal_nan=True)


@pytest.mark.parametrize("op", [op for op in BINARY if op not in ("&", "|", "coalesce")])
def test_missing_stays_missing(op: str) -> None:
    got = run(binary(op), np.array([[NAN, 1.0], [1.0, NAN]]))
    assert np.isnan(got).all()


def test_a_division_by_zero_is_missing() -> None:
    assert np.isnan(run_row(binary("/"), np.array([1.0, 0.0]))[0])


def test_when_of_an_unknown_condition_is_missing() -> None:
    builder = Builder()
    for name in "abc":
        builder.input(name)
    builder.op("when")
    builder.output()
    got = run(builder.build(), np.array([[1.0, 2.0, 3.0], [0.0, 2.0, 3.0], [NAN, 2.0, 3.0]]))
    assert np.array_equal(got[:, 0], [2.0, 3.0, NAN], equal_nan=True)


def parts(moment: datetime) -> dict[str, float]:
    return {
        "minute": moment.minute,
        "hour": moment.hour,
        "weekday": moment.weekday(),
        "is_weekend": float(moment.weekday() >= 5),
        "day": moment.day,
        "month": moment.month,
        "year": moment.year,
        "day_of_year": moment.timetuple().tm_yday,
        "week": moment.isocalendar().week,
    }


@given(
    st.integers(SECONDS[0], SECONDS[1]),
    st.sampled_from(("UTC", "Europe/Lisbon", "America/New_York", "Asia/Kolkata")),
)
def test_the_calendar_is_that_of_the_zone(second: int, zone: str) -> None:
    at = datetime.fromtimestamp(second, UTC)
    builder = Builder()
    for part in CALENDAR:
        builder.input("moment")
        builder.calendar(part, zone)
        builder.output()
    got = run_row(builder.build(), np.array([second * 1e6]))
    assert dict(zip(CALENDAR, got.tolist(), strict=True)) == parts(at.astimezone(ZoneInfo(zone)))


def test_the_hour_jumps_where_summer_time_begins() -> None:
    builder = Builder()
    builder.input("moment")
    builder.calendar("hour", "Europe/Lisbon")
    builder.output()
    program = builder.build()
    change = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp() * 1e6
    assert run(program, np.array([[change - 1], [change]])).ravel().tolist() == [0.0, 2.0]


def test_an_unknown_zone_is_a_fault() -> None:
    builder = Builder()
    builder.input("moment")
    with pytest.raises(DefinitionError, match="HF127"):
        builder.calendar("hour", "Europe/Atlantis")


def test_depth_has_a_bound() -> None:
    builder = Builder()
    for _ in range(STACK_MAX):
        builder.const(1.0)
    with pytest.raises(DefinitionError, match="HF126"):
        builder.const(1.0)


def test_a_program_is_plain_data() -> None:
    program = binary("+")
    assert Program.from_dict(program.as_dict()) == program
