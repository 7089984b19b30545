"""The registry and the artifacts in memory; `memory` offers them."""

from __future__ import annotations

import hashlib
import json
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from holdfast.core.fingerprint import fingerprint
from holdfast.stores.base import ModelRecord, RunRecord
from holdfast.stores.failures import file_failures
from holdfast.stores.names import (
    artifact_name,
    files_to_keep,
    no_artifact,
    no_model,
    nothing_to_keep,
)

__all__ = ["MemoryArtifactStore", "MemoryMetadataStore"]


class MemoryMetadataStore:
    """A metadata store that lives as long as the object."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._models: dict[str, list[ModelRecord]] = {}
        self._promotions: list[tuple[str, int, int]] = []
        self._runs: dict[str, RunRecord] = {}

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        self.close()

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return "memory://"

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
        with self._gate:
            mine = self._models.setdefault(name, [])
            record = ModelRecord(
                name=name,
                version=len(mine) + 1,
                created_us=created_us,
                kind=kind,
                status="candidate",
                artifact=artifact,
                metrics=_plain(metrics),
                lineage=_plain(lineage),
                notes=notes,
            )
            mine.append(record)
            return _copy(record)

    def models(self, name: str | None = None) -> list[ModelRecord]:
        """Return the models of a name, or all, in the order of name and version."""
        with self._gate:
            names = sorted(self._models) if name is None else [name]
            return [_copy(record) for one in names for record in self._models.get(one, ())]

    def model(self, name: str, version: int | None = None) -> ModelRecord:
        """Return one model: of a version, else the current one, else the newest."""
        found = self.models(name)
        if version is None:
            current = [record for record in found if record.status == "current"]
            chosen = (current or found)[-1:]
        else:
            chosen = [record for record in found if record.version == version]
        if not chosen:
            raise no_model(name, version, [record.version for record in found])
        return chosen[0]

    def promote(self, name: str, version: int, *, at_us: int) -> ModelRecord:
        """Make a version current; the one before is retired."""
        with self._gate:
            mine = self._models.get(name, [])
            if not 1 <= version <= len(mine):
                raise no_model(name, version, [record.version for record in mine])
            for at, record in enumerate(mine):
                if record.version == version:
                    mine[at] = replace(record, status="current")
                elif record.status == "current":
                    mine[at] = replace(record, status="retired")
            self._promotions.append((name, version, at_us))
            return _copy(mine[version - 1])

    def promotions(self, name: str) -> list[tuple[int, int]]:
        """Return (version, at us) for each promotion, oldest first."""
        with self._gate:
            return [(version, at_us) for whose, version, at_us in self._promotions if whose == name]

    def add_run(self, run: RunRecord) -> None:
        """Keep the record of a run; one with the same id takes its place."""
        with self._gate:
            self._runs[run.run_id] = replace(run, details=_plain(run.details))

    def runs(self, name: str | None = None) -> list[RunRecord]:
        """Return the runs of a name, or all, in the order they were added first."""
        with self._gate:
            return [
                replace(run, details=_plain(run.details))
                for run in self._runs.values()
                if name in (None, run.name)
            ]

    def close(self) -> None:
        """Give nothing back; closing twice is fine."""


class MemoryArtifactStore:
    """An artifact store that lives as long as the object; opened folders are temporary ones."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, bytes]] = {}
        self._opened: dict[str, tempfile.TemporaryDirectory[str]] = {}

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return "memory://"

    def put(self, name: str, folder: Path) -> str:
        """Keep a copy of a folder and return its artifact name."""
        with file_failures(folder):
            files = {name: (folder / name).read_bytes() for name in files_to_keep(folder)}
        if not files:
            raise nothing_to_keep(folder)
        content = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        artifact = artifact_name(name, fingerprint(content))
        self._kept[artifact] = files
        return artifact

    def open(self, artifact: str) -> Path:
        """Return a kept folder, written out afresh."""
        if artifact not in self._kept:
            raise no_artifact(artifact, self.describe())
        with file_failures(tempfile.gettempdir()):
            self._forget(artifact)
            self._opened[artifact] = tempfile.TemporaryDirectory(prefix="holdfast-")
            folder = Path(self._opened[artifact].name)
            for name, data in self._kept[artifact].items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        return folder

    def delete(self, artifact: str) -> bool:
        """Remove a kept folder; return whether it was there."""
        self._forget(artifact)
        return self._kept.pop(artifact, None) is not None

    def names(self) -> list[str]:
        """Return every kept artifact, sorted."""
        return sorted(self._kept)

    def _forget(self, artifact: str) -> None:
        opened = self._opened.pop(artifact, None)
        if opened is not None:
            opened.cleanup()


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """Return data as it comes back from JSON, sharing nothing with what was given."""
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain


def _copy(record: ModelRecord) -> ModelRecord:
    return replace(record, metrics=_plain(record.metrics), lineage=_plain(record.lineage))
