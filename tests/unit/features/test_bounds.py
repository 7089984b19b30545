"""The engine's bounds, each filled: blocks, threads, batches of states, values seen."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.errors import StoreError
from holdfast.features.engine import view as engine
from holdfast.features.engine.operators import (
    BAG_ENTRIES_MAX,
    DISTINCT_VALUES_MAX,
    IN_FORCE_VERSIONS_MAX,
    SEEN_VALUES_MAX,
    AggregateSpec,
    ViewSpec,
)
from holdfast.features.engine.view import View

HOUR, DAY = 3_600_000_000, 86_400_000_000
SPEC = ViewSpec(
    1,
    (
        AggregateSpec("sum", 0, HOUR),
        AggregateSpec("std", 0, 30 * DAY),
        AggregateSpec("last", 0, 0),
        AggregateSpec("seen", 0, DAY),
    ),
)
ROWS, KEYS = 600, 37


def replayed(*, states: bool = False, threads: int = 1) -> engine.ReplayResult:
    place = np.arange(ROWS, dtype=np.int64)
    return View(SPEC).replay(
        entity=(place * 7 % KEYS).astype(np.int32),
        time=place * 577_000_000 - (place % 11 == 0) * 3 * HOUR,
        action=np.where(place % 5 == 0, 2, np.where(place % 7 == 0, 1, 3)).astype(np.int8),
        value_row=place,
        values=((place * 7919 % 23) / 3.0)[:, None],
        out_row=place,
        outputs=ROWS,
        states=states,
        threads=threads,
    )


def one_at_a_time() -> tuple[np.ndarray, dict[int, bytes]]:
    view, states = View(SPEC), dict.fromkeys(range(KEYS), b"")
    values = np.full((ROWS, len(SPEC.aggregates)), np.nan)
    for at in range(ROWS):
        key, time = at * 7 % KEYS, at * 577_000_000 - (at % 11 == 0) * 3 * HOUR
        row = np.array([(at * 7919 % 23) / 3.0])
        action = 2 if at % 5 == 0 else 1 if at % 7 == 0 else 3
        if action >= 2:
            values[at] = view.read(states[key], time, row)
        if action != 2:
            states[key] = view.update(states[key], time, row)
    return values, states


@pytest.mark.parametrize(
    ("bound", "value"),
    [("BLOCK_ROWS", 1), ("BLOCK_ROWS", 7), ("OPERATIONS_PER_THREAD", 50), ("STATE_BATCH_BYTES", 1)],
)
def test_no_bound_changes_a_bit(bound: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, states = one_at_a_time()
    monkeypatch.setattr(engine, bound, value)
    assert np.array_equal(replayed(threads=5).values, expected, equal_nan=True)
    packed = replayed(states=True)
    assert np.array_equal(packed.values, expected, equal_nan=True)
    assert packed.states == [states[key] for key in range(KEYS)]


def test_work_is_shared_in_as_many_parts_as_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "OPERATIONS_PER_THREAD", 1)
    starts = np.arange(0, 101, 10)
    parts = engine._balanced(starts, 4)
    assert len(parts) == 4
    assert [key for low, high in parts for key in range(low, high)] == list(range(10))


def test_seen_forgets_the_value_not_seen_for_longest() -> None:
    view, state = View(ViewSpec(1, (AggregateSpec("seen", 0, 0),))), b""
    for value in range(SEEN_VALUES_MAX):
        state = view.update(state, value, np.array([float(value)]))
    state = view.update(state, SEEN_VALUES_MAX, np.array([0.0]))  # 0 is seen again, 1 is oldest
    state = view.update(state, SEEN_VALUES_MAX + 1, np.array([1e6]))
    asked = [float(view.read(state, 10_000, np.array([x]))[0]) for x in (0.0, 1.0, 2.0, 1e6)]
    assert asked == [1.0, 0.0, 1.0, 1.0]


def test_seen_reaches_back_exactly_as_far_as_its_window() -> None:
    view = View(ViewSpec(1, (AggregateSpec("seen", 0, DAY), AggregateSpec("seen", 0, HOUR))))
    state = view.update(b"", 0, np.array([5.0]))
    for at in range(1, 100):  # others come and go; what has left the longest window is dropped
        state = view.update(state, at * HOUR // 5, np.array([100.0 + at]))
    assert view.read(state, DAY, np.array([5.0])).tolist() == [1.0, 0.0]
    assert view.read(state, DAY + 1, np.array([5.0])).tolist() == [0.0, 0.0]


def fed(view: View, rows: list[tuple[int, float]]) -> bytes:
    """The state after some events of one key, folded in one call."""
    return view.fold(
        [b""],
        starts=np.array([0, len(rows)]),
        time=np.array([time for time, _ in rows]),
        action=np.ones(len(rows), dtype=np.int8),
        values=np.array([[x] for _, x in rows]),
    ).states[0]


def test_distinct_counts_exactly_up_to_its_bound_and_then_estimates() -> None:
    view = View(
        ViewSpec(1, (AggregateSpec("distinct", 0, DAY), AggregateSpec("distinct", 0, HOUR)))
    )
    full = [(at, float(at % DISTINCT_VALUES_MAX)) for at in range(3 * DISTINCT_VALUES_MAX)]
    assert view.read(fed(view, full), 5_000, np.zeros(1)).tolist() == [DISTINCT_VALUES_MAX] * 2
    for many in (2_000, 50_000):
        state = fed(view, [(at, 7.0 * at) for at in range(many)])
        assert len(state) < 16 * (DISTINCT_VALUES_MAX + 16)
        estimate = view.read(state, many, np.zeros(1))[0]
        assert estimate != many
        assert abs(estimate - many) < 4 * 0.044 * many
    late = [(at, 7.0 * at) for at in range(2_000)] + [(3 * DAY + at, float(at)) for at in range(9)]
    assert view.read(fed(view, late), 3 * DAY + 60, np.zeros(1)).tolist() == [9.0, 9.0]


def test_a_full_bag_makes_room_with_its_oldest_hop() -> None:
    top = tuple(AggregateSpec("top_count", 0, DAY, param=nth) for nth in (1, 2))
    view = View(ViewSpec(1, top))
    rows = [(0, 5.0), (0, 5.0), (0, 5.0)] + [(HOUR, float(x)) for x in range(BAG_ENTRIES_MAX)]
    assert view.read(fed(view, rows), HOUR, np.zeros(1)).tolist() == [1.0, 1.0]
    assert view.read(fed(view, rows[:-1]), HOUR, np.zeros(1)).tolist() == [4.0, 1.0]
    more = [*rows, (HOUR, -1.0), (0, 9.0), (HOUR, 1.0)]  # no room in the hop; too old; counted
    assert view.read(fed(view, more), HOUR, np.zeros(1)).tolist() == [2.0, 1.0]


def test_versions_in_force_beyond_the_bound_forget_the_oldest() -> None:
    view = View(ViewSpec(1, (AggregateSpec("version", 0, 0),)))
    state = fed(view, [(at * DAY, float(at)) for at in range(IN_FORCE_VERSIONS_MAX + 2)])
    read = [float(view.read(state, at * DAY, np.zeros(1))[0]) for at in (0, 1, 2, 3, 99)]
    assert np.isnan(read[:2]).all()
    assert read[2:] == [2.0, 3.0, IN_FORCE_VERSIONS_MAX + 1.0]


def test_a_damaged_state_is_refused_wherever_it_is_read() -> None:
    view = View(SPEC)
    state = view.update(b"", 0, np.ones(1))
    for wrong in (state[:-8], state[:-1], state + b"\x00" * 8, b"\x00" * len(state)):
        for ask in (view.read, view.update):
            with pytest.raises(StoreError, match="damaged"):
                ask(wrong, 0, np.ones(1))
        with pytest.raises(StoreError, match="damaged"):
            fold_two(view, [state, wrong])


def fold_two(view: View, states: list[bytes]) -> None:
    view.fold(
        states, starts=np.array([0, 1, 2]), time=np.zeros(2, dtype=np.int64),
        action=np.ones(2, dtype=np.int8), values=np.ones((2, 1)),
    )  # fmt: skip
