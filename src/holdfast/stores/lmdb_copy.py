"""An LMDB file written anew: a page that was freed, or has room, keeps the bytes it once held.

LMDB's own compacting copy leaves freed pages out, but copies the others whole, with what was
deleted from the middle of them. So the entries are put one by one into an empty environment.
"""

from __future__ import annotations

import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb

from holdfast.stores.base import SPACES_MAX

__all__ = ["copied", "take_place"]

ASIDE = "anew"
BATCH_ENTRIES = 10_000
"""Entries written in one transaction."""


def copied(env: Any, folder: Path, *, map_bytes: int) -> Path:
    """Return the folder of a new environment with the same entries, flushed to the disk."""
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with lmdb.open(str(aside), map_size=map_bytes, max_dbs=SPACES_MAX, sync=False) as new:
            with env.begin() as txn:
                names = [bytes(name) for name, _ in txn.cursor()]
            for name in names:
                _copy(env, new, name)
            new.sync(True)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return aside


def _copy(env: Any, new: Any, name: bytes) -> None:
    source, target = env.open_db(name, create=False), new.open_db(name)
    with env.begin(db=source) as txn:
        entries = iter(txn.cursor())
        while batch := list(islice(entries, BATCH_ENTRIES)):
            with new.begin(db=target, write=True) as into:
                into.cursor().putmulti(batch, append=True)


def take_place(aside: Path, folder: Path) -> None:
    """Let a new environment's file take the place of the one there; nobody may have it open.

    The file with the lock goes too: it tells of transactions of the old file.
    """
    (aside / "data.mdb").replace(folder / "data.mdb")
    (folder / "lock.mdb").unlink(missing_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
