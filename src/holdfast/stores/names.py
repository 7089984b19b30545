"""How artifacts are named, and what the stores of records say when something is not there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from holdfast.errors import NotFoundError, StoreError

__all__ = [
    "DIGESTS",
    "artifact_name",
    "files_to_keep",
    "is_artifact",
    "no_artifact",
    "no_model",
    "nothing_to_keep",
]

DIGESTS = "digests.json"
"""The file at the top of a kept folder that names the SHA-256 of every other file."""
NAME_BYTES_MAX = 200
"""Bytes of the name in front of the fingerprint, as written; a file system takes 255 in all."""
_ARTIFACT = re.compile(r"[A-Za-z0-9_~%-][A-Za-z0-9_.~%-]*-[0-9a-f]{16}")


def artifact_name(name: str, content: str) -> str:
    """Return the folder name of an artifact: what it was put as, and its content's fingerprint.

    Raises:
        StoreError: HF606 when the name is too long to be a folder's.

    >>> artifact_name("../fraud", "00112233445566aa")
    '%2E.%2Ffraud-00112233445566aa'
    """
    written = quote(name, safe="", errors="surrogatepass")
    if written.startswith("."):
        written = f"%2E{written[1:]}"
    if len(written) > NAME_BYTES_MAX:
        raise StoreError(
            f"an artifact's name of {len(written)} bytes; it may have {NAME_BYTES_MAX}",
            code="HF606",
            hint="shorten the name",
        )
    return f"{written or '%'}-{content}"


def is_artifact(text: str) -> bool:
    """Return whether a text can be an artifact's name; one that leads elsewhere cannot.

    >>> is_artifact("fraud-00112233445566aa"), is_artifact("../fraud-00112233445566aa")
    (True, False)
    """
    return _ARTIFACT.fullmatch(text) is not None


def files_to_keep(folder: Path) -> list[str]:
    """Return the files under a folder, relative to it and sorted; the store's own is left out.

    Raises:
        OSError: when there is no such folder, or it cannot be read.
    """
    os.listdir(folder)  # `rglob` would find nothing and say nothing
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / DIGESTS
    ]


def nothing_to_keep(folder: Path) -> StoreError:
    """Return the failure of putting a folder without files."""
    return StoreError(
        "the folder to keep holds no file",
        code="HF606",
        site=str(folder),
        hint="write the bundle into it first",
    )


def no_artifact(artifact: str, where: str) -> NotFoundError:
    """Return the failure of asking for an artifact that is not kept."""
    return NotFoundError(
        f'there is no artifact "{artifact}"',
        code="HF611",
        site=where,
        hint="train again, or restore the folder from a copy",
    )


def no_model(name: str, version: int | None, versions: Sequence[int]) -> NotFoundError:
    """Return the failure of asking for a model that is not registered."""
    which = "model" if version is None else f"version {version} of a model"
    there = ", ".join(str(one) for one in versions)
    return NotFoundError(
        f'there is no {which} for "{name}"',
        code="HF610",
        hint=f"there are versions {there}" if versions else f"`holdfast train {name}`",
    )
