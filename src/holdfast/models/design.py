"""The table a linear model learns from: standardised numbers, marks of missing, one-hot codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from holdfast.models.base import FloatArray, Matrix

__all__ = ["Design"]

SCALE_MIN = 1e-12  # of the mean's size; a column that moves less is constant
NUMBER_MAX = 1e150  # size of a number; squares of it stay finite
DENSE_MAX = 1e30  # size of a standardised number; some estimators compute in float32


@dataclass(frozen=True, slots=True)
class Design:
    """Statistics of the columns but the wide ones. `scale` is 0 for one that says nothing.

    The table has, in this order: one standardised column a number (missing -> the median); one
    mark for each number in `marked`, those with some but not all values missing; for each category
    its codes and one more for missing or unseen.
    """

    numbers: tuple[int, ...]
    mean: FloatArray
    scale: FloatArray
    median: FloatArray
    marked: tuple[int, ...]
    groups: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, matrix: Matrix) -> Design:
        """Return the statistics of the training rows."""
        counts = matrix.categories[: matrix.values.shape[1]]
        numbers = tuple(j for j, count in enumerate(counts) if not count)
        groups = tuple(j for j, count in enumerate(counts) if count)
        stats = np.zeros((len(numbers), 3))
        marked = []
        for i, j in enumerate(numbers):
            column = matrix.values[:, j]
            missing = np.isnan(column)
            if missing.all():
                continue
            median = float(np.median(column[~missing]))
            filled = np.where(missing, median, column)
            mean, scale = float(filled.mean()), float(filled.std())
            stats[i] = mean, scale if scale > SCALE_MIN * abs(mean) else 0.0, median
            if missing.any():
                marked.append(i)
        return cls(
            numbers=numbers,
            mean=stats[:, 0].copy(),
            scale=stats[:, 1].copy(),
            median=stats[:, 2].copy(),
            marked=tuple(marked),
            groups=groups,
            sizes=tuple(counts[j] for j in groups),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else list(value)
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Design:
        """Return what `as_dict` wrote; KeyError, TypeError or ValueError when it is broken."""
        mean, scale, median = (
            np.array(plain[key], np.float64) for key in ("mean", "scale", "median")
        )
        numbers, marked, groups, sizes = (
            tuple(int(j) for j in plain[key]) for key in ("numbers", "marked", "groups", "sizes")
        )
        if not len(mean) == len(scale) == len(median) == len(numbers) or len(groups) != len(sizes):
            raise ValueError("lengths differ")
        return cls(
            numbers=numbers,
            mean=mean,
            scale=scale,
            median=median,
            marked=marked,
            groups=groups,
            sizes=sizes,
        )

    @property
    def safe_scale(self) -> FloatArray:
        """The scale, with 1 for constant columns, to divide by."""
        return np.where(self.scale > 0, self.scale, 1.0)

    def table(self, values: FloatArray) -> Any:
        """Return the table as a numpy array, or as a sparse one where there are categories."""
        numbers = self._numbers(values)
        if not self.groups:
            return numbers
        rows = np.arange(len(values), dtype=np.int32)
        blocks = [sparse.csr_matrix(numbers)]
        for codes, size in zip(self._codes(values), self.sizes, strict=True):
            hot = (np.ones(len(values)), (rows, codes.astype(np.int32)))
            blocks.append(sparse.csr_matrix(hot, shape=(len(values), size + 1)))
        return sparse.hstack(blocks, format="csr")

    def dense(self, values: FloatArray) -> FloatArray:
        """Return the table as a numpy array; each element by itself, so one row == many rows."""
        blocks = [np.clip(self._numbers(values), -DENSE_MAX, DENSE_MAX)]
        for codes, size in zip(self._codes(values), self.sizes, strict=True):
            blocks.append((codes[:, None] == np.arange(size + 1)).astype(np.float64))
        return np.hstack(blocks)

    def _numbers(self, values: FloatArray) -> FloatArray:
        x = np.clip(values[:, list(self.numbers)], -NUMBER_MAX, NUMBER_MAX)
        missing = np.isnan(x)
        filled = np.where(missing, self.median, x)
        flat = np.where(self.scale > 0, (filled - self.mean) / self.safe_scale, 0.0)
        return np.hstack([flat, missing[:, list(self.marked)].astype(np.float64)])

    def _codes(self, values: FloatArray) -> list[npt.NDArray[np.int64]]:
        result = []
        for j, size in zip(self.groups, self.sizes, strict=True):
            column = values[:, j]
            inside = (column >= 0) & (column < size)
            result.append(np.where(inside, column, size).astype(np.int64))
        return result
