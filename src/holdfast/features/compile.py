"""Compiling: the one door to Numba, with the settings that keep bits equal everywhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.core.settings import settings

__all__ = ["cache_problem", "njit"]


def _prepare() -> str:
    """Switch vector math off and choose a cache folder; return why there is none, or ""."""
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")
    wanted = settings().numba_cache
    if wanted:
        os.environ["NUMBA_CACHE_DIR"] = wanted
    elif "NUMBA_CACHE_DIR" not in os.environ:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast"
        os.environ["NUMBA_CACHE_DIR"] = str(home / "numba")
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder} cannot be written: {error.strerror or error}"


cache_problem = _prepare()
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
