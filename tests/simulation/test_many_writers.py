"""Several processes write one store, some are killed: one order, every record once, no bit lost."""

from __future__ import annotations

import multiprocessing
import random
import signal
import uuid
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import StoreError
from holdfast.features.live import with_live
from holdfast.features.log import EVENT, SPACES, Record
from holdfast.features.online import OnlineFeatures
from holdfast.features.training_set import build_training_set
from holdfast.stores.base import OnlineStore
from holdfast.stores.open import open_online
from tests.laws.test_replay_laws import assert_served
from tests.laws.worlds import tables_of
from tests.services import forget_redis, redis_server
from tests.simulation import writer_child

SEED = 4_711
WRITERS = 4
EVENTS = 500
KILLS = (3, 3, 3, 0)
KILLS_ON_REDIS = (1, 0, 1, 0)
"""How often each writer is killed; on Redis the others then wait for its lease to end."""
AGAIN_MAX = 3
PATIENCE_S = 60  # a test that hangs must end; nothing waits for it to pass
PLAN = writer_child.PLAN


class Writer:
    """One process after the other that sends the same rows, and what it was told of them."""

    def __init__(self, url: str, number: int, kills: int) -> None:
        self.url, self.number, self.wanted = url, number, kills
        self.steps = writer_child.steps_of(number, EVENTS)
        self.chance = random.Random(SEED + number)
        self.offsets: dict[int, list[int]] = {}
        self.served: dict[str, Any] = {}
        self.kills = self.again = 0
        self.start()

    def start(self) -> None:
        """Start a process that goes on where the last one was, or a little before."""
        context = multiprocessing.get_context("forkserver")
        self.next = max(0, len(self.offsets) - self.chance.randrange(AGAIN_MAX + 1))
        self.killed = self.kills < self.wanted
        most = len(self.steps) // (self.wanted + 1)
        steps = self.chance.randrange(1, most) if self.killed else None
        self.hear, tell = context.Pipe(duplex=False)
        self.child = context.Process(
            target=writer_child.work,
            args=(self.url, self.number, EVENTS, tell),
            kwargs={"skip": self.next, "kill_after": steps, "wait_s": self.chance.random() / 500},
        )
        self.child.start()
        tell.close()

    def listen(self) -> bool:
        """Hear of one step; return whether there is more to hear."""
        try:
            self.note(self.next, *self.hear.recv())
        except (EOFError, OSError):
            return self.over()
        self.next += 1
        return True

    def over(self) -> bool:
        """Take note of a process's end; return whether another one was started."""
        self.child.join(PATIENCE_S)
        assert self.child.exitcode == (-signal.SIGKILL if self.killed else 0)
        self.kills += self.killed
        if len(self.offsets) == len(self.steps):
            return False
        self.start()
        return True

    def note(self, step: int, places: list[tuple[int, bool]], features: Any) -> None:
        """Note what was acknowledged; a second time it must be the same places."""
        offsets = [offset for offset, _ in places]
        if step in self.offsets:
            assert all(repeated for _, repeated in places)
            assert offsets == self.offsets[step]
        self.again += any(repeated for _, repeated in places)
        self.offsets[step] = offsets
        if features is not None:
            self.served[self.steps[step][1][0]["pay_id"]] = features


def test_many_writers_keep_one_order_whoever_is_killed(tmp_path: Path) -> None:
    keep_one_order(f"lmdb://{tmp_path}", KILLS)


@pytest.mark.services
@redis_server
def test_many_writers_on_redis_keep_one_order_whoever_is_killed() -> None:
    url = f"redis://127.0.0.1:6379/0?prefix=holdfast-test:{uuid.uuid4().hex}"
    try:
        keep_one_order(url, KILLS_ON_REDIS)
    finally:
        forget_redis(url)


def keep_one_order(url: str, kills: tuple[int, ...]) -> None:
    """Let writers send their rows to one store, and look at what it holds."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["tests.simulation.writer_child"]
    )
    with open_online(url, spaces=SPACES, sync_on_commit=False) as store:
        writers = [Writer(url, number, most) for number, most in enumerate(kills)]
        watch(store, writers)
        assert tuple(writer.kills for writer in writers) == kills
        assert sum(writer.again for writer in writers)
        check(store, writers)


def watch(store: OnlineStore, writers: list[Writer]) -> None:
    """Listen to the writers; what a reader sees meanwhile is whole, and only grows."""
    online, seen = OnlineFeatures(PLAN), 0
    working = list(writers)
    while working:
        ready = wait([writer.hear for writer in working], PATIENCE_S)
        assert ready, "the writers are silent"
        working = [one for one in working if one.hear not in ready or one.listen()]
        head = whole_head(online, store)
        assert head is None or head >= seen
        seen = seen if head is None else head
    assert seen


def whole_head(online: OnlineFeatures, store: OnlineStore) -> int | None:
    """Where the log ends by every account of one moment; None where the moment was gone."""
    try:
        with store.transaction(write=False) as txn:
            head = online.log.head(txn).next_offset
            assert head == online.log.next_offset(txn) == txn.count("log") == txn.count("seen")
            return head
    except StoreError as error:
        assert error.code == "HF615" and error.retryable
        return None


def check(store: OnlineStore, writers: list[Writer]) -> None:
    """Every row once, where it was told; the state is its fold, the features are training's."""
    online = OnlineFeatures(PLAN)
    with store.transaction(write=False) as txn:
        records = list(online.log.records(txn))
    assert [record.offset for record in records] == list(range(WRITERS * EVENTS))
    clocks = [record.known_us for record in records]
    assert clocks == sorted(clocks)
    names = {key_of(record.source, record.row): record.offset for record in records}
    told = {
        key_of(source, row): offset
        for writer in writers
        for step, (source, rows, _) in enumerate(writer.steps)
        for row, offset in zip(rows, writer.offsets[step], strict=True)
    }
    assert names == told and len(names) == len(records)
    assert contents(store) == contents(again(records))
    history = tables_of(PLAN, {name: [] for name in PLAN.schemas})
    training = build_training_set(PLAN, with_live(online.log, store, history))
    served = {key: values for writer in writers for key, values in writer.served.items()}
    assert len(served) > EVENTS / 2
    assert_served(training, served)


def again(records: list[Record]) -> OnlineStore:
    """A store into which the records of a log were folded one at a time."""
    fresh, online = open_online("memory://", spaces=SPACES), OnlineFeatures(PLAN)
    for record in records:
        assert record.kind == EVENT
        with fresh.transaction(write=True) as txn:
            online.replay(txn, record.source, record.row)
    return fresh


def contents(store: OnlineStore) -> dict[str, list[tuple[bytes, bytes]]]:
    with store.transaction(write=False) as txn:
        return {space: list(txn.scan(space)) for space in SPACES}


def key_of(source: str, row: dict[str, Any]) -> str:
    return str(row["pay_id" if source == "Pay" else "back_id"])
