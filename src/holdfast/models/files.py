"""How a fitted model lies in its folder: `model.json`, native files beside it, their digests."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from holdfast.core.fingerprint import file_fingerprint
from holdfast.errors import StoreError
from holdfast.models.base import Signature, Task

__all__ = ["FORMAT", "HEADER", "Stored", "read_header", "read_model", "write_model"]

FORMAT = 1  # of model.json; a newer one is refused
HEADER = "model.json"
HEADER_BYTES_MAX = 256 << 20  # bytes of model.json
_RETRAIN = "restore the folder from a backup, or train again"


@dataclass(frozen=True, slots=True)
class Stored:
    """What `read_model` found: the signature, the technology's own data, the files by name."""

    signature: Signature
    content: Mapping[str, Any]
    files: Mapping[str, bytes]


def write_model(
    folder: Path,
    *,
    kind: str,
    signature: Signature,
    content: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write native files first and `model.json` last, so that a half-written folder has none.

    `content` is plain JSON data; numbers come back with the same bits.

    Raises:
        StoreError: HF420, when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digests = {}
        for name, data in (files or {}).items():
            (folder / name).write_bytes(data)
            digests[name] = file_fingerprint(folder / name)
        header = {
            "format": FORMAT,
            "kind": kind,
            "task": signature.task,
            "names": list(signature.names),
            "categories": list(signature.categories),
            "width": signature.width,
            "content": dict(content),
            "files": digests,
        }
        text = json.dumps(header, indent=1, sort_keys=True, ensure_ascii=True)
        (folder / HEADER).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"the model cannot be written: {error.strerror or error}",
            code="HF420",
            site=str(folder),
            hint="check free space and permissions of the folder",
            retryable=True,
        ) from error


def read_header(folder: Path) -> dict[str, Any]:
    """Return `model.json`.

    Raises:
        StoreError: HF417, when it is missing, not JSON, or of a newer format.
    """
    path = folder / HEADER
    try:
        if path.stat().st_size > HEADER_BYTES_MAX:
            raise _unreadable(path, f"it is larger than {HEADER_BYTES_MAX} bytes")
        header = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read") from error
    except ValueError as error:
        raise _unreadable(path, "it is not JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise _unreadable(path, "it names no kind")
    if header.get("format") != FORMAT:
        raise _unreadable(
            path, f"its format is {header.get('format')}, this version reads {FORMAT}"
        )
    return header


def read_model(folder: Path, kind: str) -> Stored:
    """Return what `write_model` wrote, after checking kind and digests.

    Raises:
        StoreError: HF417, when anything is missing, changed or of another kind.
    """
    header = read_header(folder)
    path = folder / HEADER
    if header["kind"] != kind:
        raise _unreadable(path, f"it is a {header['kind']} model, not {kind}")
    files = {
        name: _checked_bytes(folder, name, header["files"]) for name in header.get("files", ())
    }
    try:
        task = cast(Task, header["task"])
        # Interned, so that thousands of columns are compared by identity at every request.
        names = tuple(sys.intern(str(name)) for name in header["names"])
        counts = tuple(int(k) for k in header["categories"])
        width = int(header.get("width", 0))
        content = dict(header["content"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, "a part of it is missing") from error
    if task not in ("binary", "regression") or len(names) != len(counts):
        raise _unreadable(path, "its parts do not fit together")
    return Stored(Signature(task, names, counts, width), content, files)


def _checked_bytes(folder: Path, name: str, digests: Mapping[str, str]) -> bytes:
    path = folder / name
    if Path(name).name != name:
        raise _unreadable(folder / HEADER, "it names a file outside its folder")
    try:
        if file_fingerprint(path) != digests[name]:
            raise _unreadable(path, "its bytes have changed since it was saved")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be read") from error


def _unreadable(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path.name} of this model cannot be used: {why}",
        code="HF417",
        site=str(path),
        hint=_RETRAIN,
    )
