"""All encoders of a use case: from features (numbers and texts) to the models' matrix."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from holdfast.errors import ContractError
from holdfast.features.encodings import Texts
from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Matrix
from holdfast.training.encoders.base import Column, Fitted, Floats, Ints, Learning
from holdfast.training.encoders.registry import KINDS, fit_encoder, load_encoder, options_of

__all__ = ["Encoder", "Learner"]

HERE = Path()
"""The folder that files are named from, where none is given."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """One encoder a feature, learnt on a training window. Immutable.

    The matrix has the features' columns in order; wide columns (words) stand behind all others.
    `texts`: the features that are made of texts.
    """

    features: tuple[tuple[str, Fitted], ...]
    texts: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in the order of a training set's columns."""
        return tuple(name for name, _ in self.features)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the matrix' columns."""
        return tuple(sys.intern(name) for j in self._order for name in self._names[j])

    @cached_property
    def owner(self) -> Ints:
        """For each column of the matrix, the position of its feature."""
        return np.array([j for j in self._order for _ in self._names[j]], dtype=np.int64)

    def known(self, name: str) -> tuple[float, ...] | None:
        """Return the categories that a feature's encoder knows, None where it keeps none."""
        return dict(self.features)[name].known()

    def encode(self, values: Floats, texts: Texts | None = None) -> Matrix:
        """Return the matrix of rows to be served: values float64[n, F], texts by feature.

        A row has the same bits alone and among others.

        Raises:
            ContractError: HF413, when the texts of a feature are not there.
        """
        given = texts or {}
        missing = [name for name in self.names if name in self.texts and name not in given]
        if missing:
            raise ContractError(
                f"the texts of `{missing[0]}` are not there",
                code="HF413",
                field=missing[0],
                hint="hand over the texts of the rows beside their features",
            )
        blocks = {}
        for j in self.busy:
            name, fitted = self.features[j]
            blocks[j] = fitted.encode(Column(values[:, j], given.get(name, ())))
        return self.matrix(values, blocks)

    @cached_property
    def busy(self) -> tuple[int, ...]:
        """The positions of the features that are not numbers as they are."""
        return tuple(j for j, (_, fitted) in enumerate(self.features) if fitted.kind != "number")

    def matrix(self, values: Floats, blocks: Mapping[int, Any]) -> Matrix:
        """Return a matrix of the features' columns: numbers as they are, the others as encoded.

        `values` float64[n, F]; `blocks`: the columns of every busy feature.
        """
        plain_from, plain_to, places, columns = self._layout
        narrow = np.empty((len(values), columns), dtype=np.float64)
        narrow[:, plain_to] = values[:, plain_from]
        for j, place in places.items():
            narrow[:, place] = blocks[j]
        words = [blocks[j] for j in self.busy if self.features[j][1].wide]
        wide = words[0] if len(words) == 1 else None
        if len(words) > 1:
            wide = sparse.hstack(words, format="csr")
        return Matrix(narrow, self.columns, self._categories, wide)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "features": [
                {"name": name, "kind": fitted.kind, **fitted.as_dict()}
                for name, fitted in self.features
            ],
            "texts": sorted(self.texts),
        }

    def blobs(self) -> dict[str, bytes]:
        """Return what is stored beside, by the feature's position and the encoder's name for it."""
        return {
            f"{j}-{name}": data
            for j, (_, fitted) in enumerate(self.features)
            for name, data in fitted.blobs().items()
        }

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], blobs: Mapping[str, bytes], root: Path = HERE
    ) -> Encoder:
        """Return the encoder that `as_dict` and `blobs` wrote.

        Raises:
            KeyError, TypeError, ValueError: when a part is missing or does not fit.
        """
        features = []
        for j, one in enumerate(data["features"]):
            mine = {
                name.partition("-")[2]: held
                for name, held in blobs.items()
                if name.partition("-")[0] == str(j)
            }
            features.append((str(one["name"]), load_encoder(one, mine, root)))
        return cls(tuple(features), frozenset(map(str, data["texts"])))

    @cached_property
    def _order(self) -> list[int]:
        return sorted(range(len(self.features)), key=lambda j: self.features[j][1].wide)

    @cached_property
    def _layout(self) -> tuple[Ints, Ints, dict[int, slice], int]:
        """Return where plain numbers come from and go to, where the others go, and the width."""
        busy, places, at = set(self.busy), {}, 0
        plain: list[tuple[int, int]] = []
        for j, (_, fitted) in enumerate(self.features):
            if fitted.wide:
                continue
            if j in busy:
                places[j] = slice(at, at + len(self._names[j]))
            else:
                plain.append((j, at))
            at += len(self._names[j])
        pairs = np.array(plain, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1], places, at

    @cached_property
    def _names(self) -> list[tuple[str, ...]]:
        return [fitted.names(name) for name, fitted in self.features]

    @cached_property
    def _categories(self) -> tuple[int, ...]:
        counts = [fitted.categories() for _, fitted in self.features]
        return tuple(count for j in self._order for count in counts[j])


class Learner:
    """The rows of a training, from which encoders learn one window after another.

    What learns nothing (hashes, embeddings) is encoded once for all rows. `root`: the folder that
    files are named from.
    """

    def __init__(self, rows: TrainingSet, *, seed: int, root: Path = HERE) -> None:
        self.rows, self.seed, self.root = rows, seed, root
        self._options = [
            options_of(kind, rows.encodings.get(name, {}))
            for name, kind in zip(rows.names, rows.kinds, strict=True)
        ]
        self._texts = {name: text.to_list() for name, text in rows.texts.items()}
        self._fixed: dict[int, tuple[Fitted, Any]] = {}
        nothing = np.empty(0, dtype=np.int64)
        for j, options in enumerate(self._options):
            fitted = fit_encoder(self._learning(j, nothing), options) if _fixed(options) else None
            if fitted is not None:
                self._fixed[j] = fitted, fitted.encode(self._column(j, np.arange(len(rows))))

    def learn(self, index: Ints) -> tuple[Encoder, Matrix]:
        """Return the encoder of a training window, and its rows as a model may learn from them."""
        features, blocks = [], {}
        for j, name in enumerate(self.rows.names):
            if j in self._fixed:
                fitted, whole = self._fixed[j]
                blocks[j] = whole[index]
            else:
                learning = self._learning(j, index)
                fitted = fit_encoder(learning, self._options[j])
                if fitted.kind != "number":
                    blocks[j] = fitted.encode_training(learning)
            features.append((name, fitted))
        encoder = Encoder(tuple(features), frozenset(self._texts))
        return encoder, encoder.matrix(self.rows.values[index], blocks)

    def served(self, encoder: Encoder, index: Ints) -> Matrix:
        """Return the matrix of rows as `encoder.encode` makes it when they are served."""
        blocks = {
            j: self._fixed[j][1][index]
            if j in self._fixed
            else encoder.features[j][1].encode(self._column(j, index))
            for j in encoder.busy
        }
        return encoder.matrix(self.rows.values[index], blocks)

    def _column(self, j: int, index: Ints) -> Column:
        texts = self._texts.get(self.rows.names[j], ())
        return Column(self.rows.values[index, j], [texts[i] for i in index] if texts else ())

    def _learning(self, j: int, index: Ints) -> Learning:
        rows = self.rows
        return Learning(
            name=rows.names[j],
            column=self._column(j, index),
            label=rows.label[index],
            known_us=rows.known_us[index],
            matured_us=rows.matured_us[index],
            without_time=rows.without_time,
            seed=self.seed,
            root=self.root,
        )


def _fixed(options: Mapping[str, Any]) -> bool:
    kind = str(options["kind"])
    return kind != "number" and not KINDS[kind].learns
