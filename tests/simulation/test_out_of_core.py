"""A log larger than the memory that may be used: built in parts, with the bits of memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.testing.worlds import event_log

EVENTS = 1_300_000
MEMORY = 400 << 20

DEFINITION = """
import holdfast as hf

Entity = hf.Entity("entity_id")


class Happened(hf.Event, source="events/*.parquet"):
    event_id = hf.Key()
    happened_at = hf.EventTime()
    entity_id = hf.Key(Entity)
    amount = hf.Float()
    quantity = hf.Float()
    score = hf.Float()


by = Happened.by(Entity)
large = by.any(ahead="1h")
kinds = ("sum", "mean", "min", "max")
features = {
    f"{kind}_{column.attr}_{window}": getattr(by, kind)(column, over=window)
    for kind in kinds
    for column in (Happened.amount, Happened.quantity, Happened.score)
    for window in ("1h", "1d", "30d")
}
use_case = hf.UseCase(
    name="large", owner="tests", each=Happened, predict=large,
    features=type("Features", (hf.Features,), features),
    value=hf.Payoff("EUR", yes=hf.when(large, 1, -1), no=0),
    training=hf.Training(candidates=[hf.LogisticRegression()]),
)
"""
CHILD = """
import json, sys
import numpy as np
from holdfast.loop.project import Project

def peak_mb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

project = Project(sys.argv[1])
if sys.argv[2]:
    rows = project.build(None, sys.argv[2], memory=int(sys.argv[3]), workers=1)
    peak = peak_mb()
    rows = rows.load()
else:
    rows = project.training_set(live=False)
    peak = peak_mb()
bits = np.ascontiguousarray(np.where(np.isnan(rows.values), np.nan, rows.values)).view(np.uint64)
places = np.arange(1, bits.size + 1, dtype=np.uint64).reshape(bits.shape)
print(json.dumps({"peak": peak, "rows": len(rows), "sum": int((bits * places).sum())}))
"""


def told(folder: Path, out: str) -> dict[str, float]:
    """What a process of its own says of its peak and its rows."""
    command = [sys.executable, "-c", CHILD, str(folder), out, str(MEMORY)]
    found = subprocess.run(command, capture_output=True, check=False, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    return json.loads(found.stdout)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_log_larger_than_the_bound_is_built_within_it(tmp_path: Path) -> None:
    event_log(tmp_path, events=EVENTS)
    (tmp_path / "large.py").write_text(DEFINITION, encoding="utf-8")
    small = told(tmp_path, str(tmp_path / "out"))
    whole = told(tmp_path, "")
    assert (small["rows"], small["sum"]) == (whole["rows"], whole["sum"])
    libraries = 400  # what Python and its libraries take before there is any data
    assert small["peak"] < libraries + MEMORY / (1 << 20)
    assert whole["peak"] > libraries + MEMORY / (1 << 20)  # in memory it would not fit
