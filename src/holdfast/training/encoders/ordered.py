"""Statistics of a category as they stood before each row: no row sees itself or its future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from holdfast.training.encoders.base import Floats, Ints

__all__ = ["Sums", "sums_before", "sums_elsewhere", "sums_of"]


@dataclass(frozen=True, eq=False)
class Sums:
    """Rows counted and labels summed, of a category and of all; an entry a row, or a category."""

    count: Floats
    total: Floats
    all_count: Floats
    all_total: Floats


def sums_of(codes: Ints, y: Floats, categories: int) -> Sums:
    """Return the sums of each category over all rows; `codes` int64[n], -1 for missing."""
    there = codes >= 0
    count = np.bincount(codes[there], minlength=categories).astype(np.float64)
    total = np.bincount(codes[there], weights=y[there], minlength=categories).astype(np.float64)
    every = np.add.accumulate(y)[-1] if len(y) else 0.0
    return Sums(count, total, np.full(categories, float(len(y))), np.full(categories, every))


def sums_before(codes: Ints, y: Floats, *, asked_us: Ints, counted_us: Ints) -> Sums:
    """Return, for each row, the sums over the rows counted strictly before it asks.

    A row counts from `counted_us` on and asks at `asked_us`; it never counts for itself, also
    where it counts before it asks. Sums run from the earliest counted to the latest, so rows
    counted later do not change a bit.
    """
    rows = len(codes)
    order = np.argsort(counted_us, kind="stable")
    counted = counted_us[order]
    # A row that counts before it asks would see itself: it then asks as of when it counted.
    place = np.searchsorted(counted, np.minimum(asked_us, counted_us), side="left")
    of, values = codes[order], y[order]
    run = pl.DataFrame({"of": of, "y": values}).select(
        count=pl.col("y").cum_count().over("of"), total=pl.col("y").cum_sum().over("of")
    )
    by = np.argsort(of, kind="stable")
    keys = of[by] * (rows + 1) + by
    at = np.searchsorted(keys, codes * (rows + 1) + place, side="left") - 1
    found = (at >= 0) & (codes >= 0) & (of[by][at] == codes)
    last = by[np.maximum(at, 0)]
    every = np.concatenate([[0.0], np.add.accumulate(values)])
    return Sums(
        np.where(found, run.get_column("count").to_numpy()[last], 0).astype(np.float64),
        np.where(found, run.get_column("total").to_numpy()[last], 0.0),
        place.astype(np.float64),
        every[place],
    )


def sums_elsewhere(codes: Ints, y: Floats, *, folds: Ints) -> Sums:
    """Return, for each row, the sums over the rows of other folds."""
    rows = len(codes)
    categories = int(codes.max(initial=0)) + 1
    parts = Sums(*(np.zeros(rows) for _ in range(4)))
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        found, mine = sums_of(codes[outside], y[outside], categories), codes[inside]
        parts.count[inside] = np.where(mine >= 0, found.count[mine], 0.0)
        parts.total[inside] = np.where(mine >= 0, found.total[mine], 0.0)
        parts.all_count[inside], parts.all_total[inside] = found.all_count[0], found.all_total[0]
    return parts
