"""Artifact store in a folder: written aside, flushed, renamed; digests checked on opening."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.core.fingerprint import file_fingerprint, fingerprint
from holdfast.errors import StoreError
from holdfast.stores.base import ArtifactStore
from holdfast.stores.failures import file_failures
from holdfast.stores.names import (
    DIGESTS,
    artifact_name,
    files_to_keep,
    is_artifact,
    no_artifact,
    nothing_to_keep,
)

__all__ = ["FolderArtifactStore"]

_ASIDE = ".aside-"
_LOCK = ".lock"
_DIGESTS_BYTES_MAX = 16 << 20  # bytes of digests.json


class FolderArtifactStore:
    """Artifacts as folders under a root, each with the digests of its files beside them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return f"file://{self.root}"

    def put(self, name: str, folder: Path) -> str:
        """Keep a copy of a folder and return its artifact name; a crash leaves nothing half there.

        An artifact of the same content that was damaged since is replaced.
        """
        with file_failures(folder):
            files = files_to_keep(folder)
        if not files:
            raise nothing_to_keep(folder)
        with file_failures(self.root), self._alone():
            aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self.root))
            try:
                return self._kept(name, _copied(folder, files, aside), aside)
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    def open(self, artifact: str) -> Path:
        """Return a kept folder after comparing each file with its digest."""
        folder = self.root / artifact
        if not is_artifact(artifact) or not folder.is_dir():
            raise no_artifact(artifact, str(self.root))
        with file_failures(folder):
            _compare(folder)
        return folder

    def delete(self, artifact: str) -> bool:
        """Remove a kept folder; return whether it was there."""
        folder = self.root / artifact
        if not is_artifact(artifact) or not folder.is_dir():
            return False
        with file_failures(self.root), self._alone():
            self._put_away(folder)
        return True

    def names(self) -> list[str]:
        """Return every kept artifact, sorted."""
        if not self.root.is_dir():
            return []
        with file_failures(self.root):
            return sorted(p.name for p in self.root.iterdir() if is_artifact(p.name) and p.is_dir())

    def _kept(self, name: str, digests: dict[str, str], aside: Path) -> str:
        artifact = artifact_name(name, fingerprint(digests))
        final = self.root / artifact
        if final.is_dir():
            try:
                _compare(final)
                return artifact
            except StoreError:
                self._put_away(final)
        (aside / DIGESTS).write_text(json.dumps(digests, indent=1, sort_keys=True), "utf-8")
        for path in (*aside.rglob("*"), aside):
            _flush(path)
        aside.rename(final)
        _flush(self.root)
        return artifact

    def _put_away(self, folder: Path) -> None:
        """Remove a folder in one step, then its files at leisure."""
        aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=self.root))
        folder.rename(aside / "removed")
        _flush(self.root)
        shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process changes the root; remove what a crash left there."""
        self.root.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.root.glob(f"{_ASIDE}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(lock)


def _copied(folder: Path, files: list[str], aside: Path) -> dict[str, str]:
    """Copy files and return the digests of the copies."""
    for name in files:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, aside / name)
    return {name: file_fingerprint(aside / name) for name in files}


def _compare(folder: Path) -> None:
    try:
        if (folder / DIGESTS).stat().st_size > _DIGESTS_BYTES_MAX:
            raise _damaged(folder / DIGESTS)
        digests = dict(json.loads((folder / DIGESTS).read_text("utf-8")))
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise _damaged(folder / DIGESTS) from error
    for name in sorted({*files_to_keep(folder), *digests}):
        path = folder / name
        if not path.is_file() or file_fingerprint(path) != digests.get(name):
            raise _damaged(path)


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"`{path.name}` is damaged: it is missing, or not what was kept",
        code="HF604",
        site=str(path),
        hint="use another version (`holdfast models`), or train again",
    )


if TYPE_CHECKING:

    def _keeps_the_promise(store: FolderArtifactStore) -> None:
        _store: ArtifactStore = store
