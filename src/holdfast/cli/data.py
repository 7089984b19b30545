"""Verbs about data: audit, features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.cli.verb import Session, moment, verb
from holdfast.errors import ConfigError

__all__ = ["audit", "features", "show_audit"]

FOLDING = "replaying the log"
VERDICTS = {
    "fine": "nothing stands out",
    "look": "look at these before you train",
    "stop": "do not train on this",
}


@click.command()
@click.argument("name", required=False)
@verb
def audit(session: Session, name: str | None) -> int:
    """Look at the data of NAME: rows, gaps, missing values, the label and its delay, suspects.

    Exit code 1 when the verdict is "do not train on this".
    """
    out = session.out
    found = session.project().audit(name)
    for about in found.values():
        show_audit(out, about)
    out.result({source: about.as_dict() for source, about in found.items()})
    return 1 if any(about.verdict == "stop" for about in found.values()) else 0


def show_audit(out: Output, about: Any) -> None:
    """Write the audit of one source for people."""
    span = f", {about.first[:10]} to {about.last[:10]}" if about.first else ", without time"
    out.line(f"{about.source}: {about.rows_kept:,} of {about.rows_read:,} rows kept{span}")
    for reason, count in about.quarantined.items():
        out.line(f"  quarantine: {count:,} {reason}")
    label = about.label
    if label is not None:
        text = f"  label: known for {label.known:,} rows, not yet for {label.unknown:,}"
        if label.rate is not None:
            text += f"; true in {label.rate:.2%}"
        elif label.mean is not None:
            text += f"; mean {label.mean:,.4g}"
        out.line(text)
        if label.delay_days_median is not None:
            out.line(
                f"  label delay: median {label.delay_days_median:.1f} days, "
                f"95% within {label.delay_days_p95:.1f}"
            )
    missing = sorted(about.missing.items(), key=lambda pair: -pair[1])
    if missing:
        worst = ", ".join(f"{column} {share:.1%}" for column, share in missing[:5])
        out.line(f"  missing: {worst}")
    out.line(f"  verdict: {VERDICTS[about.verdict]}")
    for finding in about.findings:
        out.line(f"    - {finding}")


@click.command()
@click.argument("name", required=False)
@click.option("--verify", is_flag=True, help="Compare training with serving, value by value.")
@click.option("--rows", type=click.IntRange(1), default=20_000, help="Rows that --verify serves.")
@click.option("--from", "from_us", callback=moment, metavar="TIME", help="First moment.")
@click.option("--to", "to_us", callback=moment, metavar="TIME", help="Moment to stop before.")
@click.option(
    "--out", "file", type=click.Path(path_type=Path), help="Write the training set to a .parquet."
)
@verb
def features(
    session: Session,
    name: str | None,
    *,
    verify: bool,
    rows: int,
    from_us: int | None,
    to_us: int | None,
    file: Path | None,
) -> int:
    """List the features of NAME and build its training set.

    With --verify, serve the last rows of history one at a time through the code that serves, and
    recompute every live answer; exit code 1 when a single value differs.
    """
    out, project = session.out, session.project()
    if file is not None and file.suffix != ".parquet":
        raise ConfigError(
            f'"{file.name}" is no Parquet file', code="HF705", hint="name it `something.parquet`"
        )
    if verify:
        return _verify(out, project, name, rows)
    history = project.history(name)
    listed = [[f.name, f.kind, f.words] for f in history.plan.features]
    out.table(("feature", "kind", "what it is"), listed)
    built = project.training_set(name, from_us=from_us, to_us=to_us)
    known = int((built.label == built.label).sum())
    rate = getattr(project.progress, "rates", {}).get(FOLDING)
    size = (built.values.nbytes + built.context.nbytes) / 2**20
    out.line(f"{len(built):,} rows, {known:,} with a label; {built.events:,} events folded")
    out.line(f"{rate or 0:,.0f} events a second; the training set takes {size:,.1f} MiB")
    if built.late:
        out.line(
            f"{built.late:,} events came too late for some window and were counted, not folded"
        )
    if file is not None:
        _write(built, file)
        out.line(f"written to {file}")
    out.result(
        {
            "features": [dict(zip(("name", "kind", "words"), row, strict=True)) for row in listed],
            "rows": len(built),
            "labelled": known,
            "events": built.events,
            "events_per_s": rate,
            "memory_mib": size,
            "late": built.late,
            "file": None if file is None else str(file),
        }
    )
    return 0


def _verify(out: Output, project: Any, name: str | None, rows: int) -> int:
    found = project.verify(name, rows=rows)
    differ = 0
    for which, parity in found.items():
        if parity is None:
            out.line("live answers: none yet")
            continue
        differ += parity.differ
        words = "history served again" if which == "history" else "live answers"
        out.line(
            f"{words}: {parity.values:,} values of {parity.rows:,} rows, {parity.differ} differ"
        )
        for one in parity.differences[:10]:
            out.line(
                f"  `{one.feature}` at {one.at}: training {one.training!r}, serving {one.serving!r}"
            )
    out.result({k: None if v is None else v.as_dict() for k, v in found.items()})
    return 1 if differ else 0


def _write(built: Any, file: Path) -> None:
    import polars as pl

    columns = {name: built.values[:, at] for at, name in enumerate(built.names)}
    frame = pl.DataFrame({"time_us": built.time_us, **columns, "label": built.label})
    frame.fill_nan(None).write_parquet(file)
