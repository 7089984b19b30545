"""Disks that fail for real: a small one that fills up, and one that becomes read-only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SMALL_KIB = 2048


class Disk:
    """A file system of its own in memory, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> Path:
        """Write a file until nothing more goes onto the disk, and return it."""
        ballast = self.folder / "ballast"
        with ballast.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue
        return ballast

    def make_read_only(self) -> None:
        ran("mount", "-o", "remount,ro", str(self.folder))


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A small disk for the length of a block; the test is skipped where none can be mounted."""
    folder.mkdir()
    try:
        ran("mount", "-t", "tmpfs", "-o", f"size={SMALL_KIB}k", "none", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes rights; the limit on file size is tested anyway")
    try:
        yield Disk(folder)
    finally:
        ran("umount", "-l", str(folder))


def ran(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def killed(program: str, *, after_lines: int) -> list[str]:
    """Start a program, kill it with -9 once it said so many lines; return all it had said."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(after_lines)]
        process.kill()
        whole = "".join(said) + process.stdout.read()
    assert process.returncode == -9
    return whole[: whole.rfind("\n") + 1].split()


def says(program: str) -> str:
    """Run a program to its end and return what it said."""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
