"""Polars `rolling(..., group_by)`: exact windows, all cores; each window's frame is let go."""

from __future__ import annotations

import polars as pl

from benchmarks.peers.task import COLUMNS, KINDS, WINDOWS, measure
from holdfast.testing.worlds import EventLog


def work(log: EventLog) -> int:
    """Compute every window of every event; the bytes of the features."""
    frame = pl.DataFrame(
        {"entity": log.entity, "time": log.time_us}
        | {name: log.values[:, at] for at, name in enumerate(COLUMNS)}
    ).with_columns(pl.col("time").cast(pl.Datetime("us")))
    size = 0
    for window in WINDOWS:
        rolled = frame.rolling("time", period=window, group_by="entity", closed="left").agg(
            [
                getattr(pl.col(name), kind)().alias(f"{name}_{kind}")
                for name in COLUMNS
                for kind in KINDS
            ]
        )
        size += int(rolled.estimated_size())
    return size


measure(work)
