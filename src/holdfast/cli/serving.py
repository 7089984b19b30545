"""Verbs about decisions: serve, predict, explain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holdfast.cli.output import Output, money, number
from holdfast.cli.verb import Session, moment, verb

__all__ = ["explain", "predict", "serve", "show_prediction"]


@click.command()
@click.argument("name", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True)
@click.option("--version", type=int, help="A version; the current one if not given.")
@verb
def serve(session: Session, name: str | None, *, host: str, port: int, version: int | None) -> None:
    """Serve the decisions of NAME over HTTP, until SIGTERM or Ctrl-C.

    Only this machine can reach it: keys for others come with a later version. What was accepted
    is finished before it stops. Port 0 takes a free one. Without --version it goes over to a
    model that is promoted meanwhile, once the state of its features is filled.
    """
    from importlib import import_module

    out, project = session.out, session.project()
    application = import_module("holdfast.serving.app").ServiceApplication
    run = import_module("holdfast.serving.http").serve

    def ready(address: Any) -> None:
        out.line(f"serving {service.plan.use_case} version {service.bundle.version}")
        out.line(f"  {address.url}/predict\n  {address.url}/docs")
        out.line("stop with Ctrl-C")
        out.result({"url": address.url, "version": service.bundle.version})
        out.flush()

    with project.service(name, version, follow=version is None) as service:
        run(application(service), host=host, port=port, on_ready=ready)
        out.line(", ".join(f"{count:,} {_words(what)}" for what, count in service.counts.items()))


def _words(name: str) -> str:
    return name.replace("_", " ")


@click.command()
@click.argument("name")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="[SOURCE] TARGET"
)
@click.option(
    "--at",
    callback=moment,
    help="A moment to decide at, without SOURCE; the last one if not given.",
)
@click.option("--version", type=int, help="A version; the current one if not given.")
@verb
def predict(
    session: Session, name: str, files: tuple[Path, ...], *, at: int | None, version: int | None
) -> None:
    """Decide every row of the file SOURCE and write the file TARGET.

    One row out for each row in: a row that breaks the contract says why in `problem`. Kinds of
    files: .csv, .parquet, .jsonl. A use case on a schedule (`hf.Every`) needs no SOURCE: every
    entity that is there at the moment is decided about.
    """
    if len(files) > 2 or (at is not None and len(files) == 2):
        raise click.UsageError("give SOURCE and TARGET, or TARGET alone, then perhaps --at")
    out, project, target = session.out, session.project(), files[-1]
    if len(files) == 2:
        counts = project.predict_file(name, files[0], target, version=version)
    else:
        counts = project.predict_schedule(name, target, at_us=at, version=version)
    out.line(", ".join(f"{count:,} {_words(what)}" for what, count in counts.items()))
    out.line(f"written to {target}")
    out.result({**counts, "file": str(target)})


@click.command()
@click.argument("name")
@click.argument("prediction_id")
@verb
def explain(session: Session, name: str, prediction_id: str) -> None:
    """Explain one served decision of NAME: inputs, features as served, worth, reasons."""
    project = session.project()
    prediction = project.explain(name, prediction_id)
    plan = project.plan_of(project.model(name, prediction.model_version))
    show_prediction(session.out, prediction, plan)
    import msgspec

    content = msgspec.to_builtins(prediction)
    content["features"] = dict(zip(plan.feature_names, prediction.features, strict=False))
    session.out.result(content)


def show_prediction(out: Output, prediction: Any, plan: Any) -> None:
    """Write one logged prediction for people."""
    from holdfast.core.clock import iso
    from holdfast.core.fingerprint import category_id

    out.line(
        f"{prediction.prediction_id}, {iso(prediction.at_us)}, by {prediction.by} "
        f"version {prediction.model_version}"
    )
    if prediction.retracted_us is not None:
        out.line(f"  its row was taken back at {iso(prediction.retracted_us)}")
    if prediction.failure:
        out.line(f"  the model failed: {prediction.failure}")
    times = {c.attr for c in plan.schemas[plan.each].columns if c.kind.endswith("time")}
    given = {k: iso(v) if k in times else v for k, v in prediction.row.items() if v is not None}
    out.line("  row: " + ", ".join(f"{name}={value}" for name, value in given.items()))
    out.line(f"  score: {number(prediction.score, 4)}")
    for decision, worth in prediction.expected_values.items():
        mark = "*" if decision == prediction.decision else " "
        out.line(f"  {mark} {decision}: {money(worth, prediction.currency)}")
    if not prediction.expected_values:
        out.line(f"  decision: {prediction.decision}")
    for reason in prediction.reasons:
        out.line(f"  because {reason.words}")
    texts = {category_id(v): v for v in prediction.row.values() if isinstance(v, str)}
    shown = []
    for feature, value in zip(plan.features, prediction.features, strict=False):
        if feature.text and prediction.row.get(feature.text) is not None:
            words = repr(prediction.row[feature.text])
        elif value is None:
            words = "missing"
        elif feature.kind == "boolean":
            words = "yes" if value else "no"
        else:
            words = texts.get(value, f"{value:g}")
        shown.append(f"{feature.name}={words}")
    out.line(f"  features as served: {', '.join(shown)}")
