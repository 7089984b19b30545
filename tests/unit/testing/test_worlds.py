"""The generated worlds keep what they promise: truth, delays, rates, broken rows, bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from holdfast.core.progress import Step
from holdfast.errors import ConfigError, StoreError
from holdfast.testing.worlds import (
    WorldReport,
    best_possible,
    best_possible_payments,
    card_payoff,
    event_log,
    fraud_world,
    live_payments,
)

PAYMENTS = 20_000
DIRTY = 0.005
COLUMNS = ["payment_id", "paid_at", "card_id", "merchant_id", "amount", "country", "channel"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def report(folder: Path) -> WorldReport:
    return fraud_world(folder, payments=PAYMENTS, days=120, seed=7, dirty=DIRTY)


@pytest.fixture(scope="module")
def payments(folder: Path, report: WorldReport) -> pl.DataFrame:
    return pl.read_parquet(folder / "payments" / "*.parquet")


@pytest.fixture(scope="module")
def truth(folder: Path, report: WorldReport) -> pl.DataFrame:
    return pl.read_parquet(folder / "truth.parquet")


@pytest.fixture(scope="module")
def chargebacks(folder: Path, report: WorldReport) -> pl.DataFrame:
    return pl.read_parquet(folder / "chargebacks" / "*.parquet")


@pytest.fixture(scope="module")
def sound(payments: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Sound payments with their truth; the repeated ones once."""
    once = payments.unique("payment_id", maintain_order=True)
    return once.join(truth, on="payment_id", maintain_order="left")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
    }


class Heard:
    """A progress that adds up what it hears."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextmanager
    def step(self, title: str, *, total: int | None = None, unit: str = "") -> Iterator[Step]:
        self.total += total or 0
        yield self

    def advance(self, amount: int) -> None:
        self.done += amount

    def note(self, text: str) -> None:
        return None


def test_same_seed_same_bytes_and_another_seed_another_world(
    folder: Path, report: WorldReport, tmp_path: Path
) -> None:
    held = digests(folder)
    again = fraud_world(tmp_path, payments=PAYMENTS, days=120, seed=7, dirty=DIRTY)
    assert digests(tmp_path) == held and len(held) == report.files
    assert again.as_dict() | {"folder": ""} == report.as_dict() | {"folder": ""}
    fraud_world(tmp_path, payments=PAYMENTS, days=120, seed=8, dirty=DIRTY)
    changed = digests(tmp_path)
    assert not set(changed.values()) & set(held.values())


def test_a_shorter_world_leaves_no_month_of_the_longer_one_behind(tmp_path: Path) -> None:
    long = fraud_world(tmp_path, payments=1_000, days=120, live=10)
    short = fraud_world(tmp_path, payments=1_000, days=40, live=10)
    assert len(digests(tmp_path)) == short.files < long.files


def test_payments_have_the_columns_and_months_they_are_named_for(
    folder: Path, payments: pl.DataFrame, report: WorldReport
) -> None:
    assert payments.columns == COLUMNS
    assert payments.schema["paid_at"] == pl.Datetime("us", "UTC")
    assert payments.schema["amount"] == pl.Float64
    assert (payments["amount"] == payments["amount"].round(2)).all()
    limit = pl.lit(report.until_us).cast(pl.Datetime("us", "UTC"))
    for path in (folder / "payments").iterdir():
        known = pl.read_parquet(path).filter(pl.col("paid_at") < limit)
        assert known["paid_at"].is_sorted()
        assert path.stem.removeprefix("payments-") in known["paid_at"].dt.strftime("%Y-%m")
        assert known["paid_at"].dt.strftime("%Y-%m").n_unique() == 1


def test_sizes_follow_the_payments(sound: pl.DataFrame, report: WorldReport) -> None:
    assert len(sound) == report.payments == PAYMENTS
    assert sound["payment_id"].n_unique() == PAYMENTS
    assert (report.cards, report.merchants) == (200, 80)
    assert sound["country"].n_unique() > 5
    assert set(sound["channel"]) == {"chip", "contactless", "online"}
    days = (report.until_us - report.first_us) / 86_400e6
    assert 115 < days < 121


def test_fraud_is_about_one_in_a_hundred_in_three_patterns(
    truth: pl.DataFrame, report: WorldReport
) -> None:
    assert 0.005 < report.fraud_rate < 0.016
    assert sum(report.frauds.values()) == int(truth["fraud"].sum())
    assert all(report.frauds[name] > 10 for name in ("testing", "merchant", "stolen"))
    assert report.frauds["none"] < 0.15 * sum(report.frauds.values())


def test_the_probability_is_that_of_the_frauds(truth: pl.DataFrame) -> None:
    chance = truth["fraud_probability"].to_numpy()
    fraud = truth["fraud"].to_numpy()
    assert chance.min() > 0.0 and chance.max() < 0.95
    for low, high in ((0.0, 0.02), (0.02, 0.4), (0.4, 0.7), (0.7, 1.0)):
        inside = (chance >= low) & (chance < high)
        spread = np.sqrt((chance[inside] * (1 - chance[inside])).sum())
        assert abs(fraud[inside].sum() - chance[inside].sum()) < 4 * spread
        assert inside.sum() > 20


def test_charge_backs_are_reported_frauds_and_nothing_else(
    folder: Path, truth: pl.DataFrame, chargebacks: pl.DataFrame, report: WorldReport
) -> None:
    live = live_payments(folder)
    told = pl.concat([chargebacks, live.chargebacks])
    everything = pl.concat([truth, live.truth])
    assert set(told["payment_id"]) == set(everything.filter("reported")["payment_id"])
    assert told["payment_id"].is_unique().all()
    assert everything.filter(pl.col("reported") & ~pl.col("fraud")).is_empty()
    assert report.unreported == len(truth.filter(pl.col("fraud") & ~pl.col("reported")))
    assert report.unreported < 0.1 * len(truth.filter("fraud"))
    assert (report.chargebacks, report.chargebacks_later) == (
        len(chargebacks),
        len(live.chargebacks),
    )


def test_charge_backs_arrive_within_45_days_and_only_those_known_are_in_history(
    folder: Path, sound: pl.DataFrame, chargebacks: pl.DataFrame, report: WorldReport
) -> None:
    live = live_payments(folder)
    told = pl.concat([chargebacks, live.chargebacks])
    paid = pl.concat([sound.select(COLUMNS), live.payments])
    delays = told.join(paid, on="payment_id").select(
        (pl.col("reported_at") - pl.col("paid_at")).dt.total_seconds() / 86_400
    )["reported_at"]
    assert len(delays) == len(told)
    assert delays.min() > 0.0 and delays.max() < 45.0  # type: ignore[operator]
    assert 7.0 < delays.median() < 11.0  # type: ignore[operator]
    known = chargebacks["reported_at"].to_physical()
    assert known.max() < report.until_us  # type: ignore[operator]
    later = live.chargebacks["reported_at"].to_physical().min()
    assert later >= report.until_us  # type: ignore[operator]


def test_broken_rows_are_counted_exactly(
    payments: pl.DataFrame, truth: pl.DataFrame, report: WorldReport
) -> None:
    late = pl.lit(report.until_us).cast(pl.Datetime("us", "UTC"))
    found = {
        "negative_amount": len(payments.filter(pl.col("amount") <= 0)),
        "unknown_channel": len(payments.filter(pl.col("channel") == "fax")),
        "missing_card": payments["card_id"].null_count(),
        "duplicate": len(payments) - payments["payment_id"].n_unique(),
        "future": len(payments.filter(pl.col("paid_at") > late)),
    }
    assert found == report.broken
    assert sum(found.values()) == round(DIRTY * PAYMENTS) == len(payments) - PAYMENTS
    assert min(found.values()) > 0
    strange = payments.filter(~pl.col("payment_id").is_in(truth["payment_id"].to_list()))
    assert len(strange) == sum(found.values()) - found["duplicate"]
    assert payments.is_duplicated().sum() == 2 * found["duplicate"]


def test_a_clean_world_is_the_same_world_without_broken_rows(
    folder: Path, sound: pl.DataFrame, tmp_path: Path
) -> None:
    clean = fraud_world(tmp_path, payments=PAYMENTS, days=120, seed=7, dirty=0.0)
    rows = pl.read_parquet(tmp_path / "payments" / "*.parquet")
    assert set(clean.broken.values()) == {0}
    assert rows.equals(sound.select(COLUMNS))
    assert digests(tmp_path)["truth.parquet"] == digests(folder)["truth.parquet"]


def test_live_payments_come_after_history_and_are_not_in_it(
    folder: Path, sound: pl.DataFrame, report: WorldReport
) -> None:
    live = live_payments(folder)
    assert len(live.payments) == len(live.truth) == report.live == 2_000
    assert live.payments.columns == COLUMNS
    assert not set(live.payments["payment_id"]) & set(sound["payment_id"])
    assert live.payments["paid_at"].is_sorted()
    assert live.payments["paid_at"].to_physical().min() == report.until_us
    assert sound["paid_at"].to_physical().max() < report.until_us  # type: ignore[operator]
    assert live.payments["payment_id"].equals(live.truth["payment_id"])
    assert live.truth["fraud"].sum() == report.live_frauds
    cards = set(sound["card_id"])
    assert live.payments["card_id"].is_in(list(cards)).mean() > 0.9  # type: ignore[operator]


def test_no_raw_column_gives_the_frauds_away(sound: pl.DataFrame) -> None:
    fraud = sound["fraud"].to_numpy()
    raw = sound.with_columns(
        hour=pl.col("paid_at").dt.hour(),
        paid_at=pl.col("paid_at").to_physical(),
        **{
            name: pl.col("fraud").mean().over(name)  # the best any order of categories can do
            for name in ("country", "channel")
        },
    )
    for name in ("paid_at", "amount", "hour", "country", "channel"):
        rank = raw[name].rank().to_numpy()
        ahead = rank[fraud].sum() - fraud.sum() * (fraud.sum() + 1) / 2
        area = ahead / (fraud.sum() * (~fraud).sum())
        assert max(area, 1 - area) < 0.8, name


def test_nobody_beats_the_bounds(truth: pl.DataFrame, payments: pl.DataFrame) -> None:
    for outcome in ("fraud", "reported"):
        bounds = best_possible_payments(truth, payments, outcome=outcome)
        assert bounds.rows == PAYMENTS
        assert max(bounds.constant.values()) < bounds.best < bounds.clairvoyant
        assert bounds.constant["approve"] > bounds.constant["review"] > bounds.constant["decline"]
        assert sum(bounds.rates.values()) == pytest.approx(1.0)
        assert bounds.rates["decline"] < 0.02
        assert "decision" not in bounds.as_dict()


def test_the_best_decision_is_best_in_expectation_for_every_payment(
    sound: pl.DataFrame,
) -> None:
    chance = sound["fraud_probability"].to_numpy()
    values = card_payoff(sound["amount"].to_numpy())
    bounds = best_possible(chance, sound["fraud"].to_numpy(), values=values)
    expected = np.stack([chance * lost + (1 - chance) * kept for lost, kept in values.values()])
    chosen = expected[bounds.decision, np.arange(len(chance))]
    assert (chosen >= expected.max(axis=0)).all()


def test_the_payoff_is_that_of_the_example() -> None:
    values = card_payoff(np.array([100.0]))
    figures = {name: (lost[0], kept[0]) for name, (lost, kept) in values.items()}
    assert figures["approve"] == pytest.approx((-115.0, 1.2))
    assert figures["review"] == pytest.approx((-4.0, -2.8))
    assert figures["decline"] == pytest.approx((0.0, -8.0))


@pytest.mark.parametrize("chances", [0, 2])
def test_bounds_need_columns_of_one_length(chances: int) -> None:
    with pytest.raises(ConfigError, match="HF710"):
        best_possible(
            np.zeros(chances), np.zeros(3, dtype=np.bool_), values=card_payoff(np.ones(3))
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"payments": 10},
        {"days": 3},
        {"dirty": 0.5},
        {"live": 0},
        {"payments": 10**9},
        {"days": 900},
    ],
)
def test_worlds_out_of_bounds_are_refused_by_name(tmp_path: Path, wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{name}=.*HF711"):
        fraud_world(tmp_path, **wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_longest_world_keeps_its_order(tmp_path: Path) -> None:
    report = fraud_world(tmp_path, payments=1_000, days=700, live=1_000, dirty=0.0)
    rows = pl.read_parquet(tmp_path / "payments" / "*.parquet")
    assert (report.payments, report.live) == (1_000, 1_000)
    assert rows["paid_at"].is_sorted() and rows["payment_id"].is_sorted()
    abroad = rows.group_by("card_id").agg(pl.col("country").n_unique())
    assert abroad["country"].max() > 1  # type: ignore[operator]


def test_a_folder_that_cannot_be_written_or_read_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(StoreError, match="HF621"):
        fraud_world(blocked, payments=1_000, live=10)
    with pytest.raises(StoreError, match="HF621"):
        event_log(blocked, events=10, entities=5)
    with pytest.raises(StoreError, match="HF620"):
        live_payments(tmp_path)


def test_progress_hears_of_every_payment(tmp_path: Path) -> None:
    heard = Heard()
    fraud_world(tmp_path, payments=1_000, days=30, live=50, dirty=0.0, progress=heard)
    assert heard.done == heard.total == 2 * 1_050


def test_the_event_log_is_as_uneven_as_it_says() -> None:
    log = event_log(None, events=1_000_000)
    counts = np.sort(np.bincount(log.entity, minlength=200_000))[::-1]
    assert len(log) == counts.sum() == 1_000_000
    assert 0.005 < counts[0] / len(log) < 0.007
    assert 0.39 < counts[:2_000].sum() / len(log) < 0.43
    assert log.values.shape == (1_000_000, 3) and np.isfinite(log.values).all()
    assert (np.diff(log.time_us) >= 0).all()


def test_the_event_log_is_the_same_in_memory_and_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.testing.worlds.log.CHUNK_EVENTS", 4_000)
    log = event_log(None, events=10_000, entities=500, seed=3)
    written = event_log(tmp_path, events=10_000, entities=500, seed=3)
    rows = pl.read_parquet(tmp_path / "events" / "*.parquet")
    assert (written.events, written.files) == (10_000, 3)
    assert written.entities == rows["entity_id"].n_unique()
    assert rows["event_id"].is_unique().all()
    assert np.array_equal(rows["happened_at"].to_physical().to_numpy(), log.time_us)
    assert np.array_equal(rows.select("amount", "quantity", "score").to_numpy(), log.values)
    entity = rows["entity_id"].str.strip_prefix("e").cast(pl.Int32)
    assert np.array_equal(entity.to_numpy(), log.entity)
    assert not np.array_equal(event_log(None, events=10_000, entities=500).entity, log.entity)


def test_an_empty_event_log_is_refused() -> None:
    with pytest.raises(ConfigError, match="HF711"):
        event_log(None, events=0)
