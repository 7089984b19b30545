"""When a schedule decides: clocks, zones, bounds; and what no schedule can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdfast.core.clock import iso, parse_time
from holdfast.define.check import check
from holdfast.define.load import load_file
from holdfast.errors import ContractError
from holdfast.features import schedule
from holdfast.features.compile_plan import compile_plan
from holdfast.features.schedule import latest_moment, moments_between
from holdfast.features.schedule_plan import SchedulePlan
from holdfast.loop.project import Project

HOUR = 3_600_000_000
DAY = 24 * HOUR
DEFINITION = """
import holdfast as hf

Shop, Town = hf.Entity("shop"), hf.Entity("town")


class Sale(hf.Event, source="sales.csv"):
    sold_at = hf.EventTime()
    shop = hf.Key(Shop)
    units = hf.Integer(ge=0)


class Features(hf.Features):
    week = Sale.by(Shop).sum(Sale.units, over="7d")
    {feature}


use_case = hf.UseCase(
    name="orders",
    owner="tests",
    each={each},
    predict=Sale.by(Shop).{predict},
    features=Features,
    value=hf.InventoryCost("EUR", underage=2, overage=1),
    training=hf.Training(candidates=[{candidate}], {training}),
)
"""
GOOD = {
    "each": 'hf.Every("1d", Shop)',
    "feature": "",
    "training": "",
    "candidate": "hf.LightGBM()",
    "predict": 'sum(Sale.units, ahead="7d")',
}


def written(folder: Path, **parts: str) -> Path:
    path = folder / "orders.py"
    path.write_text(DEFINITION.format(**(GOOD | parts)))
    return path


def plan(period_us: int, at_us: int = 0, zone: str = "UTC") -> SchedulePlan:
    return SchedulePlan(period_us=period_us, at_us=at_us, zone=zone, keys=("shop",), entities=())


def told(one: SchedulePlan, start: str, end: str) -> list[str]:
    moments = moments_between(one, parse_time(start), parse_time(end))
    return [iso(int(moment))[:16] for moment in moments]


FAULTS = {
    ("each", 'hf.Every("0d", Shop)'): ("HF105", "no time at all"),
    ("each", 'hf.Every("daily", Shop)'): ("HF105", "not a duration"),
    ("each", 'hf.Every("36h", Shop)'): ("HF145", "neither whole days nor a part of a day"),
    ("each", 'hf.Every("7h", Shop)'): ("HF145", "neither whole days nor a part of a day"),
    ("each", 'hf.Every("1d", Shop, at="5 o\'clock")'): ("HF145", "no time of day"),
    ("each", 'hf.Every("1d", Shop, at="24:00")'): ("HF145", "no time of day"),
    ("each", 'hf.Every("1d", Shop, at="05:00 Europe/Atlantis")'): ("HF127", "no time zone"),
    ("each", 'hf.Every("1d", Shop, at="05:00 ../etc")'): ("HF127", "no time zone"),
    ("each", 'hf.Every("1d")'): ("HF145", "names no entities"),
    ("each", 'hf.Every("1d", Shop, Shop)'): ("HF145", "names one twice"),
    ("each", 'hf.Every("1d", hf.Entity("at"))'): ("HF145", "whose key is `at`"),
    ("each", 'hf.Every("1d", Shop, Town)'): ("HF146", "no source tells which shop and town"),
    ("each", 'hf.Every("1d", Town)'): ("HF107", "needs the shop of each"),
    ("feature", "x = Sale.units"): ("HF108", "decisions are made for each `Every`"),
    ("feature", "x = Sale.by(Shop).seen(Sale.shop, over='7d')"): ("HF109", "was seen"),
    ("feature", "season_7d = Sale.by(Shop).count(over='7d')"): ("HF121", "SeasonalNaive"),
    ("predict", "any(ahead='7d')"): ("HF121", "SeasonalNaive"),
}


@pytest.mark.parametrize("wrong", FAULTS)
def test_every_fault_of_a_schedule_is_told(tmp_path: Path, wrong: tuple[str, str]) -> None:
    part, text = wrong
    parts = {part: text, "candidate": 'hf.SeasonalNaive("7d"), hf.LightGBM()'}
    (use_case,) = load_file(written(tmp_path, **parts))
    found = check(use_case).faults
    code, words = FAULTS[wrong]
    assert any(one.code == code and words in one.what for one in found), [str(f) for f in found]


def test_a_source_may_not_have_the_name_of_the_rows(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("Sale", "Every").replace("hf.Every(hf", "hf.Every(hf"))
    text = path.read_text().replace('hf.Every("1d"', 'hf.Every("1d"')
    path.write_text(text)
    (use_case,) = load_file(path)
    assert "HF145" in [fault.code for fault in check(use_case).faults]


def test_a_time_of_day_stays_when_the_clocks_change() -> None:
    lisbon = plan(DAY, 5 * HOUR, "Europe/Lisbon")
    assert told(lisbon, "2026-03-28", "2026-03-31") == [
        "2026-03-28T05:00", "2026-03-29T04:00", "2026-03-30T04:00",
    ]  # fmt: skip
    assert told(lisbon, "2026-10-24", "2026-10-27") == [
        "2026-10-24T04:00", "2026-10-25T05:00", "2026-10-26T05:00",
    ]  # fmt: skip


def test_a_time_left_out_comes_after_the_gap_and_a_repeated_one_once() -> None:
    gap = plan(DAY, 2 * HOUR + HOUR // 2, "Europe/Berlin")
    assert told(gap, "2026-03-29", "2026-03-30") == ["2026-03-29T01:30"]
    twice = told(gap, "2026-10-25", "2026-10-26")
    assert twice == ["2026-10-25T00:30"]


def test_parts_of_a_day_and_weeks_from_monday() -> None:
    assert told(plan(6 * HOUR, 5 * HOUR), "2026-01-01", "2026-01-01T23:59") == [
        "2026-01-01T05:00", "2026-01-01T11:00", "2026-01-01T17:00", "2026-01-01T23:00",
    ]  # fmt: skip
    assert told(plan(7 * DAY), "2026-01-01", "2026-01-13") == [
        "2026-01-05T00:00", "2026-01-12T00:00",
    ]  # fmt: skip


def test_the_bounds_count() -> None:
    one = plan(DAY, 5 * HOUR)
    assert told(one, "2026-01-01T05:00", "2026-01-02T05:00") == [
        "2026-01-01T05:00", "2026-01-02T05:00",
    ]  # fmt: skip
    assert told(one, "2026-01-02", "2026-01-01") == []
    assert latest_moment(one, parse_time("2026-01-02T05:00")) == parse_time("2026-01-02T05:00")
    assert latest_moment(one, parse_time("2026-01-02T04:59")) == parse_time("2026-01-01T05:00")


def project(folder: Path, sales: str, **parts: str) -> Project:
    written(folder, **parts)
    (folder / "sales.csv").write_text("sold_at,shop,units\n" + sales)
    return Project(folder)


SALES = "".join(f"2026-01-{day:02}T12:00,s{day % 2},3\n" for day in range(1, 21))


def test_more_rows_than_the_bound_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "ROWS_MAX", 36)
    whole = project(tmp_path, SALES)
    with pytest.raises(ContractError, match="37 rows; at most 36") as caught:
        whole.history()
    assert caught.value.code == "HF206" and "history=" in str(caught.value.hint)
    limited = project(tmp_path, SALES, training='history="10d"')
    assert len(limited.history().tables["Every"]) == 20


def test_more_moments_than_the_bound_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MOMENTS_MAX", 10)
    with pytest.raises(ContractError) as caught:
        project(tmp_path, SALES).history()
    assert caught.value.code == "HF206"


def test_history_before_any_moment_says_so(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as caught:
        project(tmp_path, "2026-01-01T12:00,s1,3\n").history()
    assert caught.value.code == "HF207"


def test_an_entity_leaves_after_the_longest_window(tmp_path: Path) -> None:
    sales = "2026-01-01T12:00,a,1\n2026-01-20T12:00,b,1\n"
    rows = project(tmp_path, sales).history().tables["Every"]
    days = rows.frame.get_column("at").to_numpy() // DAY - parse_time("2026-01-01") // DAY
    assert set(rows.frame.get_column("shop")) == {"a"}
    assert days.tolist() == list(range(1, 8))


def test_a_plan_with_a_schedule_is_plain_data(tmp_path: Path) -> None:
    (use_case,) = load_file(written(tmp_path, training='history="1y"'))
    made = compile_plan(use_case)
    again = type(made).from_dict(made.as_dict())
    assert again.schedule == made.schedule and again.as_dict() == made.as_dict()
    assert made.schedule is not None and made.schedule.history_us == 365 * DAY
    assert made.schedule.within_us == 7 * DAY


def test_no_rows_where_no_source_has_any() -> None:
    assert len(np.unique(moments_between(plan(DAY), 0, -1))) == 0
