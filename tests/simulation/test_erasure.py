"""An entity is erased: nothing of it is left, and for everybody else it was never there."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.core.clock import FixedClock, iso
from holdfast.errors import ContractError, StoreError
from holdfast.features.backfill import backfill
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.loop.project import Project
from holdfast.stores.open import open_online
from tests.conftest import ROOT
from tests.simulation import tiny

CARD, OWN = "card-4711-of-somebody", "private-payment-"
CLOCK = FixedClock(tiny.NOW + 30 * tiny.DAY)


def payment(number: int, at_us: int, **changed: Any) -> dict[str, Any]:
    return {"payment_id": f"{OWN}{number}", "paid_at": iso(at_us), "card": CARD, "shop": "s1",
            "amount": 17.25, "channel": "online", **changed}  # fmt: skip


def append(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("a", newline="", encoding="utf-8") as opened:
        csv.DictWriter(opened, list(rows[0])).writerows(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that somebody was served by: in history, in quarantine, in the log."""
    folder = tiny.trained(tmp_path / "tiny")
    paid = [payment(n, tiny.START + n * tiny.DAY) for n in range(5)]
    append(folder / "payments.csv", [*paid, payment(9, tiny.START, amount=-1)])
    told = {"chargeback_id": "b-private", "payment_id": f"{OWN}1"}
    append(folder / "chargebacks.csv", [{**told, "reported_at": iso(tiny.START + 2 * tiny.DAY)}])
    with Project(folder, clock=CLOCK).service() as service:
        for number, row in enumerate(tiny.stream(5, 40)):
            service.predict(row)
            if number % 4 == 0:
                service.predict(payment(20 + number, tiny.NOW + number * tiny.DAY // 8))
        service.event("Chargeback", {"chargeback_id": "x1", "payment_id": f"{OWN}24",
                                     "reported_at": iso(tiny.NOW + 6 * tiny.DAY)})  # fmt: skip
        service.retract("Payment", f"{OWN}28")
        service.predict(payment(99, tiny.NOW + 6 * tiny.DAY))
    return folder


def grep(folder: Path, text: str) -> list[str]:
    """The files below a folder that hold a text."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if text.encode() in path.read_bytes()]


def state(store: Any) -> dict[str, Any]:
    with store.transaction(write=False) as txn:
        spaces = ("log", "state", "pending", "label", "future", "seen")
        return {space: list(txn.scan(space)) for space in spaces}


def test_nothing_is_left_and_others_never_met_it(folder: Path) -> None:
    home, project = folder / ".holdfast", Project(folder, clock=CLOCK)
    assert grep(home, CARD) and grep(home, OWN)
    tried = project.erase("tiny", "card", CARD, dry_run=True)
    assert tried.removed["tiny"] == {
        "records": 13, "predictions": 11, "history": 6, "quarantine": 1
    }  # fmt: skip
    assert grep(home, CARD) and not (home / "erased").exists()

    found = project.erase("tiny", "card", CARD)
    assert found.removed == tried.removed and found.remains == [] and found.searched
    assert [(Path(one.where).name, one.count) for one in found.files] == [("payments.csv", 6)]
    assert found.models == [{"use_case": "tiny", "version": 1, "holds": False}]
    assert grep(home, CARD) == grep(home, OWN) == []

    with project.service() as service:
        left, plan, tables = state(service.store), service.plan, project.history().tables
        offset = service.head()["next_offset"]
        assert offset > max(int.from_bytes(key) for key, _ in left["log"]) + 1
        refuse(service)
        assert service.predict({**payment(1, CLOCK.now_us()), "payment_id": "new", "card": "c1"})
    assert grep(home, CARD) == grep(home, OWN) == []
    assert OWN not in str(tables["Chargeback"].frame.to_dicts())
    assert sum(one.erased for one in project.history().loaded.values()) == 7
    served = project.parity(rows=20)
    assert all(one is None or one.differ == 0 for one in served.values())

    never = open_online("memory://", spaces=SPACES)
    with never.transaction(write=True) as txn:
        for key, value in left["log"]:
            txn.put("log", key, value)
    lines = [line for line in (folder / "payments.csv").open() if CARD not in line]
    (folder / "payments.csv").write_text("".join(lines))
    lines = [line for line in (folder / "chargebacks.csv").open() if OWN not in line]
    (folder / "chargebacks.csv").write_text("".join(lines))
    (home / "erased" / "hashes").unlink()
    backfill(OnlineFeatures(plan), never, Project(folder, clock=CLOCK).history().tables)
    assert state(never) == left


def refuse(service: Any) -> None:
    """What names the erased, or a row of it, is refused and counted."""
    for row in (payment(1, tiny.NOW), payment(1, tiny.NOW, card="c1")):
        with pytest.raises(ContractError, match="was erased") as caught:
            service.predict(row)
        assert caught.value.code == "HF344" and OWN not in str(caught.value)
    with pytest.raises(ContractError, match="was erased"):
        service.event("Chargeback", {"chargeback_id": "x2", "payment_id": f"{OWN}24",
                                     "reported_at": iso(CLOCK.now_us())})  # fmt: skip
    assert service.records.about()["Payment"]["erased"] == 2


def test_a_service_keeps_its_store_from_being_erased(folder: Path) -> None:
    project = Project(folder, clock=CLOCK)
    with project.service(), pytest.raises(StoreError) as caught:
        Project(folder, clock=CLOCK).erase("tiny", "card", CARD)
    assert caught.value.code == "HF607"
    assert not (folder / ".holdfast" / "erased").exists()


def test_a_key_that_nobody_has_is_named(folder: Path) -> None:
    with pytest.raises(ContractError, match="no key `cart`") as caught:
        Project(folder, clock=CLOCK).erase("tiny", "cart", CARD)
    assert caught.value.code == "HF345"


def test_a_full_disk_leaves_the_store_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    project = Project(folder, clock=CLOCK)
    with monkeypatch.context() as patch:
        patch.setattr("holdfast.stores.lmdb.copied", full)
        with pytest.raises(StoreError) as caught:
            project.erase("tiny", "card", CARD)
        assert caught.value.code == "HF601" and caught.value.retryable
    with project.service() as service:
        refuse(service)
    assert Project(folder, clock=CLOCK).erase("tiny", "card", CARD).remains == []
    assert grep(folder / ".holdfast", CARD) == []


KILLED = """
import os, signal, sys
from holdfast.core.clock import FixedClock
from holdfast.loop.project import Project
import holdfast.loop.erase as erasing, holdfast.stores.lmdb as lmdb_store

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

where, name = sys.argv[2].rsplit(".", 1)
setattr({"erasing": erasing, "store": lmdb_store, "project": lmdb_store.LmdbOnlineStore}[where],
        name, killed)
Project(sys.argv[1], clock=FixedClock(int(sys.argv[3]))).erase("tiny", "card", sys.argv[4])
"""


@pytest.mark.parametrize(
    "moment",
    ["erasing.erase_from", "project.purge", "store.take_place", "erasing.write_quarantine",
     "erasing._remains"],
)  # fmt: skip
def test_killed_on_the_way_it_is_finished_by_doing_it_again(folder: Path, moment: str) -> None:
    command = [sys.executable, "-c", KILLED, str(folder), moment, str(CLOCK.now_us()), CARD]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert Project(folder, clock=CLOCK).erase("tiny", "card", CARD).remains == []
    assert grep(folder / ".holdfast", CARD) == grep(folder / ".holdfast", OWN) == []
    with Project(folder, clock=CLOCK).service() as service:
        refuse(service)
