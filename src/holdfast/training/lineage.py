"""Lineage: everything that is needed to train the same model again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from holdfast.core.fingerprint import fingerprint
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Candidate

__all__ = ["LIBRARIES", "data_fingerprint", "lineage"]

LIBRARIES = (
    "holdfast", "numpy", "numba", "polars", "scipy", "scikit-learn", "lightgbm", "xgboost-cpu",
)  # fmt: skip
DIGITS = 16  # hexadecimal digits of a fingerprint


def lineage(
    rows: TrainingSet, plan: Plan, *, candidates: Sequence[Candidate], seed: int
) -> dict[str, Any]:
    """Return the fingerprints of data and definition, parameters, seed and versions, as JSON data.

    The same on every machine with the same data, definition and libraries.
    """
    return {
        "data": data_fingerprint(rows),
        "rows": len(rows),
        "definition": fingerprint(plan.as_dict()),
        "features": plan.fingerprint,
        "candidates": [{"kind": c.kind, "parameters": c.parameters()} for c in candidates],
        "seed": seed,
        "versions": {name: _version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def data_fingerprint(rows: TrainingSet) -> str:
    """Return 16 hexadecimal digits naming features, texts, labels and times of a training set."""
    digest = hashlib.sha256()
    digest.update(fingerprint([list(rows.names), list(rows.context_names)]).encode())
    for part in (rows.values, rows.context, rows.label[:, None]):
        for column in range(part.shape[1]):
            numbers = np.array(part[:, column], dtype="<f8")
            numbers[np.isnan(numbers)] = np.nan  # one pattern of bits for what is missing
            digest.update(numbers.tobytes())
    for name in sorted(rows.texts):
        for text in rows.texts[name].to_list():
            digest.update(b"\0" if text is None else b"\1" + text.encode() + b"\0")
    for moments in (rows.time_us, rows.matured_us):
        digest.update(np.asarray(moments, dtype="<i8").tobytes())
    return digest.hexdigest()[:DIGITS]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
