"""Reading files and tables from Python: raw columns in, nothing judged yet."""

from __future__ import annotations

import csv
import difflib
import glob
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from holdfast.define.schema import SourceSchema
from holdfast.errors import ConfigError, ContractError

__all__ = [
    "DELTA_LOG",
    "SUFFIXES",
    "declared",
    "empty_file",
    "files_of",
    "is_delta",
    "raw_frame",
    "read_file",
    "scan_delta",
    "separator_of",
    "unreadable",
]

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
DELTA_LOG = "_delta_log"
FILES_MAX = 100_000
HEADER_CHARACTERS_MAX = 1 << 20


def files_of(where: Path, schema: SourceSchema) -> list[Path]:
    """Return the files behind a path, a glob or a folder, sorted by name.

    Raises:
        ContractError: HF202 when there is none.
    """
    text = str(where)
    if is_delta(where):
        found = [where]
    elif where.is_dir():
        found = sorted(path for path in where.iterdir() if path.suffix.lower() in SUFFIXES)
    elif where.is_file():
        found = [where]
    else:
        marked = any(mark in text for mark in "*?[")
        found = [Path(path) for path in glob.glob(text, recursive=True)] if marked else []
        found = sorted(path for path in found if path.is_file())
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


def is_delta(where: Path) -> bool:
    """Return whether a folder is a Delta table: its log says which files and values are in it."""
    return (where / DELTA_LOG).is_dir()


def scan_delta(where: Path, version: int | None = None) -> pl.LazyFrame:
    """Return a Delta table as it is now, or as it was at a version.

    Raises:
        ConfigError: HF644 when the package that reads it is not installed.
    """
    try:
        import_module("deltalake")
    except ImportError as error:
        raise ConfigError(
            "deltalake is not installed",
            code="HF644",
            site=str(where),
            hint='pip install "holdfast[delta]"',
        ) from error
    return pl.scan_delta(str(where), version=version)


def _near_file(where: Path) -> str:
    parent = where.parent
    if not parent.is_dir():
        return f"there is no folder {parent}; paths are relative to the project folder"
    names = sorted(path.name for path in parent.iterdir() if path.suffix.lower() in SUFFIXES)
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
    try:
        if hasattr(table, "__arrow_c_stream__"):
            return pl.DataFrame(table)
    except (TypeError, ValueError, ImportError, pl.exceptions.PolarsError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ContractError(
            f"`{schema.name}` was given a {type(table).__name__} that is no Arrow table: {text}",
            code="HF203",
            site=schema.where,
            hint="each column should hold values of one type",
        ) from error
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
    if not path.stat().st_size:
        raise empty_file(path, schema)
    try:
        frame = _read(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        if isinstance(error, pl.exceptions.NoDataError):
            raise empty_file(path, schema) from error
        raise unreadable(path, error) from error
    if not frame.columns:
        raise empty_file(path, schema)
    return declared(frame, schema, str(path))


def _read(path: Path) -> pl.DataFrame:
    suffix = path.suffix.lower()
    if path.is_dir():
        return scan_delta(path).collect()
    if suffix == ".parquet":
        return pl.read_parquet(path, glob=False)
    if suffix == ".csv":
        return pl.read_csv(path, infer_schema=False, glob=False, separator=separator_of(path))
    if suffix in (".jsonl", ".ndjson"):
        return pl.read_ndjson(path, infer_schema_length=None)
    raise OSError(f'"{path.suffix}" is no known kind of file')


def separator_of(path: Path) -> str:
    """Return what stands between the columns of a CSV file: as its header says, a comma first."""
    with path.open(encoding="utf-8", errors="replace") as file:
        header = file.readline(HEADER_CHARACTERS_MAX)
    found = [mark for mark in (",", ";", "\t", "|") if mark in header]
    return found[0] if found else ","


def unreadable(path: Path, error: Exception) -> ContractError:
    """Return what is wrong with a file, in the reader's words, and where it breaks."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    hint = "it should be what its name says; files are .parquet, .csv or .jsonl"
    if path.suffix.lower() == ".csv":
        if "utf-8" in text.lower():
            hint = "save it as UTF-8"
        else:
            text = _odd_line(path) or text
            hint = "correct that line: a separator inside a value needs quotes around the value"
    return ContractError(
        f"{path.name} cannot be read: {text}", code="HF203", site=str(path), hint=hint
    )


def _odd_line(path: Path) -> str:
    """Return in words which line of a CSV file has not as many fields as its header, or ""."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=separator_of(path))
        try:
            width = len(next(reader, []))
            for fields in reader:
                if len(fields) > width:
                    return f"line {reader.line_num} has {len(fields)} fields, the header {width}"
        except csv.Error as error:
            return f"line {reader.line_num}: {error}"
    return ""


def empty_file(path: Path, schema: SourceSchema) -> ContractError:
    """Return that a file holds nothing at all."""
    hint = f"it should have the columns of `{schema.name}`"
    return ContractError(f"{path.name} is empty", code="HF205", site=str(path), hint=hint)


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
