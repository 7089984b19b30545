"""Settings from the environment, read once, here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from holdfast.errors import ConfigError

__all__ = ["Settings", "settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Every name begins with `HOLDFAST_`."""

    threads: int
    numba_cache: str
    data: str


@cache
def settings() -> Settings:
    """Return the settings of this process.

    Raises:
        ConfigError: HF714 when one of them cannot be read.
    """
    return Settings(
        threads=_threads(os.environ.get("HOLDFAST_THREADS", "0")) or (os.cpu_count() or 1),
        numba_cache=os.environ.get("HOLDFAST_NUMBA_CACHE", ""),
        data=os.environ.get("HOLDFAST_DATA", ""),
    )


def _threads(text: str) -> int:
    if not text.strip().isdecimal():
        raise ConfigError(
            f'HOLDFAST_THREADS is "{text}", which is no number of threads',
            code="HF714",
            site="the environment",
            hint="set it to a whole number, such as 2; 0 takes every core",
        )
    return int(text)
