"""Tasks on Ray: an existing cluster, or one started here for as long as it is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import ray

from holdfast.errors import HoldfastError, StoreError
from holdfast.executors.base import Executor, Task

__all__ = ["RayExecutor"]

UNDER_WAY_PER_WORKER = 2
RETRIES = 3
"""How often Ray gives a task to another worker when its worker dies."""
OBJECT_STORE_BYTES = 80 << 20
"""Ray's shared memory on a local start: tasks pass names of files, never data."""


class RayExecutor:
    """Runs tasks as Ray tasks of one CPU each.

    Args:
        address: a cluster's address (`ray://host:10001`, `auto`); "" uses the cluster of this
            process, or starts one here.
        workers: tasks at a time; 0 for as many as the cluster has CPUs.

    Every node needs Holdfast and the job's folder under the same name.
    """

    def __init__(self, address: str = "", workers: int = 0) -> None:
        self._ours = not ray.is_initialized()
        if self._ours:
            self._start(address, workers)
        cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        self.workers = workers or max(1, cpus)

    def _start(self, address: str, workers: int) -> None:
        options: dict[str, Any] = {"address": address}
        if not address:
            options = {
                "address": "local",
                "num_cpus": workers or None,
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
            }
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            raise StoreError(
                f"Ray cannot be reached: {str(error).splitlines()[0]}",
                code="HF638",
                site=address or "this machine",
                hint="see `ray status`; without an address a cluster is started here",
                retryable=True,
            ) from error

    def run(self, function: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[Any]:
        """Yield what `function` returns for each task, as they finish.

        Raises:
            StoreError: HF634 when workers died again and again under one task.
        """
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_call)
        waiting, under_way = iter(tasks), list[Any]()
        try:
            while True:
                while len(under_way) < UNDER_WAY_PER_WORKER * self.workers:
                    task = next(waiting, None)
                    if task is None:
                        break
                    under_way.append(remote.remote(function, task))
                if not under_way:
                    return
                done, under_way = ray.wait(under_way, num_returns=1)
                yield ray.get(done[0])
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, HoldfastError):
                raise error.cause from error
            raise
        except ray.exceptions.RayError as error:
            raise StoreError(
                f"Ray lost a task: {str(error).splitlines()[0]}",
                code="HF634",
                hint="run it again, it goes on from there; with more memory or fewer workers",
                retryable=True,
            ) from error
        finally:
            for task in under_way:
                ray.cancel(task)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._ours and ray.is_initialized():
            ray.shutdown()


def _call(function: Callable[[Task], Any], task: Task) -> Any:
    return function(task)


if TYPE_CHECKING:

    def _keeps_the_promise(executor: RayExecutor) -> None:
        _executor: Executor = executor
