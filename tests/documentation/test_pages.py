"""Documentation runs: every block marked to run does, and says what the page says it says."""

from __future__ import annotations

import doctest
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documentation import pages

PAGES = pages.markdown(ROOT)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MAIN = "from holdfast.cli.main import main; main()"


def page(path: Path) -> object:
    """A page to run, marked slow when one of its blocks says so."""
    found = pages.blocks(path.read_text(encoding="utf-8"))
    marks = [pytest.mark.slow] if any("slow" in block.words for block in found) else []
    return pytest.param(path, id=path.relative_to(ROOT).as_posix(), marks=marks)


def run(arguments: list[str], folder: Path) -> str:
    """What a program prints; it must end well."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{shlex.join(arguments)}\n{result.stdout}"
    return result.stdout


def run_command(command: pages.Command, folder: Path) -> None:
    program, *arguments = shlex.split(command.text)
    assert program in ("holdfast", "python"), f"only our own commands run here: {command.text}"
    output = run([*(["-c", MAIN] if program == "holdfast" else []), *arguments], folder)
    if command.output.strip():
        same = doctest.OutputChecker().check_output(command.output, output, OPTIONS)
        assert same, f"$ {command.text}\nthe page says:\n{command.output}\nit says:\n{output}"


def run_block(block: pages.Block, folder: Path) -> None:
    if block.file:
        (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / block.file).write_text(block.text, encoding="utf-8")
    if "run" not in block.words:
        return
    if block.language == "python":
        script = folder / f"block_{block.line}.py"
        script.write_text(block.text, encoding="utf-8")
        run([script.name], folder)
    else:
        assert block.language == "console", f"line {block.line}: only python and console run"
        for command in pages.commands(block):
            run_command(command, folder)


@pytest.mark.parametrize("path", [page(path) for path in PAGES])
def test_the_blocks_of_a_page_run(path: Path, tmp_path: Path) -> None:
    for block in pages.blocks(path.read_text(encoding="utf-8")):
        run_block(block, tmp_path)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_somewhere(path: Path) -> None:
    targets = pages.links(path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_blocks_are_read_with_their_words() -> None:
    text = "A\n```python run slow\nx = 1\n```\n\n```text\n$ no\n```\n"
    first, second = pages.blocks(text)
    assert (first.language, first.words, first.text, first.line) == (
        "python",
        ("run", "slow"),
        "x = 1\n",
        2,
    )
    assert first.runs and not second.runs


def test_commands_are_read_with_their_output() -> None:
    block = pages.Block("console", ("run",), "$ python a.py \\\n  b\nout\n$ python c.py  # so\n", 1)
    first, second = pages.commands(block)
    assert (first.text.split(), first.output) == (["python", "a.py", "b"], "out\n")
    assert (second.text, second.output) == ("python c.py", "")


def test_a_page_that_lies_is_found(tmp_path: Path) -> None:
    lie = pages.Block("console", ("run",), "$ python -c 'print(1)'\n2\n", 1)
    with pytest.raises(AssertionError, match="the page says"):
        run_block(lie, tmp_path)
    fails = pages.Block("python", ("run",), "raise SystemExit(3)\n", 1)
    with pytest.raises(AssertionError, match="block_1"):
        run_block(fails, tmp_path)
    run_block(pages.Block("console", ("run",), "$ python -c 'print(1)'\n...\n", 1), tmp_path)
    assert pages.links("[a](b.md#c) `[d](e)` [f](https://g)") == ["b.md"]
