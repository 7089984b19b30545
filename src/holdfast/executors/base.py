"""What runs the tasks of a large job: the promise every executor keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

__all__ = ["Executor", "Task"]

Task = dict[str, Any]
"""Plain data that says what to do. Doing it twice, or twice at once, leaves the same behind."""


class Executor(Protocol):
    """Runs tasks somewhere, `workers` at a time.

    - Results come in any order, each once; nothing is promised about which task runs where.
    - At most a few tasks per worker are under way; the others wait in the caller.
    - The first `HoldfastError` of a task ends the run; tasks under way may still finish.
    - A worker that dies is a `StoreError` with `retryable`: what was done stays done, and running
      the job again goes on from there.
    - Tasks see the same folders as the caller, under the same names.
    """

    workers: int

    def run(self, function: Callable[[Task], Any], tasks: Sequence[Task]) -> Iterator[Any]:
        """Yield what `function` returns for each task, as they finish."""
        ...

    def close(self) -> None:
        """Let the workers go; calling it twice is fine."""
        ...
