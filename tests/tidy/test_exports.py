"""The public surface is a tested list; the rest is private by position."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import holdfast
from tests.conftest import GOLDEN, ROOT

NAMES = sorted(holdfast.__all__)


def test_the_public_surface_is_the_golden_list(golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "exports.txt", "".join(f"{name}\n" for name in NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_object_says_where_users_find_it(name: str) -> None:
    public = getattr(holdfast, name)
    if isinstance(public, type) or callable(public):
        assert public.__module__ == "holdfast"


def test_the_version_is_the_one_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert holdfast.__version__ == project["version"]
