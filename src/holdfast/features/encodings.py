"""Encoders as a plan says them: options as plain data, and texts that travel beside the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.encoded import reads_text
from holdfast.define.expressions import Encoded, Expr
from holdfast.features.plan import Plan
from holdfast.features.rows import Builder

__all__ = ["Texts", "emit_missing", "taken_apart", "texts_of"]

Texts = Mapping[str, list[str | None]]
"""For each feature that is made of a text: the texts of n rows, None where missing."""


def taken_apart(feature: Expr[Any]) -> tuple[Any, dict[str, Any], str]:
    """Return what the engine computes of a feature, its encoder as JSON data, and its text's attr.

    Without an encoder the data is empty; the attr is "" where no text is read.
    """
    if not isinstance(feature, Encoded):
        return feature, {}, ""
    options = {
        name: list(value) if isinstance(value, tuple) else value for name, value in feature.options
    }
    text = feature.of.attr if isinstance(feature.of, Column) and reads_text(feature) else ""
    return feature.of, {"kind": feature.kind, **options}, text


def emit_missing(builder: Builder) -> None:
    """Push a missing value; a program's constants are JSON, so it is a division by 0."""
    builder.const(0.0)
    builder.const(0.0)
    builder.op("/")


def texts_of(plan: Plan, rows: Iterable[Mapping[str, Any]]) -> Texts:
    """Return the texts that rows of `each` bring to the features made of texts."""
    wanted = plan.texts
    if not wanted:
        return {}
    held = list(rows)
    return {name: [row.get(attr) for row in held] for name, attr in wanted.items()}
