"""Reasons: the strongest pushes first, in words, and whether they speak for the decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdfast.core.fingerprint import category_id
from holdfast.define.policies import Training
from holdfast.models.candidates import LightGBM, LogisticRegression, Ridge
from holdfast.models.open import load_model, open_model
from holdfast.training.bundle import Bundle, load_bundle, write_bundle
from holdfast.training.explain import reasons_of
from holdfast.training.train import train
from tests.unit.training.made import Made, demand, payments

RISKY = np.array([900.0, category_id("online"), 2.5, 1.0, np.nan])
HARMLESS = np.array([12.5, category_id("chip"), -2.0, 0.0, 12.0])


def bundled(made: Made, folder: Path, *candidates: object) -> Bundle:
    policy = Training(candidates=candidates, folds=2)  # type: ignore[arg-type]
    result = train(made.rows, made.plan, policy, open_model=open_model)
    write_bundle(folder, result)
    return load_bundle(folder, load_model=load_model)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundled(payments(3_000), tmp_path_factory.mktemp("a") / "b", LogisticRegression())


def test_the_strongest_come_first_and_no_more_than_asked(bundle: Bundle) -> None:
    whole = reasons_of(bundle, RISKY, limit=99)
    pushes = [abs(reason.push) for reason in whole]
    assert pushes == sorted(pushes, reverse=True)
    assert len({reason.feature for reason in whole}) == len(whole) <= 5
    assert reasons_of(bundle, RISKY, limit=2) == whole[:2]
    assert reasons_of(bundle, RISKY, limit=0) == []


def test_values_are_told_in_words(bundle: Bundle) -> None:
    told = {r.feature: r.value for r in reasons_of(bundle, RISKY, limit=99)}
    assert told["amount"] == "900.00 EUR"
    assert told["channel"] == "online"
    assert told["risk"] == "2.5"
    assert told["abroad"] == "yes"


def test_a_missing_value_and_a_category_never_seen_are_told(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    trees = bundled(payments(3_000), tmp_path_factory.mktemp("trees") / "b", LightGBM())
    row = RISKY.copy()
    row[1] = category_id("carrier pigeon")
    told = {r.feature: r.value for r in reasons_of(trees, row, limit=99)}
    assert told["channel"] == "a value not seen in training"
    assert told["usual"] == "missing"


def test_direction_stands_in_the_words(bundle: Bundle) -> None:
    for row in (RISKY, HARMLESS):
        for reason in reasons_of(bundle, row, limit=99):
            assert ("raises" if reason.push > 0 else "lowers") in reason.words
            assert reason.toward is None
            assert "speaks" not in reason.words


def test_with_context_reasons_speak_for_or_against_the_decision(bundle: Bundle) -> None:
    decisions = set()
    for row in (RISKY, HARMLESS):
        context = row[:1]
        taken = bundle.predict(row[None, :], context[None, :]).decision[0]
        decision = bundle.decisions[taken]
        decisions.add(decision)
        for reason in reasons_of(bundle, row, limit=99, context=context):
            # Fraud speaks against approving, and for everything else.
            assert reason.toward == ((reason.push > 0) != (decision == "approve"))
            side = "for" if reason.toward else "against"
            assert reason.words.endswith(f"speaks {side} {decision}")
    assert "approve" in decisions
    assert len(decisions) == 2


def test_the_same_row_has_the_same_reasons(bundle: Bundle) -> None:
    once, again = (reasons_of(bundle, RISKY, limit=3, context=RISKY[:1]) for _ in range(2))
    assert once == again
    told = bundle.predict(RISKY[None, :], RISKY[None, :1])
    assert reasons_of(bundle, RISKY, limit=3, context=RISKY[:1], told=told) == once


def test_a_quantity_has_reasons_without_a_side(tmp_path_factory: pytest.TempPathFactory) -> None:
    made = demand(1_500)
    forecast = bundled(made, tmp_path_factory.mktemp("d") / "b", Ridge())
    row, context = made.rows.values[0], made.rows.context[0]
    reasons = reasons_of(forecast, row, limit=5, context=context)
    assert {reason.feature for reason in reasons} == {"level", "trend"}
    assert all(reason.toward is None for reason in reasons)
