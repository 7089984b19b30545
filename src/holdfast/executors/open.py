"""Opening executors by name; an adapter is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from holdfast.errors import ConfigError
from holdfast.executors.base import Executor

__all__ = ["open_executor"]

WORKERS_MAX = 10_000
_BUILT_IN = {
    "local": "holdfast.executors.local:LocalExecutor",
    "ray": "holdfast.executors.ray:RayExecutor",
}


def open_executor(name: str = "local", *, workers: int = 0) -> Executor:
    """Return an executor: `local`, `ray`, or `ray:ADDRESS` for a cluster that runs.

    `workers`: tasks at a time; 0 is one for `local` and every CPU for `ray`.

    Raises:
        ConfigError: HF635 unknown, not installed, or a number of workers that cannot be.
        StoreError: HF638 the cluster cannot be reached.
    """
    kind, _, address = name.partition(":")
    if kind not in _BUILT_IN or (kind == "local" and address):
        raise ConfigError(
            f'there is no executor "{name}"',
            code="HF635",
            hint="use local, ray, or ray:ADDRESS",
        )
    if not 0 <= workers <= WORKERS_MAX:
        raise ConfigError(
            f"{workers} workers cannot be", code="HF635", hint=f"give 1 to {WORKERS_MAX:,}"
        )
    module, _, adapter = _BUILT_IN[kind].partition(":")
    try:
        opened = getattr(import_module(module), adapter)
    except ImportError as error:
        raise ConfigError(
            f"{error.name or kind} is not installed",
            code="HF635",
            hint=f'pip install "holdfast[{kind}]"',
        ) from error
    if kind == "local":
        return cast(Executor, opened(workers or 1))
    return cast(Executor, opened(address, workers))
