"""Wide columns: zeros of numbers are kept, bounds are named, the telling words are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression

from holdfast.errors import ContractError, InternalError
from holdfast.models import baseline, candidates, lightgbm, wide, xgboost
from holdfast.models.base import Matrix
from holdfast.models.open import open_model
from holdfast.testing.models import sample, sample_of_words


def small() -> Matrix:
    words = sparse.csr_matrix(np.array([[0.0, 2.0], [3.0, 0.0], [0.0, 0.0]]))
    values = np.array([[0.0], [np.nan], [5.0]])
    return Matrix(values, ("x", "w[a]", "w[b]"), (0, 0, 0), words)


def test_a_number_is_stored_even_where_it_is_0() -> None:
    stacked = wide.stacked(small())
    assert stacked.nnz == 3 + 2
    assert np.array_equal(stacked.toarray(), wide.dense(small(), "it").values, equal_nan=True)
    for column in range(3):
        asked = wide.column_of(small(), column)
        assert np.array_equal(asked, stacked.toarray()[:, column], equal_nan=True)


def test_parts_that_do_not_fit_are_our_fault() -> None:
    with pytest.raises(InternalError, match="3 names"):
        Matrix(np.zeros((3, 2)), ("x", "a", "b"), (0, 0, 0), small().wide)
    broken = small()
    broken.wide.data[0] = np.inf
    with pytest.raises(InternalError, match="wide"):
        open_model(candidates.Prior()).fit(broken, np.array([0.0, 1.0, 1.0]), task="binary", seed=0)


@pytest.mark.parametrize("bound", ["ROW_COLUMNS_MAX", "DENSE_MAX"])
def test_what_is_too_wide_for_an_estimator_is_refused(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, y = sample_of_words("regression"), sample("regression")[1]
    monkeypatch.setattr(wide, bound, 20)
    with pytest.raises(ContractError, match="LinearRegression") as caught:
        open_model(candidates.Sklearn(LinearRegression())).fit(matrix, y, task="regression", seed=0)
    assert caught.value.code == "HF423" and "components=" in caught.value.hint


def test_a_rule_asks_about_the_words_that_tell_most(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, y = sample_of_words("binary", alone=True), sample("binary")[1]
    assert wide.telling(matrix, y, np.ones(len(y)), 1) == [0]
    assert wide.telling(matrix.take(slice(0, 5)), y[:5], np.ones(5), 3)[:1] == [0]
    monkeypatch.setattr(baseline, "WORDS_ASKED_MAX", 1)
    rule = open_model(candidates.Rule()).fit(matrix, y, task="binary", seed=0)
    (first, *_) = rule.lines()  # type: ignore[attr-defined]
    assert first.startswith("words[0] > 0")


@pytest.mark.parametrize(
    ("module", "candidate"),
    [(lightgbm, candidates.LightGBM(n_estimators=5)), (xgboost, candidates.XGBoost())],
)
def test_only_so_many_gains_are_told(
    module: object, candidate: candidates.LightGBM, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, y = sample_of_words("binary"), sample("binary")[1]
    fitted = open_model(candidate).fit(matrix, y, task="binary", seed=0)
    whole = fitted.describe()["gain"]
    monkeypatch.setattr(module, "GAINS_MAX", 3)
    few = fitted.describe()["gain"]
    assert len(whole) == matrix.columns
    assert few == dict(sorted(whole.items(), key=lambda pair: -pair[1])[:3])
