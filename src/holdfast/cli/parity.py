"""The verb `parity`: what was served against what the log says, value by value."""

from __future__ import annotations

from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.cli.verb import Session, verb

__all__ = ["parity"]

DIFFERENCES_SHOWN = 10
WORDS = {"served": "served answers recomputed", "history": "history served again"}


@click.command()
@click.argument("name", required=False)
@click.option(
    "--sample",
    type=click.IntRange(0),
    default=1_000,
    show_default=True,
    help="Served answers to recompute; 0 takes all of them.",
)
@click.option(
    "--rows",
    type=click.IntRange(0),
    default=2_000,
    show_default=True,
    help="Rows at the end of history to serve again; 0 for none.",
)
@verb
def parity(session: Session, name: str | None, *, sample: int, rows: int) -> int:
    """Compare what NAME served with what history and the log say, bit by bit.

    A sample of served answers is recomputed from the rows of their keys. The end of history is
    served again, one row at a time, and compared with the training set. The first difference
    names the feature, the entity, both values and the events behind them. Exit code 1 when a
    single value differs.
    """
    out = session.out
    found = session.project().parity(name, rows=rows, sample=sample or None)
    differ = 0
    for which, one in found.items():
        if one is None:
            if which == "served":
                out.line("served answers: none yet")
            continue
        differ += one.differ
        out.line(
            f"{WORDS[which]}: {one.values:,} values of {one.rows:,} rows, {one.differ:,} differ"
        )
        _show(out, one)
    out.result({which: None if one is None else one.as_dict() for which, one in found.items()})
    return 1 if differ else 0


def _show(out: Output, found: Any) -> None:
    for one in found.differences[:DIFFERENCES_SHOWN]:
        out.line(f"  {one.in_words()}")
    more = found.differ - DIFFERENCES_SHOWN
    if more > 0:
        out.line(f"  and {more:,} more")
