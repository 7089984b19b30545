"""Opening stores by URL: ours, those of other packages, and those that are not there yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import ConfigError
from holdfast.stores import open as opening
from holdfast.stores.memory import MemoryOnlineStore
from holdfast.stores.open import open_artifacts, open_metadata, open_online

Opener = Callable[[str], Any]


def online(url: str) -> Any:
    return open_online(url, spaces=("a",))


OPENERS: dict[str, Opener] = {
    "online": online,
    "metadata": open_metadata,
    "artifacts": open_artifacts,
}
KNOWN = {
    "online": ("lmdb://", "memory://"),
    "metadata": ("sqlite://", "memory://"),
    "artifacts": ("file://", "memory://"),
}


class Theirs(MemoryOnlineStore):
    """A store that another package brings."""

    def __init__(self, url: str, spaces: tuple[str, ...], **given: bool) -> None:
        super().__init__(spaces)
        self.url, self.given = url, given


@pytest.mark.parametrize(
    ("role", "url"),
    [
        *(
            (role, url)
            for role in OPENERS
            for url in ("", "x", "x://y", "://", "lmdb:/x", "LMDB://x")
        ),
        ("online", "sqlite:///x"),
        ("online", "lmdb://"),
        ("metadata", "lmdb:///x"),
        ("artifacts", "https://x"),
    ],
)
def test_an_unknown_store_names_the_known_ones(role: str, url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        OPENERS[role](url)
    assert refused.value.code == "HF703"
    assert f'"{url}"' in refused.value.what
    assert all(scheme in refused.value.hint for scheme in KNOWN[role])


@pytest.mark.parametrize("role", OPENERS)
@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "s3", "nats", "kafka"])
def test_a_store_of_a_later_version_says_so(role: str, scheme: str) -> None:
    with pytest.raises(ConfigError) as refused:
        OPENERS[role](f"{scheme}://host/0")
    assert refused.value.code == "HF904"
    assert f"{scheme}://" in refused.value.what
    assert all(scheme in refused.value.hint for scheme in KNOWN[role])


def test_paths_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "a b" / "%41?x=1#y"
    for url in (f"lmdb://{place}", f"lmdb:///{place}", f"lmdb://{place.relative_to(tmp_path)}"):
        with online(url) as store, store.transaction(write=True) as txn:
            txn.put("a", str(txn.count("a")).encode(), b"")
    with online(f"lmdb://{place}") as store, store.transaction(write=False) as txn:
        assert txn.count("a") == 3


def test_another_package_may_bring_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(*, group: str) -> list[EntryPoint]:
        names = {"online.elsewhere": f"{__name__}:Theirs", "online.gone": "no_such_package:Store"}
        return [EntryPoint(name, value, group) for name, value in names.items()]

    monkeypatch.setattr(opening, "entry_points", entries)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Theirs.__module__])
    store = open_online("elsewhere://host/0", spaces=("a",), exclusive=True)
    assert isinstance(store, Theirs)
    assert store.url == "elsewhere://host/0"
    assert store.given == {"exclusive": True, "sync_on_commit": True}
    with pytest.raises(ConfigError) as refused:
        online("gone://x")
    assert refused.value.code == "HF704"
    assert "no_such_package" in refused.value.hint
    with pytest.raises(ConfigError) as refused:
        online("x://x")
    assert "elsewhere://" in refused.value.hint


def test_an_adapter_is_imported_on_first_use() -> None:
    program = "import sys, holdfast.stores.open; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"lmdb", "sqlalchemy", "holdfast.stores.lmdb"} & set(said.stdout.split())
