"""Verbs about models: train, evaluate, models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holdfast.cli.output import Output, money, number
from holdfast.cli.verb import Session, moment, verb

__all__ = ["evaluate", "models", "show_report", "train"]


@click.command()
@click.argument("name", required=False)
@click.option("--from", "from_us", callback=moment, metavar="TIME", help="Learn from here.")
@click.option("--to", "to_us", callback=moment, metavar="TIME", help="Learn up to here.")
@click.option("--test-from", "test_from", callback=moment, metavar="TIME", help="Test from here.")
@click.option("--test-to", "test_to", callback=moment, metavar="TIME", help="Test up to here.")
@click.option("--candidate", is_flag=True, help="Register the model; leave the current one.")
@click.option("--built", type=click.Path(path_type=Path), help="Learn from what `build` wrote.")
@verb
def train(
    session: Session,
    name: str | None,
    *,
    from_us: int | None,
    to_us: int | None,
    test_from: int | None,
    test_to: int | None,
    candidate: bool,
    built: Path | None,
) -> None:
    """Train the candidates of NAME, choose by money, and register the model.

    The baselines are always beside: the same decision for every row, a simple rule, logistic
    regression. The new model becomes the current one unless --candidate.
    """
    out = session.out
    ranges: dict[str, tuple[int, int] | None] = {"train": None, "test": None}
    if None not in (from_us, to_us, test_from, test_to):
        ranges = {"train": _span(from_us, to_us), "test": _span(test_from, test_to)}
    elif any(x is not None for x in (from_us, to_us, test_from, test_to)):
        raise click.UsageError("give all of --from --to --test-from --test-to, or none")
    trained = session.project().train(name, promote=not candidate, built=built, **ranges)
    show_report(out, trained.result.report)
    record = trained.record
    out.line(f"registered: {record.name} version {record.version} ({record.status})")
    step = (
        f"models {record.name} --promote {record.version}" if candidate else f"serve {record.name}"
    )
    out.line(f"next: `holdfast {step}`")
    out.result({"version": record.version, "status": record.status, **trained.result.as_dict()})


def _span(begin: int | None, end: int | None) -> tuple[int, int] | None:
    return None if begin is None or end is None else (begin, end)


@click.command()
@click.argument("name", required=False)
@click.option("--version", type=int, help="A version; the current one if not given.")
@verb
def evaluate(session: Session, name: str | None, version: int | None) -> None:
    """Show what a trained model of NAME is worth: money, measures, slices, over time."""
    out = session.out
    report = session.project().evaluate(name, version)
    out.line(f"{report['use_case']} version {report['version']}")
    show_report(out, report)
    currency = report["currency"]
    out.table(
        ("slice", "rows", "label", f"{currency} per 1,000"),
        [
            [
                f"{s.get('feature', '')} = {s.get('value', '')}",
                f"{s['rows']:,}",
                number(s["label_mean"]),
                money(s["per_1000"]),
            ]
            for s in report["slices"][:12]
        ],
        title="slices, the worst first",
    )
    out.table(
        ("from", "rows", f"{currency} per 1,000", "label"),
        [
            [
                str(p.get("from", ""))[:10],
                f"{p['rows']:,}",
                money(p["per_1000"]),
                number(p["label_mean"]),
            ]
            for p in report["over_time"]
        ],
        title="over time",
    )
    out.result(report)


def show_report(out: Output, report: dict[str, Any]) -> None:
    """Write the table of candidates on the last test, and what a careful reader should know."""
    currency, chosen = report["currency"], report["chosen"]
    rows = []
    for name, figures in report["final"].items():
        worth, measures = figures["per_1000"], figures["metrics"]
        rows.append(
            [
                f"* {name}" if name == chosen else f"  {name}",
                money(worth["value"]),
                f"{worth['low']:,.0f} to {worth['high']:,.0f}",
                number(measures.get("auc", measures.get("rmse"))),
                number(measures.get("average_precision", measures.get("mae"))),
            ]
        )
    binary = report["task"] == "binary"
    measures_named = ("AUC", "avg. prec.") if binary else ("RMSE", "MAE")
    split = report["split"]
    out.table(
        ("", f"{currency}/1,000", "95% interval", *measures_named),
        rows,
        title=f"{split['kind']}: last test, {split['final']['test_rows']:,} rows",
    )
    for candidate in report["candidates"]:
        if candidate["error"]:
            error = candidate["error"]
            out.line(f"{candidate['name']} failed: {error.get('what', error)}")
    for finding in report["findings"]:
        out.line(f"- {finding}")
    rates = report["final"][chosen]["rates"]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in rates.items())
    out.line(f"chosen: {chosen}" + (f" ({shares})" if shares else ""))
    worths = {name: one["per_1000"]["value"] for name, one in report["final"].items()}
    if any(worth > worths[chosen] for worth in worths.values()):
        out.line("it earned most on the tests before; on this last one nothing is chosen")
    out.line(f"{report['shipped']['words']}")


@click.command()
@click.argument("name", required=False)
@click.option("--promote", type=int, metavar="VERSION", help="Make a version the current one.")
@verb
def models(session: Session, name: str | None, promote: int | None) -> None:
    """List the trained models of NAME, or of all use cases."""
    out, project = session.out, session.project()
    if promote is not None:
        record = project.promote(name, promote)
        out.line(f"{record.name} version {record.version} is current")
    found = project.models(name)
    rows = [
        [
            record.name,
            str(record.version),
            record.status,
            record.kind,
            money((record.metrics.get("per_1000") or {}).get("value")),
            number(record.metrics.get("auc")),
            _moment(record.created_us),
        ]
        for record in found
    ]
    out.table(("use case", "version", "status", "chosen", "per 1,000", "AUC", "trained"), rows)
    if not found:
        out.line("nothing was trained yet: `holdfast train`")
    out.result([vars(record) for record in found])


def _moment(time_us: int) -> str:
    from holdfast.core.clock import iso

    return iso(time_us)[:16].replace("T", " ")
