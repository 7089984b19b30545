"""Writing a first definition: with a generated world, or for a table that is there."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from holdfast.core.progress import SILENT, Progress
from holdfast.data.infer import Inferred, infer
from holdfast.data.render import render
from holdfast.errors import ConfigError
from holdfast.testing.worlds import WorldReport, fraud_world

__all__ = ["PARTS", "new_from_table", "new_world", "template"]

WORLDS = ("fraud",)
PARTS = ("payments", "chargebacks", "live", "truth.parquet")
"""What a world writes beside its definition."""
_NAME = re.compile(r"^[a-z][a-z0-9-]{0,62}$")


def new_world(
    name: str,
    folder: Path,
    *,
    payments: int,
    seed: int = 1,
    force: bool = False,
    progress: Progress = SILENT,
) -> WorldReport:
    """Write the definition and the generated world of a name into a folder.

    Raises:
        ConfigError: HF706 no such world, HF707 the folder has something already.
    """
    if name not in WORLDS:
        raise ConfigError(
            f'there is no world "{name}"',
            code="HF706",
            hint=f"`holdfast new {WORLDS[0]}`, or give your own table with --data and --label",
        )
    definition = folder / f"{name}.py"
    for path in (definition, *(folder / part for part in PARTS)):
        _may_write(path, force)
    folder.mkdir(parents=True, exist_ok=True)
    report = fraud_world(folder, payments=payments, seed=seed, progress=progress)
    definition.write_text(template(name), encoding="utf-8")
    return report


def template(name: str) -> str:
    """Return the text of the definition that comes with a world."""
    return files("holdfast.cli").joinpath("templates", f"{name}.py.txt").read_text("utf-8")


def new_from_table(
    name: str,
    folder: Path,
    data: Path,
    *,
    label: str,
    time: str = "",
    key: str = "",
    force: bool = False,
) -> tuple[Path, Inferred]:
    """Write the definition of a use case for a table, and return where, and what was inferred.

    Raises:
        ConfigError: HF707 the file is there already, HF708 the name cannot name a use case.
        ContractError: the table cannot be read, or has no such column.
    """
    if not _NAME.match(name):
        raise ConfigError(
            f'"{name}" cannot name a use case',
            code="HF708",
            hint="use lower-case letters, digits and hyphens, such as `churn`",
        )
    path = folder / f"{name.replace('-', '_')}.py"
    _may_write(path, force)
    inferred = infer(data, label=label, time=time, key=key)
    resolved = data.resolve()
    inside = resolved.is_relative_to(folder.resolve())
    source = resolved.relative_to(folder.resolve()) if inside else resolved
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(render(inferred, name=name, source=source.as_posix()), encoding="utf-8")
    return path, inferred


def _may_write(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise ConfigError(
            f"{path.name} is there already",
            code="HF707",
            site=str(path),
            hint="choose another name or folder, or overwrite it with --force",
        )
