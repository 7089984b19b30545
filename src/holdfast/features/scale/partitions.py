"""Partitions: which of them a key belongs to, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.features.engine.compile import njit

__all__ = ["at_ranges", "by_partition", "partition_of"]

Ints = npt.NDArray[np.int64]

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


def partition_of(
    frame: pl.DataFrame, keys: Sequence[str], positions: Ints, partitions: int
) -> Ints:
    """Return the partition of each row, int64[n]: by its keys, by its position where one is null.

    FNV-1a over the keys' UTF-8, a zero byte behind each, finished as MurmurHash3 finishes. Equal
    keys meet in one partition; rows without a key are spread, since they meet nobody.
    """
    hashes = np.full(frame.height, _FNV_OFFSET, dtype=np.uint64)
    missing = np.zeros(frame.height, dtype=bool)
    for name in keys:
        column = frame.get_column(name).cast(pl.String)
        missing |= column.is_null().to_numpy()
        content, ends = _bytes_of(column)
        _hash_texts(content, ends, hashes)
    found = (_finished(hashes) % np.uint64(partitions)).astype(np.int64)
    return np.where(missing, positions % partitions, found)


def by_partition(frame: pl.DataFrame, which: Ints, partitions: int) -> list[pl.DataFrame]:
    """Return the rows of each partition, in their order."""
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(partitions + 1))
    sorted_rows = frame[order]
    return [sorted_rows[int(ends[p]) : int(ends[p + 1])] for p in range(partitions)]


def at_ranges(frame: pl.DataFrame, positions: Ints, starts: Sequence[int]) -> list[pl.DataFrame]:
    """Return rows with rising positions cut at the starts of ranges: one frame for each range."""
    firsts = np.asarray(starts, dtype=np.int64)
    cuts = [*np.searchsorted(positions, firsts).tolist(), len(positions)]
    return [frame[low:high] for low, high in pairwise(cuts)]


def _bytes_of(column: pl.Series) -> tuple[npt.NDArray[np.uint8], Ints]:
    """Return the UTF-8 of a text column, and where each text begins and the last one ends."""
    texts = column.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(content or b"", dtype=np.uint8), ends


@njit
def _hash_texts(content, ends, hashes):  # type: ignore[no-untyped-def]
    """Go on with each row's hash over the bytes of its text and a zero byte."""
    for row in range(len(hashes)):
        found = hashes[row]
        for at in range(ends[row], ends[row + 1]):
            found = (found ^ np.uint64(content[at])) * np.uint64(_FNV_PRIME)
        hashes[row] = found * np.uint64(_FNV_PRIME)


def _finished(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return hashes whose low bits depend on all bits: the end of MurmurHash3."""
    mixed = hashes ^ (hashes >> np.uint64(33))
    mixed = mixed * np.uint64(0xFF51AFD7ED558CCD)
    mixed = mixed ^ (mixed >> np.uint64(33))
    mixed = mixed * np.uint64(0xC4CEB9FE1A85EC53)
    result: npt.NDArray[np.uint64] = mixed ^ (mixed >> np.uint64(33))
    return result
