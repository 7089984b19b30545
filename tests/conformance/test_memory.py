"""The conformance kits of stores over memory."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.base import ArtifactStore, MetadataStore, OnlineStore
from holdfast.stores.open import open_artifacts, open_metadata, open_online
from holdfast.testing.stores import (
    SPACES,
    ArtifactStoreTestCase,
    MetadataStoreTestCase,
    OnlineStoreTestCase,
)


class TestOnline(OnlineStoreTestCase):
    durable = False

    def open_store(self, folder: Path, *, exclusive: bool = False) -> OnlineStore:
        return open_online("memory://", spaces=SPACES, exclusive=exclusive)


class TestMetadata(MetadataStoreTestCase):
    durable = False

    def open_store(self, folder: Path) -> MetadataStore:
        return open_metadata("memory://")


class TestArtifacts(ArtifactStoreTestCase):
    durable = False

    def open_store(self, folder: Path) -> ArtifactStore:
        return open_artifacts("memory://")
