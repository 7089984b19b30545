"""DuckDB window functions with RANGE frames."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from benchmarks.peers.task import COLUMNS, KINDS, WINDOWS, measure
from holdfast.testing.worlds import EventLog

FUNCTION = {"mean": "avg"}


def work(log: EventLog) -> int:
    """Compute every window of every event as Arrow; its bytes."""
    table = pa.table(
        {"entity": log.entity, "time": log.time_us}
        | {name: log.values[:, at] for at, name in enumerate(COLUMNS)}
    )
    selected = ", ".join(
        f"{FUNCTION.get(kind, kind)}({name}) OVER w{label} AS {name}_{kind}_{label}"
        for label in WINDOWS
        for name in COLUMNS
        for kind in KINDS
    )
    frames = ", ".join(
        f"w{label} AS (PARTITION BY entity ORDER BY time RANGE BETWEEN {span} PRECEDING "
        "AND 1 PRECEDING)"
        for label, span in WINDOWS.items()
    )
    with duckdb.connect() as connection:
        connection.register("log", table)
        found = connection.sql(f"SELECT {selected} FROM log WINDOW {frames}")
        return int(found.to_arrow_table().nbytes)


measure(work)
