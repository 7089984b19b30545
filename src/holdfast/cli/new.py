"""The verb `new`: a definition to start from."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from holdfast.cli.verb import Session, verb

__all__ = ["new"]


@click.command()
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Your own table: a .csv, .parquet or .jsonl file.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to write the world; the folder NAME if not given.",
)
@click.option("--label", help="The column to predict.")
@click.option("--time", "time_", help="The column that says when a row happened.")
@click.option("--key", help="The column of the entity that rows belong to.")
@click.option(
    "--payments",
    type=click.IntRange(1_000, 20_000_000),
    default=500_000,
    show_default=True,
    help="Payments of the generated world.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the world.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@verb
def new(
    session: Session,
    name: str,
    *,
    data: Path | None,
    folder: Path | None,
    label: str | None,
    time_: str | None,
    key: str | None,
    payments: int,
    seed: int,
    force: bool,
) -> None:
    """Write a definition to start from.

    `holdfast new fraud` writes card fraud with a generated world of payments whose truth is
    known, into the folder `fraud`. `holdfast new NAME --data FILE --label COLUMN` writes NAME.py
    for your own table: types, bounds, categories and keys are inferred, suspects left out.
    """
    out = session.out
    scaffold = import_module("holdfast.cli.scaffold")
    if data is None:
        if label or time_ or key:
            raise click.UsageError("--label, --time and --key are about your own --data FILE")
        folder = session.folder / (folder or name)
        made = scaffold.new_world(
            name, folder, payments=payments, seed=seed, force=force, progress=out.progress()
        )
        out.line(f"{folder / 'fraud.py'}: the definition")
        out.line(
            f"{made.payments:,} payments of {made.cards:,} cards at {made.merchants:,} merchants, "
            f"{made.fraud_rate:.2%} fraud, {made.chargebacks:,} charge-backs"
        )
        out.line(f"next: `cd {folder}` and `holdfast audit`")
        out.result(made.as_dict())
        return
    if label is None:
        raise click.UsageError("--data needs --label COLUMN: what shall be predicted?")
    path, inferred = scaffold.new_from_table(
        name, session.folder, data, label=label, time=time_ or "", key=key or "", force=force
    )
    out.line(f"{path}: {len(inferred.columns)} columns from {inferred.rows:,} rows")
    out.line(f"label: {inferred.label.column}, {inferred.task}")
    if inferred.label.words[0]:
        out.line(f"  true is {inferred.label.words[0]!r}, false is {inferred.label.words[1]!r}")
    kept = [one for one in inferred.columns if not one.left_out]
    out.table(("column", "kind", "missing"), [_described(one) for one in kept])
    for column in inferred.columns:
        if column.left_out:
            out.line(f"left out: {column.attr}: {column.left_out}")
    if not inferred.time:
        out.line(
            "no time: the split is random, and every figure says so; give --time if there is one"
        )
    out.line("its amounts are an example: edit what a decision is worth")
    out.line(f"next: `holdfast check {name}` and `holdfast train {name}`")
    out.result(
        {
            "file": str(path),
            "rows": inferred.rows,
            "task": inferred.task,
            "columns": {c.attr: c.kind for c in kept},
            "left_out": {c.attr: c.left_out for c in inferred.columns if c.left_out},
        }
    )


def _described(column: Any) -> list[str]:
    bounds = " ".join(f"{name} {bound:g}" for name, bound in column.bounds)
    kind = column.kind.replace("_", " ")
    return [
        column.attr,
        f"{kind}, {bounds}" if bounds else kind,
        "allowed" if column.nullable else "not allowed",
    ]
