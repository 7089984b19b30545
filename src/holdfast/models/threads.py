"""How many threads a model may use: few, because waiting threads cost more than small tables."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

__all__ = ["one_thread", "threads_for"]

CELLS_PER_THREAD = 20_000_000  # rows x columns below which another thread does not pay


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which numpy, scipy and scikit-learn compute on one thread.

    Sums then have the same bits whatever the number of cores.
    """
    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


def threads_for(cells: int, most: int) -> int:
    """Return how many threads a table of so many cells is worth, at least 1.

    >>> threads_for(1_000, 8), threads_for(70_000_000, 8), threads_for(10**9, 8)
    (1, 3, 8)
    """
    return max(1, min(most, cells // CELLS_PER_THREAD))
