"""What each kind of aggregation refuses, and what the fault says."""

from __future__ import annotations

from typing import Any

import pytest

import holdfast as hf
from holdfast.define.check import check
from holdfast.define.walk import value_kind, words

Card, Owner, Shop = hf.Entity("card"), hf.Entity("owner"), hf.Entity("shop")


class Pay(hf.Event, source="pay.csv"):
    at = hf.EventTime()
    card = hf.Key(Card)
    amount = hf.Float()
    place = hf.Category()
    bad = hf.Boolean(known_after="1d")


class Holder(hf.Snapshot, source="holder.csv", of=Card):
    card = hf.Key(Card)
    at = hf.EventTime()
    owner = hf.Key(Owner)


class Lease(hf.Snapshot, source="lease.csv", of=Card):
    card = hf.Key(Card)
    at = hf.EventTime()
    owner = hf.Key(Owner)
    ends_at = hf.ValidUntil()


class Call(hf.Event, source="call.csv"):
    at = hf.EventTime()
    owner = hf.Key(Owner)
    length = hf.Float()


class Visit(hf.Event, source="visit.csv"):
    at = hf.EventTime()
    shop = hf.Key(Shop)


class Stock(hf.Snapshot, source="stock.csv", of=Shop):
    shop = hf.Key(Shop)
    at = hf.EventTime()
    owner = hf.Key(Owner)


by = Pay.by(Card)
WRONG = {
    "an empty gap": (by.sessions(gap="0h", over="1d"), "HF105"),
    "a half-life in words": (by.decayed_count(half_life="soon"), "HF105"),
    "too far back": (by.last_n(Pay.amount, 17, over="7d")[16], "HF139"),
    "a quantile above 1": (by.quantile(Pay.amount, 1.5, over="7d"), "HF139"),
    "a quantile of nothing": (by.quantile(Pay.amount, 0.0, over="7d"), "HF139"),
    "the median of a category": (by.median(Pay.place, over="7d"), "HF118"),
    "the slope of a category": (by.slope(Pay.place, over="7d"), "HF118"),
    "in force of an event": (by.in_force(Pay.amount), "HF139"),
    "a condition on another source": (by.count(over="1d", where=Call.length > 1), "HF108"),
    "a rate over no window": (by.rate(over="often"), "HF105"),
    "through what has another key": (Visit.by(Holder.owner).count(over="1d"), "HF102"),
    "through versions that end": (Call.by(Lease.owner).count(over="1d"), "HF139"),
    "through what the row cannot reach": (Call.by(Stock.owner).count(over="1d"), "HF107"),
}


def faults(feature: Any) -> list[str]:
    use_case = hf.UseCase(
        name="tried", owner="tests", each=Pay, predict=Pay.bad,
        features=type("Features", (hf.Features,), {"tried": feature}),
        value=hf.Payoff("EUR", yes=hf.when(Pay.bad, -1, 1), no=0),
        training=hf.Training(candidates=[hf.LogisticRegression()]),
    )  # fmt: skip
    return [fault.code for fault in check(use_case).faults]


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_aggregation_is_a_fault(case: str) -> None:
    feature, code = WRONG[case]
    assert faults(feature) == [code]


def test_right_ones_are_none() -> None:
    assert faults(Call.by(Holder.owner).mean(Call.length, over="7d", where=Call.length > 1)) == []
    assert faults(by.last_n(Pay.amount, 16, over="7d")[15]) == []


def test_features_read_well() -> None:
    count = by.count(over="1d", where=Pay.amount > 2)
    assert words(count) == "count of Pay where (Pay.amount > 2) per card over 1d"
    total = by.sum(Pay.amount, over="1d", where=Pay.place == "pt")
    assert words(total) == "sum of Pay.amount where (Pay.place == pt) per card over 1d"
    quantile = by.quantile(Pay.amount, 0.9, over="1d")
    assert words(quantile) == "quantile (0.9, within 0.8%) of Pay.amount per card over 1d"


def test_the_kind_of_a_value_is_that_of_what_it_is_taken_from() -> None:
    assert value_kind(by.most_frequent(Pay.place, over="1d")) == "category"
    assert value_kind(by.last_n(Pay.place, 2, over="1d")[1]) == "category"
    assert value_kind(by.last(Pay.place, over="1d", where=Pay.amount > 2)) == "category"
    assert value_kind(by.distinct(Pay.place, over="1d")) == "number"
