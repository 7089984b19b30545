"""Encoders of one column that learn a statistic of each category: its mean label, its frequency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from holdfast.core.seed import derive
from holdfast.training.encoders.base import (
    Blobs,
    Column,
    Floats,
    Ints,
    Learning,
    Options,
    places_of,
)
from holdfast.training.encoders.ordered import Sums, sums_before, sums_elsewhere, sums_of
from holdfast.training.encoders.single import Single, often_first

__all__ = ["FOLDS", "STATISTICS_MAX", "Frequency", "Target"]

STATISTICS_MAX = 100_000  # categories whose statistic is kept, the most frequent first
FOLDS = 5  # of rows without time; each is encoded from the others


@dataclass(frozen=True)
class Target(Single):
    """A category as its mean label, drawn towards the overall mean by `smooth` rows of it.

    A category never seen is the overall mean; a missing one stays missing. See
    `hf.target_encoded` for what a training row is encoded from.
    """

    kind: ClassVar[str] = "target"
    smooth: float
    mean: float
    ids: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Target:
        """Learn from the labels of the whole window."""
        ids, codes = _coded(learning.column)
        sums, smooth = sums_of(codes, learning.label, len(ids)), float(options["smooth"])
        mean = float(learning.label.mean()) if len(learning.label) else np.nan
        found = _means(sums, smooth)
        return cls(smooth, mean, tuple(ids.tolist()), tuple(found.tolist()))

    def encode(self, column: Column) -> Floats:
        """Return the means of the whole window."""
        return _looked_up(self._table, column, otherwise=self.mean)

    def encode_training(self, learning: Learning) -> Floats:
        """Return, for each row, the mean of labels that matured before it; NaN where none had."""
        _, codes = _coded(learning.column)
        found = _means(
            _seen(learning, codes, learning.label, counted_us=learning.matured_us), self.smooth
        )
        return np.where(np.isnan(learning.column.numbers), np.nan, found)[:, None]

    def known(self) -> tuple[float, ...]:
        """Return the categories with a mean of their own."""
        return self.ids

    def as_dict(self) -> dict[str, Any]:
        """Return the means."""
        return {
            "smooth": self.smooth,
            "mean": self.mean,
            "ids": list(self.ids),
            "values": list(self.values),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Target:
        """Return what `as_dict` wrote."""
        return cls(float(data["smooth"]), float(data["mean"]), *_pairs(data))

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        return np.array(self.ids, np.float64), np.array(self.values, np.float64)


@dataclass(frozen=True)
class Frequency(Single):
    """A category as its share of the rows known before.

    A category never seen is 0; a missing one stays missing.
    """

    kind: ClassVar[str] = "frequency"
    ids: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Frequency:
        """Count the categories of the whole window."""
        ids, codes = _coded(learning.column)
        sums = sums_of(codes, np.ones(len(codes)), len(ids))
        return cls(tuple(ids.tolist()), tuple((sums.count / max(len(codes), 1)).tolist()))

    def encode(self, column: Column) -> Floats:
        """Return the shares in the whole window."""
        return _looked_up(self._table, column, otherwise=0.0)

    def encode_training(self, learning: Learning) -> Floats:
        """Return, for each row, the share in the rows known before it; NaN where there are none."""
        _, codes = _coded(learning.column)
        sums = _seen(learning, codes, np.ones(len(codes)), counted_us=learning.known_us)
        with np.errstate(invalid="ignore"):
            share = sums.count / sums.all_count
        return np.where(np.isnan(learning.column.numbers), np.nan, share)[:, None]

    def known(self) -> tuple[float, ...]:
        """Return the categories that were counted."""
        return self.ids

    def as_dict(self) -> dict[str, Any]:
        """Return the shares."""
        return {"ids": list(self.ids), "values": list(self.values)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Frequency:
        """Return what `as_dict` wrote."""
        return cls(*_pairs(data))

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        return np.array(self.ids, np.float64), np.array(self.values, np.float64)


def _coded(column: Column) -> tuple[Floats, Ints]:
    """Return the categories kept, sorted, and each row's place among them, -1 for none."""
    kept = np.sort(np.array(often_first(column.numbers)[:STATISTICS_MAX], dtype=np.float64))
    return kept, places_of(kept, column.numbers)


def _seen(learning: Learning, codes: Ints, y: Floats, *, counted_us: Ints) -> Sums:
    """Return what each row may see of the others: what came before, or the other folds."""
    if not learning.without_time:
        return sums_before(codes, y, asked_us=learning.known_us, counted_us=counted_us)
    rng = np.random.default_rng(derive(learning.seed, "encode", learning.name))
    return sums_elsewhere(codes, y, folds=rng.permutation(len(codes)) % FOLDS)


def _means(sums: Sums, smooth: float) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        prior = sums.all_total / sums.all_count
        found = (sums.total + smooth * prior) / (sums.count + smooth)
    return np.where((sums.count == 0.0) | np.isnan(found), prior, found)


def _looked_up(table: tuple[Floats, Floats], column: Column, *, otherwise: float) -> Floats:
    ids, values = table
    at = places_of(ids, column.numbers)
    found = np.where(at >= 0, values[at], otherwise) if len(ids) else np.full(len(at), otherwise)
    return np.where(np.isnan(column.numbers), np.nan, found)[:, None]


def _pairs(data: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    ids, values = (tuple(float(x) for x in data[name]) for name in ("ids", "values"))
    if len(ids) != len(values) or list(ids) != sorted(ids):
        raise ValueError("categories and their values do not fit")
    return ids, values
