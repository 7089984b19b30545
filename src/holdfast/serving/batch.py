"""Batch: a file of rows, or those of a schedule, in; a file of decisions out, one for one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.clock import iso
from holdfast.core.progress import SILENT, Progress
from holdfast.data.ingest import Loaded, load
from holdfast.data.readers import files_of, read_file
from holdfast.data.table import Table, times_of
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError, StoreError
from holdfast.features.schedule import latest_moment, scheduled_at
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.training.bundle import Bundle

__all__ = ["predict_batch", "predict_moment"]

CHUNK_ROWS = 65_536
OUTPUTS = {
    "use_case": pl.String,
    "model_version": pl.Int64,
    "by": pl.String,
    "score": pl.Float64,
    "decision": pl.String,
    "expected_value": pl.Float64,
    "quantity": pl.Float64,
    "problem": pl.String,
}

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Rows:
    """The rows that kept their contract. `at`: their positions in the file, in table order."""

    table: Table
    at: Ints


def predict_batch(
    bundle: Bundle,
    tables: Mapping[str, Table],
    *,
    file_in: Path,
    file_out: Path,
    now_us: int,
    progress: Progress = SILENT,
) -> dict[str, int]:
    """Write a decision for each row of a file, in its order, and return the counts.

    `tables`: history with the live log behind it. The rows stand behind both, in the order in
    which they were known, and are replayed with them: the features are those a service would
    have served. A row whose key history has gets the features it had there. Labels need not be
    given. A row that breaks its contract is answered by the fallback, or by nothing where none
    is declared; `problem` says why. The output is put in place whole.

    Raises:
        ContractError: HF202 to HF205 for the file that is read, HF509 for one that cannot be
            written in this form.
        StoreError: the output cannot be written.
    """
    if file_in.resolve() == file_out.resolve():
        raise ContractError(
            "the output would replace the input",
            code="HF509",
            site=str(file_out),
            hint="write to another file",
        )
    _writer(file_out)
    schema = bundle.plan.schemas[bundle.plan.each]
    raw = pl.concat(
        [read_file(path, schema) for path in files_of(file_in, schema)],
        how="vertical_relaxed",
    )
    return _predict(bundle, tables, raw, file_out=file_out, now_us=now_us, progress=progress)


def predict_moment(
    bundle: Bundle,
    tables: Mapping[str, Table],
    *,
    file_out: Path,
    now_us: int,
    at_us: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, int]:
    """Write a decision for each entity at one moment of a schedule, and return the counts.

    Without `at_us` it is the last moment of the schedule up to now. Nothing known later counts.

    Raises:
        ContractError: HF509 where rows come from a source, or the file has no form that can be
            written; HF207 where nobody is there.
        StoreError: the output cannot be written.
    """
    plan = bundle.plan
    schema = plan.schemas[plan.each]
    if plan.schedule is None:
        raise ContractError(
            f'"{plan.use_case}" decides about each `{plan.each}`, and no file of them is given',
            code="HF509",
            site=schema.where,
            hint=f"`holdfast predict {plan.use_case} rows.csv decisions.csv`",
        )
    _writer(file_out)
    at = latest_moment(plan.schedule, now_us) if at_us is None else at_us
    known = {name: table.known_until(at) for name, table in tables.items()}
    raw = scheduled_at(plan.schedule, schema, known, at).frame
    if not raw.height:
        raise ContractError(
            f"nobody is there to decide about at {iso(at)}",
            code="HF207",
            site=schema.where,
            hint="history ends earlier; name a moment: `--at 2026-08-01T05:00`",
        )
    raw = raw.with_columns(pl.col(schema.event_time).cast(pl.Datetime("us", "UTC")))
    return _predict(
        bundle, known, raw, file_out=file_out, now_us=max(now_us, at), progress=progress
    )


def _predict(
    bundle: Bundle,
    tables: Mapping[str, Table],
    raw: pl.DataFrame,
    *,
    file_out: Path,
    now_us: int,
    progress: Progress,
) -> dict[str, int]:
    write, plan = _writer(file_out), bundle.plan
    schema = plan.schemas[plan.each]
    loaded = load(_by_attr(schema), raw, now_us=now_us)
    rows = _in_known_order(schema, loaded)
    asked = _features(bundle, tables, rows, progress)
    decided = _decided(bundle, asked, progress)
    problems = {
        number: f"{column}: {reason}"
        for reason, column, number in loaded.quarantine.frame.select(
            "reason", "column", "row_number"
        ).iter_rows()
    }
    out = _in_file_order(bundle, decided, rows.at, problems)
    given = raw.rename({name: f"{name}_given" for name in raw.columns if name in OUTPUTS})
    with _in_place(file_out) as aside:
        write(given.hstack(out), aside)
    by = out.get_column("by")
    return {
        "rows": raw.height,
        "by_model": int((by == "model").sum()),
        "by_fallback": int((by == "fallback").sum()),
        "broken": len(loaded.quarantine),
    }


def _by_attr(schema: SourceSchema) -> SourceSchema:
    """The schema for a frame whose columns have their attrs' names, kept in its order."""
    columns = tuple(replace(column, column=column.attr) for column in schema.columns)
    return replace(schema, columns=columns, without_time=True)


def _in_known_order(schema: SourceSchema, loaded: Loaded) -> _Rows:
    broken = loaded.quarantine.frame.get_column("row_number").to_numpy()
    at = np.setdiff1d(np.arange(loaded.rows_read, dtype=np.int64), broken)
    frame = loaded.table.frame
    known = times_of(schema, frame)[1]
    order = np.argsort(known, kind="stable")
    return _Rows(Table.of(schema, frame[order]), at[order])


def _features(
    bundle: Bundle, tables: Mapping[str, Table], rows: _Rows, progress: Progress
) -> TrainingSet:
    """Return the rows as a training set, in table order."""
    plan = bundle.plan
    each = tables[plan.each]
    found = _places_in(each, rows.table)
    new = np.flatnonzero(found < 0)
    added = _behind(tables, rows.table, new)
    whole = {**tables, plan.each: each.extend(added)}
    training = build_training_set(plan, whole, progress=progress)
    place = found.copy()
    place[new] = np.arange(len(each), len(each) + len(new))
    return training.take(place)


def _places_in(each: Table, asked: Table) -> Ints:
    """Return where history has the rows' keys, int64[n], -1 where it has not."""
    key = each.schema.key
    if not key:
        return np.full(len(asked), -1, dtype=np.int64)
    held = each.frame.select(pl.col(key).alias("key")).with_row_index("place")
    held = held.filter(pl.col("key").is_not_null()).unique("key", keep="first")
    wanted = asked.frame.select(pl.col(key).alias("key"))
    joined = wanted.join(held, on="key", how="left", maintain_order="left")
    places = joined.get_column("place").cast(pl.Int64).fill_null(-1)
    return places.to_numpy().astype(np.int64)


def _behind(tables: Mapping[str, Table], rows: Table, new: Ints) -> Table:
    """Return the new rows as the newest ones: no sooner known than what is there already."""
    ends = [int(table.known_us[-1]) for table in tables.values() if len(table)]
    known = np.maximum(rows.known_us[new], max(ends, default=-(1 << 62)))
    last = [int(t.order.max()) for t in tables.values() if t.order is not None and len(t.order)]
    start = max(last, default=-1) + 1
    return Table(
        schema=rows.schema,
        frame=rows.frame[new],
        event_us=rows.event_us[new],
        known_us=known,
        order=np.arange(start, start + len(new), dtype=np.int64),
        outcome_us=np.full(len(new), -1, dtype=np.int64),
    )


def _decided(bundle: Bundle, asked: TrainingSet, progress: Progress) -> dict[str, list[Any]]:
    """Return the output columns of the rows in table order."""
    names, plan = bundle.decisions, bundle.plan
    columns: dict[str, list[Any]] = {name: [] for name in OUTPUTS}
    with progress.step("deciding", total=len(asked), unit="rows") as step:
        for start in range(0, len(asked), CHUNK_ROWS):
            chunk = slice(start, start + CHUNK_ROWS)
            texts = {name: text[chunk].to_list() for name, text in asked.texts.items()}
            told = bundle.predict(asked.values[chunk], asked.context[chunk], texts)
            taken = told.decision.astype(np.int64)
            rows = len(taken)
            columns["use_case"] += [plan.use_case] * rows
            columns["model_version"] += [bundle.version] * rows
            columns["by"] += ["model"] * rows
            columns["score"] += _nullable(told.probability)
            columns["decision"] += [names[index] for index in taken]
            columns["expected_value"] += _nullable(told.expected[np.arange(rows), taken])
            columns["quantity"] += _nullable(told.quantity)
            columns["problem"] += [None] * rows
            step.advance(rows)
    return columns


def _in_file_order(
    bundle: Bundle, decided: dict[str, list[Any]], at: Ints, problems: Mapping[int, str]
) -> pl.DataFrame:
    """Return the outputs for each row of the file; broken rows get the fallback."""
    fallback = bundle.fallback or None
    broken: dict[str, list[Any]] = {name: [None] * len(problems) for name in OUTPUTS}
    broken["use_case"] = [bundle.plan.use_case] * len(problems)
    broken["model_version"] = [bundle.version] * len(problems)
    broken["by"] = ["fallback" if fallback else None] * len(problems)
    broken["decision"] = [fallback] * len(problems)
    broken["problem"] = list(problems.values())
    places = [*at.tolist(), *problems]
    whole = pl.DataFrame(
        {name: [*decided[name], *broken[name]] for name in OUTPUTS}, schema=OUTPUTS
    )
    out = whole[np.argsort(np.array(places, dtype=np.int64), kind="stable")]
    return out if bundle.plan.value.kind == "inventory" else out.drop("quantity")


def _writer(file_out: Path) -> Callable[[pl.DataFrame, Path], None]:
    """Return what writes a frame in the form that the output's name asks for."""
    writers: dict[str, Callable[[pl.DataFrame, Path], None]] = {
        ".parquet": lambda frame, path: frame.write_parquet(path),
        ".csv": lambda frame, path: frame.write_csv(path),
        ".jsonl": lambda frame, path: frame.write_ndjson(path),
        ".ndjson": lambda frame, path: frame.write_ndjson(path),
    }
    if file_out.suffix not in writers:
        raise ContractError(
            f"{file_out.name} names no form that can be written",
            code="HF509",
            site=str(file_out),
            hint="end it in .parquet, .csv or .jsonl",
        )
    return writers[file_out.suffix]


@contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; put it in place once it is whole and on the disk."""
    aside = path.with_name(f".{path.name}.aside")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(
            f"{path.name} cannot be written: {getattr(error, 'strerror', None) or error}",
            code="HF526",
            site=str(path),
            hint="free space, or write to a folder that can be written",
            retryable=True,
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _nullable(values: Floats) -> list[float | None]:
    held = values.astype(object)
    held[np.isnan(values)] = None
    found: list[float | None] = held.tolist()
    return found
