"""Laws of the engine: replay, one at a time, packed, cut off: the same bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from holdfast.features.engine.operators import OPERATORS, AggregateSpec, ViewSpec, hop_us
from holdfast.features.engine.view import View

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
WINDOWS = (5 * MINUTE, HOUR, 11 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 0)
COLUMNS = 2
Floats = npt.NDArray[np.float64]


@st.composite
def aggregates(draw: st.DrawFn) -> AggregateSpec:
    kind = draw(st.sampled_from(sorted(OPERATORS)))
    rows = kind in ("count", "any", "hours_since_first", "hours_since_last")
    column = -1 if rows else draw(st.integers(0, COLUMNS - 1))
    window = draw(st.sampled_from(WINDOWS))
    offset = 0
    if window and kind != "seen":
        offset = draw(st.sampled_from((0, 0, 0, HOUR, 7 * DAY)))
    return AggregateSpec(kind, column, window, offset)


specs = st.lists(aggregates(), min_size=1, max_size=8).map(
    lambda found: ViewSpec(COLUMNS, tuple(dict.fromkeys(found)))
)
values = st.one_of(
    st.just(float("nan")),
    st.integers(-3, 3).map(float),
    st.floats(-1e6, 1e6),
    st.sampled_from((1e15, -1e15, 1e-300, 5e-324)),
)
steps = st.sampled_from((0, 0, 1, MINUTE, 7 * MINUTE, HOUR, DAY, 9 * DAY, 40 * DAY))


class History:
    """Events of a few keys in log order: ties, late ones, missing, huge and tiny values."""

    def __init__(self, rows: list[tuple[int, int, int, float, float]]) -> None:
        clock, times = 1_700_000_000_000_000, []
        for _, step, late, _, _ in rows:
            clock += step
            times.append(clock - late)
        self.entity = np.array([row[0] for row in rows], dtype=np.int32)
        self.time = np.array(times, dtype=np.int64)
        self.values = np.array([row[3:] for row in rows], dtype=np.float64).reshape(-1, COLUMNS)

    def __len__(self) -> int:
        return len(self.time)

    def replay(self, view: View, rows: int | None = None, **options: object) -> Floats:
        n = len(self) if rows is None else rows
        where = np.arange(n, dtype=np.int64)
        result = view.replay(
            entity=self.entity[:n],
            time=self.time[:n],
            action=np.full(n, 3, dtype=np.int8),
            value_row=where,
            values=self.values[:n],
            out_row=where,
            outputs=n,
            **options,  # type: ignore[arg-type]
        )
        self.states = result.states
        return result.values


histories = st.lists(
    st.tuples(st.integers(0, 2), steps, st.sampled_from((0, 0, 0, 1, HOUR, 3 * DAY, 200 * DAY)),
              values, values),
    min_size=1, max_size=40,
).map(History)  # fmt: skip


def bits(matrix: Floats) -> list[list[int | None]]:
    """The bits of a matrix; any NaN is None."""
    whole = np.ascontiguousarray(matrix).view(np.int64)
    return [
        [None if nan else int(x) for x, nan in zip(row, missing, strict=True)]
        for row, missing in zip(whole.tolist(), np.isnan(matrix).tolist(), strict=True)
    ]


@given(specs, histories)
def test_replay_is_one_at_a_time(spec: ViewSpec, history: History) -> None:
    view = View(spec)
    replayed = history.replay(view)
    states: dict[int, bytes] = {}
    for at in range(len(history)):
        key, time = int(history.entity[at]), int(history.time[at])
        state = states.get(key, b"")
        served = view.read(state, time, history.values[at])
        assert bits(served[None]) == bits(replayed[at][None])
        states[key] = view.update(state, time, history.values[at])
    history.replay(view, states=True)
    kept = history.states or []
    assert {key: kept[key] for key in states} == states


@given(specs, histories)
def test_neither_cache_nor_threads_change_a_bit(spec: ViewSpec, history: History) -> None:
    view = View(spec)
    expected = bits(history.replay(view))
    assert bits(history.replay(view, cached=False)) == expected
    assert bits(history.replay(view, threads=3)) == expected
    assert bits(history.replay(view, states=True)) == expected


@given(specs, histories, st.data())
def test_cutting_off_the_future_changes_nothing(
    spec: ViewSpec, history: History, data: st.DataObject
) -> None:
    view = View(spec)
    cut = data.draw(st.integers(1, len(history)))
    assert bits(history.replay(view)[:cut]) == bits(history.replay(view, cut))


@given(specs, histories)
def test_what_left_the_window_leaves_no_trace(spec: ViewSpec, history: History) -> None:
    """A glitch of 1e15 long ago: values are folded from what is there, nothing is subtracted."""
    windowed = [a for a in spec.aggregates if a.window_us and a.kind != "seen"]
    if not windowed:
        return
    view = View(ViewSpec(COLUMNS, tuple(windowed)))
    clean = [history.replay(view)]
    start = int(history.time.min()) - 400 * DAY
    glitch = History([(0, 0, 0, 1e15, -1e15)])
    glitch.time[:] = start
    both = History([(0, 0, 0, 0.0, 0.0)])
    both.entity = np.concatenate([glitch.entity, history.entity])
    both.time = np.concatenate([glitch.time, history.time])
    both.values = np.concatenate([glitch.values, history.values])
    first = int(np.flatnonzero(history.entity == 0)[0]) if (history.entity == 0).any() else 0
    if history.time[first] - start < 300 * DAY:
        return
    assert bits(both.replay(view)[1:]) == bits(clean[0])


def test_a_hot_key_has_a_bounded_state() -> None:
    spec = ViewSpec(1, tuple(AggregateSpec("sum", 0, w) for w in (HOUR, DAY, 30 * DAY)))
    view, state, sizes = View(spec), b"", []
    for minute in range(0, 60 * 24 * 3, 3):
        state = view.update(state, minute * MINUTE, np.ones(1))
        sizes.append(len(state))
    assert max(sizes) <= 8 * (3 + 3 + 2 * (14 + 26 + 32))
    assert view.read(state, minute * MINUTE, np.ones(1)).tolist() == [21.0, 500.0, 1440.0]


def oracle(spec: AggregateSpec, events: list[tuple[int, float]], now: int, asked: float) -> float:
    """The value of an aggregate from the raw events of a key, in plain Python."""
    newest = max([now, *(time for time, _ in events)])
    hop = hop_us(spec.window_us)
    low, high = -(1 << 62), 1 << 62
    if hop and spec.kind == "seen":
        low = newest - spec.window_us
    elif hop:
        low = (newest - spec.offset_us - spec.window_us) // hop * hop
        if spec.offset_us:
            high = (newest - spec.offset_us) // hop * hop
    inside = [(t, x) for t, x in events if low <= t < high and not np.isnan(x)]
    found = [x for _, x in inside]
    ordered = sorted(inside, key=lambda pair: pair[0])
    if spec.kind in ("count", "any"):
        return float(len(found)) if spec.kind == "count" else float(bool(found))
    if spec.kind == "sum":
        return float(sum(found))
    if spec.kind == "seen":
        return np.nan if np.isnan(asked) else float(asked in found)
    if not found or (spec.kind == "std" and len(found) < 2):
        return np.nan
    return {
        "mean": lambda: float(np.mean(found)),
        "min": lambda: min(found),
        "max": lambda: max(found),
        "std": lambda: float(np.std(found, ddof=1)),
        "first": lambda: ordered[0][1],
        "last": lambda: ordered[-1][1],
        "hours_since_first": lambda: (newest - ordered[0][0]) / 3.6e9,
        "hours_since_last": lambda: (newest - ordered[-1][0]) / 3.6e9,
    }[spec.kind]()


@given(specs, histories)
def test_an_independent_oracle_agrees(spec: ViewSpec, history: History) -> None:
    history.values = np.where(np.abs(history.values) > 1e9, 7.0, history.values)
    replayed = history.replay(View(spec))
    seen: dict[int, list[int]] = {}
    for at in range(len(history)):
        before = seen.setdefault(int(history.entity[at]), [])
        now = int(history.time[at])
        for index, aggregate in enumerate(spec.aggregates):
            column = aggregate.column
            events = [
                (int(history.time[i]), 1.0 if column < 0 else float(history.values[i, column]))
                for i in before
                if not _dropped(history, before, i, spec, aggregate)
            ]
            asked = float(history.values[at, max(column, 0)])
            expected = oracle(aggregate, events, now, asked)
            got = float(replayed[at, index])
            assert np.isclose(got, expected, rtol=1e-9, atol=1e-6, equal_nan=True), aggregate
        before.append(at)


def _dropped(
    history: History, before: list[int], event: int, spec: ViewSpec, aggregate: AggregateSpec
) -> bool:
    """Whether an event came so late that no window of its level could reach it."""
    hop = hop_us(aggregate.window_us)
    if not hop or aggregate.kind == "seen":
        return False
    level = [a for a in spec.aggregates if a.kind != "seen" and hop_us(a.window_us) == hop]
    span = max(a.window_us + a.offset_us for a in level)
    newest = max(int(history.time[i]) for i in before if i <= event)
    return int(history.time[event]) // hop < (newest - span) // hop
