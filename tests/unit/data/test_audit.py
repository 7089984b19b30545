"""The audit: what it counts, whom it suspects, and what it advises."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.core.seed import derive
from holdfast.data.audit import Audit, audit
from holdfast.data.ingest import load
from holdfast.data.suspects import auc_of, leak_suspects, pii_suspects, univariate_auc
from holdfast.define.schema import ColumnSchema, SourceSchema

DAY_US = 86_400_000_000
START_US = 1_767_225_600_000_000  # 2026-01-01
ROWS = 4_000

SCHEMA = SourceSchema(
    name="Row",
    uri="",
    kind="event",
    event_time="at",
    columns=(
        ColumnSchema(attr="at", column="at", kind="event_time"),
        ColumnSchema(attr="x", column="x", kind="float", ge=0, nullable=True),
        ColumnSchema(attr="y", column="y", kind="boolean", known_after_us=7 * DAY_US),
    ),
)


def chance(name: str) -> np.random.Generator:
    return np.random.default_rng(derive(0, "audit", name))


def audited(frame: pl.DataFrame, schema: SourceSchema = SCHEMA, **more: Any) -> Audit:
    return audit(load(schema, frame, now_us=None), **more)


def rows(days: int = 60, per_day: int = 10) -> pl.DataFrame:
    """`per_day` rows a day, the clock going forward."""
    at = START_US + np.arange(days * per_day) * (DAY_US // per_day)
    return pl.DataFrame({"at": at, "x": np.arange(days * per_day, dtype=float)})


def test_sound_rows_are_fine() -> None:
    found = audited(rows())
    assert found.verdict == "fine" and found.findings == ()
    assert (found.rows_read, found.rows_kept, found.quarantined) == (600, 600, {})
    assert found.first == "2026-01-01T00:00:00Z" and round(found.days) == 60
    assert found.rows_per_day == 10
    assert json.loads(json.dumps(found.as_dict()))["source"] == "Row"


def test_gaps_are_named_as_days() -> None:
    at = pl.col("at")
    lost = (at >= START_US + 20 * DAY_US) & (at < START_US + 23 * DAY_US)
    lone = (at >= START_US + 40 * DAY_US) & (at < START_US + 41 * DAY_US)
    found = audited(rows().filter(~lost & ~lone))
    assert found.gaps == ("2026-01-21 to 2026-01-23", "2026-02-10")
    assert found.verdict == "look" and "2026-02-10" in found.findings[0]


def test_rows_out_of_order_repeated_broken_and_missing_are_counted() -> None:
    frame = rows()
    frame = pl.concat([frame, frame.head(3), frame.head(2).with_columns(x=pl.lit(-1.0))])
    found = audited(frame)
    assert found.backwards == 1 and found.duplicates == 3
    assert found.quarantined == {"below 0": 2} and found.rows_kept == 603
    assert found.verdict == "look" and len(found.findings) == 3
    empty = audited(rows().with_columns(x=pl.lit(None, dtype=pl.Float64)))
    assert empty.missing["x"] == 1.0
    assert "`x` is missing in 100% of the rows" in empty.findings


def test_the_label_its_rate_by_month_and_its_delay() -> None:
    frame = rows()
    table = load(SCHEMA, frame, now_us=None).table
    label = (np.arange(600) % 4 == 0).astype(np.float64)
    label[-100:] = np.nan
    due = table.event_us + 7 * DAY_US
    due[-100:] = np.iinfo(np.int64).max
    about = audited(frame, label=label, due_us=due).label
    assert about is not None and (about.known, about.unknown) == (500, 100)
    assert about.rate == 0.25 and list(about.by_month) == ["2026-01", "2026-02"]
    assert about.delay_days_median == about.delay_days_p95 == 7.0
    assert about.by_month["2026-01"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "no label has matured"), (0.0, "every label is the same")]
)
def test_a_label_that_teaches_nothing_stops(value: float, words: str) -> None:
    features = {"x": (np.arange(600.0), "number")}
    found = audited(rows(), label=np.full(600, value), features=features)
    assert found.verdict == "stop" and any(words in finding for finding in found.findings)


def test_more_broken_rows_than_sound_ones_stops() -> None:
    frame = pl.concat([rows(1), rows(3).with_columns(x=pl.lit(-1.0))])
    assert audited(frame).verdict == "stop"


def test_a_feature_known_after_the_label_stops() -> None:
    label = (np.arange(600) % 4 == 0).astype(np.float64)
    found = audited(rows(), label=label, late_features=("closed_at",))
    assert found.verdict == "stop" and "`closed_at` is known only after" in found.findings[0]


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = chance("pairs")
    for _ in range(20):
        label = (rng.random(30) < 0.4).astype(np.float64)
        score = rng.integers(0, 6, 30).astype(np.float64)
        ones, zeros = score[label == 1], score[label == 0]
        if not len(ones) or not len(zeros):
            continue
        over = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
        assert auc_of(label, score) == pytest.approx(over.mean())
    assert auc_of(np.zeros(4), np.arange(4.0)) == 0.5


def test_what_knows_the_label_is_named_with_its_auc_and_honest_columns_are_not() -> None:
    rng = chance("leaks")
    label = (rng.random(ROWS) < 0.2).astype(np.float64)
    noise = rng.normal(size=ROWS)
    unknown = np.where(label == 1, np.nan, noise)
    features = {
        "delay": (label * 2 + rng.normal(size=ROWS), "number"),
        "against": (-label * 3 + rng.normal(size=ROWS), "number"),
        "hump": (np.where(label == 1, 0.0, noise + np.sign(noise)), "number"),
        "closed": (unknown, "number"),
        "result": (np.where(label == 1, 7.0, rng.integers(0, 3, ROWS)), "category"),
        "weak": (label * 0.5 + noise, "number"),
        "noise": (noise, "number"),
        "row": (np.arange(ROWS, dtype=np.float64), "category"),
        "same": (np.zeros(ROWS), "number"),
        "never": (np.full(ROWS, np.nan), "number"),
    }
    found = leak_suspects(features, label, binary=True)
    named = [suspect.column for suspect in found]
    assert set(named) == {"delay", "against", "hump", "closed", "result"}
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    delay = next(suspect for suspect in found if suspect.column == "delay")
    assert delay.words == (
        f"`delay` alone ranks the label with AUC {delay.score:.2f}: "
        "is it known before the decision?"
    )


def test_chance_gains_nothing_out_of_sample() -> None:
    rng = chance("gain")
    label = (rng.random(ROWS) < 0.1).astype(np.float64)
    many = rng.integers(0, ROWS // 2, ROWS).astype(np.float64)
    assert abs(univariate_auc(many, label, category=True) - 0.5) < 0.05


def test_a_number_that_is_almost_the_label_is_named() -> None:
    label = chance("number").normal(size=ROWS)
    features = {
        "twice": (-2 * label**3, "number"),
        "part": (label + chance("part").normal(size=ROWS), "number"),
    }
    found = leak_suspects(features, label, binary=False)
    assert [suspect.column for suspect in found] == ["twice"]
    assert found[0].score == pytest.approx(1.0)


PERSONAL = {
    "contact": ["ada@example.org", "b.c@mail.example.com"],
    "called": ["+351 912 345 678", "+49 (30) 1234-567"],
    "account": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"],
    "paid_with": ["4111 1111 1111 1111", "5500005555555559"],
    "host": ["10.0.0.1", "192.168.7.254"],
    "number": ["078-05-1120", "12345678Z"],
}
PLAIN = {
    "product": ["GB82WEST12345698765433", "AB12CDEFGHIJKLMN"],
    "order": ["4111111111111112", "1234567890123456"],
    "town": ["Lisbon", "Porto"],
    "version": ["1.2.3", "10.1"],
}


@pytest.mark.parametrize("name", [*PERSONAL, *PLAIN])
def test_personal_data_is_suspected_by_its_values(name: str) -> None:
    column = ColumnSchema(attr=name, column=name, kind="string")
    values = pl.Series(name, {**PERSONAL, **PLAIN}[name])
    found = pii_suspects([(column, values)])
    assert [suspect.column for suspect in found] == ([name] if name in PERSONAL else [])


@pytest.mark.parametrize(
    ("name", "personal"),
    [
        ("email", True),
        ("customerEmail", True),
        ("E-Mail", True),
        ("LastName", True),
        ("Name", True),
        ("customer_name", True),
        ("IP address", True),
        ("date_of_birth", True),
        ("product_name", False),
        ("zip", False),
        ("description", False),
        ("mobility", False),
        ("PhoneService", False),
        ("email_opt_in", False),
        ("phone_number_2", True),
        ("AddressLine1", True),
    ],
)
def test_personal_data_is_suspected_by_its_name(name: str, personal: bool) -> None:
    column = ColumnSchema(attr="c", column=name, kind="string")
    found = pii_suspects([(column, pl.Series("c", ["a", "b"]))])
    assert bool(found) == personal


def test_a_table_without_time_has_no_span() -> None:
    schema = SourceSchema(
        name="Row",
        uri="",
        kind="event",
        without_time=True,
        columns=(ColumnSchema(attr="x", column="x", kind="float"),),
    )
    found = audited(pl.DataFrame({"x": [1.0, 2.0, 2.0]}), schema, label=np.array([0.0, 1.0, 1.0]))
    assert found.first is None and found.days == 0.0 and found.duplicates == 1
    assert found.label is not None and found.label.by_month == {}
