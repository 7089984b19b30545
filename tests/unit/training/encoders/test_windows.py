"""Encoders learn on the training rows of each fold, and see no row outside of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Candidate, Matrix, Model
from holdfast.models.candidates import LogisticRegression
from holdfast.models.open import open_model
from holdfast.training.encoders.encoder import Encoder, Learner
from holdfast.training.fit import Trial, fit_trials
from holdfast.training.split import Split, make_split
from tests.unit.training.made import payments

ROWS = 1_200
ENCODINGS = {
    "channel": {},
    "shop": {"kind": "target", "smooth": 5.0},
    "share": {"kind": "frequency"},
    "place": {"kind": "ordinal", "order": []},
    "words": {"kind": "tfidf", "words": 500, "ngrams": 1, "components": 0},
    "themes": {"kind": "tfidf", "words": 500, "ngrams": 1, "components": 4},
    "hashes": {"kind": "hashed", "buckets": 8},
}


def rows_of(seed: int, *, without_time: bool = False) -> TrainingSet:
    made = payments(ROWS, without_time=without_time).rows
    rng = np.random.default_rng(seed)
    shops = rng.integers(0, 90, ROWS).astype(np.float64)
    extra = np.column_stack([shops, shops, shops, *[np.full(ROWS, np.nan)] * 3])
    text = pl.Series([" ".join(f"w{k}" for k in rng.integers(0, 2_000, 6)) for _ in range(ROWS)])
    names = ("shop", "share", "place", "words", "themes", "hashes")
    kinds = ("category", "category", "category", "text", "text", "text")
    return replace(
        made,
        names=(*made.names, *names),
        kinds=(*made.kinds, *kinds),
        words=(*made.words, *names),
        values=np.hstack([made.values, extra]),
        rows=made.rows.with_columns(text.alias("text")),
        text_attrs=dict.fromkeys(("words", "themes", "hashes"), "text"),
        encodings=ENCODINGS,
    )


def mixed(rows: TrainingSet, kept: Any, other: TrainingSet) -> TrainingSet:
    """The rows in `kept` as they are, all others with other features, texts and labels."""
    inside = np.zeros(len(rows), dtype=bool)
    inside[kept] = True
    text = np.where(inside, rows.texts["words"], other.texts["words"])
    label = np.where(inside | np.isnan(rows.label), rows.label, 1.0 - rows.label)
    values = np.where(inside[:, None], rows.values, other.values + 1e4)
    table = rows.rows.with_columns(pl.Series("text", text, dtype=pl.String))
    return replace(rows, values=values, label=label, rows=table)


def split_of(rows: TrainingSet) -> Split:
    return make_split(
        rows.time_us, rows.matured_us, rows.label, binary=True, folds=3,
        without_time=rows.without_time,
    )  # fmt: skip


class Recorder:
    """Opens the real model, and keeps the matrix it learnt from."""

    def __init__(self) -> None:
        self.seen: list[Matrix] = []

    def __call__(self, candidate: Candidate) -> Model:
        return self

    def fit(self, matrix: Matrix, y: Any, **rest: Any) -> Any:
        self.seen.append(matrix)
        return open_model(LogisticRegression(max_iter=5)).fit(matrix, y, **rest)


def learnt(rows: TrainingSet, split: Split) -> tuple[list[Matrix], Encoder]:
    recorder, trial = Recorder(), Trial("linear", "candidate", LogisticRegression())
    fit_trials([trial], rows, split, task="binary", open_model=recorder, seed=1)
    assert trial.error is None and trial.encoder is not None
    return recorder.seen, trial.encoder


def same(left: Matrix, right: Matrix) -> bool:
    return (
        left.names == right.names
        and left.categories == right.categories
        and left.values.tobytes() == right.values.tobytes()
        and (left.wide != right.wide).nnz == 0
    )


@pytest.mark.parametrize("without_time", [False, True])
@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_fold_sees_rows_outside_its_training(fold: int, without_time: bool) -> None:
    rows, other = rows_of(0, without_time=without_time), rows_of(1, without_time=without_time)
    split = split_of(rows)
    matrices, encoder = learnt(rows, split)
    inside = [*split.folds, split.final][fold].train
    changed, after = learnt(mixed(rows, inside, other), split)
    assert same(matrices[fold], changed[fold])
    assert len({matrix.names for matrix in matrices}) > 1  # folds learn words of their own
    if fold == 2:
        assert encoder.as_dict() == after.as_dict()
        assert encoder.blobs() == after.blobs()


def test_what_is_served_is_what_the_learner_serves() -> None:
    rows = rows_of(0)
    learner = Learner(rows, seed=1)
    index, asked = np.arange(0, 800), np.arange(800, ROWS)
    encoder, _ = learner.learn(index)
    texts = {name: text[800:].to_list() for name, text in rows.texts.items()}
    whole = encoder.encode(rows.values[800:], texts)
    assert same(learner.served(encoder, asked), whole)
    again = Encoder.from_dict(encoder.as_dict(), encoder.blobs())
    for row in range(0, 400, 37):
        one = {name: held[row : row + 1] for name, held in texts.items()}
        assert same(again.encode(rows.values[800 + row : 801 + row], one), whole.take([row]))


def test_a_leak_would_be_seen() -> None:
    """The means that are served differ from those a training row is given."""
    rows = rows_of(0)
    learner, index = Learner(rows, seed=1), np.arange(ROWS // 2)
    encoder, matrix = learner.learn(index)
    at = matrix.names.index("shop")
    served = learner.served(encoder, index)
    assert not np.array_equal(matrix.values[:, at], served.values[:, at], equal_nan=True)
