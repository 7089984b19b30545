"""The conformance kit of metadata stores over SQLite."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.base import MetadataStore
from holdfast.stores.open import open_metadata
from holdfast.testing.stores import MetadataStoreTestCase


class TestSqlite(MetadataStoreTestCase):
    def open_store(self, folder: Path) -> MetadataStore:
        return open_metadata(self.url(folder))

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'a folder' / 'meta #1?.sqlite'}"
