"""Golden bits: another version or processor that changes a bit is noticed here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from holdfast.features.engine.operators import OPERATORS, AggregateSpec, ViewSpec
from holdfast.features.engine.view import ABI, View

HOUR = 3_600_000_000
KINDS = sorted(OPERATORS)
PARAMS = {"": 0, "nth": 2, "half_life_us": 5 * HOUR, "gap_us": HOUR, "millionths": 900_000}


def test_the_bits_are_those_of_the_golden_file(golden: Callable[[Path, str], None]) -> None:
    spec = ViewSpec(
        1,
        tuple(
            AggregateSpec(kind, 0, window, param=PARAMS[OPERATORS[kind].param])
            for kind in KINDS
            for window in ((0,) if OPERATORS[kind].all_time else (HOUR, 48 * HOUR, 0))
        ),
    )
    rows = 400
    place = np.arange(rows, dtype=np.int64)
    result = View(spec).replay(
        entity=(place % 3).astype(np.int32),
        time=place * 977_000_000 - (place % 7 == 0) * 5 * HOUR,
        action=np.full(rows, 3, dtype=np.int8),
        value_row=place,
        values=((place * 7919 % 101) / 7.0 - 3.0)[:, None],
        out_row=place,
        outputs=rows,
    )
    shown = {
        "abi": ABI,
        "rows": [[float(x).hex() for x in row] for row in result.values[40::60]],
    }
    path = Path(__file__).parents[2] / "golden" / "engine_bits.json"
    golden(path, json.dumps(shown, indent=1) + "\n")
