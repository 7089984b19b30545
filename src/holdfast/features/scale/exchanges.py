"""Exchanges: which columns of which source meet by which key, read off the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from holdfast.define.schema import SourceSchema
from holdfast.features.future_plan import FuturePlan
from holdfast.features.plan import Plan, ViewPlan
from holdfast.features.rows import Program

__all__ = [
    "EVENT",
    "KNOWN",
    "POSITION",
    "Exchange",
    "Fold",
    "cluster_key",
    "exchanges_of",
    "folds_of",
    "levels_of",
    "width_of",
]

POSITION, EVENT, KNOWN = " position", " event", " known"
"""Columns beside those of a source, whose names are Python names without blanks."""


@dataclass(frozen=True)
class Exchange:
    """One source's rows by one key, in partitions; `label`: with that label's values, or -1."""

    source: str
    keys: tuple[str, ...]
    label: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fold:
    """What is folded by key into numbers for each row of `each`: a view or a known future."""

    origin: str
    index: int
    source: str
    keys: tuple[str, ...]
    lookup: tuple[str, ...]
    label: int
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The fold's name among the job's files."""
        return f"{self.origin}-{self.index}"

    def table(self, each: str) -> str:
        """The name under which a view finds its records beside the rows of `each`.

        Rows that are grouped by another key than they ask for stand in other partitions.
        """
        apart = self.source == each and self.keys != self.lookup
        return f"{self.source} by {', '.join(self.keys)}" if apart else self.source


def folds_of(plan: Plan) -> list[Fold]:
    """Return the folds of a plan: its views, then its known futures."""
    found = []
    origins: dict[str, Sequence[ViewPlan | FuturePlan]] = {
        "view": plan.views,
        "ahead": plan.futures,
    }
    for origin, parts in origins.items():
        for index, part in enumerate(parts):
            label = getattr(part, "label", -1)
            columns = set(_inputs(part)) - {"label"}
            if label >= 0 and plan.labels[label].kind == "column":
                columns |= {plan.labels[label].column, plan.labels[label].known_at} - {""}
                label = -1
            names = _stored(plan.schemas[part.source], columns)
            found.append(Fold(origin, index, part.source, part.keys, part.lookup, label, names))
    return found


def exchanges_of(plan: Plan) -> list[Exchange]:
    """Return every exchange of a plan, each once, with all columns that are asked of it."""
    wanted: dict[tuple[str, tuple[str, ...], int], set[str]] = {}
    for source, keys, label, columns in _wanted(plan):
        wanted.setdefault((source, keys, label), set()).update(columns)
    return [
        Exchange(*where, tuple(sorted(columns - set(where[1]))))
        for where, columns in wanted.items()
    ]


def width_of(plan: Plan, fold: Fold) -> int:
    """Return how many numbers a fold gives for a row."""
    if fold.origin == "view":
        return len(plan.views[fold.index].spec.aggregates)
    return len(plan.futures[fold.index].windows)


def levels_of(plan: Plan) -> tuple[list[int], list[int]]:
    """Return when each exchange and each fold can be done: after those of all lower levels.

    Labels ahead are found after the exchanges of level 0. A key that is found through a Snapshot
    is there once the view that finds it is folded; folds are numbered as views are.
    """
    exchanges, folds = exchanges_of(plan), folds_of(plan)
    vias = {via.attr: via.view for via in plan.vias}

    def of_exchange(one: Exchange) -> int:
        found = [of_fold(folds[vias[key]]) + 1 for key in one.keys if key in vias]
        return max([int(one.label >= 0), *found])

    def of_fold(one: Fold) -> int:
        asked = [(one.source, one.keys, one.label)]
        if one.source != plan.each or one.keys != one.lookup:
            asked.append((plan.each, one.lookup, -1))
        return max(of_exchange(Exchange(*where)) for where in asked)

    return [of_exchange(one) for one in exchanges], [of_fold(one) for one in folds]


def cluster_key(plan: Plan) -> str:
    """Return the attr of the first entity of a row of `each`, "" where there is none."""
    found = [c.attr for c in plan.schemas[plan.each].columns if c.kind == "key" and c.to]
    return found[0] if found else ""


def _wanted(plan: Plan) -> Iterator[tuple[str, tuple[str, ...], int, Iterable[str]]]:
    for label in plan.labels:
        if label.kind == "ahead":
            inputs = label.value.inputs if label.value else ()
            yield label.source, label.row_keys, -1, ()
            stored = _stored(plan.schemas[label.target], set(inputs))
            yield label.target, label.target_keys, -1, stored
    for fold in folds_of(plan):
        yield fold.source, fold.keys, fold.label, fold.columns
        if fold.source != plan.each or fold.keys != fold.lookup:
            yield plan.each, fold.lookup, -1, ()
    if cluster_key(plan):
        yield plan.each, (cluster_key(plan),), -1, ()


def _inputs(part: Any) -> Iterator[str]:
    """Return the columns that a view or a future reads, whatever its programs are called."""
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Program):
            yield from value.inputs


def _stored(schema: SourceSchema, columns: set[str]) -> tuple[str, ...]:
    """Return the columns to carry: all of them where one is computed from others."""
    attrs = [column.attr for column in schema.columns]
    return tuple(attrs) if columns - set(attrs) else tuple(sorted(columns))
