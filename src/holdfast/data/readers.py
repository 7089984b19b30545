"""Reading files and tables from Python: raw columns in, nothing judged yet."""

from __future__ import annotations

import difflib
import glob
from pathlib import Path
from typing import Any

import polars as pl

from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError

__all__ = ["files_of", "raw_frame", "read_file"]

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
FILES_MAX = 100_000


def files_of(where: Path, schema: SourceSchema) -> list[Path]:
    """Return the files behind a path, a glob or a folder, sorted by name.

    Raises:
        ContractError: HF202 when there is none.
    """
    text = str(where)
    if where.is_dir():
        found = sorted(path for path in where.iterdir() if path.suffix in SUFFIXES)
    elif any(mark in text for mark in "*?["):
        found = sorted(Path(path) for path in glob.glob(text, recursive=True))
    else:
        found = [where] if where.is_file() else []
    if not found:
        raise ContractError(
            f"`{schema.name}` has no file {text}",
            code="HF202",
            site=schema.where,
            hint=_near_file(where),
        )
    if len(found) > FILES_MAX:
        raise ContractError(
            f"`{schema.name}` has {len(found)} files; the limit is {FILES_MAX}",
            code="HF202",
            site=schema.where,
            hint="merge the files",
        )
    return found


def _near_file(where: Path) -> str:
    parent = where.parent
    if not parent.is_dir():
        return f"there is no folder {parent}; paths are relative to the project folder"
    names = sorted(path.name for path in parent.iterdir() if path.suffix in SUFFIXES)
    near = difflib.get_close_matches(where.name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"files there: {', '.join(names[:5])}" if names else f"{parent} has no data files"


def raw_frame(table: Any, schema: SourceSchema) -> pl.DataFrame:
    """Return an Arrow, Polars or pandas table, or anything that speaks Arrow, as Polars.

    Raises:
        ContractError: HF203 for anything else.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if hasattr(table, "__arrow_c_stream__"):
        return pl.DataFrame(table)
    raise ContractError(
        f"`{schema.name}` was given a {type(table).__name__}, which is no table",
        code="HF203",
        site=schema.where,
        hint="give a Polars, Arrow or pandas table, or a path",
    )


def read_file(path: Path, schema: SourceSchema) -> pl.DataFrame:
    """Return a file's declared columns, named by attr, with the file's own types.

    Raises:
        ContractError: HF203 when it cannot be read, HF204 when a column is missing, HF205 when
            it holds nothing.
    """
    try:
        frame = _read(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pl.exceptions.NoDataError):
            raise _empty(path, schema) from error
        raise ContractError(
            f"{path.name} cannot be read: {text}",
            code="HF203",
            site=str(path),
            hint=f"it should be a {path.suffix[1:] or 'data'} file; name it by what it is",
        ) from error
    if not frame.columns:
        raise _empty(path, schema)
    return declared(frame, schema, str(path))


def _read(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path, glob=False)
    if path.suffix == ".csv":
        return pl.read_csv(path, infer_schema=False, glob=False, null_values=None)
    if path.suffix in (".jsonl", ".ndjson"):
        return pl.read_ndjson(path, infer_schema_length=None)
    raise OSError(f'"{path.suffix}" is no known kind of file; use .parquet, .csv or .jsonl')


def _empty(path: Path, schema: SourceSchema) -> ContractError:
    return ContractError(
        f"{path.name} is empty",
        code="HF205",
        site=str(path),
        hint=f"it should have the columns of `{schema.name}`",
    )


def declared(frame: pl.DataFrame, schema: SourceSchema, where: str) -> pl.DataFrame:
    """Return the declared columns of a frame, renamed to their attrs.

    A column known only after the event may be missing as a whole: then nothing is known yet.
    """
    late, chosen = schema.late_attrs, []
    for column in schema.columns:
        if column.column in frame.columns:
            chosen.append(pl.col(column.column).alias(column.attr))
        elif column.attr in late or column.nullable:
            chosen.append(pl.lit(None, dtype=pl.String).alias(column.attr))
        else:
            near = difflib.get_close_matches(column.column, frame.columns, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"it has {', '.join(frame.columns)}"
            raise ContractError(
                f'`{schema.name}` has no column "{column.column}"',
                code="HF204",
                site=where,
                field=column.attr,
                hint=hint,
            )
    return frame.select(chosen)
