"""The models every other one must beat: a constant, and a rule that can be read aloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.models import candidates
from holdfast.models.base import (
    FittedModel,
    FloatArray,
    Matrix,
    Model,
    Signature,
    Task,
    check_training,
    logit,
)
from holdfast.models.files import read_header, read_model, write_model
from holdfast.models.rule import Node, grow, moved, node_from_dict, rule_lines
from holdfast.models.wide import column_of, telling

__all__ = ["FittedPrior", "FittedRule", "PriorModel", "RuleModel", "load", "make"]

WORDS_ASKED_MAX = 64  # wide columns that a rule is looked for in, those that tell most


@dataclass(frozen=True, slots=True)
class FittedPrior:
    """Says the same for every row: the share of yes, or the mean."""

    signature: Signature
    value: float

    @property
    def exact(self) -> bool:
        """Always: no column contributes."""
        return True

    @property
    def bias(self) -> float:
        """The margin of the constant."""
        return _margin(self.value, self.signature.task)

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return the constant n times."""
        return np.full(self.signature.check(matrix).shape[0], self.value)

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return n x d zeros."""
        self.signature.check(matrix)
        return np.zeros((matrix.rows, matrix.columns))

    def save(self, folder: Path) -> None:
        """Write `model.json`."""
        content = {"value": self.value}
        write_model(folder, kind="prior", signature=self.signature, content=content)

    def describe(self) -> dict[str, Any]:
        """Return kind, task and the constant."""
        return {"kind": "prior", "task": self.signature.task, "value": self.value}


@dataclass(frozen=True, slots=True)
class PriorModel:
    """Learns the share of yes, or the mean."""

    candidate: candidates.Prior

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedPrior:
        """Return the constant of the training rows; see `Model.fit` for errors."""
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        return FittedPrior(Signature.of(matrix, task), float(np.average(labels, weights=weights)))


@dataclass(frozen=True, slots=True)
class FittedRule:
    """A tree of depth one or two over one or two features."""

    signature: Signature
    root: Node

    @property
    def exact(self) -> bool:
        """Always: a step down the tree belongs to the column that was asked."""
        return True

    @property
    def bias(self) -> float:
        """The margin of all training rows together."""
        return _margin(self.root.value, self.signature.task)

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return the value of the leaf that each row reaches."""
        self.signature.check(matrix)
        result = np.empty(matrix.rows)
        self._fill(self.root, matrix, np.arange(matrix.rows), into=result)
        return result

    def _fill(
        self, node: Node, matrix: Matrix, rows: np.ndarray[Any, Any], *, into: FloatArray
    ) -> None:
        if node.split is None:
            into[rows] = node.value
            return
        yes = node.split.holds(column_of(matrix, node.split.column)[rows])
        self._fill(node.split.yes, matrix, rows[yes], into=into)
        self._fill(node.split.no, matrix, rows[~yes], into=into)

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return, for each asked column, by how much its answers moved the margin."""
        self.signature.check(matrix)
        result = np.zeros((matrix.rows, matrix.columns))
        self._explain(self.root, matrix, np.arange(matrix.rows), into=result)
        return result

    def _explain(
        self, node: Node, matrix: Matrix, rows: np.ndarray[Any, Any], *, into: FloatArray
    ) -> None:
        if node.split is None:
            return
        split, task = node.split, self.signature.task
        yes = split.holds(column_of(matrix, split.column)[rows])
        for child, taken in ((split.yes, rows[yes]), (split.no, rows[~yes])):
            into[taken, split.column] += _margin(child.value, task) - _margin(node.value, task)
            self._explain(child, matrix, taken, into=into)

    def save(self, folder: Path) -> None:
        """Write `model.json`."""
        content = {"root": self.root.as_dict()}
        write_model(folder, kind="rule", signature=self.signature, content=content)

    def describe(self) -> dict[str, Any]:
        """Return kind, task, the rule in words and as a tree; categories stand as codes."""
        return {
            "kind": "rule",
            "task": self.signature.task,
            "rule": self.lines(),
            "tree": self.root.as_dict(),
        }

    def lines(self, labels: Mapping[str, tuple[str, ...]] | None = None) -> list[str]:
        """Return the rule, one line a leaf; `labels` gives the words of a column's codes."""
        return rule_lines(self.root, self.signature.names, labels or {})


@dataclass(frozen=True, slots=True)
class RuleModel:
    """Learns the rule of one or two features that tells most."""

    candidate: candidates.Rule

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedRule:
        """Return the best rule found greedily; see `Model.fit` for errors."""
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        counted = np.ones(matrix.rows) if weights is None else weights
        asked, places = _asked(matrix, labels, counted)
        root = grow(asked, labels, counted, depth=self.candidate.depth)
        return FittedRule(Signature.of(matrix, task), moved(root, places))


def _asked(matrix: Matrix, y: FloatArray, weight: FloatArray) -> tuple[Matrix, list[int]]:
    """Return the columns a rule may ask about, and their places: of words, those that tell most."""
    narrow = matrix.values.shape[1]
    if matrix.wide is None:
        return matrix, list(range(narrow))
    told = telling(matrix, y, weight, WORDS_ASKED_MAX)
    words = matrix.wide[:, [j - narrow for j in told]].toarray()
    places = [*range(narrow), *told]
    names = tuple(matrix.names[j] for j in places)
    counts = tuple(matrix.categories[j] for j in places)
    return Matrix(np.hstack([matrix.values, words]), names, counts), places


def _margin(value: float, task: Task) -> float:
    return logit(value) if task == "binary" else value


def make(candidate: candidates.Prior | candidates.Rule) -> Model:
    """Return the model that learns the constant or the rule."""
    if isinstance(candidate, candidates.Prior):
        return PriorModel(candidate)
    return RuleModel(candidate)


def load(folder: Path) -> FittedModel:
    """Return the saved constant or rule; StoreError HF417 when it cannot be used."""
    if read_header(folder)["kind"] == "prior":
        stored = read_model(folder, "prior")
        return FittedPrior(stored.signature, float(stored.content["value"]))
    stored = read_model(folder, "rule")
    root = node_from_dict(stored.content["root"], columns=len(stored.signature.names))
    return FittedRule(stored.signature, root)


if TYPE_CHECKING:
    _prior: Model = PriorModel(candidates.Prior())
    _rule: Model = RuleModel(candidates.Rule())
