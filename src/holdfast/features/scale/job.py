"""A job: what is built from which files, in chunks and partitions of which size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from holdfast.core.fingerprint import fingerprint
from holdfast.data.chunks import Stretch
from holdfast.data.table import Table, times_of
from holdfast.errors import ConfigError
from holdfast.features.plan import Plan
from holdfast.features.scale.exchanges import (
    Exchange,
    Fold,
    exchanges_of,
    folds_of,
    width_of,
)
from holdfast.features.scale.folder import JobFolder

__all__ = ["MEMORY_DEFAULT", "Job", "Sizes", "job_name", "open_job", "partitions_for", "sizes_for"]

MEMORY_DEFAULT = 2 << 30
BASE_BYTES = 320 << 20
"""What Python and the libraries take in a worker before it has read a row."""
WORKING_BYTES_MIN = 64 << 20
CHUNK_ROWS_MIN, CHUNK_ROWS_MAX = 4_096, 1_000_000
PARTITIONS_MAX = 10_000
COPIES = 3
"""How often a row of a chunk stands in memory at once: as read, typed, and being written."""
CELL_BYTES = 40
"""One cell of a source while it is read: text, its typed value, and whether it is broken."""
OPERATION_BYTES = 160
"""One operation of a replay: its order, key, times and places, and their copies."""


@dataclass(frozen=True)
class Sizes:
    """How much one task holds: rows of a chunk, and keys of one of `partitions` (0: derived)."""

    chunk_rows: int
    partitions: int
    working_bytes: int


def sizes_for(plan: Plan, *, memory: int, workers: int) -> Sizes:
    """Return sizes under which each of `workers` stays within its share of `memory` bytes.

    Raises:
        ConfigError: HF636 when that is too little to work with.
    """
    working = memory // workers - BASE_BYTES
    if working < WORKING_BYTES_MIN:
        least = (BASE_BYTES + WORKING_BYTES_MIN) * workers >> 20
        raise ConfigError(
            f"{memory >> 20} MB are too little for {workers} workers",
            code="HF636",
            hint=f"give at least {least + 1} MB, or fewer workers",
        )
    outputs = sum(width_of(plan, fold) for fold in folds_of(plan))
    row = CELL_BYTES * max(len(schema.columns) for schema in plan.schemas.values())
    assembled = 8 * (2 * outputs + 3 * len(plan.features)) + row
    rows = working // (COPIES * max(row, assembled))
    return Sizes(min(max(rows, CHUNK_ROWS_MIN), CHUNK_ROWS_MAX), 0, working)


def partitions_for(plan: Plan, sizes: Sizes, rows: dict[str, int]) -> int:
    """Return how many partitions keep one fold of one partition within the working memory.

    A key is never split: a partition with one hot key holds all of that key's rows.
    """
    most = 1
    for fold in folds_of(plan):
        asked = rows[plan.each] * (OPERATION_BYTES + 8 * 2 * width_of(plan, fold))
        folded = rows[fold.source] * (OPERATION_BYTES + CELL_BYTES * (len(fold.columns) + 2))
        most = max(most, -(-(asked + folded) // sizes.working_bytes))
    return min(most, PARTITIONS_MAX)


class Job:
    """One job as its tasks see it: the plan, the files, and what earlier tasks have found."""

    def __init__(self, folder: JobFolder, content: dict[str, Any]) -> None:
        self.folder = folder
        self.plan = Plan.from_dict(content["plan"])
        self.now_us: int | None = content["now_us"]
        self.chunk_rows: int = content["sizes"]["chunk_rows"]
        self.stretches = {
            source: [Stretch(**stretch) for stretch in found]
            for source, found in content["sources"].items()
        }
        self.exchanges: list[Exchange] = exchanges_of(self.plan)
        self.folds: list[Fold] = folds_of(self.plan)

    @cached_property
    def reading(self) -> dict[str, Any]:
        """Return what reading found: `partitions`, and the `chunks` and `cuts` of each source."""
        found: dict[str, Any] = self.folder.read_json("work/reading.json")
        return found

    @cached_property
    def repeated(self) -> dict[str, int]:
        """Return how many rows of each source repeat a key."""
        return dict(self.folder.read_json("work/repeated.json"))

    @cached_property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the ranges of each source in the order of its log: file, start, rows, last."""
        return dict(self.folder.read_json("work/tables.json"))

    @property
    def partitions(self) -> int:
        """How many partitions the keys have."""
        return int(self.reading["partitions"])

    def chunks(self, source: str) -> list[dict[str, Any]]:
        """Return the chunks of a source in the order of its files."""
        found: list[dict[str, Any]] = self.reading["chunks"][source]
        return found

    def cuts(self, source: str) -> list[list[int]] | None:
        """Return where the ranges of a source are cut, None where its files are in order."""
        found: list[list[int]] | None = self.reading["cuts"][source]
        return found

    def starts(self, source: str) -> list[int]:
        """Return the position at which each range of a source begins."""
        return [int(one["start"]) for one in self.tables[source]]

    def exchange(self, source: str, keys: tuple[str, ...], label: int = -1) -> int:
        """Return the number of an exchange."""
        for number, one in enumerate(self.exchanges):
            if (one.source, one.keys, one.label) == (source, keys, label):
                return number
        raise KeyError((source, keys, label))

    def ordered(self, source: str, number: int, columns: tuple[str, ...] | None = None) -> Table:
        """Return one range of a source as a table, in the order of the log."""
        schema = self.plan.schemas[source]
        names = [column.attr for column in schema.columns]
        if columns is not None:
            times = {schema.event_time, schema.known_time} - {""}
            names = sorted({*columns, *times})
        if not names:
            names = [schema.columns[0].attr]
        frame = self.folder.batch(self.tables[source][number]["file"], 0, names)
        event, known = times_of(schema, frame)
        return Table(schema=schema, frame=frame, event_us=event, known_us=known)


def job_name(content: dict[str, Any]) -> str:
    """Return the name of a job's content: the same work has the same name."""
    return fingerprint(
        {name: content[name] for name in ("version", "plan", "sources", "sizes", "now_us")}
    )


@lru_cache(maxsize=4)
def open_job(root: str, name: str) -> Job:
    """Return the job of a folder; `name` tells a job from the one before it in that folder."""
    folder = JobFolder(Path(root))
    return Job(folder, folder.read_json("job.json"))
