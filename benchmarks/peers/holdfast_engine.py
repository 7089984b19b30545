"""Holdfast's engine, two threads."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.peers.task import COLUMNS, KINDS, WINDOWS, measure
from holdfast.features.engine.operators import AggregateSpec, ViewSpec
from holdfast.features.engine.view import View
from holdfast.testing.worlds import EventLog

THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
SPEC = ViewSpec(
    len(COLUMNS),
    tuple(
        AggregateSpec(kind, column, window)
        for window in WINDOWS.values()
        for column in range(len(COLUMNS))
        for kind in KINDS
    ),
)


def work(log: EventLog) -> int:
    """Read the features of every event before it is folded; the bytes they take."""
    rows = np.arange(len(log), dtype=np.int64)
    result = View(SPEC).replay(
        entity=log.entity,
        time=log.time_us,
        action=np.full(len(log), 3, dtype=np.int8),
        value_row=rows,
        values=log.values,
        out_row=rows,
        outputs=len(log),
        threads=THREADS,
    )
    return result.values.nbytes


measure(work)
