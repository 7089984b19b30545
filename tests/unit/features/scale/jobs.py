"""A small job for tests: the law worlds' plan over files, cut into many tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from holdfast.data.ingest import load
from holdfast.features.plan import Plan
from holdfast.features.scale.job import Sizes
from holdfast.features.training_set import TrainingSet, build_training_set
from tests.laws.test_scale_laws import kept_whole
from tests.laws.worlds import PLANS, START, STEP

PLAN: Plan = kept_whole(PLANS["charged"])
SIZES = Sizes(chunk_rows=50, partitions=3, working_bytes=1 << 30)
ROWS = 400


def files(folder: Path, *, seed: int = 1) -> dict[str, Path]:
    """Payments, charge-backs and limits as Parquet, not in order."""
    rng = np.random.default_rng(seed)
    at = START + rng.integers(0, 200, ROWS) * STEP
    number = np.arange(ROWS)
    columns: dict[str, dict[str, Any]] = {
        "Pay": {
            "pay_id": [f"p{n}" for n in number],
            "at": at,
            "seen_at": at + rng.integers(0, 3, ROWS) * STEP,
            "card": [f"c{n}" for n in rng.integers(0, 20, ROWS)],
            "shop": [None if n == 0 else f"s{n}" for n in rng.integers(0, 9, ROWS)],
            "amount": np.round(rng.lognormal(3, 1, ROWS), 2),
            "place": [("nl", "de", None)[n] for n in rng.integers(0, 3, ROWS)],
            "online": rng.integers(0, 2, ROWS) == 1,
            "bad": rng.integers(0, 2, ROWS) == 1,
            "dispute": rng.normal(0, 1, ROWS),
            "disputed_at": at + STEP,
        },
        "Back": {
            "back_id": [f"b{n}" for n in range(0, ROWS, 5)],
            "pay_id": [f"p{n}" for n in range(0, ROWS, 5)],
            "at": at[::5] + STEP,
            "seen_at": at[::5] + 2 * STEP,
            "cost": np.ones(len(at[::5])),
        },
        "Limit": {
            "limit_id": [f"l{n}" for n in range(20)],
            "card": [f"c{n}" for n in range(20)],
            "at": at[:20],
            "most": rng.normal(100, 9, 20),
        },
    }
    found = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, held in columns.items():
        found[name] = folder / f"{name}.parquet"
        pl.DataFrame(held).write_parquet(found[name])
    return found


def in_memory(sources: dict[str, Path]) -> TrainingSet:
    """The training set of the same files, built at once."""
    tables = {
        name: load(schema, sources[name], now_us=None).table
        for name, schema in PLAN.schemas.items()
    }
    return build_training_set(PLAN, tables)
