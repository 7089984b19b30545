"""Tables: order, numbers, and history with live rows behind it."""

from __future__ import annotations

import numpy as np
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.data.keys import encode_key
from holdfast.data.table import Table
from holdfast.define.schema import ColumnSchema, SourceSchema

SCHEMA = SourceSchema(
    name="Row",
    uri="",
    kind="event",
    event_time="at",
    lag_us=10,
    columns=(
        ColumnSchema(attr="at", column="at", kind="event_time"),
        ColumnSchema(attr="name", column="name", kind="category", nullable=True),
        ColumnSchema(attr="good", column="good", kind="boolean", nullable=True),
    ),
)


def table(*rows: tuple[int, str | None, bool | None]) -> Table:
    schema = {"at": pl.Int64, "name": pl.String, "good": pl.Boolean}
    return Table.of(SCHEMA, pl.DataFrame(rows, schema=schema, orient="row"))


def live(at: int, name: str, known: int, offset: int) -> Table:
    numbers = [np.array([value], dtype=np.int64) for value in (known, offset, -1)]
    row = {"at": at, "name": name}
    return Table.from_rows(
        SCHEMA, [row], known_us=numbers[0], order=numbers[1], outcome_us=numbers[2]
    )


def test_rows_are_sorted_by_known_time_and_ties_keep_their_place() -> None:
    held = table((5, "a", None), (3, "b", True), (5, "c", None), (3, "d", False))
    assert held.frame["name"].to_list() == ["b", "d", "a", "c"]
    assert held.event_us.tolist() == [3, 3, 5, 5]
    assert held.known_us.tolist() == [13, 13, 15, 15]
    assert held.order is None and held.outcome_us is None


def test_known_until_takes_the_moment_itself() -> None:
    held = table((1, "a", None), (2, "b", None), (3, "c", None))
    assert [len(held.known_until(us)) for us in (10, 11, 12, 13, 99)] == [0, 1, 2, 3, 3]
    assert held.known_until(12).known_us.tolist() == [11, 12]


def test_numbers_are_what_the_engine_reads() -> None:
    held = table((1, "a", None), (2, None, True), (3, "a", False))
    assert held.numbers("at").tolist() == [1.0, 2.0, 3.0]
    names = held.numbers("name")
    assert names[0] == names[2] == category_id("a") and np.isnan(names[1])
    good = held.numbers("good")
    assert np.isnan(good[0]) and good[1:].tolist() == [1.0, 0.0]
    assert held.numbers("good") is good, "kept, not computed twice"
    assert len(held.known_until(11).numbers("at")) == 1, "a part has its own numbers"


def test_history_then_live_rows_are_not_sorted_again() -> None:
    whole = table((1, "a", True), (9, "b", None)).extend(live(2, "c", 30, 7))
    assert whole.frame["name"].to_list() == ["a", "b", "c"]
    assert whole.known_us.tolist() == [11, 19, 30]
    assert whole.order is not None and whole.order.tolist() == [-1, -1, 7]
    assert whole.outcome_us is not None and whole.outcome_us.tolist() == [-1, -1, -1]
    twice = whole.extend(live(3, "d", 31, 8))
    assert twice.order is not None and twice.order.tolist() == [-1, -1, 7, 8]
    cut = twice.known_until(30)
    assert cut.order is not None and cut.order.tolist() == [-1, -1, 7]


def test_an_empty_table_is_a_table() -> None:
    held = table()
    assert len(held) == 0 and held.numbers("name").shape == (0,)
    assert len(held.extend(live(1, "a", 2, 0))) == 1


def test_keys_of_different_parts_have_different_bytes() -> None:
    keys = [["a", "bc"], ["ab", "c"], ["abc"], ["abc", ""], ["", "abc"], [""], []]
    assert len({encode_key(key) for key in keys}) == len(keys)
