"""Logistic and ridge regression: learnt by scikit-learn, kept as a table, added up in numpy."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import sklearn
from scipy import sparse
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning

from holdfast.errors import StoreError
from holdfast.models import candidates
from holdfast.models.base import (
    FittedModel,
    FloatArray,
    Matrix,
    Model,
    Signature,
    Task,
    check_task,
    check_training,
    sigmoid,
)
from holdfast.models.design import Design
from holdfast.models.files import read_header, read_model, write_model
from holdfast.models.threads import one_thread

__all__ = ["FittedLinear", "LinearModel", "Scores", "load", "make"]

CONTRIBUTION_MAX = 1e100  # of one column; so that sums stay finite for absurd inputs
TOLERANCE = 1e-6  # where the solver stops


@dataclass(frozen=True, slots=True)
class Scores:
    """What each column adds to the margin, centred so that the average training row adds 0.

    A number x adds `(x - mean) * slope - centre`, or `missing`. A category adds the entry of its
    code in `table`, whose last entry stands for missing or unseen.
    """

    numbers: tuple[int, ...]
    mean: FloatArray
    slope: FloatArray
    centre: FloatArray
    missing: FloatArray
    groups: tuple[int, ...]
    start: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    table: FloatArray

    def of(self, values: FloatArray) -> FloatArray:
        """Return n x d contributions; each element by itself, so one row == many rows."""
        result = np.zeros(values.shape)
        if self.numbers:
            x = values[:, self.numbers]
            with np.errstate(over="ignore", invalid="ignore"):
                known = (x - self.mean) * self.slope - self.centre
            known = np.clip(known, -CONTRIBUTION_MAX, CONTRIBUTION_MAX)
            result[:, self.numbers] = np.where(np.isnan(known), self.missing, known)
        if self.groups:
            codes = values[:, self.groups]
            inside = (codes >= 0) & (codes < self.size)
            at = np.where(inside, codes, self.size).astype(np.int64)
            result[:, self.groups] = self.table[self.start + at]
        return result

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else list(value)
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Scores:
        """Return what `as_dict` wrote.

        Raises:
            StoreError: HF417, when parts are missing or do not fit together.
        """
        try:
            real = {k: np.array(plain[k], np.float64) for k in ("mean", "slope", "centre")}
            found = cls(
                numbers=tuple(int(j) for j in plain["numbers"]),
                groups=tuple(int(j) for j in plain["groups"]),
                missing=np.array(plain["missing"], np.float64),
                start=np.array(plain["start"], np.int64),
                size=np.array(plain["size"], np.int64),
                table=np.array(plain["table"], np.float64),
                **real,
            )
            if len(found.mean) != len(found.numbers) or len(found.size) != len(found.groups):
                raise ValueError("lengths")
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                "the saved linear model cannot be used", code="HF417", hint="train again"
            ) from error
        return found


@dataclass(frozen=True, slots=True)
class FittedLinear:
    """A sum over columns: `margin = bias + contributions`, always exact.

    A wide column with value x adds `x * slope - centre`.
    """

    signature: Signature
    bias: float
    scores: Scores
    notes: dict[str, Any]
    slope: FloatArray
    centre: FloatArray

    @property
    def exact(self) -> bool:
        """Always: the model is a sum."""
        return True

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return probabilities (logistic) or values (ridge)."""
        parts = self.scores.of(self.signature.check(matrix))
        margin: FloatArray = np.full(matrix.rows, self.bias)
        # A running sum goes strictly from left to right, for one row as for many.
        if parts.shape[1]:
            margin = self.bias + np.add.accumulate(parts, axis=1)[:, -1]
        if matrix.wide is not None:  # a sparse product adds the words of a row in their order
            margin = margin + (matrix.wide @ self.slope - float(self.centre.sum()))
        return sigmoid(margin) if self.signature.task == "binary" else margin

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return what each column adds, against the average training row."""
        parts = self.scores.of(self.signature.check(matrix))
        if matrix.wide is None:
            return parts
        return np.hstack([parts, matrix.wide.multiply(self.slope).toarray() - self.centre])

    def save(self, folder: Path) -> None:
        """Write `model.json`."""
        content = {"bias": self.bias, "scores": self.scores.as_dict(), "notes": self.notes}
        if self.signature.width:
            content["wide"] = {"slope": self.slope.tolist(), "centre": self.centre.tolist()}
        kind = str(self.notes["kind"])
        write_model(folder, kind=kind, signature=self.signature, content=content)

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters, size, whether the solver converged, versions."""
        return dict(self.notes)


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Logistic regression (yes/no) or ridge regression (a value)."""

    candidate: candidates.LogisticRegression | candidates.Ridge

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedLinear:
        """Return the fitted sum; see `Model.fit` for errors. `seed` is not needed."""
        check_task(self.candidate, task)
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        design = Design.of(matrix)
        solver = _solver(self.candidate)
        with one_thread(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            solver.fit(_table(design, matrix), labels, sample_weight=weights)
        converged = not any(issubclass(each.category, ConvergenceWarning) for each in said)
        coefficients = np.ravel(np.asarray(solver.coef_, np.float64))
        narrow = len(coefficients) - matrix.width
        scores, bias = _centred(design, coefficients[:narrow], matrix)
        slope, centre = coefficients[narrow:].copy(), np.zeros(matrix.width)
        if matrix.wide is not None:
            centre = np.ravel(np.asarray(matrix.wide.mean(axis=0), np.float64)) * slope
        notes = {
            "kind": self.candidate.kind,
            "task": task,
            "parameters": self.candidate.parameters(),
            "coefficients": len(coefficients),
            "converged": converged,
            "versions": {"scikit-learn": sklearn.__version__},
        }
        intercept = float(np.ravel(solver.intercept_)[0])
        return FittedLinear(
            Signature.of(matrix, task),
            intercept + bias + float(centre.sum()),
            scores,
            notes,
            slope=slope,
            centre=centre,
        )


def _table(design: Design, matrix: Matrix) -> Any:
    """Return what the solver sees: words keep their weights and are not standardised."""
    table = design.table(matrix.values)
    if matrix.wide is None:
        return table
    if not matrix.values.shape[1]:
        return matrix.wide
    return sparse.hstack([sparse.csr_matrix(table), matrix.wide], format="csr")


def _solver(candidate: candidates.LogisticRegression | candidates.Ridge) -> Any:
    if isinstance(candidate, candidates.Ridge):
        return linear_model.Ridge(alpha=candidate.alpha, tol=TOLERANCE)
    return linear_model.LogisticRegression(
        C=candidate.C, max_iter=candidate.max_iter, tol=TOLERANCE, solver="lbfgs"
    )


def _centred(design: Design, coefficients: FloatArray, matrix: Matrix) -> tuple[Scores, float]:
    """The columns' scores with mean 0 over the training, and the sum of those means."""
    p = len(design.numbers)
    slope = np.where(design.scale > 0, coefficients[:p] / design.safe_scale, 0.0)
    missing = (design.median - design.mean) * slope
    missing[list(design.marked)] += coefficients[p : p + len(design.marked)]
    size = np.array(design.sizes, np.int64)
    start = np.cumsum(size + 1) - (size + 1)
    table = coefficients[p + len(design.marked) :].copy()
    raw = Scores(
        numbers=design.numbers,
        mean=design.mean,
        slope=slope,
        centre=np.zeros(p),
        missing=missing,
        groups=design.groups,
        start=start,
        size=size,
        table=table,
    )
    means = raw.of(matrix.values).mean(axis=0)
    numbers, groups = means[list(design.numbers)], means[list(design.groups)]
    scores = Scores(
        numbers=raw.numbers,
        mean=raw.mean,
        slope=raw.slope,
        centre=numbers,
        missing=raw.missing - numbers,
        groups=raw.groups,
        start=raw.start,
        size=raw.size,
        table=raw.table - np.repeat(groups, size + 1),
    )
    return scores, float(means.sum())


def make(candidate: candidates.LogisticRegression | candidates.Ridge) -> Model:
    """Return the linear model that the candidate declares."""
    return LinearModel(candidate)


def load(folder: Path) -> FittedModel:
    """Return the saved linear model; StoreError HF417 when it cannot be used."""
    stored = read_model(folder, read_header(folder)["kind"])
    content = stored.content
    try:
        bias, scores, notes = float(content["bias"]), content["scores"], dict(content["notes"])
        wide = content.get("wide", {"slope": [], "centre": []})
        slope, centre = (np.array(wide[key], np.float64) for key in ("slope", "centre"))
        if not len(slope) == len(centre) == stored.signature.width:
            raise ValueError("lengths")
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            "the saved linear model cannot be used", code="HF417", hint="train again"
        ) from error
    return FittedLinear(
        stored.signature, bias, Scores.from_dict(scores), notes, slope=slope, centre=centre
    )


if TYPE_CHECKING:
    _linear: Model = LinearModel(candidates.Ridge())
