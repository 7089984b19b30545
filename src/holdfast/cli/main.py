"""`holdfast`: every verb, imported only when it is called, so that `--help` is instant."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any

import click

__all__ = ["main"]

VERBS = {
    "new": ("holdfast.cli.new", "Write a definition: a generated world, or from your own table."),
    "check": ("holdfast.cli.project", "Check definitions: all faults at once."),
    "audit": ("holdfast.cli.data", "Look at the data before anybody learns from it."),
    "features": ("holdfast.cli.data", "List features; --verify compares training with serving."),
    "train": ("holdfast.cli.training", "Train the candidates and choose by money."),
    "evaluate": ("holdfast.cli.training", "Show what a trained model is worth."),
    "models": ("holdfast.cli.training", "List trained models; --promote chooses one."),
    "serve": ("holdfast.cli.serving", "Serve decisions over HTTP."),
    "predict": ("holdfast.cli.serving", "Decide every row of a file."),
    "explain": ("holdfast.cli.serving", "Explain one served decision."),
    "status": ("holdfast.cli.project", "Show each use case on one screen."),
    "doctor": ("holdfast.cli.project", "Check this machine and this project."),
    "demo": ("holdfast.cli.demo", "Run the whole path on a generated world."),
}


class Verbs(click.Group):
    """A group that imports a verb's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb's command."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(VERBS[cmd_name][0]), cmd_name)
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
