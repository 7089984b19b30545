"""History or the plan changes under a live log: the state is made again, the log stays."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock, iso
from holdfast.errors import StoreError
from holdfast.features.backfill import backfill
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.loop.project import Project
from holdfast.serving.service import Service
from holdfast.stores.open import open_online
from tests.simulation import tiny

CLOCK = FixedClock(tiny.NOW + 40 * tiny.DAY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.trained(tmp_path / "tiny")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Project, Service]]:
    project = Project(folder, clock=CLOCK)
    with project.service() as service:
        yield project, service


def grow(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Let history have more payments."""
    with (folder / "payments.csv").open("a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, list(rows[0])).writerows(rows)


def contents(store: Any) -> dict[str, list[tuple[bytes, bytes]]]:
    with store.transaction(write=False) as txn:
        return {space: list(txn.scan(space)) for space in SPACES}


def state_of_a_fresh_store(project: Project, service: Service) -> dict[str, Any]:
    """What history and the same log leave behind in an empty store."""
    fresh = open_online("memory://", spaces=SPACES)
    held = contents(service.store)
    with fresh.transaction(write=True) as txn:
        for space in ("log", "predictions"):
            for key, value in held[space]:
                txn.put(space, key, value)
    backfill(OnlineFeatures(service.plan), fresh, project.history().tables)
    return contents(fresh)


def test_history_that_has_live_rows_by_now_counts_them_once(folder: Path) -> None:
    rows = list(tiny.stream(5, 30))
    with opened(folder) as (_, service):
        first = [service.predict(row) for row in rows[:20]]
    grow(folder, [*rows[10:15], *rows[25:28]])  # some were served, some were not
    with opened(folder) as (project, service):
        assert contents(service.store) == state_of_a_fresh_store(project, service)
        for row, answer in zip(rows[:20], first, strict=True):
            again = service.predict(row)
            assert (again.prediction_id, again.repeated) == (answer.prediction_id, True)
        late = service.predict(rows[25])
        assert (late.repeated, late.offset) == (False, -1)
        for row in rows[20:25]:
            assert not service.predict(row).repeated
    served = Project(folder, clock=CLOCK).parity(rows=0)["served"]
    assert served is not None
    assert (served.rows, served.differ) == (5, 0)


def test_the_log_never_shrinks_and_offsets_go_on(folder: Path) -> None:
    rows = list(tiny.stream(5, 12))
    with opened(folder) as (_, service):
        offsets = [service.predict(row).offset for row in rows[:6]]
    grow(folder, rows[:6])
    with opened(folder) as (_, service):
        offsets += [service.predict(row).offset for row in rows[6:]]
        with service.store.transaction(write=False) as txn:
            assert [r.offset for r in service.online.log.records(txn)] == offsets
    assert offsets == sorted(set(offsets))


def test_a_crash_while_the_state_is_made_again_means_doing_it_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(tiny.stream(5, 20))
    with opened(folder) as (_, service):
        for row in rows:
            service.predict(row)
    grow(folder, rows[:4])
    refold, left = OnlineFeatures.refold, [3, 9]

    def sometimes(self: Any, txn: Any, record: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            left.pop(0)
            raise StoreError("the disk is full", code="HF601")
        return refold(self, txn, record)

    with monkeypatch.context() as patch:
        patch.setattr("holdfast.features.backfill.BATCH_RECORDS", 2)
        patch.setattr(OnlineFeatures, "refold", sometimes)
        for _ in range(2):
            with pytest.raises(StoreError), opened(folder):
                pass
    with opened(folder) as (project, service):
        assert contents(service.store) == state_of_a_fresh_store(project, service)
        assert all(service.predict(row).repeated for row in rows)


def test_changed_values_in_history_are_noticed(folder: Path) -> None:
    with opened(folder) as (_, service):
        before = contents(service.store)["state"]
    path = folder / "payments.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    *start, _, channel = lines[-1].split(",")
    lines[-1] = ",".join([*start, "77.5", channel])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with opened(folder) as (_, service):
        assert contents(service.store)["state"] != before


def test_nothing_is_made_again_without_a_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(folder) as (_, service):
        service.predict(next(tiny.stream(5, 1)))
        before = contents(service.store)
    monkeypatch.setattr("holdfast.loop.pinned.backfill", None)
    with opened(folder) as (_, service):
        assert contents(service.store) == before


def test_outcomes_survive(tmp_path: Path) -> None:
    folder = tiny.trained(tmp_path / "later", ahead=False)
    rows = list(tiny.stream(5, 20))
    with opened(folder) as (_, service):
        for row in rows:
            service.predict(row)
        for row in rows[::2]:
            service.outcome({"key": row["payment_id"], "value": True})
    grow(folder, [{**row, "fraud": None} for row in rows[:4]])
    with opened(folder) as (project, service):
        assert contents(service.store) == state_of_a_fresh_store(project, service)
        assert service.outcome({"key": rows[6]["payment_id"], "value": True})["repeated"]
        matured = iso(tiny.NOW + 20 * tiny.DAY)
        service.predict({**rows[0], "payment_id": "end", "paid_at": matured})
    labels = Project(folder, clock=CLOCK).training_set()
    keys = labels.rows.get_column("payment_id").to_list()
    known = {key: value for key, value in zip(keys, labels.label, strict=True) if value == 1}
    assert {row["payment_id"] for row in rows[4::2]} <= set(known)
