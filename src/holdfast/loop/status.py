"""What a use case is at now: its model, what it is worth, and what was served."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.core.clock import iso
from holdfast.define.use_case import UseCase
from holdfast.features.log import SPACES
from holdfast.serving.prediction_log import PredictionLog
from holdfast.stores.base import ModelRecord
from holdfast.stores.open import open_online

__all__ = ["status_of"]


def status_of(
    use_case: UseCase, *, definition: Path, records: Sequence[ModelRecord], online: str
) -> dict[str, Any]:
    """Return one use case as plain data; `online`: the URL of its store, "" before it served."""
    current = next((r for r in reversed(records) if r.status == "current"), None)
    return {
        "definition": definition.name,
        "owner": use_case.owner,
        "models": len(records),
        "current": None if current is None else current.version,
        "kind": None if current is None else current.kind,
        "metrics": None if current is None else current.metrics,
        **_served(online),
    }


def _served(url: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"predictions": 0, "latest": None, "latest_at": None}
    if not url:
        return nothing
    with (
        open_online(url, spaces=SPACES) as store,
        store.transaction(write=False) as txn,
    ):
        latest = PredictionLog().latest(txn)
        count = txn.count("predictions")
    if latest is None:
        return nothing
    at = iso(latest.at_us)
    return {"predictions": count, "latest": latest.prediction_id, "latest_at": at}
