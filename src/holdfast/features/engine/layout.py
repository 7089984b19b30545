"""The layout of a view's state: from a spec to the tables that drive the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.features.engine.operators import CELLS, OPERATORS, AggregateSpec, ViewSpec, hop_us

__all__ = [
    "SEEN_VALUES_MAX",
    "Block",
    "Layout",
    "Operations",
    "Scratch",
    "block_for",
    "copied",
    "layout_of",
    "scratch_for",
]

SEEN_VALUES_MAX = 512
"""Values that `seen` remembers per key and column."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Layout(NamedTuple):
    """Tables of one view. A tile is `[hop, cells...]`; a level is a sorted run of tiles.

    `levels` int64[L, 5]: hop, longest span, tile width, capacity, first cell in the scratch.
    `what`, `columns`, `cells` int64[S]: the slots; `level_slots` int64[L + 1]: those of a level.
    `windows` int64[W, 3]: level, window, offset.
    `window_slots` int64[W + 1] and `used` int64[...]: slots that a window folds.
    `aggregates` int64[A, 6]: kind, window (or map), cells a, b, c, span of `seen`.
    `asked` int64[...]: the aggregates that are `seen`.
    `maps` int64[M, 2]: column, longest window (0: all time).
    """

    levels: Ints
    what: Ints
    columns: Ints
    cells: Ints
    all_slots: Ints
    level_slots: Ints
    windows: Ints
    window_slots: Ints
    used: Ints
    aggregates: Ints
    asked: Ints
    maps: Ints
    name: Floats


class Scratch(NamedTuple):
    """The state of one key, unpacked; and the cache of closed tiles, which only replay uses."""

    tiles: Floats
    head: Ints
    tile_count: Ints
    evicted: Ints
    epoch: Ints
    newest: Ints
    map_ids: Floats
    map_times: Ints
    map_count: Ints
    widest: Ints
    acc: Floats
    closed: Floats
    closed_at: Ints


class Operations(NamedTuple):
    """What a replay runs, in log order, and `order`: their places by key, in log order within."""

    order: Ints
    starts: Ints
    time: Ints
    action: npt.NDArray[np.int8]
    value_row: Ints
    values: Floats
    out_row: Ints


class Block(NamedTuple):
    """Room for some operations side by side: what the kernel reads and writes in order."""

    time: Ints
    action: npt.NDArray[np.int8]
    value_row: Ints
    out_row: Ints
    values: Floats
    out: Floats


def block_for(spec: ViewSpec, rows: int) -> Block:
    """Return room for `rows` operations of a view."""
    return Block(
        time=np.empty(rows, dtype=np.int64),
        action=np.empty(rows, dtype=np.int8),
        value_row=np.empty(rows, dtype=np.int64),
        out_row=np.empty(rows, dtype=np.int64),
        values=np.empty((rows, spec.columns), dtype=np.float64),
        out=np.empty((rows, len(spec.aggregates)), dtype=np.float64),
    )


def layout_of(spec: ViewSpec, name: Floats) -> Layout:
    """Return the tables of a spec; `name` float64[2] marks states made by it."""
    tiled = [a for a in spec.aggregates if OPERATORS[a.kind].needs]
    hops = sorted({hop_us(a.window_us) for a in tiled})
    levels: list[tuple[int, ...]] = []
    slots: list[tuple[int, int, int]] = []
    level_slots, cells = [0], []
    first = 0
    for hop in hops:
        here = [a for a in tiled if hop_us(a.window_us) == hop]
        wanted = sorted({(a.column, what) for a in here for what in OPERATORS[a.kind].needs})
        cell, where = 1, {}
        for column, what in wanted:  # a column's M2, count and sum stand side by side
            where[what, column] = cell
            slots.append((what, column, cell))
            cell += CELLS[what]
        cells.append(where)
        level_slots.append(len(slots))
        span = max(a.window_us + a.offset_us for a in here)
        capacity = -(-span // hop) + 2 if hop else 1
        levels.append((hop, span, cell, capacity, first))
        first += capacity * cell
    windows = sorted({(hops.index(hop_us(a.window_us)), a.window_us, a.offset_us) for a in tiled})
    window_slots, used = [0], []
    for level, window, offset in windows:
        needed = {
            (what, a.column)
            for a in tiled
            if (a.window_us, a.offset_us) == (window, offset)
            for what in OPERATORS[a.kind].needs
        }
        for index in range(level_slots[level], level_slots[level + 1]):
            if slots[index][:2] in needed:
                used.append(index)
        window_slots.append(len(used))
    seen = [a for a in spec.aggregates if a.kind == "seen"]
    maps = {a.column: 0 for a in seen}
    for column in maps:
        spans = [a.window_us for a in seen if a.column == column]
        maps[column] = 0 if 0 in spans else max(spans)
    rows = [
        _aggregate_row(a, hops=hops, windows=windows, cells=cells, maps=list(maps))
        for a in spec.aggregates
    ]
    return Layout(
        levels=_table(levels, 5),
        what=_table(slots, 3)[:, 0].copy(),
        columns=_table(slots, 3)[:, 1].copy(),
        cells=_table(slots, 3)[:, 2].copy(),
        all_slots=np.arange(len(slots), dtype=np.int64),
        level_slots=np.array(level_slots, dtype=np.int64),
        windows=_table(windows, 3),
        window_slots=np.array(window_slots, dtype=np.int64),
        used=np.array(used, dtype=np.int64),
        aggregates=_table(rows, 6),
        asked=np.array([i for i, a in enumerate(spec.aggregates) if a.kind == "seen"], np.int64),
        maps=_table(list(maps.items()), 2),
        name=name,
    )


def copied(layout: Layout) -> Layout:
    """Return tables with the same content and memory of their own."""
    return layout._replace(**{name: table.copy() for name, table in layout._asdict().items()})


def _aggregate_row(
    spec: AggregateSpec,
    *,
    hops: list[int],
    windows: list[tuple[int, int, int]],
    cells: list[dict[tuple[int, int], int]],
    maps: list[int],
) -> tuple[int, ...]:
    operator = OPERATORS[spec.kind]
    if not operator.needs:
        return (operator.code, maps.index(spec.column), 0, 0, 0, spec.window_us)
    level = hops.index(hop_us(spec.window_us))
    found = [cells[level][what, spec.column] for what in operator.needs]
    window = windows.index((level, spec.window_us, spec.offset_us))
    return (operator.code, window, *found, *[0] * (4 - len(found)))


def _table(rows: Sequence[tuple[int, ...]], width: int) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(-1, width)


def scratch_for(layout: Layout) -> Scratch:
    """Return an empty state with room for the longest one that the layout allows."""
    levels, windows, maps = len(layout.levels), len(layout.windows), len(layout.maps)
    last = layout.levels[-1] if levels else np.zeros(5, dtype=np.int64)
    widest = int(layout.levels[:, 2].max()) if levels else 1
    return Scratch(
        tiles=np.zeros(int(last[4] + last[3] * last[2]), dtype=np.float64),
        head=np.zeros(levels, dtype=np.int64),
        tile_count=np.zeros(levels, dtype=np.int64),
        evicted=np.zeros(levels, dtype=np.int64),
        epoch=np.zeros(levels, dtype=np.int64),
        newest=np.full(1, np.iinfo(np.int64).min, dtype=np.int64),
        map_ids=np.zeros((maps, SEEN_VALUES_MAX), dtype=np.float64),
        map_times=np.zeros((maps, SEEN_VALUES_MAX), dtype=np.int64),
        map_count=np.zeros(maps, dtype=np.int64),
        widest=np.full(1, widest, dtype=np.int64),
        acc=np.zeros(windows * widest + 1, dtype=np.float64),
        closed=np.zeros(windows * widest + 1, dtype=np.float64),
        closed_at=np.full((windows, 3), -1, dtype=np.int64),
    )
