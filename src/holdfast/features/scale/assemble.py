"""Assembling: the rows of one range with everything that was found for them, and the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.data.table import Table
from holdfast.features.labels import NEVER_US, label_of_rows
from holdfast.features.scale.clusters import clusters_of_range
from holdfast.features.scale.exchanges import width_of
from holdfast.features.scale.folder import TaskOutput
from holdfast.features.scale.folding import gathered, labels_of_range
from holdfast.features.scale.job import Job
from holdfast.features.training_set import (
    CATEGORY_VALUES_MAX,
    category_texts,
    holidays_of_rows,
    inputs_of_rows,
    program_of_rows,
)

__all__ = ["assemble", "categories_of", "collect_texts"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEATURE, TEXT, COLUMN, ID = "feature", "text", "column", "id"


def collect_texts(job: Job, out: TaskOutput, *, source: str, number: int) -> None:
    """Write the texts that features may take as categories, of one range of a source."""
    schema = job.plan.schemas[source]
    kept = {c.attr for c in schema.columns if c.kind in ("category", "string", "key")}
    kept |= {attr for one in schema.derived if one.kind == "category" for attr in one.inputs}
    attrs = tuple(c.attr for c in schema.columns if c.attr in kept)
    found = category_texts(job.plan, _with_all(job.ordered(source, number, attrs)))
    columns = [attr for attr, texts in found.items() for _ in texts]
    frame = pl.DataFrame(
        {COLUMN: columns, TEXT: [text for texts in found.values() for text in texts]},
        schema={COLUMN: pl.String, TEXT: pl.String},
    )
    out.batches(f"work/texts/{source}/{number:05d}.arrow", [frame])


def _with_all(table: Table) -> Table:
    """Return a table whose frame has every column of its schema, those not read being null."""
    missing = [
        pl.lit(None, dtype=pl.String).alias(column.attr)
        for column in table.schema.columns
        if column.attr not in table.frame.columns
    ]
    return Table(
        schema=table.schema,
        frame=table.frame.with_columns(missing),
        event_us=table.event_us,
        known_us=table.known_us,
    )


def assemble(job: Job, out: TaskOutput, *, number: int, end: int) -> None:
    """Write one part of the training set: features, context, label, times and the rows.

    `end`: when the log ends; a label that counts later is not known.
    """
    plan, each = job.plan, job.ordered(job.plan.each, number)
    outputs: dict[str, list[Floats]] = {"view": [], "ahead": []}
    for one in job.folds:
        outputs[one.origin].append(gathered(job, one, number, width_of(plan, one)))
    outputs["holiday"] = holidays_of_rows(plan, each)
    values = program_of_rows(plan.program, each, outputs)
    context = inputs_of_rows(plan.value.context, each, outputs, slice(None))
    if plan.labels[0].kind == "column":
        label, due = label_of_rows(plan.labels[0], {plan.each: each}, until_us=NEVER_US - 1)
    else:
        label, due = labels_of_range(job, 0, number)
    label = np.where(due <= end, label, np.nan)
    frame = each.frame.rename(lambda name: f"row.{name}").with_columns(
        *(pl.Series(f"feature.{name}", values[:, i]) for i, name in enumerate(plan.feature_names)),
        *(pl.Series(f"context.{name}", context[:, i]) for i, name in enumerate(plan.value.context)),
        pl.Series("label", label),
        pl.Series("matured_us", due),
        pl.Series("time_us", each.event_us),
        pl.Series("known_us", each.known_us),
        pl.Series("cluster", clusters_of_range(job, number)),
    )
    out.parquet(f"parts/part-{number:05d}.parquet", frame)
    out.batches(f"work/present/{number:05d}.arrow", [_present(job, values)])
    out.facts |= {
        "rows": len(each),
        "known": int((~np.isnan(label)).sum()),
        "first_us": int(each.event_us.min()) if len(each) else 0,
        "last_us": int(each.event_us.max()) if len(each) else 0,
    }


def _present(job: Job, values: Floats) -> pl.DataFrame:
    """Return the distinct numbers of each category feature."""
    found = [pl.DataFrame(schema={FEATURE: pl.String, ID: pl.Float64})]
    for index, feature in enumerate(job.plan.features):
        if feature.kind == "category":
            ids = np.unique(values[:, index])
            found.append(pl.DataFrame({FEATURE: [feature.name] * len(ids), ID: ids}))
    return pl.concat(found)


def categories_of(job: Job) -> dict[str, list[list[Any]]]:
    """Return, for each category feature, pairs of a number that it takes and the text behind it."""
    names = [feature.name for feature in job.plan.features if feature.kind == "category"]
    if not names:
        return {}
    texts = {category_id(text): text for text in _texts(job)}
    found: dict[str, dict[float, str]] = {name: {} for name in names}
    for number in range(len(job.tables[job.plan.each])):
        present = job.folder.batch(f"work/present/{number:05d}.arrow")
        for name, value in present.iter_rows():
            if value in texts:
                found[name][value] = texts[value]
    return {name: [[int(i), text] for i, text in sorted(of.items())] for name, of in found.items()}


def _texts(job: Job) -> Iterable[str]:
    """Yield the texts of every column, of each the first `CATEGORY_VALUES_MAX` in their order."""
    for source in job.plan.schemas:
        merged: dict[str, pl.Series] = {}
        for number in range(len(job.tables[source])):
            part = job.folder.batch(f"work/texts/{source}/{number:05d}.arrow")
            for (column,), rows in part.group_by(COLUMN):
                more = rows.get_column(TEXT)
                held = merged.get(str(column))
                both = more if held is None else pl.concat([held, more])
                merged[str(column)] = both.unique().sort().head(CATEGORY_VALUES_MAX)
        schema = job.plan.schemas[source]
        attrs = [column.attr for column in schema.columns]
        for attr in [*attrs, *(derived.attr for derived in schema.derived), ""]:
            if attr in merged:
                yield from merged[attr].to_list()
