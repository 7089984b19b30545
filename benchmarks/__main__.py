"""Run benchmarks: `python -m benchmarks [DATA] [NAME ...]`.

DATA is a folder with the real data sets; without it (or HOLDFAST_DATA) only those run that make
their own data. Exit code 1 when a goal is missed.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

NEED_DATA = ("fraud_handbook", "nycflights13", "rossmann", "sms_spam", "tables")
GENERATED = ("event_log", "online")


def main(arguments: list[str]) -> int:
    """Run the benchmarks named, or all that can run here."""
    names = [a for a in arguments if a in NEED_DATA + GENERATED]
    folders = [a for a in arguments if a not in names]
    data = folders[0] if folders else os.environ.get("HOLDFAST_DATA", "")
    missed = 0
    for name in names or NEED_DATA + GENERATED:
        if name in NEED_DATA and not Path(data or "/nowhere").is_dir():
            print(f"{name}: needs the shared data sets: give their folder, or set HOLDFAST_DATA")
            continue
        report = import_module(f"benchmarks.{name}").run(Path(data))
        report.show()
        missed += report.missed
    return 1 if missed else 0


sys.exit(main(sys.argv[1:]))
