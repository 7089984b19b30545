"""One row at a request: what is kept, and what a refusal says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from holdfast.core.fingerprint import category_id
from holdfast.data.contract import check_row, row_numbers
from holdfast.define.schema import ColumnSchema
from holdfast.errors import ContractError
from tests.unit.data.sources import NOW_US, PAYMENT, changed

SOUND: dict[str, Any] = {
    "payment_id": "p1",
    "paid_at": "2026-01-01T10:00:00Z",
    "card_id": "c1",
    "amount": 10,
    "tries": None,
    "channel": "chip",
}


def refusal(labels: bool = False, **fields: Any) -> ContractError:
    data = {name: value for name, value in {**SOUND, **fields}.items() if value is not ...}
    with pytest.raises(ContractError) as caught:
        check_row(PAYMENT, data, now_us=NOW_US, labels=labels)
    return caught.value


def test_a_sound_row_is_typed_and_whole() -> None:
    row = check_row(PAYMENT, SOUND, now_us=NOW_US)
    assert row == {
        "payment_id": "p1",
        "paid_at": 1_767_261_600_000_000,
        "card_id": "c1",
        "amount": 10.0,
        "tries": None,
        "channel": "chip",
        "fraud": None,
    }
    assert isinstance(row["amount"], float)
    numbers = row_numbers(PAYMENT, row, ("amount", "tries", "channel", "paid_at", "fraud"))
    assert numbers[0] == 10.0 and np.isnan(numbers[1]) and numbers[2] == category_id("chip")
    assert numbers[3] == 1_767_261_600_000_000 and np.isnan(numbers[4])


def test_the_time_of_a_row_that_has_none_is_now() -> None:
    data = {name: value for name, value in SOUND.items() if name != "paid_at"}
    assert check_row(PAYMENT, data, now_us=NOW_US)["paid_at"] == NOW_US
    known = ColumnSchema(attr="known", column="known", kind="known_time")
    schema = changed(PAYMENT, columns=(*PAYMENT.columns, known), known_time="known")
    assert check_row(schema, data, now_us=NOW_US)["known"] == NOW_US
    assert refusal(paid_at=None).field == "paid_at"


@pytest.mark.parametrize(
    ("field", "value", "says", "hint"),
    [
        ("amount", ..., "`amount` is missing", "send a value"),
        ("amount", None, "is missing", "send a value"),
        ("amount", "?", "is missing", "send a value"),
        ("amount", "much", "is 'much', not a number", "send a number"),
        ("amount", True, "is True, not a number", "send a number"),
        ("amount", -1, "is -1.0", "it must be above 0"),
        ("amount", 1234567.5 * -1, "is -1234567.5", "it must be above 0"),
        ("amount", float("inf"), "is not finite", "send a number"),
        ("amount", 10**400, "is not finite", "send a number"),
        ("amount", [1], "is [1], not a number", "send a number"),
        ("tries", 1.5, "is 1.5, not a whole number", "send a whole number"),
        ("tries", float("inf"), "is inf, not a whole number", "send a whole number"),
        ("tries", 1 << 60, "too many digits, not a whole number", "send a whole number"),
        ("tries", -1, "is -1", "it must be at least 0"),
        ("channel", "fax", "is 'fax', an unknown category", "allowed: chip, online"),
        ("channel", "x" * 500, "...", "allowed: chip, online"),
        ("channel", {"a": 1}, "not a text", "send a text"),
        ("card_id", "c" * 301, "has 301 characters", "it may have at most 300"),
        ("card_id", "\ud800", "is not valid text", "send UTF-8"),
        ("card_id", 1 << 64, "too many digits", "send it as a text"),
        ("card_id", float("nan"), "is missing", "send a value"),
        ("card_id", float("inf"), "is inf, not a text", "send a text"),
        ("paid_at", "yesterday", "is 'yesterday', not a moment", "send ISO 8601"),
        ("paid_at", "2026-02-30", "not a moment", "send ISO 8601"),
        ("paid_at", 1.5, "not a moment", "send ISO 8601"),
        ("paid_at", 1 << 62, "not a moment", "send ISO 8601"),
        ("paid_at", NOW_US + 300_000_001, "lies in the future", "check the sender's clock"),
    ],
)
def test_a_refusal_names_the_field_and_the_fix(
    field: str, value: Any, says: str, hint: str
) -> None:
    error = refusal(**{field: value})
    expected = "HF214" if says == "lies in the future" else "HF211"
    assert error.code == expected and error.field == field
    assert says in error.what and hint in error.hint and len(error.what) < 200
    assert error.site == "fraud.py:8" and error.exit_code == 1
    assert error.as_dict()["field"] == field


def test_the_first_broken_field_is_named_and_the_others_counted() -> None:
    error = refusal(amount=0, channel="fax", tries=-1)
    assert error.field == "amount" and error.what.endswith("(and 2 more)")


def test_a_label_in_a_request_is_refused_and_allowed_where_labels_are() -> None:
    error = refusal(fraud=True)
    assert error.code == "HF212" and "known only after" in error.what
    assert check_row(PAYMENT, {**SOUND, "fraud": True}, now_us=NOW_US, labels=True)["fraud"] is True
    assert refusal(labels=True, fraud="maybe").code == "HF211"


def test_a_field_the_source_does_not_have_names_the_near_one() -> None:
    error = refusal(amonut=1)
    assert error.code == "HF213" and error.hint == 'did you mean "amount"?'
    assert "fields: amount, card_id" in refusal(zzz=1).hint


@pytest.mark.parametrize(
    ("value", "kept"),
    [("Yes", True), ("No", False), (True, True), (False, False), (" Yes ", True)],
)
def test_booleans_by_words(value: Any, kept: bool) -> None:
    column = ColumnSchema(attr="y", column="y", kind="boolean", true="Yes", false="No")
    schema = changed(PAYMENT, key="", event_time="", without_time=True, columns=(column,))
    assert check_row(schema, {"y": value}, now_us=0) == {"y": kept}
    with pytest.raises(ContractError) as caught:
        check_row(schema, {"y": "yes"}, now_us=0)
    assert caught.value.hint == 'send "Yes" or "No"'


@pytest.mark.parametrize(
    ("value", "kept"),
    [("1", True), ("0", False), (1, True), (0.0, False), ("1.0", True), ("0.00", False)],
)
def test_booleans_by_digits_however_they_are_written(value: Any, kept: bool) -> None:
    column = ColumnSchema(attr="y", column="y", kind="boolean", true="1", false="0")
    schema = changed(PAYMENT, key="", event_time="", without_time=True, columns=(column,))
    assert check_row(schema, {"y": value}, now_us=0) == {"y": kept}


def test_values_as_python_and_numpy_hold_them() -> None:
    row = check_row(
        PAYMENT,
        {
            **SOUND,
            "paid_at": datetime(2026, 1, 1, 10, tzinfo=UTC),
            "amount": np.float32(0.5),
            "tries": np.int64(3),
            "card_id": 42,
        },
        now_us=NOW_US,
    )
    assert (row["paid_at"], row["amount"], row["tries"], row["card_id"]) == (
        1_767_261_600_000_000,
        0.5,
        3,
        "42",
    )
    midnight = check_row(PAYMENT, {**SOUND, "paid_at": date(2026, 1, 1)}, now_us=NOW_US)
    assert midnight["paid_at"] == 1_767_225_600_000_000
