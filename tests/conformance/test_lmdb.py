"""The conformance kit of online stores over LMDB."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.base import OnlineStore
from holdfast.stores.open import open_online
from holdfast.testing.stores import SPACES, OnlineStoreTestCase


class TestLmdb(OnlineStoreTestCase):
    def open_store(self, folder: Path, *, exclusive: bool = False) -> OnlineStore:
        return open_online(self.url(folder), spaces=SPACES, exclusive=exclusive)

    def url(self, folder: Path) -> str:
        return f"lmdb://{folder}"


class TestLmdbFilledWithoutFlushing(OnlineStoreTestCase):
    def open_store(self, folder: Path, *, exclusive: bool = False) -> OnlineStore:
        return open_online(
            f"lmdb://{folder}", spaces=SPACES, exclusive=exclusive, sync_on_commit=False
        )
