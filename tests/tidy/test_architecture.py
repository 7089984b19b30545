"""Imports go one way: the contracts of pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.conftest import ROOT

WRONG = {  # contract: (file, what it must not import)
    "layers": ("core/clock.py", "holdfast.define"),
    "edges": ("training/__init__.py", "holdfast.models.lightgbm"),
    "composition": ("cli/__init__.py", "holdfast.stores.open"),
    "technology": ("data/__init__.py", "lmdb"),
    "terminal": ("serving/__init__.py", "rich.progress"),
}


def lint_imports(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_imports_go_one_way() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("contract", WRONG)
def test_a_wrong_import_is_found(contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "src" / "holdfast", tmp_path / "src" / "holdfast")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file, module = WRONG[contract]
    path = tmp_path / "src" / "holdfast" / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\nimport {module}\n", encoding="utf-8")

    result = lint_imports(tmp_path, "--contract", contract)

    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
    assert module.partition(".")[0] in result.stdout


@pytest.mark.parametrize("edge", ["models", "stores"])
def test_adapters_do_not_know_one_another(edge: str) -> None:
    """An adapter is a module that the edge's `open.py` names in a string."""
    text = (ROOT / "src" / "holdfast" / edge / "open.py").read_text(encoding="utf-8")
    adapters = set(re.findall(rf'"(holdfast\.{edge}\.\w+)[":]', text))
    graph = grimp.build_graph("holdfast", cache_dir=None)
    assert len(adapters) > 1
    for adapter in adapters:
        assert graph.find_modules_directly_imported_by(adapter) & adapters == set(), adapter
