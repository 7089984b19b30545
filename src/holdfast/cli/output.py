"""What people and programs read: text, tables, progress, and one JSON envelope."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from holdfast.core.clock import monotonic_s
from holdfast.core.progress import Progress, Step
from holdfast.errors import DefinitionError, HoldfastError, UserCodeError

__all__ = ["Output", "TerminalProgress", "money", "number", "plain"]

WIDTH = 80
WIDTH_MAX = 120
SLOW = 10
"""Units per second below which a rate needs a digit behind the point."""


def money(amount: float | None, currency: str = "") -> str:
    """Return an amount as a person writes it.

    >>> money(1234.5, "EUR"), money(-3.204)
    ('1,234.50 EUR', '-3.20')
    """
    if amount is None:
        return "-"
    return f"{amount:,.2f} {currency}".strip()


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a fixed number of digits, "-" where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def plain(value: Any) -> Any:
    """Return a value as JSON can say it: what is not a number is null.

    >>> plain({"a": (1, float("nan"))})
    {'a': [1, None]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


class Output:
    """Where a verb writes. With `as_json` exactly one envelope goes to standard output."""

    def __init__(self, verb: str, *, as_json: bool, debug: bool = False) -> None:
        self.verb, self.as_json, self.debug = verb, as_json, debug

    def line(self, text: str = "") -> None:
        """Write one line for people; nothing in JSON."""
        if not self.as_json:
            print(_wrapped(text) if sys.stdout.isatty() else text)

    def result(self, content: Any) -> None:
        """Write the result for programs; nothing for people, who have read the lines."""
        if self.as_json:
            envelope = {"ok": True, "verb": self.verb, "result": plain(content)}
            print(json.dumps(envelope, indent=1, allow_nan=False))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Write a table; columns whose cells are numbers stand on the right."""
        if self.as_json or not rows:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(
            box=box.SIMPLE_HEAD,
            title=title or None,
            title_justify="left",
            pad_edge=False,
            collapse_padding=True,
        )
        for at, column in enumerate(columns):
            right = all(_numeric(row[at]) for row in rows)
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        console = Console(markup=False, highlight=False)
        console.width = min(max(console.width, WIDTH), WIDTH_MAX)
        console.print(table)

    def flush(self) -> None:
        """Let whoever reads a pipe see what was written."""
        sys.stdout.flush()

    def broken_pipe(self) -> None:
        """Whoever read has gone: say nothing more, not even at the interpreter's end."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def error(self, error: HoldfastError) -> None:
        """Write an error: as text on standard error, or as the envelope."""
        if self.as_json:
            content = error.as_dict()
            if isinstance(error, DefinitionError):
                content["faults"] = [fault.as_dict() for fault in error.faults]
            envelope = {"ok": False, "verb": self.verb, "error": plain(content)}
            print(json.dumps(envelope, indent=1, allow_nan=False))
            if self.debug:
                print("".join(traceback.format_exception(error)), file=sys.stderr)
            return
        faults = error.faults if isinstance(error, DefinitionError) else (error,)
        for fault in faults:
            print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
        if self.debug or isinstance(error, UserCodeError):
            cause = error.__cause__ if isinstance(error, UserCodeError) else error
            if cause is not None:
                print("".join(traceback.format_exception(cause)), file=sys.stderr)

    def progress(self) -> Progress:
        """Return where long work reports."""
        return TerminalProgress(quiet=self.as_json)


def _speed(rate: float) -> str:
    """Return a rate with a digit behind the point where it would say nothing without one."""
    return f"{rate:,.0f}" if rate >= SLOW else f"{rate:,.1f}"


def _wrapped(text: str) -> str:
    """Return a line as a terminal shows it well: broken between words, further lines set in."""
    width = min(max(shutil.get_terminal_size().columns, WIDTH), WIDTH_MAX)
    if len(text) <= width:
        return text
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _numeric(cell: str) -> bool:
    return not cell or cell[0] in "-+0123456789"


class TerminalProgress:
    """Progress on standard error: bars in a terminal, one line per finished step elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.rates: dict[str, float] = {}

    @contextmanager
    def step(self, title: str, *, total: int | None = None, unit: str = "") -> Iterator[Step]:
        """Open one piece of work of `total` units."""
        began = monotonic_s()
        counted = _Counted()
        if self.quiet or not sys.stderr.isatty():
            yield counted
        else:
            yield from self._bar(title, total, unit, counted)
        seconds = max(monotonic_s() - began, 1e-9)
        done = counted.done or (total or 0)
        self.rates[title] = done / seconds
        if not self.quiet and not sys.stderr.isatty():
            rate = f", {_speed(done / seconds)} {unit}/s" if unit and done else ""
            amount = f"{done:,} {unit} in " if unit else ""
            print(f"{title}: {amount}{seconds:.1f} s{rate}", file=sys.stderr)

    def note(self, text: str) -> None:
        """Say one line in passing."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def _bar(self, title: str, total: int | None, unit: str, counted: _Counted) -> Iterator[Step]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}")
        columns = (TextColumn("{task.description}"), BarColumn(24), rate, TimeRemainingColumn())
        console = Console(stderr=True, markup=False)
        with Progress(*columns, console=console, transient=False) as progress:
            task = progress.add_task(title, total=total, rate="")
            began = monotonic_s()

            def show(done: int) -> None:
                speed = done / max(monotonic_s() - began, 1e-9)
                share = f"{done / total:4.0%} " if total else ""
                progress.update(task, completed=done, rate=f"{share}{_speed(speed)} {unit}/s")

            counted.show = show
            yield counted


class _Counted:
    def __init__(self) -> None:
        self.done = 0
        self.show: Any = None

    def advance(self, amount: int) -> None:
        self.done += amount
        if self.show is not None:
            self.show(self.done)
