"""Verbs about the project: check, status, doctor."""

from __future__ import annotations

from typing import Any

import click

from holdfast.cli.output import money, number
from holdfast.cli.verb import Session, verb
from holdfast.errors import DefinitionError

__all__ = ["check", "doctor", "status"]


@click.command()
@click.argument("name", required=False)
@verb
def check(session: Session, name: str | None) -> int:
    """Check one definition, or all: every fault at once, with file, line and hint.

    NAME is a use case or a file. Says also what the language can say and this version cannot run
    yet. Exit code 2 when there are faults.
    """
    out = session.out
    checks = session.project().check(name)
    content, faults = [], 0
    for found in checks:
        use_case = found.use_case
        faults += len(found.faults)
        content.append(
            {
                "use_case": use_case.name,
                "faults": [fault.as_dict() for fault in found.faults],
                "gaps": [vars(gap) for gap in found.gaps],
            }
        )
        state = f"{len(found.faults)} faults" if found.faults else "ok"
        features = len(use_case.features.features)
        out.line(f"{use_case.name}: {state}, {features} features")
        for fault in found.faults:
            out.line(str(fault))
        for gap in found.gaps:
            kind = "slow" if gap.code == "HF906" else "cannot run yet"
            out.line(f"  {kind}: {gap.what} ({gap.where})")
    if not checks:
        out.line("no use case is defined here; `holdfast new fraud` writes one")
    if out.as_json and faults:
        out.error(_all_of(tuple(fault for found in checks for fault in found.faults)))
    else:
        out.result(content)
    return 2 if faults else 0


def _all_of(faults: tuple[DefinitionError, ...]) -> DefinitionError:
    """Return one error that carries the faults of every definition."""
    first = faults[0]
    return DefinitionError(
        first.what, code=first.code, site=first.site, hint=first.hint, faults=faults
    )


@click.command()
@verb
def status(session: Session) -> None:
    """Show each use case: its model, what it is worth, what was served."""
    out = session.out
    found = session.project().status()
    rows = []
    for name, about in found.items():
        metrics: dict[str, Any] = about["metrics"] or {}
        worth = metrics.get("per_1000") or {}
        rows.append(
            [
                name,
                "none" if about["current"] is None else f"{about['current']} ({about['kind']})",
                money(worth.get("value"), metrics.get("currency", "")),
                number(metrics.get("auc")),
                f"{about['predictions']:,}",
                about["latest_at"] or "-",
            ]
        )
    columns = ("use case", "model", "per 1,000", "AUC", "served", "latest")
    out.table(columns, rows)
    for name, about in found.items():
        if about["current"] is None:
            out.line(f"{name} has no model: `holdfast train {name}`")
        elif about["latest"]:
            out.line(f"explain the latest: `holdfast explain {name} {about['latest']}`")
    if not found:
        out.line("no use case is defined here; `holdfast new fraud` writes one")
    out.result(found)


@click.command()
@verb
def doctor(session: Session) -> int:
    """Check this machine and this project; say what to do about each finding.

    Exit code 1 when something needs a look.
    """
    from importlib import import_module

    out = session.out
    found = import_module("holdfast.loop.doctor").examine(session.folder)
    for finding in found:
        mark = "ok" if finding.ok else "LOOK"
        out.line(f"{mark:<5}{finding.what}: {finding.state}")
        if not finding.ok:
            out.line(f"     hint: {finding.hint}")
    out.result([vars(finding) for finding in found])
    return 0 if all(finding.ok for finding in found) else 1
