"""Features at a moment: what the engine would say then, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from holdfast.core.clock import iso
from holdfast.data.contract import check_row
from holdfast.data.table import Table
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError, NotFoundError
from holdfast.features.behind import Behind, events_behind
from holdfast.features.plan import Plan
from holdfast.features.related import related_tables
from holdfast.features.training_set import build_training_set

__all__ = ["FeatureAt", "FeaturesAt", "features_at"]

LAST_OF_ALL = 1 << 62
"""The place in the log of a row that is asked about and not there: behind all known by then."""


@dataclass(frozen=True, kw_only=True)
class FeatureAt:
    """One feature at a moment. `value` is a number, a text, True or False; None where missing."""

    name: str
    kind: str
    words: str
    value: float | str | bool | None
    behind: tuple[Behind, ...]


@dataclass(frozen=True, kw_only=True)
class FeaturesAt:
    """The features of one row at one moment; `row` holds what the row says, missing left out."""

    use_case: str
    at_us: int
    row: dict[str, Any]
    features: tuple[FeatureAt, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data, times in ISO 8601."""
        return {
            "use_case": self.use_case,
            "at": iso(self.at_us),
            "row": self.row,
            "features": [
                {**asdict(one), "behind": [behind.as_dict() for behind in one.behind]}
                for one in self.features
            ],
        }


def features_at(
    plan: Plan,
    parts: list[Mapping[str, Table]],
    *,
    at_us: int | None = None,
    keys: Mapping[str, str] | None = None,
    row: tuple[str, str] | None = None,
    feature: str = "",
    limit: int = 20,
) -> FeaturesAt:
    """Return the features as known at a moment, with the events behind each.

    Without `at_us` it is the row named by `row` (a column and its value) as it was: its place in
    the log, its columns. With `at_us` a row is asked about that is not in the log: it stands
    behind everything known by then; `keys` and `row` fill its columns, the others are missing.

    Raises:
        NotFoundError: HF307 when no row has that value, or there is no such feature.
        ContractError: HF308 when a column is named that the source has not, or nothing is asked.
    """
    asked = plan.feature_names.index(_known(plan, feature)) if feature else None
    schema = plan.schemas[plan.each]
    found = None if row is None else _find(plan, parts, _column(schema, row[0]), row[1])
    if at_us is None and found is None:
        raise ContractError(
            "neither a moment nor a row is named",
            code="HF308",
            site=schema.where,
            hint="give `--at 2026-08-01T12:00`, or `--row` with a key and its value",
        )
    if at_us is None and not keys and found is not None:
        frame = pl.concat([part[plan.each].frame for part in parts])[[found]]
        tables, where = related_tables(plan, parts, frame, kept=np.array([found]))
        at = int(where[0])
    else:
        content = {} if found is None else _row_at(plan, parts, found)
        when = at_us if at_us is not None else int(content[schema.event_time])
        content |= _typed(schema, keys or {}, when)
        tables, at = _asked_beside(plan, parts, content, when)
    return _described(plan, tables, at, feature=asked, limit=limit)


def _described(
    plan: Plan, tables: Mapping[str, Table], at: int, *, feature: int | None, limit: int
) -> FeaturesAt:
    built = build_training_set(plan, tables)
    behind = events_behind(plan, tables, row=at, feature=feature, limit=limit)
    each = tables[plan.each]
    shown = []
    for index, one in enumerate(plan.features):
        if feature is None or index == feature:
            number = float(built.values[at, index])
            texts = built.categories.get(one.name, {})
            shown.append(
                FeatureAt(
                    name=one.name,
                    kind=one.kind,
                    words=one.words,
                    value=built.texts[one.name][at]
                    if one.text
                    else _value(one.kind, number, texts),
                    behind=tuple(behind.get(one.name, ())),
                )
            )
    row = {k: v for k, v in each.frame.row(at, named=True).items() if v is not None}
    times = {c.attr for c in each.schema.columns if c.kind.endswith("time")}
    return FeaturesAt(
        use_case=plan.use_case,
        at_us=int(each.event_us[at]),
        row={name: iso(value) if name in times else value for name, value in row.items()},
        features=tuple(shown),
    )


def _value(kind: str, number: float, texts: Mapping[float, str]) -> float | str | bool | None:
    if number != number:
        return None
    if kind == "boolean":
        return number != 0.0
    return texts.get(number, number)


def _asked_beside(
    plan: Plan, parts: list[Mapping[str, Table]], content: dict[str, Any], at_us: int
) -> tuple[dict[str, Table], int]:
    """Return the tables of a row's keys with the row among them, and where it stands."""
    schema = plan.schemas[plan.each]
    late = schema.late_attrs
    content = {name: value for name, value in content.items() if name not in late}
    for name in (schema.event_time, schema.known_time):
        if name:
            content[name] = at_us
    added = Table.from_rows(
        schema,
        [content],
        known_us=np.array([at_us]),
        order=np.array([LAST_OF_ALL]),
        outcome_us=np.array([-1]),
    )
    tables, _ = related_tables(plan, parts, added.frame)
    each = tables[plan.each]
    earlier = int(np.searchsorted(each.known_us, at_us, side="right"))
    later = each.take(np.arange(earlier, len(each)))
    tables[plan.each] = each.head(earlier).extend(added).extend(later)
    return tables, earlier


def _typed(schema: SourceSchema, given: Mapping[str, str], at_us: int) -> dict[str, Any]:
    """Return given columns as their contract types them."""
    content = {_column(schema, name): value for name, value in given.items()}
    columns = tuple(column for column in schema.columns if column.attr in content)
    return check_row(replace(schema, columns=columns), content, now_us=at_us)


def _row_at(plan: Plan, parts: list[Mapping[str, Table]], at: int) -> dict[str, Any]:
    for part in parts:
        frame = part[plan.each].frame
        if at < frame.height:
            return frame.row(at, named=True)
        at -= frame.height
    raise NotFoundError("no such row", code="HF307", hint="name another one")


def _find(plan: Plan, parts: list[Mapping[str, Table]], column: str, value: str) -> int:
    """Return the last row whose column has a value, counted through the parts."""
    start, found = 0, -1
    for part in parts:
        texts = part[plan.each].frame.get_column(column).cast(pl.String)
        rows = np.flatnonzero((texts == value).fill_null(False).to_numpy())
        found = start + int(rows[-1]) if len(rows) else found
        start += len(texts)
    if found < 0:
        raise NotFoundError(
            f'no `{plan.each}` has {column} "{value}"',
            code="HF307",
            site=plan.schemas[plan.each].where,
            hint="name a row of history or of the live log",
        )
    return found


def _column(schema: SourceSchema, name: str) -> str:
    """Return a column by its name, or by the key of the entity that it refers to."""
    for column in schema.columns:
        if name in (column.attr, column.to):
            return column.attr
    keys = ", ".join(column.attr for column in schema.columns if column.kind == "key")
    raise ContractError(
        f"`{schema.name}` has no column `{name}`",
        code="HF308",
        site=schema.where,
        field=name,
        hint=f"its keys are {keys or 'none'}",
    )


def _known(plan: Plan, feature: str) -> str:
    if feature in plan.feature_names:
        return feature
    raise NotFoundError(
        f'"{plan.use_case}" has no feature "{feature}"',
        code="HF307",
        hint=f"its features are {', '.join(plan.feature_names)}",
    )
