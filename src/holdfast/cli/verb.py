"""What every verb shares: --json, --project, --debug, one boundary for errors, exit codes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.errors import HoldfastError, InternalError, StoreError

__all__ = ["Session", "moment", "verb"]

INTERRUPTED = 130


@dataclass(frozen=True)
class Session:
    """One call of a verb: where it writes and which folder it is about."""

    out: Output
    folder: Path

    def project(self) -> Any:
        """Open the project; imported here, so that a verb without one stays light."""
        from importlib import import_module

        opened = import_module("holdfast.loop.project").Project
        return opened(self.folder, progress=self.out.progress())


def verb(function: Callable[..., int | None]) -> Callable[..., None]:
    """Give a verb the shared options and the boundary.

    The function returns an exit code (None is 0) and may raise any `HoldfastError`. Anything else
    is our fault: exit code 70, and a traceback only with `--debug`.
    """

    @click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
    @click.option(
        "--project",
        "project_folder",
        type=click.Path(path_type=Path),
        default=Path("."),
        help="The project folder.",
    )
    @click.option("--debug", is_flag=True, help="Show tracebacks.")
    @functools.wraps(function)
    def run(as_json: bool, project_folder: Path, debug: bool, **arguments: Any) -> None:
        out = Output(function.__name__.rstrip("_"), as_json=as_json, debug=debug)
        sys.exit(_bounded(function, Session(out, project_folder), out, arguments))

    return run


def _bounded(
    function: Callable[..., int | None],
    session: Session,
    out: Output,
    arguments: dict[str, Any],
) -> int:
    try:
        code = function(session, **arguments) or 0
        out.flush()
        return code
    except HoldfastError as error:
        out.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        out.broken_pipe()
        return 0
    except click.exceptions.ClickException:
        raise
    except OSError as error:
        failed = StoreError(
            f"a file could not be read or written: {error.strerror or error}",
            code="HF713",
            site=str(error.filename) if error.filename else None,
            hint="see that the folder exists, has room, and that you may write there",
        )
        failed.__cause__ = error
        out.error(failed)
        return failed.exit_code
    except Exception as error:
        broken = InternalError(
            f"{type(error).__name__}: {error}",
            code="HF999",
            hint="this is our fault: run it again with --debug and report what it prints",
        )
        broken.__cause__ = error
        out.error(broken)
        return broken.exit_code


def moment(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Return an ISO 8601 option as microseconds."""
    if value is None:
        return None
    from holdfast.core.clock import parse_time

    try:
        return parse_time(value)
    except ValueError:
        raise click.BadParameter(
            f'"{value}" is no moment; write 2026-01-31 or 2026-01-31T12:00', param=parameter
        ) from None
