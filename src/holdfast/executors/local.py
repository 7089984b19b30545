"""Tasks on this machine: in this process, or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from holdfast.errors import StoreError
from holdfast.executors.base import Executor, Task

__all__ = ["LocalExecutor"]

UNDER_WAY_PER_WORKER = 2


class LocalExecutor:
    """Runs tasks in this process (one worker) or in processes of their own."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[Any]:
        """Yield what `function` returns for each task, as they finish.

        Raises:
            StoreError: HF634 when a process was killed, such as by the system for its memory.
        """
        if self.workers == 1:
            yield from map(function, tasks)
            return
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context)
        waiting, under_way = iter(tasks), set[Future[Any]]()
        try:
            while True:
                while len(under_way) < UNDER_WAY_PER_WORKER * self.workers:
                    task = next(waiting, None)
                    if task is None:
                        break
                    under_way.add(self._pool.submit(function, task))
                if not under_way:
                    return
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            self.close()
            raise StoreError(
                "a worker was killed",
                code="HF634",
                hint="run it again, it goes on from there; with more memory or fewer workers",
                retryable=True,
            ) from error
        finally:
            for future in under_way:
                future.cancel()

    def close(self) -> None:
        """Let the processes go."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


if TYPE_CHECKING:

    def _keeps_the_promise(executor: LocalExecutor) -> None:
        _executor: Executor = executor
