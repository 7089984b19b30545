"""A decision tree of one or two questions, grown greedily and written as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from holdfast.errors import StoreError
from holdfast.models.base import FloatArray, Matrix

__all__ = ["Node", "Split", "grow", "moved", "node_from_dict", "rule_lines"]

THRESHOLDS_MAX = 64  # thresholds tried for a number
QUANTILE_ROWS_MAX = 50_000  # rows that thresholds are taken from
LEAF_ROWS_MIN = 50  # rows of a leaf, where there are enough
LEAF_SHARE_MIN = 0.1  # of all rows, where there are few
PRIOR_ROWS = 1.0  # rows of the overall mean mixed into each leaf: keeps margins finite
DEPTH_MAX = 2  # questions in a row
GAIN_MIN = 1e-9  # share of the squared error that a question must take away

Question = Literal["greater", "at_most", "is", "missing"]
_BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Split:
    """One question about one column; a missing value answers no (unless asked for).

    `gaps`: the column had missing values in training, so that the words name them.
    """

    column: int
    question: Question
    at: float
    yes: Node
    no: Node
    gaps: bool = False

    def holds(self, column: FloatArray) -> _BoolArray:
        """Return the answer for each value of the column."""
        return _answer(self.question, self.at, column)


@dataclass(frozen=True, slots=True)
class Node:
    """The value of some rows, how many they weigh, and the question that parts them."""

    value: float
    weight: float
    split: Split | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the tree below as plain JSON data."""
        plain: dict[str, Any] = {"value": self.value, "weight": self.weight}
        if self.split is not None:
            plain |= {
                "column": self.split.column,
                "question": self.split.question,
                "at": self.split.at,
                "gaps": self.split.gaps,
                "yes": self.split.yes.as_dict(),
                "no": self.split.no.as_dict(),
            }
        return plain


@dataclass(frozen=True, slots=True)
class _Found:
    gain: float
    column: int
    question: Question
    at: float


def node_from_dict(plain: Mapping[str, Any], *, columns: int, depth: int = 0) -> Node:
    """Return the tree that `as_dict` wrote, over so many columns.

    Raises:
        StoreError: HF417, when a part is missing or points outside the columns.
    """
    try:
        value, weight = float(plain["value"]), float(plain["weight"])
        if "question" not in plain:
            return Node(value, weight)
        column, question = int(plain["column"]), plain["question"]
        if not 0 <= column < columns or question not in get_args(Question) or depth >= DEPTH_MAX:
            raise ValueError(question)
        yes = node_from_dict(plain["yes"], columns=columns, depth=depth + 1)
        no = node_from_dict(plain["no"], columns=columns, depth=depth + 1)
        at, gaps = float(plain["at"]), bool(plain["gaps"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            "the saved rule cannot be used", code="HF417", hint="train again"
        ) from error
    return Node(value, weight, Split(column, cast(Question, question), at, yes, no, gaps))


def moved(node: Node, places: Sequence[int]) -> Node:
    """Return the same tree over other columns: `places[j]` is where column j is now."""
    if node.split is None:
        return node
    split = node.split
    yes, no = moved(split.yes, places), moved(split.no, places)
    return replace(node, split=replace(split, column=places[split.column], yes=yes, no=no))


def grow(matrix: Matrix, y: FloatArray, weight: FloatArray, *, depth: int) -> Node:
    """Return the tree of at most `depth` questions over at most two columns.

    The first question is the one that lowers the squared error most; below it both sides may ask
    about that column and one other (the one that helps both sides most together).
    """
    total = float(weight.sum())
    mean = float((weight * y).sum() / total)
    least = min(float(LEAF_ROWS_MIN), total * LEAF_SHARE_MIN)
    first = _best(_each_column(matrix, y, weight, least=least))
    if first is None:
        return Node(mean, total)
    yes = _answer(first.question, first.at, matrix.values[:, first.column])
    sides = {
        answer: (matrix.take(mask), y[mask], weight[mask])
        for answer, mask in (("yes", yes), ("no", ~yes))
    }
    below: dict[str, _Found | None] = {"yes": None, "no": None}
    if depth >= DEPTH_MAX:
        tried = {answer: _each_column(*side, least=least) for answer, side in sides.items()}
        second = _second_column(tried["yes"], tried["no"], first.column)
        for answer, found in tried.items():
            below[answer] = _best([f for f in found if f and f.column in (first.column, second)])
    nodes = {
        answer: _node(*sides[answer], mean=mean, found=below[answer]) for answer in ("yes", "no")
    }
    return Node(mean, total, _split(matrix, first, nodes["yes"], nodes["no"]))


def rule_lines(root: Node, names: tuple[str, ...], labels: Mapping[str, Any]) -> list[str]:
    """Return one line a leaf, as in `amount > 220 and channel is online -> 0.83`."""
    return [
        f"{' and '.join(conditions) or 'always'} -> {leaf.value:.4g}"
        for conditions, leaf in _paths(root, (), names, labels=labels)
    ]


def _paths(
    node: Node, so_far: tuple[str, ...], names: tuple[str, ...], *, labels: Mapping[str, Any]
) -> list[tuple[tuple[str, ...], Node]]:
    if node.split is None:
        return [(so_far, node)]
    split = node.split
    yes, no = _words(split, names[split.column], labels)
    return _paths(split.yes, (*so_far, yes), names, labels=labels) + _paths(
        split.no, (*so_far, no), names, labels=labels
    )


def _words(split: Split, name: str, labels: Mapping[str, Any]) -> tuple[str, str]:
    if split.question == "missing":
        return f"{name} is missing", f"{name} is known"
    if split.question == "is":
        known = labels.get(name, ())
        code = int(split.at)
        word = str(known[code]) if code < len(known) else f"#{code}"
        return f"{name} is {word}", f"{name} is not {word}"
    more, less = f"{name} > {split.at:.6g}", f"{name} <= {split.at:.6g}"
    yes, no = (more, less) if split.question == "greater" else (less, more)
    return yes, f"({no} or missing)" if split.gaps else no


def _node(
    matrix: Matrix, y: FloatArray, weight: FloatArray, *, mean: float, found: _Found | None
) -> Node:
    total = float(weight.sum())
    value = (float((weight * y).sum()) + PRIOR_ROWS * mean) / (total + PRIOR_ROWS)
    if found is None:
        return Node(value, total)
    yes = _answer(found.question, found.at, matrix.values[:, found.column])
    left, right = (
        _node(matrix.take(mask), y[mask], weight[mask], mean=mean, found=None)
        for mask in (yes, ~yes)
    )
    return Node(value, total, _split(matrix, found, left, right))


def _split(matrix: Matrix, found: _Found, yes: Node, no: Node) -> Split:
    gaps = bool(np.isnan(matrix.values[:, found.column]).any())
    return Split(found.column, found.question, found.at, yes, no, gaps)


def _answer(question: Question, at: float, column: FloatArray) -> _BoolArray:
    if question == "missing":
        return np.isnan(column)
    if question == "greater":
        return column > at
    return column <= at if question == "at_most" else column == at


def _best(found: list[_Found | None]) -> _Found | None:
    known = [each for each in found if each is not None]
    return max(known, key=lambda each: each.gain) if known else None


def _second_column(yes: list[_Found | None], no: list[_Found | None], first: int) -> int:
    """The column that, beside the first, lowers the error of both sides most."""
    gains = [[each.gain if each else 0.0 for each in side] for side in (yes, no)]
    together = [sum(max(side[first], side[j]) for side in gains) for j in range(len(gains[0]))]
    return int(np.argmax(together))


def _each_column(
    matrix: Matrix, y: FloatArray, weight: FloatArray, *, least: float
) -> list[_Found | None]:
    """The best question of each column; None where no question parts the rows."""
    total = float(weight.sum())
    if not total:
        return [None] * matrix.columns
    away = weight * (y - float((weight * y).sum()) / total)
    sums = np.column_stack([weight, away])
    floor = GAIN_MIN * float((weight * (y - y.mean()) ** 2).sum())
    found: list[_Found | None] = []
    for j, count in enumerate(matrix.categories):
        best: _Found | None = None
        for question, asked, yes in _questions(matrix.values[:, j], sums, count):
            gains = _gains(yes, total, least)
            k = int(np.argmax(gains))
            if gains[k] > max(floor, best.gain if best else 0.0):
                best = _Found(float(gains[k]), j, question, float(asked[k]))
        found.append(best)
    return found


def _questions(
    column: FloatArray, sums: FloatArray, count: int
) -> list[tuple[Question, FloatArray, FloatArray]]:
    """Question, what it may be asked at, and the two sums of the rows that answer yes."""
    known = ~np.isnan(column)
    seen, seen_sums, lost = column, sums, np.zeros(2)
    if not known.all():
        seen, seen_sums, lost = column[known], sums[known], sums[~known].sum(axis=0)
    result: list[tuple[Question, FloatArray, FloatArray]] = []
    if count and len(seen):
        levels = _binned(seen.astype(np.int64), seen_sums, count)
        result.append(("is", np.arange(count, dtype=np.float64), levels))
    elif len(seen):
        shares = np.linspace(0.0, 1.0, THRESHOLDS_MAX + 2)[:-1]
        thin = seen[:: 1 + len(seen) // QUANTILE_ROWS_MAX]
        asked = np.unique(np.quantile(thin, shares, method="lower"))
        bins = _binned(np.searchsorted(asked, seen), seen_sums, len(asked) + 1)
        at_most = np.cumsum(bins, axis=0)[:-1]
        result.append(("greater", asked, seen_sums.sum(axis=0) - at_most))
        if lost[0]:
            result.append(("at_most", asked, at_most))
    if lost[0]:
        result.append(("missing", np.zeros(1), lost[None, :]))
    return result


def _binned(bins: npt.NDArray[np.int64], sums: FloatArray, count: int) -> FloatArray:
    parts = [np.bincount(bins, weights=sums[:, k], minlength=count) for k in (0, 1)]
    return np.column_stack(parts)


def _gains(yes: FloatArray, total: float, least: float) -> FloatArray:
    """By how much the squared error falls; 0 where a side would be too small."""
    weight, away = yes[:, 0], yes[:, 1]
    rest = total - weight
    fits = (weight >= least) & (rest >= least) & (weight > 0) & (rest > 0)
    gains = np.zeros(len(yes))
    gains[fits] = away[fits] ** 2 * (1.0 / weight[fits] + 1.0 / rest[fits])
    return gains
