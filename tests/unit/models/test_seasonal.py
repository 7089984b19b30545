"""The value of one season ago: which column it reads, what it says where that is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import holdfast as hf
from holdfast.define.seasonal import season_before
from holdfast.errors import ContractError
from holdfast.models import candidates
from holdfast.models.base import Matrix
from holdfast.models.open import load_model, open_model

WEEK = candidates.SeasonalNaive("7d")
VALUES = np.array([[1.0, 9.0], [2.0, np.nan], [3.0, 7.0]])
MATRIX = Matrix(VALUES, ("other", "season_7d"), (0, 0))
LABELS = np.array([10.0, 20.0, 60.0])

Shop = hf.Entity("shop")


class Sold(hf.Event, source="sold.csv"):
    at = hf.EventTime()
    shop = hf.Key(Shop)
    units = hf.Integer()


class Told(hf.Event, source="told.csv", lag="1d"):
    at = hf.EventTime()
    shop = hf.Key(Shop)
    units = hf.Integer()


def test_it_says_its_column_and_the_mean_where_that_is_missing(tmp_path: Path) -> None:
    fitted = open_model(WEEK).fit(MATRIX, LABELS, task="regression", seed=0)
    assert fitted.predict(MATRIX).tolist() == [9.0, 30.0, 7.0]
    told = fitted.contributions(MATRIX)
    assert (fitted.bias + told.sum(axis=1)).tolist() == [9.0, 30.0, 7.0]
    assert fitted.describe()["column"] == "season_7d"
    fitted.save(tmp_path)
    again = load_model(tmp_path)
    assert again.predict(MATRIX).tobytes() == fitted.predict(MATRIX).tobytes()


def test_a_matrix_without_the_season_is_refused() -> None:
    with pytest.raises(ContractError) as caught:
        open_model(WEEK).fit(Matrix(VALUES, ("a", "b"), (0, 0)), LABELS, task="regression", seed=0)
    assert caught.value.code == "HF443"


@pytest.mark.parametrize(
    ("source", "ahead", "season", "offset"),
    [
        (Sold, "7d", "7d", ""),
        (Sold, "1d", "7d", "6d"),
        (Sold, "14d", "7d", ""),
        (Sold, "10d", "7d", "4d"),
        (Told, "7d", "7d", "7d"),
        (Told, "6d", "7d", "1d"),
        (Sold, "7d", "1y", "358d"),
    ],
)
def test_the_season_is_the_newest_one_known_as_a_whole(
    source: type[hf.Event], ahead: str, season: str, offset: str
) -> None:
    label = source.by(Shop).sum(source.columns["units"], ahead=ahead)  # type: ignore[type-var]
    before = season_before(label, season)
    assert (before.kind, before.over, before.offset) == ("sum", ahead, offset)
