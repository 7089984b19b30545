"""A tiny project on disk, trained once: payments whose fraud is told by charge-backs, or later."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from holdfast.core.clock import FixedClock, iso
from holdfast.loop.project import Project

DAY = 86_400_000_000
START = 1_735_689_600_000_000  # 2025-01-01
DAYS = 60
ROWS = 900
NOW = START + DAYS * DAY

HEAD = '''\
"""A tiny world."""
import holdfast as hf

Card, Shop = hf.Entity("card"), hf.Entity("shop")


class Payment(hf.Event, source="payments.csv"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    card = hf.Key(Card)
    shop = hf.Key(Shop, nullable=True)
    amount = hf.Float(gt=0, unit="EUR")
    channel = hf.Category("chip", "online")
'''
AHEAD = """

class Chargeback(hf.Event, source="chargebacks.csv"):
    chargeback_id = hf.Key()
    payment_id = hf.Key(Payment)
    reported_at = hf.EventTime()


fraud = Chargeback.by(Payment).any(ahead="2d")
"""
LATER = """\
    fraud = hf.Boolean(known_after="2d", nullable=True)


fraud = Payment.fraud
"""
TAIL = """
by_card = Payment.by(Card)


class Features(hf.Features):
    amount = Payment.amount
    channel = Payment.channel
    count_1d = by_card.count(over="1d")
    spend_7d = by_card.sum(Payment.amount, over="7d")
    usual = by_card.mean(Payment.amount, over="30d")
    ratio = amount / usual
    new_shop = ~by_card.seen(Payment.shop, over="30d")
    shop_fraud = Payment.by(Shop).mean(fraud, over="14d")


use_case = hf.UseCase(
    name="tiny",
    owner="tests",
    each=Payment,
    predict=fraud,
    features=Features,
    value=hf.Payoff(
        "EUR",
        approve=hf.when(fraud, -Payment.amount, 0.05 * Payment.amount),
        review=hf.when(fraud, -1, 0.05 * Payment.amount - 1),
    ),
    training=hf.Training(candidates=[hf.LogisticRegression()], history="60d", folds=2),
    serving=hf.Serving(fallback="review", reason_codes=2),
)
"""


def payment(chance: random.Random, number: int, at_us: int) -> dict[str, Any]:
    """One payment as a caller sends it."""
    return {
        "payment_id": f"p{number}",
        "paid_at": iso(at_us),
        "card": f"c{chance.randrange(12)}",
        "shop": chance.choice(["s1", "s2", "s3", None]),
        "amount": round(chance.lognormvariate(3, 1), 2),
        "channel": chance.choice(["chip", "online"]),
    }


def write(folder: Path, *, ahead: bool = True) -> Path:
    """Write the definition and its history."""
    chance = random.Random(7)
    folder.mkdir(parents=True, exist_ok=True)
    text = HEAD + (AHEAD if ahead else LATER) + TAIL
    (folder / "tiny.py").write_text(text, encoding="utf-8")
    payments, backs = [], []
    for number in range(ROWS):
        at = START + number * (DAYS * DAY // ROWS)
        row = payment(chance, number, at)
        bad = chance.random() < (
            0.35 if row["channel"] == "online" and row["shop"] == "s1" else 0.05
        )
        if bad:
            backs.append((f"b{number}", row["payment_id"], iso(at + DAY)))
        if not ahead:
            row["fraud"] = bad if at + 2 * DAY < NOW else None
        payments.append(row)
    with (folder / "payments.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(payments[0]))
        table.writeheader()
        table.writerows(payments)
    if ahead:
        with (folder / "chargebacks.csv").open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(["chargeback_id", "payment_id", "reported_at"])
            lines.writerows(backs)
    return folder


@cache
def _trained(ahead: bool) -> Path:
    folder = write(Path(mkdtemp(prefix="holdfast-tiny-")), ahead=ahead)
    Project(folder, clock=FixedClock(NOW)).train()
    return folder


def trained(into: Path, *, ahead: bool = True) -> Path:
    """A copy of the trained project; training runs once a process."""
    shutil.copytree(_trained(ahead), into, dirs_exist_ok=True)
    return into


def stream(seed: int, count: int, *, first: int = 10_000) -> Iterator[dict[str, Any]]:
    """New payments after history, some of them late."""
    chance = random.Random(seed)
    for number in range(count):
        late = chance.choice([0, 0, 0, DAY // 2, 3 * DAY])
        yield payment(chance, first + number, NOW + number * (DAY // 8) - late)
