"""A view: its history replayed over columns, or its states asked and fed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from holdfast.core.settings import settings
from holdfast.errors import InternalError, StoreError
from holdfast.features.engine.layout import Operations, block_for, layout_of
from holdfast.features.engine.operators import AggregateSpec, ViewSpec
from holdfast.features.engine.passes import by_entity, fold_packed, replay_keys, run_one

__all__ = ["ABI", "RETRACT", "Folded", "ReplayResult", "View", "warm_up"]

ABI = 2
"""Goes up when the same spec and the same events leave other bits behind."""

UPDATE, READ, READ_UPDATE, RETRACT = 1, 2, 3, 4
"""What an operation does. `RETRACT` takes an earlier update of the key back."""

STATE_BATCH_BYTES = 16 << 20
OPERATIONS_PER_THREAD = 50_000
"""Operations below which another thread does not pay."""
BLOCK_ROWS = 8_192
"""Operations that are copied side by side before the kernel runs them."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReplayResult:
    """What a replay read: float64[outputs, A]; states per entity where asked; late events."""

    values: Floats
    states: list[bytes] | None
    late: int


@dataclass(frozen=True)
class Folded:
    """States after a batch; what its reads saw, float64[reads, A]; late events."""

    states: list[bytes]
    values: Floats
    late: int


class View:
    """One view: rows of one source folded per key.

    One view is for one thread: it unpacks states into memory of its own (`replay` takes care of
    its threads by itself). A state is bytes and belongs to whoever stores it; `b""` is the empty
    one. `replay` gives the same bits as `update` and `read` called for each row in turn.

    >>> spec = ViewSpec(1, (AggregateSpec("sum", 0, 3_600_000_000),))
    >>> view = View(spec)
    >>> state = view.update(b"", 0, np.array([2.0]))
    >>> view.read(state, 60_000_000, np.array([0.0])).tolist()
    [2.0]
    """

    def __init__(self, spec: ViewSpec) -> None:
        self.spec = spec
        self._layout = layout_of(spec)
        self._name = (float(ABI), float(int(spec.fingerprint, 16) >> 12))
        self._f, self._i = self._layout.scratch(self._name)
        self._room = np.empty(self._layout.longest, dtype=np.float64)
        self._out = np.empty(len(spec.aggregates), dtype=np.float64)

    def update(self, state: bytes, time: int, values: Floats) -> bytes:
        """Return the state after one event at `time` us with `values` float64[columns]."""
        return self._one(state, time, values, UPDATE)

    def read(self, state: bytes, time: int, values: Floats) -> Floats:
        """Return the aggregates at `time` us, float64[A]; `values` are the asking row's."""
        self._one(state, time, values, READ)
        return self._out.copy()

    def read_update(self, state: bytes, time: int, values: Floats) -> tuple[Floats, bytes]:
        """Return the aggregates before an event, float64[A], and the state after it."""
        after = self._one(state, time, values, READ_UPDATE)
        return self._out.copy(), after

    def _one(self, state: bytes, time: int, values: Floats, action: int) -> bytes:
        packed = _numbers(state)
        length = run_one(
            self._layout.a, self._f, self._i, packed, time, values, action, self._out, self._room
        )
        if length < 0:
            raise _damaged()
        return self._room[:length].tobytes()

    def fold(
        self,
        states: Sequence[bytes],
        *,
        starts: Ints,
        time: Ints,
        action: npt.NDArray[np.int8],
        values: Floats,
    ) -> Folded:
        """Run operations, sorted by key, on the states of some keys: each is unpacked once.

        Args:
            states: the state of each of k keys.
            starts: int64[k + 1], where each key's operations begin.
            time: int64[m], event time in us, or the moment of a read.
            action: int8[m]: 1 update, 2 read, 3 read then update.
            values: float64[m, columns], missing as NaN.

        Returns:
            The states after it, and what the reads saw, in their order.

        Raises:
            StoreError: HF301 when a state is damaged or of another definition.
        """
        packed = _numbers(b"".join(states))
        ends = np.cumsum(np.array([len(state) // 8 for state in states], dtype=np.int64))
        reads = np.cumsum(action >= READ) - 1
        place = np.arange(len(time), dtype=np.int64)
        matrix = np.ascontiguousarray(values, dtype=np.float64)
        operations = Operations(place, starts, time, action, place, matrix, reads)
        out = np.empty((int((action >= READ).sum()), len(self.spec.aggregates)), dtype=np.float64)
        after, late = self._folded(operations, packed, ends, out)
        return Folded(after, out, late)

    def replay(
        self,
        *,
        entity: npt.NDArray[np.int32],
        time: Ints,
        action: npt.NDArray[np.int8],
        value_row: Ints,
        values: Floats,
        out_row: Ints,
        outputs: int,
        states: bool = False,
        threads: int | None = None,
        cached: bool = True,
    ) -> ReplayResult:
        """Run operations in log order and return what the reads saw.

        Args:
            entity: int32[m], the key of each operation, 0..k-1.
            time: int64[m], event time in us, or the moment of a read.
            action: int8[m]: 1 update, 2 read, 3 read then update, 4 take an update back.
            value_row: int64[m], row of `values`, -1 for none (all missing); for action 4 the
                place, in these arrays, of the update of the same key that is taken back.
            values: float64[r, columns].
            out_row: int64[m], row of the output that a read fills, -1 for none.
            outputs: rows of the output.
            states: also return the state of each key, bit-equal to updating one at a time.
            threads: how many threads share the keys; the result does not depend on it.
            cached: keep folds of closed tiles; the result does not depend on it.

        Taking back costs folding the key's earlier updates again.
        """
        out = np.empty((outputs, len(self.spec.aggregates)), dtype=np.float64)
        out[_unread(action, out_row, outputs)] = np.nan
        keys = int(entity.max()) + 1 if len(entity) else 0
        order, starts = by_entity(entity.astype(np.int32, copy=False), keys)
        operations = Operations(
            order, starts, time, action, value_row, np.ascontiguousarray(values), out_row
        )
        dead = _dead(operations)
        if states:
            ends = np.zeros(max(keys, 1), dtype=np.int64)
            found, late = self._folded(operations, _EMPTY, ends, out, cached=cached, dead=dead)
            return ReplayResult(out, found, late)
        plain = _is_plain(operations)
        parts = _balanced(starts, threads or settings().threads)

        def run(part: tuple[int, int]) -> int:
            f, i = self._layout.scratch(self._name)
            a, block = self._layout.a.copy(), block_for(self.spec, BLOCK_ROWS)
            return int(replay_keys(a, f, i, operations, block, dead, *part, cached, plain, out))

        if len(parts) == 1:
            return ReplayResult(out, None, run(parts[0]))
        with ThreadPoolExecutor(len(parts)) as pool:
            return ReplayResult(out, None, sum(pool.map(run, parts)))

    def _folded(
        self,
        operations: Operations,
        packed: Floats,
        ends: Ints,
        out: Floats,
        *,
        cached: bool = False,
        dead: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[list[bytes], int]:
        """Return the states after some operations by key, as many at a time as fit the room."""
        keys, longest = len(operations.starts) - 1, self._layout.longest
        room = self._room
        if keys > 1:
            size = min(STATE_BATCH_BYTES // 8, keys * longest)
            room = np.empty(max(size, longest), dtype=np.float64)
        room_ends = np.zeros(max(keys, 1), dtype=np.int64)
        states: list[bytes] = []
        late = begin = 0
        taken = _NOTHING_DEAD if dead is None else dead
        while begin < keys:
            stop, dropped = fold_packed(
                self._layout.a, self._f, self._i, operations, packed, ends, taken, begin, cached,
                out, room, room_ends,
            )  # fmt: skip
            if stop < 0:
                raise _damaged()
            last = int(room_ends[stop - 1])
            whole, place = room[:last].tobytes(), 0
            for end in (room_ends[begin:stop] * 8).tolist():
                states.append(whole[place:end])
                place = end
            late, begin = late + int(dropped), int(stop)
        return states, late


_NOTHING_DEAD = np.empty(0, dtype=np.bool_)
_EMPTY = np.empty(0, dtype=np.float64)
_EMPTY.flags.writeable = False  # like any other state, so that one compiled function serves both


def _numbers(state: bytes) -> Floats:
    if not state:
        return _EMPTY
    if len(state) % 8:
        raise _damaged()
    return np.frombuffer(state, dtype=np.float64)


def _damaged() -> StoreError:
    return StoreError(
        "a feature state was made by another definition or version, or is damaged",
        code="HF301",
        hint="start `holdfast serve` again: it is made again from history and the log",
    )


def _is_plain(operations: Operations) -> bool:
    """Whether every operation does the same, and with the row of its own place."""
    action, rows = operations.action, operations.value_row
    if not len(action) or action[0] == RETRACT or not (action == action[0]).all():
        return False
    place = np.arange(len(rows), dtype=np.int64)
    same = np.array_equal(rows, place) and len(operations.values) == len(rows)
    return same and np.array_equal(operations.out_row, place)


def _unread(action: npt.NDArray[np.int8], out_row: Ints, outputs: int) -> Ints:
    """Return the rows of the output that no operation fills."""
    unread = np.ones(outputs, dtype=np.bool_)
    unread[out_row[(action == READ) | (action == READ_UPDATE)]] = False
    return np.flatnonzero(unread)


def _dead(operations: Operations) -> npt.NDArray[np.bool_]:
    """Return room to mark updates taken back, after checking what is taken back."""
    taking = np.flatnonzero(operations.action == RETRACT)
    if not len(taking):
        return _NOTHING_DEAD
    targets = operations.value_row[taking]
    if (targets < 0).any() or (targets >= taking).any():
        raise InternalError("an operation takes back what does not stand before it", code="HF900")
    return np.zeros(len(operations.time), dtype=np.bool_)


def _balanced(starts: Ints, threads: int) -> list[tuple[int, int]]:
    """Return contiguous ranges of keys with about the same number of operations."""
    keys, total = len(starts) - 1, int(starts[-1])
    parts = max(1, min(threads, total // OPERATIONS_PER_THREAD + 1))
    wanted = [total * part // parts for part in range(1, parts)]
    cuts = [0, *np.searchsorted(starts, wanted).tolist(), keys]
    return [(low, high) for low, high in pairwise(cuts) if high > low] or [(0, 0)]


def warm_up() -> None:
    """Compile the engine, or read it from the disk, before somebody waits for it."""
    view = View(ViewSpec(1, (AggregateSpec("count", -1, 3_600_000_000),)))
    values = np.zeros((1, 1))
    view.read(view.update(b"", 0, values[0]), 0, values[0])
    rows = np.zeros(1, dtype=np.int64)
    view.replay(
        entity=np.zeros(1, dtype=np.int32),
        time=rows,
        action=np.full(1, READ_UPDATE, dtype=np.int8),
        value_row=rows,
        values=values,
        out_row=rows,
        outputs=1,
    )
