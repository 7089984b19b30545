"""Training sets made to measure: card payments with a value in money, demand with a cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.features.plan import FeaturePlan, LabelPlan, Plan, ValuePlan
from holdfast.features.rows import Builder, Program
from holdfast.features.training_set import TrainingSet

DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000
CHANNELS = ("chip", "contactless", "online")


@dataclass(frozen=True)
class Made:
    rows: TrainingSet
    plan: Plan
    chance: np.ndarray[Any, Any]


def payoff_program() -> Program:
    """approve = when(fraud, -amount - 15, 0.012 amount); review; decline = when(fraud, 0, -8)."""
    builder = Builder()

    def choice(then: list[Any], other: list[Any]) -> None:
        builder.input("label")
        for part in (then, other):
            for token in part:
                if isinstance(token, float):
                    builder.const(token)
                elif token == "amount":
                    builder.input("row.amount")
                else:
                    builder.op(token)
        builder.op("when")
        builder.output()

    choice(["amount", "neg", 15.0, "-"], [0.012, "amount", "*"])
    choice([-4.0], [0.012, "amount", "*", 4.0, "-"])
    choice([0.0], [-8.0])
    return builder.build()


PAYOFF = ValuePlan(
    kind="payoff",
    currency="EUR",
    decisions=("approve", "review", "decline"),
    program=payoff_program(),
)


def inventory_program() -> Program:
    builder = Builder()
    builder.input("row.margin")
    builder.output()
    builder.const(1.0)
    builder.output()
    return builder.build()


INVENTORY = ValuePlan(kind="inventory", currency="EUR", decisions=(), program=inventory_program())


def plan_of(rows: TrainingSet, value: ValuePlan, task: str) -> Plan:
    features = tuple(
        FeaturePlan(name=name, kind=kind, words=words)
        for name, kind, words in zip(rows.names, rows.kinds, rows.words, strict=True)
    )
    columns = (ColumnSchema(attr="amount", column="amount", kind="float", unit="EUR"),)
    schema = SourceSchema(name="Payment", uri="payments.csv", kind="event", columns=columns)
    return Plan(
        use_case="card-fraud",
        each="Payment",
        task=task,
        schemas={"Payment": schema},
        labels=(LabelPlan(source="Payment", kind="column", column="fraud", words="fraud"),),
        views=(),
        features=features,
        program=Program(inputs=(), code=(), constants=(), outputs=0),
        value=value,
    )


def payments(
    rows: int = 4_000,
    *,
    seed: int = 0,
    days: int = 100,
    delay_days: int = 7,
    without_time: bool = False,
    extra: int = 0,
) -> Made:
    """Payments whose chance of fraud is known: online and large is worse, noise beside it."""
    rng = np.random.default_rng(seed)
    amount = np.round(np.exp(rng.normal(3.5, 1.0, rows)), 2).astype(np.float64)
    channel = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    risk = rng.normal(size=rows)
    odds = -4.5 + 1.6 * (channel == 2) + 1.2 * risk + 0.5 * np.log(amount / 30.0)
    chance = 1.0 / (1.0 + np.exp(-odds))
    label = (rng.random(rows) < chance).astype(float)
    time_us = START_US + np.sort(rng.integers(0, days * DAY_US, rows))
    ids = np.array([category_id(name) for name in CHANNELS])
    abroad = (rng.random(rows) < 0.1).astype(float)
    usual = np.where(rng.random(rows) < 0.1, np.nan, amount * rng.uniform(0.5, 2.0, rows))
    noise = [rng.normal(size=rows) for _ in range(extra)]
    values = np.column_stack([amount, ids[channel], risk, abroad, usual, *noise])
    names = ("amount", "channel", "risk", "abroad", "usual", *(f"noise{i}" for i in range(extra)))
    kinds = ("number", "category", "number", "boolean", "number", *(["number"] * extra))
    words = ("Payment.amount", "Payment.channel", "risk", "abroad", "usual", *names[5:])
    matured = time_us + delay_days * DAY_US
    now = time_us.max()
    known = matured <= now if not without_time else np.ones(rows, dtype=bool)
    made = TrainingSet(
        names=names,
        kinds=kinds,
        words=words,
        values=values,
        context=amount[:, None].copy(),
        context_names=("row.amount",),
        label=np.where(known, label, np.nan),
        matured_us=np.where(known, matured, np.iinfo(np.int64).max),
        time_us=np.zeros(rows, dtype=np.int64) if without_time else time_us,
        known_us=np.zeros(rows, dtype=np.int64) if without_time else time_us,
        cluster=np.arange(rows) if without_time else rng.integers(0, rows // 10, rows),
        rows=pl.DataFrame({"amount": amount}),
        categories={"channel": dict(zip(map(float, ids), CHANNELS, strict=True))},
        without_time=without_time,
    )
    return Made(made, plan_of(made, PAYOFF, "binary"), chance)


def demand(rows: int = 3_000, *, seed: int = 0) -> Made:
    """Units sold: known up to noise, with a margin that differs by row."""
    rng = np.random.default_rng(seed)
    level, trend = rng.uniform(5, 50, rows), rng.normal(size=rows)
    units = np.maximum(level + 3.0 * trend + rng.normal(0.0, 4.0, rows), 0.0)
    time_us = START_US + np.sort(rng.integers(0, 200 * DAY_US, rows))
    margin = rng.uniform(1.0, 6.0, rows)
    made = TrainingSet(
        names=("level", "trend"),
        kinds=("number", "number"),
        words=("level", "trend"),
        values=np.column_stack([level, trend]),
        context=margin[:, None].copy(),
        context_names=("row.margin",),
        label=units,
        matured_us=time_us + 7 * DAY_US,
        time_us=time_us,
        known_us=time_us,
        cluster=rng.integers(0, 100, rows),
        rows=pl.DataFrame({"margin": margin}),
        categories={},
    )
    return Made(made, plan_of(made, INVENTORY, "regression"), units)
