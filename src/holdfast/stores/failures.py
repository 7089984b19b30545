"""Failures of files, told in one way by every adapter that keeps them."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import StoreError

__all__ = ["failure_of", "file_failures", "probe"]

_PROBE_BYTES = 1 << 18  # more than the smallest store of any technology

_KNOWN = {
    errno.ENOSPC: ("HF601", "the disk is full", "free space, then try again", True),
    errno.EDQUOT: ("HF601", "the disk quota is used up", "free space, then try again", True),
    errno.EFBIG: ("HF601", "a file reached the size limit", "raise the limit or free space", True),
    errno.EROFS: ("HF602", "the folder is read-only", "use a folder that can be written", False),
    errno.EACCES: ("HF602", "access is denied", "give this user write access", False),
    errno.EPERM: ("HF602", "access is denied", "give this user write access", False),
    errno.ENOTDIR: ("HF602", "a part of the path is a file", "choose another folder", False),
    errno.EEXIST: ("HF602", "a file stands where a folder should", "choose another folder", False),
}


def failure_of(error: OSError, where: Path | str) -> StoreError:
    """Return a failed file operation as a `StoreError` with place and hint."""
    code, what, hint, retryable = _KNOWN.get(
        error.errno or 0, ("HF603", error.strerror or str(error), "see the system's log", False)
    )
    return StoreError(what, code=code, site=str(where), hint=hint, retryable=retryable)


@contextmanager
def file_failures(where: Path | str) -> Iterator[None]:
    """Turn an `OSError` inside the block into a `StoreError`."""
    try:
        yield
    except OSError as error:
        raise failure_of(error, where) from error


def probe(folder: Path, *, beyond_bytes: int = 0) -> None:
    """Write a little in a folder, at an offset, and take it back.

    Libraries that map files are stopped by a signal, or say "input/output error", when the disk is
    full; an ordinary write says what is wrong.

    Raises:
        StoreError: as `failure_of`, when the folder takes no more.
    """
    with file_failures(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.seek(beyond_bytes)
        file.write(bytes(_PROBE_BYTES))
        file.flush()
