"""Mean labels and frequencies of categories: no training row sees itself or its future."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import TargetEncoder

from holdfast.training.encoders import statistics
from holdfast.training.encoders.base import Column, Learning
from holdfast.training.encoders.registry import fit_encoder, load_encoder

TARGET = {"kind": "target", "smooth": 3.0}
FREQUENCY = {"kind": "frequency"}
Floats = np.ndarray[Any, np.dtype[np.float64]]


def learning(numbers: Any, label: Any, known: Any, matured: Any, **rest: Any) -> Learning:
    return Learning(
        name="c",
        column=Column(np.asarray(numbers, dtype=np.float64)),
        label=np.asarray(label, dtype=np.float64),
        known_us=np.asarray(known, dtype=np.int64),
        matured_us=np.asarray(matured, dtype=np.int64),
        without_time=bool(rest.get("without_time", False)),
        seed=int(rest.get("seed", 0)),
        root=Path(),
    )


def training(rows: Learning, options: dict[str, Any] = TARGET) -> Floats:
    found: Floats = fit_encoder(rows, options).encode_training(rows)[:, 0]
    return found


def bits(values: Floats) -> list[int]:
    return [int(x) for x in np.where(np.isnan(values), np.nan, values).view(np.int64)]


_label = st.sampled_from([0.0, 1.0, 0.1, -7.3, 1e9, 1 / 3])


@st.composite
def windows(draw: st.DrawFn) -> Learning:
    """Rows with ties, missing categories, and labels that mature early, at once or late."""
    rows = draw(st.integers(1, 25))
    numbers = draw(st.lists(st.sampled_from([1.0, 2.0, 9.0, np.nan]), min_size=rows, max_size=rows))
    label = draw(st.lists(_label, min_size=rows, max_size=rows))
    known = np.array(draw(st.lists(st.integers(0, 12), min_size=rows, max_size=rows)))
    delay = np.array(draw(st.lists(st.sampled_from([-2, 0, 1, 5]), min_size=rows, max_size=rows)))
    return learning(numbers, label, known, known + delay)


@settings(max_examples=200)
@given(window=windows(), row=st.integers(0, 24), value=_label)
def test_a_label_changes_no_row_known_before_it_matured(
    window: Learning, row: int, value: float
) -> None:
    assume(row < len(window.column))
    label = window.label.copy()
    label[row] = value
    before, after = training(window), training(replace(window, label=label))
    untouched = window.known_us <= window.matured_us[row]
    untouched[row] = True  # nor itself
    assert bits(before[untouched]) == bits(after[untouched])


@settings(max_examples=200)
@given(window=windows())
def test_an_encoding_is_what_counting_by_hand_gives(window: Learning) -> None:
    numbers, found = window.column.numbers, training(window)
    share = training(window, FREQUENCY)
    for row in range(len(numbers)):
        # A label known before its own row would be seen by it: the row then asks that early.
        asks = min(window.known_us[row], window.matured_us[row])
        seen = window.matured_us < asks
        mine = seen & (numbers == numbers[row])
        if np.isnan(numbers[row]) or not seen.any():
            assert np.isnan(found[row])
        else:
            mean = window.label[seen].mean()
            wanted = (window.label[mine].sum() + 3.0 * mean) / (mine.sum() + 3.0)
            assert found[row] == pytest.approx(wanted, rel=1e-9, abs=1e-6)
        earlier = window.known_us < window.known_us[row]
        if np.isnan(numbers[row]) or not earlier.any():
            assert np.isnan(share[row])
        else:
            assert share[row] == ((numbers == numbers[row]) & earlier).sum() / earlier.sum()


@settings(max_examples=100)
@given(window=windows(), cut=st.integers(0, 12))
def test_cutting_off_the_future_changes_no_training_row(window: Learning, cut: int) -> None:
    kept = (window.known_us <= cut) & (window.matured_us <= cut)
    assume(kept.any())
    part = learning(
        window.column.numbers[kept],
        window.label[kept],
        window.known_us[kept],
        window.matured_us[kept],
    )
    # Sums of ties run in the order of the rows, which a cut keeps.
    assert bits(training(window)[kept]) == bits(training(part))
    assert bits(training(part, FREQUENCY)) == bits(
        training(replace(part, label=part.label + 1.0), FREQUENCY)
    )


@settings(max_examples=100)
@given(window=windows(), row=st.integers(0, 24), value=_label, seed=st.integers(0, 99))
def test_without_time_a_row_never_sees_itself(
    window: Learning, row: int, value: float, seed: int
) -> None:
    assume(row < len(window.column))
    rows = replace(window, without_time=True, seed=seed)
    label = rows.label.copy()
    label[row] = value
    before, after = training(rows), training(replace(rows, label=label))
    assert bits(before[row : row + 1]) == bits(after[row : row + 1])
    assert bits(before) == bits(training(rows))  # the same seed deals the same folds


def test_what_is_served_is_the_mean_of_the_whole_window() -> None:
    """Beside scikit-learn's encoder with the same smoothing."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 30, 2_000).astype(np.float64)
    label = (rng.random(2_000) < numbers / 40.0).astype(np.float64)
    rows = learning(numbers, label, np.arange(2_000), np.arange(2_000) + 5)
    fitted = fit_encoder(rows, TARGET)
    theirs = TargetEncoder(smooth=3.0, target_type="continuous").fit(numbers[:, None], label)
    asked = np.array([*range(30), 31.0])
    assert fitted.encode(Column(asked))[:, 0] == pytest.approx(
        theirs.transform(asked[:, None])[:, 0], abs=1e-12
    )
    assert np.isnan(fitted.encode(Column(np.array([np.nan])))).all()


@pytest.mark.parametrize("without_time", [False, True])
def test_noise_gains_nothing(without_time: bool) -> None:
    """A category that occurs twice on average: encoded from itself it would tell every label."""
    rng = np.random.default_rng(5)
    rows = 20_000
    numbers = rng.integers(0, rows // 2, rows).astype(np.float64)
    label = (rng.random(rows) < 0.3).astype(np.float64)
    moments = np.arange(rows)
    window = learning(numbers, label, moments, moments + 50, without_time=without_time)
    fitted = fit_encoder(window, TARGET)
    naive = fitted.encode(window.column)[:, 0]
    assert roc_auc_score(label, naive) > 0.8  # the leak there would be
    fair = training(window)
    known = ~np.isnan(fair)
    # The standard error of an AUC without signal is about 1 / sqrt(12 n p (1 - p)).
    bound = 4.0 / np.sqrt(12 * rows * 0.3 * 0.7)
    assert abs(roc_auc_score(label[known], fair[known]) - 0.5) < bound


def test_a_signal_is_found() -> None:
    rng = np.random.default_rng(6)
    numbers = rng.integers(0, 200, 10_000).astype(np.float64)
    label = (rng.random(10_000) < (numbers % 10) / 10.0).astype(np.float64)
    window = learning(numbers, label, np.arange(10_000), np.arange(10_000) + 50)
    fair = training(window)
    known = ~np.isnan(fair)
    assert roc_auc_score(label[known], fair[known]) > 0.75


@pytest.mark.parametrize("options", [TARGET, FREQUENCY])
def test_statistics_are_bounded_and_survive_json(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "STATISTICS_MAX", 40)
    rng = np.random.default_rng(1)
    numbers = np.floor(rng.random(3_000) ** 2 * 100)
    window = learning(numbers, rng.random(3_000), np.arange(3_000), np.arange(3_000))
    fitted = fit_encoder(window, options)
    assert len(fitted.known() or ()) == 40
    whole = fitted.encode(Column(numbers))
    again = load_encoder(
        json.loads(json.dumps({"kind": fitted.kind, **fitted.as_dict()})), {}, Path()
    )
    assert np.array_equal(again.encode(Column(numbers)), whole)
    alone = np.concatenate([fitted.encode(Column(numbers[i : i + 1])) for i in range(200)])
    assert np.array_equal(alone, whole[:200])
    assert not np.isnan(whole).any()  # a rare category is told like one never seen


def test_broken_data_is_refused() -> None:
    for data in ({"ids": [1.0], "values": []}, {"ids": [2.0, 1.0], "values": [0.0, 0.0]}):
        with pytest.raises(ValueError, match="fit"):
            load_encoder({"kind": "frequency", **data}, {}, Path())
