"""Row-level expressions are checked: numbers, texts and times are not the same."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.define.check import check
from holdfast.define.check_calls import PATTERN_CHARACTERS_MAX
from holdfast.define.check_rows import IS_IN_MAX
from holdfast.define.walk import value_kind, words

Card = hf.Entity("card_id")


class Payment(hf.Event, source="payments.parquet"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    opened_at = hf.Time(nullable=True)
    card_id = hf.Key(Card)
    amount = hf.Float(gt=0)
    country = hf.Category()
    note = hf.Text(nullable=True)
    fraud = hf.Boolean(known_after="7d")
    reason = hf.Category(known_after="7d", nullable=True)


class Shop(hf.Snapshot, source="shops.parquet"):
    shop_id = hf.Key()
    card_id = hf.Key(Card)
    at = hf.EventTime()
    name = hf.String()


def codes(feature: Any) -> list[str]:
    """The codes of the faults of a use case with one feature."""
    features = type("Asked", (hf.Features,), {"asked": feature})
    use_case = hf.UseCase(
        name="asked",
        each=Payment,
        predict=Payment.fraud,
        features=features,
        value=hf.Payoff("EUR", yes=1, no=0),
        training=hf.Training(candidates=[hf.LogisticRegression()]),
        owner="tests",
    )
    return [fault.code for fault in check(use_case).faults]


RIGHT = [
    (Payment.amount.log() % 3 // 2) ** 0.5,
    Payment.amount.clip(1, 2).round(2).between(1, Payment.amount),
    Payment.country.is_in("nl", "de"),
    Payment.amount.is_in(1, 2.5),
    Payment.country.fill("none") == "none",
    hf.when(Payment.amount > 3, "much", "little"),
    Payment.opened_at.hour("Europe/Lisbon") + Payment.paid_at.week(),
    hf.hours_between(Payment.opened_at, Payment.paid_at),
    Payment.by(Card).sum(Payment.amount.log1p(), over="7d"),
    hf.distance_km(1.0, 2.0, Payment.amount, Payment.amount),
    Payment.by(Card).last(Payment.opened_at, over="7d").hour(),
    hf.minimum(Payment.amount, 3, Payment.amount.floor()),
    Payment.note.lower().contains("gift") & Payment.country.is_in("nl"),
    hf.concat(Payment.country, "/", Payment.card_id.slice(0, 4)),
    Payment.note.matches(r"^\d+$"),
    Payment.country.hash(64) + Payment.by(Card).last(Payment.country, over="7d").hash(64),
    Payment.by(Card).sum(Payment.note.to_number(), over="7d"),
]

WRONG: list[Any] = [
    (Payment.country + 1, "HF150"),
    (Payment.country.log(), "HF150"),  # type: ignore[misc]
    (Payment.country < Payment.amount, "HF150"),
    (Payment.country == 3, "HF150"),
    (Payment.amount == "3", "HF150"),
    (Payment.amount.is_in("3"), "HF150"),
    (Payment.amount.fill("none"), "HF150"),
    (hf.when(Payment.amount > 3, "much", Payment.amount), "HF150"),  # type: ignore[call-overload]
    (~Payment.country, "HF150"),
    (Payment.amount.hour(), "HF150"),  # type: ignore[misc]
    (hf.hours_between(Payment.amount, Payment.paid_at), "HF150"),  # type: ignore[arg-type]
    (Payment.by(Card).sum(Payment.note.log(), over="7d"), "HF150"),  # type: ignore[misc]
    (Payment.amount.round(40), "HF151"),
    (Payment.amount.round(0.5), "HF151"),  # type: ignore[arg-type]
    (Payment.amount.is_in(), "HF151"),
    (Payment.amount + float("inf"), "HF151"),
    (Payment.country.hash(1), "HF151"),
    (Payment.amount.hash(64), "HF150"),  # type: ignore[misc]
    (Payment.amount.lower(), "HF150"),  # type: ignore[misc]
    (Payment.note.length().lower(), "HF150"),  # type: ignore[misc]
    (hf.concat(Payment.country, Payment.amount), "HF150"),  # type: ignore[arg-type]
    (Payment.note.lower() + 1, "HF150"),
    (Payment.by(Card).last(Payment.country, over="7d").lower(), "HF152"),
    (Payment.country.fill("none").lower(), "HF152"),
    (hf.concat(Payment.country, Shop.name), "HF152"),
    (Payment.reason.lower(), "HF152"),
    (Payment.by(Card).last(Payment.reason.lower(), over="7d"), "HF152"),
    (Payment.note.contains(""), "HF153"),
    (Payment.note.part("", 0), "HF153"),
    (Payment.note.slice(0, 1.5), "HF153"),  # type: ignore[arg-type]
    (Payment.note.replace("a", 1), "HF153"),  # type: ignore[arg-type]
    (Payment.note.matches("(a"), "HF153"),
    (Payment.note.matches("(?=a)"), "HF153"),
    (Payment.note.matches(r"(a)\1"), "HF153"),
    (Payment.note.matches("a" * (PATTERN_CHARACTERS_MAX + 1)), "HF153"),
    (Payment.amount.is_in(*range(IS_IN_MAX + 1)), "HF151"),
]


@pytest.mark.parametrize("feature", RIGHT, ids=lambda one: words(one)[:60])
def test_a_right_expression_has_no_fault(feature: Any) -> None:
    assert codes(feature) == []


@pytest.mark.parametrize(("feature", "code"), WRONG, ids=lambda one: words(one)[:60])
def test_a_wrong_expression_has_one(feature: Any, code: str) -> None:
    assert code in codes(feature)


def test_an_expression_reads_as_words() -> None:
    shown = words(hf.maximum(Payment.amount.log(), 3))
    assert shown == "maximum(log(Payment.amount), 3)"
    assert words(Payment.paid_at.hour("Europe/Lisbon")) == "hour of Payment.paid_at (Europe/Lisbon)"


def test_an_expression_has_the_kind_of_what_it_yields() -> None:
    assert value_kind(Payment.country.fill("none")) == "category"
    assert value_kind(Payment.paid_at.is_weekend()) == "boolean"
    assert value_kind(Payment.amount.is_in(1)) == "boolean"
    assert value_kind(hf.coalesce(Payment.opened_at, Payment.paid_at)) == "time"
    assert value_kind(Payment.amount.round(1)) == "number"


def test_a_text_operation_reads_as_words() -> None:
    assert words(Payment.note.part("@", 1)) == "part(Payment.note, '@', 1)"
    assert value_kind(Payment.note.part("@", 1)) == "category"
    assert value_kind(Payment.note.contains("a")) == "boolean"
    assert value_kind(Payment.note.length()) == "number"
