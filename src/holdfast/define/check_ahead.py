"""Checking what looks ahead: features over a known future, and the windows behind beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.expressions import ALL_TIME, Aggregate, Expr, Label
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.sources import Snapshot, Source
from holdfast.define.use_case import UseCase
from holdfast.define.value import Payoff
from holdfast.define.walk import walk

__all__ = [
    "BESIDE_KINDS",
    "ahead_faults",
    "behind_faults",
    "foreseen_sources",
    "predicted_ahead_faults",
]

BESIDE_KINDS = frozenset({"any", "count", "sum", "mean", "min", "max", "first", "last"})
"""What can be asked over a window of records that may lie ahead, on either side of a moment."""


def foreseen_sources(use_case: UseCase) -> frozenset[type[Source]]:
    """Return the sources whose rows may be known before they happen.

    Those that a feature looks ahead at, and Snapshots with a `KnownTime` that are read in force: a
    price may be announced before it holds.
    """
    return _looked_ahead_at(use_case) | frozenset(_read_in_force(use_case))


def _looked_ahead_at(use_case: UseCase) -> frozenset[type[Source]]:
    return frozenset(
        node.source
        for feature in use_case.features.features.values()
        for node in walk(feature)
        if isinstance(node, Label) and node.source.known_time() is not None
    )


def _read_in_force(use_case: UseCase) -> Iterator[type[Source]]:
    """Yield the Snapshots that are told ahead and whose columns some expression reads in force."""
    for root in (*use_case.features.features.values(), *_worths(use_case)):
        for node in walk(root):
            for source in _held(node):
                told = source is not None and source.known_time() is not None
                if told and issubclass(source, Snapshot):
                    yield source


def _held(node: Any) -> Iterator[Any]:
    """Yield the sources of which an expression reads what is in force, if they are Snapshots."""
    if isinstance(node, Column):
        yield node.source
    elif isinstance(node, Aggregate | Label):
        yield from (k.source for k in node.keys if isinstance(k, Column) and k.source)
        if node.kind == "in_force":
            yield node.source


def _worths(use_case: UseCase) -> list[Any]:
    value = use_case.value
    if isinstance(value, Payoff):
        return list(value.decisions.values())
    return [value.underage, value.overage]


def ahead_faults(use_case: UseCase, name: str, label: Label[Any]) -> Iterator[Fault]:
    """Yield what is wrong with a feature that looks ahead, apart from its keys and types."""
    source = label.source
    if label is use_case.predict:
        yield fault(
            f"`{name}` is what is predicted",
            code="HF110",
            site=label.site,
            hint="leave it out, or aggregate it over the past; only matured rows count there",
        )
    elif source.known_time() is None:
        yield fault(
            f"`{name}` looks {label.ahead} ahead, so it cannot be a feature",
            code="HF103",
            site=label.site,
            hint=f'`ahead=` is for labels; write `over="{label.ahead}"` to look back',
        )
        return
    if source.without_time or use_case.rows.without_time:
        yield fault(
            f"`{name}` looks ahead, and `{source.__name__}` or the row that asks has no time",
            code="HF117",
            site=label.site,
            hint="windows need an `hf.EventTime()` on both sides",
        )
    yield from _window_faults(label)
    for node in walk(label.of):
        if _is_late(node) or isinstance(node, Label):
            yield fault(
                f"`{name}` looks ahead at what is known only after it happened",
                code="HF110",
                site=label.site,
                hint=f"use columns that a `{source.__name__}` has when it becomes known",
            )


def behind_faults(use_case: UseCase, name: str, feature: Expr[Any]) -> Iterator[Fault]:
    """Yield the ways in which a feature looks back over records that may lie ahead.

    Behind, such a source can be asked over exact windows only: the kernel's states end at the
    newest record of a key, which may not have happened yet. What is in force is no such window;
    but a source that is looked ahead at may have more rows to come than versions are kept.
    """
    foreseen, ahead = foreseen_sources(use_case), _looked_ahead_at(use_case)
    for node in walk(feature):
        source = getattr(node, "source", None)
        in_force = isinstance(node, Column) or getattr(node, "kind", "") == "in_force"
        if isinstance(node, Label) or source not in foreseen or (in_force and source not in ahead):
            continue
        if isinstance(node, Aggregate) and _is_exact(node):
            continue
        if isinstance(node, Column) and not issubclass(source, Snapshot):
            continue
        yield fault(
            f"`{name}` looks back over `{source.__name__}`, whose rows may be known before they "
            "happen",
            code="HF141",
            site=node.site,
            hint="use any, count, sum, mean, min, max, first or last over a window such as "
            '`over="30d"`',
        )


def _is_exact(node: Aggregate[Any]) -> bool:
    """Return whether a window behind can be read from records that may lie ahead."""
    late = any(isinstance(inner, Label) or _is_late(inner) for inner in walk(node.of))
    return node.kind in BESIDE_KINDS and node.over != ALL_TIME and not late


def predicted_ahead_faults(label: Label[Any]) -> Iterator[Fault]:
    """Yield what a label ahead cannot be."""
    if label.kind not in BESIDE_KINDS:
        yield fault(
            "`predict` is the hours until the next row, which may never come",
            code="HF111",
            site=label.site,
            hint='ask whether there is one: `any(ahead="7d")`',
        )


def _is_late(node: Any) -> bool:
    """Return whether an expression is a column that a row has only after it happened."""
    if not isinstance(node, Column) or node.source is None:
        return False
    times = {c.known_at for c in node.source.columns.values() if c.known_at}
    return node.is_label or node.attr in times


def _window_faults(label: Label[Any]) -> Iterator[Fault]:
    yield from duration_fault(label.ahead, label.site)
    if label.offset:
        yield from duration_fault(label.offset, label.site)
