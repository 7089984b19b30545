"""The blocks of code on a Markdown page, and which of them run.

What a block is for stands after its language:

    ```python run               a script; it must end well
    ```python file=fraud.py     written to that file before the blocks below it run
    ```console run              each line after `$ ` is a command, the rest its output, where `...`
                                matches anything; no output shown, none compared
    ```console run slow         the page takes more than a few seconds

All blocks of one page run in order, in one empty folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\S*)[ \t]*([^\n]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words behind it, its text and its line."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def runs(self) -> bool:
        """Whether something happens to it when the page is checked."""
        return "run" in self.words or bool(self.file)

    @property
    def file(self) -> str:
        """The name of the file that it is, or nothing."""
        return next((word[5:] for word in self.words if word.startswith("file=")), "")


@dataclass(frozen=True)
class Command:
    """One command of a console block and the output it is said to have."""

    text: str
    output: str


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    return [
        Block(found[1], tuple(found[2].split()), found[3], page.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(page)
    ]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block; a backslash at the end of a line goes on with the next."""
    text = block.text.replace("\\\n", " ")
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        first, _, rest = part.partition("\n")
        yield Command(first.partition("  #")[0].strip(), rest)


def markdown(root: Path) -> list[Path]:
    """Every page we publish: those at the root and those under docs/."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def links(page: str) -> list[str]:
    """The relative links of a page, without their fragments; code is not searched."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page))
    targets = [target.partition("#")[0] for target in LINK.findall(prose)]
    return [target for target in targets if target and "://" not in target]
