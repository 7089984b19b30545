"""The reference cannot drift: every public name, verb and setting has its entry."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

import holdfast
from holdfast.cli import main as entry
from tests.conftest import ROOT
from tests.documentation import reference

FOLDER = ROOT / "docs" / "reference"
LANGUAGE = FOLDER / "language.md"
SETTINGS = FOLDER / "settings.md"
CLI = FOLDER / "cli"
Golden = Callable[[Path, str], None]


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_every_public_name_has_its_entry(golden: Golden) -> None:
    public = {name: getattr(holdfast, name) for name in holdfast.__all__}
    golden(LANGUAGE, reference.language(public, reference.written(text(LANGUAGE))))


def test_every_entry_says_something() -> None:
    entries = reference.written(text(LANGUAGE)).items()
    assert [name for name, said in entries if reference.UNWRITTEN in said] == []


def test_every_verb_has_its_page(golden: Golden) -> None:
    [group] = [thing for thing in vars(entry).values() if isinstance(thing, click.Group)]
    pages = reference.command_line(group)
    for name, page in pages.items():
        golden(CLI / f"{name}.md", page)
    assert {path.stem for path in CLI.glob("*.md")} == set(pages)


def test_every_setting_has_its_entry() -> None:
    headings = set(re.findall(r"^## `(HOLDFAST_[A-Z_]+)`$", text(SETTINGS), re.MULTILINE))
    assert headings == reference.settings_read(ROOT / "src" / "holdfast")


def test_what_is_written_by_hand_is_kept() -> None:
    page = reference.language({"auc": 1.0, "brier": 2.0}, {"auc": "Area under it."})
    assert reference.written(page) == {"auc": "Area under it.", "brier": reference.UNWRITTEN}


def test_a_function_is_shown_as_it_is_called() -> None:
    def clip(value: float, *, low: float = 0.0) -> float:
        """Return the value, not below the limit."""
        return max(value, low)

    page = reference.language({"clip": clip}, {})
    assert "hf.clip(value, *, low=0.0)" in page
    assert reference.written(page) == {"clip": "Return the value, not below the limit."}


def test_a_verb_is_shown_with_its_options() -> None:
    @click.group()
    def group() -> None:
        """Do things."""

    @group.command()
    @click.option("--json", is_flag=True, help="One JSON envelope.")
    def check(json: bool) -> None:
        """Say what is wrong."""

    pages = reference.command_line(group)
    assert list(pages) == ["index", "check"]
    assert "| [check](check.md) | Say what is wrong. |" in pages["index"]
    assert "Usage: holdfast check [OPTIONS]" in pages["check"]
    assert "One JSON envelope." in pages["check"]
