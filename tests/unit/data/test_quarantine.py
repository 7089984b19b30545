"""The quarantine on disk."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from holdfast.data.ingest import load
from holdfast.data.quarantine import EMPTY, Quarantine, write_quarantine
from holdfast.errors import StoreError
from tests.unit.data.sources import NOW_US, PAYMENT, SOUND, csv_of


def broken(folder: Path) -> Quarantine:
    path = csv_of(folder, SOUND, SOUND, "p2,2026-01-01,c,-1,1,chip,", "p3,x,c,1,1,chip,", SOUND)
    return load(PAYMENT, path, now_us=NOW_US).quarantine


def test_counts_say_the_most_frequent_first(tmp_path: Path) -> None:
    counts = broken(tmp_path).counts
    assert list(counts.items()) == [("duplicate key", 2), ("not a moment", 1), ("not above 0", 1)]


def test_the_table_is_written_replaced_and_removed(tmp_path: Path) -> None:
    folder, rows = tmp_path / "quarantine", broken(tmp_path)
    path = write_quarantine(folder, "Payment", rows)
    assert path is not None and pl.read_parquet(path).equals(rows.frame)
    write_quarantine(folder, "Payment", Quarantine(rows.frame.head(1)))
    assert pl.read_parquet(path).height == 1
    assert [p.name for p in folder.iterdir()] == ["Payment.parquet"]
    assert write_quarantine(folder, "Payment", EMPTY) is None
    assert not path.exists()


def test_an_empty_one_has_the_same_columns(tmp_path: Path) -> None:
    assert EMPTY.frame.schema == broken(tmp_path).frame.schema and EMPTY.counts == {}


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "quarantine").write_text("a file stands where the folder should be")
    with pytest.raises(StoreError) as caught:
        write_quarantine(tmp_path / "quarantine", "Payment", broken(tmp_path))
    assert caught.value.code == "HF602" and caught.value.hint


def test_a_full_disk_says_so_and_keeps_the_last_table(tmp_path: Path) -> None:
    folder, rows = tmp_path / "quarantine", broken(tmp_path)
    path = write_quarantine(folder, "Payment", rows)
    if path is None or not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    path.with_suffix(".aside").symlink_to("/dev/full")
    with pytest.raises(StoreError) as caught:
        write_quarantine(folder, "Payment", Quarantine(rows.frame.head(1)))
    assert caught.value.code == "HF602" and "No space left" in caught.value.what
    assert pl.read_parquet(path).equals(rows.frame)
