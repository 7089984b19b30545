"""A long event log with a few very busy entities, for measuring engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from holdfast.core.progress import SILENT, Progress, Step
from holdfast.core.seed import derive
from holdfast.errors import ConfigError, StoreError
from holdfast.testing.worlds.cards import DAY_US

__all__ = ["EventLog", "LogReport", "event_log"]

ENTITIES = 200_000
"""Entities of the log that the design was measured on."""
CHUNK_EVENTS = 1_000_000
"""Events drawn, and written to one file, at a time."""
SPAN_DAYS = 180
"""How long the log lasts."""
FIRST_US = 1_767_225_600_000_000
"""The log begins on 2026-01-01."""
POWER = 0.895
"""How fast an entity's share of the events falls with its rank."""
OFFSET = 8.5
"""Flattens the head: rank k has a share in proportion to 1 / (k + OFFSET) ** POWER."""
COLUMNS = ("amount", "quantity", "score")


@dataclass(frozen=True)
class EventLog:
    """Events in order of time: who, when (microseconds, UTC) and three numbers each."""

    entity: NDArray[np.int32]
    time_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.entity)


@dataclass(frozen=True)
class LogReport:
    """What was written: events, distinct entities, files, and how uneven the log is."""

    folder: str
    events: int
    entities: int
    files: int
    hottest_share: float
    top_percent_share: float


@overload
def event_log(
    folder: None,
    *,
    events: int,
    entities: int = ...,
    seed: int = ...,
    progress: Progress = ...,
) -> EventLog: ...
@overload
def event_log(
    folder: Path,
    *,
    events: int,
    entities: int = ...,
    seed: int = ...,
    progress: Progress = ...,
) -> LogReport: ...
def event_log(
    folder: Path | None,
    *,
    events: int,
    entities: int = ENTITIES,
    seed: int = 1,
    progress: Progress = SILENT,
) -> EventLog | LogReport:
    """Return an uneven event log as columns, or write it to a folder and return its report.

    With 200,000 entities the busiest has about 0.6% of the events and the busiest 1% of the
    entities hold about 41%. The shares follow the law of Zipf and Mandelbrot; amounts and scores
    are log-normal and normal, quantities are counts.

    Files are `events/events-NNN.parquet` with event_id, happened_at, entity_id, amount, quantity
    and score, one per million events, so memory stays bounded. Both forms hold the same events.

    Args:
        folder: where to write, or None for columns.
        events: how many.
        entities: how many there may be; rare ones may not occur.
        seed: where all chance comes from.
        progress: hears of each event.

    Raises:
        ConfigError: when a count is not positive or entities do not fit 32 bits.
        StoreError: when the folder cannot be written.
    """
    if events < 1 or not 1 <= entities < 2**31:
        raise ConfigError(
            f"an event log cannot have {events} events of {entities} entities",
            code="HF711",
            hint="give at least one of each",
        )
    with progress.step("event log", total=events, unit="events") as step:
        chunks = _chunks(events, entities=entities, seed=seed, step=step)
        if folder is not None:
            return _write(folder, chunks, entities=entities)
        return _gather(chunks, events)


def _chunks(events: int, *, entities: int, seed: int, step: Step) -> Iterator[EventLog]:
    """Yield the log in pieces of at most a million events."""
    shares = (np.arange(1, entities + 1) + OFFSET) ** -POWER
    edges = np.cumsum(shares / shares.sum())
    shuffled = np.random.default_rng(derive(seed, "log", "entities")).permutation(entities)
    gap_us = SPAN_DAYS * DAY_US / events
    for chunk, first in enumerate(range(0, events, CHUNK_EVENTS)):
        rng = np.random.default_rng(derive(seed, "log", "events", chunk))
        count = min(CHUNK_EVENTS, events - first)
        rank = np.minimum(np.searchsorted(edges, rng.random(count), side="right"), entities - 1)
        place = np.arange(first, first + count) + rng.random(count)
        values = np.column_stack(
            [
                np.round(rng.lognormal(3.4, 0.9, count), 2),
                1.0 + rng.poisson(1.2, count),
                np.round(rng.normal(0.0, 1.0, count), 4),
            ]
        )
        time_us = FIRST_US + (place * gap_us).astype(np.int64)
        yield EventLog(shuffled[rank].astype(np.int32), time_us, values)
        step.advance(count)


def _gather(chunks: Iterator[EventLog], events: int) -> EventLog:
    """Return all pieces as one, without holding them twice."""
    entity, time_us = np.empty(events, dtype=np.int32), np.empty(events, dtype=np.int64)
    values = np.empty((events, len(COLUMNS)))
    done = 0
    for chunk in chunks:
        rows = slice(done, done + len(chunk))
        entity[rows], time_us[rows], values[rows] = chunk.entity, chunk.time_us, chunk.values
        done = rows.stop
    return EventLog(entity, time_us, values)


def _write(folder: Path, chunks: Iterator[EventLog], *, entities: int) -> LogReport:
    """Write each piece as one file in place of earlier ones."""
    counts = np.zeros(entities, dtype=np.int64)
    names = "e" + pl.Series(np.arange(entities)).cast(pl.String).str.zfill(8)
    held, files = folder / "events", 0
    try:
        held.mkdir(parents=True, exist_ok=True)
        for stale in held.glob("events-*.parquet"):
            stale.unlink()
        for files, chunk in enumerate(chunks, start=1):
            first = int(counts.sum())
            table = _table(chunk, first=first, names=names)
            table.write_parquet(held / f"events-{files - 1:03d}.parquet")
            counts += np.bincount(chunk.entity, minlength=entities)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(
            f"cannot write the event log into {folder}: {error}",
            code="HF621",
            hint="free some space or name a folder that can be written",
        ) from error
    events = int(counts.sum())
    top = np.sort(counts)[::-1][: max(1, entities // 100)]
    return LogReport(
        folder=str(folder),
        events=events,
        entities=int((counts > 0).sum()),
        files=files,
        hottest_share=float(top[0]) / events,
        top_percent_share=float(top.sum()) / events,
    )


def _table(chunk: EventLog, *, first: int, names: pl.Series) -> pl.DataFrame:
    """Return one piece as it is written."""
    number = pl.Series(np.arange(first, first + len(chunk))).cast(pl.String).str.zfill(10)
    amount, quantity, score = chunk.values.T
    return pl.DataFrame(
        {
            "event_id": "v" + number,
            "happened_at": pl.Series(chunk.time_us).cast(pl.Datetime("us", "UTC")),
            "entity_id": names.gather(chunk.entity),
            "amount": amount,
            "quantity": quantity.astype(np.int64),
            "score": score,
        }
    )
