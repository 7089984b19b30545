"""What a store promises: Protocols, with their contracts in prose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = [
    "KEY_BYTES_MAX",
    "ArtifactStore",
    "MetadataStore",
    "ModelRecord",
    "OnlineStore",
    "RunRecord",
    "Transaction",
]

KEY_BYTES_MAX = 4096
"""The longest key an online store takes."""


class Transaction(Protocol):
    """Reads and writes that become visible together.

    Keys are bytes, 1 to `KEY_BYTES_MAX` long. Spaces do not see one another. A read within a
    write transaction sees its own writes.
    """

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
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

        Keys longer than 400 bytes come in any order. Do not write while scanning: list first.
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

    A write transaction commits when its block ends and leaves nothing when the block raises.
    What was committed survives `kill -9`; with `sync_on_commit=False` it survives the process
    but not the machine until `sync`. One writer at a time; readers see the last commit. A failed
    commit raises `StoreError` and leaves the store as it was.
    """

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction for the length of a block."""
        ...

    def sync(self) -> None:
        """Return once every commit is on the disk."""
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


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run of a verb, for lineage."""

    run_id: str
    verb: str
    name: str
    started_us: int
    ended_us: int
    outcome: str
    details: dict[str, Any] = field(default_factory=dict)


class MetadataStore(Protocol):
    """The registry: models, which one is current, and what was run.

    Versions count up from 1 for each name, with no two alike however many processes ask. At most
    one model of a name is current, and promoting is one transaction.
    """

    def add_model(
        self,
        name: str,
        *,
        created_us: int,
        kind: str,
        artifact: str,
        metrics: dict[str, Any],
        lineage: dict[str, Any],
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
        """Make a version current; the one before is retired."""
        ...

    def promotions(self, name: str) -> list[tuple[int, int]]:
        """Return (version, at us) for each promotion, oldest first."""
        ...

    def add_run(self, run: RunRecord) -> None:
        """Keep the record of a run."""
        ...

    def runs(self, name: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...


class ArtifactStore(Protocol):
    """Folders kept whole: there entirely, with the bytes that were put, or not at all."""

    def put(self, name: str, folder: Path) -> str:
        """Keep a copy of a folder and return where it is; a crash leaves nothing half there."""
        ...

    def open(self, artifact: str) -> Path:
        """Return a kept folder after comparing each file with its digest.

        Raises:
            StoreError: HF604 naming the file that is damaged or missing.
            NotFoundError: HF611 when there is no such artifact.
        """
        ...

    def delete(self, artifact: str) -> None:
        """Remove a kept folder; removing what is not there is fine."""
        ...

    def names(self) -> list[str]:
        """Return every kept artifact, sorted."""
        ...
