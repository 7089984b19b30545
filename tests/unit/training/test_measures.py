"""Measures against a library's own, intervals that cover, calibration that helps or stays away."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from holdfast.training import metrics
from holdfast.training.calibrate import LEVELS, Calibration, fit_calibration, fit_residuals
from holdfast.training.evaluate import plain
from holdfast.training.worth import Resamples, difference


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), decimals=st.integers(1, 8), rows=st.integers(20, 400))
def test_measures_are_those_of_the_reference(seed: int, decimals: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.clip(np.round(rng.random(rows), decimals), 0.001, 0.999)
    label = (rng.random(rows) < score).astype(np.float64)
    label[:2] = [0.0, 1.0]
    found = metrics.binary_metrics(label, score)
    assert found["auc"] == pytest.approx(reference.roc_auc_score(label, score))
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(label, score)
    )
    assert found["brier"] == pytest.approx(reference.brier_score_loss(label, score))
    assert found["log_loss"] == pytest.approx(reference.log_loss(label, score))


def test_measures_of_a_value_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    label, said = rng.normal(size=100), rng.normal(size=100)
    found = metrics.regression_metrics(label, said)
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(label, said))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(label, said))


def test_measures_of_one_class_are_none_not_nan() -> None:
    found = metrics.binary_metrics(np.zeros(30), np.full(30, 0.2))
    assert found["auc"] is None
    assert found["average_precision"] is None
    json.dumps(plain(found), allow_nan=False)


def test_what_json_cannot_hold_becomes_none() -> None:
    held = plain({"a": np.float64("nan"), "b": [np.inf, np.int64(3)], 4: (True, "x")})
    assert held == {"a": None, "b": [None, 3], "4": [True, "x"]}


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        cluster = np.repeat(np.arange(60), 5)
        worth = np.repeat(rng.normal(1.0, 2.0, 60), 5) + rng.normal(size=300)
        interval = Resamples(cluster, seed=trial).per_1000({"a": worth})["a"][0]
        covered += interval.low <= 1_000.0 <= interval.high
    assert 180 <= covered <= 199


def test_rows_of_one_entity_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    worth = np.repeat(rng.normal(size=100), 20)
    alone = Resamples(np.arange(2_000), seed=0).per_1000({"a": worth})["a"][0]
    together = Resamples(np.repeat(np.arange(100), 20), seed=0).per_1000({"a": worth})["a"][0]
    assert together.high - together.low > 3.0 * (alone.high - alone.low)


def test_one_cluster_is_no_certainty() -> None:
    worth = np.random.default_rng(1).normal(size=500)
    one = Resamples(np.zeros(500, np.int64), seed=0).per_1000({"a": worth})["a"][0]
    rows = Resamples(np.arange(500), seed=0).per_1000({"a": worth})["a"][0]
    assert one == rows
    assert one.low < one.high


def test_many_clusters_keep_the_width_and_the_same_seed_the_bits() -> None:
    worth = np.random.default_rng(1).normal(size=50_000)
    found = [Resamples(np.arange(50_000), seed=9).per_1000({"a": worth})["a"] for _ in range(2)]
    assert found[0][0] == found[1][0]
    width = found[0][0].high - found[0][0].low
    assert width == pytest.approx(2 * 1.96 * 1_000 / np.sqrt(50_000), rel=0.1)


def test_a_paired_gain_is_narrower_than_its_parts() -> None:
    rng = np.random.default_rng(2)
    worth = rng.normal(0.0, 10.0, 4_000)
    found = Resamples(np.arange(4_000), seed=0).per_1000({"a": worth + 0.1, "b": worth})
    gain = difference(found["a"], found["b"])
    assert gain.value == pytest.approx(100.0)
    assert gain.high - gain.low < 1e-6


def test_rows_without_a_worth_are_left_out_of_all() -> None:
    worth, gaps = np.ones(10), np.ones(10)
    worth[0], gaps[1] = 100.0, np.nan
    found = Resamples(np.arange(10), seed=0).per_1000({"a": worth, "b": gaps})
    assert found["b"][0].value == 1_000.0
    assert found["a"][0].value == pytest.approx(1_000.0 * 108 / 9)


@pytest.mark.parametrize(("rows", "method"), [(1_500, "platt"), (40_000, "isotonic")])
def test_a_bent_score_is_straightened(rows: int, method: str) -> None:
    rng = np.random.default_rng(4)
    chance = rng.beta(1.0, 9.0, rows)
    label = (rng.random(rows) < chance).astype(np.float64)
    bent = np.sqrt(chance)
    line = fit_calibration(bent, label)
    assert line.method == method
    fresh = rng.beta(1.0, 9.0, 2_000)
    before, after = (
        np.abs(np.sqrt(fresh) - fresh).mean(),
        np.abs(line.apply(np.sqrt(fresh)) - fresh).mean(),
    )
    assert after < 0.2 * before


def test_a_score_that_is_true_or_rare_is_left_alone() -> None:
    rng = np.random.default_rng(4)
    label = np.zeros(500)
    label[:20] = 1.0
    assert fit_calibration(rng.random(500), label).method == "none"
    assert fit_calibration(np.empty(0), np.empty(0)).method == "none"


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), rows=st.sampled_from([300, 9_000]))
def test_calibration_keeps_the_order_and_one_row_has_the_same_bits(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    score = np.round(rng.random(rows), rng.integers(1, 6))
    label = (rng.random(rows) < score**2).astype(np.float64)
    line = fit_calibration(score, label)
    asked = np.sort(np.concatenate([rng.random(200), [0.0, 1.0, 1e-12]]))
    told = line.apply(asked)
    assert (np.diff(told) >= 0.0).all()
    assert ((told >= 0.0) & (told <= 1.0)).all()
    assert np.array_equal(told, [line.apply(asked[i : i + 1])[0] for i in range(len(asked))])
    again = Calibration.from_dict(json.loads(json.dumps(line.as_dict())))
    assert np.array_equal(again.apply(asked), told)


def test_knots_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match="rise"):
        Calibration.from_dict({"method": "platt", "x": [0.5, 0.1], "y": [0.0, 1.0]})


def test_residuals_stand_for_equal_shares() -> None:
    label = np.arange(1_900.0)
    found = fit_residuals(np.zeros(1_900), label)
    assert len(found) == LEVELS
    assert np.mean(found) == pytest.approx(label.mean())
    assert list(found) == sorted(found)
    assert fit_residuals(np.empty(0), np.empty(0)) == (0.0,) * LEVELS
