"""Lineage: the same rows have the same name, and any change gives another one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from holdfast.models.candidates import LightGBM, LogisticRegression
from holdfast.training.lineage import LIBRARIES, data_fingerprint, lineage
from tests.unit.training.made import payments


def test_the_same_rows_have_the_same_name() -> None:
    assert data_fingerprint(payments(300).rows) == data_fingerprint(payments(300).rows)
    assert data_fingerprint(payments(300, seed=1).rows) != data_fingerprint(payments(300).rows)


def test_one_changed_number_anywhere_gives_another_name() -> None:
    rows = payments(300).rows
    names = {data_fingerprint(rows)}
    for part in ("values", "context", "label", "time_us", "matured_us"):
        changed = np.array(getattr(rows, part))
        changed.flat[7] += 1
        names.add(data_fingerprint(replace(rows, **{part: changed})))
    names.add(data_fingerprint(replace(rows, names=("other", *rows.names[1:]))))
    assert len(names) == 7


def test_what_is_missing_has_one_name_whatever_its_bits() -> None:
    rows = payments(300).rows
    values = rows.values.copy()
    gaps = np.isnan(values)
    assert gaps.any()
    values[gaps] = -np.float64(np.nan)
    assert data_fingerprint(replace(rows, values=values)) == data_fingerprint(rows)


def test_it_names_everything_that_is_needed_to_train_again() -> None:
    made = payments(300)
    told = lineage(made.rows, made.plan, candidates=[LogisticRegression(), LightGBM()], seed=5)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["seed"] == 5
    assert told["rows"] == 300
    assert [each["kind"] for each in told["candidates"]] == ["logistic_regression", "lightgbm"]
    assert told["candidates"][1]["parameters"]["n_estimators"] == 200
    assert set(told["versions"]) == set(LIBRARIES)
    assert all(told["versions"].values())
    other = lineage(
        made.rows,
        replace(made.plan, use_case="another"),
        candidates=[LogisticRegression()],
        seed=5,
    )
    assert other["definition"] != told["definition"]
    assert other["features"] == told["features"]
