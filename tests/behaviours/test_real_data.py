"""Real tables: what the benchmarks aim at holds, where the data sets are there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fraud_handbook", "nycflights13", "sms_spam", "tables"])
def test_every_goal_is_met(name: str, data_folder: Path) -> None:
    report = import_module(f"benchmarks.{name}").run(data_folder)
    missed = [row for row in report.rows if not row["holds"]]
    assert report.rows
    assert missed == []
