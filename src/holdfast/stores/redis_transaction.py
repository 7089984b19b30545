"""A transaction on Redis: reads of one moment, writes kept until the commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from typing import Any, Protocol

from holdfast.errors import InternalError, StoreError
from holdfast.stores.base import KEY_BYTES_MAX
from holdfast.stores.redis_scripts import GET, LAST, SCAN

__all__ = ["RedisTransaction"]

CHUNKS = (16, 64, 256)
"""Pairs read by one command of a scan, first to last: a scan that stops soon has read little."""


class Server(Protocol):
    """What a transaction needs of its store."""

    spaces: frozenset[str]

    def run(self, script: str, names: list[str], arguments: list[Any]) -> Any:
        """Run a script on keys of the store."""
        ...

    def describe(self) -> str:
        """Return where the store is."""
        ...


@dataclass
class _Change:
    """What a transaction did to a space: dropped it first or not, put values, deleted keys."""

    cleared: bool = False
    puts: dict[bytes, bytes] = field(default_factory=dict)
    deleted: set[bytes] = field(default_factory=set)


class RedisTransaction:
    """Reads that all see one moment, and writes that the store applies at the end.

    The server keeps no old versions: where another process commits between two reads of a read
    transaction, the second raises (HF615, retryable) rather than mix two moments.
    """

    def __init__(self, server: Server, *, write: bool) -> None:
        self._server, self._write, self._over = server, write, False
        self._version: bytes | None = None
        self._known: dict[tuple[str, bytes], bytes | None] = {}
        self.changes: dict[str, _Change] = {}

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self.get_many(space, [key])[0]

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys in one round trip, None where there is none."""
        change = self._space(space)
        for key in keys:
            _check(key)
        found: list[bytes | None] = [change.puts.get(key) for key in keys]
        hidden = change.deleted if not change.cleared else keys
        missing = [at for at, key in enumerate(keys) if found[at] is None and key not in hidden]
        asked = [keys[at] for at in missing if (space, keys[at]) not in self._known]
        if asked:
            values = self._read(GET, space, asked)
            self._known |= {(space, key): value for key, value in zip(asked, values, strict=True)}
        for at in missing:
            found[at] = self._known[space, keys[at]]
        return found

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        change = self._writable(space)
        _check(key)
        change.puts[key] = value
        change.deleted.discard(key)

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        self._writable(space)
        there = self.get(space, key) is not None
        if there:
            change = self._writable(space)
            change.puts.pop(key, None)
            change.deleted.add(key)
        return there

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        self._writable(space)
        self.changes[space] = _Change(cleared=True)

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` with values, in the order of bytes."""
        change = self._space(space)
        mine = sorted(
            (key, value)
            for key, value in change.puts.items()
            if key >= start and (stop is None or key < stop)
        )
        return self._merged(space, mine, self._theirs(space, start, stop))

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        change = self._space(space)
        mine = max(change.puts, default=None)
        theirs = None if change.cleared else self._last_of(space, change)
        if mine is not None and (theirs is None or mine >= theirs[0]):
            return mine, change.puts[mine]
        return theirs

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        change = self._space(space)
        if change.cleared:
            return len(change.puts)
        there = int(self._read(LAST, space, ["+", 1])[2])
        touched = [*change.puts, *change.deleted]
        known = sum(value is not None for value in self._read(GET, space, touched))
        return there + len(change.puts) - known

    def arguments(self) -> list[bytes]:
        """Return the changes as the commit script reads them."""
        told: list[bytes] = []
        for name, change in self.changes.items():
            space = name.encode()
            told += [b"c", space] if change.cleared else []
            for key, value in change.puts.items():
                told += [b"p", space, key, value]
            for key in change.deleted:
                told += [b"d", space, key]
        return told

    def end(self) -> None:
        """Nothing can be done with the transaction afterwards."""
        self._over = True

    def _last_of(self, space: str, change: _Change) -> tuple[bytes, bytes] | None:
        """Return the last key on the server that this transaction did not delete."""
        high = b"+"
        while True:
            keys, values, _ = self._read(LAST, space, [high, CHUNKS[-1]])
            for key, value in zip(keys, values, strict=True):
                if key not in change.deleted:
                    return key, value
            if not keys:
                return None
            high = b"(" + keys[-1]

    def _theirs(
        self, space: str, start: bytes, stop: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what the server has, chunk by chunk."""
        low = b"[" + start if start else b"-"
        high = b"+" if stop is None else b"(" + stop
        sizes, size = iter(CHUNKS), 0
        while not self._space(space).cleared:
            size = next(sizes, size or CHUNKS[-1])
            keys, values = self._read(SCAN, space, [low, high, size])
            yield from zip(keys, values, strict=True)
            if len(keys) < size:
                return
            low = b"(" + keys[-1]

    def _merged(
        self,
        space: str,
        mine: list[tuple[bytes, bytes]],
        theirs: Iterator[tuple[bytes, bytes]],
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield both in order; what this transaction wrote or deleted hides what was there."""
        own = {key for key, _ in mine}
        kept = (pair for pair in theirs if pair[0] not in own)
        for key, value in merge(mine, kept):
            change = self._space(space)
            if key not in change.deleted and (not change.cleared or key in change.puts):
                yield key, value

    def _read(self, script: str, space: str, arguments: Sequence[Any]) -> list[Any]:
        found: list[Any]
        version, *found = self._server.run(
            script, ["v", f"h:{space}", f"z:{space}"], list(arguments)
        )
        if self._version is None:
            self._version = version
        elif self._version != version and not self._write:
            raise StoreError(
                "the store was written to between two reads",
                code="HF615",
                site=self._server.describe(),
                hint="read again: Redis keeps no older versions",
                retryable=True,
            )
        return found

    def _space(self, space: str) -> _Change:
        if self._over:
            raise InternalError("a transaction is used after its block", code="HF920")
        if space not in self._server.spaces:
            raise InternalError(f"no space {space!r} in this store", code="HF920")
        return self.changes.get(space) or _Change()

    def _writable(self, space: str) -> _Change:
        self._space(space)
        if not self._write:
            raise InternalError("a write in a read transaction", code="HF920")
        return self.changes.setdefault(space, _Change())


def _check(key: bytes) -> None:
    if not 1 <= len(key) <= KEY_BYTES_MAX:
        raise StoreError(
            f"a key of {len(key)} bytes; it must have 1 to {KEY_BYTES_MAX}",
            code="HF606",
            hint="shorten the key's value",
        )
