"""Laws of splits: what is learnt from was known before the test began, whatever the table."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ContractError
from holdfast.training.split import Fold, Split, make_split

DAY_US = 86_400_000_000

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    time_us: Ints
    matured_us: Ints
    label: Floats
    cluster: Ints

    def split(self, **asked: object) -> Split | None:
        """Return the split, or None where the rows allow none and that is said."""
        options: dict[str, object] = {"binary": True, "folds": 3, **asked}
        try:
            return make_split(
                self.time_us,
                self.matured_us,
                self.label,
                cluster=self.cluster,
                **options,  # type: ignore[arg-type]
            )
        except ContractError as error:
            assert error.code in {"HF430", "HF431", "HF432", "HF433", "HF440"}
            assert error.hint
            return None


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Draw rows whose labels mature after a delay that differs from row to row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(100, 900))
    span = draw(st.integers(1, 200)) * DAY_US
    delay = draw(st.integers(0, 30)) * DAY_US
    ragged = draw(st.booleans())
    time_us = np.sort(rng.integers(0, span, rows))
    waits = rng.integers(0, delay + 1, rows) if ragged else np.full(rows, delay)
    label = (rng.random(rows) < draw(st.sampled_from([0.02, 0.3, 0.5]))).astype(np.float64)
    unknown = rng.random(rows) < draw(st.sampled_from([0.0, 0.1]))
    label[unknown] = np.nan
    cluster = rng.integers(0, draw(st.sampled_from([rows * 10, 30])), rows)
    return Rows(time_us, time_us + waits, label, cluster)


def folds_of(split: Split) -> list[Fold]:
    return [*split.folds, split.final]


@given(rows=tables(), folds=st.integers(2, 5))
def test_a_row_is_learnt_from_only_if_its_label_was_known_when_the_test_began(
    rows: Rows, folds: int
) -> None:
    split = rows.split(folds=folds)
    if split is None:
        return
    for fold in folds_of(split):
        begins = rows.time_us[fold.test].min()
        assert fold.test_from_us <= begins
        assert rows.matured_us[fold.train].max() <= fold.test_from_us
        assert rows.time_us[fold.train].max() < fold.test_from_us
        assert not np.isnan(rows.label[fold.train]).any()
        assert not np.isnan(rows.label[fold.test]).any()
        assert not np.intersect1d(fold.train, fold.test).size


@given(rows=tables(), folds=st.integers(2, 5))
def test_tests_follow_one_another_and_share_no_row(rows: Rows, folds: int) -> None:
    split = rows.split(folds=folds)
    if split is None:
        return
    made = folds_of(split)
    assert len(made) == folds
    for one, next_one in itertools.pairwise(made):
        assert one.test_to_us == next_one.test_from_us
        assert rows.time_us[one.test].max() < rows.time_us[next_one.test].min()


@given(rows=tables(), cut=st.floats(0.7, 1.0))
def test_rows_after_a_test_change_nothing_in_its_fold(rows: Rows, cut: float) -> None:
    """Given ranges: what lies after the test is not looked at."""
    last = int(rows.time_us[-1])
    begins, ends = last // 2, int(last * cut * 0.999)
    whole = rows.split(folds=1, test=(begins, ends))
    kept = rows.time_us < ends
    part = Rows(rows.time_us[kept], rows.matured_us[kept], rows.label[kept], rows.cluster[kept])
    early = part.split(folds=1, test=(begins, ends), train=(-(1 << 61), begins))
    late = rows.split(folds=1, test=(begins, ends), train=(-(1 << 61), begins))
    if whole is None or early is None or late is None:
        return
    assert np.array_equal(early.final.test, late.final.test)
    assert set(early.final.train) | set(late.final.train) <= set(range(int(kept.sum())))


@given(rows=tables(), days=st.integers(1, 100))
def test_history_limits_how_far_back_rows_are_learnt_from(rows: Rows, days: int) -> None:
    split = rows.split(history_us=days * DAY_US)
    if split is None:
        return
    for fold in folds_of(split):
        assert rows.time_us[fold.train].min() >= fold.test_from_us - days * DAY_US


@given(rows=tables(), folds=st.integers(2, 6), seed=st.integers(0, 5))
def test_without_time_every_row_is_tested_once_and_entities_stay_together(
    rows: Rows, folds: int, seed: int
) -> None:
    split = rows.split(without_time=True, folds=folds, seed=seed)
    if split is None:
        return
    made = folds_of(split)
    assert split.random
    assert split.as_dict()["kind"] == "random split"
    tested = np.concatenate([fold.test for fold in made])
    assert np.array_equal(np.sort(tested), np.flatnonzero(~np.isnan(rows.label)))
    for fold in made:
        shared = np.intersect1d(rows.cluster[fold.train], rows.cluster[fold.test])
        assert not shared.size
    for fold in split.folds:  # nothing is chosen on the last test
        assert not np.intersect1d(fold.train, split.final.test).size


@given(rows=tables(), without_time=st.booleans())
def test_the_same_seed_gives_the_same_split(rows: Rows, without_time: bool) -> None:
    one = rows.split(without_time=without_time, seed=3)
    other = rows.split(without_time=without_time, seed=3)
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    for a, b in zip(folds_of(one), folds_of(other), strict=True):
        assert np.array_equal(a.train, b.train)
        assert np.array_equal(a.test, b.test)
