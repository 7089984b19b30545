"""Entity keys as small whole numbers, shared by the tables that meet in one view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["joint_codes"]

Codes = npt.NDArray[np.int32]


def joint_codes(sides: Sequence[tuple[pl.DataFrame, tuple[str, ...]]]) -> tuple[list[Codes], int]:
    """Return codes 0..k-1 of the keys of several tables, equal where the keys are equal, and k.

    A row with a missing key has code -1. Codes follow the keys' first appearance, the first
    table first, so they do not depend on later rows.
    """
    lengths = [frame.height for frame, _ in sides]
    width = len(sides[0][1])
    total = np.zeros(sum(lengths), dtype=np.int64)
    missing = np.zeros(sum(lengths), dtype=bool)
    for part in range(width):
        column = pl.concat([frame.get_column(attrs[part]).alias("key") for frame, attrs in sides])
        codes, count = _codes(column)
        missing |= column.is_null().to_numpy()
        total = total * count + codes
        if part:
            total, count = _codes(pl.Series("key", total))
    keys = int(total.max()) + 1 if len(total) else 0
    result = total.astype(np.int32)
    result[missing] = -1
    ends = np.cumsum(lengths)
    return [result[end - n : end] for end, n in zip(ends, lengths, strict=True)], keys


def _codes(column: pl.Series) -> tuple[npt.NDArray[np.int64], int]:
    """Return the rank of each value's first appearance, and how many values there are."""
    distinct = column.unique(maintain_order=True)
    index = pl.DataFrame({"key": distinct, "code": np.arange(len(distinct), dtype=np.int64)})
    joined = column.to_frame("key").join(
        index, on="key", how="left", nulls_equal=True, maintain_order="left"
    )
    return joined.get_column("code").to_numpy().astype(np.int64), max(len(distinct), 1)
