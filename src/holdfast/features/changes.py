"""What changed between two plans of a use case, and what it takes to serve the second one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.errors import ContractError
from holdfast.features.plan import Plan

__all__ = ["Change", "Takes", "changes", "refuse_new_log", "takes"]

READ_ALIKE = (
    {"float", "integer", "time", "event_time", "known_time"},
    {"boolean"},
    {"category", "string", "key", "text"},
)
"""Kinds of columns whose logged values mean the same."""


class Takes(IntEnum):
    """What a change takes: nothing but a back-fill, a restart of the service, or a new store."""

    BACKFILL = 0
    RESTART = 1
    NEW_STORE = 2


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change: what, in words, and what it takes."""

    what: str
    takes: Takes


def changes(old: Plan, new: Plan) -> list[Change]:
    """Return what changed from one plan to another, what takes most first.

    Features, windows, labels, values and decisions may change while the old model serves. What
    callers send is fixed while the service runs. What the log holds can be read by both plans, or
    the second one needs a store of its own.
    """
    found = [*_sources(old, new), *_features(old, new)]
    return sorted(found, key=lambda change: -change.takes)


def takes(found: list[Change]) -> Takes:
    """Return what some changes take together."""
    return max((change.takes for change in found), default=Takes.BACKFILL)


def refuse_new_log(old: Plan, new: Plan, *, where: str) -> None:
    """Refuse a plan that cannot read the log of another one.

    Raises:
        ContractError: HF310, naming the first change that needs a store of its own.
    """
    worst = next(iter(changes(old, new)), None)
    if worst is not None and worst.takes == Takes.NEW_STORE:
        raise ContractError(
            f'the log of "{new.use_case}" cannot be read by the changed definition: {worst.what}',
            code="HF310",
            site=where,
            hint="take that change back, or give the use case another `name=`: it begins a new log",
        )


def _features(old: Plan, new: Plan) -> Iterator[Change]:
    before = {feature.name: feature.words for feature in old.features}
    after = {feature.name: feature.words for feature in new.features}
    for verb, names in (
        ("new", after.keys() - before.keys()),
        ("gone", before.keys() - after.keys()),
        ("changed", {n for n in before.keys() & after.keys() if before[n] != after[n]}),
    ):
        if names:
            listed = ", ".join(f"`{name}`" for name in sorted(names))
            yield Change(what=f"features {verb}: {listed}", takes=Takes.BACKFILL)
    if old.labels[0] != new.labels[0]:
        what = f"the label: {old.labels[0].words}, now {new.labels[0].words}"
        yield Change(what=what, takes=Takes.BACKFILL)
    if old.value != new.value:
        yield Change(what="what decisions are worth", takes=Takes.BACKFILL)


def _sources(old: Plan, new: Plan) -> Iterator[Change]:
    if old.each != new.each:
        what = f"decisions for each `{new.each}` instead of each `{old.each}`"
        yield Change(what=what, takes=Takes.RESTART)
    for name in old.schemas.keys() ^ new.schemas.keys():
        verb = "new" if name in new.schemas else "gone"
        yield Change(what=f"the source `{name}` is {verb}", takes=Takes.RESTART)
    for name in sorted(old.schemas.keys() & new.schemas.keys()):
        yield from _contract(old.schemas[name], new.schemas[name])


def _contract(old: SourceSchema, new: SourceSchema) -> Iterator[Change]:
    for what, before, after in (
        ("key", old.key, new.key),
        ("event time", old.event_time, new.event_time),
        ("known time", old.known_time, new.known_time),
    ):
        if before != after:
            said = f"the {what} of `{new.name}` was `{before or 'none'}` and is `{after or 'none'}`"
            yield Change(what=said, takes=Takes.NEW_STORE)
    before_columns = {column.attr: column for column in old.columns}
    after_columns = {column.attr: column for column in new.columns}
    for attr in sorted(before_columns.keys() | after_columns.keys()):
        yield from _column(new.name, attr, before_columns.get(attr), after_columns.get(attr))


def _column(
    source: str, attr: str, old: ColumnSchema | None, new: ColumnSchema | None
) -> Iterator[Change]:
    if old is None or new is None:
        verb = "new" if old is None else "gone"
        yield Change(what=f"the column `{source}.{attr}` is {verb}", takes=Takes.RESTART)
    elif not any({old.kind, new.kind} <= alike for alike in READ_ALIKE):
        what = f"`{source}.{attr}` was a {old.kind} and is a {new.kind}"
        yield Change(what=what.replace("_", " "), takes=Takes.NEW_STORE)
    elif old != new:
        yield Change(what=f"the contract of `{source}.{attr}`", takes=Takes.RESTART)
