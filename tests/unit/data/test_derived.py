"""Derived columns: a row gives what a column gives; text operations; users' functions that fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import holdfast as hf
from holdfast.core.fingerprint import category_id
from holdfast.data.contract import row_numbers
from holdfast.data.derived import PURE_SAMPLE_ROWS, derived_of_row, derived_series
from holdfast.data.table import TYPES, Table
from holdfast.define.derived import derive
from holdfast.define.schema import SourceSchema, schema_of
from holdfast.errors import UserCodeError


class Mail(hf.Event, source="mail.csv"):
    mail_id = hf.Key()
    at = hf.EventTime()
    sender = hf.String(nullable=True)
    note = hf.Text(nullable=True)
    size = hf.Float(nullable=True)
    lines = hf.Integer(nullable=True)
    urgent = hf.Boolean(nullable=True)


def schema_with(*expressions: Any) -> SourceSchema:
    return replace(schema_of(Mail), derived=tuple(derive(one) for one in expressions))


def table_of(schema: SourceSchema, rows: list[dict[str, Any]]) -> Table:
    full = [{"mail_id": str(n), "at": n, **row} for n, row in enumerate(rows)]
    types = {column.attr: TYPES[column.kind] for column in schema.columns}
    return Table.of(schema, pl.DataFrame(full, schema=types))


def result(expression: Any, **row: Any) -> Any:
    schema = schema_with(expression)
    return derived_of_row(schema, schema.derived[0], {"mail_id": "1", "at": 0, **row})


@hf.row_feature(Mail.size, Mail.lines, Mail.urgent, Mail.sender.lower(), Mail.at, returns=float)
def weight(size: Any, lines: Any, urgent: Any, sender: Any, at: Any) -> Any:
    if size is None or sender is None:
        return None
    return size * (lines or 1) + (1 if urgent else 0) + len(sender) + at.minute


EXPRESSIONS: list[Any] = [
    Mail.sender.lower(), Mail.sender.upper(), Mail.note.strip(), Mail.note.slice(1, -1),
    Mail.note.slice(-2), Mail.sender.part("@", 1), Mail.sender.part("@", -1).part(".", 0),
    Mail.note.replace("a", ""), hf.concat(Mail.sender, "/", Mail.note), Mail.note.length(),
    Mail.note.words(), Mail.note.to_number(), Mail.note.contains("a"), Mail.note.starts_with("A"),
    Mail.note.ends_with("b"), Mail.note.matches(r"^\s*\w+\s*$"), weight,
]  # fmt: skip

texts = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
rows = st.fixed_dictionaries(
    {
        "sender": st.one_of(texts, st.sampled_from(["a@b.de", "A@B.com", "@", "x@y@z"])),
        "note": st.one_of(texts, st.sampled_from(["  a ", "-1.5e3", "ÀB", "a\nb", "1" * 400])),
        "size": st.one_of(st.none(), st.floats(-1e300, 1e300)),
        "lines": st.one_of(st.none(), st.integers(-(2**53), 2**53)),
        "urgent": st.one_of(st.none(), st.booleans()),
    }
)


@given(st.lists(rows, min_size=1, max_size=12))
def test_one_row_has_the_bits_of_a_column(given_rows: list[dict[str, Any]]) -> None:
    schema = schema_with(*EXPRESSIONS)
    table = table_of(schema, given_rows)
    attrs = tuple(derived.attr for derived in schema.derived)
    columns = np.stack([table.numbers(attr) for attr in attrs], axis=1)
    one_by_one = [row_numbers(schema, row, attrs) for row in table.frame.iter_rows(named=True)]
    assert columns.view(np.int64).tolist() == np.array(one_by_one).view(np.int64).tolist()


@pytest.mark.parametrize(
    ("expression", "note", "expected"),
    [
        (Mail.note.lower(), "ÄB", "äb"),
        (Mail.note.upper(), "straße", "STRASSE"),
        (Mail.note.strip(), "  a b\t", "a b"),
        (Mail.note.strip(), "   ", None),
        (Mail.note.slice(0, 2), "émile", "ém"),
        (Mail.note.slice(5), "abc", None),
        (Mail.note.part("@", 1), "a@b", "b"),
        (Mail.note.part("@", 2), "a@b", None),
        (Mail.note.part("@", -2), "a@b", "a"),
        (Mail.note.part("@", 0), "@b", None),
        (Mail.note.replace("a", "xy"), "aba", "xybxy"),
        (Mail.note.replace("a", ""), "aa", None),
        (hf.concat(Mail.note, "-", Mail.note), "a", "a-a"),
        (Mail.note.length(), "añb", 3),
        (Mail.note.words(), " two  words\n", 2),
        (Mail.note.to_number(), " -1.5e3 ", -1500.0),
        (Mail.note.to_number(), "1,5", None),
        (Mail.note.to_number(), "inf", None),
        (Mail.note.to_number(), "1e999", None),
        (Mail.note.to_number(), "0x10", None),
        (Mail.note.contains("gift"), "a gift", True),
        (Mail.note.contains("gift"), "a Gift", False),
        (Mail.note.starts_with("a"), "ab", True),
        (Mail.note.ends_with("a"), "ab", False),
        (Mail.note.matches(r"^\d+$"), "123", True),
        (Mail.note.matches(r"(?i)GIFT"), "a gift", True),
        (Mail.note.matches("b"), "abc", True),
    ],
)
def test_text_operations(expression: Any, note: str, expected: Any) -> None:
    got = result(expression, note=note)
    assert got == expected and type(got) is type(expected)


@pytest.mark.parametrize("expression", EXPRESSIONS[:-1])
def test_a_missing_text_stays_missing(expression: Any) -> None:
    assert result(expression, note=None, sender=None) is None


def test_a_pattern_cannot_take_for_ever() -> None:
    assert result(Mail.note.matches("(a+)+$"), note="a" * 200_000 + "b") is False
    assert result(Mail.note.matches("(.*)*x(.*)*y"), note="x" * 100_000) is False


def test_a_derived_column_is_plain_data() -> None:
    schema = schema_with(*EXPRESSIONS)
    again = SourceSchema.from_dict(json.loads(json.dumps(schema.as_dict())))
    assert again == schema
    note = next(one for one in again.derived if one.attr == "lower(sender)")
    assert derived_of_row(again, note, {"sender": "AB"}) == "ab"


def test_another_operation_has_another_name() -> None:
    names = [derive(expression).attr for expression in EXPRESSIONS]
    assert len(set(names)) == len(names)
    assert derive(Mail.note.part("@", 1)).attr == "part(note,'@',1)"
    assert derive(weight).calls[0][0] == "weight"


def test_a_text_is_the_number_of_its_category() -> None:
    schema = schema_with(Mail.sender.upper())
    table = table_of(schema, [{"sender": "ab"}, {"sender": None}])
    assert np.array_equal(
        table.numbers("upper(sender)"), [category_id("AB"), np.nan], equal_nan=True
    )


# ------------------------------------------------------------------ functions


def test_a_function_gets_python_values_and_none_where_missing() -> None:
    given: list[Any] = []

    def told(*values: Any) -> float:
        given.append(values)
        return 1.0

    schema = schema_with(weight)
    derived = replace(
        schema.derived[0],
        functions=tuple((name, told) for name, _ in schema.derived[0].functions),
    )
    row = {"mail_id": "1", "at": 61_000_000, "sender": "AB", "size": 2, "lines": 3.0, "urgent": 1}
    derived_of_row(schema, derived, row)
    derived_of_row(schema, derived, {"at": None})
    values = given[0]
    assert [type(value).__name__ for value in values] == ["float", "int", "bool", "str", "datetime"]
    assert values[3] == "ab" and str(values[4]) == "1970-01-01 00:01:01+00:00"
    assert given[1] == (None,) * 5


def column_of(function: Any, returns: Any = float, size: float = 4.0, rows: int = 3) -> pl.Series:
    schema = schema_with(hf.row_feature(Mail.size, returns=returns)(function))
    table = table_of(schema, [{"size": size + number} for number in range(rows)])
    return derived_series(schema, schema.derived[0], table.frame)


def test_what_a_function_raises_says_which_function_and_which_row() -> None:
    def broken(size: float) -> float:
        return 1 / (size - 5.0)

    with pytest.raises(UserCodeError, match=r"`broken\(5\.0\)` raised ZeroDivisionError") as caught:
        column_of(broken)
    assert caught.value.code == "HF330"
    assert "test_derived.py:" in str(caught.value.site)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_function_that_is_not_pure_is_found_by_calling_it_again() -> None:
    calls = iter(range(10_000))

    def counting(size: float) -> float:
        return float(next(calls))

    with pytest.raises(UserCodeError, match="HF331"):
        column_of(counting, rows=2 * PURE_SAMPLE_ROWS)


@pytest.mark.parametrize(
    ("returns", "value"), [(float, "1"), (bool, 1), (str, 1.0), (str, b"a"), (float, [1.0])]
)
def test_a_result_of_another_type_is_an_error(returns: Any, value: Any) -> None:
    with pytest.raises(UserCodeError, match="HF332"):
        column_of(lambda size: value, returns)


@pytest.mark.parametrize(
    ("returns", "value", "kept"),
    [
        (float, 2, 2.0), (float, True, 1.0), (float, float("inf"), None), (float, 10**400, None),
        (float, float("nan"), None), (bool, False, False), (str, "", None), (str, "a", "a"),
        (str, None, None),
    ],
)  # fmt: skip
def test_results_are_kept_as_said(returns: Any, value: Any, kept: Any) -> None:
    assert column_of(lambda size: value, returns).to_list() == [kept] * 3


def test_a_function_that_is_not_at_hand_is_named() -> None:
    schema = SourceSchema.from_dict(schema_with(weight).as_dict())
    with pytest.raises(UserCodeError, match=r"`weight`.*HF333"):
        derived_of_row(schema, schema.derived[0], {"at": 0})
