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
_STEP = "15m"

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
    moments = pl.datetime_range(start, stop, _STEP, time_zone="UTC", eager=True)
    try:
        local = moments.dt.convert_time_zone(zone)
    except pl.exceptions.PolarsError as error:
        raise DefinitionError(
            f'there is no time zone "{zone}"',
            code="HF127",
            hint='use an IANA name such as "Europe/Lisbon"',
        ) from error
    offset = (local.dt.base_utc_offset() + local.dt.dst_offset()).dt.total_microseconds()
    shifts = offset.to_numpy().astype(np.int64)
    changed = np.flatnonzero(np.diff(shifts, prepend=shifts[0] - 1) != 0)
    at = moments.dt.epoch("us").to_numpy()[changed].astype(np.int64)
    at[0] = np.iinfo(np.int64).min
    return at, shifts[changed]
