"""Stores in memory: the reference that keeps every promise but durability."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.errors import InternalError, StoreError
from holdfast.stores.base import KEY_BYTES_MAX

__all__ = ["MemoryOnlineStore"]


class MemoryOnlineStore:
    """An online store that lives as long as the object."""

    def __init__(self, spaces: tuple[str, ...]) -> None:
        self._spaces: dict[str, _Space] = {space: _Space() for space in spaces}
        self._writing = False

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[MemoryTransaction]:
        """Open a transaction; a raising block leaves nothing."""
        if write and self._writing:
            raise StoreError("a write transaction is open", code="HF605", hint="end it first")
        txn = MemoryTransaction(self._spaces, write)
        self._writing = self._writing or write
        try:
            yield txn
        except BaseException:
            txn.undo()
            raise
        finally:
            if write:
                self._writing = False

    def sync(self) -> None:
        """Memory has no disk."""

    def close(self) -> None:
        """Forget nothing: a closed memory store may be opened by whoever holds it."""


class _Space:
    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []


class MemoryTransaction:
    """Reads and writes on the dictionaries themselves, with a list of how to undo them."""

    def __init__(self, spaces: dict[str, _Space], write: bool) -> None:
        self._spaces, self._write = spaces, write
        self._undo: list[tuple[str, bytes, bytes | None]] = []

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self._space(space).values.get(_checked(key))

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._may_write()
        self._undo.append((space, _checked(key), self._space(space).values.get(key)))
        self._set(space, key, value)

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        self._may_write()
        before = self._space(space).values.get(_checked(key))
        self._undo.append((space, key, before))
        self._set(space, key, None)
        return before is not None

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` with values, in the order of bytes."""
        found = self._space(space)
        low = bisect_left(found.keys, start)
        high = len(found.keys) if stop is None else bisect_left(found.keys, stop)
        for key in found.keys[low:high]:
            yield key, found.values[key]

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        found = self._space(space)
        return (found.keys[-1], found.values[found.keys[-1]]) if found.keys else None

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        return len(self._space(space).keys)

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        for key in list(self._space(space).keys):
            self.delete(space, key)

    def undo(self) -> None:
        """Take back every write, the last one first."""
        for space, key, before in reversed(self._undo):
            self._set(space, key, before)

    def _set(self, space: str, key: bytes, value: bytes | None) -> None:
        found = self._space(space)
        if value is None:
            if found.values.pop(key, None) is not None:
                del found.keys[bisect_left(found.keys, key)]
            return
        if key not in found.values:
            insort(found.keys, key)
        found.values[key] = value

    def _space(self, space: str) -> _Space:
        try:
            return self._spaces[space]
        except KeyError:
            raise InternalError(f"no space {space!r} in this store", code="HF900") from None

    def _may_write(self) -> None:
        if not self._write:
            raise InternalError("a write in a read transaction", code="HF900")


def _checked(key: bytes) -> bytes:
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise StoreError(
            f"a key of {len(key)} bytes; it must have 1 to {KEY_BYTES_MAX}",
            code="HF606",
            hint="shorten the key's value",
        )
    return key
