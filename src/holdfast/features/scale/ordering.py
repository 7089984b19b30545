"""From files to one order: rows that keep the contract, each key once, sorted as known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.data.chunks import read_chunks
from holdfast.data.ingest import checked, put_aside
from holdfast.data.quarantine import Quarantine
from holdfast.data.table import Table, times_of
from holdfast.define.schema import SourceSchema
from holdfast.features.scale.folder import TaskOutput
from holdfast.features.scale.job import Job
from holdfast.features.scale.partitions import by_partition, partition_of

__all__ = ["clean", "find_repeated", "order_of", "read", "sort", "spread_keys"]

ORDINAL = " ordinal"
CHUNK_BITS = 32
"""A row's ordinal is its chunk's number and its own: the order of the files in one number."""
SAMPLES_PER_CHUNK = 256

Ints = npt.NDArray[np.int64]


def read(job: Job, out: TaskOutput, *, source: str, stretch: int) -> None:
    """Read a stretch of a file: rows that keep the contract into chunks, the others aside."""
    schema, found = job.plan.schemas[source], job.stretches[source][stretch]
    file = found.path.rpartition("/")[2]
    chunks: list[dict[str, Any]] = []
    rows_read = broken = 0
    for first, raw in read_chunks(found, schema, rows=job.chunk_rows):
        kept, quarantine = checked(raw, schema, file=file, first_row=first, now_us=job.now_us)
        name = f"{stretch:05d}-{len(chunks):05d}"
        rows_read, broken = rows_read + raw.height, broken + len(quarantine)
        _keep_broken(out, source, name, quarantine)
        out.batches(f"work/read/{source}/{name}.arrow", [kept])
        about = {"file": f"work/read/{source}/{name}.arrow", "from": file, "rows": kept.height}
        chunks.append(about | _order_within(schema, kept))
    out.facts |= {"chunks": chunks, "rows_read": rows_read, "broken": broken}


def _order_within(schema: SourceSchema, frame: pl.DataFrame) -> dict[str, Any]:
    """Return whether rows stand as they were known, the first and last, and some in between."""
    _, known = times_of(schema, frame)
    if not len(known):
        return {"sorted": True, "first": 0, "last": 0, "samples": []}
    order = np.argsort(known, kind="stable")
    some = order[:: max(1, -(-len(order) // SAMPLES_PER_CHUNK))]
    return {
        "sorted": bool((np.diff(known) >= 0).all()),
        "first": int(known.min()),
        "last": int(known.max()),
        "samples": np.column_stack([known[some], some]).tolist(),
    }


def _keep_broken(out: TaskOutput, source: str, name: str, quarantine: Quarantine) -> None:
    if len(quarantine):
        out.parquet(f"quarantine/{source}/{name}.parquet", quarantine.frame)


def spread_keys(job: Job, out: TaskOutput, *, source: str, chunk: int) -> None:
    """Write the keys of a chunk's rows by partition, with their ordinals."""
    schema, about = job.plan.schemas[source], job.chunks(source)[chunk]
    frame = job.folder.batch(about["file"], 0, [schema.key])
    ordinals = (np.int64(chunk) << CHUNK_BITS) + np.arange(frame.height, dtype=np.int64)
    which = partition_of(frame, [schema.key], ordinals, job.partitions)
    keyed = frame.select(pl.col(schema.key).alias("key"), pl.Series(ORDINAL, ordinals))
    name = f"work/keys/{source}/{chunk:05d}.arrow"
    out.batches(name, by_partition(keyed, which, job.partitions))


def find_repeated(job: Job, out: TaskOutput, *, source: str, partition: int) -> None:
    """Write the ordinals of the rows whose key an earlier row has."""
    chunks = len(job.chunks(source))
    names = [f"work/keys/{source}/{chunk:05d}.arrow" for chunk in range(chunks)]
    keys = job.folder.partition(names, partition)
    again = keys.filter(~pl.col("key").is_first_distinct() & pl.col("key").is_not_null())
    out.batches(f"work/repeated/{source}/{partition:05d}.arrow", [again.select(ORDINAL)])
    out.facts["repeated"] = again.height


def order_of(chunks: Sequence[dict[str, Any]], rows: int) -> list[tuple[int, int]] | None:
    """Return where to cut a source into ranges of about `rows`, None where it is in order.

    A cut is a moment and an ordinal: rows at one moment stand as in the files. With c chunks of
    n rows each a range holds at most `rows` + c * n / SAMPLES_PER_CHUNK rows.
    """
    held = [chunk for chunk in chunks if chunk["rows"]]
    follows = all(a["last"] <= b["first"] for a, b in pairwise(held))
    if follows and all(chunk["sorted"] for chunk in held):
        return None
    weighted = sorted(
        (known, (number << CHUNK_BITS) + row, chunk["rows"] / len(chunk["samples"]))
        for number, chunk in enumerate(chunks)
        for known, row in chunk["samples"]
    )
    cuts, weight = [], 0.0
    for known, ordinal, share in weighted:
        if weight >= rows:
            cuts.append((known, ordinal))
            weight = 0.0
        weight += share
    return cuts


def clean(job: Job, out: TaskOutput, *, source: str, chunk: int) -> None:
    """Put rows with a repeated key aside; spread the others over ranges of the log's order."""
    schema, about = job.plan.schemas[source], job.chunks(source)[chunk]
    frame = job.folder.batch(about["file"])
    ordinals = (np.int64(chunk) << CHUNK_BITS) + np.arange(frame.height, dtype=np.int64)
    if job.repeated[source]:
        again = np.isin(ordinals, _repeated_in(job, source, chunk))
        rows = frame.filter(again)
        aside = put_aside(rows, reason="duplicate key", column=schema.key, file=about["from"])
        _keep_broken(out, source, f"repeated-{chunk:05d}", aside)
        frame, ordinals = frame.filter(~again), ordinals[~again]
    cuts, (_, known) = job.cuts(source), times_of(schema, frame)
    if cuts is None:
        out.batches(f"work/ordered/{source}/{chunk:05d}.arrow", [frame])
        out.facts |= {"rows": frame.height, "last": int(known.max()) if len(known) else 0}
        return
    which = _range_of(known, ordinals, cuts)
    out.batches(f"work/split/{source}/{chunk:05d}.arrow", by_partition(frame, which, len(cuts) + 1))


def _repeated_in(job: Job, source: str, chunk: int) -> Ints:
    low, found = np.int64(chunk) << CHUNK_BITS, []
    for partition in range(job.partitions):
        name = f"work/repeated/{source}/{partition:05d}.arrow"
        ordinals = job.folder.batch(name).get_column(ORDINAL).to_numpy()
        cut = np.searchsorted(ordinals, [low, low + (1 << CHUNK_BITS)])
        found.append(ordinals[cut[0] : cut[1]])
    return np.concatenate(found)


def _range_of(known: Ints, ordinals: Ints, cuts: list[list[int]]) -> Ints:
    """Return how many cuts lie at or before each row, by moment and then by ordinal."""
    moments = np.array([cut[0] for cut in cuts], dtype=np.int64)
    found = np.searchsorted(moments, known, side="left").astype(np.int64)
    for moment, ordinal in cuts:
        found += (known == moment) & (ordinals >= ordinal)
    return found


def sort(job: Job, out: TaskOutput, *, source: str, number: int) -> None:
    """Write one range of a source in the order in which its rows were known."""
    chunks = len(job.chunks(source))
    names = [f"work/split/{source}/{chunk:05d}.arrow" for chunk in range(chunks)]
    table = Table.of(job.plan.schemas[source], job.folder.partition(names, number))
    out.batches(f"work/ordered/{source}/{number:05d}.arrow", [table.frame])
    out.facts |= {"rows": len(table), "last": int(table.known_us[-1]) if len(table) else 0}
