"""Verbs about data: audit."""

from __future__ import annotations

from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.cli.verb import Session, verb

__all__ = ["audit", "show_audit"]

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
