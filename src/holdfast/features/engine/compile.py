"""Compiling: the one door to Numba, with the settings that keep bits equal everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.core.native import prepare_numba

__all__ = ["cache_problem", "is_compiled", "njit"]


_cache, cache_problem = prepare_numba(Path(__file__).parent.glob("*.py"))
"""Why compiled code is not kept between processes; "" when it is."""

import numba  # noqa: E402  (the environment must be set before Numba reads it)


def njit(function: Callable[..., Any]) -> Any:
    """Compile a function: no fast math, no fused multiply-add, no lock held, kept on disk.

    A sum gives the same bits in a column and in one row, on this machine and on the next.
    """
    return numba.njit(
        function,
        cache=not cache_problem,
        nogil=True,
        fastmath=False,
        error_model="numpy",
        boundscheck=False,
    )


def is_compiled() -> bool:
    """Return whether compiled code of these sources is on the disk already."""
    try:
        return not cache_problem and any(_cache.rglob("passes.*.nbi"))
    except OSError:  # a folder that cannot be read keeps nothing for us
        return False
