"""Types are part of the language: wrong definitions do not type-check, right ones do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

from tests.conftest import ROOT

DEFINED = """\
import holdfast as hf

Card = hf.Entity("card_id")


class Payment(hf.Event, source="payments.parquet"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    card_id = hf.Key(Card)
    amount = hf.Float(gt=0)
    country = hf.Category()


class Features(hf.Features):
    spend = Payment.by(Card).sum(Payment.amount, over="7d")


late = Payment.by(Card).any(ahead="7d")
logistic = hf.LogisticRegression()
"""

WRONG = {  # the line that is wrong: mypy's code for what is wrong with it
    'Payment.by(Card).count(over="1h", ahead="1h")': "call-overload",
    "Payment.by(Card).count()": "call-overload",
    'Payment.by(Card).sum(over="1d")': "call-overload",
    'Payment.by(Card).sum("amount", over="1d")': "call-overload",
    "Payment.by(Card).last(Payment.country, 7)": "call-overload",
    'Payment.by("card_id")': "arg-type",
    "Payment.amuont": "attr-defined",
    'Payment.amount + "1"': "operator",
    "Payment.country.log()": "misc",
    "Payment.amount.hour()": "misc",
    "Payment.paid_at.hour(zone=3)": "arg-type",
    "hf.hours_between(Payment.amount, Payment.paid_at)": "arg-type",
    "Payment.amount.lower()": "misc",
    "Payment.country.contains(3)": "arg-type",
    "hf.concat(Payment.country, Payment.amount)": "arg-type",
    "hf.row_feature(Payment.amount)": "call-arg",
    "Payment.country & Payment.amount": "operator",
    'hf.Float(gt="0")': "arg-type",
    "hf.Float(0)": "call-arg",
    'hf.Payoff("EUR", approve="much")': "arg-type",
    "hf.Training(candidates=logistic)": "arg-type",
    "hf.Training([logistic])": "call-arg",
    'hf.Training(candidates=[], subject_to=[hf.rate("decline")])': "list-item",
    "hf.Release(gates=[True])": "list-item",
    "hf.drift == 0.2": "comparison-overlap",
    "hf.Retraining(every=7)": "arg-type",
    "hf.Every(1, Card)": "arg-type",
    'hf.calendar.holidays("PT")': "call-overload",
    'hf.calendar.holidays("PT", over="7d", ahead="7d")': "call-overload",
    'Payment.by(Card).hours_until_next(over="1d")': "call-arg",
    'Payment.by(Card).seen(Payment.amount, ahead="1d")': "call-arg",
}

RIGHT = [
    'hf.calendar.at("Europe/Lisbon").holidays("PT", ahead="7d", subdivision="20") / 7',
    'hf.when(hf.calendar.is_holiday("PT"), 1, hf.calendar.days_to_holiday("PT"))',
    'ahead: hf.Expr[float] = Payment.by(Card).max(Payment.amount, ahead="7d", offset="1d")',
    'until: hf.Expr[float] = Payment.by(Card).hours_until_next(ahead="7d")',
    "spend: hf.Expr[float] = Features.spend",
    "label: hf.Label[bool] = late",
    'hf.Payoff("EUR", approve=hf.when(late, -Payment.amount, 1), decline=0)',
    "hf.Training(candidates=[logistic], subject_to=[hf.rate('decline') <= 0.02])",
    "fast = (Payment.amount > 3) & ~late",
    "rounded: hf.Expr[float] = (Payment.amount % 3).log1p().clip(0, 1).round(2)",
    "hour: hf.Expr[int] = Payment.paid_at.hour('Europe/Lisbon')",
    "size: hf.Expr[str] = hf.when(Payment.amount > 3, 'much', 'little')",
    "known: hf.Expr[str] = Payment.country.fill('none')",
    "domain: hf.Expr[str] = Payment.country.part('@', 1).lower()",
    "gift: hf.Expr[bool] = Payment.country.matches('gift')",
    "risk: hf.Expr[float] = hf.row_feature(Payment.amount, returns=float)(abs)",
]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says of every line under test, all in one file, so that it runs once."""
    path = tmp_path_factory.mktemp("typing") / "definition.py"
    path.write_text(DEFINED + "\n".join([*WRONG, *RIGHT]) + "\n", encoding="utf-8")
    config = str(ROOT / "pyproject.toml")
    shown, problems, _ = api.run(
        ["--config-file", config, "--no-error-summary", "--cache-dir", str(path.parent), str(path)]
    )
    assert not problems, problems
    return {
        int(found[1]): found[2]
        for found in re.finditer(r"definition\.py:(\d+): error: .*\[([\w-]+)\]$", shown, re.M)
    }


def line_of(text: str) -> int:
    return DEFINED.count("\n") + [*WRONG, *RIGHT].index(text) + 1


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_line_does_not_type_check(text: str, faults: dict[int, str]) -> None:
    assert faults.get(line_of(text)) == WRONG[text]


@pytest.mark.parametrize("text", RIGHT)
def test_a_right_line_does(text: str, faults: dict[int, str]) -> None:
    assert line_of(text) not in faults


def test_what_they_stand_on_type_checks(faults: dict[int, str]) -> None:
    assert [line for line in faults if line <= DEFINED.count("\n")] == []


def test_the_examples_type_check_with_the_package() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'files = ["src", "examples"]' in text
    assert len(list(Path(ROOT / "examples").glob("*.py"))) >= 3
