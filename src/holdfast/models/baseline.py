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
from holdfast.models.rule import Node, grow, node_from_dict, rule_lines

__all__ = ["FittedPrior", "FittedRule", "PriorModel", "RuleModel", "load", "make"]


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
        return np.zeros(self.signature.check(matrix).shape)

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
        values = self.signature.check(matrix)
        result = np.empty(values.shape[0])
        self._fill(self.root, values, np.arange(values.shape[0]), into=result)
        return result

    def _fill(
        self, node: Node, values: FloatArray, rows: np.ndarray[Any, Any], *, into: FloatArray
    ) -> None:
        if node.split is None:
            into[rows] = node.value
            return
        yes = node.split.holds(values[rows, node.split.column])
        self._fill(node.split.yes, values, rows[yes], into=into)
        self._fill(node.split.no, values, rows[~yes], into=into)

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return, for each asked column, by how much its answers moved the margin."""
        values = self.signature.check(matrix)
        result = np.zeros(values.shape)
        self._explain(self.root, values, np.arange(values.shape[0]), into=result)
        return result

    def _explain(
        self, node: Node, values: FloatArray, rows: np.ndarray[Any, Any], *, into: FloatArray
    ) -> None:
        if node.split is None:
            return
        split, task = node.split, self.signature.task
        yes = split.holds(values[rows, split.column])
        for child, taken in ((split.yes, rows[yes]), (split.no, rows[~yes])):
            into[taken, split.column] += _margin(child.value, task) - _margin(node.value, task)
            self._explain(child, values, taken, into=into)

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
        root = grow(matrix, labels, counted, depth=self.candidate.depth)
        return FittedRule(Signature.of(matrix, task), root)


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
