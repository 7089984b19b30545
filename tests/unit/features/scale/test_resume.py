"""A job that is killed goes on from there: what was done is not done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import NotFoundError, StoreError
from holdfast.executors.base import Task
from holdfast.executors.local import LocalExecutor
from holdfast.features.scale.build import build_training_set_in
from holdfast.features.scale.folder import JobFolder
from holdfast.features.scale.job import Sizes
from holdfast.features.scale.opened import SavedTrainingSet
from tests.conftest import ROOT
from tests.laws.test_scale_laws import assert_equal
from tests.unit.features.scale.jobs import PLAN, SIZES, files, in_memory

KILLED = 9


class Stopping:
    """Runs tasks in this process and stops before one of them."""

    workers = 1

    def __init__(self, after: int) -> None:
        self.left, self.done = after, list[str]()

    def run(self, function: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[Any]:
        for task in tasks:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield function(task)
            self.done.append(task["name"])

    def close(self) -> None:
        return None


def build(folder: Path, sources: dict[str, Path], executor: Any = None) -> SavedTrainingSet:
    return build_training_set_in(
        folder, PLAN, sources, executor=executor or LocalExecutor(), now_us=None, sizes=SIZES
    )


def test_no_task_is_done_twice(tmp_path: Path) -> None:
    sources, out, done = files(tmp_path / "in"), tmp_path / "out", list[str]()
    while True:
        some = Stopping(after=20)
        try:
            saved = build(out, sources, some)
            break
        except KeyboardInterrupt:
            done += some.done
    done += some.done
    assert len(done) == len(set(done)) > 100
    assert_equal(saved.load(), in_memory(sources))
    assert not (out / "work").exists()
    assert build(out, sources, Stopping(after=0)).manifest == saved.manifest


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path) -> None:
    """SIGKILL in the middle of a write or between two; the seed says where."""
    sources, out = files(tmp_path / "in"), tmp_path / "out"
    rng, kills = np.random.default_rng(7), 0
    for _ in range(60):
        before = int(rng.integers(5, 60))
        child = subprocess.run(
            [sys.executable, "-m", "tests.unit.features.scale.killed", str(tmp_path), str(before)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            check=False,
        )
        if not child.returncode:
            break
        assert child.returncode == -signal.SIGKILL
        kills += 1
    assert kills > 2
    assert_equal(SavedTrainingSet.open(out).load(), in_memory(sources))


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    sources, out = files(tmp_path / "in"), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        build(out, sources, Stopping(after=30))
    victim = sorted((out / "work" / "read").rglob("*.arrow"))[0]
    victim.write_bytes(victim.read_bytes()[:-7] + b"damaged")
    assert_equal(build(out, sources).load(), in_memory(sources))


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    saved = build(tmp_path / "out", files(tmp_path / "in"))
    part = tmp_path / "out" / saved.manifest["parts"][1]["file"]
    part.write_bytes(part.read_bytes().replace(b"PAR1", b"PAR2", 1))
    with pytest.raises(StoreError) as caught:
        saved.load()
    assert caught.value.code == "HF632"
    part.unlink()
    with pytest.raises(StoreError) as caught:
        list(saved.parts(whole=False))
    assert caught.value.code == "HF632"


def test_another_job_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "out", files(tmp_path / "in"))
    with pytest.raises(StoreError) as caught:
        build(tmp_path / "out", files(tmp_path / "other", seed=2))
    assert caught.value.code == "HF631"


def test_another_size_begins_anew(tmp_path: Path) -> None:
    sources, out = files(tmp_path / "in"), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        build(out, sources, Stopping(after=40))
    sizes = Sizes(chunk_rows=33, partitions=2, working_bytes=1 << 30)
    saved = build_training_set_in(
        out, PLAN, sources, executor=LocalExecutor(), now_us=None, sizes=sizes
    )
    assert saved.manifest["partitions"] == 2
    assert_equal(saved.load(), in_memory(sources))


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with JobFolder(tmp_path / "out").alone(), pytest.raises(StoreError) as caught:
        build(tmp_path / "out", files(tmp_path / "in"))
    assert caught.value.code == "HF633"


def test_an_unfinished_job_is_no_training_set(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no training set"):
        SavedTrainingSet.open(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "out", files(tmp_path / "in"), Stopping(after=5))
    with pytest.raises(NotFoundError, match="not finished") as caught:
        SavedTrainingSet.open(tmp_path / "out")
    assert caught.value.code == "HF637"


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError) as caught:
        build(tmp_path / "file" / "out", files(tmp_path / "in"))
    assert caught.value.code == "HF630"
