"""The value of one season ago: what a forecast must beat. It is a column, read as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.errors import ContractError
from holdfast.models import candidates
from holdfast.models.base import (
    FittedModel,
    FloatArray,
    Matrix,
    Model,
    Signature,
    Task,
    check_training,
)
from holdfast.models.files import read_model, write_model

__all__ = ["FittedSeasonalNaive", "SeasonalNaiveModel", "load", "make"]


@dataclass(frozen=True, slots=True)
class FittedSeasonalNaive:
    """Says what one column says; where it is missing, the mean of the training.

    A forecast that does not learn from the column is the point: Hyndman and Athanasopoulos,
    Forecasting: Principles and Practice, 5.2.
    """

    signature: Signature
    column: int
    mean: float

    @property
    def exact(self) -> bool:
        """Always: the one column contributes what it differs from the mean."""
        return True

    @property
    def bias(self) -> float:
        """The mean of the training."""
        return self.mean

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return the column, float64[n]."""
        values = self.signature.check(matrix)[:, self.column]
        return np.where(np.isnan(values), self.mean, values)

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return by how much the column lies above the mean, n x d."""
        told = np.zeros((matrix.rows, matrix.columns))
        told[:, self.column] = self.predict(matrix) - self.mean
        return told

    def save(self, folder: Path) -> None:
        """Write `model.json`."""
        content = {"column": self.column, "mean": self.mean}
        write_model(folder, kind="seasonal_naive", signature=self.signature, content=content)

    def describe(self) -> dict[str, Any]:
        """Return kind, task and the column."""
        return {
            "kind": "seasonal_naive",
            "task": self.signature.task,
            "column": self.signature.names[self.column],
            "mean": self.mean,
        }


@dataclass(frozen=True, slots=True)
class SeasonalNaiveModel:
    """Finds the column that holds the label of one season ago."""

    candidate: candidates.SeasonalNaive

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedSeasonalNaive:
        """Return the column with the mean for where it is missing; see `Model.fit` for errors.

        Raises:
            ContractError: HF443 when the matrix has no such column.
        """
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        column = self.candidate.column
        if column not in matrix.names:
            raise ContractError(
                f"no feature is the label of {self.candidate.season} ago",
                code="HF443",
                field=column,
                hint="list hf.SeasonalNaive in `hf.Training` of a use case whose label looks ahead",
            )
        mean = float(np.average(labels, weights=weights))
        return FittedSeasonalNaive(Signature.of(matrix, task), matrix.names.index(column), mean)


def make(candidate: candidates.SeasonalNaive) -> Model:
    """Return the model that reads the column of one season ago."""
    return SeasonalNaiveModel(candidate)


def load(folder: Path) -> FittedModel:
    """Return the saved baseline; StoreError HF417 when it cannot be used."""
    stored = read_model(folder, "seasonal_naive")
    content = stored.content
    return FittedSeasonalNaive(stored.signature, int(content["column"]), float(content["mean"]))


if TYPE_CHECKING:
    _model: Model = SeasonalNaiveModel(candidates.SeasonalNaive("7d"))
