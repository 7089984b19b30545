"""Calling the command line in a test: one call, its exit code, and what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from holdfast.cli.main import main

MODULE = (sys.executable, "-m", "holdfast.cli")
PATIENCE_S = 120


@dataclass(frozen=True)
class Call:
    """What one call gave back."""

    code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def result(self) -> Any:
        assert self.envelope["ok"] is True, self.out
        assert set(self.envelope) == {"ok", "verb", "result"}
        return self.envelope["result"]

    @property
    def error(self) -> dict[str, Any]:
        assert self.envelope["ok"] is False, self.out
        assert set(self.envelope) == {"ok", "verb", "error"}
        assert {"type", "code", "what", "where", "hint"} <= set(self.envelope["error"])
        return dict(self.envelope["error"])


def call(*words: object, project: Path | None = None) -> Call:
    """Call a verb in this process."""
    given = [str(word) for word in words]
    if project is not None:
        given += ["--project", str(project)]
    said = CliRunner().invoke(main, given)
    return Call(said.exit_code, said.stdout, said.stderr)


def spawn(*words: object) -> Call:
    """Call a verb in a process of its own."""
    done = subprocess.run(
        [*MODULE, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return Call(done.returncode, done.stdout, done.stderr)
