"""A full disk, a folder that cannot be written, a second process: clear words, nothing lost."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock
from holdfast.errors import StoreError
from holdfast.loop.project import Project
from tests.conftest import ROOT
from tests.simulation import tiny
from tests.simulation.test_crash import PATIENCE_S, post, serving

CLOCK = FixedClock(tiny.NOW + 400 * tiny.DAY)
NOBODY = 65_534


@contextmanager
def full_disk(folder: Path, room_bytes: int) -> Iterator[None]:
    """Let no file grow further than the store's file has by now and a bit."""
    used = max(path.stat().st_size for path in folder.rglob("*.mdb"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (used + room_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def without_power() -> Iterator[None]:
    """Be a user that file permissions hold back, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_full_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    folder = tiny.trained(tmp_path / "tiny")
    project, rows = Project(folder, clock=CLOCK), list(tiny.stream(9, 600))
    answers: dict[str, Any] = {}
    with project.service() as service:
        with full_disk(folder, 64 << 10):
            for row in rows:
                answers[row["payment_id"]] = service.predict(row)
            with pytest.raises(StoreError) as failed:
                for number in range(600):
                    service.event("Payment", {**rows[0], "payment_id": f"e{number}"})
        assert (failed.value.code, failed.value.retryable) == ("HF601", True)
        failed_rows = [key for key, one in answers.items() if one.by == "fallback"]
        kept = [key for key, one in answers.items() if one.by == "model"]
        assert kept and failed_rows
        assert all(answers[key].decision == "review" for key in failed_rows)
        unlogged = [key for key in failed_rows if not answers[key].logged]
        assert unlogged and service.counts["not_logged"] == len(unlogged)
        for key in set(answers) - set(unlogged):
            assert service.explain(answers[key].prediction_id).by == answers[key].by
        for row in rows:
            again, first = service.predict(row), answers[row["payment_id"]]
            assert again.by == "model"
            assert again.repeated == (first.by == "model")
            assert (again.prediction_id == first.prediction_id) == (first.by == "model")
    served = Project(folder, clock=CLOCK).parity(rows=0)["served"]
    assert served is not None
    assert (served.rows, served.differ) == (len(rows), 0)


def test_a_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.loop.project.is_compiled", lambda: True)  # looks at root's home
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders let nobody in
        Path(place).chmod(0o755)
        folder = tiny.trained(Path(place) / "tiny")
        with Project(folder, clock=CLOCK).service() as service:  # compiles what it needs
            service.predict(next(tiny.stream(9, 1)))
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            project = Project(folder, clock=CLOCK)
            with without_power(), pytest.raises(StoreError) as failed, project.service():
                pass
        finally:
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
        assert failed.value.code == "HF602"
        assert str(folder) in str(failed.value)
        assert failed.value.hint


@pytest.mark.slow
def test_a_second_server_on_a_folder_names_the_first(tmp_path: Path) -> None:
    folder = tiny.trained(tmp_path / "tiny")
    row = next(tiny.stream(9, 1))
    with serving(folder) as (process, connection):
        first = post(connection, "predict", row)
        second = subprocess.run(
            [sys.executable, "-m", "tests.simulation.crash_child", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=PATIENCE_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        )
        assert second.returncode != 0
        assert "HF607" in second.stderr and f"pid {process.pid}" in second.stderr
        assert post(connection, "predict", row) == (first[0], True)
