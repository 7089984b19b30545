"""Settings from the environment, read once, here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

__all__ = ["Settings", "settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Every name begins with `HOLDFAST_`."""

    threads: int
    numba_cache: str
    data: str


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings(
        threads=int(os.environ.get("HOLDFAST_THREADS", "0")) or (os.cpu_count() or 1),
        numba_cache=os.environ.get("HOLDFAST_NUMBA_CACHE", ""),
        data=os.environ.get("HOLDFAST_DATA", ""),
    )
