"""Checking sources: times, keys, bounds, labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from holdfast.define.columns import (
    Boolean,
    Category,
    Column,
    EventTime,
    Key,
    KnownTime,
    RetractedTime,
)
from holdfast.define.expressions import Aggregate, Expr, Label
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.sources import Source
from holdfast.define.walk import walk

__all__ = ["retracted_faults", "source_faults"]

CATEGORY_VALUES_MAX = 10_000
COLUMNS_MAX = 2_000


def source_faults(source: type[Source]) -> Iterator[Fault]:
    """Yield every fault of one source."""
    yield from _time_faults(source)
    yield from _name_faults(source)
    for column in source.columns.values():
        yield from _bound_faults(column)
        yield from _known_faults(source, column)
    if not source.uri:
        yield fault(
            f"`{source.__name__}` does not say where its rows are",
            code="HF124",
            site=source.site,
            hint=f'write `class {source.__name__}(hf.Event, source="rows/*.parquet")`',
        )


def retracted_faults(name: str, feature: Expr[Any]) -> Iterator[Fault]:
    """Yield a fault for each use of the moment when a row was taken back: the future, read."""
    for node in walk(feature):
        if isinstance(node, Aggregate | Label) and node.of is not None:
            yield from retracted_faults(name, node.of)
        elif isinstance(node, RetractedTime):
            yield fault(
                f"`{name}` uses `{node!r}`, which is known only once the row no longer counts",
                code="HF110",
                site=node.site,
                hint="a row that was taken back leaves the features by itself",
            )


def _time_faults(source: type[Source]) -> Iterator[Fault]:
    name, event_times = source.__name__, source.of_kind(EventTime)
    if source.without_time:
        if event_times:
            yield fault(
                f"`{name}` says `without_time=True` and has an event time",
                code="HF117",
                site=event_times[0].site,
                hint="remove one of the two",
            )
        return
    if not event_times:
        yield fault(
            f"`{name}` has no event time, so nothing can be computed as of a moment",
            code="HF101",
            site=source.site,
            hint="add a column such as `happened_at = hf.EventTime()`; "
            "for a table that has none: `without_time=True`",
        )
    for kind in (EventTime, KnownTime, RetractedTime):
        columns = source.of_kind(kind)
        if len(columns) > 1:
            yield fault(
                f"`{name}` has {len(columns)} columns of type {kind.__name__}",
                code="HF122",
                site=columns[1].site,
                hint="keep one; further moments are `hf.Time()`",
            )
    if source.lag:
        yield from duration_fault(source.lag, source.site)


def _name_faults(source: type[Source]) -> Iterator[Fault]:
    columns = list(source.columns.values())
    if len(columns) > COLUMNS_MAX:
        yield fault(
            f"`{source.__name__}` has {len(columns)} columns; the limit is {COLUMNS_MAX}",
            code="HF115",
            site=source.site,
            hint="declare only the columns that are used",
        )
    for name, times in Counter(c.column for c in columns).items():
        if times > 1:
            yield fault(
                f'`{source.__name__}` declares the column "{name}" twice',
                code="HF122",
                site=next(c.site for c in reversed(columns) if c.column == name),
                hint="keep one",
            )
    own = [c for c in columns if isinstance(c, Key) and c.to is None]
    if len(own) > 1:
        yield fault(
            f"`{source.__name__}` has {len(own)} keys of its own",
            code="HF122",
            site=own[1].site,
            hint="keep one; the others refer to something: `hf.Key(Card)`",
        )


def _bound_faults(column: Column[Any]) -> Iterator[Fault]:
    bounds = column.bounds
    low = max((bounds[b] for b in ("gt", "ge") if b in bounds), default=None)
    high = min((bounds[b] for b in ("lt", "le") if b in bounds), default=None)
    if low is not None and high is not None:
        strict = bounds.get("gt") == low or bounds.get("lt") == high
        if low > high or (low == high and strict):
            yield fault(
                f"no value of `{column!r}` can satisfy its bounds",
                code="HF115",
                site=column.site,
                hint=f"it must be above {low:g} and below {high:g}",
            )
    if isinstance(column, Category):
        if len(set(column.values)) != len(column.values):
            yield fault(
                f"`{column!r}` names a value twice",
                code="HF115",
                site=column.site,
                hint="name each value once",
            )
        if len(column.values) > CATEGORY_VALUES_MAX:
            yield fault(
                f"`{column!r}` names {len(column.values)} values; "
                f"the limit is {CATEGORY_VALUES_MAX}",
                code="HF115",
                site=column.site,
                hint="leave the values out: `hf.Category()`",
            )
    if isinstance(column, Boolean) and bool(column.true) != bool(column.false):
        yield fault(
            f"`{column!r}` says how one of true and false is written, but not the other",
            code="HF115",
            site=column.site,
            hint='write both: `hf.Boolean(true="Yes", false="No")`',
        )


def _known_faults(source: type[Source], column: Column[Any]) -> Iterator[Fault]:
    ways = [w for w in (column.known_after, column.known_at, column.known_later) if w]
    if len(ways) > 1:
        yield fault(
            f"`{column!r}` says in {len(ways)} ways when it is known",
            code="HF116",
            site=column.site,
            hint="keep one of known_after, known_at and known_later",
        )
    if column.known_after:
        yield from duration_fault(column.known_after, column.site)
    if column.known_at:
        target = source.columns.get(column.known_at)
        if target is None or target.kind not in ("time", "known_time"):
            yield fault(
                f'`{column!r}` is known at "{column.known_at}", which is no time of '
                f"`{source.__name__}`",
                code="HF116",
                site=column.site,
                hint=f"add `{column.known_at} = hf.Time(nullable=True)`",
            )
    if source.without_time and (column.known_after or column.known_at):
        yield fault(
            f"`{column!r}` is known later, but `{source.__name__}` has no time",
            code="HF117",
            site=column.site,
            hint="write `known_later=True`",
        )
    if column.known_later and not source.without_time:
        yield fault(
            f"`{column!r}` is known later, but not how much later",
            code="HF116",
            site=column.site,
            hint='write `known_after="30d"`, or `known_at="closed_at"`',
        )
