"""The task that every engine is given, and how its time and memory are taken."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from time import perf_counter

import numpy as np

from holdfast.testing.worlds import EventLog, event_log

HOUR_US = 3_600_000_000
WINDOWS = {"1h": HOUR_US, "1d": 24 * HOUR_US, "30d": 720 * HOUR_US}
COLUMNS = ("a", "b", "c")
KINDS = ("count", "sum", "mean", "min", "max")
WARM_BYTES = 6 << 30


def peak_gb() -> float:
    """Return this process's own peak; getrusage would tell of its parent, too."""
    with open("/proc/self/status", encoding="ascii") as status:
        lines = [line for line in status if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1e6


def measure(work: Callable[[EventLog], int], *, spans: tuple[str, ...] = tuple(WINDOWS)) -> None:
    """Run an engine on a log of `argv[1]` events and print what it took.

    The first touch of a page can cost more than the work on it where memory is lent to a virtual
    machine: as many bytes as will be needed are touched, and given back, before the clock starts.
    """
    events = int(sys.argv[1])
    log = event_log(None, events=events)
    work(event_log(None, events=1_000))
    warm = np.ones(min(WARM_BYTES, 480 * events) // 8)
    del warm
    before = peak_gb()
    began = perf_counter()
    output = work(log)
    seconds = perf_counter() - began
    told = {
        "seconds": seconds,
        "peak_gb": peak_gb(),
        "before_gb": before,
        "output_gb": output / 1e9,
    }
    print(json.dumps({**told, "windows": list(spans)}))
