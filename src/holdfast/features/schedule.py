"""The rows of a schedule: every moment, and the entities there were at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.duration import UNITS_US
from holdfast.data.table import Table
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError
from holdfast.features.keys import joint_codes
from holdfast.features.labels import NEVER_US
from holdfast.features.schedule_plan import EntitySource, SchedulePlan
from holdfast.features.zones import zone_offsets

__all__ = [
    "MOMENTS_MAX",
    "ROWS_MAX",
    "latest_moment",
    "moments_between",
    "scheduled_at",
    "scheduled_rows",
]

ROWS_MAX = 100_000_000
"""Rows of one schedule."""

MOMENTS_MAX = 10_000_000
"""Moments of one schedule: 15 minutes apart, some 285 years."""

AFTER_HISTORY = 0
"""The log offset of a scheduled row: after what history knew at its moment (-1), before live."""

DAY_US = UNITS_US["d"]
MONDAY_US = 4 * DAY_US
"""1970-01-05: days are counted from a Monday."""

Ints = npt.NDArray[np.int64]
Spans = tuple[Ints, Ints, Ints]
"""Entities' codes, the first moment at which each is there, and the first at which it is not."""


def scheduled_rows(plan: SchedulePlan, schema: SourceSchema, tables: Mapping[str, Table]) -> Table:
    """Return a row for each moment and each entity that was there at it, sorted by both.

    An entity is there within `within_us` of an event that was known by then, or while a listed
    version is in force. Moments run from the first entity to the end of what is known of the
    label's source. Rows stand in the log after everything known at their moment.

    Raises:
        ContractError: HF206 when there would be more than `ROWS_MAX` rows or `MOMENTS_MAX`
            moments.
    """
    given = [tables[one.source] for one in plan.entities]
    ends = [int(t.known_us[-1]) for t in (tables[plan.target], *given) if len(t)]
    starts = [int(table.known_us[0]) for table in given if len(table)]
    if not starts:
        return _table(plan, schema, [pl.Series([], dtype=pl.String)] * len(plan.keys), _none())
    end = ends[0]
    start = max(min(starts), end - plan.history_us) if plan.history_us else min(starts)
    moments = moments_between(plan, start, end, where=schema.where)
    return _rows_at(plan, schema, given, moments)


def scheduled_at(
    plan: SchedulePlan, schema: SourceSchema, tables: Mapping[str, Table], at_us: int
) -> Table:
    """Return a row for each entity that is there at one moment, sorted by entity."""
    given = [tables[one.source] for one in plan.entities]
    return _rows_at(plan, schema, given, np.array([at_us], dtype=np.int64))


def latest_moment(plan: SchedulePlan, now_us: int) -> int:
    """Return the last moment of a schedule up to now."""
    back = 2 * max(plan.period_us, DAY_US)
    return int(moments_between(plan, now_us - back, now_us)[-1])


def moments_between(plan: SchedulePlan, start_us: int, end_us: int, *, where: str = "") -> Ints:
    """Return the moments of a schedule from `start_us` to `end_us`, both counted, ascending.

    Clocks decide: at a change of the hour a moment keeps its time of day. A time that the clocks
    leave out is the same moment after the gap; one that they show twice counts the first time.
    """
    if end_us < start_us:
        return _none()
    step = max(plan.period_us, DAY_US)
    first = (start_us - MONDAY_US) // step - 1
    days = np.arange(first, (end_us - MONDAY_US) // step + 2, dtype=np.int64) * step + MONDAY_US
    parts = max(1, DAY_US // plan.period_us)
    if len(days) * parts > MOMENTS_MAX:
        raise _too_many(f"{len(days) * parts:,} moments", MOMENTS_MAX, where)
    clocks = (plan.at_us + np.arange(parts, dtype=np.int64) * plan.period_us) % DAY_US
    local = (days[:, None] + np.sort(clocks)[None, :]).ravel()
    moments = np.unique(_in_utc(local, plan.zone))
    return moments[(moments >= start_us) & (moments <= end_us)]


def _in_utc(local: Ints, zone: str) -> Ints:
    """Return the moments at which clocks show a time, us."""
    changes, offsets = zone_offsets(zone)

    def offset_at(moments: Ints) -> Ints:
        found: Ints = offsets[np.searchsorted(changes, moments, side="right") - 1]
        return found

    before, after = offset_at(local - DAY_US), offset_at(local + DAY_US)
    early, late = local - before, local - after
    shows = (offset_at(early) != before) & (offset_at(late) == after)
    return np.where(shows, late, early)


def _rows_at(plan: SchedulePlan, schema: SourceSchema, given: list[Table], moments: Ints) -> Table:
    codes, keys = _codes(plan, given)
    width = len(moments) + 1
    spans = [
        (_listed if one.lists else _seen)(
            one, table, codes=code, moments=moments, within_us=plan.within_us
        )
        for one, table, code in zip(plan.entities, given, codes, strict=True)
    ]
    whole = [np.concatenate([span[part] for span in spans]) for part in range(3)]
    begin, length = _united(whole[0] * width + whole[1], whole[0] * width + whole[2])
    rows = int(length.sum())
    if rows > ROWS_MAX:
        raise _too_many(f"{rows:,} rows", ROWS_MAX, schema.where)
    ends = np.cumsum(length)
    place = np.repeat(begin - (ends - length), length) + np.arange(rows, dtype=np.int64)
    entity, moment = place // width, place % width
    order = np.lexsort((entity, moment))
    columns = [column[entity[order]] for column in keys]
    return _table(plan, schema, columns, moments[moment[order]])


def _codes(plan: SchedulePlan, given: list[Table]) -> tuple[list[Ints], list[pl.Series]]:
    """Return each source's entities as ranks of their keys, -1 for none, and the keys by rank."""
    sides = [(table.frame, one.keys) for one, table in zip(plan.entities, given, strict=True)]
    found, count = joint_codes(sides)
    named = pl.concat(
        [
            frame.select(
                *(pl.col(attr).alias(name) for attr, name in zip(keys, plan.keys, strict=True)),
                pl.Series(" code", codes.astype(np.int64)),
            )
            for (frame, keys), codes in zip(sides, found, strict=True)
        ]
    )
    named = named.filter(pl.col(" code") >= 0).unique(" code").sort(plan.keys)
    rank = np.full(count + 1, -1, dtype=np.int64)
    rank[named.get_column(" code").to_numpy()] = np.arange(len(named))
    return [rank[codes] for codes in found], [named.get_column(name) for name in plan.keys]


def _seen(one: EntitySource, table: Table, *, codes: Ints, moments: Ints, within_us: int) -> Spans:
    """Return from when to when each event keeps its entity."""
    kept = np.flatnonzero(codes >= 0)
    event, known = table.event_us[kept], table.known_us[kept]
    low = np.maximum(
        np.searchsorted(moments, event, side="right"), np.searchsorted(moments, known, side="left")
    )
    high = np.full(len(kept), len(moments))
    if within_us:
        high = np.searchsorted(moments, event + within_us, side="right")
    if table.retracted_us is not None:
        gone = np.where(table.gone, table.retracted_us, NEVER_US)[kept]
        high = np.minimum(high, np.searchsorted(moments, gone, side="left"))
    return codes[kept], low.astype(np.int64), np.maximum(low, high).astype(np.int64)


def _listed(
    one: EntitySource, table: Table, *, codes: Ints, moments: Ints, within_us: int
) -> Spans:
    """Return from when to when each version lists its entity."""
    width = len(moments) + 1
    order = np.lexsort((table.known_us, table.event_us, codes))
    order = order[codes[order] >= 0]
    began = np.maximum(table.event_us, table.known_us)[order]
    code = codes[order]
    low = np.searchsorted(moments, began, side="left").astype(np.int64)
    place = code * width + low
    replaced = np.minimum.accumulate(place[::-1])[::-1]
    following = np.append(replaced[1:], np.iinfo(np.int64).max)
    high = np.minimum(following, code * width + len(moments)) - code * width
    if one.until:
        until = table.numbers(one.until)[order]
        ended = np.searchsorted(moments.astype(np.float64), until, side="left")
        high = np.where(np.isnan(until), high, np.minimum(high, ended))
    if one.deleted:
        gone = table.numbers(one.deleted)[order] == 1.0
        high = np.where(gone, low, high)
    return code, low, np.maximum(low, high).astype(np.int64)


def _united(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return spans without what earlier ones cover: where they begin, and how long they are."""
    order = np.argsort(begin, kind="stable")
    begin, end = begin[order], end[order]
    covered = np.maximum.accumulate(end)
    begin = np.maximum(begin, np.append(np.iinfo(np.int64).min, covered[:-1]))
    return begin, np.maximum(end - begin, 0)


def _table(
    plan: SchedulePlan, schema: SourceSchema, columns: list[pl.Series], moments: Ints
) -> Table:
    frame = pl.DataFrame(
        {
            schema.event_time: pl.Series(moments, dtype=pl.Int64),
            **{
                name: column.cast(pl.String)
                for name, column in zip(plan.keys, columns, strict=True)
            },
        }
    ).select([column.attr for column in schema.columns])
    order = np.full(len(moments), AFTER_HISTORY, dtype=np.int64)
    return replace(Table.of(schema, frame), order=order)


def _none() -> Ints:
    return np.empty(0, dtype=np.int64)


def _too_many(what: str, most: int, where: str) -> ContractError:
    return ContractError(
        f"the schedule would make {what}; at most {most:,} are made",
        code="HF206",
        site=where,
        hint="shorten `history=` of hf.Training, or decide less often",
    )
