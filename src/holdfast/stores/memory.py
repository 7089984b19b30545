"""Stores in memory: the reference that keeps every promise but durability."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from holdfast.errors import InternalError, StoreError
from holdfast.stores.base import (
    KEY_BYTES_MAX,
    SPACES_MAX,
    ArtifactStore,
    MetadataStore,
    OnlineStore,
    Transaction,
)
from holdfast.stores.memory_records import MemoryArtifactStore, MemoryMetadataStore

__all__ = ["MemoryArtifactStore", "MemoryMetadataStore", "MemoryOnlineStore"]

SORT_AGAIN = 1024
"""Changes in one commit from which sorting a space anew is cheaper than keeping it sorted."""


class MemoryOnlineStore:
    """An online store that lives as long as the object.

    A commit changes the dictionaries in place, or a copy of them while a reader looks at them.
    """

    def __init__(self, spaces: tuple[str, ...]) -> None:
        if len(spaces) > SPACES_MAX:
            raise InternalError(f"more than {SPACES_MAX} spaces in a store", code="HF920")
        self._spaces = {space: _Space({}) for space in spaces}
        self._gate = threading.Lock()
        self._turn = threading.Lock()
        self._readers, self._writer, self._closed = 0, 0, False

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        self.close()

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return "memory://"

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[MemoryTransaction]:
        """Open a transaction; a raising block leaves nothing."""
        if self._closed:
            raise InternalError("a store is used after it was closed", code="HF920")
        with self._writing() if write else self._reading():
            txn = MemoryTransaction(dict(self._spaces), write=write)
            try:
                yield txn
                if write:
                    self._commit(txn)
            finally:
                txn.end()

    def sync(self) -> None:
        """Memory has no disk."""

    def purge(self) -> None:
        """Memory has no files."""

    def close(self) -> None:
        """End the store; closing twice is fine."""
        self._closed = True

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._gate:
            self._readers += 1
        try:
            yield
        finally:
            with self._gate:
                self._readers -= 1

    @contextmanager
    def _writing(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._writer == me:
            raise InternalError("a write transaction inside another one", code="HF920")
        with self._turn:
            self._writer = me
            try:
                yield
            finally:
                self._writer = 0

    def _commit(self, txn: MemoryTransaction) -> None:
        with self._gate:
            changed = {name: view for name, view in txn.views.items() if view.changes}
            now = {
                name: view.space.copy() if self._readers else view.space
                for name, view in changed.items()
            }
            for name, space in now.items():
                space.apply(changed[name].changes)
            self._spaces |= now


class _Space:
    """Committed keys; sorted on the first scan, and kept so from then on."""

    def __init__(self, values: dict[bytes, bytes], keys: list[bytes] | None = None) -> None:
        self.values, self._keys = values, keys

    def keys(self) -> list[bytes]:
        keys = self._keys
        if keys is None:
            keys = self._keys = sorted(self.values)
        return keys

    def copy(self) -> _Space:
        return _Space(dict(self.values), None if self._keys is None else list(self._keys))

    def apply(self, changes: dict[bytes, bytes | None]) -> None:
        if len(changes) > SORT_AGAIN:
            self._keys = None
        for key, value in changes.items():
            there = key in self.values
            if value is not None:
                self.values[key] = value
                if self._keys is not None and not there:
                    insort(self._keys, key)
            elif there:
                del self.values[key]
                if self._keys is not None:
                    del self._keys[bisect_left(self._keys, key)]


class _View:
    """A space as one transaction sees it: what was committed, and its own changes over it."""

    def __init__(self, space: _Space) -> None:
        self.space = space
        self.changes: dict[bytes, bytes | None] = {}  # None: deleted
        self.count = len(space.values)

    def get(self, key: bytes) -> bytes | None:
        return self.changes[key] if key in self.changes else self.space.values.get(key)

    def set(self, key: bytes, value: bytes | None) -> bool:
        there = self.get(key) is not None
        self.count += (value is not None) - there
        self.changes[key] = value
        return there

    def between(self, start: bytes, stop: bytes | None) -> list[bytes]:
        keys = self.space.keys()
        high = len(keys) if stop is None else bisect_left(keys, stop)
        found = keys[bisect_left(keys, start) : high]
        new = [
            key
            for key in self.changes
            if start <= key and (stop is None or key < stop) and key not in self.space.values
        ]
        return sorted(found + new) if new else found

    def last(self) -> bytes | None:
        new = max((key for key, value in self.changes.items() if value is not None), default=None)
        for key in reversed(self.space.keys()):
            if self.changes.get(key, b"") is not None:
                return key if new is None else max(key, new)
        return new


class MemoryTransaction:
    """Reads and writes over the committed spaces; changes wait for the commit."""

    def __init__(self, spaces: dict[str, _Space], *, write: bool) -> None:
        self.views = {name: _View(space) for name, space in spaces.items()}
        self._write, self._ended = write, False

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self._view(space).get(_checked(key))

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, None where there is none."""
        return [self.get(space, key) for key in keys]

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._writable(space).set(_checked(key), bytes(value))

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        return self._writable(space).set(_checked(key), None)

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` with values, in the order of bytes."""
        for key in self._view(space).between(start, stop):
            value = self._view(space).get(key)
            if value is not None:
                yield key, value

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        key = self._view(space).last()
        value = None if key is None else self._view(space).get(key)
        return None if key is None or value is None else (key, value)

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        return self._view(space).count

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        view = self._writable(space)
        for key in view.between(b"", None):
            view.set(key, None)

    def end(self) -> None:
        """Refuse everything from now on."""
        self._ended = True

    def _view(self, space: str) -> _View:
        if self._ended:
            raise InternalError("a transaction is used after its block", code="HF920")
        if space not in self.views:
            raise InternalError(f"no space {space!r} in this store", code="HF920")
        return self.views[space]

    def _writable(self, space: str) -> _View:
        if not self._write:
            raise InternalError("a write in a read transaction", code="HF920")
        return self._view(space)


def _checked(key: bytes) -> bytes:
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise StoreError(
            f"a key of {len(key)} bytes; it must have 1 to {KEY_BYTES_MAX}",
            code="HF606",
            hint="shorten the key's value",
        )
    return key


if TYPE_CHECKING:

    def _keeps_the_promise(store: MemoryOnlineStore, txn: MemoryTransaction) -> None:
        _store: OnlineStore = store
        _txn: Transaction = txn
        _metadata: MetadataStore = MemoryMetadataStore()
        _artifacts: ArtifactStore = MemoryArtifactStore()
