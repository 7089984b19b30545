"""The conformance kits of stores: an adapter is a store when its kit passes on it.

Make a class whose name begins with `Test`, derive it from a kit, and say how to open the store:

    class TestMine(OnlineStoreTestCase):
        def open_store(self, folder, *, exclusive=False):
            return Mine(folder, SPACES, exclusive=exclusive)

Give `url` too, so that other processes can open the same store, and set `durable = False` where a
store opened again in the same folder is another one.
"""

from __future__ import annotations

from holdfast.testing.artifacts import ArtifactStoreTestCase
from holdfast.testing.metadata import MetadataStoreTestCase
from holdfast.testing.online import SPACES, OnlineStoreTestCase

__all__ = ["SPACES", "ArtifactStoreTestCase", "MetadataStoreTestCase", "OnlineStoreTestCase"]
