"""Public holidays in a definition: what is refused, what compiles, and what stays in the plan."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.define import holidays as define
from holdfast.define.check import check
from holdfast.define.load import load_file
from holdfast.errors import DefinitionError
from holdfast.features.compile_plan import compile_plan
from holdfast.features.holidays import HolidayTable
from holdfast.features.plan import Plan
from tests.unit.define.test_check_ahead import case

FAULTS = {
    "x = hf.calendar.holidays('XX', ahead='7d')": ("HF143", "two letters, such as XK"),
    "x = hf.calendar.holidays('Portugal', ahead='7d')": ("HF143", 'write "PT"'),
    "x = hf.calendar.is_holiday('germany')": ("HF143", 'write "DE"'),
    "x = hf.calendar.is_holiday('DE-BZ')": ("HF143", "its parts are BB, BE, BW"),
    "x = hf.calendar.is_holiday('DE', subdivision='XYZW')": ("HF143", "its parts are BB"),
    "x = hf.calendar.is_holiday('SG-01')": ("HF143", "it has no parts"),
    "x = hf.calendar.holidays('PT', ahead='12h')": ("HF142", "7d"),
    "x = hf.calendar.holidays('PT', over='36h')": ("HF142", "7d"),
    "x = hf.calendar.holidays('PT', ahead='7d', offset='1h')": ("HF142", "7d"),
    "x = hf.calendar.holidays('PT', ahead='soon')": ("HF105", "7d"),
    "x = hf.calendar.holidays('PT')": ("HF105", "ahead"),
    "x = hf.calendar.holidays('PT', ahead='7d', over='7d')": ("HF105", "ahead"),
}


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def compiled(folder: Path, feature: str) -> Plan:
    (use_case,) = load_file(case(folder, feature))
    return compile_plan(use_case)


@pytest.mark.parametrize("feature", FAULTS)
def test_a_wrong_holiday_is_named(feature: str, tmp_path: Path) -> None:
    (use_case,) = load_file(case(tmp_path, feature))
    (fault,) = check(use_case).faults
    code, hint = FAULTS[feature]
    assert (fault.code, hint in fault.hint) == (code, True), fault


def test_rows_without_time_have_no_day(tmp_path: Path) -> None:
    path = case(tmp_path, "x = hf.calendar.is_holiday('PT')")
    text = path.read_text().replace('source="payments.parquet"', 'source="p", without_time=True')
    text = text.replace("    at = hf.EventTime()\n    card_id = hf.Key(Card)\n    amount",
                        "    card_id = hf.Key(Card)\n    amount")  # fmt: skip
    path.write_text(text.replace('known_after="30d"', "known_later=True"))
    (use_case,) = load_file(path)
    assert [fault.code for fault in check(use_case).faults] == ["HF117"]


def test_a_missing_package_is_one_fault_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(define, "find_spec", lambda name: None)
    (use_case,) = load_file(case(tmp_path, "x = hf.calendar.holidays('PT', ahead='7d')"))
    (fault,) = check(use_case).faults
    assert fault.code == "HF144" and "pip install 'holdfast[holidays]'" in fault.hint
    with pytest.raises(DefinitionError, match="HF144"):
        compile_plan(use_case)
    assert find_spec("holidays") is not None


def test_the_plan_carries_the_days_and_needs_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lisbon = "hf.calendar.at('Europe/Lisbon')"
    feature = f"x = {lisbon}.holidays('PT', ahead='7d') + {lisbon}.days_to_holiday('PT')"
    plan = compiled(tmp_path, feature)
    text = json.dumps(plan.as_dict())
    monkeypatch.setitem(sys.modules, "holidays", None)
    again = Plan.from_dict(json.loads(text))
    assert again == plan and again.fingerprint == plan.fingerprint
    (portugal,) = again.holidays
    assert portugal.package.startswith("holidays ") and portugal.country == "PT"
    assert len(json.dumps(portugal.as_dict())) < 10_000
    at = HolidayTable(portugal).at
    night = us("2023-11-30T23:59:59"), us("2023-12-01T00:00:00"), us("2023-12-01T23:59:59")
    assert at(np.array(night)).tolist() == [[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]
    week = us("2023-12-02T12:00:00")  # the 8th is a holiday, six days after it
    assert at(np.array([week])).tolist() == [[1.0, 6.0]]


def test_summer_time_moves_the_holiday_with_the_local_day(tmp_path: Path) -> None:
    plan = compiled(tmp_path, "x = hf.calendar.at('Europe/Lisbon').is_holiday('PT')")
    hours = ["2024-04-24T22:59:59", "2024-04-24T23:00:00", "2024-04-25T22:59:59"]
    found = HolidayTable(plan.holidays[0]).at(np.array([us(hour) for hour in hours]))
    assert found[:, 0].tolist() == [0.0, 1.0, 1.0]  # UTC+1 in April


def test_before_a_country_s_laws_begin_there_is_no_value(tmp_path: Path) -> None:
    plan = compiled(tmp_path, "x = hf.calendar.holidays('DE', subdivision='BY', over='1d')")
    found = HolidayTable(plan.holidays[0]).at(np.array([us("1991-01-01"), us("1991-01-02")]))
    assert np.isnan(found[0, 0]) and found[1, 0] == 1.0


def test_one_country_is_carried_once(tmp_path: Path) -> None:
    plan = compiled(
        tmp_path,
        "x = hf.calendar.holidays('PT', ahead='1w'); y = hf.calendar.holidays('PT', ahead='7d');"
        " z = hf.calendar.is_holiday('PT')",
    )
    assert [len(country.windows) for country in plan.holidays] == [2]
    kinds: dict[str, Any] = {feature.name: feature.kind for feature in plan.features}
    assert kinds["z"] == "boolean" and kinds["x"] == "number"
    words = {feature.name: feature.words for feature in plan.features}
    assert words["x"] == "holidays of PT, 1w ahead (UTC)"
    assert words["z"] == "is holiday of PT (UTC)"
