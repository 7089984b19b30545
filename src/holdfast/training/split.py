"""Splits in time: no training row whose label was not known when its test began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import iso
from holdfast.core.duration import duration_words
from holdfast.core.seed import derive
from holdfast.errors import ContractError

__all__ = ["FIRST_US", "LAST_US", "Fold", "Split", "fold_at", "label_gap_us", "make_split"]

GAP_SHARE = 0.99  # share of the labels that are known after the gap
TRAIN_ROWS_MIN = 50  # rows
TEST_ROWS_MIN = 20  # rows
DEALT_MIN = 3  # folds without time: one to test on, two to choose with
CLUSTERS_PER_FOLD = 5  # entities a fold, below which rows are dealt one by one
FIRST_US = -(1 << 62)  # us; before all time
LAST_US = 1 << 62  # us; after all time

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Range = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Fold:
    """Row positions to learn from and to test on, and the moments between which they lie.

    Time ranges are half open. In a random split they say nothing and cover all time.
    """

    train: Ints
    test: Ints
    train_from_us: int
    train_end_us: int
    test_from_us: int
    test_to_us: int

    def as_dict(self) -> dict[str, Any]:
        """Return rows and moments as plain JSON data."""
        moments = {
            "train_from": self.train_from_us,
            "train_to": self.train_end_us,
            "test_from": self.test_from_us,
            "test_to": self.test_to_us,
        }
        told = {name: iso(us) if FIRST_US < us < LAST_US else None for name, us in moments.items()}
        return {"train_rows": len(self.train), "test_rows": len(self.test), **told}


@dataclass(frozen=True, eq=False)
class Split:
    """Folds for choosing, and the last one, on which nothing is chosen.

    `kind`: "rolling origin", "given ranges" or "random split". `matured`: positions of all rows
    that may be learnt from.
    """

    kind: str
    folds: tuple[Fold, ...]
    final: Fold
    gap_us: int
    matured: Ints
    notes: tuple[str, ...] = ()

    @property
    def random(self) -> bool:
        """Whether rows were dealt by chance, because the table has no time."""
        return self.kind == "random split"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "kind": self.kind,
            "gap": duration_words(self.gap_us),
            "gap_us": self.gap_us,
            "matured_rows": len(self.matured),
            "folds": [fold.as_dict() for fold in self.folds],
            "final": self.final.as_dict(),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class _Rows:
    """What a split looks at. `known`: the label is there."""

    time_us: Ints
    matured_us: Ints
    label: Floats
    known: npt.NDArray[np.bool_]
    binary: bool


def make_split(
    time_us: Ints,
    matured_us: Ints,
    label: Floats,
    *,
    binary: bool,
    folds: int,
    history_us: int = 0,
    cluster: Ints | None = None,
    without_time: bool = False,
    seed: int = 0,
    train: Range | None = None,
    test: Range | None = None,
) -> Split:
    """Return the folds of a training set; `folds` counts the last one, too.

    With time: rolling origin. Tests lie one after another in the second half of the rows whose
    labels had time to mature; each learns from rows at least a gap before its test begins, whose
    label was known then, at most `history_us` back (0: all). Without time: rows are dealt by
    chance with the share of each class kept; rows of one `cluster` stay together, unless there
    are too few clusters for that.

    `train`, `test`: half-open ranges in us for the last fold; the others are then the same ranges
    moved back by the test's length, as often as the rows allow.

    Raises:
        ContractError: HF430 no label is known, HF431 all are of one class, HF432 those of one
            fold are, HF433 there are too few rows, HF440 the ranges do not fit.
    """
    rows = _Rows(time_us, matured_us, label, ~np.isnan(label), binary)
    _check_labels(rows)
    if without_time:
        return _dealt(rows, folds, cluster, seed)
    gap_us = label_gap_us(time_us[rows.known], matured_us[rows.known])
    if train is not None or test is not None:
        return _given(rows, folds, gap_us, train=train, test=test, seed=seed)
    return _rolling(rows, folds, gap_us, history_us=history_us)


def label_gap_us(time_us: Ints, matured_us: Ints) -> int:
    """Return how long labels take to mature: 99 of 100 are known after it, in us.

    >>> label_gap_us(np.array([0, 10]), np.array([7, 17]))
    7
    """
    delays = np.maximum(matured_us - time_us, 0)
    return int(np.quantile(delays, GAP_SHARE, method="higher"))


def fold_at(
    time_us: Ints,
    matured_us: Ints,
    *,
    known: npt.NDArray[np.bool_],
    test: Range,
    gap_us: int,
    train: Range = (FIRST_US, LAST_US),
) -> Fold:
    """Return the fold whose test is a half-open range of time.

    A row is learnt from when it lies in `train`, ends at least `gap_us` before the test begins,
    and its label was known by then. So rows later than the test never change a fold, and labels
    that came early do not outnumber those that take their time.
    """
    start, stop = test
    end = min(train[1], start - gap_us if gap_us else start)
    kept = known & (time_us >= train[0]) & (time_us < start) & (matured_us <= start)
    kept &= (time_us <= end) if gap_us and end < train[1] else (time_us < end)
    return Fold(
        train=np.flatnonzero(kept),
        test=np.flatnonzero(known & (time_us >= start) & (time_us < stop)),
        train_from_us=train[0],
        train_end_us=end,
        test_from_us=start,
        test_to_us=stop,
    )


def _rolling(rows: _Rows, folds: int, gap_us: int, *, history_us: int) -> Split:
    times, matured = rows.time_us[rows.known], rows.matured_us[rows.known]
    last = max(int(matured.max()), int(times.max())) - gap_us
    usable = np.sort(times[(times >= times.min() + gap_us) & (times <= last)])
    if len(usable) < TEST_ROWS_MIN * folds + TRAIN_ROWS_MIN:
        raise _too_few(len(usable), folds, gap_us)
    cuts = (len(usable) * np.arange(folds, 2 * folds)) // (2 * folds)
    starts = [int(usable[cut]) for cut in cuts]
    stops = [*starts[1:], int(usable[-1]) + 1]
    made: list[Fold] = []
    for start, stop in zip(starts, stops, strict=True):
        first = start - history_us if history_us else int(times.min())
        fold = fold_at(
            rows.time_us,
            rows.matured_us,
            known=rows.known,
            test=(start, stop),
            gap_us=gap_us,
            train=(first, LAST_US),
        )
        _check_fold(rows, fold, len(made) + 1, folds)
        made.append(fold)
    recent = last - history_us if history_us else FIRST_US
    kept = np.flatnonzero(rows.known & (rows.time_us <= last) & (rows.time_us >= recent))
    return Split("rolling origin", tuple(made[:-1]), made[-1], gap_us, kept)


def _given(
    rows: _Rows, folds: int, gap_us: int, *, train: Range | None, test: Range | None, seed: int
) -> Split:
    learn = train or (FIRST_US, LAST_US)
    seen = test or (learn[1] + gap_us, LAST_US)
    seen = (seen[0], min(seen[1], int(rows.time_us.max()) + 1))
    if learn[0] >= learn[1] or seen[0] >= seen[1] or (train and learn[1] > seen[0]):
        raise ContractError(
            "the ranges to learn from and to test on do not fit",
            code="HF440",
            hint="each ends after it begins, and the test begins after the training ends",
        )
    width = seen[1] - seen[0]
    made = [
        fold_at(
            rows.time_us,
            rows.matured_us,
            known=rows.known,
            test=(seen[0] - back * width, seen[1] - back * width),
            gap_us=gap_us,
            train=_moved(learn, back * width),
        )
        for back in range(folds)
    ]
    final, earlier = made[0], made[:0:-1]
    _check_fold(rows, final, folds, folds)
    begins = int(rows.time_us.min())
    whole = [fold for fold in earlier if train is None or fold.train_from_us >= begins]
    fit = [fold for fold in whole if not _fault(rows, fold)]
    notes: tuple[str, ...] = ()
    if not fit:
        fit = _deal(rows, final.train, max(2, folds - 1), None, seed=seed)
        notes = ("no rows before the training range: candidates are chosen on a random split",)
    return Split("given ranges", tuple(fit), final, gap_us, final.train, notes)


def _moved(span: Range, back_us: int) -> Range:
    first = span[0] - back_us if span[0] > FIRST_US else FIRST_US
    return first, (span[1] - back_us if span[1] < LAST_US else LAST_US)


def _dealt(rows: _Rows, folds: int, cluster: Ints | None, seed: int) -> Split:
    folds = max(folds, DEALT_MIN)
    known = np.flatnonzero(rows.known)
    if len(known) < TEST_ROWS_MIN * folds + TRAIN_ROWS_MIN:
        raise _too_few(len(known), folds, 0)
    notes: tuple[str, ...] = ()
    if cluster is not None and len(np.unique(cluster[known])) < CLUSTERS_PER_FOLD * folds:
        cluster, notes = None, ("rows of one entity lie on both sides: there are few entities",)
    parts = _parts(rows, known, folds, cluster, seed=seed)
    made = []
    for part in range(folds):
        learnt = (parts != part) & ((parts != folds - 1) | (part == folds - 1))
        made.append(_timeless(known[learnt], known[parts == part]))
        _check_fold(rows, made[-1], part + 1, folds)
    return Split("random split", tuple(made[:-1]), made[-1], 0, known, notes)


def _deal(rows: _Rows, index: Ints, folds: int, cluster: Ints | None, *, seed: int) -> list[Fold]:
    parts = _parts(rows, index, folds, cluster, seed=seed)
    return [_timeless(index[parts != part], index[parts == part]) for part in range(folds)]


def _timeless(train: Ints, test: Ints) -> Fold:
    return Fold(train, test, FIRST_US, LAST_US, FIRST_US, LAST_US)


def _parts(
    rows: _Rows, index: Ints, folds: int, cluster: Ints | None, *, seed: int
) -> npt.NDArray[np.int64]:
    """Deal rows to parts: class by class, or whole clusters where rows share one."""
    rng = np.random.default_rng(derive(seed, "split"))
    groups = index if cluster is None else cluster[index]
    distinct, group = np.unique(groups, return_inverse=True)
    if len(distinct) < len(index):
        dealt = rng.permutation(len(distinct)) % folds
        return np.asarray(dealt[group], dtype=np.int64)
    order = rng.permutation(len(index))
    if rows.binary:
        order = order[np.argsort(rows.label[index][order], kind="stable")]
    parts = np.empty(len(index), dtype=np.int64)
    parts[order] = np.arange(len(index)) % folds
    return parts


def _check_labels(rows: _Rows) -> None:
    if not rows.known.any():
        raise ContractError(
            f"none of {len(rows.label)} rows has a label that is known",
            code="HF430",
            hint="history must be longer than the label takes to mature; look at `holdfast audit`",
        )
    labels = rows.label[rows.known]
    if rows.binary and labels.min() == labels.max():
        which = "yes" if labels[0] else "no"
        raise ContractError(
            f"all {len(labels)} known labels are {which}: there is nothing to tell apart",
            code="HF431",
            hint="look at how the label is defined, or train on a longer history",
        )


def _check_fold(rows: _Rows, fold: Fold, number: int, folds: int) -> None:
    fault = _fault(rows, fold)
    if not fault:
        return
    begins = f", which begins {iso(fold.test_from_us)}" if fold.test_from_us > FIRST_US else ""
    one_class = "class" in fault
    raise ContractError(
        f"test {number} of {folds}{begins}, has {fault}",
        code="HF432" if one_class else "HF433",
        hint="lower `folds=`, or give a longer history"
        + ("" if one_class else "; rows count once their label has matured"),
    )


def _fault(rows: _Rows, fold: Fold) -> str:
    if len(fold.train) < TRAIN_ROWS_MIN:
        return f"{len(fold.train)} rows to learn from; {TRAIN_ROWS_MIN} are needed"
    if len(fold.test) < TEST_ROWS_MIN:
        return f"{len(fold.test)} rows to test on; {TEST_ROWS_MIN} are needed"
    labels = rows.label[fold.train]
    if rows.binary and labels.min() == labels.max():
        return f"labels of one class only in its {len(labels)} training rows"
    return ""


def _too_few(rows: int, folds: int, gap_us: int) -> ContractError:
    waits = f" after a gap of {duration_words(gap_us)} for labels to mature" if gap_us else ""
    return ContractError(
        f"{rows} rows are left{waits}; {folds} tests need {TEST_ROWS_MIN * folds + TRAIN_ROWS_MIN}",
        code="HF433",
        hint="give a longer history, or lower `folds=`",
    )
