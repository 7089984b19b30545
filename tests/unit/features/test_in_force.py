"""What is in force, what a key found through a Snapshot leads to, what a condition leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

import holdfast as hf
from holdfast.data.table import TYPES, Table
from holdfast.features.compile_plan import compile_plan
from holdfast.features.training_set import TrainingSet, build_training_set

DAY = 86_400_000_000
Merchant, Owner = hf.Entity("merchant"), hf.Entity("owner")


class Payment(hf.Event, source="payments.csv"):
    at = hf.EventTime()
    merchant = hf.Key(Merchant, nullable=True)
    amount = hf.Float(nullable=True)
    rate = hf.Float(nullable=True)
    country = hf.Category(nullable=True)
    bad = hf.Boolean(known_after="1d", nullable=True)


class Terms(hf.Snapshot, source="terms.csv"):
    merchant = hf.Key(Merchant)
    at = hf.EventTime()
    told_at = hf.KnownTime()
    limit = hf.Float(nullable=True)
    ends_at = hf.ValidUntil()
    gone = hf.Deleted()


class MerchantInfo(hf.Snapshot, source="merchants.csv", of=Merchant):
    merchant = hf.Key(Merchant)
    at = hf.EventTime()
    owner = hf.Key(Owner, nullable=True)


class Complaint(hf.Event, source="complaints.csv"):
    at = hf.EventTime()
    owner = hf.Key(Owner)


class OwnerInfo(hf.Snapshot, source="owners.csv"):
    owner = hf.Key(Owner)
    at = hf.EventTime()
    score = hf.Float()


def built(features: dict[str, Any], **rows: list[dict[str, Any]]) -> TrainingSet:
    """The training set of some features over rows whose times are days."""
    use_case = hf.UseCase(
        name="tried", owner="tests", each=Payment, predict=Payment.bad,
        features=type("Features", (hf.Features,), features),
        value=hf.Payoff("EUR", yes=hf.when(Payment.bad, -1, 1), no=0),
        training=hf.Training(candidates=[hf.LogisticRegression()]),
    )  # fmt: skip
    plan = compile_plan(use_case)
    tables = {}
    for name, schema in plan.schemas.items():
        times = {c.attr for c in schema.columns if c.kind.endswith("time")}
        known = [
            {k: int(v * DAY) if k in times and v is not None else v for k, v in row.items()}
            for row in rows[name.lower()]
        ]
        types = {column.attr: TYPES[column.kind] for column in schema.columns}
        tables[name] = Table.of(schema, pl.DataFrame(known, schema=types))
    return build_training_set(plan, tables)


def column(features: dict[str, Any], name: str, **rows: list[dict[str, Any]]) -> list[float | None]:
    """One feature's values, missing as None."""
    found = built(features, **rows)
    values = found.values[:, found.names.index(name)].tolist()
    return [None if x != x else x for x in values]


def asked(*days: float, merchant: str | None = "m") -> list[dict[str, Any]]:
    return [{"at": day, "merchant": merchant} for day in days]


def terms(at: float, limit: float | None, told_at: float | None = None, **more: Any) -> Any:
    told = at if told_at is None else told_at
    return {"merchant": "m", "at": at, "told_at": told, "limit": limit, **more}


def limits(*days: float, rows: list[Any]) -> list[float | None]:
    return column({"limit": Terms.limit}, "limit", payment=asked(*days), terms=rows)


def test_the_newest_version_that_has_begun_is_in_force() -> None:
    rows = [terms(1, 10.0), terms(3, 30.0)]
    assert limits(0.5, 1.5, 2.9, 3, 9, rows=rows) == [None, 10.0, 10.0, 10.0, 30.0]


def test_a_version_known_before_it_begins_waits() -> None:
    rows = [terms(1, 10.0), terms(5, 50.0, told_at=2)]
    assert limits(3, 4.9, 5.1, rows=rows) == [10.0, 10.0, 50.0]


def test_a_late_version_counts_from_when_it_was_known() -> None:
    rows = [terms(1, 10.0), terms(2, 20.0, told_at=6), terms(1, 11.0, told_at=4)]
    assert limits(3, 5, 7, rows=rows) == [10.0, 11.0, 20.0]


def test_a_missing_value_is_in_force_too() -> None:
    assert limits(2, 4, rows=[terms(1, 10.0), terms(3, None)]) == [10.0, None]


def test_a_version_that_ends_or_is_deleted_leaves_nothing_in_force() -> None:
    rows = [terms(1, 10.0, ends_at=2), terms(4, 40.0, ends_at=None), terms(6, 0.0, gone=True),
            terms(8, 80.0, gone=False)]  # fmt: skip
    assert limits(1.5, 2, 3, 5, 7, 9, rows=rows) == [10.0, None, None, 40.0, None, 80.0]


def test_a_row_without_the_key_has_nothing_and_counts_nothing() -> None:
    features = {
        "limit": Terms.limit,
        "count": Payment.by(Merchant).count(over="7d"),
        "any": Payment.by(Merchant).any(over="7d"),
        "seen": Payment.by(Merchant).seen(Payment.country, over="7d"),
    }
    rows = [*asked(1), *asked(2, merchant=None), *asked(3)]
    found = built(features, payment=rows, terms=[terms(0, 1.0)])
    expected = [[1.0, 0.0, 0.0, np.nan], [np.nan] * 4, [1.0, 1.0, 1.0, np.nan]]
    assert np.array_equal(found.values, expected, equal_nan=True)


def test_two_keys_away() -> None:
    by_owner = Complaint.by(MerchantInfo.owner)
    features = {
        "complaints": by_owner.count(over="30d"),
        "score": OwnerInfo.by(MerchantInfo.owner).in_force(OwnerInfo.score),
    }
    rows = {
        "payment": [*asked(1.5, 2.5, 3.5, 4.5), *asked(5, merchant="unknown")],
        "merchantinfo": [
            {"merchant": "m", "at": 1, "owner": "ann"},
            {"merchant": "m", "at": 3, "owner": "bob"},
            {"merchant": "m", "at": 4, "owner": None},
        ],
        "complaint": [{"at": 1.2, "owner": "ann"}, {"at": 2.2, "owner": "ann"}],
        "ownerinfo": [{"owner": "bob", "at": 0, "score": 7.0}],
    }
    assert column(features, "complaints", **rows) == [1.0, 2.0, 0.0, None, None]
    assert column(features, "score", **rows) == [None, None, 7.0, None, None]


def test_conditions_and_arithmetic_inside_an_aggregation() -> None:
    by = Payment.by(Merchant)
    features = {
        "cost": by.sum(Payment.amount * Payment.rate, over="30d"),
        "dear": by.count(over="30d", where=(Payment.amount > 2) & (Payment.country == "pt")),
        "share": by.ratio(where=Payment.amount > 2, over="30d"),
        "per_hour": by.rate(over="1d"),
        "last_dear": by.hours_since_last(where=Payment.amount > 2),
    }
    rows = [
        {"at": 1, "merchant": "m", "amount": 3.0, "rate": 0.5, "country": "pt"},
        {"at": 2, "merchant": "m", "amount": 9.0, "rate": None, "country": "es"},
        {"at": 3, "merchant": "m", "amount": None, "rate": 2.0, "country": "pt"},
        {"at": 3.5, "merchant": "m", "amount": 1.0, "rate": 2.0, "country": "pt"},
    ]
    found = built(features, payment=rows)
    assert found.values[3].tolist() == [1.5, 1.0, 2 / 3, 1 / 24, 36.0]
    assert np.isnan(found.values[0, [2, 4]]).all()
