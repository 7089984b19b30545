"""How long work reports where it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["SILENT", "Progress", "Step"]


class Step(Protocol):
    """One running piece of work."""

    def advance(self, amount: int) -> None:
        """Say that `amount` more units are done."""
        ...


class Progress(Protocol):
    """Where layers report; the command line draws bars, everything else stays silent."""

    @contextmanager
    def step(self, title: str, *, total: int | None = None, unit: str = "") -> Iterator[Step]:
        """Open one piece of work of `total` units; it ends with the block."""
        ...

    def note(self, text: str) -> None:
        """Say one line in passing."""
        ...


class _Silent:
    @contextmanager
    def step(self, title: str, *, total: int | None = None, unit: str = "") -> Iterator[Step]:
        yield self

    def advance(self, amount: int) -> None:
        return None

    def note(self, text: str) -> None:
        return None


SILENT: Progress = _Silent()
