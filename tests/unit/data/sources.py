"""Schemas that the tests of the data layer share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from holdfast.define.schema import ColumnSchema, SourceSchema

NOW_US = 1_800_000_000_000_000

PAYMENT = SourceSchema(
    name="Payment",
    uri="payments.csv",
    kind="event",
    key="payment_id",
    event_time="paid_at",
    missing=("?",),
    where="fraud.py:8",
    columns=(
        ColumnSchema(attr="payment_id", column="payment_id", kind="key"),
        ColumnSchema(attr="paid_at", column="paid_at", kind="event_time"),
        ColumnSchema(attr="card_id", column="card-id", kind="key", to="card_id"),
        ColumnSchema(attr="amount", column="amount", kind="float", gt=0),
        ColumnSchema(attr="tries", column="tries", kind="integer", ge=0, nullable=True),
        ColumnSchema(attr="channel", column="channel", kind="category", values=("chip", "online")),
        ColumnSchema(attr="fraud", column="fraud", kind="boolean", known_after_us=86_400_000_000),
    ),
)
HEADER = "payment_id,paid_at,card-id,amount,tries,channel,fraud"
SOUND = "p1,2026-01-01T10:00:00Z,c1,10.5,1,chip,false"


def changed(schema: SourceSchema, **changes: Any) -> SourceSchema:
    """Return a schema with other settings."""
    return replace(schema, **changes)


def csv_of(folder: Path, *lines: str, name: str = "payments.csv", header: str = HEADER) -> Path:
    """Write a CSV file and return where it is."""
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path
