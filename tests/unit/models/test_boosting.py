"""LightGBM and XGBoost: no thread count in the model, the right tree method, odd names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from holdfast.core.settings import Settings
from holdfast.models import candidates, lightgbm, threads, xgboost
from holdfast.models.base import Matrix, Task
from holdfast.testing.models import golden_section, same_bits, sample

COLUMNS = [golden_section(6_000, k) for k in range(1, 9)]
BIG = Matrix(np.column_stack(COLUMNS), tuple("abcdefgh"), (0,) * 8)
BIG_LABELS = (BIG.values[:, 0] + BIG.values[:, 1] > 0.9 + 0.3 * BIG.values[:, 2]).astype(float)


def boosted(matrix: Matrix, y: Any, **parameters: Any) -> xgboost.FittedXGBoost:
    candidate = candidates.XGBoost(n_estimators=5, **parameters)
    task: Task = "binary" if set(np.unique(y)) <= {0.0, 1.0} else "regression"
    return xgboost.XGBoostModel(candidate).fit(matrix, y, task=task, seed=0)


def test_the_number_of_threads_is_no_part_of_a_lightgbm_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "CELLS_PER_THREAD", 1_000)
    texts = []
    for count in (1, 2, 3):
        held = Settings(threads=count, numba_cache="", data="")
        monkeypatch.setattr(lightgbm, "settings", lambda held=held: held)
        model = lightgbm.LightGBMModel(candidates.LightGBM(n_estimators=10))
        fitted = model.fit(BIG, BIG_LABELS, task="binary", seed=3)
        texts.append((fitted.text, fitted.predict(BIG).tobytes()))
    assert texts[0] == texts[1] == texts[2]


def test_another_seed_is_another_model_where_chance_plays() -> None:
    model = lightgbm.LightGBMModel(candidates.LightGBM(n_estimators=10, subsample=0.5))
    first, second = (model.fit(BIG, BIG_LABELS, task="binary", seed=seed) for seed in (1, 2))
    assert not same_bits(first.predict(BIG), second.predict(BIG))


def test_names_may_hold_every_punctuation_mark() -> None:
    names = ('{"a": [1]}', "spend, 7d", "f0", "ä:ö", "x y", "a<b", "[]", "f7")
    matrix = Matrix(BIG.values, names, BIG.categories)
    trees = lightgbm.LightGBMModel(candidates.LightGBM(n_estimators=5))
    told = trees.fit(matrix, BIG_LABELS, task="binary", seed=0).describe()
    assert tuple(told["gain"]) == names
    assert told["gain"]['{"a": [1]}'] > 0
    told = boosted(matrix, BIG_LABELS).describe()
    assert tuple(told["gain"]) == names
    assert told["gain"]['{"a": [1]}'] > 0


def test_small_tables_of_numbers_get_exact_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boosted(BIG, BIG_LABELS).describe()["tree_method"] == "exact"
    assert boosted(BIG, BIG_LABELS, tree_method="hist").describe()["tree_method"] == "hist"
    matrix, y = sample("binary")
    assert boosted(matrix, y).describe()["tree_method"] == "hist"
    assert boosted(matrix, y, tree_method="exact").describe()["tree_method"] == "hist"
    monkeypatch.setattr(xgboost, "EXACT_CELLS_MAX", BIG.values.size - 1)
    assert boosted(BIG, BIG_LABELS).describe()["tree_method"] == "hist"


def test_where_the_margin_starts() -> None:
    assert boosted(BIG, BIG_LABELS).describe()["base_score"] == 0.5
    values = BIG.values[:, 0] * 1_000.0
    assert boosted(BIG, values).describe()["base_score"] == pytest.approx(values.mean())
    assert boosted(BIG, BIG_LABELS, base_score=0.01).describe()["base_score"] == 0.01


def test_one_row_is_many_rows_on_a_table_larger_than_a_block() -> None:
    trees = lightgbm.LightGBMModel(candidates.LightGBM(n_estimators=20))
    for fitted in (
        trees.fit(BIG, BIG_LABELS, task="binary", seed=0),
        boosted(BIG, BIG_LABELS),
        boosted(BIG, BIG_LABELS, tree_method="hist"),
    ):
        whole = fitted.predict(BIG)
        for start, rows in ((0, 1), (5_999, 1), (17, 63), (100, 1_025), (0, 5_000)):
            part = fitted.predict(BIG.take(slice(start, start + rows)))
            assert same_bits(part, whole[start : start + rows])


def test_categories_are_used_as_categories() -> None:
    codes = np.floor(golden_section(3_000, 1) * 10)
    odd = np.isin(codes, (1.0, 4.0, 8.0)).astype(float)
    matrix = Matrix(codes[:, None], ("code",), (10,))
    trees = lightgbm.LightGBMModel(candidates.LightGBM(n_estimators=20, min_child_samples=5))
    for fitted in (trees.fit(matrix, odd, task="binary", seed=0), boosted(matrix, odd)):
        assert ((fitted.predict(matrix) > 0.5) == (odd > 0.5)).all()
