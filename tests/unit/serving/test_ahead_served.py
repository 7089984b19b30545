"""A service sees what is known of the future: told by events, carried by the bundle, replayed."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.core.clock import FixedClock, iso
from holdfast.errors import ContractError
from holdfast.loop.project import Project
from holdfast.serving.service import Service
from tests.simulation import tiny

DAY = tiny.DAY
CLOCK = FixedClock(tiny.NOW + 5 * DAY)
ROW: dict[str, Any] = {
    "paid_at": iso(CLOCK.now_us()),
    "card": "c1",
    "shop": "s1",
    "amount": 9.0,
    "channel": "chip",
}
SOURCE = """

class Promotion(hf.Event, source="promotions.csv"):
    told_at = hf.KnownTime()
    starts_at = hf.EventTime()
    shop = hf.Key(Shop)
    discount = hf.Float(gt=0)


by_card ="""
FEATURES = """class Features(hf.Features):
    best = Promotion.by(Shop).max(Promotion.discount, ahead="7d")
    planned = Promotion.by(Shop).count(ahead="7d")
    off = hf.calendar.at("Europe/Lisbon").holidays("PT", ahead="30d")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.write(tmp_path_factory.mktemp("ahead") / "tiny", ahead=False)
    text = (folder / "tiny.py").read_text().replace("\nby_card =", SOURCE)
    (folder / "tiny.py").write_text(text.replace("class Features(hf.Features):\n", FEATURES))
    with (folder / "promotions.csv").open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["told_at", "starts_at", "shop", "discount"])
        for day in range(0, tiny.DAYS, 2):
            told = tiny.START + day * DAY
            lines.writerow([iso(told), iso(told + (day % 9) * DAY), f"s{1 + day % 3}", 0.25])
        lines.writerow([iso(tiny.NOW - DAY), iso(tiny.NOW + 6 * DAY), "s1", 0.75])
    Project(folder, clock=FixedClock(tiny.NOW)).train()
    return folder


def asked(service: Service, number: int, **other: Any) -> dict[str, Any]:
    answer = service.predict(ROW | {"payment_id": f"q{number}"} | other)
    return dict(zip(service.plan.feature_names, answer.features, strict=True))


def promotion(days: float, **other: Any) -> dict[str, Any]:
    starts = CLOCK.now_us() + int(days * DAY)
    return {"starts_at": iso(starts), "shop": "s2", "discount": 0.5, **other}


def test_what_is_told_is_served_and_kept(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)  # a service needs no such package
    with Project(trained, clock=CLOCK).service() as service:
        assert asked(service, 1)["best"] == 0.75  # of history, known before it happens
        assert asked(service, 2, shop="s2")["best"] is None
        service.event("Promotion", promotion(6.5))
        service.event("Promotion", promotion(7))
        found = asked(service, 5, shop="s2")
        assert (found["best"], found["planned"]) == (0.5, 1.0)
        found = asked(service, 6, shop=None)
        assert (found["best"], found["planned"]) == (None, None)
        holidays = found["off"]
    with Project(trained, clock=CLOCK).service() as service:  # after a restart
        found = asked(service, 7, shop="s2")
        assert (found["best"], found["planned"], found["off"]) == (0.5, 1.0, holidays)
    assert holidays is not None and holidays >= 0


def test_what_was_served_is_what_a_replay_says(trained: Path) -> None:
    with Project(trained, clock=CLOCK).service() as service:
        asked(service, 20, shop="s3")
    found = Project(trained, clock=CLOCK).parity(rows=60)
    for one in found.values():
        assert one is not None and one.rows > 0
        assert one.differ == 0, one.differences


def test_a_promotion_may_lie_ahead_and_nothing_else(trained: Path) -> None:
    later = iso(CLOCK.now_us() + DAY)
    with Project(trained, clock=CLOCK).service() as service:
        with pytest.raises(ContractError, match="`told_at` lies in the future"):
            service.event("Promotion", promotion(3, told_at=later))
        with pytest.raises(ContractError, match="`paid_at` lies in the future"):
            asked(service, 30, paid_at=later)


def test_a_training_set_after_going_live_has_what_was_served(trained: Path) -> None:
    with Project(trained, clock=CLOCK).service() as service:
        service.event("Promotion", promotion(2, shop="s3", discount=0.125))
        served = [asked(service, 40, shop="s3"), asked(service, 41, shop="s1")]
    built = Project(trained, clock=CLOCK).training_set()
    keys = built.rows.get_column("payment_id").to_list()
    for number, features in zip((40, 41), served, strict=True):
        row = built.values[keys.index(f"q{number}")]
        told = [None if np.isnan(value) else value for value in row]
        assert dict(zip(built.names, told, strict=True)) == features
    assert served[0]["best"] == 0.125


def test_a_batch_sees_what_a_service_sees(trained: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "rows.csv", tmp_path / "decided.csv"
    file.write_text(
        f"payment_id,paid_at,card,shop,amount,channel\nz1,{iso(CLOCK.now_us())},c1,s1,9,chip\n"
    )
    told = Project(trained, clock=CLOCK).predict_file(None, file, out)
    with Project(trained, clock=CLOCK).service() as service:
        answer = service.predict(ROW | {"payment_id": "z1"})
    (line,) = list(csv.DictReader(out.open(encoding="utf-8")))
    assert told["by_model"] == 1 and answer.features[0] == 0.75
    assert float(line["score"]) == answer.score
