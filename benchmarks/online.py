"""The online store: reads, updates and streams in memory, on LMDB and on Redis, beside Feast.

Feast runs in its own Python where `HOLDFAST_BENCH_FEAST` names one that has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import holdfast as hf
from benchmarks.report import Report
from holdfast.errors import StoreError
from holdfast.features.backfill import backfill
from holdfast.features.compile_plan import compile_plan
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.stream import replay_many
from holdfast.stores.base import OnlineStore
from holdfast.stores.open import open_online

ENTITIES, FILL, STREAM, READS = 1_000, 30_000, 60_000, 3_000
BATCH = 1_000
FIRST_US, STEP_US = 1_767_225_600_000_000, 20_000_000
FEAST = os.environ.get("HOLDFAST_BENCH_FEAST", "")
REDIS = "redis://127.0.0.1:6379/0?prefix=holdfast-bench:"

Card = hf.Entity("card")


class Payment(hf.Event, source="payments.parquet"):
    at = hf.EventTime()
    card = hf.Key(Card)
    amount = hf.Float()
    bad = hf.Boolean(known_after="1d", nullable=True)


by_card = Payment.by(Card)


def _features() -> type[hf.Features]:
    """Return 15 features of one column: five aggregations over an hour, a day and 30 days."""
    found: dict[str, Any] = {}
    for window in ("1h", "1d", "30d"):
        found[f"count_{window}"] = by_card.count(over=window)
        for kind in ("sum", "mean", "min", "max"):
            found[f"{kind}_{window}"] = getattr(by_card, kind)(Payment.amount, over=window)
    return type("Features", (hf.Features,), found)


PLAN = compile_plan(
    hf.UseCase(
        name="online", owner="benchmarks", each=Payment, predict=Payment.bad,
        features=_features(), value=hf.Payoff("EUR", yes=hf.when(Payment.bad, -1, 1), no=0),
        training=hf.Training(candidates=[hf.LogisticRegression()]),
    )
)  # fmt: skip


def _rows(first: int, count: int) -> list[dict[str, Any]]:
    chance = np.random.default_rng(first)
    cards, amounts = chance.integers(0, ENTITIES, count), chance.random(count)
    return [
        {"at": FIRST_US + (first + n) * STEP_US, "card": f"c{card}", "amount": amount, "bad": None}
        for n, (card, amount) in enumerate(zip(cards.tolist(), amounts.tolist(), strict=True))
    ]


def run(_data: Path) -> Report:
    """Return microseconds per read and update, and events per second of streams."""
    report = Report("online")
    reads: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, opened in _stores(Path(folder)).items():
            try:
                with opened() as store:
                    reads[name] = _measured(report, name, store)
            except StoreError as error:
                report.facts[name] = f"left out: {error.what}"
    for store in ("redis", "sqlite"):
        found = _feast(store)
        if found is None:
            report.facts[f"feast on {store}"] = "left out: HOLDFAST_BENCH_FEAST names no Python"
            continue
        report.add(f"feast on {store}: read 15 features, us", found["p50_us"])
        if store == "redis":
            ratio = found["p50_us"] / reads["lmdb, no flush"]
            report.add(
                "feast on redis: times the read of holdfast on LMDB", ratio,
                goal=">= 50", holds=ratio >= 50,
            )  # fmt: skip
            if "redis" in reads:
                report.add(
                    "feast on redis: times the read of holdfast on redis",
                    found["p50_us"] / reads["redis"],
                )
    return report


def _stores(folder: Path) -> dict[str, Callable[[], Any]]:
    return {
        "memory": lambda: open_online("memory://", spaces=SPACES),
        "lmdb, no flush": lambda: open_online(
            f"lmdb://{folder / 'loose'}", spaces=SPACES, sync_on_commit=False
        ),
        "lmdb, durable": lambda: open_online(f"lmdb://{folder / 'durable'}", spaces=SPACES),
        "redis": _redis,
    }


@contextmanager
def _redis() -> Iterator[OnlineStore]:
    with open_online(f"{REDIS}{uuid.uuid4().hex}", spaces=SPACES, exclusive=True) as store:
        try:
            yield store
        finally:
            with store.transaction(write=True) as txn:
                for space in SPACES:
                    txn.clear(space)


def _measured(report: Report, name: str, store: OnlineStore) -> float:
    """Measure one store; return the median of a read in microseconds."""
    online = OnlineFeatures(PLAN)
    _stream(online, store, _rows(0, FILL), BATCH)
    durable = name == "lmdb, durable"
    rate = STREAM / _stream(online, store, _rows(FILL, STREAM), BATCH)
    goal = {"lmdb, no flush": 150_000, "lmdb, durable": 60_000}.get(name, 0)
    report.add(
        f"{name}: stream in batches of {BATCH:,}, log and state, events/s", rate,
        goal=f">= {goal:,}" if goal else "", holds=rate >= goal,
    )  # fmt: skip
    few = 300 if durable or name == "redis" else 3_000
    spent = _stream(online, store, _rows(FILL + STREAM, few), 1)
    report.add(f"{name}: one event a transaction, us", spent / few * 1e6)
    last = FIRST_US + (FILL + STREAM + few) * STEP_US
    took = []
    for at, row in enumerate(_rows(7, READS)):
        asked = {**row, "at": last + at}
        began = perf_counter()
        with store.transaction(write=False) as txn:
            online.read(txn, asked)
        took.append(perf_counter() - began)
    report.add(f"{name}: read 15 features of one entity, us", float(np.median(took)) * 1e6)
    if name == "memory":
        view, state = online.views[0].view, b""
        values, moments = np.array([1.0]), FIRST_US + np.arange(READS) * STEP_US
        for moment in moments.tolist():
            state = view.update(state, moment, values)
        began = perf_counter()
        for moment in moments.tolist():
            view.read_update(state, moment, values)
        spent = (perf_counter() - began) / READS * 1e6
        report.add("the engine alone: read and update one event, us", spent)
    if name == "lmdb, no flush":
        began = perf_counter()
        backfill(online, store, {"Payment": _table()})
        report.add(
            "rebuild from the log, events/s", (FILL + STREAM + few) / (perf_counter() - began)
        )
    return float(np.median(took)) * 1e6


def _table() -> Any:
    import polars as pl

    from holdfast.data.table import TYPES, Table

    schema = PLAN.schemas["Payment"]
    types = {column.attr: TYPES[column.kind] for column in schema.columns}
    return Table.of(schema, pl.DataFrame(schema=types))


def _stream(
    online: OnlineFeatures, store: OnlineStore, rows: list[dict[str, Any]], batch: int
) -> float:
    """Return the seconds to accept and fold rows, `batch` to a transaction."""
    began = perf_counter()
    for start in range(0, len(rows), batch):
        with store.transaction(write=True) as txn:
            replay_many(online, txn, "Payment", rows[start : start + batch])
    return perf_counter() - began


def _feast(store: str) -> dict[str, float] | None:
    if not FEAST:
        return None
    script = Path(__file__).parent / "peers" / "feast_online.py"
    told = subprocess.run(
        [FEAST, str(script), store, "500"], capture_output=True, check=True, text=True
    )
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found
