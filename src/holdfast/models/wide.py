"""Wide columns: thousands of words, almost all 0, beside the numbers and categories of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from holdfast.errors import ContractError
from holdfast.models.base import FloatArray, Matrix

__all__ = ["DENSE_MAX", "ROW_COLUMNS_MAX", "column_of", "dense", "stacked", "telling"]

DENSE_MAX = 100_000_000  # rows x columns that are written out in full
ROW_COLUMNS_MAX = 1_000  # columns that are written out in full


def stacked(matrix: Matrix) -> Any:
    """Return all columns: the values as they are, or one csr_matrix where there are wide ones.

    In it a number is stored even where it is 0, so that only a word that does not occur is absent.
    """
    if matrix.wide is None:
        return matrix.values
    rows, narrow = matrix.values.shape
    held = (
        matrix.values.ravel(),
        np.tile(np.arange(narrow, dtype=np.int32), rows),
        np.arange(rows + 1, dtype=np.int64) * narrow,
    )
    numbers = sparse.csr_matrix(held, shape=(rows, narrow))
    return sparse.hstack([numbers, matrix.wide], format="csr") if narrow else matrix.wide


def dense(matrix: Matrix, who: str) -> Matrix:
    """Return the same columns written out in full.

    Raises:
        ContractError: HF423, when there are too many of them.
    """
    if matrix.wide is None:
        return matrix
    if matrix.columns > ROW_COLUMNS_MAX or matrix.columns * matrix.rows > DENSE_MAX:
        raise ContractError(
            f"{who} takes at most {ROW_COLUMNS_MAX:,} columns and {DENSE_MAX:,} numbers; "
            f"these are {matrix.rows:,} rows of {matrix.columns:,} columns",
            code="HF423",
            hint="reduce the words: `hf.tfidf(..., components=100)`; or use "
            "hf.LogisticRegression or hf.LightGBM, which take words as they are",
        )
    values = np.hstack([matrix.values, matrix.wide.toarray()])
    return Matrix(values, matrix.names, matrix.categories)


def column_of(matrix: Matrix, column: int) -> FloatArray:
    """Return one column, float64[n]."""
    narrow = matrix.values.shape[1]
    if column < narrow:
        found: FloatArray = matrix.values[:, column]
        return found
    return np.asarray(matrix.wide[:, [column - narrow]].toarray(), np.float64)[:, 0]


def telling(matrix: Matrix, y: FloatArray, weight: FloatArray, most: int) -> list[int]:
    """Return the wide columns whose rows differ most from the others in their label.

    By the share of the label's squared error that the words' presence takes away; at most `most`,
    in the order of the columns.
    """
    if matrix.wide is None:
        return []
    there = matrix.wide.copy()
    there.data = np.ones_like(there.data)
    total = float(weight.sum())
    away = weight * (y - float((weight * y).sum()) / total)
    count, moved = np.asarray(there.T @ weight), np.asarray(there.T @ away)
    rest = total - count
    parts = (count > 0.0) & (rest > 0.0)
    gain = np.zeros(len(count))
    gain[parts] = moved[parts] ** 2 * (1.0 / count[parts] + 1.0 / rest[parts])
    best = np.sort(np.argsort(-gain, kind="stable")[:most])
    return [int(j) + matrix.values.shape[1] for j in best]
