"""`holdfast`: every verb, imported only when it is called, so that `--help` is instant."""

from __future__ import annotations

import difflib
import keyword
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.errors import ConfigError

__all__ = ["main"]

VERBS = {
    "new": ("holdfast.cli.new", "Write a definition: a generated world, or from your own table."),
    "import": ("holdfast.cli.imports", "Write definitions from a Feast repository."),
    "check": ("holdfast.cli.project", "Check definitions: all faults at once."),
    "audit": ("holdfast.cli.data", "Look at the data before anybody learns from it."),
    "features": ("holdfast.cli.features", "List features; --at shows values and their events."),
    "build": ("holdfast.cli.build", "Build a training set larger than memory into a folder."),
    "parity": ("holdfast.cli.parity", "Compare what was served with the log, bit by bit."),
    "train": ("holdfast.cli.training", "Train the candidates and choose by money."),
    "evaluate": ("holdfast.cli.training", "Show what a trained model is worth."),
    "models": ("holdfast.cli.training", "List trained models; --promote chooses one."),
    "serve": ("holdfast.cli.serving", "Serve decisions over HTTP."),
    "predict": ("holdfast.cli.serving", "Decide every row of a file."),
    "explain": ("holdfast.cli.serving", "Explain one served decision."),
    "erase": ("holdfast.cli.erase", "Erase an entity from everything Holdfast keeps."),
    "status": ("holdfast.cli.project", "Show each use case on one screen."),
    "doctor": ("holdfast.cli.project", "Check this machine and this project."),
    "demo": ("holdfast.cli.demo", "Run the whole path on a generated world."),
}
USAGE = 2
INTERRUPTED = 130


class Verbs(click.Group):
    """A group that imports a verb's module on first use, and refuses as the verbs do."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **given: Any) -> Any:
        """Run one verb and leave with its exit code; a wrong command is an error of the house."""
        words = list(sys.argv[1:] if args is None else args)
        given["standalone_mode"] = False
        try:
            code = super().main(words, *rest, **given)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = USAGE
        except click.ClickException as error:
            code = _refuse(error, words)
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command."""
        if cmd_name not in VERBS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(import_module(VERBS[cmd_name][0]), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, words) for verb, (_, words) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a verb; name the nearest one when there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], VERBS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from error


def _refuse(error: click.ClickException, words: list[str]) -> int:
    """Write what is wrong with a command, as text or as the envelope."""
    context = getattr(error, "ctx", None)
    path = "holdfast" if context is None else context.command_path
    what = error.format_message().rstrip(".")
    refused = ConfigError(what, code="HF712", hint=f"`{path} --help` shows what it takes")
    out = Output(path.rpartition(" ")[2], as_json="--json" in words)
    out.error(refused)
    return refused.exit_code


def _show_version(ctx: click.Context, _parameter: Any, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"holdfast {version('holdfast')}")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Holdfast: the production system around a model, from one definition file.

    Begin with `holdfast new fraud`, or with your own table: `holdfast new NAME --data FILE.csv
    --label COLUMN`.
    """
