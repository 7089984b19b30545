"""The known future on small histories, each value told beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import holdfast as hf
from holdfast.features import future_state
from holdfast.features.backfill import backfill
from holdfast.features.future import NEVER, future_of_rows, look_around
from holdfast.features.future_plan import PATIENCE_US
from holdfast.features.holidays import count_days
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.training_set import build_training_set
from holdfast.features.warm_up import warm_up
from holdfast.stores.open import open_online
from tests.laws.ahead_worlds import PATIENT
from tests.laws.test_replay_laws import assert_served
from tests.laws.worlds import HOUR, START, in_order, serve, tables_of

DAY = 24 * HOUR


def pay(number: int, at: float, *, late: float = 0, **other: Any) -> dict[str, Any]:
    """A payment some hours after the start, known some hours later."""
    row = dict.fromkeys(("amount", "place", "online", "bad", "dispute", "disputed_at"))
    moment = START + int(at * HOUR)
    row |= {"pay_id": f"p{number}", "at": moment, "seen_at": moment + int(late * HOUR)}
    return {**row, "card": "a", "shop": "x", **other}


def promo(told: float, at: float, **other: Any) -> dict[str, Any]:
    row = {"told_at": START + int(told * HOUR), "at": START + int(at * HOUR), "card": "a"}
    return {**row, "shop": "x", "discount": None, "units": None, "kind": None, **other}


def forecast(issued: float, at: float, degrees: float | None, **other: Any) -> dict[str, Any]:
    row = {"issued_at": START + int(issued * HOUR), "at": START + int(at * HOUR)}
    return {**row, "shop": "x", "degrees": degrees, **other}


def features(world: dict[str, list[dict[str, Any]]], plan: Plan = PATIENT) -> dict[str, Any]:
    """The last payment's features, the same in training and one at a time."""
    whole = {"Pay": [], "Promo": [], "Forecast": [], "Back": [], "Limit": [], "Price": [], **world}
    tables = tables_of(plan, whole)
    training = build_training_set(plan, tables)
    store = open_online("memory://", spaces=SPACES)
    assert_served(training, serve(OnlineFeatures(plan), store, in_order(plan, tables)))
    return dict(zip(training.names, training.values[-1].tolist(), strict=True))


def test_a_window_ahead_begins_at_the_row_and_ends_before_its_end() -> None:
    told = [promo(0, at) for at in (9, 10, 33, 34)]
    assert features({"Promo": told, "Pay": [pay(0, 10)]})["any_1d"] == 1.0
    one = {"Pay": [pay(0, 10)]}
    assert features({"Promo": [promo(0, 10)], **one})["any_1d"] == 1.0
    assert features({"Promo": [promo(0, 34)], **one})["any_1d"] == 0.0
    assert features({"Promo": told, **one})["count_5d"] == 3.0


def test_what_is_told_at_the_moment_of_a_row_is_not_known_to_it() -> None:
    world = {"Promo": [promo(10, 12)], "Pay": [pay(0, 10)]}
    assert features(world)["any_1d"] == 0.0
    assert features({**world, "Pay": [pay(0, 10), pay(1, 10.5)]})["any_1d"] == 1.0


def test_an_offset_moves_the_window_further_ahead() -> None:
    told = [promo(0, 57, discount=0.5), promo(0, 58, discount=0.25), promo(0, 131, discount=0.1)]
    found = features({"Promo": told, "Pay": [pay(0, 10)]})
    assert found["worst"] == 0.25  # [t + 2d, t + 5d)
    assert found["best"] == 0.5  # [t, t + 3d)
    assert found["until"] == 47.0
    assert features({"Promo": [promo(0, 12)], "Pay": [pay(0, 10)]})["until"] != 2.0


def test_nothing_ahead_is_none_of_it_and_no_key_is_missing() -> None:
    found = features({"Promo": [promo(0, 12, shop="y")], "Pay": [pay(0, 10)]})
    nothing = {"any_1d": 0.0, "count_5d": 0.0, "worth": 0.0, "behind": 0.0, "forecasts": 0.0}
    assert {name: found[name] for name in nothing} == nothing
    for name in ("best", "worst", "usual", "first_kind", "last_kind", "until", "degrees_1d"):
        assert np.isnan(found[name]), name
    found = features({"Promo": [promo(0, 12)], "Pay": [pay(0, 10, shop=None)]})
    for name in (*nothing, "best", "card_count"):
        assert np.isnan(found[name]), name


def test_a_snapshot_replaces_what_was_known_of_its_moment_and_an_event_does_not() -> None:
    issued = [forecast(0, 20, 15.0), forecast(5, 20, 9.0), forecast(11, 20, 30.0)]
    found = features({"Forecast": issued, "Pay": [pay(0, 10)]})
    assert (found["degrees_1d"], found["forecasts"]) == (9.0, 1.0)
    assert features({"Forecast": issued, "Pay": [pay(0, 12)]})["degrees_1d"] == 30.0
    told = [promo(0, 20, discount=0.2), promo(5, 20, discount=0.4), promo(11, 20, discount=0.9)]
    found = features({"Promo": told, "Pay": [pay(0, 10)]})
    assert (found["count_5d"], found["usual"]) == (2.0, pytest.approx(0.3))


def test_a_forecast_without_a_value_takes_the_earlier_one_back() -> None:
    issued = [forecast(0, 20, 15.0), forecast(5, 20, None)]
    found = features({"Forecast": issued, "Pay": [pay(0, 10)]})
    assert np.isnan(found["degrees_1d"]) and found["forecasts"] == 1.0


def test_a_window_behind_is_exact_beside_one_ahead() -> None:
    told = [promo(0, at, units=1.0) for at in (9.999, 10, 57.999, 58)]
    found = features({"Promo": told, "Pay": [pay(0, 64)]})
    assert found["behind"] == 2.0  # [t - 54h, t - 6h)


def test_a_row_is_waited_for_as_long_as_its_patience() -> None:
    patience = PATIENT.futures[0].patience_us
    assert patience == PATIENCE_US + 54 * HOUR  # and as long as the longest window behind
    told = [promo(0, 10), forecast(0, 10, 4.0)]
    world = {"Promo": told[:1], "Forecast": told[1:]}
    on_time = features({**world, "Pay": [pay(0, 10, late=patience / HOUR)]})
    assert on_time["count_5d"] == 1.0 and np.isnan(on_time["behind"])
    late = features({**world, "Pay": [pay(0, 10, late=patience / HOUR + 0.001)]})
    assert np.isnan(late["count_5d"]) and np.isnan(late["behind"])


def test_what_no_row_can_see_any_more_is_forgotten() -> None:
    plan = replace(PATIENT, futures=tuple(replace(f, patience_us=DAY) for f in PATIENT.futures))
    told = [promo(hour, hour) for hour in range(100)]
    nothing: dict[str, Any] = {name: [] for name in PATIENT.schemas}
    tables = tables_of(plan, {**nothing, "Promo": told})
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    serve(online, store, in_order(plan, tables))
    with store.transaction(write=False) as txn:
        kept = [
            len(future.records(txn, key))
            for future in online.futures
            for key, _ in txn.scan("future", future.prefix, future.prefix + b"\xff")
        ]
    assert kept == [25, 25]  # the newest and those of the day before it


def test_a_key_with_too_many_records_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(future_state, "RECORDS_PER_KEY_MAX", 5)
    world: dict[str, Any] = {"Pay": [], "Back": [], "Limit": [], "Price": [], "Forecast": []}
    for count in (5, 6):
        tables = tables_of(PATIENT, {**world, "Promo": [promo(0, at) for at in range(count)]})
        for fill in (filled, one_by_one):
            if count == 5:
                fill(tables)
                continue
            with pytest.raises(hf.StoreError, match="more than 5 records of `Promo`") as caught:
                fill(tables)
            assert caught.value.code == "HF320"


def filled(tables: Any) -> None:
    backfill(OnlineFeatures(PATIENT), open_online("memory://", spaces=SPACES), tables)


def one_by_one(tables: Any) -> None:
    store = open_online("memory://", spaces=SPACES)
    serve(OnlineFeatures(PATIENT), store, in_order(PATIENT, tables))


def test_a_plan_with_a_known_future_is_plain_data() -> None:
    again = Plan.from_dict(PATIENT.as_dict())
    assert again == PATIENT and again.fingerprint == PATIENT.fingerprint
    assert again.schemas["Promo"].foreseen and not again.schemas["Pay"].foreseen


def test_other_windows_over_the_same_values_share_the_records() -> None:
    (promos, *_) = PATIENT.futures
    fewer = replace(promos, windows=promos.windows[:1])
    other = replace(promos, keys=("card",))
    assert fewer.fingerprint == promos.fingerprint != other.fingerprint


def test_a_record_that_was_taken_back_does_not_count_behind_that_place() -> None:
    future = PATIENT.futures[[f.source for f in PATIENT.futures].index("Forecast")]
    issued = [forecast(0, 20, 15.0), forecast(1, 20, 9.0), forecast(2, 20, 30.0)]
    pays = [pay(n, 10 + n) for n in range(3)]
    world = {"Back": [], "Limit": [], "Price": [], "Promo": [], "Pay": pays, "Forecast": issued}
    tables = tables_of(PATIENT, world)
    order = np.array([3, 4, 5, 0, 1, 2])  # the forecasts stand before the rows: at 0, 1 and 2
    gone = np.array([NEVER, 4, 3])  # the last one goes behind the first row, then the one before
    window = [w.kind for w in future.windows].index("mean")
    found = future_of_rows(future, tables["Pay"], tables["Forecast"], log_order=order, gone=gone)
    assert found[:, window].tolist() == [30.0, 9.0, 15.0]


@pytest.mark.parametrize("back", [0, 1, 2])
def test_an_entry_without_a_record_is_as_if_it_had_never_come(back: int) -> None:
    issued = [forecast(0, 20, 15.0), forecast(1, 20, 9.0), forecast(2, 21, 30.0)]
    others = [row for at, row in enumerate(issued) if at != back]
    stores = [open_online("memory://", spaces=SPACES) for _ in range(2)]
    world: dict[str, Any] = {"Pay": [], "Back": [], "Limit": [], "Price": [], "Promo": []}
    online = OnlineFeatures(PATIENT)
    for store, rows in zip(stores, (issued, others), strict=True):
        tables = tables_of(PATIENT, {**world, "Forecast": rows})
        serve(OnlineFeatures(PATIENT), store, in_order(PATIENT, tables))
    with stores[0].transaction(write=True) as txn:
        for future in online.futures:
            if future.plan.source == "Forecast":
                future.refold(txn, issued[back], tables["Forecast"])
                future.refold(txn, issued[back] | {"shop": None}, tables["Forecast"])
    with stores[0].transaction(write=False) as txn, stores[1].transaction(write=False) as other:
        assert list(txn.scan("future")) == list(other.scan("future"))


def test_an_entry_without_records_is_gone() -> None:
    store, online = open_online("memory://", spaces=SPACES), OnlineFeatures(PATIENT)
    world: dict[str, Any] = {"Pay": [], "Back": [], "Limit": [], "Price": [], "Promo": []}
    tables = tables_of(PATIENT, {**world, "Forecast": [forecast(0, 20, 15.0)]})
    serve(online, store, in_order(PATIENT, tables))
    (future,) = [f for f in online.futures if f.plan.source == "Forecast"]
    with store.transaction(write=True) as txn:
        assert len(list(txn.scan("future"))) == 1
        future.refold(txn, {"shop": "x"}, tables["Forecast"].head(0))
        assert not list(txn.scan("future"))


def test_what_is_warmed_up_is_what_is_called() -> None:
    warm_up()
    compiled = [len(kernel.signatures) for kernel in (look_around, count_days)]
    features({"Pay": [pay(0, 10)], "Promo": [promo(0, 12)], "Forecast": [forecast(0, 12, 1.0)]})
    assert [len(kernel.signatures) for kernel in (look_around, count_days)] == compiled
