"""Logistic and ridge regression: scikit-learn's answer, centred shares, honest notes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn import linear_model

from holdfast.errors import StoreError
from holdfast.models import candidates
from holdfast.models.base import Matrix, Task
from holdfast.models.design import Design
from holdfast.models.linear import FittedLinear, LinearModel, Scores
from holdfast.testing.models import sample


def fitted(task: Task, **parameters: Any) -> FittedLinear:
    kind = candidates.LogisticRegression if task == "binary" else candidates.Ridge
    matrix, y = sample(task)
    return LinearModel(kind(**parameters)).fit(matrix, y, task=task, seed=0)


def test_it_answers_as_scikit_learn_does() -> None:
    matrix, y = sample("binary")
    dense = Design.of(matrix).dense(matrix.values)
    theirs = linear_model.LogisticRegression(max_iter=1_000, tol=1e-6).fit(dense, y)
    ours = fitted("binary").predict(matrix)
    assert np.allclose(ours, theirs.predict_proba(dense)[:, 1], atol=1e-4)


def test_ridge_answers_as_scikit_learn_does() -> None:
    matrix, y = sample("regression")
    dense = Design.of(matrix).dense(matrix.values)
    theirs = linear_model.Ridge(alpha=1.0, solver="svd").fit(dense, y)
    assert np.allclose(fitted("regression").predict(matrix), theirs.predict(dense), rtol=1e-3)


def test_both_forms_of_the_table_are_equal() -> None:
    matrix, _ = sample("binary")
    design = Design.of(matrix)
    assert np.array_equal(design.table(matrix.values).toarray(), design.dense(matrix.values))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_average_row_has_no_reasons(task: Task) -> None:
    matrix, _ = sample(task)
    means = fitted(task).contributions(matrix).mean(axis=0)
    assert np.abs(means).max() < 1e-9


def test_a_gap_that_training_never_had_counts_as_the_median() -> None:
    matrix, _ = sample("binary")
    model = fitted("binary")
    j = matrix.names.index("amount")
    rows = np.repeat(matrix.values[:1], 2, axis=0)
    rows[0, j] = np.median(matrix.values[:, j])
    rows[1, j] = np.nan
    median, missing = model.predict(Matrix(rows, matrix.names, matrix.categories))
    assert np.isclose(median, missing, rtol=1e-12)


def test_only_columns_with_gaps_in_training_get_a_mark() -> None:
    matrix, _ = sample("binary")
    design = Design.of(matrix)
    assert [matrix.names[design.numbers[i]] for i in design.marked] == ["share"]


def test_a_solver_that_stops_early_says_so() -> None:
    assert fitted("binary").describe()["converged"] is True
    assert fitted("binary", max_iter=1).describe()["converged"] is False


def test_a_stronger_penalty_makes_smaller_shares() -> None:
    matrix, _ = sample("binary")
    weak = np.abs(fitted("binary", C=1.0).contributions(matrix)).sum()
    strong = np.abs(fitted("binary", C=1e-4).contributions(matrix)).sum()
    assert strong < weak / 5


def test_stored_scores_come_back_with_the_same_bits() -> None:
    scores = fitted("binary").scores
    again = Scores.from_dict(json.loads(json.dumps(scores.as_dict())))
    assert again.as_dict() == scores.as_dict()


@pytest.mark.parametrize("lost", ["mean", "table", "numbers"])
def test_scores_without_a_part_are_refused(lost: str) -> None:
    plain = fitted("binary").scores.as_dict()
    del plain[lost]
    with pytest.raises(StoreError) as caught:
        Scores.from_dict(plain)
    assert caught.value.code == "HF417"


def test_scores_that_do_not_fit_together_are_refused() -> None:
    plain = fitted("binary").scores.as_dict()
    plain["mean"].pop()
    with pytest.raises(StoreError):
        Scores.from_dict(plain)
