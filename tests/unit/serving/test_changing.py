"""The definition changes while the old model serves: pinned, filled beside, switched, dropped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock, iso
from holdfast.errors import ContractError, StoreError
from holdfast.features.backfill import backfill
from holdfast.features.changes import Takes, changes, takes
from holdfast.features.online import OnlineFeatures
from holdfast.features.paced import PacedStore, Rest
from holdfast.features.slots import ALL_SPACES, OWN, SLOTS_MAX, Slots, SlotStore
from holdfast.loop.follow import Follower
from holdfast.loop.pinned import Ready, prepare
from holdfast.loop.project import Project
from holdfast.serving.service import Service
from holdfast.stores.open import open_online
from tests.simulation import tiny

CLOCK = FixedClock(tiny.NOW + 40 * tiny.DAY)
NEW = '    count_3d = by_card.count(over="3d")\n    shop_spend = Payment.by(Shop).sum('
NEW += 'Payment.amount, over="7d")\n'
ANCHOR = "    ratio = amount / usual\n"


@pytest.fixture(params=[True, False], ids=["ahead", "later"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tiny.trained(tmp_path / "tiny", ahead=request.param)


def change(folder: Path, before: str = ANCHOR, after: str = ANCHOR + NEW) -> None:
    """Change the definition, as its author does while it is served."""
    path = folder / "tiny.py"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after), "utf-8")


def project(folder: Path) -> Project:
    return Project(folder, clock=CLOCK)


@contextmanager
def followed(folder: Path, opened: Project) -> Iterator[tuple[Service, Follower]]:
    """A service with a follower that looks only when it is told to."""
    with opened.service() as service:
        store = service.store
        assert isinstance(store, SlotStore)
        follower = Follower(
            service,
            store.store,
            current=lambda: project(folder).model("tiny").version,
            load=lambda version: project(folder)._ready("tiny", version),
        )
        follower.rest.share = 1.0
        yield service, follower


def slot_contents(store: Any, number: int) -> dict[str, list[tuple[bytes, bytes]]]:
    with SlotStore(store, number).transaction(write=False) as txn:
        found = {space: list(txn.scan(space)) for space in OWN}
    found["meta"] = [entry for entry in found["meta"] if entry[0] != b"since"]
    return found


def fresh_contents(service: Service) -> dict[str, list[tuple[bytes, bytes]]]:
    """What history and the log leave behind for the plan that serves, made from nothing."""
    fresh = open_online("memory://", spaces=ALL_SPACES)
    with service.store.transaction(write=False) as txn, fresh.transaction(write=True) as copy:
        for space in ("log", "predictions"):
            for key, value in txn.scan(space):
                copy.put(space, key, value)
    assert service.watched is not None
    backfill(OnlineFeatures(service.plan), fresh, service.watched.tables)
    return slot_contents(fresh, 0)


def assert_whole(service: Service) -> None:
    store = service.store
    assert isinstance(store, SlotStore)
    assert slot_contents(store.store, store.slot) == fresh_contents(service)


def test_a_model_is_served_as_it_was_trained_whatever_the_file_says(folder: Path) -> None:
    with project(folder).service() as service:
        first = service.predict(next(tiny.stream(5, 1)))
    change(folder)
    opened = project(folder)
    with opened.service() as service:
        assert "count_3d" not in service.plan.feature_names
        again = service.predict(next(tiny.stream(5, 1)))
        assert (again.repeated, again.prediction_id) == (True, first.prediction_id)
        assert not service.predict(list(tiny.stream(5, 2))[1]).repeated
        assert_whole(service)
    assert "count_3d" in opened.plan().feature_names
    assert opened.explain("tiny", first.prediction_id) == first


def test_a_file_that_cannot_be_compiled_stops_nothing(folder: Path) -> None:
    change(folder, "    ratio = amount / usual\n", '    ratio = by_card.count(over="soon")\n')
    with project(folder).service() as service:
        assert service.predict(next(tiny.stream(5, 1))).by == "model"


def test_a_running_service_goes_over_to_a_model_with_new_features(folder: Path) -> None:
    rows = list(tiny.stream(5, 40))
    with followed(folder, project(folder)) as (service, follower):
        old = [service.predict(row) for row in rows[:15]]
        assert not follower.look()
        change(folder)
        assert project(folder).train().record.version == 2
        assert not service.predict(rows[15]).repeated
        assert follower.look() and not follower.look()
        assert service.bundle.version == 2 and "count_3d" in service.plan.feature_names
        assert_whole(service)
        new = [service.predict(row) for row in rows[16:]]
        assert {one.model_version for one in new} == {2}
        assert all(service.predict(row).repeated for row in rows[:15])
        assert [service.explain(one.prediction_id) for one in old] == old
        assert service.plan_of(old[0]).feature_names != service.plan.feature_names
        assert len(service.plan_of(old[0]).features) == len(old[0].features)
        assert_whole(service)
        outcome = {"key": rows[3]["payment_id"], "value": True}
        if service.plan.labels[0].kind == "column":
            assert not service.outcome(outcome)["repeated"]
    found = project(folder).parity(rows=0)["served"]
    assert found is not None and (found.rows, found.differ) == (40, 0)


def test_going_back_folds_only_what_was_missed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(tiny.stream(5, 40))
    change(folder)
    assert project(folder).train(promote=False).record.version == 2
    for turn, version in enumerate((1, 2)):
        with project(folder).service("tiny", version) as service:
            for row in rows[10 * turn : 10 * turn + 10]:
                service.predict(row)
    monkeypatch.setattr("holdfast.loop.pinned.backfill", None)
    for turn, version in enumerate((1, 2), start=2):
        with project(folder).service("tiny", version) as service:
            assert_whole(service)
            for row in rows[10 * turn : 10 * turn + 10]:
                assert service.predict(row).model_version == version
            assert_whole(service)
    found = project(folder).parity(rows=0)["served"]
    assert found is not None and (found.rows, found.differ) == (40, 0)


class Crash(Exception):
    """The process ends here."""


@pytest.mark.parametrize("writes", [0, 1, 2, 5, 9, 14])
def test_a_crash_on_the_way_leaves_the_old_model_and_goes_on_later(
    folder: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(tiny.stream(5, 24))
    monkeypatch.setattr("holdfast.features.catch_up.PIECE_RECORDS", 2)
    monkeypatch.setattr("holdfast.features.paced.WRITES_MAX", 20)
    left = writes
    after = Rest.after

    def crash(self: Rest, worked_s: float) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        after(self, 0.0)

    with followed(folder, project(folder)) as (service, follower):
        for row in rows[:12]:
            service.predict(row)
        change(folder)
        project(folder).train()
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(Rest, "after", crash)
            follower.look()
        assert service.bundle.version == 1
        assert service.predict(rows[12]).model_version == 1
        assert_whole(service)
    with followed(folder, project(folder)) as (service, follower):
        assert service.bundle.version == 2
        assert_whole(service)
        service.predict(rows[13])
        assert service.predict(rows[12]).repeated


def test_a_switch_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> int:
        raise StoreError("the disk is full", code="HF601")

    rows = list(tiny.stream(5, 10))
    with followed(folder, project(folder)) as (service, follower):
        service.predict(rows[0])
        change(folder)
        project(folder).train()
        with monkeypatch.context() as patch, pytest.raises(StoreError):
            patch.setattr("holdfast.loop.pinned.fold_rest", failing)
            follower.look()
        assert service.predict(rows[1]).model_version == 1
        assert follower.look()
        assert service.predict(rows[2]).model_version == 2
        assert_whole(service)


def test_requests_go_on_while_the_state_is_filled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = iter(tiny.stream(5, 400))
    monkeypatch.setattr("holdfast.features.catch_up.PIECE_RECORDS", 1)
    after, answered = Rest.after, []
    with followed(folder, project(folder)) as (service, follower):
        for _ in range(8):
            service.predict(next(rows))
        change(folder)
        project(folder).train()

        def serving(self: Rest, worked_s: float) -> None:
            if len(answered) < 30:  # a request comes in every rest
                answered.append(service.predict(next(rows)))
            after(self, 0.0)

        with monkeypatch.context() as patch:
            patch.setattr(Rest, "after", serving)
            assert follower.look()
        assert len(answered) >= 10
        assert {one.model_version for one in answered} == {1}
        assert_whole(service)
    found = project(folder).parity(rows=0)["served"]
    assert found is not None and (found.rows, found.differ) == (8 + len(answered), 0)


def test_the_follower_runs_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.loop.follow.LOOK_S", 0.02)
    opened = project(folder)
    with opened.service(follow=True) as service:
        change(folder)
        project(folder).train()
        at = iso(tiny.NOW + tiny.DAY)
        for row in tiny.stream(9, 100_000, first=50_000):
            if service.predict({**row, "paid_at": at}).model_version == 2:
                break
            threading.Event().wait(0.01)
        assert service.bundle.version == 2
        assert_whole(service)


def test_a_change_that_takes_a_restart_is_named_and_the_old_model_goes_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with followed(folder, project(folder)) as (service, follower):
        change(folder, '    amount = hf.Float(gt=0, unit="EUR")', "    amount = hf.Float(gt=-1)")
        project(folder).train()
        with caplog.at_level(logging.ERROR):
            assert not follower.look() and not follower.look()
        assert caplog.text.count("takes a restart: the contract of `Payment.amount`") == 1
        assert service.predict(next(tiny.stream(5, 1))).model_version == 1
    with project(folder).service() as service:
        assert service.bundle.version == 2
        assert_whole(service)


def test_a_log_that_the_new_definition_cannot_read_is_refused(folder: Path) -> None:
    with project(folder).service() as service:
        service.predict(next(tiny.stream(5, 1)))
    amount = '    amount = hf.Float(gt=0, unit="EUR")'
    change(folder, amount, amount.replace('Float(gt=0, unit="EUR")', "Category()"))
    change(folder, "Payment.amount, over", "Payment.paid_at, over")
    text = (folder / "tiny.py").read_text("utf-8")
    lines = [
        line
        for line in text.splitlines()
        if not line.strip().startswith(("usual", "ratio", "spend_7d"))
    ]
    text = "\n".join(lines).replace("-Payment.amount", "-1").replace("Payment.amount - 1", "1 - 1")
    (folder / "tiny.py").write_text(text.replace("* Payment.amount", "* 1.0") + "\n", "utf-8")
    with pytest.raises(ContractError) as raised:
        project(folder).train()
    assert raised.value.code == "HF310"
    assert "`Payment.amount` was a float and is a category" in raised.value.what
    with project(folder).service("tiny", 1) as service:
        plan = project(folder).plan()
        ready = Ready(bundle=replace(service.bundle, plan=plan), tables={}, where="tiny.py")
        with pytest.raises(ContractError) as raised:
            prepare(service.store.store, ready)  # type: ignore[attr-defined]
        assert raised.value.code == "HF310"
        assert service.predict(list(tiny.stream(5, 2))[1]).model_version == 1


def test_changes_are_told_apart(folder: Path) -> None:
    old = project(folder).plan()
    assert changes(old, old) == [] and takes([]) == Takes.BACKFILL
    change(folder)
    new = project(folder).plan()
    [added] = changes(old, new)
    assert added.what == "features new: `count_3d`, `shop_spend`"
    [gone] = changes(new, old)
    assert "gone" in gone.what and takes([added, gone]) == Takes.BACKFILL
    change(folder, 'over="3d"', 'over="5d"')
    [changed] = changes(new, project(folder).plan())
    assert changed.what == "features changed: `count_3d`"
    change(folder, "payment_id = hf.Key()", "payment_no = hf.Key(column='payment_id')")
    if "Chargeback" not in old.schemas:
        worst = changes(old, project(folder).plan())[0]
        assert worst.takes == Takes.NEW_STORE and "the key of `Payment`" in worst.what


def test_what_no_model_uses_is_listed_dropped_and_filled_again(folder: Path) -> None:
    rows = list(tiny.stream(5, 20))
    with project(folder).service() as service:
        for row in rows[:10]:
            service.predict(row)
        held = slot_contents(service.store.store, 0)  # type: ignore[attr-defined]
    nothing = project(folder).unused()
    assert (nothing.features, nothing.states) == ((), ())
    change(folder)
    assert project(folder).unused().features == ("count_3d", "shop_spend")
    project(folder).train()
    assert project(folder).unused().states == ()  # it was the last to serve
    with project(folder).service():
        pass
    found = project(folder).unused()
    [state] = found.states
    assert found.features == () and state.versions == (1,)
    assert state.entities == len(held["state"]) and state.bytes > 0
    dropped = project(folder).drop_unused()
    assert dropped == [state] and project(folder).unused().states == ()
    with project(folder).service("tiny", 1) as service:
        assert slot_contents(service.store.store, 0) == held  # type: ignore[attr-defined]
        assert_whole(service)
        assert not service.predict(rows[10]).repeated and service.predict(rows[9]).repeated


def test_slots_are_bounded_and_the_one_unused_for_longest_goes_first(folder: Path) -> None:
    plans = []
    for days in range(SLOTS_MAX + 1):
        plans.append(project(folder).plan())
        change(folder, ANCHOR, ANCHOR + f'    more_{days} = by_card.count(over="{days + 2}d")\n')
    slots, store = Slots(), open_online("memory://", spaces=ALL_SPACES)
    with store.transaction(write=True) as txn:
        numbers = [slots.serve(txn, plan, at).number for at, plan in enumerate(plans[:SLOTS_MAX])]
        assert sorted(numbers) == list(range(SLOTS_MAX))
        txn.put("state:1", b"k", b"v")
        slots.serve(txn, plans[0], 0)
        taken = slots.take(txn, plans[SLOTS_MAX])
        assert taken.number == 1 and txn.count("state:1") == 0
        assert slots.of(txn, plans[1]) is None
        serving = slots.serving(txn)
        assert serving is not None and serving.number == 0
        assert slots.plan_of_version(txn, 3) == plans[3]


def test_a_paced_store_writes_the_same_in_small_pieces(folder: Path) -> None:
    opened = project(folder)
    history = opened.history()
    whole, pieces = (open_online("memory://", spaces=ALL_SPACES) for _ in range(2))
    backfill(OnlineFeatures(history.plan), whole, history.tables)
    paced = PacedStore(SlotStore(pieces, 2), Rest(1.0))
    backfill(OnlineFeatures(history.plan), paced, history.tables)
    assert slot_contents(pieces, 2) == slot_contents(whole, 0)
    with paced.transaction(write=True) as txn:
        txn.clear("state")
        assert (txn.last("state"), txn.count("state"), txn.get("state", b"a")) == (None, 0, None)
        for name in (b"b", b"a", b"c"):
            txn.put("state", name, name)
        assert txn.delete("state", b"c") and not txn.delete("state", b"c")
        assert list(txn.scan("state")) == [(b"a", b"a"), (b"b", b"b")]
        assert list(txn.scan("state", b"b")) == [(b"b", b"b")]
        assert txn.last("state") == (b"b", b"b")
    with paced.transaction(write=False) as txn:
        assert list(txn.scan("state")) == [(b"a", b"a"), (b"b", b"b")]


def test_work_that_was_told_to_stop_says_so() -> None:
    rest = Rest()
    rest.stopped.set()
    with pytest.raises(StoreError) as raised:
        rest.after(0.0)
    assert raised.value.code == "HF309" and raised.value.retryable
