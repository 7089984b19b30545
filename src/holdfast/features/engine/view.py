"""The engine: a view's history replayed over columns, or its state asked one row at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from holdfast.core.settings import settings
from holdfast.errors import StoreError
from holdfast.features.engine.layout import (
    Layout,
    Operations,
    block_for,
    copied,
    layout_of,
    scratch_for,
)
from holdfast.features.engine.operators import AggregateSpec, ViewSpec
from holdfast.features.engine.passes import (
    by_entity,
    read_packed,
    replay_keys,
    replay_packed,
    update_packed,
)

__all__ = ["ABI", "ReplayResult", "View", "warm_up"]

ABI = 1
"""Goes up when the same spec and the same events leave other bits behind."""

STATE_BATCH_BYTES = 16 << 20
OPERATIONS_PER_THREAD = 50_000
"""Operations below which another thread does not pay."""
BLOCK_ROWS = 8_192
"""Operations that are copied side by side before the kernel runs them."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_HEADER = 3


@dataclass(frozen=True)
class ReplayResult:
    """What a replay read: float64[outputs, A]; states per entity where asked; late events."""

    values: Floats
    states: list[bytes] | None
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
        number = int(spec.fingerprint, 16)
        self._name = np.array([float(ABI), float(number >> 12)])
        self._layout = layout_of(spec, self._name)
        self._scratch = scratch_for(self._layout)
        self._runs = _runs(self._layout)
        self._packed = np.empty(_packed_max(self._layout), dtype=np.float64)

    def update(self, state: bytes, time: int, values: Floats) -> bytes:
        """Return the state after one event at `time` us with `values` float64[columns]."""
        length = update_packed(
            self._layout,
            self._scratch,
            self._load(state),
            time,
            values.reshape(1, -1),
            self._packed,
        )
        return self._packed[:length].tobytes()

    def read(self, state: bytes, time: int, values: Floats) -> Floats:
        """Return the aggregates at `time` us, float64[A]; `values` are the asking row's."""
        out = np.empty((1, len(self.spec.aggregates)), dtype=np.float64)
        row = values.reshape(1, -1)
        read_packed(self._layout, self._scratch, self._load(state), time, row, out)
        values_read: Floats = out[0]
        return values_read

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
            action: int8[m]: 1 update, 2 read, 3 read then update.
            value_row: int64[m], row of `values`, -1 for none (all missing).
            values: float64[r, columns].
            out_row: int64[m], row of the output that a read fills, -1 for none.
            outputs: rows of the output.
            states: also return the state of each key, bit-equal to updating one at a time.
            threads: how many threads share the keys; the result does not depend on it.
            cached: keep folds of closed tiles; the result does not depend on it.
        """
        out = np.full((outputs, len(self.spec.aggregates)), np.nan, dtype=np.float64)
        keys = int(entity.max()) + 1 if len(entity) else 0
        order, starts = by_entity(entity.astype(np.int32, copy=False), keys)
        operations = Operations(
            order, starts, time, action, value_row, np.ascontiguousarray(values), out_row
        )
        if states:
            found, late = self._replay_states(operations, out, cached)
            return ReplayResult(out, found, late)
        parts = _balanced(starts, threads or settings().threads)
        if len(parts) == 1:
            late = self._replay_range(parts[0], operations, out, cached)
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                late = sum(
                    pool.map(lambda part: self._replay_range(part, operations, out, cached), parts)
                )
        return ReplayResult(out, None, late)

    def _replay_range(
        self, part: tuple[int, int], operations: Operations, out: Floats, cached: bool
    ) -> int:
        own = copied(self._layout)  # threads share no counters of references
        scratch, block = scratch_for(own), block_for(self.spec, BLOCK_ROWS)
        return int(replay_keys(own, scratch, operations, block, *part, cached, out))

    def _replay_states(
        self, operations: Operations, out: Floats, cached: bool
    ) -> tuple[list[bytes], int]:
        scratch, block = scratch_for(self._layout), block_for(self.spec, BLOCK_ROWS)
        room = np.empty(max(STATE_BATCH_BYTES // 8, len(self._packed)), dtype=np.float64)
        keys = len(operations.starts) - 1
        ends = np.zeros(keys + 1, dtype=np.int64)
        states: list[bytes] = []
        late = begin = 0
        while begin < keys:
            stop, dropped = replay_packed(
                self._layout, scratch, operations, block, begin, cached, out, room,
                len(self._packed), ends,
            )  # fmt: skip
            whole, place = room.tobytes() if stop > begin else b"", 0
            for key in range(begin, stop):
                end = int(ends[key]) * 8
                states.append(whole[place:end])
                place = end
            late, begin = late + int(dropped), int(stop)
        return states, late

    def _load(self, state: bytes) -> Floats:
        if not state:
            return _EMPTY
        packed = np.frombuffer(state[: len(state) // 8 * 8], dtype=np.float64)
        if 8 * len(packed) != len(state) or not self._is_whole(packed):
            raise StoreError(
                "a feature state was made by another definition or version, or is damaged",
                code="HF301",
                hint="start `holdfast serve` again: it is made again from history and the log",
            )
        return packed

    def _is_whole(self, packed: Floats) -> bool:
        """Whether a state is of this view and as long as it says: the kernel checks no bounds."""
        size, at = len(packed), _HEADER
        if size < at or packed[0] != self._name[0] or packed[1] != self._name[1]:
            return False
        for most, width in self._runs:
            if at >= size or not 0 <= packed[at] <= most:
                return False
            at += 1 + int(packed[at]) * width
        return at == size


_EMPTY = np.empty(0, dtype=np.float64)
_EMPTY.flags.writeable = False  # like any other state, so that one compiled function serves both


def _runs(layout: Layout) -> list[tuple[int, int]]:
    """Return the parts of a packed state: the most entries of each, and numbers an entry."""
    seen = scratch_for(layout).map_ids.shape[1] if len(layout.maps) else 0
    tiles = [(int(level[3]), int(level[2])) for level in layout.levels]
    return [*tiles, *[(seen, 2)] * len(layout.maps)]


def _packed_max(layout: Layout) -> int:
    return _HEADER + sum(1 + most * width for most, width in _runs(layout))


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
    for states in (False, True):
        view.replay(
            entity=np.zeros(1, dtype=np.int32),
            time=rows,
            action=np.full(1, 3, dtype=np.int8),
            value_row=rows,
            values=values,
            out_row=rows,
            outputs=1,
            states=states,
        )
