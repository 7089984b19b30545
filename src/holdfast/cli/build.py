"""The verb about training sets larger than memory: build."""

from __future__ import annotations

import re
from pathlib import Path

import click

from holdfast.cli.verb import Session, verb

__all__ = ["build"]

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(_ctx: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return an option such as 512MB or 2GB in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", value.strip().upper())
    if found is None:
        raise click.BadParameter(f'"{value}" is no size; write 512MB or 2GB', param=parameter)
    return int(float(found[1]) * UNITS[found[2]])


@click.command()
@click.argument("name", required=False)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="The folder of the training set; the work stands there, too, until it is done.",
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    help="Where tasks run: local, ray (started here), or ray:ADDRESS of a cluster.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Tasks at a time. One if not given; every CPU for ray.",
)
@click.option(
    "--memory",
    callback=size,
    default="2GB",
    show_default=True,
    help="What all workers of one machine may take together.",
)
@verb
def build(
    session: Session,
    name: str | None,
    *,
    folder: Path,
    executor: str,
    workers: int | None,
    memory: int,
) -> None:
    """Build the training set of NAME into a folder, from files larger than memory.

    The same rows and bits as `holdfast features NAME` gives in memory. Stopped at any moment, the
    same command goes on from there. `holdfast train NAME --built DIR` learns from it.
    """
    out, project = session.out, session.project()
    saved = project.build(name, folder, executor=executor, workers=workers or 0, memory=memory)
    told = saved.manifest
    rows, labelled, events = (f"{told[key]:,}" for key in ("rows", "labelled", "events"))
    out.line(f"{rows} rows, {labelled} with a label; {events} events folded")
    for source, about in told["sources"].items():
        aside = about["rows_read"] - about["rows_kept"]
        kept = f"{source}: {about['rows_kept']:,} of {about['rows_read']:,} rows kept"
        out.line(f"{kept}; the others are in {folder}/quarantine/{source}" if aside else kept)
    out.line(f"written to {folder} in {len(told['parts'])} parts")
    out.line(f"next: `holdfast train {saved.plan.use_case} --built {folder}`")
    listed = ("rows", "labelled", "events", "late", "sources", "partitions")
    out.result(
        {**{key: told[key] for key in listed}, "parts": len(told["parts"]), "folder": str(folder)}
    )
