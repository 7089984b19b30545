"""Training sets: the log replayed through the engine, read before each row is folded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table
from holdfast.features.engine.view import RETRACT, View
from holdfast.features.future import future_of_rows
from holdfast.features.future_plan import FuturePlan
from holdfast.features.holidays import HolidayTable
from holdfast.features.keys import joint_codes
from holdfast.features.labels import NEVER_US, label_of_rows, patience_us, program_inputs
from holdfast.features.plan import Plan, ViewPlan
from holdfast.features.rows import Program, run
from holdfast.features.taken_back import (
    BEGINNING_US,
    Changed,
    changed_of,
    gone_places,
    in_log_order,
)
from holdfast.features.through import ID, with_keys

__all__ = [
    "Outputs",
    "TrainingSet",
    "ViewOps",
    "ahead_of_rows",
    "build_training_set",
    "category_texts",
    "holidays_of_rows",
    "inputs_of_rows",
    "log_order",
    "program_of_rows",
    "view_of_rows",
    "view_ops",
    "with_found_keys",
]

CHUNK_ROWS = 262_144
CATEGORY_VALUES_MAX = 100_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Outputs = Mapping[str, list[Floats]]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Rows with their features as they were known, their label, and when the label counted.

    `values` float64[n, F]: categories as `category_id`, missing as NaN. `context` float64[n, R]:
    what the value of a decision needs. `label` float64[n]: NaN where not known. `matured_us`
    int64[n]: when the label counts. `cluster` int64[n]: rows that belong to one entity.
    `taken_back` bool[n]: rows that have no label for that; None where none was.
    `encodings`: what the plan says about encoders, by feature. `text_attrs`: for each feature that
    is made of a text, the column of `rows` that holds it; its column of `values` is missing.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    words: tuple[str, ...]
    values: Floats
    context: Floats
    context_names: tuple[str, ...]
    label: Floats
    matured_us: Ints
    time_us: Ints
    known_us: Ints
    cluster: Ints
    rows: pl.DataFrame
    categories: dict[str, dict[float, str]]
    without_time: bool = False
    events: int = 0
    late: int = 0
    encodings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    text_attrs: Mapping[str, str] = field(default_factory=dict)
    taken_back: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.label)

    @property
    def texts(self) -> dict[str, pl.Series]:
        """For each feature that is made of a text, the texts of the rows, null where missing."""
        return {name: self.rows.get_column(attr) for name, attr in self.text_attrs.items()}

    @property
    def gone(self) -> npt.NDArray[np.bool_]:
        """Which rows were taken back, bool[n]."""
        if self.taken_back is None:
            return np.zeros(len(self), dtype=np.bool_)
        return self.taken_back

    def take(self, index: Any) -> TrainingSet:
        """Return the rows at an index array (whole numbers, or one truth value per row)."""
        where = np.asarray(index)
        where = np.flatnonzero(where) if where.dtype == np.bool_ else where
        return replace(
            self,
            values=self.values[where],
            context=self.context[where],
            label=self.label[where],
            matured_us=self.matured_us[where],
            time_us=self.time_us[where],
            known_us=self.known_us[where],
            cluster=self.cluster[where],
            taken_back=None if self.taken_back is None else self.taken_back[where],
            rows=self.rows[where],
        )


@dataclass(frozen=True, kw_only=True)
class ViewOps:
    """The operations of one view in log order: what `View.replay` takes."""

    entity: npt.NDArray[np.int32]
    time: Ints
    action: npt.NDArray[np.int8]
    value_row: Ints
    values: Floats
    out_row: Ints
    keys: int
    update_rows: Ints
    source_row: Ints | None = None
    due_us: Ints | None = None

    @property
    def rows_of_source(self) -> Ints:
        """The row of the source that each operation folds or takes back, -1 for a read."""
        return self.value_row if self.source_row is None else self.source_row

    def matured_before(self, clock_us: int) -> ViewOps:
        """Return the operations without labels that still wait at a moment."""
        if self.due_us is None:
            return self
        kept = np.flatnonzero(self.due_us < clock_us)
        place = np.full(len(self.time), -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        value_row = self.value_row[kept]
        back = self.action[kept] == RETRACT
        value_row[back] = place[value_row[back]]
        return replace(
            self,
            entity=self.entity[kept],
            time=self.time[kept],
            action=self.action[kept],
            value_row=value_row,
            out_row=self.out_row[kept],
            source_row=self.rows_of_source[kept],
            due_us=self.due_us[kept],
        )


def build_training_set(
    plan: Plan,
    tables: Mapping[str, Table],
    *,
    until_us: int | None = None,
    progress: Progress = SILENT,
) -> TrainingSet:
    """Return the features of every row of `each` as they were known at that row.

    The log is replayed in known-time order; a row is read before it is folded. `until_us` cuts
    the log: later rows are not there. A label that has not matured when the log ends is NaN.
    """
    cut = NEVER_US - 1 if until_us is None else until_us
    if until_us is not None:
        tables = {name: table.known_until(cut) for name, table in tables.items()}
    rows, tables = tables[plan.each].frame, with_found_keys(plan, tables)
    each = tables[plan.each]
    labels = [label_of_rows(label, tables, until_us=cut) for label in plan.labels]
    outputs: dict[str, list[Floats]] = {"view": [], "ahead": []}
    events = late = 0
    total = sum(_stream_length(view, tables) for view in plan.views)
    with progress.step("replaying the log", total=total, unit="events") as step:
        for view in plan.views:
            found, folded, dropped = view_of_rows(plan, view, tables, labels=labels)
            outputs["view"].append(found)
            events, late = events + folded, late + dropped
            step.advance(_stream_length(view, tables))
    outputs["ahead"] = [ahead_of_rows(plan, future, tables) for future in plan.futures]
    outputs["holiday"] = holidays_of_rows(plan, each)
    end = max((t.end_us for t in tables.values() if len(t)), default=0)
    if plan.schedule and len(tables[plan.schedule.target]):  # nothing sold, or not told yet
        end = tables[plan.schedule.target].end_us
    end = min(cut, NEVER_US - 1 if plan.schemas[plan.each].without_time else end)
    value_names = plan.value.context
    values = program_of_rows(plan.program, each, outputs)
    return TrainingSet(
        names=plan.feature_names,
        kinds=tuple(feature.kind for feature in plan.features),
        words=tuple(feature.words for feature in plan.features),
        values=values,
        context=inputs_of_rows(value_names, each, outputs, slice(None)),
        context_names=value_names,
        label=np.where(labels[0][1] <= end, labels[0][0], np.nan),
        matured_us=labels[0][1],
        time_us=each.event_us,
        known_us=each.known_us,
        cluster=_clusters(plan, each),
        taken_back=each.gone if each.retracted_us is not None else None,
        rows=rows,
        categories=_categories(plan, tables, values),
        without_time=plan.schemas[plan.each].without_time,
        events=events,
        late=late,
        encodings=plan.encodings,
        text_attrs=plan.texts,
    )


def view_of_rows(
    plan: Plan,
    view: ViewPlan,
    tables: Mapping[str, Table],
    *,
    labels: list[tuple[Floats, Ints]],
) -> tuple[Floats, int, int]:
    """Return what each row of `each` reads, float64[n, A], and how many events: folded, late.

    `tables` may hold a part of the keys: a row reads nothing but events of its own key.
    """
    ops = view_ops(plan, view, tables, labels=labels)
    result = View(view.spec).replay(
        entity=ops.entity,
        time=ops.time,
        action=ops.action,
        value_row=ops.value_row,
        values=ops.values,
        out_row=ops.out_row,
        outputs=tables[plan.each].frame.height,
    )
    return result.values, int((ops.action % 2 == 1).sum()), result.late


def with_found_keys(plan: Plan, tables: Mapping[str, Table]) -> Mapping[str, Table]:
    """Return the tables with the keys that rows of `each` find through a Snapshot."""
    if not plan.vias:
        return tables
    wanted: dict[str, set[str]] = {}
    grouped: list[ViewPlan | FuturePlan] = [*plan.views, *plan.futures]
    for view in grouped:
        wanted.setdefault(view.source, set()).update(k for k in view.keys if k.startswith(ID))

    def read(view: int, found: Mapping[str, Table]) -> Floats:
        return view_of_rows(plan, plan.views[view], found, labels=[])[0]

    return with_keys(tables, plan.each, wanted=wanted, vias=plan.vias, read=read)


def view_ops(
    plan: Plan,
    view: ViewPlan,
    tables: Mapping[str, Table],
    *,
    labels: list[tuple[Floats, Ints]],
    reads: bool = True,
) -> ViewOps:
    """Return one view's updates and reads in log order.

    Updates are the source's rows as they become known, or, for a label, its rows as they mature:
    after everything known by then. A row of `each` is read before it is folded; a record of
    another source known at the same moment counts only if the log has it before the row.
    """
    each, source = tables[plan.each], tables[view.source]
    (row_codes, source_codes), keys = joint_codes(
        [(each.frame, view.lookup), (source.frame, view.keys)]
    )
    label = labels[view.label] if view.label >= 0 else None
    changed = changed_of(plan, view, tables)
    if changed is not None:
        return _changed_ops(plan, view, tables, changed, codes=(row_codes, source_codes),
                            keys=keys, reads=reads)  # fmt: skip
    inputs = program_inputs(source, view.values.inputs, label[0] if label else None)
    values = run(view.values, inputs) if view.spec.columns else np.empty((len(inputs), 0))
    if label is None and view.source == plan.each and view.keys == view.lookup and reads:
        rows = np.arange(len(row_codes), dtype=np.int64)
        kept = np.flatnonzero(row_codes >= 0)
        return ViewOps(
            entity=row_codes[kept],
            time=each.event_us[kept],
            action=np.full(len(kept), 3, dtype=np.int8),
            value_row=rows[kept],
            values=values,
            out_row=rows[kept],
            keys=keys,
            update_rows=rows[kept],
        )
    due = label[1] if label else source.known_us
    counted = (source_codes >= 0) & (due < NEVER_US)
    if label is not None and plan.labels[view.label].kind == "ahead":
        patience = patience_us(plan.labels[view.label], source.schema)
        counted &= source.known_us - source.event_us <= patience
    updates = np.flatnonzero(counted)
    if label is not None:
        updates = updates[np.argsort(due[updates], kind="stable")]
    asked = np.flatnonzero(row_codes >= 0) if reads else np.empty(0, dtype=np.int64)
    order = _merged(each, source, asked, updates, due=due if label else None)
    entity = np.concatenate([row_codes[asked], source_codes[updates]])[order]
    return ViewOps(
        entity=entity,
        time=np.concatenate([each.event_us[asked], source.event_us[updates]])[order],
        action=np.repeat(np.array([2, 1], dtype=np.int8), [len(asked), len(updates)])[order],
        value_row=np.concatenate([np.full(len(asked), -1), updates])[order].astype(np.int64),
        values=values,
        out_row=np.concatenate([asked, np.full(len(updates), -1)])[order].astype(np.int64),
        keys=keys,
        update_rows=updates,
        due_us=None
        if label is None
        else np.concatenate([np.full(len(asked), BEGINNING_US), due[updates]])[order],
    )


def _changed_ops(
    plan: Plan,
    view: ViewPlan,
    tables: Mapping[str, Table],
    changed: Changed,
    *,
    codes: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    keys: int,
    reads: bool,
) -> ViewOps:
    """Return one view's operations where rows were taken back or labels corrected."""
    each, source = tables[plan.each], tables[view.source]
    counted = codes[1] >= 0
    if changed.label is not None and plan.labels[view.label].kind == "ahead":
        patience = patience_us(plan.labels[view.label], source.schema)
        counted &= source.known_us - source.event_us <= patience
    ordered = in_log_order(
        each,
        source,
        changed,
        codes=codes,
        asked=np.flatnonzero(codes[0] >= 0) if reads else np.empty(0, dtype=np.int64),
        counted=counted,
        together=reads and view.label < 0 and each is source and view.keys == view.lookup,
    )
    inputs = program_inputs(source, view.values.inputs, changed.label)
    told = changed.changes.of(counted)
    again = inputs[told.rows]
    if "label" in view.values.inputs:
        again[:, view.values.inputs.index("label")] = told.values
    both = np.concatenate([inputs, again])
    return ViewOps(
        entity=ordered.entity,
        time=ordered.time,
        action=ordered.action,
        value_row=ordered.value_row,
        values=run(view.values, both) if view.spec.columns else np.empty((len(both), 0)),
        out_row=ordered.out_row,
        keys=keys,
        update_rows=np.flatnonzero(counted),
        source_row=ordered.source_row,
        due_us=ordered.due_us if changed.label is not None else None,
    )


def _merged(each: Table, source: Table, asked: Ints, updates: Ints, *, due: Ints | None) -> Ints:
    """Return the log order of reads followed by updates."""
    known = np.concatenate(
        [each.known_us[asked], (source.known_us if due is None else due)[updates]]
    )
    if due is not None or (each.order is None and source.order is None):
        return np.argsort(known, kind="stable")
    ranks = [
        table.order[rows] if table.order is not None else np.full(len(rows), -1, dtype=np.int64)
        for table, rows in ((each, asked), (source, updates))
    ]
    return np.lexsort((np.concatenate(ranks), known))


def ahead_of_rows(plan: Plan, future: FuturePlan, tables: Mapping[str, Table]) -> Floats:
    """Return the windows of one known future for the rows of `each`, float64[n, K]."""
    each, source = tables[plan.each], tables[future.source]
    order = log_order(each, source)
    gone = gone_places(each, source, order)
    return future_of_rows(future, each, source, log_order=order, gone=gone)


def holidays_of_rows(plan: Plan, each: Table) -> list[Floats]:
    """Return the windows of each calendar of holidays for the rows of `each`, float64[n, K]."""
    return [HolidayTable(asked).at(each.event_us) for asked in plan.holidays]


def log_order(each: Table, source: Table) -> Ints:
    """Return the order in which the log has all rows followed by all records, int64[n + m]."""
    return _merged(each, source, np.arange(len(each)), np.arange(len(source)), due=None)


def _stream_length(view: ViewPlan, tables: Mapping[str, Table]) -> int:
    return tables[view.source].frame.height


def inputs_of_rows(names: tuple[str, ...], each: Table, outputs: Outputs, rows: slice) -> Floats:
    """Return the inputs of a row-level program for some rows of `each`."""
    start, stop, _ = rows.indices(len(each.event_us))
    matrix = np.empty((stop - start, len(names)), dtype=np.float64)
    for index, name in enumerate(names):
        origin, _, rest = name.partition(".")
        if origin == "row":
            matrix[:, index] = each.numbers(rest)[rows]
        elif origin in outputs:
            part, _, output = rest.partition(".")
            matrix[:, index] = outputs[origin][int(part)][rows, int(output)]
        else:
            matrix[:, index] = each.event_us[rows]
    return matrix


def program_of_rows(program: Program, each: Table, outputs: Outputs) -> Floats:
    """Return what a row-level program gives for every row of `each`, float64[n, outputs]."""
    values = np.empty((len(each), program.outputs), dtype=np.float64)
    for start in range(0, len(each), CHUNK_ROWS):
        chunk = slice(start, min(start + CHUNK_ROWS, len(each)))
        values[chunk] = run(program, inputs_of_rows(program.inputs, each, outputs, chunk))
    return values


def _clusters(plan: Plan, each: Table) -> Ints:
    """Return the first entity of each row as a code; rows without one stand alone."""
    for column in plan.schemas[plan.each].columns:
        if column.kind == "key" and column.to:
            (codes,), keys = joint_codes([(each.frame, (column.attr,))])
            alone = np.arange(keys, keys + len(codes), dtype=np.int64)
            return np.where(codes >= 0, codes.astype(np.int64), alone)
    return np.arange(len(each.event_us), dtype=np.int64)


def _categories(
    plan: Plan, tables: Mapping[str, Table], values: Floats
) -> dict[str, dict[float, str]]:
    """Return, for each category feature, the text behind each number it takes."""
    wanted = [i for i, feature in enumerate(plan.features) if feature.kind == "category"]
    if not wanted:
        return {}
    texts = {
        category_id(text): text
        for name in plan.schemas
        for found in category_texts(plan, tables[name]).values()
        for text in found
    }
    return {
        plan.features[index].name: {
            float(i): texts[float(i)] for i in np.unique(values[:, index]) if float(i) in texts
        }
        for index in wanted
    }


def category_texts(plan: Plan, table: Table) -> dict[str, list[str]]:
    """Return the texts that features may take as categories, by column, sorted and bounded.

    Those that the definition itself names stand under "", beside the columns of `each`.
    """
    found = {}
    for column in table.schema.columns:
        asked = column.kind == "key" and f"row.{column.attr}" in plan.program.inputs
        if column.kind in ("category", "string") or asked:
            distinct = table.frame.get_column(column.attr).drop_nulls().unique()
            found[column.attr] = distinct.sort().head(CATEGORY_VALUES_MAX).to_list()
    for derived in table.schema.derived:
        if derived.kind == "category":
            distinct = table.values(derived.attr).drop_nulls().unique()
            found[derived.attr] = distinct.sort().head(CATEGORY_VALUES_MAX).to_list()
    if table.schema.name == plan.each:
        found[""] = list(plan.constants)
    return found
