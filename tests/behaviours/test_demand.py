"""The example of demand, to the letter: checked, trained, told in money, served, in batch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.core.clock import FixedClock, iso, parse_time
from holdfast.errors import ContractError, NotFoundError
from holdfast.loop.project import Project
from holdfast.serving.app import ServiceApplication
from holdfast.serving.service import Service
from holdfast.serving.wire import Request

EXAMPLE = Path(__file__).parents[2] / "examples" / "demand.py"
DAY = 86_400_000_000
START = parse_time("2025-01-01")
DAYS, STORES, ITEMS = 240, 8, 5
NOW = START + DAYS * DAY + 9 * 3_600_000_000
ASKED = {"store_id": "s1", "item_id": "i1"}


def world(folder: Path) -> None:
    """Sales with a week's rhythm, tripled on days of a promotion; prices that change."""
    rng = np.random.default_rng(3)
    days = np.arange(DAYS)
    promoted = rng.random((DAYS // 7 + 1, ITEMS)) < 0.35
    sales = []
    for store in range(STORES):
        for item in range(ITEMS):
            rate = (
                4
                + 3 * store
                + 2 * item
                + 4 * (days % 7 >= 5)
                + 30 * (promoted[days // 7, item] & (days % 7 == 3))
            )
            for day, units in enumerate(rng.poisson(rate)):
                at = START + day * DAY + int(rng.integers(8, 20)) * 3_600_000_000
                sales.append((at, f"s{store}", f"i{item}", int(units)))
    promotions = [
        (START + (week * 7 - 14) * DAY, START + (week * 7 + 3) * DAY + DAY // 3, f"i{item}", 0.25)
        for week, row in enumerate(promoted)
        for item in range(ITEMS)
        if row[item]
    ]
    prices = [
        (START + day * DAY, f"i{item}", 2.0 + item + 0.001 * day, 1.0 + 0.5 * item)
        for day in range(-1, DAYS, 30)
        for item in range(ITEMS)
    ]
    for name, columns, rows in (
        ("sales", ["sold_at", "store_id", "item_id", "units"], sorted(sales)),
        ("promotions", ["announced_at", "starts_at", "item_id", "discount"], promotions),
        ("prices", ["valid_from", "item_id", "price", "cost"], prices),
    ):
        clocks = [name for name in columns if name.endswith(("_at", "_from"))]
        times = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name in clocks]
        (folder / name).mkdir()
        frame = pl.DataFrame(rows, schema=columns, orient="row").with_columns(times)
        frame.write_parquet(folder / name / "rows.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demand")
    shutil.copy(EXAMPLE, path)
    world(path)
    return path


@pytest.fixture(scope="module")
def trained(folder: Path) -> Any:
    return Project(folder, clock=FixedClock(NOW)).train()


@pytest.fixture
def service(folder: Path, trained: Any) -> Iterator[Service]:
    with Project(folder, clock=FixedClock(NOW)).service() as service:
        yield service


def test_the_example_has_no_gap_of_schedules() -> None:
    (checked,) = Project(EXAMPLE.parent).check("demand.py")
    assert checked.faults == ()
    assert {gap.code for gap in checked.gaps} == {"HF903"}


def test_every_morning_of_every_store_and_item_is_a_row(folder: Path) -> None:
    rows = Project(folder, clock=FixedClock(NOW)).training_set()
    moments = np.unique(rows.time_us)
    assert len(rows) == len(moments) * STORES * ITEMS
    local = pl.Series(moments).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Lisbon")
    assert set(local.dt.hour()) == {5}
    assert len(moments) == DAYS - 1
    ends = rows.time_us + 7 * DAY
    last = int(Project(folder, clock=FixedClock(NOW)).history().tables["Sale"].known_us[-1])
    assert np.isnan(rows.label[ends > last]).all() and not np.isnan(rows.label[ends <= last]).any()


def test_the_season_is_the_label_of_a_week_ago(folder: Path) -> None:
    rows = Project(folder, clock=FixedClock(NOW)).training_set()
    season = rows.values[:, rows.names.index("season_7d")]
    keys = rows.rows.with_columns(season=season, label=rows.label)
    earlier = keys.select(pl.col("at") + 7 * DAY, "store_id", "item_id", before=pl.col("label"))
    met = keys.join(earlier, on=["at", "store_id", "item_id"]).drop_nulls()
    met = met.filter(pl.col("before").is_not_nan())
    assert met.height > 1_000
    assert (met.get_column("season") - met.get_column("before")).abs().mean() < 1.0


def test_money_is_told_against_the_season(trained: Any) -> None:
    final = trained.result.report["final"]
    assert final["SeasonalNaive"]["role"] == "candidate"
    assert trained.result.chosen == "LightGBM"
    gain = final["SeasonalNaive"]["gain_of_chosen"]
    assert gain["low"] > 0
    assert final["LightGBM"]["metrics"]["rmse"] < 0.9 * final["SeasonalNaive"]["metrics"]["rmse"]


def test_parity_of_history_and_of_what_was_served(folder: Path, trained: Any) -> None:
    project = Project(folder, clock=FixedClock(NOW))
    with project.service() as service:
        first = service.predict({**ASKED, "at": iso(NOW - 3_600_000_000)})
        service.event("Sale", {**ASKED, "sold_at": iso(NOW - 1_000_000), "units": 3})
        second = service.predict(ASKED)
        assert second.row["at"] == NOW
        assert first.features != second.features
    rows = project.training_set()
    for prediction in (first, second):
        values = np.array([np.nan if v is None else v for v in prediction.features])
        place = int(np.flatnonzero(rows.time_us == prediction.row["at"])[-1])
        assert values.tobytes() == rows.values[place].tobytes()


def test_the_api_tells_of_entities_and_the_moment(service: Service) -> None:
    asked = Request(method="GET", path="/openapi.json")
    paths = json.loads(ServiceApplication(service).handle(asked).body)["paths"]
    assert "/event/Sale" in paths and "/event/Every" not in paths
    said = paths["/predict"]["post"]
    assert said["summary"] == "Decide one store_id and item_id"
    row = said["requestBody"]["content"]["application/json"]["schema"]["anyOf"][0]
    assert row["required"] == ["store_id", "item_id"] and set(row["properties"]) == {"at", *ASKED}
    with pytest.raises(NotFoundError) as caught:
        service.event("Every", ASKED)
    assert caught.value.code == "HF505"
    with pytest.raises(ContractError) as missing:
        service.predict({"store_id": "s1"})
    assert missing.value.field == "item_id"


def test_a_batch_is_everybody_at_the_latest_moment(folder: Path, trained: Any) -> None:
    project = Project(folder, clock=FixedClock(NOW))
    out = folder / "orders.parquet"
    counts = project.predict_schedule(None, out)
    told = pl.read_parquet(out)
    assert counts["rows"] == counts["by_model"] == STORES * ITEMS
    assert told.get_column("at").unique().to_list()[0].hour == 4  # 05:00 in Lisbon in summer
    assert (told.get_column("quantity") > 0).all()


def test_a_batch_of_an_earlier_moment_sees_nothing_later(folder: Path, trained: Any) -> None:
    project = Project(folder, clock=FixedClock(NOW))
    rows = project.training_set(live=False)
    at = int(np.unique(rows.time_us)[100])
    project.predict_schedule(None, folder / "then.parquet", at_us=at)
    told = pl.read_parquet(folder / "then.parquet")
    then = rows.take(rows.time_us == at)
    answers = project.bundle().predict(then.values, then.context, {})
    assert told.get_column("score").to_list() == answers.probability.tolist()


def test_a_moment_without_anybody_says_so(folder: Path, trained: Any) -> None:
    project = Project(folder, clock=FixedClock(NOW + 3_000 * DAY))
    with pytest.raises(ContractError) as caught:
        project.predict_schedule(None, folder / "none.csv")
    assert caught.value.code == "HF207"
