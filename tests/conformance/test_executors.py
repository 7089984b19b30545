"""Every executor keeps the promise of `executors/base.py`; Ray builds the same bits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.errors import ConfigError, ContractError, StoreError
from holdfast.executors.base import Executor
from holdfast.executors.open import open_executor
from holdfast.features.scale.build import build_training_set_in
from tests.conformance.executor_tasks import die, refuse, square
from tests.laws.test_scale_laws import assert_equal
from tests.unit.features.scale.jobs import PLAN, SIZES, files, in_memory

SLOW = [
    pytest.param(("local", 2), marks=pytest.mark.slow, id="processes"),
    pytest.param(("ray", 2), marks=pytest.mark.slow, id="ray"),
]


@pytest.fixture(scope="module", params=[pytest.param(("local", 1), id="here"), *SLOW])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    name, workers = request.param
    if name == "ray":
        pytest.importorskip("ray", reason="Ray is not installed: pip install holdfast[ray]")
    opened = open_executor(name, workers=workers)
    yield opened
    opened.close()


def test_every_result_comes_once(executor: Executor) -> None:
    assert executor.workers >= 1
    tasks = [{"number": number} for number in range(40)]
    assert sorted(executor.run(square, tasks)) == [number**2 for number in range(40)]
    assert list(executor.run(square, [])) == []


def test_an_error_arrives_whole(executor: Executor) -> None:
    with pytest.raises(ContractError) as caught:
        list(executor.run(refuse, [{"number": 1}]))
    error = caught.value
    assert (error.code, error.site, error.hint, error.field) == ("HF205", "here", "mend it", "x")
    assert list(executor.run(square, [{"number": 3}])) == [9]


def test_a_job_has_the_same_bits(executor: Executor, tmp_path: Path) -> None:
    sources = files(tmp_path / "in")
    saved = build_training_set_in(
        tmp_path / "out", PLAN, sources, executor=executor, now_us=None, sizes=SIZES
    )
    assert_equal(saved.load(), in_memory(sources))


def test_a_worker_that_dies_is_told(executor: Executor) -> None:
    if executor.workers == 1:
        return  # it would be this process
    with pytest.raises(StoreError) as caught:
        list(executor.run(die, [{"number": 1}]))
    assert (caught.value.code, caught.value.retryable) == ("HF634", True)
    assert list(executor.run(square, [{"number": 3}])) == [9]


@pytest.mark.slow
def test_ray_gives_a_dead_workers_task_to_another(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install holdfast[ray]")
    executor = open_executor("ray", workers=2)
    try:
        tasks = [{"number": n, "marker": str(tmp_path / f"m{n}")} for n in range(3)]
        assert sorted(executor.run(die, tasks)) == [0, 1, 2]
    finally:
        executor.close()


@pytest.mark.parametrize("name", ["cloud", "local:here", "Ray", ""])
def test_an_unknown_executor_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_executor(name)
    assert caught.value.code == "HF635"


@pytest.mark.parametrize("workers", [-1, 10_001])
def test_workers_are_bounded(workers: int) -> None:
    with pytest.raises(ConfigError) as caught:
        open_executor("local", workers=workers)
    assert caught.value.code == "HF635"


def test_without_ray_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.executors.ray", None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        open_executor("ray")
    assert (caught.value.code, caught.value.hint) == ("HF635", 'pip install "holdfast[ray]"')
