"""Any scikit-learn estimator behind imputing, scaling and one-hot coding; saved by skops."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from holdfast.core.seed import derive
from holdfast.errors import ContractError, DefinitionError, StoreError, UserCodeError
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
)
from holdfast.models.design import Design
from holdfast.models.files import read_model, write_model
from holdfast.models.stored_types import from_bytes, refused_types, to_bytes
from holdfast.models.threads import one_thread
from holdfast.models.wide import dense

__all__ = ["FittedSklearn", "SklearnModel", "load", "make"]

FILE = "model.skops"
SEED_BITS = 31  # scikit-learn takes a 32-bit seed
HOT_MAX = 128  # one-hot columns of one category; rarer codes share one
BLOCK_ROWS = 4_096  # rows asked at once
PROBE_ROWS = (2, 7, 64)  # rows tried to learn whether a row keeps its bits among others
SHARE_MIN = 1e-6  # probability; bounds the margin of forests that are too sure


@dataclass(frozen=True, slots=True)
class Encoding:
    """From a matrix to the estimator's table: rare codes grouped, then the design."""

    design: Design
    kept: Mapping[int, tuple[int, ...]]

    @classmethod
    def of(cls, matrix: Matrix) -> Encoding:
        """Return the encoding of the training rows."""
        kept: dict[int, tuple[int, ...]] = {}
        counts = list(matrix.categories)
        for j, count in enumerate(counts):
            if count > HOT_MAX:
                column = matrix.values[:, j]
                seen = np.bincount(column[~np.isnan(column)].astype(np.int64), minlength=count)
                often = np.argsort(-seen, kind="stable")[: HOT_MAX - 1]
                kept[j] = tuple(int(code) for code in np.sort(often))
                counts[j] = HOT_MAX
        grouped = _grouped(matrix.values, kept)
        return cls(Design.of(Matrix(grouped, matrix.names, tuple(counts))), kept)

    def table(self, values: FloatArray) -> FloatArray:
        """Return the dense table for the estimator."""
        return self.design.dense(_grouped(values, self.kept))


def _grouped(values: FloatArray, kept: Mapping[int, tuple[int, ...]]) -> FloatArray:
    if not kept:
        return values
    result = values.copy()
    for j, codes in kept.items():
        order = np.array(codes, np.float64)
        at = np.minimum(np.searchsorted(order, values[:, j]), len(order) - 1)
        found = np.where(order[at] == values[:, j], at, len(order))
        result[:, j] = np.where(np.isnan(values[:, j]), np.nan, found)
    return result


@dataclass(frozen=True, slots=True)
class FittedSklearn:
    """An estimator read back from its stored bytes. Contributions are an approximation.

    `contributions` tells by how much the margin moves when one column is put to its typical value
    (median, or most frequent category); what columns do together is not shared out.
    """

    signature: Signature
    encoding: Encoding
    data: bytes
    estimator: Any
    typical: FloatArray
    alone: bool
    notes: dict[str, Any]

    @property
    def exact(self) -> bool:
        """Never: see the class."""
        return False

    @property
    def bias(self) -> float:
        """The margin of the typical row."""
        return float(self._margin(self.typical[None, :])[0])

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return probabilities or values.

        Where an estimator rounds a row otherwise among others, rows are asked one by one.
        """
        return self._predict(self.signature.check(self._dense(matrix)))

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return, for each column, the margin less the margin with that column typical."""
        values = self.signature.check(self._dense(matrix))
        whole = self._margin(values)
        result = np.zeros(values.shape)
        for j in range(values.shape[1]):
            without = values.copy()
            without[:, j] = self.typical[j]
            result[:, j] = whole - self._margin(without)
        return result

    def _dense(self, matrix: Matrix) -> Matrix:
        return dense(matrix, str(self.notes["estimator"]))

    def _predict(self, values: FloatArray) -> FloatArray:
        step = 1 if self.alone else BLOCK_ROWS
        result = np.zeros(len(values))
        for start in range(0, len(values), step):
            rows = slice(start, start + step)
            result[rows] = _asked(self.estimator, self.encoding.table(values[rows]), self.task)
        return result

    def _margin(self, values: FloatArray) -> FloatArray:
        answer = self._predict(values)
        if self.task == "regression":
            return answer
        inside = np.clip(answer, SHARE_MIN, 1.0 - SHARE_MIN)
        result: FloatArray = np.log(inside / (1.0 - inside))
        return result

    @property
    def task(self) -> Task:
        """The task it was trained for."""
        return self.signature.task

    def save(self, folder: Path) -> None:
        """Write `model.json` and `model.skops`."""
        content = {
            "design": self.encoding.design.as_dict(),
            "kept": {str(j): list(codes) for j, codes in self.encoding.kept.items()},
            "typical": [None if np.isnan(x) else x for x in self.typical.tolist()],
            "alone": self.alone,
            "notes": self.notes,
        }
        write_model(
            folder,
            kind="sklearn",
            signature=self.signature,
            content=content,
            files={FILE: self.data},
        )

    def describe(self) -> dict[str, Any]:
        """Return kind, class and parameters, how contributions are meant, versions."""
        return {**self.notes, "rows_alone": self.alone}


@dataclass(frozen=True, slots=True)
class SklearnModel:
    """Learns a copy of the estimator, with our seed, on one thread."""

    candidate: candidates.Sklearn

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedSklearn:
        """Return the fitted estimator; see `Model.fit` for errors.

        Raises:
            DefinitionError: HF173 also when it has no `predict_proba` for a yes/no label; HF172
                when a fitted part of it cannot be stored safely.
            UserCodeError: HF422, when the estimator itself refuses these rows.
        """
        check_task(self.candidate, task)
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        matrix = dense(matrix, self.candidate.name)
        estimator = _prepared(self.candidate, task, seed)
        extra = _weights(self.candidate, estimator, weights)
        encoding = Encoding.of(matrix)
        target = labels.astype(np.int64) if task == "binary" else labels
        table = encoding.table(matrix.values)
        with one_thread(), warnings.catch_warnings(record=True) as said, _blame(self.candidate):
            warnings.simplefilter("always")
            estimator.fit(table, target, **extra)
            alone = _rounds_otherwise(estimator, table, task)
        data = _stored(self.candidate, estimator)
        notes = {
            "kind": "sklearn",
            "task": task,
            **self.candidate.parameters(),
            "warnings": sorted({each.category.__name__ for each in said}),
            "contributions": "approximate: one column at a time against its typical value",
            "versions": {"scikit-learn": sklearn.__version__},
        }
        return FittedSklearn(
            signature=Signature.of(matrix, task),
            encoding=encoding,
            data=data,
            estimator=from_bytes(data),
            typical=_typical(matrix),
            alone=alone,
            notes=notes,
        )


def _prepared(candidate: candidates.Sklearn, task: Task, seed: int) -> Any:
    """A copy of the estimator with every chance seeded and every pool of workers closed."""
    estimator = clone(candidate.estimator)
    wanted = "predict_proba" if task == "binary" else "predict"
    if not hasattr(estimator, wanted):
        raise DefinitionError(
            f"{candidate.name} has no {wanted}",
            code="HF173",
            hint="for a yes/no label wrap it: hf.Sklearn(CalibratedClassifierCV(...))",
        )
    changes: dict[str, Any] = {}
    for key, value in estimator.get_params(deep=True).items():
        last = key.rpartition("__")[2]
        if last == "random_state" and not isinstance(value, int):
            changes[key] = derive(seed, "sklearn", key) >> (63 - SEED_BITS)
        elif last == "n_jobs":
            changes[key] = 1
    return estimator.set_params(**changes)


@contextmanager
def _blame(candidate: candidates.Sklearn) -> Iterator[None]:
    """Whatever the estimator raises is a fault of its parameters or of its fit to the data."""
    try:
        yield
    except Exception as error:
        raise UserCodeError(
            f"{candidate.name} cannot learn these rows: {error!s:.300}",
            code="HF422",
            hint="change its parameters, or leave it out of candidates",
        ) from error


def _weights(
    candidate: candidates.Sklearn, estimator: Any, weights: FloatArray | None
) -> dict[str, FloatArray]:
    if weights is None:
        return {}
    if not has_fit_parameter(estimator, "sample_weight"):
        raise ContractError(
            f"{candidate.name} does not take weights",
            code="HF416",
            hint="leave the weights out, or take another estimator",
        )
    return {"sample_weight": weights}


def _stored(candidate: candidates.Sklearn, estimator: Any) -> bytes:
    data = to_bytes(estimator)
    refused = refused_types(data)
    if refused:
        raise DefinitionError(
            f"{candidate.name} cannot be stored safely: it holds {', '.join(refused)}",
            code="HF172",
            hint="leave that part out, or use another estimator",
        )
    return data


def _asked(estimator: Any, table: FloatArray, task: Task) -> FloatArray:
    if task == "regression":
        return np.ravel(np.asarray(estimator.predict(table), np.float64))
    answer = np.asarray(estimator.predict_proba(table), np.float64)
    return answer[:, int(np.flatnonzero(estimator.classes_ == 1)[0])]


def _rounds_otherwise(estimator: Any, table: FloatArray, task: Task) -> bool:
    """Whether some of the first training rows have other bits alone than among others."""
    alone = [
        _asked(estimator, table[i : i + 1], task)[0] for i in range(min(len(table), PROBE_ROWS[-1]))
    ]
    for rows in PROBE_ROWS:
        together = _asked(estimator, table[:rows], task)
        if not np.array_equal(together, alone[: len(together)], equal_nan=True):
            return True
    return False


def _typical(matrix: Matrix) -> FloatArray:
    """The median of each number and the most frequent code of each category."""
    result = np.full(matrix.columns, np.nan)
    for j, count in enumerate(matrix.categories):
        column = matrix.values[:, j]
        known = column[~np.isnan(column)]
        if len(known) and count:
            result[j] = float(np.argmax(np.bincount(known.astype(np.int64))))
        elif len(known):
            result[j] = float(np.median(known))
    return result


def make(candidate: candidates.Sklearn) -> Model:
    """Return the model that the candidate declares."""
    return SklearnModel(candidate)


def load(folder: Path) -> FittedModel:
    """Return the saved estimator; StoreError HF417 when it cannot be used.

    Raises:
        StoreError: HF417 also when it holds a type that is not on the list of safe ones.
    """
    stored = read_model(folder, "sklearn")
    content = stored.content
    try:
        kept = {int(j): tuple(map(int, codes)) for j, codes in content["kept"].items()}
        data = stored.files[FILE]
        return FittedSklearn(
            signature=stored.signature,
            encoding=Encoding(Design.from_dict(content["design"]), kept),
            data=data,
            estimator=from_bytes(data),
            typical=np.array(content["typical"], np.float64),
            alone=bool(content["alone"]),
            notes=dict(content["notes"]),
        )
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"the saved scikit-learn estimator cannot be used: {error}",
            code="HF417",
            site=str(folder / FILE),
            hint="train again",
        ) from error


if TYPE_CHECKING:

    def _model(candidate: candidates.Sklearn) -> Model:
        return SklearnModel(candidate)
