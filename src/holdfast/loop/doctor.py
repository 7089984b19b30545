"""The doctor: what about this machine and this project could go wrong, before it does."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from holdfast.errors import HoldfastError, StoreError
from holdfast.features.engine.compile import cache_problem
from holdfast.features.log import SPACES
from holdfast.loop.project import Project
from holdfast.stores.open import open_online

__all__ = ["Finding", "examine"]

FREE_BYTES_MIN = 1 << 30
LIBRARIES = ("numpy", "polars", "numba", "lightgbm", "xgboost-cpu", "scikit-learn", "lmdb")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `hint` says what to do where it is not ok."""

    what: str
    state: str
    ok: bool
    hint: str = ""


def examine(folder: Path) -> list[Finding]:
    """Return what was found about the machine and the project in a folder."""
    found = [_python(), *_libraries(), _cache(), _writable(folder), _space(folder)]
    try:
        project = Project(folder)
        use_cases = project.use_cases()
    except HoldfastError as error:
        return [*found, Finding("definitions", error.what, False, error.hint)]
    found.append(Finding("definitions", ", ".join(use_cases) or "none", True))
    for name in use_cases:
        found.append(_attempt(f"{name}: definition", partial(_checked, project, name)))
        found.append(_attempt(f"{name}: state", partial(_state, project, name)))
        if project.models(name):
            proved = _attempt(f"{name}: model", partial(_proved, project, name))
            found.append(proved)
    return found


def _python() -> Finding:
    text = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Finding("python", text, ok, "install Python 3.11 or newer")


def _libraries() -> list[Finding]:
    found = []
    for name in LIBRARIES:
        try:
            found.append(Finding(name, version(name), True))
        except PackageNotFoundError:
            found.append(Finding(name, "missing", False, f"install {name}"))
    return found


def _cache() -> Finding:
    hint = (
        "set HOLDFAST_NUMBA_CACHE to a folder that can be written; until then each start compiles"
    )
    return Finding("compiled code", cache_problem or "kept on disk", not cache_problem, hint)


def _writable(folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("project folder", "can be written", True)
    except OSError as error:
        return Finding("project folder", str(error), False, "use a folder that can be written")


def _space(folder: Path) -> Finding:
    free = shutil.disk_usage(folder if folder.exists() else ".").free
    state = f"{free / (1 << 30):,.1f} GiB free"
    return Finding("disk", state, free >= FREE_BYTES_MIN, "free at least 1 GiB")


def _attempt(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look(), True)
    except HoldfastError as error:
        return Finding(what, error.what, False, error.hint)


def _checked(project: Project, name: str) -> str:
    (found,) = project.check(name)
    found.raise_for_faults()
    return f"ok, {len(found.gaps)} parts cannot run yet" if found.gaps else "ok"


def _state(project: Project, name: str) -> str:
    """Say whether the online state is free, or which process holds it; a lock is never stale.

    The system gives a lock back when its process ends, however it ends.
    """
    folder = project.home / "online" / name
    if project.config.online or not folder.exists():
        return "made on the first `holdfast serve`" if not folder.exists() else "kept elsewhere"
    try:
        open_online(f"lmdb://{folder}", spaces=SPACES, exclusive=True).close()
    except StoreError as error:
        if error.code != "HF607":
            raise
        return f"in use: {error.what}"
    return "can be opened, no process holds it"


def _proved(project: Project, name: str) -> str:
    bundle = project.bundle(name)
    return f"version {bundle.version} predicts what it predicted when it was trained"
