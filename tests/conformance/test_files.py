"""The conformance kit of artifact stores over folders."""

from __future__ import annotations

from pathlib import Path

from holdfast.stores.base import ArtifactStore
from holdfast.stores.open import open_artifacts
from holdfast.testing.stores import ArtifactStoreTestCase


class TestFiles(ArtifactStoreTestCase):
    def open_store(self, folder: Path) -> ArtifactStore:
        return open_artifacts(f"file://{folder}")
