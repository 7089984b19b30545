"""Any scikit-learn estimator: what it may be, how it is coded, how it is stored safely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from holdfast.core.fingerprint import file_fingerprint
from holdfast.errors import DefinitionError, StoreError, UserCodeError
from holdfast.models import candidates
from holdfast.models.base import Matrix
from holdfast.models.files import HEADER
from holdfast.models.open import load_model
from holdfast.models.sklearn import FILE, HOT_MAX, Encoding, FittedSklearn, SklearnModel
from holdfast.models.stored_types import from_bytes, refused_types, to_bytes
from holdfast.testing.models import golden_section, same_bits, sample


def fitted(estimator: Any, seed: int = 0) -> FittedSklearn:
    matrix, y = sample("binary")
    return SklearnModel(candidates.Sklearn(estimator)).fit(matrix, y, task="binary", seed=seed)


def replaced(folder: Path, estimator: Any) -> None:
    """Put another estimator into a saved folder, with a digest that fits."""
    (folder / FILE).write_bytes(skops.io.dumps(estimator))
    header = json.loads((folder / HEADER).read_text())
    header["files"][FILE] = file_fingerprint(folder / FILE)
    (folder / HEADER).write_text(json.dumps(header))


def test_an_estimator_without_probabilities_is_refused() -> None:
    with pytest.raises(DefinitionError, match="LinearSVC has no predict_proba") as caught:
        fitted(LinearSVC())
    assert caught.value.code == "HF173"
    assert "CalibratedClassifierCV" in caught.value.hint


def test_what_the_estimator_raises_is_told_as_its_fault() -> None:
    with pytest.raises(UserCodeError, match="KNeighborsClassifier cannot learn") as caught:
        fitted(KNeighborsClassifier(n_neighbors=10_000))
    assert caught.value.code == "HF422"
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_part_that_cannot_be_stored_safely_is_refused() -> None:
    forms = FunctionTransformer(np.nan_to_num)
    with pytest.raises(DefinitionError, match="nan_to_num") as caught:
        fitted(make_pipeline(forms, GaussianNB()))
    assert caught.value.code == "HF172"


def test_a_function_slipped_into_the_file_is_refused(tmp_path: Path) -> None:
    fitted(GaussianNB()).save(tmp_path)
    replaced(tmp_path, make_pipeline(FunctionTransformer(np.loadtxt), GaussianNB()))
    with pytest.raises(StoreError, match="loadtxt") as caught:
        load_model(tmp_path)
    assert caught.value.code == "HF417"


@pytest.mark.parametrize(
    "estimator", [RandomForestClassifier(2), HistGradientBoostingClassifier(max_iter=2)]
)
def test_a_tree_that_points_outside_itself_is_refused(estimator: Any, tmp_path: Path) -> None:
    model = fitted(estimator)
    model.save(tmp_path)
    forest = from_bytes(model.data)
    if hasattr(forest, "estimators_"):
        tree = forest.estimators_[1].tree_
        state = tree.__getstate__()
        state["nodes"]["left_child"][0] = 1_000_000
        tree.__setstate__(state)
    else:
        forest._predictors[1][0].nodes["left"][0] = 1_000_000
    replaced(tmp_path, forest)
    with pytest.raises(StoreError, match="outside itself"):
        load_model(tmp_path)


def test_safe_types_are_named_one_by_one() -> None:
    assert refused_types(to_bytes(fitted(RandomForestClassifier(2)).estimator)) == []
    assert refused_types(to_bytes(FunctionTransformer(np.loadtxt))) == ["numpy.loadtxt"]


def test_a_seed_of_the_author_is_kept_and_ours_fills_the_rest() -> None:
    matrix, _ = sample("binary")
    free = [fitted(RandomForestClassifier(5), seed).predict(matrix) for seed in (1, 1, 2)]
    assert same_bits(free[0], free[1])
    assert not same_bits(free[0], free[2])
    own = [fitted(RandomForestClassifier(5, random_state=7), s).predict(matrix) for s in (1, 2)]
    assert same_bits(own[0], own[1])


def test_the_authors_estimator_stays_unfitted() -> None:
    mine = RandomForestClassifier(3, n_jobs=2)
    fitted(mine)
    assert not hasattr(mine, "estimators_")
    assert (mine.random_state, mine.n_jobs) == (None, 2)


def test_rows_are_asked_alone_where_company_changes_bits() -> None:
    assert fitted(RandomForestClassifier(3)).alone is False
    model = fitted(make_pipeline(LogisticRegression(max_iter=500)))
    assert model.describe()["rows_alone"] is model.alone


def test_rare_codes_share_one_column() -> None:
    codes = np.floor(golden_section(4_000, 1) ** 3 * 1_000)
    matrix = Matrix(codes[:, None], ("shop",), (1_000,))
    encoding = Encoding.of(matrix)
    assert encoding.design.sizes == (HOT_MAX,)
    hot = encoding.table(np.array([[0.0], [999.0], [998.0], [np.nan]]))
    assert hot.shape == (4, HOT_MAX + 1)
    assert hot.sum(axis=1).tolist() == [1.0] * 4
    assert same_bits(hot[1], hot[2])
    assert not same_bits(hot[0], hot[1])
    assert hot[3, HOT_MAX] == 1.0


def test_reasons_say_that_they_are_approximate() -> None:
    model = fitted(GaussianNB())
    assert model.exact is False
    assert "approximate" in model.describe()["contributions"]
    typical = Matrix(model.typical[None, :], model.signature.names, model.signature.categories)
    assert np.abs(model.contributions(typical)).max() == 0.0
