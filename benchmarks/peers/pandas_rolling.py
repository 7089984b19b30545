"""pandas `groupby(...).rolling(...)`, one column and window after the other."""

from __future__ import annotations

import pandas as pd

from benchmarks.peers.task import COLUMNS, KINDS, WINDOWS, measure
from holdfast.testing.worlds import EventLog


def work(log: EventLog) -> int:
    """Compute every window of every event; the bytes of the features."""
    frame = pd.DataFrame(log.values, columns=list(COLUMNS))
    frame["entity"] = log.entity
    frame.index = pd.to_datetime(log.time_us, unit="us")
    size = 0
    for window in WINDOWS:
        groups = frame.groupby("entity")[list(COLUMNS)]
        rolling = groups.rolling(window.replace("d", "D"), closed="left")
        size += int(rolling.agg(list(KINDS)).to_numpy().nbytes)
    return size


measure(work)
