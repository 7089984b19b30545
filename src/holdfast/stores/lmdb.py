"""Online store on LMDB: one memory-mapped file, atomic commits, readers that never wait."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import lmdb

from holdfast.errors import InternalError, StoreError
from holdfast.stores.base import (
    KEY_BYTES_MAX,
    KEY_ORDERED_BYTES,
    SPACES_MAX,
    OnlineStore,
    Transaction,
)
from holdfast.stores.failures import failure_of, file_failures, probe
from holdfast.stores.lmdb_copy import copied, take_place
from holdfast.stores.ownership import Ownership

__all__ = ["LmdbOnlineStore"]

MAP_BYTES_MAX = 1 << 36
"""Address space to reserve for the map, 64 GiB. The file grows only with its content, so nothing
is resized while readers are about; where the system reserves less, half of it is tried."""
MAP_BYTES_MIN = 1 << 28
"""The least address space worth opening with, 256 MiB."""
READERS_MAX = 512
READERS_CHECKED_EVERY = 1000
"""Write transactions between two looks for readers that were killed, whose pages stay in use."""
SCAN_CHUNKS = (4, 16, 64, 256)
"""Pairs read ahead by a scan, first to last chunk: a scan that stops soon has read little."""

_T = TypeVar("_T")


class LmdbOnlineStore:
    """An online store in a folder.

    `exclusive=True` takes the folder for this store. `sync_on_commit=False` is for filling a store
    that can be filled again: call `sync` at the end. `map_bytes` bounds the size of the file.
    A key longer than `KEY_ORDERED_BYTES` is kept under its head and the SHA-256 of the whole,
    because LMDB takes keys of 511 bytes at most; the key itself stands before its value.
    """

    def __init__(
        self,
        folder: Path,
        spaces: tuple[str, ...],
        *,
        exclusive: bool = False,
        sync_on_commit: bool = True,
        map_bytes: int = MAP_BYTES_MAX,
    ) -> None:
        self.folder = folder
        self._owner: Ownership | None = None
        self._shared: _Shared | None = None
        if len(spaces) > SPACES_MAX:
            raise InternalError(f"more than {SPACES_MAX} spaces in a store", code="HF920")
        with file_failures(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._owner = Ownership(folder, exclusive=exclusive)
            self._shared = _Shared.of(folder, sync_on_commit, map_bytes)
            self._spaces = self._open_spaces(spaces)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        self.close()

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return f"lmdb://{self.folder}"

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[LmdbTransaction]:
        """Open a transaction; it commits when the block ends, and leaves nothing if it raises."""
        shared, owner = self._opened()
        if not write:
            with self._ended(shared, self._begin(shared, write=False)) as opened:
                yield opened
            return
        with (
            shared.turn(),
            owner.writing(),
            self._ended(shared, self._begin(shared, write=True)) as opened,
        ):
            yield opened

    def sync(self) -> None:
        """Return once every commit is on the disk."""
        shared, _ = self._opened()
        self._told(lambda: shared.env.sync(True))

    def purge(self) -> None:
        """Leave nothing of what was deleted: every entry goes to a new file, page by page."""
        shared, owner = self._opened()
        if not owner.exclusive or shared.users > 1:
            raise StoreError(
                "the store is open elsewhere, so its file cannot be written anew",
                code="HF607",
                site=str(self.folder),
                hint="close it there first",
                retryable=True,
            )
        with shared.turn():
            self._told(shared.write_anew)
        self._spaces = self._open_spaces(tuple(self._spaces))

    def close(self) -> None:
        """Give back the map and the lock; closing twice is fine."""
        if self._shared is not None:
            self._shared.release()
            self._shared = None
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    def _begin(self, shared: _Shared, *, write: bool) -> LmdbTransaction:
        txn = self._told(lambda: shared.env.begin(write=write, buffers=False))
        return LmdbTransaction(txn, self._spaces, write=write)

    @contextmanager
    def _ended(self, shared: _Shared, opened: LmdbTransaction) -> Iterator[LmdbTransaction]:
        try:
            yield opened
        except lmdb.Error as error:
            opened.end(commit=False)
            raise _failure(error, self.folder, shared.map_bytes) from error
        except BaseException:
            opened.end(commit=False)
            raise
        self._told(lambda: opened.end(commit=True))

    def _open_spaces(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Open the spaces there are without writing, so that readers need no turn."""
        shared, owner = self._opened()
        found = {name: self._told(partial(shared.space, name)) for name in names}
        missing = [name for name, space in found.items() if space is None]
        if missing:
            with shared.turn(), owner.writing():
                for name in missing:
                    found[name] = self._told(partial(shared.space, name, create=True))
        return found

    def _opened(self) -> tuple[_Shared, Ownership]:
        if self._shared is None or self._owner is None:
            raise InternalError("a store is used after it was closed", code="HF920")
        return self._shared, self._owner

    def _told(self, work: Callable[[], _T]) -> _T:
        """Return what LMDB returns, its failures told as ours."""
        try:
            return work()
        except (lmdb.Error, OSError) as error:
            bound = self._shared.map_bytes if self._shared else MAP_BYTES_MAX
            raise _failure(error, self.folder, bound) from error


class _Shared:
    """The one environment of a folder in this process: LMDB must not open a folder twice."""

    _all: dict[Path, _Shared] = {}  # noqa: RUF012
    _gate = threading.Lock()

    def __init__(self, place: Path, sync: bool, map_bytes: int) -> None:
        self.place, self.sync, self.users = place, sync, 0
        self.env, self.map_bytes = _environment(place, sync, map_bytes)
        self._turn = threading.Lock()
        self._writer = 0  # the thread whose turn it is, 0 for none
        self._turns = 0

    @classmethod
    def of(cls, folder: Path, sync: bool, map_bytes: int) -> _Shared:
        """Return the environment of a folder, opened if this process has not yet."""
        place = folder.resolve()
        with cls._gate:
            shared = cls._all.get(place)
            if shared is None:
                shared = cls._all[place] = _Shared(place, sync, map_bytes)
            elif sync and not shared.sync:
                raise StoreError(
                    "this process is filling the store without flushing it",
                    code="HF607",
                    site=str(folder),
                    hint="close the store that was opened with sync_on_commit=False first",
                    retryable=True,
                )
            shared.users += 1
            return shared

    def release(self) -> None:
        """Close the environment with its last user."""
        with self._gate:
            self.users -= 1
            if not self.users:
                del self._all[self.place]
                self.env.close()

    def write_anew(self) -> None:
        """Copy every entry to a new file and let it take the place of this one."""
        aside = copied(self.env, self.place, map_bytes=self.map_bytes)
        self.env.close()
        try:
            take_place(aside, self.place)
        finally:
            self.env, self.map_bytes = _environment(self.place, self.sync, self.map_bytes)

    def space(self, name: str, *, create: bool = False) -> Any:
        """Return a space's place, None when it is not there."""
        try:
            return self.env.open_db(name.encode(), create=create)
        except lmdb.NotFoundError:
            return None
        except lmdb.ReadonlyError:
            if create:
                raise
            return None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until no other thread of this process writes."""
        me = threading.get_ident()
        if self._writer == me:
            raise InternalError("a write transaction inside another one", code="HF920")
        with self._turn:
            self._writer = me
            if self._turns % READERS_CHECKED_EVERY == 0:
                self.env.reader_check()
            self._turns += 1
            try:
                yield
            finally:
                self._writer = 0


class LmdbTransaction:
    """One LMDB transaction."""

    def __init__(self, txn: Any, spaces: dict[str, Any], *, write: bool) -> None:
        self._txn, self._spaces, self._write = txn, spaces, write

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        found: bytes | None = self._open().get(_stored(key), db=self._space(space))
        return found if found is None or len(key) <= KEY_ORDERED_BYTES else found[len(key) :]

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, None where there is none."""
        return [self.get(space, key) for key in keys]

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key; a long key stands before its value."""
        kept = value if len(key) <= KEY_ORDERED_BYTES else key + value
        self._writable().put(_stored(key), kept, db=self._space(space))

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        return bool(self._writable().delete(_stored(key), db=self._space(space)))

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` with values, in the order of bytes."""
        self._space(space)
        self._open()
        head = None if stop is None else stop[:KEY_ORDERED_BYTES]
        for stored, kept in self._stored_from(space, start[:KEY_ORDERED_BYTES]):
            if head is not None and stored[:KEY_ORDERED_BYTES] > head:
                return
            key, value = _plain(stored, kept)
            if key >= start and (stop is None or key < stop):
                yield key, value

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        with self._open().cursor(db=self._space(space)) as cursor:
            return _plain(*cursor.item()) if cursor.last() else None

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        return int(self._open().stat(self._space(space))["entries"])

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        self._writable().drop(self._space(space), delete=False)

    def end(self, *, commit: bool) -> None:
        """Commit or abort; nothing can be done with the transaction afterwards."""
        txn, self._txn = self._txn, None
        if commit:
            txn.commit()
        else:
            txn.abort()

    def _stored_from(self, space: str, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield what is stored, in chunks, so that nothing is open between two of them."""
        chunk, sizes = 0, iter(SCAN_CHUNKS)
        while True:
            chunk = next(sizes, chunk)
            with self._open().cursor(db=self._space(space)) as cursor:
                there = cursor.set_range(start) if start else cursor.first()
                found = list(islice(cursor.iternext(), chunk)) if there else []
            yield from found
            if len(found) < chunk:
                return
            start = found[-1][0] + b"\x00"

    def _open(self) -> Any:
        if self._txn is None:
            raise InternalError("a transaction is used after its block", code="HF920")
        return self._txn

    def _writable(self) -> Any:
        if not self._write:
            raise InternalError("a write in a read transaction", code="HF920")
        return self._open()

    def _space(self, space: str) -> Any:
        try:
            return self._spaces[space]
        except KeyError:
            raise InternalError(f"no space {space!r} in this store", code="HF920") from None


_MARK = b"\xff\xff\xff\xff"


def _stored(key: bytes) -> bytes:
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise StoreError(
            f"a key of {len(key)} bytes; it must have 1 to {KEY_BYTES_MAX}",
            code="HF606",
            hint="shorten the key's value",
        )
    if len(key) <= KEY_ORDERED_BYTES:
        return key
    length = len(key).to_bytes(2, "big")
    return key[:KEY_ORDERED_BYTES] + _MARK + length + hashlib.sha256(key).digest()


def _plain(stored: bytes, value: bytes) -> tuple[bytes, bytes]:
    if len(stored) <= KEY_ORDERED_BYTES:
        return stored, value
    length = int.from_bytes(stored[-34:-32], "big")
    return value[:length], value[length:]


def _environment(folder: Path, sync: bool, map_bytes: int) -> tuple[Any, int]:
    """Open LMDB with as much address space as the system reserves; return that too."""
    try:
        if not (folder / "lock.mdb").exists():
            probe(folder)
        while True:
            try:
                return _open_environment(folder, sync, map_bytes), map_bytes
            except (lmdb.MemoryError, OSError) as error:
                if not _too_much(error) or map_bytes // 2 < MAP_BYTES_MIN:
                    raise
                map_bytes //= 2
    except (lmdb.Error, OSError) as error:
        raise _failure(error, folder, map_bytes) from error


def _too_much(error: Exception) -> bool:
    return isinstance(error, lmdb.MemoryError) or getattr(error, "errno", 0) == errno.ENOMEM


def _open_environment(folder: Path, sync: bool, map_bytes: int) -> Any:
    return lmdb.open(
        str(folder),
        map_size=map_bytes,
        max_dbs=SPACES_MAX,
        sync=sync,
        metasync=sync,
        max_readers=READERS_MAX,
    )


def _failure(error: Exception, folder: Path, map_bytes: int) -> StoreError:
    if isinstance(error, lmdb.MapFullError):
        return StoreError(
            f"the online store reached its bound of {map_bytes >> 20} MiB",
            code="HF608",
            site=str(folder),
            hint="shorten windows, or keep fewer entities",
        )
    if isinstance(error, OSError):
        return failure_of(error, folder)
    text = str(error)
    if isinstance(error, lmdb.InvalidError | lmdb.CorruptedError | lmdb.VersionMismatchError):
        return StoreError(
            f"the online store is damaged: {text}",
            code="HF604",
            site=str(folder),
            hint="move the folder aside; state is built again from history",
        )
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
        if os.strerror(code) in text:
            return failure_of(OSError(code, os.strerror(code)), folder)
    if os.strerror(errno.EIO) in text:  # a write that was cut short: the disk says why
        try:
            probe(folder, beyond_bytes=(folder / "data.mdb").stat().st_size)
        except StoreError as told:
            return told
        except OSError as told:
            return failure_of(told, folder)
    return StoreError(
        f"the online store failed: {text}",
        code="HF603",
        site=str(folder),
        hint="see the system's log; a damaged folder can be moved aside and is built again",
    )


if TYPE_CHECKING:

    def _keeps_the_promise(store: LmdbOnlineStore, txn: LmdbTransaction) -> None:
        _store: OnlineStore = store
        _txn: Transaction = txn
