"""The conformance kit of online stores over a real Redis server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from holdfast.stores.base import OnlineStore
from holdfast.stores.open import open_online
from holdfast.testing.stores import SPACES, OnlineStoreTestCase
from tests.services import forget_redis, redis_server

pytestmark = [pytest.mark.services, redis_server]


class TestRedis(OnlineStoreTestCase):
    keeps_old_versions: ClassVar[bool] = False

    @pytest.fixture(autouse=True)
    def _clean(self, tmp_path: Path) -> Iterator[None]:
        yield
        for name in ("store", "a", "b"):
            forget_redis(self.url(tmp_path / name))

    def open_store(self, folder: Path, *, exclusive: bool = False) -> OnlineStore:
        return open_online(self.url(folder), spaces=SPACES, exclusive=exclusive)

    def url(self, folder: Path) -> str:
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        return f"redis://127.0.0.1:6379/0?prefix=holdfast-test:{name}"
