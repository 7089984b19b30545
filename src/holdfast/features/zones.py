"""Time zones as data: the moments at which the offset from UTC changes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.errors import DefinitionError

__all__ = ["zone_offsets"]

FIRST_YEAR, LAST_YEAR = 1970, 2070
_STEP_SECONDS = 900

Ints = npt.NDArray[np.int64]


@lru_cache(maxsize=64)
def zone_offsets(zone: str) -> tuple[Ints, Ints]:
    """Return when a zone's offset begins to hold, and the offset: int64[k] us each, ascending.

    Known from 1970 to 2070; before and after, the first and the last offset go on.

    Raises:
        DefinitionError: HF127 when there is no such zone.
    """
    if zone == "UTC":
        return np.array([np.iinfo(np.int64).min]), np.zeros(1, dtype=np.int64)
    start, stop = (datetime(year, 1, 1, tzinfo=UTC) for year in (FIRST_YEAR, LAST_YEAR))
    moments = pl.datetime_range(start, stop, f"{_STEP_SECONDS}s", time_zone="UTC", eager=True)
    shifts = _shifts(moments, zone)
    changed = np.flatnonzero(np.diff(shifts, prepend=shifts[0] - 1) != 0)
    at = moments.dt.epoch("us").to_numpy()[changed].astype(np.int64)
    at[1:] = _to_the_second(at[1:], shifts[changed[1:]], zone)
    at[0] = np.iinfo(np.int64).min
    return at, shifts[changed]


def _to_the_second(at: Ints, shifts: Ints, zone: str) -> Ints:
    """Return the first second of each new offset, from the first step that has it."""
    back = np.arange(_STEP_SECONDS, dtype=np.int64) * 1_000_000
    seconds = at[:, None] - back
    found = _shifts(pl.Series(seconds.ravel()).cast(pl.Datetime("us", "UTC")), zone)
    same = found.reshape(seconds.shape) == shifts[:, None]
    exact: Ints = at - back[np.argmin(np.c_[same, np.zeros(len(at), dtype=bool)], axis=1) - 1]
    return exact


def _shifts(moments: pl.Series, zone: str) -> Ints:
    """Return a zone's offset from UTC at some moments, us."""
    try:
        local = moments.dt.convert_time_zone(zone)
    except pl.exceptions.PolarsError as error:
        raise DefinitionError(
            f'there is no time zone "{zone}"',
            code="HF127",
            hint='use an IANA name such as "Europe/Lisbon"',
        ) from error
    offset = (local.dt.base_utc_offset() + local.dt.dst_offset()).dt.total_microseconds()
    return offset.to_numpy().astype(np.int64)
