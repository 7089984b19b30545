"""The demo's path, step by step, without a word printed: each step returns what it found."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np
import polars as pl

from holdfast.cli.scaffold import PARTS, new_world, template
from holdfast.core.clock import monotonic_s, parse_time
from holdfast.core.progress import Progress
from holdfast.errors import ConfigError, InternalError
from holdfast.features.training_set import build_training_set
from holdfast.loop.project import Project
from holdfast.testing.worlds import best_possible_payments, live_payments

__all__ = ["Live", "best_of_world", "fold_rate", "served", "start_over", "world"]

REQUEST_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the service answered: latencies of one connection, and the decisions."""

    requests: int
    latency_ms_p50: float
    latency_ms_p99: float
    decisions: dict[str, int]
    fallbacks: int
    explained: str


def start_over(folder: Path) -> None:
    """Remove what an earlier demo left in a folder; anything else there is left alone.

    Raises:
        ConfigError: HF707 when the folder holds what a demo would overwrite and no demo wrote.
    """
    definition = folder / "fraud.py"
    ours = definition.is_file() and definition.read_text("utf-8") == template("fraud")
    for name in ("fraud.py", ".holdfast", *PARTS):
        if (folder / name).exists() and not ours:
            raise ConfigError(
                f"{folder} holds `{name}`, and not as a demo left it",
                code="HF707",
                site=str(folder / name),
                hint="name another folder: `holdfast demo --folder elsewhere`",
            )
    for name in (".holdfast", *PARTS):
        shutil.rmtree(folder / name, ignore_errors=True)


def world(folder: Path, *, payments: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Write the generated world and its definition, over what an earlier demo left."""
    made = new_world("fraud", folder, payments=payments, seed=seed, force=True, progress=progress)
    return dict(made.as_dict())


def fold_rate(project: Project) -> tuple[int, float]:
    """Return how many events a training set folds, and how many a second."""
    history = project.history()
    build_training_set(history.plan, {n: t.head(1) for n, t in history.tables.items()})  # compiles
    began = monotonic_s()
    rows = build_training_set(history.plan, history.tables, progress=project.progress)
    return rows.events, rows.events / max(monotonic_s() - began, 1e-9)


def best_of_world(project: Project, folder: Path, report: dict[str, Any]) -> dict[str, Any]:
    """Return what the best decision of this world earns on the rows of the last test.

    It knows each payment's probability of a charge-back, which no model can; the outcome counted
    is the charge-back, as for the models.
    """
    rows = project.training_set(live=False)
    final = report["split"]["final"]
    tested = pl.DataFrame({"payment_id": rows.rows["payment_id"], "time_us": rows.time_us}).filter(
        pl.col("time_us").is_between(
            parse_time(final["test_from"]), parse_time(final["test_to"]), closed="left"
        )
    )
    truth = pl.read_parquet(folder / "truth.parquet")
    kept = tested.select("payment_id").join(truth, on="payment_id", how="inner")
    amounts = rows.rows.select("payment_id", "amount")
    payments = kept.select("payment_id").join(amounts, on="payment_id", how="left")
    return dict(best_possible_payments(kept, payments, outcome="reported").as_dict())


@contextmanager
def _server(folder: Path) -> Iterator[SplitResult]:
    """Run `holdfast serve` as a process of its own, as users do, until the block ends."""
    command = (sys.executable, "-m", "holdfast.cli", "serve", "--port", "0", "--json")
    with subprocess.Popen(
        (*command, "--project", str(folder)), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield urlsplit(_ready(process)["url"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_TIMEOUT_S)


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the server says once it answers; its envelope ends with a closing brace."""
    text = ""
    for line in process.stdout or ():
        text += line
        if line.startswith("}"):
            envelope = json.loads(text)
            if envelope["ok"]:
                return dict(envelope["result"])
            break
    raise InternalError(
        "the demo's server did not start",
        code="HF900",
        hint=f"it said: {text.strip() or 'nothing'}",
    )


def served(folder: Path, *, requests: int, progress: Progress) -> Live:
    """Send the world's next payments to the real server, one after another, and time each."""
    payments = live_payments(folder).payments.head(requests)
    bodies = [
        json.dumps({**row, "paid_at": row["paid_at"].isoformat()})
        for row in payments.iter_rows(named=True)
    ]
    seconds: list[float] = []
    answers: list[dict[str, Any]] = []
    with _server(folder) as url:
        connection = http.client.HTTPConnection(
            url.hostname or "", url.port, timeout=REQUEST_TIMEOUT_S
        )
        with progress.step("live decisions", total=len(bodies), unit="requests") as step:
            for body in bodies:
                began = monotonic_s()
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = response.read()
                seconds.append(monotonic_s() - began)
                answers.append(json.loads(content))
                step.advance(1)
        connection.close()
    milliseconds = np.array(seconds) * 1e3
    decisions = [answer.get("decision", "error") for answer in answers]
    stopped = [a for a in answers if a.get("decision") in ("decline", "review")]
    return Live(
        requests=len(answers),
        latency_ms_p50=float(np.median(milliseconds)),
        latency_ms_p99=float(np.quantile(milliseconds, 0.99)),
        decisions={name: decisions.count(name) for name in sorted(set(decisions))},
        fallbacks=sum(answer.get("by") != "model" for answer in answers),
        explained=str((stopped or answers)[-1].get("prediction_id", "")),
    )
