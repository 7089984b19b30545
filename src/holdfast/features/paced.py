"""A store for long work beside a service: one large transaction becomes many small ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from heapq import merge
from itertools import groupby, islice
from typing import Self

from holdfast.core.clock import monotonic_s
from holdfast.errors import StoreError
from holdfast.stores.base import OnlineStore, Transaction

__all__ = ["WRITES_MAX", "PacedStore", "Rest"]

WRITES_MAX = 256
"""Keys written in one transaction beside a service, so that no request waits for long."""


class Rest:
    """How long work beside a service rests: `share` of the time it works, until it is stopped."""

    def __init__(self, share: float = 0.5) -> None:
        self.share, self.stopped = share, threading.Event()

    def after(self, worked_s: float) -> None:
        """Rest after some work.

        Raises:
            StoreError: HF309 when it was told to stop; what is done so far stays.
        """
        self.stopped.wait(worked_s * (1 - self.share) / self.share)
        if self.stopped.is_set():
            raise StoreError(
                "the back-fill was told to stop",
                code="HF309",
                hint="it goes on where it stopped at the next start",
                retryable=True,
            )


class PacedStore:
    """A store whose write transactions are committed in small pieces, with a rest after each.

    Only for work that nobody reads before it is whole, and that alone writes the keys it reads:
    a crash may leave a part of a transaction behind.
    """

    def __init__(self, store: OnlineStore, rest: Rest) -> None:
        self.store, self.rest = store, rest

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave the store open: it belongs to its opener."""

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return self.store.describe()

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction for the length of a block."""
        return self._pieces() if write else self.store.transaction(write=False)

    @contextmanager
    def _pieces(self) -> Iterator[Transaction]:
        with self.store.transaction(write=False) as txn:
            overlay = _Overlay(txn)
            yield overlay
        for space in overlay.cleared:
            with self.store.transaction(write=True) as txn:
                txn.clear(space)
        writes = iter(overlay.written.items())
        while piece := list(islice(writes, WRITES_MAX)):
            began = monotonic_s()
            with self.store.transaction(write=True) as txn:
                for (space, key), value in piece:
                    if value is None:
                        txn.delete(space, key)
                    else:
                        txn.put(space, key, value)
            self.rest.after(monotonic_s() - began)

    def sync(self) -> None:
        """Return once every commit is on the disk."""
        self.store.sync()

    def purge(self) -> None:
        """Write the whole store's files anew."""
        self.store.purge()

    def close(self) -> None:
        """Leave the store open."""


class _Overlay:
    """Writes kept aside over what a read transaction sees; None marks a key that is deleted."""

    def __init__(self, txn: Transaction) -> None:
        self.txn = txn
        self.cleared: dict[str, None] = {}
        self.written: dict[tuple[str, bytes], bytes | None] = {}

    def get(self, space: str, key: bytes) -> bytes | None:
        if (space, key) in self.written:
            return self.written[space, key]
        return None if space in self.cleared else self.txn.get(space, key)

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.get(space, key) for key in keys]

    def put(self, space: str, key: bytes, value: bytes) -> None:
        self.written[space, key] = value

    def delete(self, space: str, key: bytes) -> bool:
        there = self.get(space, key) is not None
        self.written[space, key] = None
        return there

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        held = () if space in self.cleared else self.txn.scan(space, start, stop)
        mine = sorted(
            key
            for one, key in self.written
            if one == space and key >= start and (stop is None or key < stop)
        )
        kept = ((key, 1, value) for key, value in held)
        new = ((key, 0, self.written[space, key]) for key in mine)
        for key, found in groupby(merge(new, kept, key=lambda e: e[:2]), key=lambda e: e[0]):
            value = next(found)[2]
            if value is not None:
                yield key, value

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        if not any(one == space for one, _ in self.written):
            return None if space in self.cleared else self.txn.last(space)
        return max(self.scan(space), default=None)

    def count(self, space: str) -> int:
        return sum(1 for _ in self.scan(space))

    def clear(self, space: str) -> None:
        self.cleared[space] = None
        for one, key in list(self.written):
            if one == space:
                del self.written[one, key]
