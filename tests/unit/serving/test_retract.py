"""Rows taken back and labels corrected, through the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock, iso
from holdfast.errors import ContractError, NotFoundError
from holdfast.loop.project import Project
from tests.simulation import tiny

CLOCK = FixedClock(tiny.NOW + 30 * tiny.DAY)


def row(number: int, **changed: Any) -> dict[str, Any]:
    at = iso(tiny.NOW + number * tiny.DAY // 10)
    return {"payment_id": f"n{number}", "paid_at": at, "card": "c99", "shop": "s1",
            "amount": 10.0, "channel": "chip", **changed}  # fmt: skip


@pytest.fixture(params=[True, False], ids=["ahead", "later"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return Project(tiny.trained(tmp_path / "tiny", ahead=request.param), clock=CLOCK)


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Any]:
    with Project(tiny.trained(tmp_path / "tiny", ahead=False), clock=CLOCK).service() as service:
        yield service


def feature(service: Any, name: str, prediction: Any) -> float | None:
    found: float | None = prediction.features[service.plan.feature_names.index(name)]
    return found


def test_a_row_taken_back_counts_no_more(project: Project) -> None:
    with project.service() as service:
        before = service.predict(row(1))
        assert feature(service, "count_1d", service.predict(row(2))) == 1
        assert service.retract("Payment", "n1") == {
            "source": "Payment", "offset": before.offset + 2, "repeated": False
        }  # fmt: skip
        assert service.retract("Payment", "n1")["repeated"]
        assert feature(service, "count_1d", service.predict(row(3))) == 1
        assert service.predict(row(1)).repeated
        marked = service.explain(before.prediction_id)
        assert marked.retracted_us is not None and marked.features == before.features
        assert service.counts["retracted"] == 1
        assert service.records.about()["Payment"]["retracted"] == 1
        assert service.watch.check() >= 0
    found = project.parity(rows=0)["served"]
    assert found is not None and (found.rows, found.differ) == (3, 0)
    live = project.training_set().rows.get_column("payment_id").to_list()
    assert {"n2", "n3"} <= set(live) and "n1" not in live


def test_a_row_of_history_can_be_taken_back(project: Project) -> None:
    with project.service() as service:
        last = service.online.history()["Payment"].frame.row(-1, named=True)
        card, at = last["card"], iso(last["paid_at"] + 1_000_000)
        counted = feature(service, "count_1d", service.predict(row(0, card=card, paid_at=at)))
        service.retract("Payment", last["payment_id"])
        again = feature(service, "count_1d", service.predict(row(1, card=card, paid_at=at)))
        assert again == counted  # one less of history, one more live
    assert len(project.training_set()) == tiny.ROWS + 1
    with Project(project.folder, clock=CLOCK).service() as service:
        assert service.retract("Payment", last["payment_id"])["repeated"]
    assert project.parity(rows=0)["served"].differ == 0  # type: ignore[union-attr]


def test_what_cannot_be_taken_back_says_so(project: Project) -> None:
    with project.service() as service:
        service.predict(row(1))
        for key in ("unknown", ""):
            with pytest.raises(NotFoundError, match="no `Payment` to take back") as caught:
                service.retract("Payment", key)
            assert caught.value.code == "HF341"
        with pytest.raises(NotFoundError):
            service.retract("Paiment", "n1")
        with pytest.raises(ContractError, match="not said which"):
            service.retract("Payment")
        with pytest.raises(NotFoundError):
            service.retract("Payment", offset=10**9)
        assert service.head()["next_offset"] == service.predict(row(2)).offset


def test_a_row_can_be_named_by_its_place(project: Project) -> None:
    with project.service() as service:
        offset = service.predict(row(1)).offset
        assert not service.retract("Payment", offset=offset)["repeated"]
        assert service.retract("Payment", "n1")["repeated"]


def test_another_value_corrects_a_label(later: Any) -> None:
    asked = later.predict(row(1))
    told = {"prediction_id": asked.prediction_id}
    assert later.outcome({**told, "value": True}) == {
        "of": asked.offset, "offset": asked.offset + 1, "repeated": False
    }  # fmt: skip
    assert later.outcome({**told, "value": True})["repeated"]
    assert later.outcome({**told, "value": False})["corrects"]
    assert later.outcome({**told, "value": False})["repeated"]
    assert (later.counts["outcomes"], later.counts["corrected"]) == (2, 1)
    later.retract("Payment", "n1")
    with pytest.raises(ContractError, match="was taken back") as caught:
        later.outcome({**told, "value": True})
    assert caught.value.code == "HF342"


def test_the_same_key_with_other_content_is_told(later: Any) -> None:
    later.predict(row(1))
    assert not later.predict(row(1)).differs
    assert later.predict(row(1, amount=11.0)).differs
    later.event("Payment", row(2))
    assert "differs" not in later.event("Payment", row(2))
    assert later.event("Payment", row(2, amount=11.0))["differs"]
    counts = later.records.about()["Payment"]
    assert counts == {"accepted": 2, "repeated": 4, "differs": 2}


def test_a_row_of_the_far_future_harms_nothing(later: Any) -> None:
    later.predict(row(1))
    far = iso(CLOCK.now_us() + 400 * tiny.DAY)
    with pytest.raises(ContractError, match="lies in the future") as caught:
        later.event("Payment", row(2, paid_at=far))
    assert caught.value.code == "HF214"
    assert later.records.about()["Payment"]["future_dated"] == 1
    assert feature(later, "count_1d", later.predict(row(3))) == 1
