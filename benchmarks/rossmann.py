"""Daily sales of 1,115 stores six weeks ahead: promotions, closures and holidays are known.

Test: the open days of the last six weeks, 2015-06-20 to 2015-07-31, as their plan was known on the
first morning. The seasonal baseline is the median per store, weekday and promotion. Training rows
are planned in blocks of six weeks in the same way, so they see sales as old as the test's do.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

import holdfast as hf
from benchmarks.report import Report
from holdfast.core.clock import monotonic_s, parse_time
from holdfast.models.open import open_model
from holdfast.training.train import train

DEFINITION = Path(__file__).parent / "definitions" / "rossmann.py"
TRAIN = (parse_time("2014-01-01"), parse_time("2015-06-20"))
TEST = (parse_time("2015-06-20"), parse_time("2015-08-01"))
WEEKS = 6
BASELINE, GOAL = 0.1449, 0.1352  # RMSPE in the README of the data: the baseline, and LightGBM

Floats = npt.NDArray[np.float64]


def run(data: Path) -> Report:
    """Return our error beside that of the seasonal baseline on the same rows."""
    report = Report("rossmann")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(DEFINITION, folder)
        baseline = prepare(data / "rossmann", Path(folder))
        project = hf.Project(folder)
        history = project.history()
        began = monotonic_s()
        rows = project.training_set()
        seconds = monotonic_s() - began
        result = train(
            rows, history.plan, history.use_case.training,
            open_model=open_model, train=TRAIN, test=TEST,
        )  # fmt: skip
    model = result.tested.model
    tested = rows.take(result.test_rows)
    said = model.predict(result.tested.encoder.encode(tested.values))
    sold, told = np.expm1(tested.label), np.expm1(said)
    found = rmspe(sold, told)
    report.add("RMSPE of the seasonal baseline", baseline, published=f"{BASELINE} (README)")
    report.add(
        "RMSPE of the selected model", found, published=f"{GOAL} (README, not tuned)",
        goal=f"{GOAL} or less", holds=found <= GOAL,
    )  # fmt: skip
    gain = baseline - found
    report.add(
        "better than the baseline by", gain, goal=f"{BASELINE - GOAL:.4f} or more",
        holds=gain >= BASELINE - GOAL,
    )  # fmt: skip
    report.add("MAPE of the selected model", float(np.abs(told / sold - 1).mean()))
    report.facts = {
        "chosen": result.chosen,
        "test rows": len(tested),
        "events folded per second": round(rows.events / seconds),
    }
    return report


def rmspe(sold: Floats, told: Floats) -> float:
    """Return the root mean square percentage error, as a share."""
    return float(np.sqrt(np.mean(((sold - told) / sold) ** 2)))


def prepare(source: Path, folder: Path) -> float:
    """Write plan, open days and sales; return the error of the seasonal baseline."""
    stores = pl.read_parquet(source / "store.parquet").select(
        pl.col("Store").cast(pl.Int16), store_type="StoreType", assortment="Assortment",
        promo2=pl.col("Promo2") == 1, competition_km=pl.col("CompetitionDistance") / 1000,
    )  # fmt: skip
    test_from = pl.lit("2015-06-20").str.to_datetime()
    days = pl.read_parquet(source / "train.parquet").join(stores, on="Store", how="left")
    block = ((pl.col("Date") - test_from).dt.total_days() / (7 * WEEKS)).floor()
    days = days.select(
        planned_at=(test_from + pl.duration(days=block * 7 * WEEKS)).cast(pl.Datetime("us")),
        date=pl.col("Date").cast(pl.Datetime("us")),
        store=pl.col("Store").cast(pl.String),
        weekday=pl.col("DayOfWeek").cast(pl.String),
        promo=pl.col("Promo").cast(pl.String),
        store_type="store_type",
        promoted=pl.col("Promo") == 1,
        school_holiday=pl.col("SchoolHoliday") == 1,
        state_holiday="StateHoliday",
        assortment="assortment",
        promo2="promo2",
        competition_km="competition_km",
        closed=pl.col("Open") == 0,
        sales=pl.col("Sales").cast(pl.Float64),
    ).sort("date", "store")
    is_open = ~pl.col("closed") & (pl.col("sales") > 0)
    days.select("planned_at", "date", "store", "closed", "promoted").write_parquet(
        folder / "plan.parquet"
    )
    opened = days.filter(is_open).drop("closed")
    opened.drop("sales").write_parquet(folder / "days.parquet")
    sold = opened.select("date", "store", "weekday", "promo", "store_type", "sales")
    sold.write_parquet(folder / "sales.parquet")
    slots = ["store", "weekday", "promo"]
    usual = sold.filter(pl.col("date") < test_from).group_by(slots)
    said = sold.filter(pl.col("date") >= test_from).join(
        usual.agg(said=pl.col("sales").median()), on=slots, how="left"
    )
    by_store = sold.filter(pl.col("date") < test_from).group_by("store")
    said = said.join(by_store.agg(whole=pl.col("sales").median()), on="store", how="left")
    told = said.get_column("said").fill_null(said.get_column("whole")).to_numpy()
    return rmspe(said.get_column("sales").to_numpy(), told)
