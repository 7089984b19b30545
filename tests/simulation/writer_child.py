"""The processes that share one store: each sends its own rows, one by one or in batches."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.stream import replay_many
from holdfast.stores.base import OnlineStore
from holdfast.stores.open import open_online
from tests.laws.worlds import PLANS, START, STEP, in_order, serve, tables_of

PLAN = PLANS["charged"]
BATCH = 6
BACKS = 0.2

Step = tuple[str, list[dict[str, Any]], bool]
"""Rows of a source that are sent together, and whether their features are asked for."""


def steps_of(worker: int, events: int) -> list[Step]:
    """The rows of one worker, as it always sends them: payments and what is charged back."""
    chance, steps, sent = random.Random(worker), list[Step](), 0
    while sent < events:
        if sent and chance.random() < BACKS:
            steps.append(("Back", [_back(chance, worker, sent)], False))
            sent += 1
            continue
        asked = chance.random() < 0.5
        size = 1 if asked else min(chance.randint(1, BATCH), events - sent)
        steps.append(("Pay", [_pay(chance, worker, sent + n) for n in range(size)], asked))
        sent += size
    return steps


def work(
    url: str,
    worker: int,
    events: int,
    told: Connection,
    *,
    skip: int,
    kill_after: int | None,
    wait_s: float,
) -> None:
    """Send a worker's rows from a step on, and tell of each step once it is committed.

    After so many steps the process is killed, wherever it is a moment later.
    """
    online = OnlineFeatures(PLAN)
    with open_online(url, spaces=SPACES, sync_on_commit=False) as store:
        for number, step in enumerate(steps_of(worker, events)[skip:]):
            if number == kill_after:
                threading.Thread(target=_kill, args=(wait_s,)).start()
            told.send(_send(online, store, step))
        if kill_after is not None:
            signal.pause()


def _kill(wait_s: float) -> None:
    time.sleep(wait_s)
    os.kill(os.getpid(), signal.SIGKILL)


def _send(online: OnlineFeatures, store: OnlineStore, step: Step) -> tuple[Any, Any]:
    """Send one step; return the place of each row in the log, and the features of the first."""
    source, rows, asked = step
    with store.transaction(write=True) as txn:
        if not asked:
            accepted = replay_many(online, txn, source, rows)
            return [(one.offset, one.repeated) for one in accepted], None
        one = online.accept(txn, source, rows[0])
        if one.repeated:
            return [(one.offset, True)], None
        features, _ = online.read(txn, rows[0])
        online.fold(txn, source, rows[0], one.offset)
    return [(one.offset, False)], features


def _moment(chance: random.Random, number: int) -> tuple[int, int]:
    at = START + number * STEP // 16 - chance.choice([0, 0, 0, STEP, 9 * STEP])
    return at, at + chance.choice([0, 0, 0, STEP, 20 * STEP])


def _pay(chance: random.Random, worker: int, number: int) -> dict[str, Any]:
    at, seen_at = _moment(chance, number)
    return {
        "pay_id": f"p{worker}-{number}",
        "at": at,
        "seen_at": seen_at,
        "card": chance.choice("abc"),
        "shop": chance.choice(["x", "y", None]),
        "amount": chance.choice([None, -2.5, 0.1, 3.0, 1e9]),
        "place": chance.choice(["nl", "de", None]),
        "note": None,
        "online": chance.choice([True, False, None]),
        "bad": None,
        "dispute": None,
        "disputed_at": None,
    }


def _back(chance: random.Random, worker: int, number: int) -> dict[str, Any]:
    at, seen_at = _moment(chance, number)
    return {
        "back_id": f"b{worker}-{number}",
        "pay_id": f"p{chance.randrange(4)}-{chance.randrange(number)}",
        "at": at,
        "seen_at": seen_at,
        "cost": chance.choice([None, 1.0, 2.5]),
    }


def warm() -> None:
    """Compile everything once, in the process that the others are forked from."""
    few: dict[str, Any] = {name: [] for name in PLAN.schemas}
    rows = [row for _, rows, _ in steps_of(0, 12) for row in rows]
    few |= {
        "Pay": [row for row in rows if "card" in row],
        "Back": [row for row in rows if "cost" in row],
    }
    with open_online("memory://", spaces=SPACES) as store:
        serve(OnlineFeatures(PLAN), store, in_order(PLAN, tables_of(PLAN, few)))
        with store.transaction(write=True) as txn:
            replay_many(OnlineFeatures(PLAN), txn, "Pay", [_pay(random.Random(0), 9, 0)])


if __name__ != "__main__":
    warm()
