"""Features that look ahead, and beside them: what is allowed, and what each fault says."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.define.check import check
from holdfast.define.load import load_file
from holdfast.features.compile_plan import compile_plan

BASE = """\
import holdfast as hf

Card, Shop = hf.Entity("card_id"), hf.Entity("shop_id")


class Payment(hf.Event, source="payments.parquet"):
    payment_id = hf.Key()
    at = hf.EventTime()
    card_id = hf.Key(Card)
    amount = hf.Float()
    fraud = hf.Boolean(known_after="30d")


class Sale(hf.Event, source="sales.parquet"):
    told_at = hf.KnownTime()
    at = hf.EventTime()
    card_id = hf.Key(Card)
    shop_id = hf.Key(Shop)
    discount = hf.Float()
    name = hf.Category()
    sold = hf.Float(known_after="1d", nullable=True)


class Price(hf.Snapshot, source="prices.parquet"):
    told_at = hf.KnownTime()
    at = hf.EventTime()
    card_id = hf.Key(Card)
    price = hf.Float()


label = Payment.fraud
sales = Sale.by(Card)


class Features(hf.Features):
    amount = Payment.amount
    {feature}


use_case = hf.UseCase(
    name="case", owner="me", each=Payment, predict={predict}, features=Features,
    value=hf.Payoff("EUR", yes=hf.when(Payment.fraud, -1, 1), no=0),
    training=hf.Training(candidates=[hf.LogisticRegression()]),
)
"""

FAULTS = {
    "x = Payment.by(Card).count(ahead='7d')": "HF103",
    "x = sales.count(ahead='soon')": "HF105",
    "x = sales.count(ahead='7d', offset='0d')": "HF105",
    "x = sales.sum(Sale.name, ahead='7d')": "HF118",
    "x = sales.sum(Sale.sold, ahead='7d')": "HF110",
    "x = sales.sum(Payment.amount, ahead='7d')": "HF108",
    "x = Sale.by(Shop).count(ahead='7d')": "HF107",
    "x = sales.count(ahead='7d'); y = sales.std(Sale.discount, over='7d')": "HF141",
    "x = sales.count(ahead='7d'); y = sales.count(over='all')": "HF141",
    "x = sales.count(ahead='7d'); y = sales.sum(Sale.sold, over='7d')": "HF141",
    "x = Price.by(Card).count(ahead='7d'); y = Price.price": "HF141",
    "x = Price.by(Card).count(ahead='7d'); y = Price.by(Card).in_force(Price.price)": "HF141",
    "x = Price.price; y = Price.by(Card).std(Price.price, over='30d')": "HF141",
    "x = sales.count(over='7d', ahead='7d')": "HF105",
}
FINE = [
    "x = sales.count(ahead='7d') + sales.count(over='7d', offset='1d')",
    "x = sales.max(Sale.discount * 2, ahead='7d', offset='7d')",
    "x = sales.hours_until_next(ahead='30d')",
    "x = sales.last(Sale.name, ahead='7d')",
    "x = Price.by(Card).min(Price.price, ahead='7d')",
]


def case(folder: Path, feature: str = "", predict: str = "label") -> Path:
    path = folder / "case.py"
    path.write_text(BASE.format(feature=feature, predict=predict))
    return path


@pytest.mark.parametrize("feature", FAULTS)
def test_a_wrong_look_ahead_is_named(feature: str, tmp_path: Path) -> None:
    path = case(tmp_path, feature)
    (use_case,) = load_file(path)
    (fault,) = check(use_case).faults
    assert fault.code == FAULTS[feature], fault
    assert fault.hint


@pytest.mark.parametrize("feature", FINE)
def test_what_can_be_foreseen_compiles(feature: str, tmp_path: Path) -> None:
    (use_case,) = load_file(case(tmp_path, feature))
    found = check(use_case)
    assert (found.faults, found.gaps) == ((), ())
    plan = compile_plan(use_case)
    assert len(plan.futures) == 1 and not plan.views
    assert "x" in plan.feature_names


@pytest.mark.parametrize(
    "feature",
    [
        "x = Price.price",
        "x = Price.by(Card).in_force(Price.price * 2)",
        "x = Price.price - Price.by(Card).mean(Price.price, over='30d')",
    ],
)
def test_what_is_in_force_may_be_told_before_it_begins(feature: str, tmp_path: Path) -> None:
    (use_case,) = load_file(case(tmp_path, feature))
    assert check(use_case).faults == ()
    plan = compile_plan(use_case)
    assert plan.schemas["Price"].foreseen and not plan.schemas["Payment"].foreseen
    assert len(plan.views) == 1 and len(plan.futures) == ("mean" in feature)


def test_the_label_is_no_feature_of_the_known_future(tmp_path: Path) -> None:
    path = case(tmp_path, "x = label", "label")
    text = path.read_text().replace("label = Payment.fraud\n", "")
    sales = "sales = Sale.by(Card)\n"
    path.write_text(text.replace(sales, f"{sales}label = sales.any(ahead='7d')\n"))
    (use_case,) = load_file(path)
    codes = [fault.code for fault in check(use_case).faults]
    assert "HF110" in codes


def test_a_label_is_no_time_until(tmp_path: Path) -> None:
    (use_case,) = load_file(case(tmp_path, predict="sales.hours_until_next(ahead='7d')"))
    assert "HF111" in [fault.code for fault in check(use_case).faults]


def test_a_label_with_an_offset_is_a_gap(tmp_path: Path) -> None:
    (use_case,) = load_file(case(tmp_path, predict="sales.any(ahead='7d', offset='1d')"))
    assert [gap.what for gap in check(use_case).gaps] == ["a label with an offset"]


def test_words_say_how_far_ahead(tmp_path: Path) -> None:
    (use_case,) = load_file(case(tmp_path, "x = sales.sum(Sale.discount, ahead='7d', offset='1d')"))
    (words,) = [f.words for f in compile_plan(use_case).features if f.name == "x"]
    assert words == "sum of Sale.discount per card_id, 7d ahead from 1d on"
