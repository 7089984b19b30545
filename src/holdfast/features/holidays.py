"""Public holidays around a moment: the dates in the plan, and one function that counts them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.features.engine.compile import njit
from holdfast.features.zones import zone_offsets

__all__ = ["MEASURES", "HolidayPlan", "HolidayTable", "HolidayWindow", "count_days"]

MEASURES = {"count": 0, "is": 0, "days_to": 1, "days_since": 2}

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class HolidayWindow:
    """What is asked of the local day of a moment in a zone, or of the days around it.

    `begin`, `end`: the window `[today + begin, today + end)` of a count.
    """

    measure: str
    zone: str
    begin: int = 0
    end: int = 1


@dataclass(frozen=True, kw_only=True)
class HolidayPlan:
    """The public holidays of one country and what is asked of them; serving needs nothing else.

    `days`: days since 1970-01-01, ascending; `first_day` to `last_day` is what they cover.
    `package`: where they came from. A country has about 1,300 days, 9 kB in a bundle.
    """

    country: str
    package: str
    first_day: int
    last_day: int
    days: tuple[int, ...]
    windows: tuple[HolidayWindow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            **asdict(self),
            "days": list(self.days),
            "windows": [asdict(w) for w in self.windows],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> HolidayPlan:
        """Return the plan that `as_dict` wrote."""
        windows = tuple(HolidayWindow(**window) for window in data["windows"])
        return cls(**{**data, "days": tuple(data["days"]), "windows": windows})


class HolidayTable:
    """The windows of one `HolidayPlan`, for the rows of a table or for one row: the same code."""

    def __init__(self, plan: HolidayPlan) -> None:
        self.plan = plan
        self._days = np.array(plan.days, dtype=np.int64)
        self._cover = np.array([plan.first_day, plan.last_day], dtype=np.int64)
        self._zones = [zone_offsets(window.zone) for window in plan.windows]

    def at(self, times_us: Ints) -> Floats:
        """Return the windows at some moments, float64[n, K]; missing where no day is known."""
        found = np.empty((len(times_us), len(self.plan.windows)), dtype=np.float64)
        for index, window in enumerate(self.plan.windows):
            asked = np.array([MEASURES[window.measure], window.begin, window.end], dtype=np.int64)
            moments, shifts = self._zones[index]
            found[:, index] = count_days(asked, self._days, self._cover, moments, shifts, times_us)
        return found


@njit
def count_days(asked, days, cover, moments, shifts, times):  # type: ignore[no-untyped-def]
    """Return what the local day of each moment has to do with some days, float64[n].

    `asked`: measure, begin and end of the window. `moments`, `shifts`: the zone, as
    `zone_offsets`. Missing where a day that is asked about lies outside `cover`.
    """
    out = np.full(len(times), np.nan)
    for row in range(len(times)):
        at = np.searchsorted(moments, times[row], side="right") - 1
        today = (times[row] + shifts[max(at, 0)]) // 86_400_000_000
        low, high = today, today + 1
        if asked[0] == 0:
            low, high = today + asked[1], today + asked[2]
        if low < cover[0] or high - 1 > cover[1]:
            continue
        if asked[0] == 0:
            out[row] = np.searchsorted(days, high) - np.searchsorted(days, low)
        elif asked[0] == 1:
            following = np.searchsorted(days, today)
            if following < len(days):
                out[row] = days[following] - today
        else:
            before = np.searchsorted(days, today, side="right") - 1
            if before >= 0:
                out[row] = today - days[before]
    return out
