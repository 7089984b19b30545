"""Training sets from a log of events beside other engines: seconds, ratios, peak memory, growth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Report

EVENTS = int(os.environ.get("HOLDFAST_BENCH_EVENTS", "10000000"))
RUNS = int(os.environ.get("HOLDFAST_BENCH_RUNS", "3"))
PEERS = {"polars": 1, "duckdb": 10, "pandas": 500}
"""Each peer, and the part of the events it is given: the slow ones get fewer."""
MODULES = {
    "holdfast": "holdfast_engine",
    "polars": "polars_rolling",
    "duckdb": "duckdb_frames",
    "pandas": "pandas_rolling",
}
WHOLE = os.environ.get("HOLDFAST_BENCH_WHOLE", "")
"""Set it to give the slow ones all events, too."""


def run(_data: Path) -> Report:
    """Return the figures: engines take turns, each run in a process of its own."""
    report = Report("event_log")
    peers = [name for name in PEERS if find_spec(name)]
    sizes = {name: EVENTS if WHOLE else EVENTS // PEERS[name] for name in peers}
    ours = _turns({("holdfast", size) for size in {EVENTS, *sizes.values()}} | set(sizes.items()))
    whole = ours["holdfast", EVENTS]
    report.add(f"holdfast, {EVENTS:,} events: seconds", whole["seconds"])
    report.add(f"holdfast, {EVENTS:,} events: events per second", EVENTS / whole["seconds"])
    beyond = whole["peak_gb"] - whole["output_gb"]
    report.add("peak memory beyond the output, GB", beyond, goal="<= 2", holds=beyond <= 2)
    goals = {"polars": 1.0, "duckdb": 40.0, "pandas": 1.0}
    for name in peers:
        size = sizes[name]
        theirs, mine = ours[name, size], ours["holdfast", size]
        ratio = theirs["seconds"] / mine["seconds"]
        report.add(f"{name}, {size:,} events: seconds", theirs["seconds"])
        report.add(
            f"{name}, {size:,} events: times the seconds of holdfast",
            ratio,
            goal=f">= {goals[name]:g}",
            holds=ratio >= goals[name],
        )
    report.facts["machine"] = f"{os.cpu_count()} cores; median of {RUNS} runs taken in turns"
    report.facts["threads"] = "holdfast 2; polars and duckdb all cores; pandas 1"
    return report


def _turns(wanted: set[tuple[str, int]]) -> dict[tuple[str, int], dict[str, float]]:
    """Return the medians of several rounds in which every engine has its turn."""
    told: dict[tuple[str, int], list[dict[str, Any]]] = {one: [] for one in sorted(wanted)}
    for _ in range(RUNS):
        for (name, size), found in told.items():
            if name == "holdfast" or len(found) == 0 or found[0]["seconds"] < 60:
                found.append(_ask(name, size))
    names = ("seconds", "peak_gb", "output_gb")
    return {
        one: {name: median(run[name] for run in found) for name in names}
        for one, found in told.items()
    }


def _ask(name: str, events: int) -> dict[str, Any]:
    command = [sys.executable, "-m", f"benchmarks.peers.{MODULES[name]}", str(events)]
    told = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[1])
    found: dict[str, Any] = json.loads(told.stdout)
    return found
