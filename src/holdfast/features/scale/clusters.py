"""Codes of the first entity of each row: its rank among the entities by first appearance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.features.scale.exchanges import POSITION, cluster_key
from holdfast.features.scale.folder import TaskOutput
from holdfast.features.scale.job import Job
from holdfast.features.scale.partitions import at_ranges

__all__ = ["clusters_of_range", "code_entities", "first_appearances", "rank_entities"]

FIRST, CODE = " first", " code"

Ints = npt.NDArray[np.int64]


def first_appearances(job: Job, out: TaskOutput, *, partition: int) -> None:
    """Find where the entities of one partition appear first; write those by range of the log."""
    keys, positions = _entities(job, partition)
    there = pl.DataFrame({"key": keys, FIRST: positions}).drop_nulls("key")
    heads = there.group_by("key").agg(pl.col(FIRST).min()).select(FIRST).sort(FIRST)
    found = heads.get_column(FIRST).to_numpy()
    starts = job.starts(job.plan.each)
    out.batches(f"work/heads/{partition:05d}.arrow", at_ranges(heads, found, starts))
    missing = positions[keys.is_null().to_numpy()]
    out.facts["missing_first"] = int(missing[0]) if len(missing) else -1
    cuts = [*np.searchsorted(found, starts).tolist(), len(found)]
    out.facts["heads"] = np.diff(cuts).tolist()


def rank_entities(job: Job, out: TaskOutput, *, number: int, base: int, missing: int) -> None:
    """Rank the entities that appear first in one range; a missing one has a rank as well.

    `base`: how many appear in earlier ranges. `missing`: where a row without entity stands first.
    """
    parts = [job.folder.batch(f"work/heads/{p:05d}.arrow", number) for p in range(job.partitions)]
    firsts = np.concatenate([part.get_column(FIRST).to_numpy() for part in parts])
    about = job.tables[job.plan.each][number]
    inside = about["start"] <= missing < about["start"] + about["rows"]
    everyone = np.sort(np.append(firsts, missing) if inside else firsts)
    coded = [
        part.with_columns(
            pl.Series(CODE, base + np.searchsorted(everyone, part.get_column(FIRST).to_numpy()))
        )
        for part in parts
    ]
    out.batches(f"work/ranks/{number:05d}.arrow", coded)


def code_entities(job: Job, out: TaskOutput, *, partition: int, entities: int) -> None:
    """Give each row of one partition the code of its entity; rows without one stand alone."""
    keys, positions = _entities(job, partition)
    names = [f"work/ranks/{r:05d}.arrow" for r in range(len(job.tables[job.plan.each]))]
    ranks = job.folder.partition(names, partition)
    rows = pl.DataFrame({"key": keys, POSITION: positions})
    firsts = rows.group_by("key").agg(pl.col(POSITION).min().alias(FIRST))
    coded = rows.join(firsts.join(ranks, on=FIRST), on="key", how="left", maintain_order="left")
    alone = pl.col("key").is_null()
    frame = coded.select(
        pl.col(POSITION),
        pl.when(alone).then(pl.col(POSITION) + entities).otherwise(pl.col(CODE)).alias(CODE),
    )
    parts = at_ranges(frame, positions, job.starts(job.plan.each))
    out.batches(f"work/clusters/{partition:05d}.arrow", parts)


def clusters_of_range(job: Job, number: int) -> Ints:
    """Return the code of each row of one range of `each`, int64[rows]."""
    about = job.tables[job.plan.each][number]
    found = np.arange(about["start"], about["start"] + about["rows"], dtype=np.int64)
    if cluster_key(job.plan):
        for partition in range(job.partitions):
            part = job.folder.batch(f"work/clusters/{partition:05d}.arrow", number)
            at = part.get_column(POSITION).to_numpy() - about["start"]
            found[at] = part.get_column(CODE).to_numpy()
    return found


def _entities(job: Job, partition: int) -> tuple[pl.Series, Ints]:
    key, each = cluster_key(job.plan), job.plan.each
    which = job.exchange(each, (key,))
    ranges = range(len(job.tables[each]))
    names = [f"work/exchange/{which:03d}/{at:05d}.arrow" for at in ranges]
    frame = job.folder.partition(names, partition, [key, POSITION])
    return frame.get_column(key), frame.get_column(POSITION).to_numpy()
