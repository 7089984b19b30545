"""Reading files in chunks: what a source's files hold, never more than a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from holdfast.data.readers import declared, empty_file, files_of, separator_of, unreadable
from holdfast.define.schema import SourceSchema

__all__ = ["Stretch", "read_chunks", "stretches_of"]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Rows of one file that one task reads: `rows` of them from `start` on, -1 for all.

    `size` and `changed_ns` are the file's, by which a later run knows it again.
    """

    path: str
    start: int
    rows: int
    size: int
    changed_ns: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def stretches_of(schema: SourceSchema, where: Path, *, rows: int) -> list[Stretch]:
    """Return a source's files in order, Parquet cut into stretches of at most `rows`.

    Raises:
        ContractError: HF202 no file, HF203 unreadable, HF205 empty.
    """
    found = []
    for path in files_of(where, schema):
        about = path.stat()
        if not about.st_size:
            raise empty_file(path, schema)
        cuts = [(0, -1)]
        if path.suffix.lower() == ".parquet":
            total = _rows_of(path)
            cuts = [(at, min(rows, total - at)) for at in range(0, max(total, 1), rows)]
        for start, count in cuts:
            found.append(
                Stretch(
                    path=str(path),
                    start=start,
                    rows=count,
                    size=about.st_size,
                    changed_ns=about.st_mtime_ns,
                )
            )
    return found


def read_chunks(
    stretch: Stretch, schema: SourceSchema, *, rows: int
) -> Iterator[tuple[int, pl.DataFrame]]:
    """Yield the declared columns of a stretch as read: first row within the file, and the rows.

    A group of rows of a Parquet file is decoded whole; a line of text never is more than a line.

    Raises:
        ContractError: HF203 unreadable, HF204 a column is missing, HF205 empty.
    """
    path, at = Path(stretch.path), stretch.start
    try:
        for frame in _frames(path, stretch, schema, rows):
            yield at, declared(frame, schema, str(path))
            at += frame.height
    except pl.exceptions.NoDataError as error:
        raise empty_file(path, schema) from error
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def _rows_of(path: Path) -> int:
    try:
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error


def _frames(
    path: Path, stretch: Stretch, schema: SourceSchema, rows: int
) -> Iterator[pl.DataFrame]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        lazy = pl.scan_parquet(path, glob=False)
        names = lazy.collect_schema().names()
        wanted = [c.column for c in schema.columns if c.column in names] or names
        yield lazy.select(wanted).slice(stretch.start, stretch.rows).collect()
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
