"""Small histories that once told training and serving apart, each at every cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from holdfast.features.backfill import backfill
from holdfast.features.labels import patience_us
from holdfast.features.live import with_live
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.training_set import build_training_set
from holdfast.stores.open import open_online
from tests.laws.test_replay_laws import assert_served
from tests.laws.worlds import PLANS, START, STEP, in_order, serve, tables_of


def pay(number: int, at: int, *, late: int = 0, **other: Any) -> dict[str, Any]:
    """A payment at a step of the clock; `late` steps later it was known."""
    row = dict.fromkeys(("amount", "place", "online", "bad", "dispute", "disputed_at"))
    moment = START + at * STEP
    row |= {"pay_id": f"p{number}", "at": moment, "seen_at": moment + late * STEP}
    return {**row, "card": "a", "shop": "x", **other}


def back(number: int, pay_id: str, at: int, **other: Any) -> dict[str, Any]:
    moment = START + at * STEP
    row = {"back_id": f"b{number}", "pay_id": pay_id, "at": moment, "seen_at": moment}
    return {**row, "cost": None, **other}


CASES = {
    "a first row, seen nowhere before": ("charged", [pay(0, 0, place="nl")], []),
    "a row without a shop": ("charged", [pay(0, 0, shop=None), pay(1, 4, place="nl")], []),
    "ties of a label's own source": (
        "costs",
        [pay(0, 0), pay(1, 0), pay(2, 0, amount=-2.5), pay(3, 20)],
        [],
    ),
    "a label without a value yet": (
        "costs",
        [pay(0, 0), pay(1, 2), pay(2, 20)],
        [back(0, "p0", 4, cost=3.0), back(1, "p1", 6, cost=7.25)],
    ),
    "known after its horizon": ("charged", [pay(0, 0, late=12), pay(1, 30)], [back(0, "p0", 1)]),
    "known long after its horizon": (
        "charged",
        [pay(0, 0, late=30), pay(1, 1), pay(2, 40)],
        [back(0, "p0", 1), back(1, "p0", 20)],
    ),
    "before 1970": (
        "charged",
        [{**pay(n, 0), "at": (n - 40) * STEP, "seen_at": (n - 40) * STEP} for n in range(20)],
        [{**back(0, "p3", 0), "at": -36 * STEP, "seen_at": -36 * STEP}],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_cut_serves_what_training_says(case: str) -> None:
    name, pays, backs = CASES[case]
    plan = PLANS[name]
    tables = tables_of(plan, {"Pay": pays, "Back": backs, "Limit": []})
    training = build_training_set(plan, tables)
    moments = sorted({int(t) for table in tables.values() for t in table.known_us})
    for cut in [moments[0] - 1, *moments]:
        online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
        backfill(online, store, {key: table.known_until(cut) for key, table in tables.items()})
        assert_served(training, serve(online, store, in_order(plan, tables, cut)))


def test_an_outcome_dates_only_the_column_it_tells_of() -> None:
    plan = PLANS["marked"]
    disputed = pay(0, 0, late=1, dispute=-2.5, disputed_at=START)
    rows = [disputed, pay(1, 2), pay(2, 20)]
    tables = tables_of(plan, {"Pay": rows, "Back": [], "Limit": []})
    empty = {name: table.head(0) for name, table in tables.items()}
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, empty)
    served = {}
    for row in in_order(plan, tables):
        served |= serve(online, store, [row])
        with store.transaction(write=True) as txn:
            offset = online.log.find(txn, "Pay", {"pay_id": "p0"})[0]  # type: ignore[index]
            online.outcome(txn, offset, 1.0)
    whole = with_live(online.log, store, empty, label="bad")
    training = build_training_set(plan, whole)
    assert_served(training, served)
    shares = training.values[:, training.names.index("shop_dispute")]
    assert shares.tolist() == [0.0, -2.5, -2.5]
    assert training.label.tolist()[0] == 1.0


def test_a_row_counts_in_features_up_to_twice_its_horizon_late() -> None:
    plan = PLANS["charged"]
    label = plan.labels[0]
    patience = patience_us(label, plan.schemas["Pay"])
    assert patience == 2 * label.ahead_us
    steps = patience // STEP
    for late, counted in ((steps, 1.0), (steps + 1, np.nan)):
        rows = [pay(0, 0, late=late), pay(1, late + 1)]
        tables = tables_of(plan, {"Pay": rows, "Back": [back(0, "p0", 1)], "Limit": []})
        training = build_training_set(plan, tables)
        share = training.values[1, training.names.index("shop_charged")]
        assert np.array_equal(share, counted, equal_nan=True)
