"""How a bundle lies in its folder: native files, golden rows, and a manifest with all digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from holdfast.core.fingerprint import file_fingerprint
from holdfast.errors import StoreError

__all__ = ["FORMAT", "MANIFEST", "digest_of", "read_bundle_files", "write_bundle_files"]

FORMAT = 1  # of manifest.json; a newer one is refused
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 256 << 20  # bytes of manifest.json
FILES_MAX = 1_000  # files of one bundle


def write_bundle_files(
    folder: Path,
    content: Mapping[str, Any],
    *,
    texts: Mapping[str, str],
    blobs: Mapping[str, bytes],
    save: Callable[[Path], None],
    model: str,
) -> str:
    """Write texts, blobs, the model's own files and at last the manifest; return its digest.

    `save` writes the model into the folder it is given. Every file's SHA-256 stands in the
    manifest, and the manifest's own digest in itself.

    Raises:
        StoreError: HF439, when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        for name, data in blobs.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        save(folder / model)
        files = {
            path.relative_to(folder).as_posix(): file_fingerprint(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != MANIFEST
        }
        manifest = {"format": FORMAT, "content": dict(content), "files": files}
        manifest["digest"] = digest_of(manifest)
        text = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
        return str(manifest["digest"])
    except OSError as error:
        raise StoreError(
            f"the bundle cannot be written: {error.strerror or error}",
            code="HF439",
            site=str(folder),
            hint="check free space and permissions of the folder",
            retryable=True,
        ) from error


def read_bundle_files(folder: Path) -> dict[str, Any]:
    """Return the manifest of a bundle whose every file is as it was written.

    Raises:
        StoreError: HF436 a file is missing, changed or not readable; HF437 a newer format.
    """
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_BYTES_MAX:
            raise _broken(path, f"it is larger than {MANIFEST_BYTES_MAX} bytes")
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _broken(path, error.strerror or "it cannot be read") from error
    except ValueError as error:
        raise _broken(path, "it is cut off or not JSON") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise _broken(path, "it names no format")
    if manifest["format"] > FORMAT:
        raise StoreError(
            f"this bundle has format {manifest['format']}; this version reads up to {FORMAT}",
            code="HF437",
            site=str(path),
            hint="upgrade holdfast, or train again with this version",
        )
    files = manifest.get("files")
    if digest_of(manifest) != manifest.get("digest") or not isinstance(files, dict):
        raise _broken(path, "its content has changed since it was written")
    if len(files) > FILES_MAX:
        raise _broken(path, f"it lists more than {FILES_MAX} files")
    for name, digest in files.items():
        _check(folder, name, digest)
    return manifest


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a manifest's format, content and list of files, in hexadecimal."""
    held = {name: manifest.get(name) for name in ("format", "content", "files")}
    text = json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check(folder: Path, name: str, digest: str) -> None:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts:
        raise _broken(folder / MANIFEST, "it names a file outside its folder")
    path = folder.joinpath(*parts)
    try:
        if file_fingerprint(path) != digest:
            raise _broken(path, "its bytes have changed since it was written")
    except OSError as error:
        raise _broken(path, error.strerror or "it cannot be read") from error


def _broken(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path.name} of this bundle cannot be used: {why}",
        code="HF436",
        site=str(path),
        hint="restore the folder from a backup, or train again",
    )
