"""Who may write to a folder: one process for itself, or several in turn; told by file locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import StoreError
from holdfast.stores.failures import failure_of

__all__ = ["OWNER", "Ownership"]

OWNER = "writer.lock"
"""The lock file. An exclusive owner holds it alone and writes its process id into it."""
_PID_BYTES_MAX = 32


class Ownership:
    """The right to write to one folder; the system takes it back when the process ends.

    Raises:
        StoreError: HF607 with the holder's process id, when another owner has the folder.
    """

    def __init__(self, folder: Path, *, exclusive: bool) -> None:
        self.folder, self.exclusive = folder, exclusive
        self._file, self._owned = -1, False
        if exclusive:
            self._file = _opened(folder / OWNER)
            try:
                self._lock(fcntl.LOCK_EX)
                self._owned = True
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, str(os.getpid()).encode(), 0)
            except OSError as error:
                self.release()
                raise failure_of(error, folder / OWNER) from error
            except StoreError:
                self.release()
                raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write for the length of a block."""
        if self.exclusive:
            yield
            return
        if self._file < 0:
            self._file = _opened(self.folder / OWNER)
        self._lock(fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def release(self) -> None:
        """Give the folder back; twice is fine."""
        if self._file >= 0:
            if self._owned:
                os.ftruncate(self._file, 0)
                self._owned = False
            os.close(self._file)
            self._file = -1

    def _lock(self, kind: int) -> None:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._refused() from None

    def _refused(self) -> StoreError:
        holder = os.pread(self._file, _PID_BYTES_MAX, 0).decode(errors="replace").strip()
        who, hint = "another process", "stop it, or use another project folder"
        if holder == str(os.getpid()):
            who, hint = "this process", "close the store that was opened with exclusive=True first"
        return StoreError(
            f"{who} (pid {holder or 'unknown'}) holds the right to write to this folder",
            code="HF607",
            site=str(self.folder),
            hint=hint,
            retryable=True,
        )


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise failure_of(error, path) from error
