"""Walking expressions: what stands inside one, and how it reads in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.derived import result_kind
from holdfast.define.expressions import (
    Aggregate,
    Apply,
    DatePart,
    Encoded,
    Label,
    Moment,
    RowCall,
)
from holdfast.define.grouped import MISSING
from holdfast.define.holidays import Holidays
from holdfast.define.sources import Entity, Source

__all__ = ["children", "key_words", "value_kind", "walk", "words"]

_PARAMS = {
    "quantile": "{}, within 0.8%",
    "decayed_count": "half-life {}",
    "decayed_sum": "half-life {}",
    "sessions": "gap {}",
    "session_rows": "gap {}",
    "session_minutes": "gap {}",
}
_INFIX = {"+", "-", "*", "/", "%", "//", "**", "<", "<=", ">", ">=", "==", "!=", "&", "|"}
_BOOLEAN = {"<", "<=", ">", ">=", "==", "!=", "~", "&", "|", "is_missing", "is_in"}
_AS_ARGUMENT = {"coalesce": 0, "min2": 0, "max2": 0, "when": 1}
_NAMED = {"min2": "minimum", "max2": "maximum"}
_ENCODED = {
    "target": "mean label by category",
    "frequency": "frequency",
    "ordinal": "place",
    "tfidf": "words",
    "hashed": "hashes",
}
_SAME_KIND = {"min", "max", "first", "last", "top_value", "in_force", "version"}


def children(expression: Any) -> tuple[Any, ...]:
    """Return the expressions directly inside one; the inside of an aggregation is not looked at."""
    if isinstance(expression, DatePart):
        return (expression.of,)
    if isinstance(expression, Encoded):
        return (expression.of,)
    return expression.args if isinstance(expression, Apply | RowCall) else ()


def walk(expression: Any) -> Iterator[Any]:
    """Yield an expression and everything inside it, aggregations as leaves."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def value_kind(expression: Any) -> str:
    """Return "boolean", "category", "text", "time" or "number"."""
    if isinstance(expression, Column):
        kinds = {"boolean": "boolean", "category": "category", "string": "category"}
        kinds |= {"key": "category", "text": "text"}
        kinds |= dict.fromkeys(("time", "event_time", "known_time", "retracted_time"), "time")
        return kinds.get(expression.kind, "number")
    if isinstance(expression, Aggregate | Label):
        if expression.kind in ("any", "seen"):
            return "boolean"
        return value_kind(expression.of) if expression.kind in _SAME_KIND else "number"
    if isinstance(expression, Apply):
        if expression.op in _AS_ARGUMENT:
            return value_kind(expression.args[_AS_ARGUMENT[expression.op]])
        return "boolean" if expression.op in _BOOLEAN else "number"
    if isinstance(expression, RowCall):
        return result_kind(expression)
    if isinstance(expression, Moment | DatePart):
        return "boolean" if expression.what == "is_weekend" else "number"
    if isinstance(expression, Holidays):
        return "boolean" if expression.measure == "is" else "number"
    if isinstance(expression, Encoded):
        return "number"
    return {bool: "boolean", str: "category"}.get(type(expression), "number")


def key_words(key: Entity | type[Source] | Column[Any]) -> str:
    """Return a grouping key in words."""
    if isinstance(key, Entity):
        return key.key
    return repr(key) if isinstance(key, Column) else key.__name__


def words(expression: Any) -> str:
    """Return an expression as a person would read it.

    >>> words(3.5)
    '3.5'
    """
    if isinstance(expression, Column):
        return repr(expression)
    if isinstance(expression, Aggregate | Label):
        return _aggregate_words(expression)
    if isinstance(expression, Moment):
        return f"{expression.what} of the moment ({expression.zone})"
    if isinstance(expression, RowCall):
        named = expression.op if expression.function is None else expression.function.name
        inner = [*map(words, expression.args), *map(repr, expression.options)]
        return f"{named}({', '.join(inner)})"
    if isinstance(expression, DatePart):
        return f"{expression.what} of {words(expression.of)} ({expression.zone})"
    if isinstance(expression, Encoded):
        return f"{_ENCODED.get(expression.kind, expression.kind)} of {words(expression.of)}"
    if isinstance(expression, Apply):
        if expression.args[-1] is MISSING:
            what, condition = expression.args[1], words(expression.args[0])
            return f"{words(what)} where {condition}" if type(what) is not float else condition
        inner = [words(arg) for arg in expression.args]
        if expression.op in _INFIX:
            return f"({inner[0]} {expression.op} {inner[1]})"
        if expression.op == "~":
            return f"not {inner[0]}"
        return f"{_NAMED.get(expression.op, expression.op)}({', '.join(inner)})"
    return f"{expression:g}" if isinstance(expression, float) else str(expression)


def _aggregate_words(aggregate: Aggregate[Any] | Label[Any]) -> str:
    what = aggregate.kind.replace("_", " ")
    if isinstance(aggregate, Aggregate) and aggregate.param:
        what += f" ({_PARAMS.get(aggregate.kind, '{}').format(aggregate.param)})"
    source = aggregate.source.__name__
    of = words(aggregate.of) if aggregate.of is not None else source
    if isinstance(aggregate.of, Apply) and aggregate.of.args[-1] is MISSING:
        of = f"{source} where {of}" if type(aggregate.of.args[1]) is float else of
    by = ", ".join(key_words(key) for key in aggregate.keys)
    if isinstance(aggregate, Label):
        on = f" from {aggregate.offset} on" if aggregate.offset else ""
        return f"{what} of {of} per {by}, {aggregate.ahead} ahead{on}"
    over = "all time" if aggregate.over == "all" else aggregate.over
    back = f", {aggregate.offset} earlier" if aggregate.offset else ""
    return f"{what} of {of} per {by} over {over}{back}"
