"""The edge to models: what goes in, what comes out, and what every technology must promise.

A technology (LightGBM, a linear model, ...) is one module with two functions, `make(candidate)`
and `load(folder)`; see `Technology`. The promises, each a law of `holdfast.testing.models`:

- Same seed, same data, same library: the same model, bit for bit, whatever the number of cores.
- One row == many rows: a row's prediction has the same bits alone and inside any table.
- Missing values (NaN) are accepted everywhere, in training and in prediction, also in columns
  that had none in training. A column that is constant or all missing does no harm.
- What is saved and loaded predicts the same bits. No file holds a pickle. Nothing outside the
  folder is needed, and `save` never leaves a file out of `model.json`'s list of digests.
- `fit` owns no argument: it changes neither the matrix nor the candidate.
- The empty case is an error with a code: no rows (HF411), no columns (HF412), one class (HF421).
  Predicting zero rows is fine and gives zero numbers.
- A fitted model is immutable, and many threads may ask it at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from holdfast.errors import ContractError, DefinitionError, InternalError

__all__ = [
    "CATEGORIES_MAX",
    "Candidate",
    "FittedModel",
    "FloatArray",
    "Matrix",
    "Model",
    "Signature",
    "Task",
    "Technology",
    "check_task",
    "check_training",
    "logit",
    "sigmoid",
]

Task = Literal["binary", "regression"]
FloatArray = npt.NDArray[np.float64]

CATEGORIES_MAX = 1_000_000  # categories of one column; codes stay exact in a float32 (2**24)
PROBABILITY_MIN = 1e-12  # probability; keeps a margin finite


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Features as models see them: n rows of d columns, the last w of which are `wide`.

    `categories[j]` is 0 for a number, K > 0 for a category whose codes are 0.0 .. K-1; NaN is
    missing or never seen in training. `values` is float64 and row by row in memory. `wide`: the
    columns of words, almost all 0, as a `scipy.sparse.csr_matrix` of n x w; None for none.
    `names` and `categories` tell of `values` first, then of `wide`.

    Raises:
        InternalError: HF910, when the parts do not fit together.

    >>> Matrix(np.array([[1.5, 0.0]]), ("amount", "channel"), (0, 3)).rows
    1
    """

    values: FloatArray
    names: tuple[str, ...]
    categories: tuple[int, ...]
    wide: Any = None

    def __post_init__(self) -> None:
        shape = self.values.shape
        columns = self.width + (shape[1] if len(shape) == 2 else -1)
        if not columns == len(self.names) == len(self.categories):
            raise InternalError(
                f"a matrix of shape {shape} has {len(self.names)} names and "
                f"{len(self.categories)} category counts",
                code="HF910",
            )
        if self.values.dtype != np.float64 or not self.values.flags.c_contiguous:
            object.__setattr__(self, "values", np.ascontiguousarray(self.values, np.float64))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.values.shape[0])

    @property
    def columns(self) -> int:
        """The number of columns, wide ones counted."""
        return int(self.values.shape[1]) + self.width

    @property
    def width(self) -> int:
        """How many of the columns are wide."""
        return 0 if self.wide is None else int(self.wide.shape[1])

    def take(self, index: npt.NDArray[Any] | slice) -> Matrix:
        """Return the rows that `index` (a mask, positions or a slice) picks."""
        wide = None if self.wide is None else self.wide[index]
        return Matrix(self.values[index], self.names, self.categories, wide)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a fitted model answers for: its task and the columns it was trained on, in order.

    The last `width` columns are wide ones.
    """

    task: Task
    names: tuple[str, ...]
    categories: tuple[int, ...]
    width: int = 0

    @classmethod
    def of(cls, matrix: Matrix, task: Task) -> Signature:
        """Return the signature of a model trained on this matrix."""
        return cls(task, matrix.names, matrix.categories, matrix.width)

    def check(self, matrix: Matrix) -> FloatArray:
        """Return the values of a matrix that has exactly the columns of the training.

        Raises:
            ContractError: HF413, when names, order or category counts differ.
        """
        same = matrix.names is self.names or matrix.names == self.names
        if not same or matrix.categories != self.categories or matrix.width != self.width:
            raise _other_columns(self, matrix)
        return matrix.values


class Candidate(Protocol):
    """What a definition lists under `candidates=`: which technology, with which parameters."""

    @property
    def kind(self) -> str:
        """The name of the technology, as in `model.json` and in the entry points."""
        ...

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks it can learn."""
        ...

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as plain JSON data, for lineage and reports."""
        ...


class FittedModel(Protocol):
    """A trained model: asks for rows, gives numbers and reasons. Immutable."""

    @property
    def signature(self) -> Signature:
        """The task and the columns of the training."""
        ...

    @property
    def bias(self) -> float:
        """The margin before any column speaks: log-odds (binary) or value (regression)."""
        ...

    @property
    def exact(self) -> bool:
        """Whether bias + contributions is the margin (else they are an approximation)."""
        ...

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return n numbers: the probability of 1 (binary) or the value (regression).

        Every row has the same bits whether asked alone or among others.

        Raises:
            ContractError: HF413, when the columns are not those of the training.
        """
        ...

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return n x d contributions on the margin scale (log-odds, or the value itself).

        Where `exact`: `predict == inverse_link(bias + contributions.sum(axis=1))` within 1e-6
        (of a probability; relative to the largest prediction for a value).
        """
        ...

    def save(self, folder: Path) -> None:
        """Write `model.json` and native files into `folder`, made where it is missing.

        Raises:
            StoreError: HF420, when the folder cannot be written.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return plain JSON data for people and lineage: kind, task, size, versions, notes."""
        ...


class Model(Protocol):
    """A technology with its parameters, ready to learn. Stateless: `fit` may be called again."""

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedModel:
        """Return the model learnt from n rows; `y` is 0.0/1.0 (binary) or a value.

        `weight`: n numbers >= 0, one a row; a row of weight 2 counts like two rows.

        Raises:
            ContractError: HF411 no rows, HF412 no columns, HF414 a label that
                is not 0/1 or not finite, HF415 an infinite number or a code out of range,
                HF416 bad weights, HF421 one class.
            DefinitionError: HF173, when the candidate cannot learn this task.
        """
        ...


class Technology(Protocol):
    """What a module under `holdfast.models` (or an entry point of that group) offers."""

    def make(self, candidate: Any) -> Model:
        """Return the model that the candidate declares."""
        ...

    def load(self, folder: Path) -> FittedModel:
        """Return the model that `save` wrote into `folder`, after checking its digests.

        Raises:
            StoreError: HF417, when a file is missing, changed or not readable.
        """
        ...


def check_task(candidate: Candidate, task: Task) -> None:
    """Do nothing when the candidate can learn the task.

    Raises:
        DefinitionError: HF173, when it cannot.
    """
    if task in candidate.tasks:
        return
    label, other = ("a yes/no label", "a value") if task == "binary" else ("a value", "yes/no")
    raise DefinitionError(
        f"{type(candidate).__name__} cannot learn {label}, only {other}",
        code="HF173",
        hint="use hf.LogisticRegression for yes/no, hf.Ridge for a value, hf.LightGBM for both",
    )


def check_training(
    matrix: Matrix, y: FloatArray, *, task: Task, weight: FloatArray | None = None
) -> tuple[FloatArray, FloatArray | None]:
    """Return labels and weights as float64 after checking everything `Model.fit` promises.

    Raises:
        ContractError: HF411 to HF416 and HF421, as `Model.fit` says.
    """
    if matrix.columns == 0:
        raise ContractError(
            "there is no feature to learn from",
            code="HF412",
            hint="add at least one feature to the Features class",
        )
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != (matrix.rows,) or matrix.rows == 0:
        raise ContractError(
            f"there are {matrix.rows} rows and labels of shape {labels.shape}",
            code="HF411",
            hint="training needs at least one row and one label for each",
        )
    _check_values(matrix)
    weights = None if weight is None else _checked_weights(weight, matrix.rows)
    _check_labels(labels, task, weights)
    return labels, weights


def sigmoid(margin: FloatArray) -> FloatArray:
    """Return probabilities of log-odds, without overflow.

    >>> sigmoid(np.array([0.0, -1000.0, 1000.0])).tolist()
    [0.5, 0.0, 1.0]
    """
    small = np.exp(-np.abs(margin))
    result: FloatArray = np.where(margin >= 0, 1.0, small) / (1.0 + small)
    return result


def logit(probability: float) -> float:
    """Return the log-odds of a probability, kept finite at 0 and 1.

    >>> logit(0.5), logit(0.0) < -27
    (0.0, True)
    """
    inside = min(max(probability, PROBABILITY_MIN), 1.0 - PROBABILITY_MIN)
    return float(np.log(inside / (1.0 - inside)))


def _check_values(matrix: Matrix) -> None:
    if matrix.wide is not None and not np.isfinite(matrix.wide.data).all():
        raise InternalError("a wide column holds no finite number", code="HF911")
    for j, name in enumerate(matrix.names[: matrix.values.shape[1]]):
        column = matrix.values[:, j]
        infinite = int(np.isinf(column).sum())
        if infinite:
            raise ContractError(
                f"feature {name} is infinite in {infinite} of {matrix.rows} rows",
                code="HF415",
                field=name,
                hint="bound the column with ge= and le=, or divide by something that is not 0",
            )
        count = matrix.categories[j]
        if count < 0 or count > CATEGORIES_MAX:
            raise ContractError(
                f"feature {name} has {count} categories; the bound is {CATEGORIES_MAX}",
                code="HF415",
                field=name,
                hint="declare it as a Key, or group rare categories",
            )
        known = column[~np.isnan(column)] if count else column[:0]
        if ((known < 0) | (known >= count) | (known != np.floor(known))).any():
            raise InternalError(f"feature {name} has codes outside 0..{count - 1}", code="HF911")


def _checked_weights(weight: FloatArray, rows: int) -> FloatArray:
    weights = np.asarray(weight, dtype=np.float64)
    if weights.shape != (rows,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ContractError(
            f"weights must be {rows} finite numbers >= 0", code="HF416", hint="one weight a row"
        )
    if not (weights > 0).any():
        raise ContractError("all weights are 0", code="HF416", hint="give some row a weight > 0")
    return weights


def _check_labels(labels: FloatArray, task: Task, weights: FloatArray | None) -> None:
    if not np.isfinite(labels).all():
        raise ContractError(
            f"{int((~np.isfinite(labels)).sum())} labels are missing or infinite",
            code="HF414",
            hint="train only on rows whose label has matured",
        )
    if task == "regression":
        return
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ContractError(
            "a yes/no label must be 0 or 1",
            code="HF414",
            hint="compare the column with a value, as in `Payment.status == 'fraud'`",
        )
    counted = labels if weights is None else labels[weights > 0]
    if counted.min() == counted.max():
        which = "yes" if counted[0] else "no"
        raise ContractError(
            f"all {len(counted)} labels are {which}: there is nothing to tell apart",
            code="HF421",
            hint="train on a longer history, or check how the label is defined",
        )


def _other_columns(signature: Signature, matrix: Matrix) -> ContractError:
    gone = [n for n in signature.names if n not in matrix.names]
    new = [n for n in matrix.names if n not in signature.names]
    words = [f"missing {', '.join(gone)}"] if gone else []
    words += [f"unknown {', '.join(new)}"] if new else []
    detail = "; ".join(words) or "another order, or other categories"
    return ContractError(
        f"these are not the columns of the training: {detail}",
        code="HF413",
        hint="ask with the features that the model was trained on",
        field=(gone or new or [""])[0],
    )
