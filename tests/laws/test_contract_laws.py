"""Law: a row keeps its contract at a request if and only if it does in a file, with equal bits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.data.contract import check_row, row_numbers
from holdfast.data.ingest import load
from holdfast.data.table import Table
from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.errors import ContractError

NOW_US = 1_800_000_000_000_000
EVERY = settings(max_examples=120)

COLUMNS = (
    ColumnSchema(attr="amount", column="amount", kind="float", gt=0, le=1e6),
    ColumnSchema(attr="free", column="free", kind="float"),
    ColumnSchema(attr="level", column="level", kind="float", ge=-5, lt=5, nullable=True),
    ColumnSchema(attr="count", column="count", kind="integer", ge=0, nullable=True),
    ColumnSchema(attr="rank", column="rank", kind="integer"),
    ColumnSchema(attr="paid", column="paid", kind="boolean"),
    ColumnSchema(attr="good", column="good", kind="boolean", true="Yes", false="No"),
    ColumnSchema(attr="bit", column="bit", kind="boolean", true="1", false="2", nullable=True),
    ColumnSchema(attr="kind", column="kind", kind="category", values=("a", "b", "1", "true")),
    ColumnSchema(attr="open", column="open", kind="category", nullable=True),
    ColumnSchema(attr="code", column="code", kind="string", max_length=5),
    ColumnSchema(attr="note", column="note", kind="text", max_length=8, nullable=True),
    ColumnSchema(attr="card", column="card", kind="key", to="card"),
    ColumnSchema(attr="ends", column="ends", kind="time", nullable=True),
    ColumnSchema(attr="event", column="event", kind="event_time"),
    ColumnSchema(attr="known", column="known", kind="known_time"),
)
BY_ATTR = {column.attr: column for column in COLUMNS}
MISSING = ("?", "n/a")


def schema_of(column: ColumnSchema) -> SourceSchema:
    """A source of one column of interest beside its place in the file."""
    place = ColumnSchema(attr="place", column="place", kind="integer")
    clock = {"event_time": "event_time", "known_time": "known_time"}.get(column.kind)
    columns: tuple[ColumnSchema, ...] = (place, column)
    if clock == "known_time":
        columns += (ColumnSchema(attr="at", column="at", kind="event_time"),)
    return SourceSchema(
        name="Row",
        uri="",
        kind="event",
        columns=columns,
        event_time={"event_time": column.attr, "known_time": "at"}.get(column.kind, ""),
        known_time=column.attr if clock == "known_time" else "",
        missing=MISSING,
        without_time=clock is None,
    )


def agree(column: ColumnSchema, values: list[Any], raw: pl.Series) -> None:
    """Assert that the column and its rows one at a time are judged alike."""
    schema = schema_of(column)
    frame = pl.DataFrame({"place": range(len(values)), column.column: raw})
    if column.kind == "known_time":
        frame = frame.with_columns(at=pl.lit(0, dtype=pl.Int64))
    loaded = load(schema, frame, now_us=NOW_US)
    assert len(loaded.table) + len(loaded.quarantine) == loaded.rows_read == len(values)
    kept = {place: at for at, place in enumerate(loaded.table.frame["place"])}
    numbers = loaded.table.numbers(column.attr)
    for place, value in enumerate(values):
        data = {"place": place, column.attr: value}
        try:
            row = check_row(schema, {**data, "at": 0} if "at" in frame else data, now_us=NOW_US)
        except ContractError as error:
            assert error.field == column.attr
            assert place not in kept, (value, str(error))
            continue
        assert place in kept, (value, loaded.quarantine.frame)
        at = kept[place]
        held = loaded.table.frame[column.attr][at]
        assert held == row[column.attr] and type(held) is type(row[column.attr]), value
        one = row_numbers(schema, row, (column.attr,))
        assert one.tobytes() == numbers[at : at + 1].tobytes(), value
        again = from_one(schema, row)
        assert again.numbers(column.attr).tobytes() == one.tobytes(), value


def from_one(schema: SourceSchema, row: dict[str, Any]) -> Table:
    nothing = np.zeros(1, dtype=np.int64)
    return Table.from_rows(schema, [row], known_us=nothing, order=nothing, outcome_us=nothing)


blank = st.sampled_from(["", " ", "\t", "\u00a0", "\x1f", "\ufeff", "\n"])
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.floats().map(lambda x: f"{x:e}"),
    st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str),
    st.sampled_from(
        ["1_000", "inf", "-Infinity", "nan", "NaN", "1e999", ".5", "5.", "+1", "--1", "0x1", "1,5",
         "٣", "1e-400", "-0.0", "9007199254740993", "1.0", "2.00", "1.50", "00.0", "1d3"]
    ),
)  # fmt: skip
words = st.sampled_from(
    ["true", "TRUE", "False", "Yes", "No", "yes", "1", "0", "2", "1.0", "2.000", "a", "b", "c", "?",
     "n/a", "N/A", "true ", "null", "None"]
)  # fmt: skip
moments = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: moment.isoformat(sep=" ", timespec="minutes")),
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.dates().map(str),
    st.from_regex(
        r"20[0-9]{2}-[01]?[0-9]-[0-3][0-9]([T tx][0-2][0-9](:[0-6][0-9](:[0-6][0-9]"
        r"([.,][0-9]{1,10})?)?)?(Z|z|[+-][0-2][0-9]:?([0-9]{2})?)?)?",
        fullmatch=True,
    ),
    st.sampled_from(
        ["2026-02-30", "2026-W05-1", "20260131", "0000-01-01", "12026-01-01", "9999-12-31",
         "2026-01-31T24:00:00", "2026-01-31T23:59:60Z", "2026-01-31T12:00:00.123456789Z",
         "1969-12-31T23:59:59.999999999", "2026-01-31T12:00-00:00", "1700000000", "now",
         "2026-01-31T12:00:00+0530", "9999-12-31T23:59:59-14:00", "1000-01-01T00:00+14:00"]
    ),
)  # fmt: skip
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
texts = st.tuples(blank, numbers | words | moments | plain, blank).map("".join)
typical = {
    "float": numbers,
    "integer": numbers,
    "boolean": words,
    "time": moments,
    "event_time": moments,
    "known_time": moments,
}
everything = st.one_of(texts, words, numbers, moments, st.none())


@pytest.mark.parametrize("attr", sorted(BY_ATTR))
@settings(max_examples=25)
@given(data=st.data())
def test_texts_are_judged_alike(attr: str, data: st.DataObject) -> None:
    column = BY_ATTR[attr]
    padded = st.tuples(blank, typical.get(column.kind, texts), blank).map("".join)
    cell = st.one_of(typical.get(column.kind, texts), padded, everything)
    values = data.draw(st.lists(cell, min_size=1, max_size=25))
    agree(column, values, pl.Series(values, dtype=pl.String))


near = [0, 1, 2, -1, 5, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, (1 << 63) - 1, 10**6, 10**6 + 1]
future = [NOW_US, NOW_US + 300_000_000, NOW_US + 300_000_001]
integers = st.one_of(st.integers(-(1 << 63), (1 << 63) - 1), st.sampled_from(near + future))
reals = st.one_of(st.floats(), st.integers(-10, 10).map(float), st.sampled_from(near).map(float))


@EVERY
@given(
    attr=st.sampled_from(sorted(BY_ATTR)),
    values=st.lists(integers | st.none(), min_size=1, max_size=12),
)
def test_whole_numbers_are_judged_alike(attr: str, values: list[int | None]) -> None:
    agree(BY_ATTR[attr], values, pl.Series(values, dtype=pl.Int64))


@EVERY
@given(
    attr=st.sampled_from(sorted(BY_ATTR)),
    values=st.lists(reals | st.none(), min_size=1, max_size=12),
)
def test_real_numbers_are_judged_alike(attr: str, values: list[float | None]) -> None:
    agree(BY_ATTR[attr], values, pl.Series(values, dtype=pl.Float64))


@given(
    attr=st.sampled_from(sorted(BY_ATTR)),
    values=st.lists(st.booleans() | st.none(), min_size=1, max_size=6),
)
def test_booleans_are_judged_alike(attr: str, values: list[bool | None]) -> None:
    agree(BY_ATTR[attr], values, pl.Series(values, dtype=pl.Boolean))


@given(
    attr=st.sampled_from(sorted(BY_ATTR)),
    values=st.lists(
        st.datetimes() | st.none(),
        min_size=1,
        max_size=6,
    ),
    zoned=st.booleans(),
)
def test_moments_are_judged_alike(attr: str, values: list[datetime | None], zoned: bool) -> None:
    if zoned:
        values = [None if value is None else value.replace(tzinfo=UTC) for value in values]
    dtype = pl.Datetime("us", "UTC" if zoned else None)
    agree(BY_ATTR[attr], values, pl.Series(values, dtype=dtype))


@given(
    value=st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(10**400), 10**400),
            st.floats(),
            st.text(st.characters(), max_size=20),
        ),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    attr=st.sampled_from(sorted(BY_ATTR)),
)
def test_anything_a_request_can_hold_is_kept_or_refused(value: Any, attr: str) -> None:
    column = BY_ATTR[attr]
    schema = schema_of(column)
    try:
        row = check_row(schema, {"place": 0, attr: value}, now_us=NOW_US)
    except ContractError as error:
        assert error.field == attr
        return
    numbers = row_numbers(schema, row, (attr,))
    assert from_one(schema, row).numbers(attr).tobytes() == numbers.tobytes()
    if row[attr] is not None:
        assert np.isfinite(numbers).all()


@given(
    keys=st.lists(st.sampled_from(["a", "b", "c", None, ""]), min_size=1, max_size=12),
    sound=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_the_first_sound_row_of_a_key_is_kept(keys: list[str | None], sound: list[bool]) -> None:
    schema = SourceSchema(
        name="Row",
        uri="",
        kind="event",
        key="id",
        without_time=True,
        columns=(
            ColumnSchema(attr="id", column="id", kind="key"),
            ColumnSchema(attr="place", column="place", kind="integer", ge=0),
        ),
    )
    places = [at if sound[at] else -1 for at in range(len(keys))]
    loaded = load(
        schema,
        pl.DataFrame({"id": keys, "place": places}, schema={"id": pl.String, "place": pl.Int64}),
        now_us=None,
    )
    seen: set[str] = set()
    expected = []
    for at, key in enumerate(keys):
        if key and sound[at] and key not in seen:
            seen.add(key)
            expected.append(at)
    assert loaded.table.frame["place"].to_list() == expected
    assert len(loaded.quarantine) == len(keys) - len(expected)
    repeated = sum(bool(k) and sound[i] for i, k in enumerate(keys)) - len(expected)
    assert loaded.quarantine.counts.get("duplicate key", 0) == repeated
