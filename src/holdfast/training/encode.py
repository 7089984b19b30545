"""From feature values to what models see: numbers pass, categories become small codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.models.base import Matrix

__all__ = ["CATEGORIES_MAX", "Encoder"]

CATEGORIES_MAX = 1_000  # codes of one feature; rarer categories count as never seen

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Encoder:
    """The vocabulary of each category, learnt on training rows only.

    `vocabulary[name]` holds category ids, the most frequent first: its position is the code.
    """

    names: tuple[str, ...]
    vocabulary: Mapping[str, tuple[float, ...]]

    @classmethod
    def fit(cls, names: Sequence[str], kinds: Sequence[str], values: Floats) -> Encoder:
        """Return the encoder of these training rows, float64[n, F].

        >>> encoder = Encoder.fit(["c"], ["category"], np.array([[7.0], [9.0], [9.0]]))
        >>> encoder.encode(np.array([[9.0], [7.0], [8.0]])).values[:, 0].tolist()
        [0.0, 1.0, nan]
        """
        vocabulary = {}
        for column, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            if kind == "category":
                known = values[:, column]
                ids, counts = np.unique(known[~np.isnan(known)], return_counts=True)
                often = np.argsort(-counts, kind="stable")[:CATEGORIES_MAX]
                vocabulary[name] = tuple(float(x) for x in ids[often])
        return cls(tuple(names), vocabulary)

    def encode(self, values: Floats) -> Matrix:
        """Return the matrix of these rows; a category never seen is missing.

        A row has the same bits alone and among others.
        """
        encoded = np.array(values, dtype=np.float64, order="C")
        for column, (ids, codes) in self._tables.items():
            if not len(ids):
                encoded[:, column] = np.nan
                continue
            asked = values[:, column]
            at = np.minimum(np.searchsorted(ids, asked), len(ids) - 1)
            encoded[:, column] = np.where(ids[at] == asked, codes[at], np.nan)
        return Matrix(encoded, self.names, self._counts)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        vocabulary = {name: list(ids) for name, ids in self.vocabulary.items()}
        return {"names": list(self.names), "vocabulary": vocabulary}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Encoder:
        """Return the encoder that `as_dict` wrote."""
        vocabulary = {
            str(name): tuple(float(x) for x in ids) for name, ids in data["vocabulary"].items()
        }
        return cls(tuple(data["names"]), vocabulary)

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        # A category without any known value is still a category, of one code.
        return tuple(
            max(1, len(self.vocabulary[name])) if name in self.vocabulary else 0
            for name in self.names
        )

    @cached_property
    def _tables(self) -> dict[int, tuple[Floats, Floats]]:
        tables = {}
        for column, name in enumerate(self.names):
            if name in self.vocabulary:
                ids = np.array(self.vocabulary[name], dtype=np.float64)
                order = np.argsort(ids)
                tables[column] = (ids[order], order.astype(np.float64))
        return tables
