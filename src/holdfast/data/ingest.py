"""Ingest: a source's files to a table that keeps its contract, and a quarantine for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from holdfast.core.progress import SILENT, Progress
from holdfast.data.parse import parse_column, problems_of
from holdfast.data.quarantine import EMPTY, Quarantine
from holdfast.data.readers import SUFFIXES, declared, files_of, raw_frame, read_file
from holdfast.data.remote import brought_here, is_remote, remote_files
from holdfast.data.rules import UNREADABLE
from holdfast.data.table import Table
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError

__all__ = ["PLACE", "Loaded", "checked", "load", "put_aside"]

FILE, PLACE, BLAMED = " file", " place", " blamed"
"""Columns beside those of the source, whose names are Python names without blanks."""


@dataclass(frozen=True)
class Loaded:
    """What a source's files held: the rows that keep the contract, and those that do not.

    `backwards`: how many rows were known before the row in front of them in the files. `erased`:
    how many rows were left out because what they name was erased.
    """

    table: Table
    quarantine: Quarantine
    rows_read: int
    files: int
    backwards: int = 0
    erased: int = 0


def load(
    schema: SourceSchema,
    where: Any,
    *,
    now_us: int | None,
    progress: Progress = SILENT,
) -> Loaded:
    """Return a source's rows, from a path, a glob, or a table from Python.

    Every row is either in the table or in the quarantine with its reason. `now_us` is the clock:
    rows that happened after it are put aside; None keeps them.

    Raises:
        ContractError: HF202 no file, HF203 unreadable, HF204 a column is missing, HF205 empty.
    """
    if is_remote(where):
        found = remote_files(where, schema, suffixes=SUFFIXES)
        with progress.step(f"reading {schema.name}", total=len(found), unit="files") as step:
            frames, files = [], []
            for one in found:
                with brought_here(one.url) as path:
                    frames.append(read_file(path, schema))
                    files.append(path.name)
                step.advance(1)
    elif isinstance(where, str | Path):
        paths = files_of(Path(where), schema)
        with progress.step(f"reading {schema.name}", total=len(paths), unit="files") as step:
            frames = []
            for path in paths:
                frames.append(read_file(path, schema))
                step.advance(1)
        files = [path.name for path in paths]
    else:
        frames = [declared(raw_frame(where, schema), schema, f"{schema.name} (from Python)")]
        files = []
    parts = [_typed(frame, schema) for frame in frames]
    typed = pl.concat([part[0] for part in parts])
    unread = pl.concat([part[1] for part in parts])
    if not typed.height:
        raise ContractError(
            f"`{schema.name}` has no rows",
            code="HF205",
            site=schema.where,
            hint="its files have columns but nothing under them",
        )
    reason, column = _reasons(typed, unread, schema, now_us)
    broken = reason.is_not_null()
    quarantine = EMPTY
    if bool(broken.any()):
        quarantine = _quarantine(_broken_rows(frames, files or [""], broken), reason, column)
    kept = typed.filter(~broken)
    return Loaded(
        table=Table.of(schema, kept),
        quarantine=quarantine,
        rows_read=typed.height,
        files=len(files),
        backwards=_backwards(kept, schema),
    )


def checked(
    frame: pl.DataFrame, schema: SourceSchema, *, file: str, first_row: int, now_us: int | None
) -> tuple[pl.DataFrame, Quarantine]:
    """Return the rows of one chunk of a file that keep the contract, and the others.

    `frame`: declared columns as read, from row `first_row` of the file on. The kept rows carry
    their row number in the file as `PLACE`. That a key is there once cannot be seen in a chunk.
    """
    typed, unread = _typed(frame, schema)
    reason, column = _reasons(typed, unread, schema, now_us, unique=False)
    broken = reason.is_not_null()
    places = pl.int_range(first_row, first_row + frame.height, eager=True).alias(PLACE)
    quarantine = EMPTY
    if bool(broken.any()):
        rows = _broken_rows([frame], [file], broken).with_columns(places.filter(broken))
        quarantine = _quarantine(rows, reason, column)
    return typed.with_columns(places).filter(~broken), quarantine


def put_aside(frame: pl.DataFrame, *, reason: str, column: str, file: str) -> Quarantine:
    """Return typed rows that carry their `PLACE` as broken rows of a file."""
    texts = frame.drop(PLACE)
    rows = frame.select(pl.lit(file).alias(FILE), pl.col(PLACE), *_as_text(texts))
    reasons, columns = (
        pl.Series([text] * frame.height, dtype=pl.String) for text in (reason, column)
    )
    return _quarantine(rows, reasons, columns)


def _typed(frame: pl.DataFrame, schema: SourceSchema) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return typed columns, and which values were there but unreadable."""
    pairs = [parse_column(c, frame.get_column(c.attr), schema) for c in schema.columns]
    unread = [wrong.alias(typed.name) for typed, wrong in pairs]
    return pl.DataFrame([typed for typed, _ in pairs]), pl.DataFrame(unread)


def _broken_rows(frames: list[pl.DataFrame], files: list[str], broken: pl.Series) -> pl.DataFrame:
    """Return the broken rows as they were read, as text, with their file and their place in it."""
    found, start = [], 0
    for frame, file in zip(frames, files, strict=True):
        here = broken[start : start + frame.height]
        rows = frame.select(
            pl.lit(file).alias(FILE), pl.int_range(pl.len()).alias(PLACE), *_as_text(frame)
        )
        found.append(rows.filter(here))
        start += frame.height
    return pl.concat(found)


def _as_text(frame: pl.DataFrame) -> list[pl.Expr]:
    """Return the columns so that files of different types can stand under one another."""
    return [
        pl.col(name) if dtype == pl.String else pl.col(name).cast(pl.String, strict=False)
        for name, dtype in frame.schema.items()
        if not dtype.is_nested()
    ]


def _reasons(
    typed: pl.DataFrame,
    unread: pl.DataFrame,
    schema: SourceSchema,
    now_us: int | None,
    *,
    unique: bool = True,
) -> tuple[pl.Series, pl.Series]:
    """Return the first reason each row is broken for, null where it is not, and its column.

    `unique`: whether a key of its own that stands in an earlier row is a reason.
    """
    reason = np.full(typed.height, -1, dtype=np.int32)
    names: list[tuple[str, str]] = []

    def note(found: pl.Series, why: str, attr: str) -> None:
        where = found.fill_null(False).to_numpy() & (reason < 0)
        if where.any():
            reason[where] = len(names)
            names.append((why, attr))

    for column in schema.columns:
        note(unread.get_column(column.attr), UNREADABLE[column.kind], column.attr)
        rules = problems_of(column, schema, now_us=now_us)
        if rules:
            found = typed.select([rule.alias(str(i)) for i, (_, rule) in enumerate(rules)])
            for index, (why, _) in enumerate(rules):
                note(found.get_column(str(index)), why, column.attr)
    if schema.key and unique:
        sound = pl.DataFrame({"key": typed.get_column(schema.key), "ok": reason < 0})
        first = sound.select(
            (~pl.col("key").is_first_distinct()) & pl.col("key").is_not_null()
        ).to_series()
        if bool(first.any()):
            note(_repeated(sound), "duplicate key", schema.key)
    texts = [why for why, _ in names]
    attrs = [attr for _, attr in names]
    which = np.where(reason < 0, len(names), reason)
    return (
        pl.Series([*texts, None], dtype=pl.String).gather(which),
        pl.Series([*attrs, None], dtype=pl.String).gather(which),
    )


def _repeated(sound: pl.DataFrame) -> pl.Series:
    """Return which rows repeat the key of an earlier sound row."""
    numbered = sound.with_row_index("at")
    firsts = (
        numbered.filter(pl.col("ok") & pl.col("key").is_not_null())
        .group_by("key")
        .agg(pl.col("at").min().alias("first"))
    )
    joined = numbered.join(firsts, on="key", how="left", maintain_order="left")
    return joined.select((pl.col("ok")) & (pl.col("first") < pl.col("at"))).to_series()


def _quarantine(broken: pl.DataFrame, reason: pl.Series, column: pl.Series) -> Quarantine:
    rows = broken.drop(FILE, PLACE)
    blamed = column.drop_nulls().alias(BLAMED)
    value = pl.lit(None, dtype=pl.String)
    for attr in blamed.unique():
        if attr in rows.columns:
            value = pl.when(pl.col(BLAMED) == attr).then(pl.col(attr)).otherwise(value)
    frame = broken.with_columns(blamed).select(
        reason=reason.drop_nulls(),
        column=pl.col(BLAMED),
        value=value,
        file=pl.col(FILE),
        row_number=pl.col(PLACE).cast(pl.Int64),
        row=pl.struct(rows.columns).struct.json_encode(),
    )
    return Quarantine(frame)


def _backwards(frame: pl.DataFrame, schema: SourceSchema) -> int:
    attr = schema.known_time or schema.event_time
    if schema.without_time or not attr or frame.height < 2:
        return 0
    return int((frame.get_column(attr).diff() < 0).sum())
