"""Artifact store in a folder: written aside, flushed, renamed; digests checked on opening."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from holdfast.core.fingerprint import file_fingerprint, fingerprint
from holdfast.errors import NotFoundError, StoreError
from holdfast.stores.failures import file_failures

__all__ = ["FolderArtifactStore"]

DIGESTS = "digests.json"


class FolderArtifactStore:
    """Artifacts as folders under a root; an artifact's name carries its content's fingerprint."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, folder: Path) -> str:
        """Keep a copy of a folder and return its name; a crash leaves nothing half there."""
        with file_failures(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            digests = {
                str(path.relative_to(folder)): file_fingerprint(path)
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
            artifact = f"{name}-{fingerprint(digests)}"
            final = self.root / artifact
            if final.exists():
                return artifact
            aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=self.root))
            try:
                shutil.copytree(folder, aside, dirs_exist_ok=True)
                (aside / DIGESTS).write_text(json.dumps(digests, indent=1, sort_keys=True))
                for path in (*aside.rglob("*"), aside):
                    _flush(path)
                aside.rename(final)
                _flush(self.root)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return artifact

    def open(self, artifact: str) -> Path:
        """Return a kept folder after comparing each file with its digest."""
        folder = self.root / artifact
        if not folder.is_dir() or folder.parent != self.root:
            raise NotFoundError(
                f'there is no artifact "{artifact}"',
                code="HF611",
                site=str(self.root),
                hint="train again, or restore the folder from a copy",
            )
        try:
            digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _damaged(folder / DIGESTS) from error
        for name, digest in digests.items():
            path = folder / name
            if not path.is_file() or file_fingerprint(path) != digest:
                raise _damaged(path)
        return folder

    def delete(self, artifact: str) -> None:
        """Remove a kept folder; removing what is not there is fine."""
        with file_failures(self.root):
            shutil.rmtree(self.root / artifact, ignore_errors=True)

    def names(self) -> list[str]:
        """Return every kept artifact, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and p.name[0] != ".")


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"`{path.name}` is damaged or missing",
        code="HF604",
        site=str(path),
        hint="use another version (`holdfast models`), or train again",
    )
