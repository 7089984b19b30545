"""What the tests of executors run: tasks that work, fail, or kill the process they run in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from holdfast.errors import ContractError
from holdfast.executors.base import Task


def square(task: Task) -> int:
    return int(task["number"]) ** 2


def refuse(task: Task) -> int:
    raise ContractError("a rule is broken", code="HF205", site="here", hint="mend it", field="x")


def die(task: Task) -> int:
    """Kill the worker; with a `marker`, only the first time."""
    marker = task.get("marker")
    if marker is None or not Path(marker).exists():
        if marker is not None:
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return int(task["number"])
