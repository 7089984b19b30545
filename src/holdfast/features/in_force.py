"""What is in force: a Snapshot's columns at a moment, written as aggregations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast.define.columns import Column, Deleted, ValidUntil
from holdfast.define.expressions import ALL_TIME, Aggregate, Apply, Expr, Moment, when
from holdfast.define.grouped import MISSING
from holdfast.errors import InternalError

__all__ = ["held", "in_force", "version"]


def in_force(column: Column[Any]) -> Aggregate[Any]:
    """Return a bare column of a Snapshot as an aggregation, by what the Snapshot is about."""
    source = column.source
    if source is None:
        raise InternalError("a column without a source", code="HF900")
    return Aggregate("in_force", source, source.about(), column, ALL_TIME, "", site=column.site)


def held(node: Aggregate[Any]) -> Expr[Any]:
    """Return a value in force as far as its version says so: not deleted, not past its end."""
    until = next(iter(node.source.of_kind(ValidUntil)), None)
    value = version(node)
    if until is None:
        return value
    end = version(replace(node, of=until))
    now: Expr[Any] = Moment("", "UTC")
    return when(end.is_missing() | (end > now), value, MISSING)


def version(node: Aggregate[Any]) -> Aggregate[Any]:
    """Return the value of the newest version that had begun; a deleted one has none."""
    deleted = next(iter(node.source.of_kind(Deleted)), None)
    of = node.of
    if deleted is not None and of is not None:
        of = when(deleted.is_missing() | Apply("~", (deleted,)), of, MISSING)
    return replace(node, kind="version", of=of)
