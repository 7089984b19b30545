"""Figures: money on the same draws, slices worst first, periods in order, no NaN."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest

from holdfast.define.measures import rate
from holdfast.models.base import FittedModel, Matrix
from holdfast.models.candidates import Prior
from holdfast.models.open import open_model
from holdfast.training import evaluate
from holdfast.training.encoders.encoder import Learner
from holdfast.training.evaluate import (
    Judged,
    compare,
    judge,
    judge_constant,
    over_time,
    plain,
    reliability,
    slices,
)
from holdfast.training.pipeline import Pipeline
from tests.unit.training.made import PAYOFF, Made, payments


def prior(matrix: Matrix) -> FittedModel:
    labels = (np.arange(matrix.rows) % 2).astype(np.float64)
    return open_model(Prior()).fit(matrix, labels, task="binary", seed=0)


@pytest.fixture(scope="module")
def made() -> Made:
    found = payments(6_000, delay_days=0)
    assert not np.isnan(found.rows.label).any()
    return found


@pytest.fixture(scope="module")
def pipeline(made: Made) -> Pipeline:
    encoder, _ = Learner(made.rows, seed=0).learn(np.arange(len(made.rows)))
    model = prior(encoder.encode(made.rows.values[:10]))
    return Pipeline(task="binary", value=PAYOFF, encoder=encoder, model=model)


@pytest.fixture(scope="module")
def best(made: Made, pipeline: Pipeline) -> Judged:
    """The best possible decision: the score is the true chance."""
    return judge("best", "candidate", pipeline, score=made.chance, rows=made.rows)


def test_knowing_the_chance_beats_every_constant(
    made: Made, pipeline: Pipeline, best: Judged
) -> None:
    constants = [judge_constant(pipeline, d, made.rows) for d in range(3)]
    assert [each.name for each in constants] == ["approve all", "review all", "decline all"]
    figures = compare(
        [best, *constants],
        chosen="best",
        cluster=made.rows.cluster,
        constraints=[rate("decline") <= 0.5],
        seed=0,
    )
    for each in constants:
        gain = figures[each.name]["gain_of_chosen"]
        assert 0.0 < gain["low"] < gain["value"] < gain["high"]
    assert figures["best"]["gain_of_chosen"] is None
    assert figures["best"]["constraints"][0]["holds"]
    assert not figures["decline all"]["constraints"][0]["holds"]
    assert not constants[2].keeps([rate("decline") <= 0.5])


def test_a_constant_earns_what_the_payoff_says(made: Made, pipeline: Pipeline) -> None:
    decline = judge_constant(pipeline, 2, made.rows)
    assert decline.per_1000 == pytest.approx(1_000 * np.mean(-8.0 * (made.rows.label == 0.0)))
    approve = judge_constant(pipeline, 0, made.rows)
    amount = made.rows.context[:, 0]
    worth = np.where(made.rows.label == 1.0, -amount - 15.0, 0.012 * amount)
    assert approve.per_1000 == pytest.approx(1_000 * worth.mean())


def test_rows_without_a_worth_are_left_out(made: Made, pipeline: Pipeline) -> None:
    rows = made.rows.take(np.arange(100))
    rows.context[:40, 0] = np.nan
    kept = judge_constant(pipeline, 0, rows)
    assert int(np.isnan(kept.worth).sum()) == 40
    figures = compare([kept], chosen="approve all", cluster=rows.cluster, constraints=[], seed=0)
    assert figures["approve all"]["per_1000"]["value"] == pytest.approx(kept.per_1000)


def test_slices_are_worst_first_and_large_enough(made: Made, best: Judged) -> None:
    found = slices(best, made.rows)
    money = [each["per_1000"] for each in found]
    assert money == sorted(money)
    assert min(each["rows"] for each in found) >= 200
    named = {(each["feature"], each["value"]) for each in found}
    assert ("channel", "online") in named
    assert {("abroad", "yes"), ("abroad", "no")} <= named
    assert not {feature for feature, _ in named} & {"amount", "risk"}
    online = next(each for each in found if each["value"] == "online")
    where = made.rows.values[:, 1] == next(
        number for number, text in made.rows.categories["channel"].items() if text == "online"
    )
    assert online["rows"] == int(where.sum())
    assert online["label_mean"] == pytest.approx(made.rows.label[where].mean())


def test_slices_have_a_bound(made: Made, best: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "SLICES_MAX", 2)
    assert len(slices(best, made.rows)) == 2


def test_periods_follow_one_another_and_hold_every_row(made: Made, best: Judged) -> None:
    months = over_time(best, made.rows)
    assert [each["from"] for each in months] == sorted(each["from"] for each in months)
    assert sum(each["rows"] for each in months) == len(made.rows)
    assert all(len(each["from"]) == len("2024-01") for each in months)
    weeks = payments(1_000, days=30, delay_days=0)
    pipeline_weeks = over_time(Judged("x", "candidate", np.zeros(1_000), {}, {}), weeks.rows)
    assert len(pipeline_weeks) in (5, 6)
    assert date.fromisoformat(pipeline_weeks[0]["from"]).isoweekday() == 1


def test_what_was_said_is_close_to_what_came_for_true_chances(made: Made, best: Judged) -> None:
    bins = reliability(best, made.rows.label)
    assert len(bins) == 10
    assert sum(each["rows"] for each in bins) == len(made.rows)
    for each in bins:
        spread = 4.0 * np.sqrt(each["said"] * (1.0 - each["said"]) / each["rows"])
        assert abs(each["said"] - each["came"]) < spread + 0.01


def test_plain_data_has_no_nan() -> None:
    content = {"a": np.float64(np.nan), "b": [np.inf, 1.5, np.int64(3)], "c": ("x", None, True)}
    held = plain(content)
    assert json.loads(json.dumps(held, allow_nan=False)) == {
        "a": None,
        "b": [None, 1.5, 3],
        "c": ["x", None, True],
    }
