"""Online store on LMDB: one memory-mapped file, atomic commits, readers that never wait."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from holdfast.errors import InternalError, StoreError
from holdfast.stores.base import KEY_BYTES_MAX
from holdfast.stores.failures import failure_of, file_failures

__all__ = ["LmdbOnlineStore"]

MAP_BYTES = 1 << 36
"""Address space reserved for the map, 64 GiB; the file grows only with its content."""
KEY_PLAIN_BYTES_MAX = 400
"""LMDB takes keys up to 511 bytes: a longer one keeps its head and the SHA-256 of the whole."""


class LmdbOnlineStore:
    """An online store in a folder.

    `exclusive=True` takes the folder for this process: a second taker gets a `StoreError` that
    names the first. `sync_on_commit=False` is for filling a store that can be filled again.
    """

    def __init__(
        self,
        folder: Path,
        spaces: tuple[str, ...],
        *,
        exclusive: bool = False,
        sync_on_commit: bool = True,
    ) -> None:
        self.folder = folder
        with file_failures(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = _taken(folder) if exclusive else None
        try:
            self._env = lmdb.open(
                str(folder),
                map_size=MAP_BYTES,
                max_dbs=len(spaces),
                sync=sync_on_commit,
                metasync=sync_on_commit,
                max_readers=512,
            )
            self._spaces = {name: self._env.open_db(name.encode()) for name in spaces}
        except (lmdb.Error, OSError) as error:
            self.close()
            raise _failure(error, folder) from error

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[LmdbTransaction]:
        """Open a transaction; it commits when the block ends, and leaves nothing if it raises."""
        try:
            with self._env.begin(write=write, buffers=False) as txn:
                yield LmdbTransaction(txn, self._spaces)
        except (lmdb.Error, OSError) as error:
            raise _failure(error, self.folder) from error

    def sync(self) -> None:
        """Return once every commit is on the disk."""
        try:
            self._env.sync(True)
        except (lmdb.Error, OSError) as error:
            raise _failure(error, self.folder) from error

    def close(self) -> None:
        """Give back the map and the lock; closing twice is fine."""
        env = getattr(self, "_env", None)
        if env is not None:
            env.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class LmdbTransaction:
    """One LMDB transaction."""

    def __init__(self, txn: Any, spaces: dict[str, Any]) -> None:
        self._txn, self._spaces = txn, spaces

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        found: bytes | None = self._txn.get(_stored(key), db=self._space(space))
        return found if found is None or len(key) <= KEY_PLAIN_BYTES_MAX else found[len(key) :]

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key; a long key stands before its value."""
        kept = value if len(key) <= KEY_PLAIN_BYTES_MAX else key + value
        self._txn.put(_stored(key), kept, db=self._space(space))

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        return bool(self._txn.delete(_stored(key), db=self._space(space)))

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` with values, in the order of bytes."""
        with self._txn.cursor(db=self._space(space)) as cursor:
            found = cursor.set_range(start) if start else cursor.first()
            while found:
                stored, value = cursor.item()
                if stop is not None and stored >= stop:
                    return
                yield _plain(stored, value)
                found = cursor.next()

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        with self._txn.cursor(db=self._space(space)) as cursor:
            return _plain(*cursor.item()) if cursor.last() else None

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        return int(self._txn.stat(self._space(space))["entries"])

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        self._txn.drop(self._space(space), delete=False)

    def _space(self, space: str) -> Any:
        try:
            return self._spaces[space]
        except KeyError:
            raise InternalError(f"no space {space!r} in this store", code="HF900") from None


_MARK = b"\xff\xff\xff\xff"


def _stored(key: bytes) -> bytes:
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise StoreError(
            f"a key of {len(key)} bytes; it must have 1 to {KEY_BYTES_MAX}",
            code="HF606",
            hint="shorten the key's value",
        )
    if len(key) <= KEY_PLAIN_BYTES_MAX:
        return key
    length = len(key).to_bytes(2, "big")
    return key[:KEY_PLAIN_BYTES_MAX] + _MARK + length + hashlib.sha256(key).digest()


def _plain(stored: bytes, value: bytes) -> tuple[bytes, bytes]:
    if len(stored) <= KEY_PLAIN_BYTES_MAX:
        return stored, value
    length = int.from_bytes(stored[-34:-32])
    return value[:length], value[length:]


def _taken(folder: Path) -> int:
    """Take the folder's lock and write our process id into it."""
    path = folder / "writer.lock"
    with file_failures(path):
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreError(
            f"another process serves from this folder (pid {holder})",
            code="HF607",
            site=str(folder),
            hint="stop it, or use another project folder",
            retryable=True,
        ) from None
    try:
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
    except OSError as error:
        os.close(lock)
        raise failure_of(error, path) from error
    return lock


def _failure(error: Exception, folder: Path) -> StoreError:
    if isinstance(error, lmdb.MapFullError):
        return StoreError(
            f"the online store reached its bound of {MAP_BYTES >> 30} GiB",
            code="HF608",
            site=str(folder),
            hint="shorten windows, or keep fewer entities",
        )
    if isinstance(error, lmdb.DiskError):
        return StoreError(
            "the disk is full",
            code="HF601",
            site=str(folder),
            hint="free space, then try again",
            retryable=True,
        )
    if isinstance(error, OSError):
        return failure_of(error, folder)
    text = str(error)
    for code in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EFBIG):
        if os.strerror(code) in text:
            return failure_of(OSError(code, os.strerror(code)), folder)
    return StoreError(
        f"the online store failed: {text}",
        code="HF603",
        site=str(folder),
        hint="if the folder is damaged, move it aside; state is rebuilt from the log",
    )
