"""Splits: what each says when it cannot be made, the gap, ranges by hand, the words of a report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from holdfast.errors import ContractError
from holdfast.training.split import fold_at, label_gap_us, make_split

DAY_US = 86_400_000_000
ROWS = 400
TIME_US = np.arange(ROWS, dtype=np.int64) * DAY_US // 4
LABEL = (np.arange(ROWS) % 5 == 0).astype(np.float64)


def test_the_gap_is_what_labels_take_to_mature() -> None:
    split = make_split(TIME_US, TIME_US + 7 * DAY_US, LABEL, binary=True, folds=3)
    assert split.gap_us == 7 * DAY_US
    for fold in (*split.folds, split.final):
        assert TIME_US[fold.train].max() <= fold.test_from_us - 7 * DAY_US
    assert split.kind == "rolling origin"
    assert not split.random


def test_one_label_that_takes_forever_does_not_stretch_the_gap() -> None:
    delays = np.full(1_000, 5)
    delays[0] = 10_000
    assert label_gap_us(np.zeros(1_000, np.int64), delays) == 5


def test_a_row_whose_label_comes_late_is_not_learnt_from_though_it_is_old() -> None:
    matured = TIME_US + DAY_US
    matured[3] = TIME_US[-1]
    split = make_split(TIME_US, matured, LABEL, binary=True, folds=3)
    for fold in (*split.folds, split.final):
        assert 3 not in fold.train


def test_rows_of_one_moment_are_never_on_both_sides() -> None:
    time_us = TIME_US // (20 * DAY_US) * (20 * DAY_US)
    split = make_split(time_us, time_us, LABEL, binary=True, folds=2)
    for fold in (*split.folds, split.final):
        assert time_us[fold.train].max() < time_us[fold.test].min()


def test_a_split_is_told_in_json() -> None:
    told = make_split(TIME_US, TIME_US + DAY_US, LABEL, binary=True, folds=3).as_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["gap"] == "1d"
    assert told["final"]["test_from"].startswith("1970-")
    assert len(told["folds"]) == 2


def test_ranges_by_hand_are_kept_to_the_microsecond() -> None:
    first, middle, end = 10 * DAY_US, 60 * DAY_US, 90 * DAY_US
    split = make_split(
        TIME_US,
        TIME_US + DAY_US,
        LABEL,
        binary=True,
        folds=3,
        train=(first, middle),
        test=(middle + DAY_US, end),
    )
    assert split.kind == "given ranges"
    learnt, tested = TIME_US[split.final.train], TIME_US[split.final.test]
    assert (learnt.min(), learnt.max()) == (first, middle - DAY_US // 4)
    assert (tested.min(), tested.max()) == (middle + DAY_US, end - DAY_US // 4)
    for fold in split.folds:
        assert TIME_US[fold.test].max() < middle + DAY_US
        assert not np.intersect1d(fold.test, split.final.test).size


def test_a_range_with_nothing_before_it_is_chosen_in_by_chance_and_says_so() -> None:
    split = make_split(
        TIME_US,
        TIME_US,
        LABEL,
        binary=True,
        folds=3,
        train=(0, 50 * DAY_US),
        test=(50 * DAY_US, 100 * DAY_US),
    )
    assert any("random split" in note for note in split.notes)
    for fold in split.folds:
        assert TIME_US[np.concatenate([fold.train, fold.test])].max() < 50 * DAY_US


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ((DAY_US, 0), (2 * DAY_US, 3 * DAY_US)),
        ((0, 50 * DAY_US), (40 * DAY_US, 60 * DAY_US)),
        ((0, 50 * DAY_US), (60 * DAY_US, 60 * DAY_US)),
    ],
)
def test_ranges_that_overlap_or_end_before_they_begin_are_refused(
    train: tuple[int, int], test: tuple[int, int]
) -> None:
    with pytest.raises(ContractError) as caught:
        make_split(TIME_US, TIME_US, LABEL, binary=True, folds=2, train=train, test=test)
    assert caught.value.code == "HF440"
    assert caught.value.hint


def test_no_label_is_known() -> None:
    with pytest.raises(ContractError, match=f"none of {ROWS} rows") as caught:
        make_split(TIME_US, TIME_US, np.full(ROWS, np.nan), binary=True, folds=2)
    assert caught.value.code == "HF430"


@pytest.mark.parametrize(("label", "word"), [(0.0, "no"), (1.0, "yes")])
def test_all_of_one_class(label: float, word: str) -> None:
    with pytest.raises(ContractError, match=f"known labels are {word}") as caught:
        make_split(TIME_US, TIME_US, np.full(ROWS, label), binary=True, folds=2)
    assert caught.value.code == "HF431"
    values = make_split(TIME_US, TIME_US, np.full(ROWS, label), binary=False, folds=2)
    assert len(values.final.test)


def test_one_fold_of_one_class_says_which() -> None:
    label = (np.arange(ROWS) > 390).astype(np.float64)
    with pytest.raises(ContractError, match="one class only") as caught:
        make_split(TIME_US, TIME_US, label, binary=True, folds=3)
    assert caught.value.code == "HF432"
    assert "folds=" in (caught.value.hint or "")


def test_labels_that_mature_after_the_log_leave_too_few_rows() -> None:
    with pytest.raises(ContractError, match="gap of 95d") as caught:
        make_split(TIME_US, TIME_US + 95 * DAY_US, LABEL, binary=True, folds=3)
    assert caught.value.code == "HF433"


def test_a_fold_at_a_moment_knows_nothing_later() -> None:
    known = np.ones(ROWS, dtype=bool)
    test = (50 * DAY_US, 60 * DAY_US)
    whole = fold_at(TIME_US, TIME_US + DAY_US, known=known, test=test, gap_us=DAY_US)
    kept = TIME_US < 60 * DAY_US
    cut = fold_at(
        TIME_US[kept], TIME_US[kept] + DAY_US, known=known[kept], test=test, gap_us=DAY_US
    )
    assert np.array_equal(whole.train, cut.train)
    assert np.array_equal(whole.test, cut.test)


def test_classes_are_dealt_evenly_without_time() -> None:
    zeros = np.zeros(ROWS, np.int64)
    split = make_split(zeros, zeros, LABEL, binary=True, folds=4, without_time=True)
    shares = [LABEL[fold.test].mean() for fold in (*split.folds, split.final)]
    assert max(shares) - min(shares) < 0.02
    other = make_split(zeros, zeros, LABEL, binary=True, folds=4, without_time=True, seed=1)
    assert not np.array_equal(split.final.test, other.final.test)


def test_few_entities_are_told_apart_from_many() -> None:
    zeros = np.zeros(ROWS, np.int64)
    few = make_split(
        zeros, zeros, LABEL, binary=True, folds=3, without_time=True, cluster=zeros + 1
    )
    assert any("few entities" in note for note in few.notes)
    many = make_split(
        zeros,
        zeros,
        LABEL,
        binary=True,
        folds=3,
        without_time=True,
        cluster=np.arange(ROWS, dtype=np.int64) // 2,
    )
    assert not many.notes


def test_two_folds_are_enough_without_time() -> None:
    zeros = np.zeros(ROWS, np.int64)
    split = make_split(zeros, zeros, LABEL, binary=True, folds=2, without_time=True)
    assert len(split.folds) == 2
    assert len(split.final.test) > 100
