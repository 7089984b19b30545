"""Reading files in chunks: what a source's files hold, never more than a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from holdfast.data.readers import (
    DELTA_LOG,
    SUFFIXES,
    declared,
    empty_file,
    files_of,
    is_delta,
    scan_delta,
    separator_of,
    unreadable,
)
from holdfast.data.remote import brought_here, is_remote, remote_files
from holdfast.define.schema import SourceSchema

__all__ = ["Stretch", "read_chunks", "stretches_of"]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Rows of one file that one task reads: `rows` of them from `start` on, -1 for all.

    `size` and `changed_ns` are the file's, by which a later run knows it again; `version` is that
    of a Delta table, -1 for a file.
    """

    path: str
    start: int
    rows: int
    size: int
    changed_ns: int
    version: int = -1

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def stretches_of(schema: SourceSchema, where: str | Path, *, rows: int) -> list[Stretch]:
    """Return a source's files in order, Parquet and Delta cut into stretches of at most `rows`.

    A file behind a URL is one stretch: it is brought here once.

    Raises:
        ContractError: HF202 no file, HF203 unreadable, HF205 empty.
        StoreError: HF641 a URL cannot be reached.
    """
    if is_remote(where):
        return [
            Stretch(path=one.url, start=0, rows=-1, size=one.size, changed_ns=one.changed_ns)
            for one in remote_files(str(where), schema, suffixes=SUFFIXES)
        ]
    found = []
    for path in files_of(Path(where), schema):
        about = path.stat()
        if not about.st_size:
            raise empty_file(path, schema)
        whole = Stretch(
            path=str(path), start=0, rows=-1, size=about.st_size, changed_ns=about.st_mtime_ns
        )
        if is_delta(path):
            whole = replace(whole, size=0, changed_ns=0, version=_version_of(path))
        found += _cut(path, whole, rows)
    return found


def _cut(path: Path, whole: Stretch, rows: int) -> list[Stretch]:
    """Return a file in stretches; text is read from its beginning, so it is one."""
    if whole.version < 0 and path.suffix.lower() != ".parquet":
        return [whole]
    total = _rows_of(path, whole)
    return [
        replace(whole, start=at, rows=min(rows, total - at)) for at in range(0, max(total, 1), rows)
    ]


def read_chunks(
    stretch: Stretch, schema: SourceSchema, *, rows: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the declared columns of a stretch as read: first row within the file, and the rows.

    A group of rows of a Parquet file is decoded whole; a line of text never is more than a line.

    Raises:
        ContractError: HF203 unreadable, HF204 a column is missing, HF205 empty.
        StoreError: HF641 a URL cannot be reached.
    """
    at, remote = stretch.start, is_remote(stretch.path)
    here = brought_here(stretch.path) if remote else nullcontext(Path(stretch.path))
    with here as path:
        try:
            for frame in _frames(path, stretch, schema, rows):
                yield at, declared(frame, schema, str(path))
                at += frame.height
        except pl.exceptions.NoDataError as error:
            raise empty_file(path, schema) from error
        except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
            raise unreadable(path, error) from error


def _version_of(path: Path) -> int:
    """Return the version of a Delta table: the number of its newest commit."""
    return max(int(one.stem) for one in (path / DELTA_LOG).glob("[0-9]*.json"))


def _table_of(path: Path, stretch: Stretch) -> pl.LazyFrame:
    if stretch.version >= 0:
        return scan_delta(path, stretch.version)
    return pl.scan_parquet(path, glob=False)


def _rows_of(path: Path, stretch: Stretch) -> int:
    try:
        return int(_table_of(path, stretch).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error


def _frames(
    path: Path, stretch: Stretch, schema: SourceSchema, rows: int
) -> Iterator[pl.DataFrame]:
    suffix = path.suffix.lower()
    if stretch.version >= 0 or suffix == ".parquet":
        lazy = _table_of(path, stretch)
        names = lazy.collect_schema().names()
        wanted = [c.column for c in schema.columns if c.column in names] or names
        total = stretch.rows if stretch.rows >= 0 else _rows_of(path, stretch)
        for start in range(0, max(total, 1), rows):
            count = min(rows, total - start)
            yield lazy.select(wanted).slice(stretch.start + start, count).collect()
        return
    if suffix == ".csv":
        lazy = pl.scan_csv(path, infer_schema=False, glob=False, separator=separator_of(path))
    elif suffix in (".jsonl", ".ndjson"):
        lazy = pl.scan_ndjson(path, infer_schema_length=None)
    else:
        raise OSError(f'"{path.suffix}" is no known kind of file')
    empty = True
    for batch in lazy.collect_batches(chunk_size=rows, maintain_order=True):
        for start in range(0, batch.height, rows):
            empty = False
            yield batch[start : start + rows]
    if empty:
        yield pl.DataFrame(schema=lazy.collect_schema())
