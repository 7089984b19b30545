"""The verb `erase`: an entity leaves everything that Holdfast keeps, and what is left is shown."""

from __future__ import annotations

from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.cli.verb import Session, verb
from holdfast.errors import ConfigError

__all__ = ["erase"]


@click.command()
@click.argument("name")
@click.option(
    "--key", "key", required=True, metavar="COLUMN=VALUE", help="Whom: `--key card_id=c42`."
)
@click.option("--dry-run", is_flag=True, help="Count what would go; change nothing.")
@click.option("--yes", "sure", is_flag=True, help="Do not ask.")
@verb
def erase(session: Session, name: str, *, key: str, dry_run: bool, sure: bool) -> int:
    """Erase an entity of NAME from every use case: log, answers, state, quarantine.

    Rows that name it go, and rows that refer to those. Rows in your own files are left out from
    now on; the files are named, for they are yours. At the end everything kept is searched for
    the key. Stop the service first. Exit code 1 when something is left.
    """
    column, equals, value = key.partition("=")
    if not column or not equals or not value:
        raise click.BadParameter(f'"{key}" is no COLUMN=VALUE', param_hint="--key")
    out, project = session.out, session.project()
    if not dry_run and not sure:
        _show(out, project.erase(name, column, value, dry_run=True))
        if out.as_json or not click.confirm(f"Erase {column}={value}? It cannot be undone."):
            raise ConfigError(
                "nothing was erased: it was not confirmed", code="HF719", hint="add `--yes`"
            )
    found = project.erase(name, column, value, dry_run=dry_run)
    _show(out, found)
    out.result(found.as_dict())
    return 1 if found.remains else 0


def _show(out: Output, found: Any) -> None:
    verb_form = "would go" if found.dry_run else "erased"
    for use_case, counts in found.removed.items():
        counted = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        out.line(f"{use_case}: {counted} {verb_form}")
    for place in found.files:
        out.line(f"  your file {place.where} still holds it in {place.count:,} rows")
    for model in found.models:
        held = "; a file of it has the key itself" if model["holds"] else ""
        out.line(f"  model {model['version']} of {model['use_case']} learnt before{held}")
    if found.models and not found.dry_run:
        names = sorted({model["use_case"] for model in found.models})
        out.line("  train again: " + ", ".join(f"`holdfast train {name}`" for name in names))
    if found.dry_run:
        return
    if not found.searched:
        out.line("the key is so short that it occurs by chance: only records were searched for it")
    for place in found.remains:
        out.line(f"LEFT: {place.where}, {place.count:,} times")
    if not found.remains:
        out.line("found of it in everything kept: 0")
