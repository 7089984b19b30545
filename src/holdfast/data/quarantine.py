"""Quarantine: rows that broke their contract, whole, with the reason; nothing is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from holdfast.errors import StoreError

__all__ = ["EMPTY", "Quarantine", "write_quarantine"]

SCHEMA = {
    "reason": pl.String,
    "column": pl.String,
    "value": pl.String,
    "file": pl.String,
    "row_number": pl.Int64,
    "row": pl.String,
}


@dataclass(frozen=True)
class Quarantine:
    """Broken rows.

    `reason`, `column` and `value` say why; `file` ("" for a table from Python) and `row_number`
    (from 0 within the file) say where; `row` is the row as JSON, as it was read.
    """

    frame: pl.DataFrame

    @property
    def counts(self) -> dict[str, int]:
        """How many rows were put aside for each reason, most first."""
        counted = (
            self.frame.group_by("reason").len().sort(["len", "reason"], descending=[True, False])
        )
        return dict(counted.iter_rows())

    def __len__(self) -> int:
        return self.frame.height


EMPTY = Quarantine(pl.DataFrame(schema=SCHEMA))


def write_quarantine(folder: Path, source: str, quarantine: Quarantine) -> Path | None:
    """Write a source's broken rows to `<folder>/<source>.parquet`, replacing the last ones.

    Returns None, and removes an older file, when there is nothing to keep.
    """
    path = folder / f"{source}.parquet"
    try:
        if not len(quarantine):
            path.unlink(missing_ok=True)
            return None
        folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".aside")
        quarantine.frame.write_parquet(aside)
        aside.rename(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(
            f"the quarantine cannot be written: {getattr(error, 'strerror', None) or error}",
            code="HF602",
            site=str(path),
            hint="free space, or use a folder that can be written",
        ) from error
    return path
