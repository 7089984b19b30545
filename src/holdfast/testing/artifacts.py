"""The conformance kit of artifact stores; see `holdfast.testing.stores` for how to use it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from holdfast.errors import NotFoundError, StoreError
from holdfast.stores.base import ArtifactStore
from holdfast.testing.crowd import HARD_NAMES, in_threads

__all__ = ["ArtifactStoreTestCase", "read_folder", "write_folder"]

FILES = {
    "model.json": b'{"kind": "prior"}\n',
    "empty": b"",
    "binary": bytes(range(256)) * 5000,
    "inner/deep/er.txt": "ü\r\n".encode(),
    "a name, with 'marks' & spaces %41": b"1",
}
ELSEWHERE = ("", ".", "..", "../kept", "/", "/etc", "a/../..", "kept", "a\x00b", ".aside-x", "~")


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder and return it."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def read_folder(folder: Path) -> dict[str, bytes]:
    """Return the files of a kept folder, without the store's own."""
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != "digests.json"}


class ArtifactStoreTestCase:
    """What every artifact store keeps."""

    durable: ClassVar[bool] = True

    def open_store(self, folder: Path) -> ArtifactStore:
        """Open a store that keeps its files in `folder`."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> ArtifactStore:
        """A new store."""
        return self.open_store(tmp_path / "kept")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder to keep."""
        return write_folder(tmp_path / "given", FILES)

    def test_a_new_store_is_empty(self, store: ArtifactStore) -> None:
        """A new store is empty."""
        assert store.names() == []
        assert "://" in store.describe()

    def test_a_folder_comes_back_whole(self, store: ArtifactStore, folder: Path) -> None:
        """A folder comes back whole."""
        artifact = store.put("fraud", folder)
        assert read_folder(folder) == FILES
        write_folder(folder, {"model.json": b"changed", "more": b""})
        assert read_folder(store.open(artifact)) == FILES
        assert store.names() == [artifact]

    def test_the_same_is_kept_once(self, store: ArtifactStore, folder: Path) -> None:
        """The same is kept once."""
        first = store.put("fraud", folder)
        assert store.put("fraud", folder) == first
        assert store.put("fraud", store.open(first)) == first
        other = store.put("churn", folder)
        (folder / "empty").write_bytes(b"x")
        changed = store.put("fraud", folder)
        assert store.names() == sorted({first, other, changed})
        assert len(store.names()) == 3
        assert read_folder(store.open(first)) == read_folder(store.open(other)) == FILES

    def test_any_text_is_a_name(self, store: ArtifactStore, folder: Path) -> None:
        """Any text is a name."""
        small = write_folder(folder / "small", {"x": b"1"})
        kept = {name: store.put(name, small) for name in HARD_NAMES}
        assert store.names() == sorted(kept.values())
        assert len(set(kept.values())) == len(kept)
        for artifact in kept.values():
            assert read_folder(store.open(artifact)) == {"x": b"1"}

    @pytest.mark.parametrize("artifact", [*ELSEWHERE, "fraud-0123456789abcdef"])
    def test_what_is_not_kept_is_not_there(self, tmp_path: Path, artifact: str) -> None:
        """What is not kept is not there."""
        folder = write_folder(tmp_path / "given", {"x": b"1"})
        store = self.open_store(tmp_path / "kept")
        kept = store.put("fraud", folder)
        with pytest.raises(NotFoundError) as missing:
            store.open(artifact)
        assert missing.value.code == "HF611"
        assert store.delete(artifact) is False
        assert store.names() == [kept]
        assert read_folder(folder) == read_folder(store.open(kept)) == {"x": b"1"}

    def test_nothing_cannot_be_kept(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Nothing cannot be kept."""
        (tmp_path / "void" / "inner").mkdir(parents=True)
        for given, code in ((tmp_path / "void", "HF606"), (tmp_path / "nowhere", "HF603")):
            with pytest.raises(StoreError) as refused:
                store.put("fraud", given)
            assert refused.value.code == code
            assert str(given) in str(refused.value.site)
        assert store.names() == []

    @pytest.mark.parametrize("damage", ["changed", "shorter", "removed", "added", "undigested"])
    def test_damage_never_shows(self, store: ArtifactStore, folder: Path, damage: str) -> None:
        """Damage never shows."""
        artifact = store.put("fraud", folder)
        kept = store.open(artifact)
        named = {"added": "inner/new", "undigested": "digests.json"}.get(damage, "binary")
        if damage == "changed":
            (kept / named).write_bytes(bytes([1]) + FILES["binary"][1:])
        elif damage == "shorter":
            (kept / named).write_bytes(FILES["binary"][:-1])
        elif damage == "added":
            (kept / named).write_bytes(b"")
        else:
            (kept / named).unlink(missing_ok=True)
        try:
            assert read_folder(store.open(artifact)) == FILES
        except StoreError as told:
            assert (told.code, told.retryable) == ("HF604", False)
            assert Path(named).name in told.what
            assert str(kept / named) == str(told.site)
        assert store.put("fraud", folder) == artifact
        assert read_folder(store.open(artifact)) == FILES

    def test_a_folder_is_removed_once(self, store: ArtifactStore, folder: Path) -> None:
        """A folder is removed once."""
        artifact = store.put("fraud", folder)
        other = store.put("churn", folder)
        assert store.delete(artifact)
        assert not store.delete(artifact)
        assert store.names() == [other]
        with pytest.raises(NotFoundError):
            store.open(artifact)
        assert read_folder(store.open(other)) == FILES

    def test_threads_keep_side_by_side(self, store: ArtifactStore, tmp_path: Path) -> None:
        """Threads keep side by side."""
        given = [write_folder(tmp_path / f"g{n}", {"x": b"%d" % n}) for n in range(4)]
        kept = in_threads(lambda n: store.put("fraud", given[n % 4]))
        assert store.names() == sorted(set(kept))
        assert [read_folder(store.open(kept[n])) for n in range(4)] == [
            {"x": b"%d" % n} for n in range(4)
        ]

    def test_what_was_kept_is_there_again(self, tmp_path: Path, folder: Path) -> None:
        """What was kept is there again."""
        if not self.durable:
            return
        artifact = self.open_store(tmp_path / "kept").put("fraud", folder)
        again = self.open_store(tmp_path / "kept")
        assert again.names() == [artifact]
        assert read_folder(again.open(artifact)) == FILES
