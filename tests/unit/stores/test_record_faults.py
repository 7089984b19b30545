"""The registry and the artifacts when the process is killed, or the disk fills up."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from holdfast.errors import StoreError
from holdfast.stores import sqlite
from holdfast.stores.base import MetadataStore
from holdfast.stores.open import open_artifacts, open_metadata
from holdfast.stores.sqlite import SCHEMA_VERSION, SqliteMetadataStore
from holdfast.testing.artifacts import read_folder, write_folder
from tests.unit.stores.disks import disk, killed, says

REGISTER = """
from holdfast.stores.open import open_metadata
store = open_metadata({url!r})
while True:
    made = store.add_model(
        "m", created_us=1, kind="prior", artifact="a", metrics={{}}, lineage={{}}, notes="x" * 5000
    )
    store.promote("m", made.version, at_us=made.version)
    print(made.version)
"""
KEEP = """
from pathlib import Path
from holdfast.stores.open import open_artifacts
store, given, number = open_artifacts({url!r}), Path({given!r}), 0
while True:
    for name in "abcdef":
        (given / name).write_text(f"{{number}}" * 5000)
    print(store.put("m", given))
    number += 1
"""
CRASH = """
import os, signal, sys
from pathlib import Path
from holdfast.stores.open import open_artifacts

def crashes(at):
    left = [at]
    def count(event, arguments):
        if event.split(".")[0] in ("open", "os", "shutil"):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
    child = os.fork()
    if not child:
        sys.addaudithook(count)
        {what}
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

store, given, at = open_artifacts({url!r}), Path({given!r}), 1
kept = store.put("before", given)
while crashes(at):
    print(*store.names())
    for artifact in store.names():
        store.open(artifact)
    at += 1
print(*store.names())
"""
LIMITED = """
import resource
from pathlib import Path
from holdfast.errors import StoreError
from holdfast.stores.open import open_artifacts, open_metadata
store, artifacts = open_metadata({metadata!r}), open_artifacts({artifacts!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, resource.RLIM_INFINITY))
add = dict(created_us=1, kind="prior", artifact="a", metrics={{}}, lineage={{}}, notes="x" * 5000)
kept = 0
try:
    while True:
        store.add_model("m", **add)
        kept += 1
except StoreError as full:
    print(full.code, full.retryable)
print(len(store.models()) == kept > 0)
try:
    artifacts.put("m", Path({given!r}))
except StoreError as full:
    print(full.code, full.retryable)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(store.add_model("m", **add).version == kept + 1, artifacts.names() == [])
"""


def add(store: MetadataStore, notes: str = "") -> int:
    return store.add_model(
        "m", created_us=1, kind="prior", artifact="a", metrics={}, lineage={}, notes=notes
    ).version


def refused(error: StoreError, code: str, *, where: Path, retryable: bool = False) -> None:
    assert (error.code, error.retryable) == (code, retryable)
    assert str(where) in str(error.site)
    assert error.hint


def test_registered_models_survive_kill_9(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path / 'meta.sqlite'}"
    for lines in (1, 5, 20):
        acknowledged = int(killed(REGISTER.format(url=url), after_lines=lines)[-1])
        with open_metadata(url) as store:
            versions = [record.version for record in store.models("m")]
            assert versions == list(range(1, len(versions) + 1))
            assert len(versions) in (acknowledged, acknowledged + 1)
            assert [record.status for record in store.models("m")].count("current") == 1
            promoted = [version for version, _ in store.promotions("m")]
            assert promoted[:acknowledged] == versions[:acknowledged]
            if len(promoted) < len(versions):  # so that the next round begins even
                store.promote("m", versions[-1], at_us=versions[-1])


def test_kept_folders_survive_kill_9(tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given", {"a": b""})
    url = f"file://{tmp_path / 'kept'}"
    for lines in (1, 5, 12):
        said = killed(KEEP.format(url=url, given=str(given)), after_lines=lines)
        store = open_artifacts(url)
        assert set(said) <= set(store.names())
        for artifact in store.names():
            files = read_folder(store.open(artifact))
            assert sorted(files) == list("abcdef")
        store.put("after", given)
        assert [p.name for p in (tmp_path / "kept").glob(".aside-*")] == []


@pytest.mark.parametrize("what", ["store.put('m', given)", "store.delete(kept)"])
def test_a_crash_at_any_step_leaves_all_or_nothing(tmp_path: Path, what: str) -> None:
    given = write_folder(tmp_path / "given", {"a": b"1", "inner/b": bytes(5000)})
    url = f"file://{tmp_path / 'kept'}"
    said = says(CRASH.format(url=url, given=str(given), what=what)).splitlines()
    names = open_artifacts(url).names()
    assert len(said) > 5
    assert said[0].startswith("before-")
    assert said[-1] == " ".join(names)
    assert len(names) == (2 if "put" in what else 0)
    assert set(said) == {said[0], said[-1]}


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given", {"model": bytes(1 << 18), "empty": b""})
    with disk(tmp_path / "disk") as small:
        url = f"sqlite://{small.folder / 'meta.sqlite'}"
        artifacts = open_artifacts(f"file://{small.folder / 'kept'}")
        artifact = artifacts.put("m", given)
        with open_metadata(url) as store:
            add(store)
            ballast = small.fill()
            with pytest.raises(StoreError) as full:
                add(store, "x" * (1 << 17))
            refused(full.value, "HF601", where=small.folder, retryable=True)
            with pytest.raises(StoreError) as full:
                artifacts.put("other", given)
            refused(full.value, "HF601", where=small.folder, retryable=True)
            assert len(store.models()) == 1
            assert artifacts.names() == [artifact]
            assert artifacts.open(artifact)
            ballast.unlink()
            assert add(store, "x" * (1 << 17)) == 2
            assert artifacts.put("other", given) in artifacts.names()
        with open_metadata(url) as store:
            assert len(store.models()) == 2


def test_a_registry_cannot_begin_on_a_full_disk(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        ballast = small.fill()
        with pytest.raises(StoreError) as full:
            open_metadata(f"sqlite://{small.folder / 'meta.sqlite'}")
        refused(full.value, "HF601", where=small.folder, retryable=True)
        ballast.unlink()
        with open_metadata(f"sqlite://{small.folder / 'meta.sqlite'}") as store:
            assert add(store) == 1


def test_a_limit_on_files_loses_nothing(tmp_path: Path) -> None:
    program = LIMITED.format(
        metadata=f"sqlite://{tmp_path / 'meta.sqlite'}",
        artifacts=f"file://{tmp_path / 'kept'}",
        given=str(write_folder(tmp_path / "given", {"a": b"", "model": bytes(1 << 20)})),
    )
    assert says(program).splitlines() == ["HF601 True", "True", "HF601 True", "True True"]


def test_a_read_only_folder_says_so(tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given", {"model": b"1"})
    with disk(tmp_path / "disk") as small:
        url = f"sqlite://{small.folder / 'meta.sqlite'}"
        with open_metadata(url) as store:
            add(store)
        artifacts = open_artifacts(f"file://{small.folder / 'kept'}")
        artifact = artifacts.put("m", given)
        small.make_read_only()
        with pytest.raises(StoreError) as told, open_metadata(url) as store:
            add(store)
        refused(told.value, "HF602", where=small.folder)
        for change in (lambda: artifacts.put("new", given), lambda: artifacts.delete(artifact)):
            with pytest.raises(StoreError) as told:
                change()
            refused(told.value, "HF602", where=small.folder)
        assert read_folder(artifacts.open(artifact)) == {"model": b"1"}


def test_a_path_through_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "inner"
    given = write_folder(tmp_path / "given", {"model": b"1"})
    with pytest.raises(StoreError) as told:
        open_metadata(f"sqlite://{place / 'meta.sqlite'}")
    refused(told.value, "HF602", where=place)
    artifacts = open_artifacts(f"file://{place}")
    assert artifacts.names() == []
    with pytest.raises(StoreError) as told:
        artifacts.put("m", given)
    refused(told.value, "HF602", where=place)


def test_a_registry_held_by_another_says_so(tmp_path: Path) -> None:
    path = tmp_path / "meta.sqlite"
    with SqliteMetadataStore(path, busy_s=0.0) as store:
        add(store)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as told:
            add(store)
        refused(told.value, "HF607", where=path, retryable=True)
        assert len(store.models()) == 1
        other.execute("COMMIT")
        other.close()
        assert add(store) == 2


def test_a_registry_that_another_begins_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "meta.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(sqlite.time, "sleep", pause)
    with SqliteMetadataStore(path, busy_s=0.0) as store:
        assert add(store) == 1
    assert len(pauses) == 3
    other.close()


def test_a_registry_of_a_newer_version_says_so(tmp_path: Path) -> None:
    path = tmp_path / "meta.sqlite"
    open_metadata(f"sqlite://{path}").close()
    with sqlite3.connect(path) as file:
        file.execute("UPDATE holdfast_schema SET version = ?", (SCHEMA_VERSION + 1,))
    file.close()
    with pytest.raises(StoreError) as told:
        open_metadata(f"sqlite://{path}")
    refused(told.value, "HF609", where=path)
    assert f"format {SCHEMA_VERSION + 1}" in told.value.what
    assert "newer" in told.value.hint


def test_a_file_of_something_else_says_so(tmp_path: Path) -> None:
    path = tmp_path / "meta.sqlite"
    path.write_bytes(b"not what it should be " * 1000)
    with pytest.raises(StoreError) as told:
        open_metadata(f"sqlite://{path}")
    refused(told.value, "HF604", where=path)


def test_what_a_crash_left_is_swept(tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given", {"model": b"1"})
    artifacts = open_artifacts(f"file://{tmp_path / 'kept'}")
    write_folder(tmp_path / "kept" / ".aside-crashed", {"half": b"1"})
    assert artifacts.names() == []
    artifact = artifacts.put("m", given)
    assert artifacts.names() == [artifact]
    assert not (tmp_path / "kept" / ".aside-crashed").exists()


def test_a_name_too_long_for_a_folder_is_refused(tmp_path: Path) -> None:
    given = write_folder(tmp_path / "given", {"model": b"1"})
    with pytest.raises(StoreError, match="HF606"):
        open_artifacts(f"file://{tmp_path / 'kept'}").put("é" * 100, given)
