"""Encoders of texts: weights of words learnt from the window, and hashes that learn nothing."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from holdfast.core.fingerprint import category_id
from holdfast.core.seed import derive
from holdfast.training.encoders.base import Blobs, Column, Floats, Learning, Options
from holdfast.training.encoders.tokens import tokens

__all__ = ["Hashed", "Tfidf", "TfidfComponents"]

SEED_BITS = 31  # scikit-learn takes a 32-bit seed
COMPONENTS = "components.npy"
ROUNDS = 5  # power iterations of the decomposition, as in scikit-learn

Weights = tuple[list[int], list[float]]
"""Columns of one row in ascending order, and their values."""


class _Text:
    """Shared by encoders of texts: rows are weighed one by one, then put side by side."""

    wide: ClassVar[bool] = True
    learns: ClassVar[bool] = True

    def encode_training(self, learning: Learning) -> Any:
        """Return the columns as they are served: no label is in them."""
        return self.encode(learning.column)

    def encode(self, column: Column) -> Any:
        """Return the columns, n x k."""
        raise NotImplementedError

    def known(self) -> tuple[float, ...] | None:
        """Return None: it tells no categories apart."""
        return None

    def blobs(self) -> dict[str, bytes]:
        """Return nothing."""
        return {}


@dataclass(frozen=True)
class Tfidf(_Text):
    """Weights of words: how often in the text, times how rare in the window, of length 1.

    Term frequency times `ln((1 + n) / (1 + df)) + 1`, each row scaled to length 1: scikit-learn's
    `TfidfVectorizer` with its defaults. Of the words, the most frequent are kept, of equals the
    first in the alphabet. A missing text has no words. Source: Salton and Buckley (1988).
    """

    kind: ClassVar[str] = "tfidf"
    words: tuple[str, ...]
    idf: tuple[float, ...]
    ngrams: int

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Tfidf:
        """Learn the words of the window and how rare they are."""
        ngrams = int(options["ngrams"])
        often: Counter[str] = Counter()
        rows_with: Counter[str] = Counter()
        for text in learning.column.texts:
            found = tokens(text, ngrams)
            often.update(found)
            rows_with.update(set(found))
        kept = sorted(sorted(often, key=lambda word: (-often[word], word))[: int(options["words"])])
        rows = len(learning.column)
        idf = tuple(math.log((1 + rows) / (1 + rows_with[word])) + 1.0 for word in kept)
        return cls(tuple(kept), idf, ngrams)

    def names(self, feature: str) -> tuple[str, ...]:
        """Return one name a word: `words[refund]`."""
        return tuple(f"{feature}[{word}]" for word in self.words)

    def categories(self) -> tuple[int, ...]:
        """Return that all are numbers."""
        return (0,) * len(self.words)

    def encode(self, column: Column) -> Any:
        """Return the weights, a csr_matrix."""
        return _rows((self._weights(text) for text in column.texts), len(self.words))

    def as_dict(self) -> dict[str, Any]:
        """Return words and idf."""
        return {"words": list(self.words), "idf": list(self.idf), "ngrams": self.ngrams}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Tfidf:
        """Return what `as_dict` wrote."""
        words, idf = tuple(str(w) for w in data["words"]), tuple(float(x) for x in data["idf"])
        if len(words) != len(idf):
            raise ValueError("words and their weights do not fit")
        return cls(words, idf, int(data["ngrams"]))

    def _weights(self, text: str | None) -> Weights:
        place = self._place
        counts = Counter(place[word] for word in tokens(text, self.ngrams) if word in place)
        at = sorted(counts)
        return at, _of_length_1([counts[j] * self.idf[j] for j in at])

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: at for at, word in enumerate(self.words)}


@dataclass(frozen=True, eq=False)
class TfidfComponents(_Text):
    """The weights of words reduced to a few numbers: truncated SVD, learnt on the window.

    Source: Deerwester et al. (1990), latent semantic analysis; learnt as scikit-learn's
    `TruncatedSVD` does, applied by adding up the rows of `table` that belong to a text's words.
    """

    kind: ClassVar[str] = "tfidf_components"
    wide: ClassVar[bool] = False
    inner: Tfidf
    table: Floats = field(repr=False)

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> TfidfComponents:
        """Learn the words of the window, then the components of their weights."""
        from sklearn.utils.extmath import randomized_svd
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        inner, components = Tfidf.fit(learning, options), int(options["components"])
        weights = inner.encode(learning.column)
        most = min(components, *weights.shape)
        if most < 1 or not weights.nnz:
            return cls(inner, np.zeros((len(inner.words), components)))
        seed = derive(learning.seed, "components", learning.name) >> (63 - SEED_BITS)
        with threadpool_limits(limits=1):
            found = randomized_svd(weights, most, n_iter=ROUNDS, random_state=seed)[2]
        table = np.zeros((len(inner.words), components))
        table[:, :most] = np.asarray(found, np.float64).T
        return cls(inner, table)

    def names(self, feature: str) -> tuple[str, ...]:
        """Return one name a component: `words[0]`."""
        return tuple(f"{feature}[{j}]" for j in range(self.table.shape[1]))

    def categories(self) -> tuple[int, ...]:
        """Return that all are numbers."""
        return (0,) * int(self.table.shape[1])

    def encode(self, column: Column) -> Floats:
        """Return the components; a sparse product adds the words of a row in their order."""
        return np.asarray(self.inner.encode(column) @ self.table, np.float64)

    def as_dict(self) -> dict[str, Any]:
        """Return words and idf."""
        return self.inner.as_dict()

    def blobs(self) -> dict[str, bytes]:
        """Return the table as an .npy file."""
        held = io.BytesIO()
        np.save(held, self.table, allow_pickle=False)
        return {COMPONENTS: held.getvalue()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> TfidfComponents:
        """Return what `as_dict` and `blobs` wrote."""
        inner = Tfidf.from_dict(data, {}, root)
        table = np.load(io.BytesIO(blobs[COMPONENTS]), allow_pickle=False)
        if table.ndim != 2 or len(table) != len(inner.words) or table.dtype != np.float64:
            raise ValueError("words and their components do not fit")
        return cls(inner, np.ascontiguousarray(table))


@dataclass(frozen=True)
class Hashed(_Text):
    """Words, or one category, in columns by their hash; nothing is learnt.

    The bits of `category_id` give the column and the sign. Words are counted and scaled to length
    1, as in scikit-learn's `HashingVectorizer`; a category is one -1 or +1. Missing is all 0.
    """

    kind: ClassVar[str] = "hashed"
    learns: ClassVar[bool] = False
    buckets: int

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Hashed:
        """Learn nothing."""
        return cls(int(options["buckets"]))

    def names(self, feature: str) -> tuple[str, ...]:
        """Return one name a column: `words[17]`."""
        return tuple(f"{feature}[{j}]" for j in range(self.buckets))

    def categories(self) -> tuple[int, ...]:
        """Return that all are numbers."""
        return (0,) * self.buckets

    def encode(self, column: Column) -> Any:
        """Return the columns, a csr_matrix."""
        if len(column.texts):
            return _rows((self._words(text) for text in column.texts), self.buckets)
        return _rows((self._category(number) for number in column.numbers.tolist()), self.buckets)

    def as_dict(self) -> dict[str, Any]:
        """Return how many columns there are."""
        return {"buckets": self.buckets}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Hashed:
        """Return what `as_dict` wrote."""
        return cls(int(data["buckets"]))

    def _place(self, number: float) -> tuple[int, float]:
        bits = int(number)
        return (bits >> 1) % self.buckets, 1.0 if bits & 1 else -1.0

    def _category(self, number: float) -> Weights:
        if math.isnan(number):
            return [], []
        at, sign = self._place(number)
        return [at], [sign]

    def _words(self, text: str | None) -> Weights:
        sums: dict[int, float] = {}
        for word in tokens(text):
            at, sign = self._place(category_id(word))
            sums[at] = sums.get(at, 0.0) + sign
        there = sorted(at for at, total in sums.items() if total)
        return there, _of_length_1([sums[at] for at in there])


def _of_length_1(values: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(value * value for value in values))
    return [value / length for value in values]


def _rows(weights: Iterable[Weights], columns: int) -> Any:
    """Return rows side by side as a csr_matrix of n x columns."""
    places: list[int] = []
    values: list[float] = []
    ends = [0]
    for at, held in weights:
        places += at
        values += held
        ends.append(len(places))
    parts = (np.array(values, np.float64), np.array(places, np.int32), np.array(ends, np.int64))
    return sparse.csr_matrix(parts, shape=(len(ends) - 1, columns))
