"""Many at once: the same work in several threads or processes, and names that are hard to keep."""

from __future__ import annotations

import string
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["HARD_NAMES", "TURNS", "WORKERS", "in_processes", "in_threads"]

WORKERS = 4
"""Threads or processes at work together."""
TURNS = 8
"""What each of them does, this many times."""
HARD_NAMES = (
    *string.punctuation,
    *("", " ", "..", "a/b", "a\\b", "é", "名", "a\nb", "\x00", "'; --", "%2E", "x" * 64),
)
"""Names with every punctuation mark, and those that lead elsewhere on a disk."""


def in_processes(program: str) -> list[str]:
    """Run a program in several processes at once and return what they said, line by line."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(WORKERS)
    ]
    said = [(process.communicate(), process.returncode) for process in started]
    assert [(errors, rc) for (_, errors), rc in said if rc] == []
    return [line for (output, _), _ in said for line in output.splitlines()]


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """Call `work` with 0, 1, 2, ... in several threads and return the results in that order."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, range(WORKERS * TURNS)))
