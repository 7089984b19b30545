"""A training set from a log of 10 million events: events folded per second, and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.report import Report

EVENTS = int(os.environ.get("HOLDFAST_BENCH_EVENTS", "10000000"))
SCRIPT = """
import json, sys
import numpy as np
from holdfast.core.clock import monotonic_s
from holdfast.features.engine.view import View
from holdfast.features.engine.operators import AggregateSpec, ViewSpec
from holdfast.testing.worlds import event_log
def peak_kb():  # of this process alone: getrusage would tell of its parent, too
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
events, threads = int(sys.argv[1]), int(sys.argv[2])
hour = 3_600_000_000
log = event_log(None, events=events)
base = peak_kb()
kinds = ("count", "sum", "mean", "min", "max")
spec = ViewSpec(3, tuple(
    AggregateSpec(kind, column, window)
    for window in (hour, 24 * hour, 30 * 24 * hour) for column in range(3) for kind in kinds
))
view = View(spec)
def replay(rows):
    return view.replay(
        entity=log.entity[:rows], time=log.time_us[:rows], action=np.full(rows, 3, np.int8),
        value_row=np.arange(rows), values=log.values[:rows], out_row=np.arange(rows),
        outputs=rows, threads=threads,
    )
replay(1000)
warm = np.ones(650_000_000); del warm
began = monotonic_s()
result = replay(events)
seconds = monotonic_s() - began
peak = peak_kb()
print(json.dumps({"seconds": seconds, "peak_gb": peak / 1e6, "log_gb": base / 1e6,
                  "output_gb": result.values.nbytes / 1e9}))
"""


def run(_data: Path) -> Report:
    """Return events per second and memory; each size in a process of its own."""
    import json

    report = Report("event_log")
    for events in (EVENTS // 10, EVENTS):
        told = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(events), "2"], capture_output=True, check=True
        )
        found = json.loads(told.stdout)
        rate = events / found["seconds"]
        report.add(f"{events:,} events, 45 features: events per second", rate)
        report.add(f"{events:,} events, 45 features: peak memory GB", found["peak_gb"])
        report.facts[f"{events:,} events"] = (
            f"{found['seconds']:.1f} s, output {found['output_gb']:.1f} GB of the peak, "
            f"log {found['log_gb']:.1f} GB before"
        )
    report.facts["published"] = "a prototype took 4.6 s for 10M events on 2 quiet cores"
    return report
