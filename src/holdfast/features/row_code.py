"""The code of row-level operators: expressions in, instructions of the row machine out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.core.fingerprint import category_id
from holdfast.define.expressions import Apply, DatePart
from holdfast.features.rows import Builder

__all__ = ["emit_operation"]

US_PER_HOUR = 3_600_000_000.0


def emit_operation(
    builder: Builder, node: Apply[Any] | DatePart[Any], emit: Callable[[Any], None]
) -> None:
    """Write the code of one operator; `emit` writes that of what stands inside it."""
    if isinstance(node, DatePart):
        emit(node.of)
        builder.calendar(node.what, node.zone)
    elif node.op == "is_in":
        emit(node.args[0])
        builder.is_in(_number(value) for value in node.args[1:])
    elif node.op == "hash":
        emit(node.args[0])
        builder.const(float(node.args[1]))
        builder.op("%")
    elif node.op == "hours_between":
        start, end = node.args
        emit(end)
        emit(start)
        builder.op("-")
        builder.const(US_PER_HOUR)
        builder.op("/")
    else:
        for argument in node.args:
            emit(argument)
        builder.op(node.op)


def _number(value: float | str) -> float:
    return category_id(value) if isinstance(value, str) else float(value)
