"""The verb `demo`: the whole path on a generated world whose truth is known."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from holdfast.cli.output import Output, money
from holdfast.cli.verb import Session, verb

__all__ = ["demo"]

REQUESTS = 1_000
VERIFIED_ROWS = 20_000


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path("demo"), help="Where to write."
)
@click.option(
    "--payments",
    type=click.IntRange(20_000, 20_000_000),
    default=500_000,
    show_default=True,
    help="Payments of the generated world.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the world.")
@verb
def demo(session: Session, *, folder: Path, payments: int, seed: int) -> int:
    """Run the whole path: world, audit, features, training, live decisions, proof.

    Everything is written into the folder `demo`; run it again and it starts over.
    """
    out = session.out
    run = import_module("holdfast.cli.demo_run")
    clock = import_module("holdfast.core.clock").monotonic_s
    began, progress = clock(), out.progress()
    folder = session.folder / folder
    run.start_over(folder)
    found: dict[str, Any] = {}

    _title(out, 1, "A world of card payments, with three patterns of fraud and late charge-backs")
    made = found["world"] = run.world(folder, payments=payments, seed=seed, progress=progress)
    out.line(f"  {made['payments']:,} payments, {made['fraud_rate']:.2%} fraud, in {folder}")
    project = import_module("holdfast.loop.project").Project(folder, progress=progress)

    _title(out, 2, "The audit: what is in the data")
    audit = project.audit()
    show = import_module("holdfast.cli.data").show_audit
    for about in audit.values():
        show(out, about)
    found["audit"] = {name: about.as_dict() for name, about in audit.items()}

    _title(out, 3, "The features: one implementation, replayed over history")
    events, rate = run.fold_rate(project)
    found["features"] = {"events": events, "events_per_s": rate}
    out.line(f"  {events:,} events folded, {rate:,.0f} a second")

    _title(out, 4, "The candidates, in money, on payments later than those they learnt from")
    trained = project.train()
    report = found["training"] = trained.result.as_dict()
    import_module("holdfast.cli.training").show_report(out, report)
    best = found["best_possible"] = run.best_of_world(project, folder, report)
    _show_bounds(out, report, best)

    _title(out, 5, "Live decisions over HTTP, one connection, each logged before it is answered")
    live = run.served(folder, requests=REQUESTS, progress=progress)
    found["live"] = vars(live)
    decided = ", ".join(f"{count:,} {name}" for name, count in live.decisions.items())
    out.line(f"  {live.requests:,} requests: {decided}; {live.fallbacks} by the fallback")
    out.line(f"  median {live.latency_ms_p50:.2f} ms, 99% within {live.latency_ms_p99:.2f} ms")

    _title(out, 6, "Training against serving, value by value")
    differ = _show_parity(out, project, found)

    _title(out, 7, "One decision explained")
    show_one = import_module("holdfast.cli.serving").show_prediction
    show_one(out, project.explain(None, live.explained), project.plan())

    found["seconds"] = clock() - began
    out.line()
    out.line(f"Done in {found['seconds']:.0f} s. Next:")
    out.line(f"  cd {folder} && holdfast serve")
    out.result(found)
    return 1 if differ or live.fallbacks else 0


def _title(out: Output, number: int, text: str) -> None:
    out.line()
    out.line(f"{number}. {text}")


def _show_bounds(out: Output, report: dict[str, Any], best: dict[str, Any]) -> None:
    currency = report["currency"]
    chosen = report["final"][report["chosen"]]["per_1000"]["value"]
    without = report["final"]["approve all"]["per_1000"]["value"]
    possible = best["best_possible_per_1000"]
    out.line(f"  approve all: {money(without, currency)} per 1,000 decisions")
    out.line(f"  {report['chosen']}: {money(chosen, currency)}")
    out.line(f"  best possible in this world: {money(possible, currency)} (knows each payment's")
    out.line("  true probability of a charge-back, which no model can)")
    share = (chosen - without) / (possible - without)
    out.line(f"  so the model earns {share:.0%} of what there is to earn")


def _show_parity(out: Output, project: Any, found: dict[str, Any]) -> int:
    differ = 0
    found["parity"] = {}
    for which, parity in project.parity(rows=VERIFIED_ROWS).items():
        if parity is None:
            continue
        differ += parity.differ
        found["parity"][which] = parity.as_dict()
        words = "history served again" if which == "history" else "live answers"
        out.line(f"  {words}: {parity.values:,} values compared, {parity.differ} differ")
    return differ
