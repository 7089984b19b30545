"""What a store promises: Protocols, with their contracts in prose.

An adapter is a store of its kind when the conformance kit of `holdfast.testing.stores` passes on
it. Every failure is a `StoreError` whose `retryable` says whether the same call may succeed later:
a full disk (HF601) and a store held elsewhere (HF607) are; a read-only folder (HF602), damage
(HF604) and a store made by a newer version (HF609) are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

__all__ = [
    "KEY_BYTES_MAX",
    "KEY_ORDERED_BYTES",
    "SPACES_MAX",
    "ArtifactStore",
    "MetadataStore",
    "ModelRecord",
    "OnlineStore",
    "RunRecord",
    "Transaction",
]

KEY_BYTES_MAX = 4096
"""Bytes of the longest key an online store takes."""

KEY_ORDERED_BYTES = 400
"""Bytes at the front of a key that decide its place in a scan."""

SPACES_MAX = 64
"""Spaces in one online store."""


class Transaction(Protocol):
    """Reads and writes that become visible together.

    Keys are any bytes, 1 to `KEY_BYTES_MAX` long (else StoreError HF606); values are any bytes,
    none included. Spaces do not see one another. A transaction sees one moment of the store: what
    was committed before it began, and, if it writes, its own writes. It belongs to the thread
    that opened it and ends with its block; using it afterwards, naming a space the store was not
    opened with, or writing in a read transaction is our fault (InternalError HF920).
    """

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        ...

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, None where there is none: one round trip."""
        ...

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        ...

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        ...

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` (exclusive) with values, in the order of bytes.

        Exactly the keys between the two come, long ones too; keys that share their first
        `KEY_ORDERED_BYTES` bytes come in any order among themselves. A key deleted while
        scanning does not disturb the scan; whether a key written ahead of it shows is not
        promised.
        """
        ...

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        ...

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        ...

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        ...


class OnlineStore(Protocol):
    """Ordered keys in named spaces, changed in transactions.

    Atomic: a write transaction commits when its block ends and leaves nothing when the block
    raises, or when the commit fails. Isolated: one writer at a time, and a second one waits; a
    reader never waits and never sees half a commit: it goes on seeing its moment, or, where the
    store keeps no older versions (Redis), gets StoreError HF615 (retryable) and reads again. A
    write transaction inside another one of the same thread would wait for itself and is refused
    (InternalError HF920). Durable: what was committed survives `kill -9` and loss of power; with
    `sync_on_commit=False` it survives the process, but the machine only after `sync`. On a server
    it is as durable as the server's own settings make it.

    The spaces are given when the store is opened; one that is new is empty, and others that the
    folder holds stay as they are. A store may be used by many threads. Opened with
    `exclusive=True` it belongs to its process: other stores of the same folder may read, and
    their writes, or a second exclusive one, get StoreError HF607 with the holder's process id.
    """

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        ...

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        ...

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        ...

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction for the length of a block."""
        ...

    def sync(self) -> None:
        """Return once every commit is on the disk."""
        ...

    def purge(self) -> None:
        """Leave nothing of what was deleted in the store's own files.

        Only for an exclusive store that nothing else in this process has open (else StoreError
        HF607), outside of transactions. What is there stays; a failure or a crash on the way
        leaves the store as it was. Copies of the files, and what a disk keeps of removed files,
        are out of its reach.
        """
        ...

    def close(self) -> None:
        """Give back files and locks; closing twice is fine."""
        ...


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """One registered model. `status`: "candidate", "current" or "retired"."""

    name: str
    version: int
    created_us: int
    kind: str
    status: str
    artifact: str
    metrics: dict[str, Any] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    notes: str = ""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run of a verb, for lineage. Times are us, UTC."""

    run_id: str
    verb: str
    name: str
    started_us: int
    ended_us: int
    outcome: str
    details: dict[str, Any] = field(default_factory=dict)


class MetadataStore(Protocol):
    """The registry: models, which one is current, and what was run.

    Versions count up from 1 for each name, with no two alike however many threads and processes
    ask. At most one model of a name is current, and promoting is one transaction. Each call is
    atomic and durable when it returns. Names are any text. Metrics, lineage and details are plain
    JSON data; they come back equal, numbers with the same bits, tuples as lists, and changing
    what was handed in or out changes nothing in the store. Empty: no models, no runs.
    """

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        ...

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        ...

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        ...

    def add_model(
        self,
        name: str,
        *,
        created_us: int,
        kind: str,
        artifact: str,
        metrics: dict[str, Any],
        lineage: dict[str, Any],
        notes: str = "",
    ) -> ModelRecord:
        """Register a model as a candidate under the next version."""
        ...

    def models(self, name: str | None = None) -> list[ModelRecord]:
        """Return the models of a name, or all, in the order of name and version."""
        ...

    def model(self, name: str, version: int | None = None) -> ModelRecord:
        """Return one model: of a version, else the current one, else the newest.

        Raises:
            NotFoundError: HF610 when there is none.
        """
        ...

    def promote(self, name: str, version: int, *, at_us: int) -> ModelRecord:
        """Make a version current; the one before is retired. A retired one may come back.

        Raises:
            NotFoundError: HF610 when there is no such version; nothing changes then.
        """
        ...

    def promotions(self, name: str) -> list[tuple[int, int]]:
        """Return (version, at us) for each promotion, oldest first."""
        ...

    def add_run(self, run: RunRecord) -> None:
        """Keep the record of a run; one with the same id takes its place."""
        ...

    def runs(self, name: str | None = None) -> list[RunRecord]:
        """Return the runs of a name, or all, in the order they were added first."""
        ...

    def close(self) -> None:
        """Give back files and connections; closing twice is fine."""
        ...


class ArtifactStore(Protocol):
    """Folders kept whole: there entirely, with the bytes that were put, or not at all.

    An artifact is named by what it was put as and by its content, so the same folder put twice is
    kept once. Files in subfolders are kept; empty folders are not; `digests.json` at the top
    belongs to the store. The folder that was put stays its caller's; the folder that `open`
    returns is the store's, to be read only.
    """

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        ...

    def put(self, name: str, folder: Path) -> str:
        """Keep a copy of a folder and return its artifact name; a crash leaves nothing half there.

        Raises:
            StoreError: HF606 when the folder holds no file, HF603 when there is no such folder.
        """
        ...

    def open(self, artifact: str) -> Path:
        """Return a kept folder after comparing each file with its digest.

        Raises:
            StoreError: HF604 naming the file that is damaged, missing or was never put.
            NotFoundError: HF611 when there is no such artifact.
        """
        ...

    def delete(self, artifact: str) -> bool:
        """Remove a kept folder; return whether it was there."""
        ...

    def names(self) -> list[str]:
        """Return every kept artifact, sorted."""
        ...
