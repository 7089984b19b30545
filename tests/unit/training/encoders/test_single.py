"""Codes and orders: the most frequent first, bounded, the same after JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.fingerprint import category_id
from holdfast.training.encoders.base import Column, Learning
from holdfast.training.encoders.registry import fit_encoder, load_encoder
from holdfast.training.encoders.single import CATEGORIES_MAX, Codes


def learning(numbers: Any) -> Learning:
    values = np.asarray(numbers, dtype=np.float64)
    moments = np.arange(len(values))
    return Learning(
        name="c",
        column=Column(values),
        label=np.zeros(len(values)),
        known_us=moments,
        matured_us=moments,
        without_time=False,
        seed=0,
        root=Path(),
    )


def test_the_most_frequent_category_has_the_first_code() -> None:
    values = np.array([5.0, 7.0, 7.0, np.nan])
    codes = fit_encoder(learning(values), {"kind": "codes"})
    assert codes.categories() == (2,)
    assert codes.encode(Column(values))[:3, 0].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(codes.encode(Column(np.array([6.0, np.nan])))).all()
    assert codes.known() == (7.0, 5.0)


@pytest.mark.parametrize("options", [{"kind": "codes"}, {"kind": "ordinal", "order": []}])
def test_a_vocabulary_is_bounded_and_survives_json(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 3 * CATEGORIES_MAX, 20_000).astype(np.float64)
    fitted = fit_encoder(learning(values), options)
    assert len(fitted.known() or ()) == CATEGORIES_MAX
    whole = fitted.encode(Column(values))
    data = json.loads(json.dumps({"kind": fitted.kind, **fitted.as_dict()}))
    again = load_encoder(data, {}, Path())
    assert np.array_equal(again.encode(Column(values)), whole, equal_nan=True)
    assert again.categories() == fitted.categories()
    alone = [fitted.encode(Column(values[i : i + 1]))[0, 0] for i in range(100)]
    assert np.array_equal(alone, whole[:100, 0], equal_nan=True)


def test_a_category_that_is_all_missing_does_no_harm() -> None:
    codes = fit_encoder(learning(np.full(5, np.nan)), {"kind": "codes"})
    assert codes.categories() == (1,)
    assert np.isnan(codes.encode(Column(np.array([3.0, np.nan])))).all()


def test_an_order_that_is_given_is_kept() -> None:
    sizes = [category_id(size) for size in ("L", "M", "L", "XL")]
    options = {"kind": "ordinal", "order": ["S", "M", "L"]}
    fitted = fit_encoder(learning(sizes), options)
    told = fitted.encode(Column(np.array([*sizes, np.nan])))[:, 0]
    assert told[:3].tolist() == [2.0, 1.0, 2.0]
    assert np.isnan(told[3:]).all()
    assert fitted.categories() == (0,)  # a number, not codes
    assert isinstance(fitted, Codes)


def test_without_an_order_the_most_frequent_comes_first() -> None:
    fitted = fit_encoder(learning([4.0, 2.0, 2.0]), {"kind": "ordinal", "order": []})
    assert fitted.encode(Column(np.array([2.0, 4.0])))[:, 0].tolist() == [0.0, 1.0]
