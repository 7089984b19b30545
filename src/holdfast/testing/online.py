"""The conformance kit of online stores; see `holdfast.testing.stores` for how to use it."""

from __future__ import annotations

import os
import string
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from holdfast.errors import InternalError, StoreError
from holdfast.stores.base import KEY_BYTES_MAX, KEY_ORDERED_BYTES, OnlineStore, Transaction
from holdfast.testing.crowd import TURNS, WORKERS, in_processes, in_threads

__all__ = ["SPACES", "OnlineStoreTestCase"]

SPACES = ("first", "second", "third space, with marks: /\\.%")
"""The spaces of the stores under test."""
Content = dict[str, list[tuple[bytes, bytes]]]

_COUNT = """
from holdfast.stores.open import open_online
with open_online({url!r}, spaces={spaces!r}) as store:
    for _ in range({turns}):
        with store.transaction(write=True) as txn:
            held = txn.get("first", b"count") or b"0"
            txn.put("first", b"count", str(int(held) + 1).encode())
"""


class OnlineStoreTestCase:
    """What every online store keeps."""

    durable: ClassVar[bool] = True
    keeps_old_versions: ClassVar[bool] = True
    """Whether a reader goes on seeing its moment; else it is asked to read again."""

    def open_store(self, folder: Path, *, exclusive: bool = False) -> OnlineStore:
        """Open a store with `SPACES` that keeps its files in `folder`."""
        raise NotImplementedError

    def url(self, folder: Path) -> str:
        """Return the URL of that store for another process, "" where only this one sees it."""
        return ""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[OnlineStore]:
        """A new store."""
        with self.open_store(tmp_path / "store") as store:
            yield store

    def test_a_new_store_is_empty(self, store: OnlineStore) -> None:
        """A new store is empty."""
        with store.transaction(write=True) as txn:
            for space in SPACES:
                assert txn.get(space, b"x") is None
                assert not txn.delete(space, b"x")
                txn.clear(space)
                assert (txn.count(space), txn.last(space), list(txn.scan(space))) == (0, None, [])
        assert "://" in store.describe()

    def test_every_byte_is_a_key_and_decides_the_order(self, store: OnlineStore) -> None:
        """Every byte is a key and decides the order."""
        keys = [bytes([a]) for a in range(256)] + [bytes([a, b]) for a in (0, 255) for b in (0, 9)]
        keys += [mark.encode() * 3 for mark in string.punctuation]
        with store.transaction(write=True) as txn:
            for key in reversed(keys):
                txn.put("first", key, key + b"\x00")
        with store.transaction(write=False) as txn:
            assert list(txn.scan("first")) == [(key, key + b"\x00") for key in sorted(keys)]
            assert txn.last("first") == (b"\xff\x09", b"\xff\x09\x00")
            assert txn.count("first") == len(keys)

    def test_keys_of_every_length(self, store: OnlineStore) -> None:
        """Keys of every length."""
        lengths = (1, 2, 255, 399, 400, 401, 402, 438, 510, 511, 512, 1023, KEY_BYTES_MAX)
        keys = [first * n for first in (b"\x00", b"k", b"\xff") for n in lengths]
        keys += [b"k" * 500 + end for end in (b"a", b"b", b"\x00", b"\xff")]
        with store.transaction(write=True) as txn:
            for key in keys:
                txn.put("first", key, key[:3])
        with store.transaction(write=True) as txn:
            assert all(txn.get("first", key) == key[:3] for key in keys)
            found = [key for key, _ in txn.scan("first")]
            assert sorted(found) == sorted(keys)
            heads = [key[:KEY_ORDERED_BYTES] for key in found]
            assert heads == sorted(heads)
            assert all(txn.delete("first", key) for key in keys)
            assert txn.count("first") == 0

    @pytest.mark.parametrize("length", [0, KEY_BYTES_MAX + 1])
    def test_a_key_of_no_possible_length_is_refused(self, store: OnlineStore, length: int) -> None:
        """A key of no possible length is refused."""
        calls: list[Callable[[Transaction], Any]] = [
            lambda txn: txn.get("first", b"x" * length),
            lambda txn: txn.put("first", b"x" * length, b""),
            lambda txn: txn.delete("first", b"x" * length),
        ]
        for call in calls:
            with store.transaction(write=True) as txn, pytest.raises(StoreError) as refused:
                call(txn)
            assert (refused.value.code, refused.value.retryable) == ("HF606", False)

    def test_values_are_any_bytes(self, store: OnlineStore) -> None:
        """Values are any bytes."""
        values = [b"", b"\x00", bytes(range(256)), b"\xff" * (1 << 20)]
        for key, value in product((b"k", b"k" * 1000), values):
            with store.transaction(write=True) as txn:
                txn.put("first", key, value)
            with store.transaction(write=False) as txn:
                assert txn.get("first", key) == value
                assert dict(txn.scan("first"))[key] == value

    def test_a_scan_is_what_lies_between(self, store: OnlineStore) -> None:
        """A scan is what lies between."""
        long = [b"k" * 400 + end for end in (b"", b"\x00", b"a", b"a" * 200, b"\xff")]
        keys = sorted([b"\x00", b"a", b"ab", b"k", b"k" * 399, *long, b"l", b"\xff", b"\xff" * 500])
        with store.transaction(write=True) as txn:
            for key in keys:
                txn.put("first", key, b"v")
        with store.transaction(write=False) as txn:
            for start, stop in product([b"", b"b", *keys], [None, b"", b"b", *keys]):
                found = [key for key, _ in txn.scan("first", start, stop)]
                asked = [key for key in keys if start <= key and (stop is None or key < stop)]
                assert sorted(found) == asked, (start[:5], stop)

    def test_what_raises_leaves_nothing(self, store: OnlineStore) -> None:
        """What raises leaves nothing."""
        before = self.fill(store, seed=1)
        for error in (OSError("mine"), KeyboardInterrupt(), StoreError("mine", code="HF603")):
            with pytest.raises(type(error)) as raised, store.transaction(write=True) as txn:
                txn.put("first", b"new", b"")
                txn.clear("second")
                txn.delete("first", before["first"][0][0])
                raise error
            assert raised.value is error
            assert self.content(store) == before

    def test_a_transaction_sees_its_own_writes(self, store: OnlineStore) -> None:
        """A transaction sees its own writes."""
        self.fill(store, seed=2)
        with store.transaction(write=True) as txn:
            txn.put("second", b"\xff\xff", b"1")
            assert txn.last("second") == (b"\xff\xff", b"1")
            count = txn.count("second")
            assert txn.delete("second", b"\xff\xff")
            assert not txn.delete("second", b"\xff\xff")
            assert txn.get("second", b"\xff\xff") is None
            assert txn.count("second") == count - 1 == len(list(txn.scan("second")))
            pairs = list(txn.scan("second"))
            for key, _ in reversed(pairs[1:]):
                assert txn.delete("second", key)
            assert txn.last("second") == pairs[0]
            txn.clear("second")
            assert txn.last("second") is None
            txn.put("second", b"k", b"2")
            assert list(txn.scan("second")) == [(b"k", b"2")]
            assert txn.get_many("second", [b"k", b"x", b"k"]) == [b"2", None, b"2"]
            assert txn.get_many("second", []) == []

    def test_a_reader_sees_one_moment(self, store: OnlineStore) -> None:
        """A reader sees one moment."""
        before = self.fill(store, seed=3)
        with store.transaction(write=False) as reader:
            with store.transaction(write=True) as txn:
                txn.clear("first")
                txn.put("second", b"new", b"")
                assert {space: list(reader.scan(space)) for space in SPACES} == before
            if self.keeps_old_versions:
                assert {space: list(reader.scan(space)) for space in SPACES} == before
                assert reader.get("second", b"new") is None
            else:
                with pytest.raises(StoreError) as changed:
                    reader.get("second", b"new")
                assert changed.value.retryable
        assert self.content(store)["first"] == []

    def test_spaces_do_not_see_one_another(self, store: OnlineStore) -> None:
        """Spaces do not see one another."""
        with store.transaction(write=True) as txn:
            for space in SPACES:
                txn.put(space, b"k", space.encode())
            txn.clear("second")
        kept = {space: [(b"k", space.encode())] for space in SPACES}
        assert self.content(store) == {**kept, "second": []}

    def test_many_are_one(self, tmp_path: Path) -> None:
        """Many are one."""
        with self.open_store(tmp_path / "a") as one, self.open_store(tmp_path / "b") as many:
            expected = self.fill(one, seed=4)
            assert self.fill(many, seed=4, each=1) == expected
            assert self.content(one) == self.content(many) == expected

    def test_keys_may_be_deleted_while_they_are_scanned(self, store: OnlineStore) -> None:
        """Keys may be deleted while they are scanned."""
        with store.transaction(write=True) as txn:
            for number in range(1000):
                txn.put("first", number.to_bytes(2), b"")
            seen = [key for key, _ in txn.scan("first") if txn.delete("first", key)]
            assert seen == [number.to_bytes(2) for number in range(1000)]
            assert txn.count("first") == 0

    def test_misuse_is_refused(self, store: OnlineStore) -> None:
        """Misuse is refused."""
        with store.transaction(write=False) as reader:
            writes: list[Callable[[], Any]] = [
                lambda: reader.put("first", b"k", b""),
                lambda: reader.delete("first", b"k"),
                lambda: reader.clear("first"),
                lambda: reader.get("no such space", b"k"),
                lambda: list(reader.scan("no such space")),
            ]
            for call in writes:
                self.misused(call)
            scan = reader.scan("first")
        with store.transaction(write=True) as txn:
            txn.put("first", b"k", b"")
            self.misused(lambda: store.transaction(write=True).__enter__())
        for over in (lambda: txn.get("first", b"k"), lambda: next(scan)):
            self.misused(over)
        store.close()
        store.close()
        self.misused(lambda: store.transaction(write=False).__enter__())

    def test_threads_write_one_after_the_other(self, store: OnlineStore) -> None:
        """Threads write one after the other."""

        def count(_: int) -> None:
            with store.transaction(write=True) as txn:
                held = int(txn.get("first", b"count") or b"0")
                time.sleep(0)  # let another thread come in between, if it can
                txn.put("first", b"count", str(held + 1).encode())
                txn.put("second", held.to_bytes(2), b"")

        in_threads(count)
        with store.transaction(write=False) as txn:
            assert txn.get("first", b"count") == str(WORKERS * TURNS).encode()
            assert txn.count("second") == WORKERS * TURNS

    def test_processes_write_one_after_the_other(self, tmp_path: Path) -> None:
        """Processes write one after the other."""
        url = self.url(tmp_path / "store")
        if not url:
            return
        in_processes(_COUNT.format(url=url, spaces=SPACES, turns=TURNS))
        with (
            self.open_store(tmp_path / "store") as store,
            store.transaction(write=False) as txn,
        ):
            assert txn.get("first", b"count") == str(WORKERS * TURNS).encode()

    def test_what_was_committed_is_there_again(self, tmp_path: Path) -> None:
        """What was committed is there again."""
        if not self.durable:
            return
        with self.open_store(tmp_path / "store") as store:
            expected = self.fill(store, seed=5)
            store.sync()
        with self.open_store(tmp_path / "store") as store:
            assert self.content(store) == expected

    def test_one_process_may_hold_the_store(self, tmp_path: Path) -> None:
        """One process may hold the store."""
        if not self.durable:
            return
        folder = tmp_path / "store"
        with self.open_store(folder, exclusive=True) as owner:
            expected = self.fill(owner, seed=6)
            with self.open_store(folder) as other:
                assert self.content(other) == expected
                self.held(lambda: other.transaction(write=True).__enter__())
                self.fill(owner, seed=7)
                assert self.content(other) == self.content(owner)
            self.held(lambda: self.open_store(folder, exclusive=True))
        with self.open_store(folder, exclusive=True) as owner:
            self.fill(owner, seed=8)

    def held(self, call: Callable[[], Any]) -> None:
        """Check that a call is refused because this process holds the store."""
        with pytest.raises(StoreError) as refused:
            call()
        assert (refused.value.code, refused.value.retryable) == ("HF607", True)
        assert str(os.getpid()) in refused.value.what

    def misused(self, call: Callable[[], Any]) -> None:
        """Check that a call is refused as our own fault."""
        with pytest.raises(InternalError) as refused:
            call()
        assert refused.value.code == "HF920"

    def fill(self, store: OnlineStore, *, seed: int, each: int = 1000) -> Content:
        """Put and delete by a seed, `each` to a transaction; return the content it must have."""
        rng = np.random.default_rng(seed)
        held = {space: dict(pairs) for space, pairs in self.content(store).items()}
        left = 300
        while left:
            with store.transaction(write=True) as txn:
                for _ in range(min(each, left)):
                    left -= 1
                    space = SPACES[rng.integers(len(SPACES))]
                    key = rng.bytes(int(rng.integers(1, 3))) * int(rng.choice([1, 1, 1, 300]))
                    if rng.random() < 0.3:
                        there = held[space].pop(key, None) is not None
                        assert txn.delete(space, key) == there
                    else:
                        held[space][key] = rng.bytes(int(rng.integers(0, 9)))
                        txn.put(space, key, held[space][key])
        return {space: sorted(pairs.items()) for space, pairs in held.items()}

    def content(self, store: OnlineStore) -> Content:
        """Return everything in a store."""
        with store.transaction(write=False) as txn:
            return {space: sorted(txn.scan(space)) for space in SPACES}
