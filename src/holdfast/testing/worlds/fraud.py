"""A card-payment world with known truth: payments, charge-backs, and what nobody can see.

Its outline follows the published description of such simulators (Le Borgne, Siblini, Lebichot,
Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection", chapter 3): cards and
merchants lie on a plane, cards pay near their place, and three patterns of fraud are added. The
hidden states, the known probability of each fraud, the trips, the channels, the delays of
charge-backs and the broken rows are ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from holdfast.core.progress import SILENT, Progress, Step
from holdfast.core.seed import derive
from holdfast.errors import ConfigError, StoreError
from holdfast.testing.worlds.cards import (
    COUNTRIES,
    DAY_US,
    Ints,
    make_cards,
    make_merchants,
    make_places,
    pick,
)
from holdfast.testing.worlds.payments import CHANNELS, PATTERNS, Rows, make_rows

__all__ = ["LivePayments", "WorldReport", "fraud_world", "live_payments"]

LIVE_PAYMENTS = 2_000
"""Payments kept out of history, right after its end."""
PAYMENTS = (1_000, 5_000_000)
"""Fewest and most payments of one world."""
DAYS = (30, 700)
"""Shortest and longest history, in days."""
DIRTY_LIMIT = 0.05
"""Largest share of broken rows."""
UNREPORTED = 0.03
"""Share of frauds that are never charged back."""
REPORT_DAYS_MEDIAN = 9.0
"""Median delay of a charge-back, in days."""
REPORT_DAYS_SPREAD = 0.75
"""Standard deviation of the logarithm of the delay."""
REPORT_DAYS = (0.05, 44.5)
"""Shortest and longest delay of a charge-back, in days."""
FUTURE_DAYS = 365 * 40
"""How far a mistyped date lies in the future."""
DRAWS = 50
"""Times a delay out of bounds is drawn again before it is cut to them."""
BROKEN = {
    "negative_amount": 6,
    "unknown_channel": 4,
    "missing_card": 4,
    "duplicate": 5,
    "future": 1,
}
"""Kinds of broken rows and how often each occurs, of 20."""


@dataclass(frozen=True)
class WorldReport:
    """What was generated, in counts.

    `payments` are the sound rows of history; `broken` counts the rows added to them by kind.
    `chargebacks` are known when history ends, `chargebacks_later` come in afterwards, for
    payments of history and live ones. Times are microseconds, UTC: history is
    `[first_us, until_us)` and live payments begin at `until_us`.
    """

    folder: str
    payments: int
    live: int
    cards: int
    merchants: int
    first_us: int
    until_us: int
    frauds: dict[str, int]
    fraud_rate: float
    live_frauds: int
    chargebacks: int
    chargebacks_later: int
    unreported: int
    broken: dict[str, int]
    files: int

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class LivePayments:
    """What happens right after history: the payments, their truth and later charge-backs."""

    payments: pl.DataFrame
    truth: pl.DataFrame
    chargebacks: pl.DataFrame


def fraud_world(
    folder: Path,
    *,
    payments: int = 500_000,
    days: int = 240,
    seed: int = 1,
    live: int = LIVE_PAYMENTS,
    dirty: float = 0.0004,
    start: date = date(2026, 1, 1),
    progress: Progress = SILENT,
) -> WorldReport:
    """Write a world of card payments into a folder and return what it holds.

    Under `folder`:

    - `payments/payments-YYYY-MM.parquet`: payment_id, paid_at, card_id, merchant_id, amount
      (EUR), country, channel; sound and broken rows;
    - `chargebacks/chargebacks-YYYY-MM.parquet`: payment_id, reported_at; known by history's end;
    - `truth.parquet`: payment_id, fraud, fraud_probability (given the hidden state), pattern (the
      hidden state), reported (charged back, now or later), reported_probability;
    - `live/payments.parquet`, `live/truth.parquet`, `live/chargebacks.parquet`: what comes next.

    The same arguments give the same bytes.

    Args:
        folder: made if missing; files of these names are replaced.
        payments: sound payments in history; one card for each 100, one merchant for each 250.
        days: about how long history lasts.
        seed: where all chance comes from.
        live: payments kept out of history.
        dirty: broken rows added to history, as a share of the payments; 0 adds none.
        start: the day history begins.
        progress: hears of each payment drawn or written.

    Raises:
        ConfigError: when an argument is out of bounds.
        StoreError: when the folder cannot be written.
    """
    _check(payments, days, live=live, dirty=dirty)
    first_us = int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()) * 10**6
    total = payments + live
    span_us = (first_us, first_us + int(days * DAY_US * total / payments))
    merchants = make_merchants(max(40, payments // 250), span_us=span_us, seed=seed)
    cards = make_cards(max(50, payments // 100), seed=seed)
    with progress.step("card payments", total=2 * total, unit="payments") as step:
        places = make_places(cards, merchants)
        rows = make_rows(
            total, cards=cards, merchants=merchants, places=places, span_us=span_us, seed=seed
        )
        step.advance(total)
        country = merchants.country[rows.merchant]
        tables = _tables(rows, country, payments=payments, seed=seed)
        broken = _broken(tables.history, dirty=dirty, seed=seed)
        files = _write(folder, tables=tables, broken=broken, step=step)
    sizes = (len(cards), len(merchants))
    return _report(folder, tables, broken=broken, files=files, sizes=sizes)


def live_payments(folder: Path) -> LivePayments:
    """Return the payments right after history of a world that `fraud_world` wrote.

    Raises:
        StoreError: when there is no such world in the folder.
    """
    held = folder / "live"
    try:
        return LivePayments(
            payments=pl.read_parquet(held / "payments.parquet"),
            truth=pl.read_parquet(held / "truth.parquet"),
            chargebacks=pl.read_parquet(held / "chargebacks.parquet"),
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(
            f"no live payments in {held}: {error}",
            code="HF620",
            hint="write the world first: holdfast new fraud",
        ) from error


@dataclass(frozen=True)
class Tables:
    """The world as tables, in order of time. `until_us` is where history ends."""

    history: pl.DataFrame
    live: pl.DataFrame
    truth: pl.DataFrame
    live_truth: pl.DataFrame
    chargebacks: pl.DataFrame
    later: pl.DataFrame
    first_us: int
    until_us: int


def _check(payments: int, days: int, *, live: int, dirty: float) -> None:
    """Raise unless every argument lies inside its bounds."""
    asked = (
        ("payments", payments, *PAYMENTS),
        ("days", days, *DAYS),
        ("live", live, 1, payments),
        ("dirty", dirty, 0.0, DIRTY_LIMIT),
    )
    for name, given, least, most in asked:
        if not least <= given <= most:
            raise ConfigError(
                f"a fraud world cannot have {name}={given}",
                code="HF711",
                hint=f"give {name} between {least} and {most}",
            )


def _tables(rows: Rows, country: Ints, *, payments: int, seed: int) -> Tables:
    """Return what is written, with each fraud drawn and each charge-back delayed."""
    rng = np.random.default_rng(derive(seed, "world", "outcomes"))
    fraud = rng.random(len(rows)) < rows.chance
    reported = fraud & (rng.random(len(rows)) >= UNREPORTED)
    reported_us = rows.time_us + _delays(len(rows), rng)
    table = _payment_table(rows, country)
    truth = table.select(
        "payment_id",
        pl.Series("fraud", fraud),
        pl.Series("fraud_probability", rows.chance),
        _names(rows.pattern, PATTERNS, "pattern"),
        pl.Series("reported", reported),
        pl.Series("reported_probability", rows.chance * (1.0 - UNREPORTED)),
    )
    until_us = int(rows.time_us[payments])
    chargebacks = table.select("payment_id", _moment(reported_us, "reported_at"))
    chargebacks = chargebacks.filter(pl.Series(reported)).sort("reported_at", "payment_id")
    known = chargebacks["reported_at"].to_physical() < until_us
    return Tables(
        history=table.head(payments),
        live=table.slice(payments),
        truth=truth.head(payments),
        live_truth=truth.slice(payments),
        chargebacks=chargebacks.filter(known),
        later=chargebacks.filter(~known),
        first_us=int(rows.time_us[0]),
        until_us=until_us,
    )


def _payment_table(rows: Rows, country: Ints) -> pl.DataFrame:
    """Return the payments as everybody sees them."""
    number = pl.Series("payment_id", np.arange(1, len(rows) + 1))
    return pl.DataFrame(
        {
            "payment_id": _numbered("p", number, 8),
            "paid_at": _moment(rows.time_us, "paid_at"),
            "card_id": _numbered("card-", pl.Series("card_id", rows.card + 1), 6),
            "merchant_id": _numbered("shop-", pl.Series("merchant_id", rows.merchant + 1), 5),
            "amount": rows.amount,
            "country": _names(country, COUNTRIES, "country"),
            "channel": _names(rows.channel, CHANNELS, "channel"),
        }
    )


def _numbered(prefix: str, number: pl.Series, width: int) -> pl.Series:
    text = number.cast(pl.String).str.zfill(width)
    return (pl.Series([prefix]) + text).alias(number.name)


def _names(index: Ints, names: tuple[str, ...], name: str) -> pl.Series:
    return pl.Series(name, names).gather(index)


def _moment(time_us: Ints, name: str) -> pl.Series:
    return pl.Series(name, time_us).cast(pl.Datetime("us", "UTC"))


def _delays(count: int, rng: np.random.Generator) -> Ints:
    """Return delays of charge-backs in microseconds: log-normal, drawn again when out of bounds."""
    least, most = REPORT_DAYS
    days = np.full(count, REPORT_DAYS_MEDIAN)
    wrong = np.arange(count)
    for _ in range(DRAWS):
        days[wrong] = REPORT_DAYS_MEDIAN * np.exp(REPORT_DAYS_SPREAD * rng.normal(size=len(wrong)))
        wrong = wrong[(days[wrong] < least) | (days[wrong] > most)]
    return np.asarray(np.clip(days, least, most) * DAY_US, dtype=np.int64)


def _broken(history: pl.DataFrame, *, dirty: float, seed: int) -> pl.DataFrame:
    """Return broken copies of payments, each with its kind and the row it follows.

    Copies get a payment_id of their own, except duplicates, which repeat the whole row.
    """
    rng = np.random.default_rng(derive(seed, "world", "broken"))
    wanted = round(dirty * len(history))
    weights = np.array(list(BROKEN.values()), dtype=np.float64)
    kind = np.arange(wanted) % len(BROKEN)  # each kind at least once, as far as they go
    rest = slice(min(len(BROKEN), wanted), wanted)
    kind[rest] = pick(weights, rng.random(rest.stop - rest.start))
    at = np.sort(rng.choice(len(history), size=wanted, replace=False))
    copy = history[at].with_columns(
        _names(kind, tuple(BROKEN), "kind"),
        pl.Series("at", at),
        _numbered("x", pl.Series("copy_id", np.arange(1, wanted + 1)), 8),
    )
    is_kind = {name: pl.col("kind") == name for name in BROKEN}
    later = pl.col("paid_at") + pl.duration(days=FUTURE_DAYS)
    return copy.with_columns(
        payment_id=pl.when(is_kind["duplicate"]).then("payment_id").otherwise("copy_id"),
        month=pl.col("paid_at").dt.strftime("%Y-%m"),
        amount=pl.when(is_kind["negative_amount"]).then(-pl.col("amount")).otherwise("amount"),
        channel=pl.when(is_kind["unknown_channel"]).then(pl.lit("fax")).otherwise("channel"),
        card_id=pl.when(is_kind["missing_card"]).then(None).otherwise("card_id"),
        paid_at=pl.when(is_kind["future"]).then(later).otherwise("paid_at"),
    )


def _write(folder: Path, *, tables: Tables, broken: pl.DataFrame, step: Step) -> int:
    """Write every file and return how many there are."""
    columns = tables.history.columns
    sound = tables.history.with_row_index("at").with_columns(
        pl.col("at").cast(pl.Int64), month=pl.col("paid_at").dt.strftime("%Y-%m")
    )
    added = broken.select("at", *columns, "month")
    payments = pl.concat([sound, added]).sort("at", maintain_order=True).drop("at")
    chargebacks = tables.chargebacks.with_columns(month=pl.col("reported_at").dt.strftime("%Y-%m"))
    try:
        files = _write_months(folder, "payments", payments, step=step)
        files += _write_months(folder, "chargebacks", chargebacks)
        (folder / "live").mkdir(exist_ok=True)
        rest = {
            "truth": tables.truth,
            "live/payments": tables.live,
            "live/truth": tables.live_truth,
            "live/chargebacks": tables.later,
        }
        for name, table in rest.items():
            table.write_parquet(folder / f"{name}.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(
            f"cannot write the world into {folder}: {error}",
            code="HF621",
            hint="free some space or name a folder that can be written",
        ) from error
    step.advance(len(tables.live))
    return files + len(rest)


def _write_months(folder: Path, name: str, table: pl.DataFrame, *, step: Step | None = None) -> int:
    """Write one file per month in place of earlier ones and return how many there are."""
    held = folder / name
    held.mkdir(parents=True, exist_ok=True)
    for stale in held.glob(f"{name}-*.parquet"):
        stale.unlink()
    months = table.partition_by("month", maintain_order=True, include_key=False, as_dict=True)
    for (month,), rows in months.items():
        rows.write_parquet(held / f"{name}-{month}.parquet")
        if step is not None:
            step.advance(len(rows))
    return len(months)


def _report(
    folder: Path, tables: Tables, *, broken: pl.DataFrame, files: int, sizes: tuple[int, int]
) -> WorldReport:
    """Return the counts of what was written."""
    frauds = tables.truth.filter("fraud")
    patterns = frauds["pattern"].to_list()
    return WorldReport(
        folder=str(folder),
        payments=len(tables.history),
        live=len(tables.live),
        cards=sizes[0],
        merchants=sizes[1],
        first_us=tables.first_us,
        until_us=tables.until_us,
        frauds={name: patterns.count(name) for name in PATTERNS},
        fraud_rate=len(frauds) / len(tables.history),
        live_frauds=int(tables.live_truth["fraud"].sum()),
        chargebacks=len(tables.chargebacks),
        chargebacks_later=len(tables.later),
        unreported=int((~frauds["reported"]).sum()),
        broken={name: int((broken["kind"] == name).sum()) for name in BROKEN},
        files=files,
    )
