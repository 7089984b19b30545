"""Compiling everything once, before somebody waits: `python -m holdfast.features.warm_up`."""

from __future__ import annotations

import numpy as np

from holdfast.features.engine import view
from holdfast.features.future import look_around
from holdfast.features.holidays import count_days
from holdfast.features.labels import KINDS, Counted, aggregate_ahead
from holdfast.features.rows import Builder, run

__all__ = ["warm_up"]


def warm_up() -> None:
    """Compile the engine, row programs and labels, or read them from the disk."""
    view.warm_up()
    builder = Builder()
    builder.const(1.0)
    builder.output()
    run(builder.build(), np.empty((1, 0)))
    whole, span = np.zeros(1, dtype=np.int64), np.array([0, 1], dtype=np.int64)
    records = Counted(whole, whole, whole, np.ones(1), whole)
    aggregate_ahead(KINDS["any"], whole, whole, whole, whole, whole, span, records, 1)
    count_days(np.zeros(3, dtype=np.int64), whole, span, whole, whole, whole)
    windows, spans, nothing = whole.repeat(2)[None], whole.repeat(3)[None] - 1, np.zeros((0, 1))
    places = (whole, whole, whole, whole, span, whole, whole, whole)
    look_around(windows, spans, False, *places, nothing)


if __name__ == "__main__":
    warm_up()
