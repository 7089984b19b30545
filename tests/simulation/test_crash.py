"""Kill -9 at any moment: what was acknowledged is there, once; what was not, is there or not."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.features.backfill import backfill
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.loop.project import Project
from holdfast.serving.parity import verify_served
from holdfast.serving.prediction_log import PredictionLog
from holdfast.stores.open import open_online
from tests.conftest import ROOT
from tests.simulation import crash_child, tiny

SEED = 20_251
KILLS = 16
HTTP_KILLS = 3
STEPS = 240
HTTP_STEPS = 45
REPEATED_MAX = 5
SPINS_MAX = 40_000
PATIENCE_S = 60  # a test that hangs must end; nothing waits for it to pass

Step = tuple[int, str, Any]


def steps_of(count: int) -> list[Step]:
    """Payments to decide, with charge-backs of earlier ones between them."""
    chance, steps, paid = random.Random(SEED), [], []
    for row in tiny.stream(SEED, count):
        paid.append(row)
        steps.append(("predict", row))
        if chance.random() < 0.2:
            back = chance.choice(paid)
            told = {"chargeback_id": f"x{len(steps)}", "payment_id": back["payment_id"]}
            steps.append(("Chargeback", {**told, "reported_at": row["paid_at"]}))
    return [(number, *step) for number, step in enumerate(steps)]


class Account:
    """What the caller was told, step by step."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps, self.told = steps, dict[int, Any]()
        self.kills = self.again = 0

    @property
    def done(self) -> bool:
        return len(self.told) == len(self.steps)

    def left(self, chance: random.Random) -> list[Step]:
        """What is not acknowledged yet, after some of what was."""
        start = len(self.told)
        return self.steps[max(0, start - chance.randrange(REPEATED_MAX)) :]

    def hear(self, number: int, name: Any, repeated: bool) -> None:
        """Note one acknowledgement; a second one must say the same."""
        if number in self.told:
            assert repeated and self.told[number] == name
        self.again += repeated
        self.told[number] = name


def test_no_kill_loses_or_repeats_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.trained(tmp_path / "tiny")
    project = Project(folder, clock=crash_child.CLOCK)
    record = project.model()
    bundle, online = project.artifacts().open(record.artifact), folder / ".holdfast/online/tiny"
    with project.service():
        pass
    monkeypatch.setenv(crash_child.WARM, str(bundle))
    chance, account = random.Random(SEED), Account(steps_of(STEPS))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.simulation.crash_child"])
    between = STEPS // KILLS
    while not account.done:
        hear, tell = context.Pipe(duplex=False)
        steps = account.left(chance)
        child = context.Process(target=crash_child.work, args=(bundle, online, steps, tell))
        child.start()
        tell.close()
        wanted = chance.randrange(1, 2 * between) if account.kills < KILLS else len(steps) + 1
        killed = follow(account, hear, child, wanted, chance)
        child.join(PATIENCE_S)
        account.kills += killed
        assert child.exitcode == (-signal.SIGKILL if killed else 0)
    assert account.kills >= 15 and account.again > 0
    check(project, account)


def follow(account: Account, hear: Any, child: Any, wanted: int, chance: random.Random) -> bool:
    """Hear acknowledgements; kill after so many and a moment; hear what had left by then."""
    heard, killed = 0, False
    while True:
        try:
            assert hear.poll(PATIENCE_S), f"seed {SEED}: the child is silent"
            said = msgspec.json.decode(hear.recv_bytes())
        except (EOFError, OSError):
            return killed
        if said is not None:
            account.hear(*said)
            heard += 1
        if heard == wanted and not killed:
            for _ in range(chance.randrange(SPINS_MAX)):
                pass
            child.kill()
            killed = True


def check(project: Project, account: Account) -> None:
    """The log holds each step once, the state is its fold, the features are the training set's."""
    history = project.history()
    rows = [step for step in account.steps if step[1] == "predict"]
    with project.service() as service:
        store, online = service.store, service.online
        with store.transaction(write=False) as txn:
            kept = list(PredictionLog().all(txn))
            records = list(online.log.records(txn))
        assert sorted(p.prediction_id for p in kept) == sorted(account.told[n] for n, *_ in rows)
        by_key = {p.row["payment_id"]: p.prediction_id for p in kept}
        assert by_key == {row["payment_id"]: account.told[number] for number, _, row in rows}
        assert all(p.by == "model" for p in kept)
        names = [(r.source, r.row.get("payment_id"), r.row.get("chargeback_id")) for r in records]
        assert len(set(names)) == len(names) == len(account.steps)
        assert [r.offset for r in records] == list(
            range(records[0].offset, records[0].offset + len(records))
        )
        fresh = open_online("memory://", spaces=SPACES)
        again = OnlineFeatures(service.plan)
        backfill(again, fresh, history.tables)
        for record in records:
            with fresh.transaction(write=True) as txn:
                accepted = again.accept(
                    txn, record.source, record.row, prediction=record.prediction
                )
                again.fold(txn, record.source, record.row, accepted.offset)
        for space in SPACES:
            if space != "predictions":
                assert contents(store, space) == contents(fresh, space), space
        served = verify_served(online, store, history.tables)
        assert served is not None
        assert (served.rows, served.differ) == (len(rows), 0)


def contents(store: Any, space: str) -> list[tuple[bytes, bytes]]:
    with store.transaction(write=False) as txn:
        return list(txn.scan(space))


# ---------------------------------------------------------------- over HTTP


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    """A server in a process of its own."""
    command = [sys.executable, "-m", "tests.simulation.crash_child", str(folder)]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            host, port = process.stdout.readline().split()
            yield process, http.client.HTTPConnection(host, int(port), timeout=PATIENCE_S)
        finally:
            process.kill()


def post(connection: http.client.HTTPConnection, what: str, row: Any) -> Any:
    path = "/predict" if what == "predict" else f"/event/{what}"
    connection.request("POST", path, json.dumps(row), {"content-type": "application/json"})
    reply = connection.getresponse()
    said = json.loads(reply.read())
    assert reply.status == 200, said
    return said.get("prediction_id", said.get("offset")), said["repeated"]


@pytest.mark.slow
def test_no_kill_loses_or_repeats_anything_over_http(tmp_path: Path) -> None:
    folder = tiny.trained(tmp_path / "tiny")
    chance, account = random.Random(SEED + 1), Account(steps_of(HTTP_STEPS))
    while not account.done:
        steps = account.left(chance)
        wanted = chance.randrange(1, 2 * HTTP_STEPS // HTTP_KILLS)
        wanted = wanted if account.kills < HTTP_KILLS else len(steps)
        with serving(folder) as (process, connection):
            for number, what, row in steps[:wanted]:
                account.hear(number, *post(connection, what, row))
            if account.kills < HTTP_KILLS:
                body = json.dumps(steps[min(wanted, len(steps) - 1)][2])
                connection.request("POST", "/predict", body)  # killed before, during or after
                process.kill()
                account.kills += 1
            else:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0
    check(Project(folder, clock=crash_child.CLOCK), account)
