"""LMDB when the process is killed, the disk fills up, or another process has the folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.errors import StoreError
from holdfast.stores import lmdb
from holdfast.stores.base import OnlineStore
from holdfast.stores.lmdb import LmdbOnlineStore
from holdfast.stores.open import open_online
from tests.unit.stores.disks import disk, killed, says

SPACES = ("log", "state")
CHUNK = bytes(1 << 16)

WRITE = """
from holdfast.stores.open import open_online
store = open_online({url!r}, spaces=("log", "state"), exclusive=True, sync_on_commit={sync})
with store.transaction(write=False) as txn:
    number = txn.count("log")
while True:
    with store.transaction(write=True) as txn:
        txn.put("log", number.to_bytes(8), bytes(number % 3000))
        total = int(txn.get("state", b"total") or b"0") + number
        txn.put("state", b"total", str(total).encode())
        txn.put("state", number.to_bytes(8), b"")
        if number:
            txn.delete("state", (number - 1).to_bytes(8))
    print(number)
    number += 1
"""
HOLD = """
from holdfast.stores.open import open_online
store = open_online({url!r}, spaces=("log", "state"), exclusive=True)
with store.transaction(write=True) as txn:
    txn.put("log", b"k", b"theirs")
print("holding", flush=True)
input()
"""
READ = """
from holdfast.stores.open import open_online
store = open_online({url!r}, spaces=("log", "state"))
with store.transaction(write=False) as txn:
    print(txn.count("log"), flush=True)
    input()
"""
LIMITED = """
import resource
from holdfast.errors import StoreError
from holdfast.stores.open import open_online
store = open_online({url!r}, spaces=("log", "state"))
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
kept = 0
try:
    while True:
        with store.transaction(write=True) as txn:
            txn.put("log", kept.to_bytes(8), bytes(1 << 16))
        kept += 1
except StoreError as full:
    print(full.code, full.retryable, full.site, full.hint, sep="|")
with store.transaction(write=False) as txn:
    print(txn.count("log") == kept > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with store.transaction(write=True) as txn:
    txn.put("log", kept.to_bytes(8), bytes(1 << 16))
with store.transaction(write=False) as txn:
    print(txn.count("log") == kept + 1)
"""


def write(store: OnlineStore, key: bytes, value: bytes = b"") -> None:
    with store.transaction(write=True) as txn:
        txn.put("log", key, value)


def count(store: OnlineStore) -> int:
    with store.transaction(write=False) as txn:
        return txn.count("log")


@pytest.mark.parametrize("sync", [True, False])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, sync: bool) -> None:
    """After each kill: every acknowledged transaction, whole, and at most one more, whole too."""
    url = f"lmdb://{tmp_path / 'store'}"
    for lines in (1, 2, 7, 40):
        acknowledged = int(killed(WRITE.format(url=url, sync=sync), after_lines=lines)[-1]) + 1
        with open_online(url, spaces=SPACES) as store, store.transaction(write=False) as txn:
            there = txn.count("log")
            assert acknowledged <= there <= acknowledged + 1
            keys = [int.from_bytes(key) for key, _ in txn.scan("log")]
            assert keys == list(range(there))
            assert all(len(value) == n % 3000 for n, (_, value) in enumerate(txn.scan("log")))
            assert dict(txn.scan("state")) == {
                b"total": str(sum(range(there))).encode(),
                (there - 1).to_bytes(8): b"",
            }


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        with open_online(f"lmdb://{small.folder / 'store'}", spaces=SPACES) as store:
            write(store, b"first", b"kept")
            ballast = small.fill()
            with pytest.raises(StoreError) as full:
                write(store, b"second", CHUNK)
            assert (full.value.code, full.value.retryable) == ("HF601", True)
            assert str(small.folder) in str(full.value.site)
            assert "space" in full.value.hint
            with store.transaction(write=False) as txn:
                assert list(txn.scan("log")) == [(b"first", b"kept")]
            ballast.unlink()
            write(store, b"second", CHUNK)
            assert count(store) == 2
        with open_online(f"lmdb://{small.folder / 'store'}", spaces=SPACES) as store:
            assert count(store) == 2


def test_a_store_fills_its_disk_and_stays_whole(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        url = f"lmdb://{small.folder / 'store'}"
        kept = 0
        with pytest.raises(StoreError, match="HF601"), open_online(url, spaces=SPACES) as store:
            while True:
                write(store, kept.to_bytes(8), CHUNK[: 1 + kept % len(CHUNK)] * 1000)
                kept += 1
        with open_online(url, spaces=SPACES) as store, store.transaction(write=False) as txn:
            assert [int.from_bytes(key) for key, _ in txn.scan("log")] == list(range(kept))
            assert all(len(v) == 1000 * (n + 1) for n, (_, v) in enumerate(txn.scan("log")))


def test_a_store_cannot_begin_on_a_full_disk(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        ballast = small.fill()
        for _ in range(2):
            with pytest.raises(StoreError) as full:
                open_online(f"lmdb://{small.folder / 'store'}", spaces=SPACES)
            assert (full.value.code, full.value.retryable) == ("HF601", True)
        ballast.unlink()
        with open_online(f"lmdb://{small.folder / 'store'}", spaces=SPACES) as store:
            assert count(store) == 0


def test_a_full_disk_can_be_read(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        url = f"lmdb://{small.folder / 'store'}"
        with open_online(url, spaces=SPACES) as store:
            write(store, b"k")
        small.fill()
        with open_online(url, spaces=SPACES) as store:
            assert count(store) == 1


def test_a_limit_on_files_loses_nothing(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path / 'store'}"
    told, *checks = says(LIMITED.format(url=url, limit=1 << 20)).splitlines()
    code, retryable, site, hint = told.split("|")
    assert (code, retryable, site) == ("HF601", "True", str(tmp_path / "store"))
    assert "space" in hint
    assert checks == ["True", "True"]


def test_a_read_only_folder_says_so(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as small:
        with open_online(f"lmdb://{small.folder / 'store'}", spaces=SPACES) as store:
            write(store, b"k")
        small.make_read_only()
        for name in ("store", "new"):
            with pytest.raises(StoreError) as refused:
                open_online(f"lmdb://{small.folder / name}", spaces=SPACES, exclusive=True)
            assert (refused.value.code, refused.value.retryable) == ("HF602", False)
            assert "read-only" in refused.value.what
            assert str(small.folder / name) in str(refused.value.site)


def test_a_path_through_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError) as refused:
            open_online(f"lmdb://{place}", spaces=SPACES)
        assert (refused.value.code, refused.value.retryable) == ("HF602", False)
        assert str(place) in str(refused.value.site)
        assert refused.value.hint


def test_a_file_of_something_else_says_so(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not what it should be " * 1000)
    with pytest.raises(StoreError) as refused:
        open_online(f"lmdb://{tmp_path}", spaces=SPACES)
    assert (refused.value.code, refused.value.retryable) == ("HF604", False)
    assert "move the folder aside" in refused.value.hint


def test_the_bound_is_told_and_harmless(tmp_path: Path) -> None:
    with LmdbOnlineStore(tmp_path, SPACES, map_bytes=1 << 20) as store:
        write(store, b"k", b"kept")
        with pytest.raises(StoreError) as full, store.transaction(write=True) as txn:
            for number in range(100):
                txn.put("log", bytes([number]), CHUNK)
        assert (full.value.code, full.value.retryable) == ("HF608", False)
        assert "1 MiB" in full.value.what
        assert count(store) == 1
        write(store, b"l")


def test_a_process_that_holds_the_folder_is_named(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path / 'store'}"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(url=url)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    with pytest.raises(StoreError) as refused:
        open_online(url, spaces=SPACES, exclusive=True)
    with open_online(url, spaces=SPACES) as reader:
        assert count(reader) == 1
        with pytest.raises(StoreError) as refused_too:
            write(reader, b"k", b"mine")
        with pytest.raises(StoreError) as refused_space:
            open_online(url, spaces=("new",))
        for told in (refused.value, refused_too.value, refused_space.value):
            assert (told.code, told.retryable) == ("HF607", True)
            assert f"pid {holder.pid}" in told.what
        holder.kill()
        holder.communicate()
        write(reader, b"l", b"mine")
    with open_online(url, spaces=SPACES, exclusive=True) as owner:
        assert count(owner) == 2


def test_a_killed_reader_keeps_no_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb, "READERS_CHECKED_EVERY", 10)
    url = f"lmdb://{tmp_path}"
    with open_online(url, spaces=SPACES) as store:
        write(store, b"k", CHUNK)
        assert killed(READ.format(url=url), after_lines=1) == ["1"]
        for _ in range(50):
            write(store, b"k", CHUNK)
    assert (tmp_path / "data.mdb").stat().st_size < 20 * len(CHUNK)


def test_flushing_is_not_weakened_behind_ones_back(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}"
    with (
        open_online(url, spaces=SPACES, sync_on_commit=False),
        pytest.raises(StoreError, match="HF607"),
    ):
        open_online(url, spaces=SPACES)
    with open_online(url, spaces=SPACES) as store:
        write(store, b"k")


def test_new_spaces_are_added_and_others_stay(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path}"
    with open_online(url, spaces=SPACES) as store:
        write(store, b"k")
        with open_online(url, spaces=("more",)) as other, other.transaction(write=True) as txn:
            txn.put("more", b"k", b"2")
    with open_online(url, spaces=("log", "more")) as store, store.transaction(write=False) as txn:
        assert (txn.count("log"), txn.count("more")) == (1, 1)
