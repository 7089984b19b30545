"""Laws of the engine: replay, one at a time, packed, cut off: the same bits."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from holdfast.features.engine.operators import (
    BAG,
    IN_FORCE_VERSIONS_MAX,
    OPERATORS,
    QUANTILE_ERROR,
    ROUNDED_BAG,
    AggregateSpec,
    ViewSpec,
    hop_us,
)
from holdfast.features.engine.view import View

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
WINDOWS = (5 * MINUTE, HOUR, 11 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY, 0)
COLUMNS = 2
Floats = npt.NDArray[np.float64]


PARAMS = {
    "": st.just(0),
    "nth": st.integers(1, 3),
    "half_life_us": st.sampled_from((HOUR, 7 * DAY)),
    "gap_us": st.sampled_from((10 * MINUTE, DAY)),
    "millionths": st.sampled_from((1, 250_000, 500_000, 990_000, 1_000_000)),
}
EXACT_START = ("seen", "distinct")


@st.composite
def aggregates(draw: st.DrawFn) -> AggregateSpec:
    kind = draw(st.sampled_from(sorted(OPERATORS)))
    operator = OPERATORS[kind]
    rows = kind.startswith("session") or (
        kind in ("count", "any", "hours_since_first", "hours_since_last", "decayed_count")
        and draw(st.booleans())
    )
    column = -1 if rows else draw(st.integers(0, COLUMNS - 1))
    window = 0 if operator.all_time else draw(st.sampled_from(WINDOWS))
    offset = 0
    if window and kind not in ("seen", "distinct"):
        offset = draw(st.sampled_from((0, 0, 0, HOUR, 7 * DAY)))
    return AggregateSpec(kind, column, window, offset, draw(PARAMS[operator.param]))


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
def test_a_batch_of_many_keys_is_one_at_a_time(
    spec: ViewSpec, history: History, data: st.DataObject
) -> None:
    view = View(spec)
    cut = data.draw(st.integers(0, len(history)))
    history.replay(view, cut, states=True)
    states = (history.states or []) + [b""] * 3
    later = np.arange(cut, len(history))
    order = later[np.argsort(history.entity[later], kind="stable")]
    folded = view.fold(
        states[:3],
        starts=np.searchsorted(history.entity[order], np.arange(4)),
        time=history.time[order],
        action=np.full(len(order), 3, dtype=np.int8),
        values=history.values[order],
    )
    whole = history.replay(view, states=True)
    assert bits(folded.values) == bits(whole[order])
    assert folded.states == ((history.states or []) + [b""] * 3)[:3]


@given(specs, histories, st.data())
def test_what_is_taken_back_was_never_there(
    spec: ViewSpec, history: History, data: st.DataObject
) -> None:
    """After a retraction the state is that of a history without the event; before, with it."""
    view = View(spec)
    back = data.draw(st.integers(0, len(history) - 1))
    at = data.draw(st.integers(back + 1, len(history)))
    n = len(history)
    rows = np.insert(np.arange(n), at, back)  # action 4 names the operation it takes back
    action = np.full(n + 1, 3, dtype=np.int8)
    action[at] = 4
    options = {
        "entity": history.entity[rows],
        "time": history.time[rows],
        "action": action,
        "value_row": rows,
        "values": history.values,
        "out_row": np.where(action == 4, -1, rows),
        "outputs": n,
    }
    expected = history.replay(view)
    kept = np.delete(np.arange(n), back)
    without = view.replay(
        **{**options, "entity": history.entity[kept], "time": history.time[kept],
           "action": np.full(n - 1, 3, dtype=np.int8), "value_row": kept, "out_row": kept},
        states=True,
    )  # fmt: skip
    expected[at:] = without.values[at:]
    same = history.entity == history.entity[back]
    untouched = ~same | (np.arange(n) < at)
    expected[untouched] = history.replay(view)[untouched]
    for states in (False, True):
        taken = view.replay(**options, states=states, threads=2)
        assert bits(taken.values) == bits(expected)
    end = taken.states or []
    assert end[: len(without.states or [])] == (without.states or [])


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
    windowed = [a for a in spec.aggregates if a.window_us and a.kind not in EXACT_START]
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
    assert max(sizes) <= 8 * (3 + 3 + 5 * (14 + 26 + 32))
    assert view.read(state, minute * MINUTE, np.ones(1)).tolist() == [21.0, 500.0, 1440.0]


def oracle(spec: AggregateSpec, events: list[tuple[int, float]], now: int, asked: float) -> float:
    """The value of an aggregate from the raw events of a key, in plain Python."""
    newest = max([now, *(time for time, _ in events)])
    hop = hop_us(spec.window_us)
    low, high = -(1 << 62), 1 << 62
    if hop and spec.kind in EXACT_START:
        low = newest - spec.window_us
    elif hop:
        low = (newest - spec.offset_us - spec.window_us) // hop * hop
        if spec.offset_us:
            high = (newest - spec.offset_us) // hop * hop
    if spec.kind.startswith("session"):
        return sessions(spec, events, newest, low=low, high=high)
    if spec.kind == "version":
        return in_force(events, now)
    inside = [(t, x) for t, x in events if low <= t < high and not np.isnan(x)]
    found = [x for _, x in inside]
    ordered = sorted(inside, key=lambda pair: pair[0])
    nth = max(spec.param, 1)
    weights = [0.5 ** ((newest - t) / max(spec.param, 1)) for t, _ in inside]
    counted = sorted(Counter(found).items(), key=lambda pair: (-pair[1], pair[0]))
    whole = {
        "count": lambda: len(found),
        "any": lambda: bool(found),
        "sum": lambda: sum(found),
        "seen": lambda: np.nan if np.isnan(asked) else asked in found,
        "distinct": lambda: len(set(found)),
        "decayed_count": lambda: sum(weights),
        "decayed_sum": lambda: sum(w * x for w, x in zip(weights, found, strict=True)),
        "top_count": lambda: counted[nth - 1][1] if len(counted) >= nth else 0,
    }
    if spec.kind in whole:
        return float(whole[spec.kind]())
    few = len(found) < {"std": 2, "variance": 2, "first": nth, "last": nth}.get(spec.kind, 1)
    if few or (spec.kind == "top_value" and len(counted) < nth):
        return np.nan
    return float({
        "mean": lambda: np.mean(found),
        "min": lambda: min(found),
        "max": lambda: max(found),
        "std": lambda: np.std(found, ddof=1),
        "variance": lambda: np.var(found, ddof=1),
        "first": lambda: ordered[nth - 1][1],
        "last": lambda: ordered[-nth][1],
        "hours_since_first": lambda: (newest - ordered[0][0]) / 3.6e9,
        "hours_since_last": lambda: (newest - ordered[-1][0]) / 3.6e9,
        "slope": lambda: slope(ordered),
        "top_value": lambda: counted[nth - 1][0],
        "entropy": lambda: -sum(
            n / len(found) * math.log2(n / len(found)) for n in Counter(found).values()
        ),
        "quantile": lambda: sorted(found)[math.ceil(spec.param * len(found) / 1e6) - 1],
    }[spec.kind]())  # fmt: skip


def slope(points: list[tuple[int, float]]) -> float:
    days = np.array([t - points[0][0] for t, _ in points]) / 8.64e10
    if len(set(days)) < 2:
        return np.nan
    values = np.array([x for _, x in points])
    centred = days - days.mean()
    return float((centred * (values - values.mean())).sum() / (centred * centred).sum())


def in_force(events: list[tuple[int, float]], now: int) -> float:
    """The newest eight versions; of those that have begun, the last one."""
    versions = dict(events)
    kept = sorted(versions)[-IN_FORCE_VERSIONS_MAX:]
    begun = [t for t in kept if t <= now]
    return versions[begun[-1]] if begun else np.nan


def sessions(
    spec: AggregateSpec, events: list[tuple[int, float]], newest: int, *, low: int, high: int
) -> float:
    """Rows after a gap begin a session; a late one begins none."""
    starts: list[int] = []
    rows, last = 0, -(1 << 62)
    for time, _ in events:
        if time - last > spec.param:
            starts.append(time)
            rows = 1
        elif time >= starts[-1]:
            rows += 1
        last = max(last, time)
    if spec.kind == "sessions":
        return float(sum(low <= start < high for start in starts))
    if not starts or newest - last > spec.param:
        return 0.0
    return float(rows) if spec.kind == "session_rows" else (newest - starts[-1]) / 6e7


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
            near = QUANTILE_ERROR if aggregate.kind == "quantile" else 1e-9
            if aggregate.kind == "slope":
                near = 1e-6
                if np.ptp([t for t, x in events if not np.isnan(x)] or [0]) < HOUR:
                    continue  # moments are known to a quarter of a microsecond
            assert np.isclose(got, expected, rtol=near, atol=1e-6, equal_nan=True), aggregate
        before.append(at)


def box(a: AggregateSpec) -> tuple[int, ...]:
    """What shares one run of hops: the tiles of a level, or a bag."""
    bag = a.operator.keeps in (BAG, ROUNDED_BAG)
    return (a.operator.keeps, hop_us(a.window_us), a.column if bag else 0)


def _dropped(
    history: History, before: list[int], event: int, spec: ViewSpec, aggregate: AggregateSpec
) -> bool:
    """Whether an event came so late that no window of its level could reach it."""
    hop = hop_us(aggregate.window_us)
    if not hop or aggregate.kind in EXACT_START:
        return False
    level = [a for a in spec.aggregates if box(a) == box(aggregate)]
    span = max(a.window_us + a.offset_us for a in level)
    newest = max(int(history.time[i]) for i in before if i <= event)
    return int(history.time[event]) // hop < (newest - span) // hop
