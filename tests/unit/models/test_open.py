"""From candidate to technology: ours, those of other packages, and what cannot run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import ConfigError, DefinitionError, StoreError
from holdfast.models import candidates, open
from holdfast.models.base import Matrix
from holdfast.models.files import HEADER, read_model, write_model
from holdfast.models.open import load_model, open_model, technologies
from tests.conftest import ROOT

MATRIX = Matrix(np.array([[1.0], [2.0]]), ("a",), (0,))
LABELS = np.array([0.0, 1.0])


class Elsewhere:
    """A candidate of another package."""

    kind = "elsewhere"
    tasks = ("binary",)
    depth = 1

    def parameters(self) -> dict[str, Any]:
        return {}


def registered(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint(name="elsewhere", value=value, group=open.GROUP)
    monkeypatch.setattr(open, "entry_points", lambda group: (point,) if group == open.GROUP else ())


@pytest.mark.parametrize("wrong", ["lightgbm", None, 3])
def test_something_else_is_no_candidate(wrong: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        open_model(wrong)
    assert caught.value.code == "HF174"


def test_an_unknown_kind_says_who_could_run_it() -> None:
    with pytest.raises(ConfigError, match="elsewhere") as caught:
        open_model(Elsewhere())
    assert caught.value.code == "HF418"
    assert "holdfast.models" in caught.value.hint


def test_another_package_brings_a_technology(monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, "holdfast.models.baseline")
    assert technologies()[-1] == "elsewhere"
    assert open_model(Elsewhere()).fit(MATRIX, LABELS, task="binary", seed=0) is not None


@pytest.mark.parametrize("value", ["no_such_package.models", "holdfast.models.baseline:missing"])
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    registered(monkeypatch, value)
    with pytest.raises(ConfigError) as caught:
        open_model(Elsewhere())
    assert caught.value.code == "HF418"
    assert "pip install" in caught.value.hint


def test_a_missing_library_of_ours_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holdfast.models.lightgbm", None)
    with pytest.raises(ConfigError, match="lightgbm"):
        open_model(candidates.LightGBM())


def test_a_model_of_another_package_is_loaded_by_its_kind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fitted = open_model(candidates.Prior()).fit(MATRIX, LABELS, task="binary", seed=0)
    fitted.save(tmp_path)
    header = json.loads((tmp_path / HEADER).read_text())
    (tmp_path / HEADER).write_text(json.dumps({**header, "kind": "elsewhere"}))
    with pytest.raises(ConfigError):
        load_model(tmp_path)
    registered(monkeypatch, "holdfast.models.linear")
    with pytest.raises(StoreError, match="cannot be used"):  # it is reached, and refuses
        load_model(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": 3}', '{"kind": "prior"}', '{"kind": "prior", "format": 1}']
)
def test_a_broken_header_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / HEADER).write_text(text)
    with pytest.raises(StoreError) as caught:
        load_model(tmp_path)
    assert caught.value.code == "HF417"


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "a/b"])
def test_a_header_cannot_name_a_file_outside(name: str, tmp_path: Path) -> None:
    fitted = open_model(candidates.Prior()).fit(MATRIX, LABELS, task="binary", seed=0)
    fitted.save(tmp_path / "model")
    path = tmp_path / "model" / HEADER
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "files": {name: "0" * 64}}))
    with pytest.raises(StoreError, match="outside its folder"):
        load_model(tmp_path / "model")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    fitted = open_model(candidates.Prior()).fit(MATRIX, LABELS, task="binary", seed=0)
    write_model(tmp_path, kind="prior", signature=fitted.signature, content={})
    with pytest.raises(StoreError, match="it is a prior model, not lightgbm"):
        read_model(tmp_path, "lightgbm")


def test_declaring_candidates_loads_no_library() -> None:
    code = (
        "import sys; import holdfast.models.candidates as c; c.LightGBM(); c.XGBoost();"
        "heavy = {'lightgbm', 'xgboost', 'sklearn', 'scipy', 'skops', 'numpy'};"
        "raise SystemExit(' '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
