"""Tasks over the keys of one partition: labels, and what each row reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.data.table import Table
from holdfast.errors import StoreError
from holdfast.features.future import future_of_rows
from holdfast.features.labels import NEVER_US, label_of_rows
from holdfast.features.scale.exchanges import EVENT, KNOWN, POSITION, Exchange, Fold, width_of
from holdfast.features.scale.folder import TaskOutput
from holdfast.features.scale.job import Job
from holdfast.features.scale.partitions import at_ranges, by_partition, partition_of
from holdfast.features.through import ID, with_keys
from holdfast.features.training_set import log_order, view_of_rows

__all__ = ["column_names", "exchange", "fold", "fold_label", "gathered", "labels_of_range"]

VALUE, DUE = " value", " due"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Labels = list[tuple[Floats, Ints]]

NOTHING: tuple[Floats, Ints] = (np.empty(0), np.empty(0, dtype=np.int64))


def exchange(job: Job, out: TaskOutput, *, exchanges: Sequence[int], number: int) -> None:
    """Spread one range of a source over the partitions of each of its keys."""
    wanted = [job.exchanges[which] for which in exchanges]
    source = wanted[0].source
    stored = {column.attr for column in job.plan.schemas[source].columns}
    asked = {name.removeprefix(ID) for one in wanted for name in (*one.keys, *one.columns)}
    table = job.ordered(source, number, tuple(asked & stored))
    table = _with_found_keys(job, table, {key for one in wanted for key in one.keys}, number)
    start = job.starts(source)[number]
    positions = np.arange(start, start + len(table), dtype=np.int64)
    for which, one in zip(exchanges, wanted, strict=True):
        frame = table.frame.select(*dict.fromkeys([*one.keys, *one.columns])).with_columns(
            pl.Series(POSITION, positions),
            pl.Series(EVENT, table.event_us),
            pl.Series(KNOWN, table.known_us),
        )
        if one.label >= 0:
            value, due = labels_of_range(job, one.label, number)
            frame = frame.with_columns(pl.Series(VALUE, value), pl.Series(DUE, due))
        partitions = partition_of(frame, one.keys, positions, job.partitions)
        parts = by_partition(frame, partitions, job.partitions)
        out.batches(f"work/exchange/{which:03d}/{number:05d}.arrow", parts)


def _with_found_keys(job: Job, table: Table, keys: set[str], number: int) -> Table:
    """Return one range of a source with the keys that its rows find through a Snapshot."""

    def read(view: int, _: Mapping[str, Table]) -> Floats:
        return gathered(job, job.folds[view], number, width_of(job.plan, job.folds[view]))

    source = table.schema.name
    wanted = {source: {key for key in keys if key.startswith(ID)}}
    vias = tuple(via for via in job.plan.vias if via.attr in keys)
    return with_keys({source: table}, source, wanted=wanted, vias=vias, read=read)[source]


def fold_label(job: Job, out: TaskOutput, *, label: int, partition: int) -> None:
    """Find a label ahead for the rows of one partition."""
    plan = job.plan.labels[label]
    rows, positions, _ = _part(job, job.exchange(plan.source, plan.row_keys), partition)
    tables = {plan.source: rows}
    if plan.target != plan.source:
        number = job.exchange(plan.target, plan.target_keys)
        tables[plan.target] = _part(job, number, partition)[0]
    value, due = label_of_rows(plan, tables, until_us=NEVER_US - 1)
    frame = pl.DataFrame({POSITION: positions, VALUE: value, DUE: due})
    parts = at_ranges(frame, positions, job.starts(plan.source))
    out.batches(f"work/label/{label:03d}/{partition:05d}.arrow", parts)


def labels_of_range(job: Job, label: int, number: int) -> tuple[Floats, Ints]:
    """Return a label ahead and when it counts for one range of its source, put together again."""
    about = job.tables[job.plan.labels[label].source][number]
    names = [f"work/label/{label:03d}/{p:05d}.arrow" for p in range(job.partitions)]
    value = np.full(about["rows"], np.nan)
    due = np.full(about["rows"], NEVER_US, dtype=np.int64)
    for name in names:
        part = job.folder.batch(name, number)
        at = part.get_column(POSITION).to_numpy() - about["start"]
        value[at], due[at] = part.get_column(VALUE).to_numpy(), part.get_column(DUE).to_numpy()
    return value, due


def fold(job: Job, out: TaskOutput, *, which: int, partition: int) -> None:
    """Replay one view, or look around in one known future, for the keys of one partition."""
    one, each = job.folds[which], job.plan.each
    records, positions, label = _part(job, job.exchange(one.source, one.keys, one.label), partition)
    found, asked = records, positions
    if one.source != each or one.keys != one.lookup:
        found, asked, _ = _part(job, job.exchange(each, one.lookup), partition)
    if one.origin == "view":
        view = replace(job.plan.views[one.index], source=one.table(each))
        tables = {name: Table.none(schema) for name, schema in job.plan.schemas.items()}
        tables |= {each: found, view.source: records}
        labels = _labels(job, view.label, records, label)
        values, events, late = view_of_rows(job.plan, view, tables, labels=labels)
        out.facts |= {"events": events, "late": late}
    else:
        order = log_order(found, records)
        if one.source == each and found is not records:  # the rows stand in one log with themselves
            order = np.argsort(np.concatenate([asked, positions]), kind="stable")
        future = job.plan.futures[one.index]
        values = future_of_rows(future, found, records, log_order=order)
    columns = {name: values[:, at] for at, name in enumerate(column_names(values.shape[1]))}
    parts = at_ranges(pl.DataFrame({POSITION: asked, **columns}), asked, job.starts(each))
    out.batches(f"work/fold/{one.name}/{partition:05d}.arrow", parts)


def gathered(job: Job, one: Fold, number: int, width: int) -> Floats:
    """Return what one fold found for a range of `each`, float64[rows, width]."""
    about = job.tables[job.plan.each][number]
    matrix = np.full((about["rows"], width), np.nan)
    for partition in range(job.partitions):
        part = job.folder.batch(f"work/fold/{one.name}/{partition:05d}.arrow", number)
        at = part.get_column(POSITION).to_numpy() - about["start"]
        for column, name in enumerate(column_names(width)):
            matrix[at, column] = part.get_column(name).to_numpy()
    return matrix


def column_names(width: int) -> list[str]:
    """Return the names of a fold's columns in its files."""
    return [str(number) for number in range(width)]


def _labels(job: Job, label: int, records: Table, ahead: tuple[Floats, Ints]) -> Labels:
    """Return the labels of a view's source where `view_ops` looks for them."""
    found = [NOTHING] * len(job.plan.labels)
    if label >= 0:
        plan = job.plan.labels[label]
        if plan.kind == "column":
            found[label] = label_of_rows(plan, {plan.source: records}, until_us=NEVER_US - 1)
        else:
            found[label] = ahead
    return found


def _part(job: Job, number: int, partition: int) -> tuple[Table, Ints, tuple[Floats, Ints]]:
    """Return one partition of an exchange: its rows in log order, their positions, their label."""
    one: Exchange = job.exchanges[number]
    ranges = range(len(job.tables[one.source]))
    names = [f"work/exchange/{number:03d}/{at:05d}.arrow" for at in ranges]
    try:
        frame = job.folder.partition(names, partition)
    except MemoryError as error:
        raise StoreError(
            f"one partition of `{one.source}` does not fit into memory",
            code="HF639",
            hint="one key has too many rows for this memory; give a worker more",
        ) from error
    label = NOTHING
    if one.label >= 0:
        label = (frame.get_column(VALUE).to_numpy(), frame.get_column(DUE).to_numpy())
    event, known = frame.get_column(EVENT).to_numpy(), frame.get_column(KNOWN).to_numpy()
    rows = frame.drop(POSITION, EVENT, KNOWN, VALUE, DUE, strict=False)
    table = Table(schema=job.plan.schemas[one.source], frame=rows, event_us=event, known_us=known)
    return table, frame.get_column(POSITION).to_numpy(), label
