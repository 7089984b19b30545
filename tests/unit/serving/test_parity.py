"""What was served is replayed from the log: a fault in state or log is found and named."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from holdfast.core.clock import FixedClock
from holdfast.errors import ConfigError, StoreError
from holdfast.features.live_keys import NEEDLES_MAX, batches_of_keys
from holdfast.loop.config import read_config
from holdfast.loop.project import Project
from holdfast.serving.parity import recompute, sampled
from holdfast.serving.prediction_log import PredictionLog
from holdfast.serving.service import Service
from holdfast.serving.watch import QUEUE_MAX, ParityWatch
from tests.simulation import tiny

CLOCK = FixedClock(tiny.NOW + 40 * tiny.DAY)
ROWS = 24


@pytest.fixture(params=[True, False], ids=["ahead", "later"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tiny.trained(tmp_path / "tiny", ahead=request.param)
    (folder / "holdfast.toml").write_text("[serving]\nparity_sample = 1.0\n")
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[Service]:
    with Project(folder, clock=CLOCK).service() as service:
        assert service.watch is not None
        service.watch.__exit__()  # a test checks when it wants to
        yield service


def watch_of(service: Service) -> ParityWatch:
    assert service.watch is not None
    return service.watch


def test_every_served_request_is_replayed_and_agrees(folder: Path) -> None:
    with opened(folder) as service:
        for row in tiny.stream(5, ROWS):
            service.predict(row)
        watch = watch_of(service)
        assert watch.check() == ROWS
        width = len(service.plan.features)
        assert watch.counts["values"] == ROWS * width
        assert (watch.counts["differ"], watch.counts["failed"], watch.first) == (0, 0, None)
        assert watch.about()["waiting"] == 0
    found = Project(folder, clock=CLOCK).parity(rows=50, sample=10)
    for which, rows in (("served", 10), ("history", 50)):
        one = found[which]
        assert one is not None and (one.rows, one.differ) == (rows, 0)


def test_outcomes_and_repeated_requests_are_replayed_too(tmp_path: Path) -> None:
    folder = tiny.trained(tmp_path / "later", ahead=False)
    (folder / "holdfast.toml").write_text("[serving]\nparity_sample = 1\n")
    with opened(folder) as service:
        for number, row in enumerate(tiny.stream(7, ROWS)):
            service.predict(row)
            service.predict(row)
            if number % 3 == 0:
                service.outcome({"key": row["payment_id"], "value": True})
        assert watch_of(service).check() == ROWS
        assert watch_of(service).counts["differ"] == 0


def test_state_that_was_tampered_with_is_found_and_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = list(tiny.stream(5, ROWS))
    with opened(folder) as service:
        for row in rows[:12]:
            service.predict(row)
        tamper(service, card=rows[12]["card"])
        with caplog.at_level(logging.ERROR):
            answer = service.predict(rows[12])
            watch_of(service).check()
        first = watch_of(service).first
        assert first is not None and watch_of(service).counts["differ"] >= 1
        assert first.feature in ("spend_7d", "usual", "ratio")
        assert first.entity["card"] == rows[12]["card"]
        assert first.prediction == answer.prediction_id
        [behind] = [one for one in first.behind if "amount" in one.what]
        assert behind.keys == {"card": rows[12]["card"]}
        assert behind.counted >= len(behind.events) > 0
        served = dict(zip(service.plan.feature_names, answer.features, strict=True))
        assert first.serving == served[first.feature]
        assert first.training != first.serving
        assert f"`{first.feature}` of" in caplog.text and rows[12]["card"] in caplog.text
    found = Project(folder, clock=CLOCK).parity(rows=0)["served"]
    assert found is not None and found.differ == watch_of(service).counts["differ"]
    assert found.differences[0] == first


def tamper(service: Service, *, card: str) -> None:
    """Double every sum of one card's state, as damage that no length check sees."""
    changed = 0
    with service.store.transaction(write=True) as txn:
        for key, state in list(txn.scan("state")):
            if card.encode() not in key:
                continue
            numbers = np.frombuffer(state, dtype=np.float64).copy()
            amounts = (numbers > 1) & (numbers < 1e5) & (numbers != np.floor(numbers))
            numbers[amounts] *= 2
            txn.put("state", key, numbers.tobytes())
            changed += int(amounts.sum())
    assert changed


def test_a_logged_value_that_was_tampered_with_is_found_and_named(folder: Path) -> None:
    with opened(folder) as service:
        answers = [service.predict(row) for row in tiny.stream(5, ROWS)]
        victim = answers[9]
        at = service.plan.feature_names.index("count_1d")
        features = [*victim.features]
        features[at] = (features[at] or 0.0) + 1.0
        with service.store.transaction(write=True) as txn:
            changed = msgspec.structs.replace(victim, features=features)
            PredictionLog().write(txn, changed)
    found = Project(folder, clock=CLOCK).parity(rows=0)["served"]
    assert found is not None and found.differ == 1
    [difference] = found.differences
    assert (difference.feature, difference.prediction) == ("count_1d", victim.prediction_id)
    assert difference.serving == difference.training + 1
    assert difference.entity["payment_id"] == victim.row["payment_id"]
    assert difference.behind[0].counted == difference.training
    assert victim.row["card"] in difference.in_words()


def test_a_sample_is_the_same_each_time(folder: Path) -> None:
    with opened(folder) as service:
        answers = [service.predict(row) for row in tiny.stream(5, ROWS)]
    some = sampled(answers, 7)
    assert some == sampled(reversed(answers), 7)
    assert len(some) == 7 and sampled(answers, None) == answers
    assert sampled(answers, 1_000) != [] and len(sampled(answers, 1_000)) == ROWS


def test_what_is_left_out_of_the_log_does_not_matter(folder: Path) -> None:
    with opened(folder) as service:
        answers = [service.predict(row) for row in tiny.stream(11, 60)]
        plan, store, log = service.plan, service.store, service.online.log
        stop = answers[-1].offset + 1
        whole = [r for b in batches_of_keys(log, store, plan, many(answers), stop=stop) for r in b]
        assert len(whole) == len(answers)
        shopless = [one for one in answers if one.row["shop"] is None]
        few = [
            r for b in batches_of_keys(log, store, plan, [shopless[-1].row], stop=stop) for r in b
        ]
        assert len(few) < len(whole)
        assert service.watched is not None
        found = recompute(plan, service.watched.tables, few, shopless[-1:])
        assert (found.rows, found.differ) == (1, 0)


def many(answers: list[Any]) -> list[dict[str, Any]]:
    rows = [one.row for one in answers]
    return [*rows, *({**rows[0], "card": f"another{n}"} for n in range(NEEDLES_MAX + 1))]


def test_the_queue_is_bounded_and_says_what_it_passed_over(folder: Path) -> None:
    with opened(folder) as service:
        answer = service.predict(next(tiny.stream(5, 1)))
        watch, watched = watch_of(service), service.watched
        assert watched is not None
        watch.offer(watched, [answer] * (QUEUE_MAX + 5))
        assert watch.about()["waiting"] == QUEUE_MAX
        assert watch.counts["passed_over"] == 6
        assert watch.check() > 0 and watch.about()["waiting"] == 0


def test_a_check_that_fails_harms_no_request(folder: Path) -> None:
    with opened(folder) as service:
        service.predict(next(tiny.stream(5, 1)))
        watch = watch_of(service)
        store = watch.store
        watch.store = Broken()  # type: ignore[assignment]
        assert watch.check() == 0
        assert watch.counts["failed"] == 1
        watch.store = store
        service.predict(list(tiny.stream(6, 2, first=20_000))[1])
        assert watch.check() == 1


class Broken:
    def transaction(self, *, write: bool) -> Any:
        raise StoreError("the disk is gone", code="HF603")


def test_the_watch_runs_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.trained(tmp_path / "tiny")
    (folder / "holdfast.toml").write_text("[serving]\nparity_sample = 0.5\n")
    monkeypatch.setattr("holdfast.serving.watch.PAUSE_S", 0.0)
    with Project(folder, clock=CLOCK).service() as service:
        for row in tiny.stream(5, 10):
            service.predict(row)
        watch = watch_of(service)
        while watch.counts["requests"] < 5:
            watch._stop.wait(0.05)
    assert watch.counts["requests"] == 5 and watch.counts["differ"] == 0
    assert watch._thread is not None and not watch._thread.is_alive()


@pytest.mark.parametrize("share", ["0", "0.0"])
def test_zero_switches_it_off(tmp_path: Path, share: str) -> None:
    folder = tiny.trained(tmp_path / "tiny")
    (folder / "holdfast.toml").write_text(f"[serving]\nparity_sample = {share}\n")
    with opened(folder) as service:
        service.predict(next(tiny.stream(5, 1)))
        assert watch_of(service).about()["waiting"] == 0
        assert watch_of(service)._thread is None


def test_it_is_on_by_default_and_a_wrong_share_is_refused(tmp_path: Path) -> None:
    assert read_config(tmp_path).parity_sample == 0.01
    for wrong in ("2", "-0.1", '"much"', "true"):
        (tmp_path / "holdfast.toml").write_text(f"[serving]\nparity_sample = {wrong}\n")
        with pytest.raises(ConfigError) as raised:
            read_config(tmp_path)
        assert raised.value.code == "HF702"


def test_a_difference_is_one_line(folder: Path) -> None:
    with opened(folder) as service:
        service.predict(next(tiny.stream(5, 1)))
    found = Project(folder, clock=CLOCK).parity(rows=5)
    assert found["history"] is not None
    assert replace(found["history"], differ=0) == found["history"]
