"""The conformance kit of models over every technology."""

from __future__ import annotations

from multiprocessing import Pipe
from typing import Any

import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import Lars, LogisticRegression

from holdfast.models import candidates
from holdfast.models.base import Task
from holdfast.models.open import technologies
from holdfast.testing.models import ModelTestCase


class Classifier(ModelTestCase):
    """An estimator that only tells classes apart."""

    def usable(self, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        return ("binary",)


class Regressor(ModelTestCase):
    """An estimator that only gives values."""

    def usable(self, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        return ("regression",)


class TestPrior(ModelTestCase):
    candidate = candidates.Prior()
    learns = False


class TestRule(ModelTestCase):
    candidate = candidates.Rule()


class TestRuleOfOneQuestion(ModelTestCase):
    candidate = candidates.Rule(depth=1)


class TestLogisticRegression(ModelTestCase):
    candidate = candidates.LogisticRegression()


class TestRidge(ModelTestCase):
    candidate = candidates.Ridge()


class TestLightGBM(ModelTestCase):
    candidate = candidates.LightGBM(n_estimators=40)


class TestLightGBMWithChance(ModelTestCase):
    candidate = candidates.LightGBM(n_estimators=20, subsample=0.7, colsample_bytree=0.5)


class TestXGBoost(ModelTestCase):
    candidate = candidates.XGBoost(n_estimators=40)


class TestXGBoostWithChance(ModelTestCase):
    candidate = candidates.XGBoost(n_estimators=40, subsample=0.7, colsample_bytree=0.5)


class TestForest(Classifier):
    candidate = candidates.Sklearn(RandomForestClassifier(n_estimators=15, max_depth=5))


class TestHistogramBoosting(Classifier):
    candidate = candidates.Sklearn(HistGradientBoostingClassifier(max_iter=15))


class TestSklearnLogisticRegression(Classifier):
    candidate = candidates.Sklearn(LogisticRegression(max_iter=500))


class TestLeastAngles(Regressor):
    candidate = candidates.Sklearn(Lars())
    weighs = False


CASES = [
    case for case in globals().values() if isinstance(case, type) and "candidate" in vars(case)
]


def test_every_technology_of_ours_is_under_the_kit() -> None:
    of_its_own = {"seasonal_naive"}  # reads one column that only a forecast has: test_seasonal.py
    assert {case.candidate.kind for case in CASES} == set(technologies()) - of_its_own


@pytest.mark.parametrize("case", CASES)
def test_a_candidate_travels_to_another_process(case: Any) -> None:
    here, there = Pipe()
    here.send(case.candidate)
    copied = there.recv()
    assert copied.parameters() == case.candidate.parameters()
    assert copied.kind == case.candidate.kind
