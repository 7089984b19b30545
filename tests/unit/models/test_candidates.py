"""Candidates: bounds at once, the line of the author, plain parameters."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from holdfast.errors import DefinitionError
from holdfast.models import candidates

CANDIDATES = [
    candidates.Prior(),
    candidates.Rule(),
    candidates.LogisticRegression(),
    candidates.Ridge(),
    candidates.LightGBM(),
    candidates.XGBoost(),
    candidates.SeasonalNaive("7d"),
    candidates.Sklearn(RandomForestClassifier()),
]


class Foreign:
    """An estimator that does not come from scikit-learn."""

    def fit(self, table: Any, target: Any) -> Foreign:
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (candidates.LightGBM, {"n_estimators": 0}),
        (candidates.LightGBM, {"n_estimators": 10_001}),
        (candidates.LightGBM, {"n_estimators": 10.0}),
        (candidates.LightGBM, {"n_estimators": True}),
        (candidates.LightGBM, {"learning_rate": 0}),
        (candidates.LightGBM, {"learning_rate": float("nan")}),
        (candidates.LightGBM, {"learning_rate": "fast"}),
        (candidates.LightGBM, {"num_leaves": 1}),
        (candidates.XGBoost, {"max_depth": 0}),
        (candidates.XGBoost, {"subsample": 1.1}),
        (candidates.XGBoost, {"tree_method": "gpu"}),
        (candidates.XGBoost, {"base_score": "half"}),
        (candidates.LogisticRegression, {"C": 0.0}),
        (candidates.Ridge, {"alpha": -1.0}),
        (candidates.Rule, {"depth": 3}),
        (candidates.SeasonalNaive, {"season": "a week"}),
        (candidates.SeasonalNaive, {"season": "0d"}),
        (candidates.SeasonalNaive, {"season": 7}),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_where_it_is_written(
    kind: Any, wrong: dict[str, Any]
) -> None:
    with pytest.raises(DefinitionError) as caught:
        kind(**wrong)
    assert caught.value.code == "HF170"
    assert next(iter(wrong)) in caught.value.what
    assert next(iter(wrong)) in caught.value.hint
    assert str(caught.value.site).startswith("test_candidates.py:")


def test_bounds_themselves_are_allowed() -> None:
    assert candidates.LightGBM(n_estimators=10_000, learning_rate=1).learning_rate == 1
    assert candidates.XGBoost(base_score=0.1, reg_lambda=0).base_score == 0.1
    assert candidates.LightGBM(max_depth=-1).max_depth == -1


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.kind)
def test_a_candidate_is_frozen_plain_data(candidate: Any) -> None:
    told = candidate.parameters()
    assert json.loads(json.dumps(told)) == told
    assert candidate.name
    first = dataclasses.fields(candidate)[0].name if told else "depth"
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(candidate, first, 1)


def test_kinds_are_distinct() -> None:
    assert len({candidate.kind for candidate in CANDIDATES}) == len(CANDIDATES)


@pytest.mark.parametrize("wrong", [RandomForestClassifier, "forest", None, object()])
def test_only_an_estimator_can_be_wrapped(wrong: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        candidates.Sklearn(wrong)
    assert caught.value.code == "HF171"
    assert str(caught.value.site).startswith("test_candidates.py:")


@pytest.mark.parametrize("wrong", [Foreign(), CalibratedClassifierCV(Foreign())])
def test_only_classes_of_scikit_learn_can_be_stored(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="Foreign is not a class of scikit-learn") as caught:
        candidates.Sklearn(wrong)
    assert caught.value.code == "HF172"


def test_an_estimator_tells_its_class_and_parameters() -> None:
    inner = make_pipeline(LogisticRegression(C=0.5))
    told = candidates.Sklearn(inner).parameters()
    assert told["estimator"] == "sklearn.pipeline.Pipeline"
    assert told["parameters"]["logisticregression__C"] == "0.5"
    assert candidates.Sklearn(inner).name == "Pipeline"
    assert candidates.Sklearn(inner, label="scaled").name == "scaled"
