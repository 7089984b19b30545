"""Encoders of one column that learn no label: numbers, categories as codes, places in an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from holdfast.core.fingerprint import category_id
from holdfast.training.encoders.base import Blobs, Column, Floats, Learning, Options, places_of

__all__ = ["CATEGORIES_MAX", "Codes", "Number", "Ordinal", "Single", "often_first"]

CATEGORIES_MAX = 1_000  # codes of one feature; rarer categories count as never seen


class Single:
    """An encoder of one column, named as its feature, with nothing stored beside."""

    wide: ClassVar[bool] = False
    learns: ClassVar[bool] = True

    def names(self, feature: str) -> tuple[str, ...]:
        """Return the feature's own name."""
        return (feature,)

    def categories(self) -> tuple[int, ...]:
        """Return that the column is a number."""
        return (0,)

    def encode(self, column: Column) -> Any:
        """Return the column, n x 1."""
        raise NotImplementedError

    def encode_training(self, learning: Learning) -> Any:
        """Return the column as it is served."""
        return self.encode(learning.column)

    def known(self) -> tuple[float, ...] | None:
        """Return None: it tells no categories apart."""
        return None

    def blobs(self) -> dict[str, bytes]:
        """Return nothing."""
        return {}


@dataclass(frozen=True)
class Number(Single):
    """A number as it is."""

    kind: ClassVar[str] = "number"
    learns: ClassVar[bool] = False

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Number:
        """Learn nothing."""
        return cls()

    def encode(self, column: Column) -> Floats:
        """Return the numbers."""
        return column.numbers[:, None]

    def as_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Number:
        """Return it."""
        return cls()


@dataclass(frozen=True)
class Codes(Single):
    """A category as one: `vocabulary` holds its ids, the most frequent first; a place is a code."""

    kind: ClassVar[str] = "codes"
    vocabulary: tuple[float, ...]

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Codes:
        """Learn which categories there are."""
        return cls(often_first(learning.column.numbers)[:CATEGORIES_MAX])

    def categories(self) -> tuple[int, ...]:
        """Return how many codes there are."""
        # A category without any known value is still a category, of one code.
        return (max(1, len(self.vocabulary)),)

    def encode(self, column: Column) -> Floats:
        """Return the codes; a category never seen is missing."""
        ids, codes = self._table
        at = places_of(ids, column.numbers)
        return np.where(at >= 0, codes[at], np.nan)[:, None] if len(ids) else _missing(column)

    def known(self) -> tuple[float, ...]:
        """Return the vocabulary."""
        return self.vocabulary

    def as_dict(self) -> dict[str, Any]:
        """Return the vocabulary."""
        return {"vocabulary": list(self.vocabulary)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Codes:
        """Return what `as_dict` wrote."""
        return cls(tuple(float(x) for x in data["vocabulary"]))

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        ids = np.array(self.vocabulary, dtype=np.float64)
        order = np.argsort(ids)
        return ids[order], order.astype(np.float64)


@dataclass(frozen=True)
class Ordinal(Codes):
    """A category as a number: its place in an order, given or the most frequent first."""

    kind: ClassVar[str] = "ordinal"

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Ordinal:
        """Take the order that is given; learn one only where there is none."""
        if options["order"]:
            return cls(tuple(category_id(text) for text in options["order"]))
        return cls(often_first(learning.column.numbers)[:CATEGORIES_MAX])

    def categories(self) -> tuple[int, ...]:
        """Return that the place is a number."""
        return (0,)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Ordinal:
        """Return what `as_dict` wrote."""
        return cls(tuple(float(x) for x in data["vocabulary"]))


def often_first(numbers: Floats) -> tuple[float, ...]:
    """Return the different numbers, the most frequent first, of equals the smaller one.

    >>> often_first(np.array([7.0, 9.0, 9.0, np.nan]))
    (9.0, 7.0)
    """
    ids, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    return tuple(float(x) for x in ids[np.argsort(-counts, kind="stable")])


def _missing(column: Column) -> Floats:
    return np.full((len(column), 1), np.nan)
