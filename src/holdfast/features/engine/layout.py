"""The layout of a view's state: from a spec to the flat tables that drive the kernel.

Three arrays, because each array that a compiled function is handed costs it time: `a` (int64, the
tables, never written), `f` (float64) and `i` (int64), the state of one key, unpacked. `a` begins
with `HEADER` numbers: how many records of each kind there are and where the first one stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.features.engine.operators import (
    BAG,
    BAG_ENTRIES_MAX,
    CELLS,
    CORE,
    DISTINCT_VALUES_MAX,
    FIRST,
    IN_FORCE,
    IN_FORCE_VERSIONS_MAX,
    LAST,
    MAP,
    ROUNDED_BAG,
    ROWS,
    SEEN_VALUES_MAX,
    SESSION,
    SKETCH,
    TILE,
    AggregateSpec,
    ViewSpec,
    hop_us,
)

__all__ = ["Block", "Layout", "Operations", "block_for", "layout_of"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

(
    LEVELS, WINDOWS, CORES, TILED, MAPS, SEEN, SKETCHES, DISTINCT, BAGS, FOLDS, SESSIONS,
    SESSION_READS, PACKED,
) = range(0, 26, 2)  # fmt: skip
"""Where the header says how many records of a kind there are; the place of the first is next."""
COLUMNS, MISSING, LONGEST = 26, 27, 28
"""The header's last numbers: folded columns, a place in `f` with as many missing values, and the
length of the longest packed state."""
HEADER = 29
LEVEL, WINDOW, CORE_READ = 11, 8, 6
"""How many numbers a record of these kinds has."""
STATE_HEADER = 3
"""Numbers before the parts of a packed state: its name and the newest moment."""
BAG_SLOTS = 4 * BAG_ENTRIES_MAX
"""Places of the hash table in which a bag's values are counted."""


@dataclass(frozen=True)
class Layout:
    """The tables of one view and the size of its state.

    `a` int64: a header, then records. Level: hop, span, tile width, capacity, first cell in `f`,
    first slot that is no core, past the last, place in `i` (head, tiles, evicted, epoch), first
    core's cell, number of cores, first core's column (among the columns of cores). Slot: what a
    tile keeps, column, cell, param. Window: level, window, offset, first used slot, past the last,
    cells of the fold, cells of the closed fold, place in `i`. Core read: cell, outputs of count,
    sum, mean, min, max (-1: none). Tiled aggregate: code, cell, output, param.
    Map, sketch: column, longest window, place in `f`, place in `i`. Seen, distinct: map, window,
    output. Bag: column, hop, span, rounded, place in `f`, place in `i`. Fold of a bag: bag,
    window, offset, first read, past the last. Bag read: code, output, param. Session: gap, place
    in `i`. Session read: code, session, output. Packed: the most entries of a part of a packed
    state, and numbers an entry.
    """

    a: Ints
    floats: int
    ints: int

    @property
    def longest(self) -> int:
        """The length of the longest packed state."""
        return int(self.a[LONGEST])

    def scratch(self, name: tuple[float, float]) -> tuple[Floats, Ints]:
        """Return room for one state, `f` and `i`; `name` marks the states made in it."""
        f, i = np.zeros(self.floats, dtype=np.float64), np.zeros(self.ints, dtype=np.int64)
        f[:2] = name
        f[self.a[MISSING] : self.a[MISSING] + self.a[COLUMNS]] = np.nan
        return f, i


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


def layout_of(spec: ViewSpec) -> Layout:
    """Return the tables of a spec."""
    return _Maker(spec).layout()


def _part(aggregate: AggregateSpec) -> tuple[int, int]:
    """Return what a tile keeps for an aggregate, and the number it depends on besides."""
    operator = aggregate.operator
    if operator.part == CORE and aggregate.column < 0 and aggregate.kind != "sessions":
        return ROWS, 0
    return operator.part, aggregate.param if operator.param == "half_life_us" else 0


@dataclass
class _Maker:
    spec: ViewSpec
    floats: int = 2
    ints: int = 1
    packed: list[tuple[int, int]] = field(default_factory=list)
    tables: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)
    slots: list[tuple[int, int, int, int]] = field(default_factory=list)
    core_columns: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    reads: list[tuple[int, int, int]] = field(default_factory=list)

    def layout(self) -> Layout:
        self._floats(self.spec.columns)  # all missing
        kept: dict[int, list[tuple[int, AggregateSpec]]] = {}
        for output, aggregate in enumerate(self.spec.aggregates):
            kept.setdefault(aggregate.operator.keeps, []).append((output, aggregate))
        sessions = [a for _, a in kept.get(SESSION, [])]
        sessions += [a for a in self.spec.aggregates if a.kind == "sessions"]
        self.gaps = sorted({a.param for a in sessions})
        self._tiles(kept.get(TILE, []))
        self._maps(kept.get(MAP, []), (MAPS, SEEN), SEEN_VALUES_MAX, 1)
        self._maps(kept.get(SKETCH, []), (SKETCHES, DISTINCT), DISTINCT_VALUES_MAX, 2)
        self._bags(kept.get(BAG, []) + kept.get(ROUNDED_BAG, []))
        self._sessions(kept.get(SESSION, []))
        self.tables[PACKED] = list(self.packed)
        return Layout(self._joined(), self.floats, self.ints)

    def _floats(self, size: int) -> int:
        self.floats += size
        return self.floats - size

    def _ints(self, size: int) -> int:
        self.ints += size
        return self.ints - size

    def _column(self, aggregate: AggregateSpec) -> int:
        """Return the folded column; the starts of sessions are columns behind the given ones."""
        if aggregate.kind == "sessions":
            return self.spec.columns + self.gaps.index(aggregate.param)
        return aggregate.column

    def _tiles(self, tiled: list[tuple[int, AggregateSpec]]) -> None:
        hops = sorted({hop_us(a.window_us) for _, a in tiled})
        levels, cells = [], []
        for hop in hops:
            here = [a for _, a in tiled if hop_us(a.window_us) == hop]
            level, where = self._level(hop, here)
            levels.append(level)
            cells.append(where)
        windows = sorted(
            {(hops.index(hop_us(a.window_us)), a.window_us, a.offset_us) for _, a in tiled}
        )
        records: list[tuple[int, ...]] = []
        bases = []
        for level_index, window, offset in windows:
            width = levels[level_index][2]
            needed = {
                (*_part(a), self._column(a))
                for _, a in tiled
                if (a.window_us, a.offset_us) == (window, offset)
            }
            first = len(self.used)
            self.used += [cells[level_index][p][1] for p in sorted(needed) if p[0] != CORE]
            bases.append(self._floats(width))
            closed = self._floats(width)
            place = self._ints(3)
            records.append(
                (level_index, window, offset, first, len(self.used), bases[-1], closed, place)
            )
        self.tables[LEVELS], self.tables[WINDOWS] = levels, records
        reads: list[tuple[int, ...]] = []
        cores: dict[int, list[int]] = {}
        for output, a in tiled:
            level_index = hops.index(hop_us(a.window_us))
            window_index = windows.index((level_index, a.window_us, a.offset_us))
            cell = bases[window_index] + cells[level_index][(*_part(a), self._column(a))][0]
            if a.operator.param == "nth":
                cell += 2 * (max(a.param, 1) - 1)
            if a.operator.part == CORE and a.column >= 0 and a.operator.code < 5:
                outputs = cores.setdefault(cell, [-1] * 5)
                if outputs[a.operator.code] < 0:
                    outputs[a.operator.code] = output
                    continue
            reads.append((a.operator.code, cell + a.operator.cell, output, a.param))
        self.tables[TILED] = reads
        self.tables[CORES] = [(cell, *outputs) for cell, outputs in cores.items()]

    def _level(
        self, hop: int, here: list[AggregateSpec]
    ) -> tuple[tuple[int, ...], dict[tuple[int, int, int], tuple[int, int]]]:
        """Return a level's record, and for each part and column its cell and its slot."""
        cell, columns = 1, len(self.core_columns)
        where: dict[tuple[int, int, int], tuple[int, int]] = {}
        wanted = sorted({(*_part(a), self._column(a)) for a in here})
        for part in [part for part in wanted if part[0] == CORE]:
            where[part] = (cell, -1)
            self.core_columns.append(part[2])
            cell += CELLS[CORE]
        first, cores = len(self.slots), len(where)
        for what, param, column in [part for part in wanted if part[0] != CORE]:
            where[what, param, column] = (cell, len(self.slots))
            size, number = CELLS[what], param
            if what in (FIRST, LAST):
                mine = [a for a in here if (*_part(a), self._column(a)) == (what, param, column)]
                nth = [a.param for a in mine if a.operator.param == "nth"]
                number = max([1, *nth])
                size *= number
            elif what == IN_FORCE:
                number = IN_FORCE_VERSIONS_MAX
                size *= number
            self.slots.append((what, column, cell, number))
            cell += size
        span = max(a.window_us + a.offset_us for a in here)
        capacity = -(-span // hop) + 3 if hop else 1
        self.packed.append((capacity, cell))
        place = self._floats(capacity * cell)
        state = self._ints(4)
        last = len(self.slots)
        return (hop, span, cell, capacity, place, first, last, state, 1, cores, columns), where

    def _maps(
        self, asked: list[tuple[int, AggregateSpec]], tables: tuple[int, int], most: int, spare: int
    ) -> None:
        columns = sorted({a.column for _, a in asked})
        records: list[tuple[int, ...]] = []
        for column in columns:
            spans = [a.window_us + a.offset_us for _, a in asked if a.column == column]
            span = 0 if any(not a.window_us for _, a in asked if a.column == column) else max(spans)
            records.append((column, span, self._floats(most + spare - 1), self._ints(most + spare)))
            self.packed += [(most, 2)] + [(1, 2)] * (spare - 1)
        self.tables[tables[0]] = records
        self.tables[tables[1]] = [
            (columns.index(a.column), a.window_us, output) for output, a in asked
        ]

    def _bags(self, asked: list[tuple[int, AggregateSpec]]) -> None:
        def name(a: AggregateSpec) -> tuple[int, int, int]:
            return a.column, hop_us(a.window_us), int(a.operator.keeps == ROUNDED_BAG)

        names = sorted({name(a) for _, a in asked})
        bags: list[tuple[int, ...]] = []
        folds: list[tuple[int, ...]] = []
        for bag in names:
            span = max(a.window_us + a.offset_us for _, a in asked if name(a) == bag)
            column, hop, rounded = bag
            place = self._floats(2 * BAG_ENTRIES_MAX)
            bags.append((column, hop, span, rounded, place, self._ints(1 + BAG_ENTRIES_MAX)))
            self.packed.append((BAG_ENTRIES_MAX, 3))
        for bag, window, offset in sorted({(name(a), a.window_us, a.offset_us) for _, a in asked}):
            first = len(self.reads)
            self.reads += [
                (a.operator.code, output, a.param)
                for output, a in asked
                if (name(a), a.window_us, a.offset_us) == (bag, window, offset)
            ]
            folds.append((names.index(bag), window, offset, first, len(self.reads)))
        if bags:  # the values of one window and how often each occurs, and a hash table of them
            self.bag_floats = self._floats(2 * BAG_ENTRIES_MAX)
            self.bag_ints = self._ints(BAG_SLOTS)
        self.tables[BAGS], self.tables[FOLDS] = bags, folds

    def _sessions(self, asked: list[tuple[int, AggregateSpec]]) -> None:
        self.tables[SESSIONS] = [(gap, self._ints(2)) for gap in self.gaps]
        self.packed += [(1, 2)] * len(self.gaps)
        self.tables[SESSION_READS] = [
            (a.operator.code, self.gaps.index(a.param), output) for output, a in asked
        ]

    def _joined(self) -> Ints:
        """Return header and records in one array; places among records become absolute."""
        slots_at = HEADER
        columns_at = slots_at + 4 * len(self.slots)
        used_at = columns_at + len(self.core_columns)
        reads_at = used_at + len(self.used)
        end = reads_at + 3 * len(self.reads)
        header, flat = [0] * HEADER, list[int]()
        header[COLUMNS], header[MISSING] = self.spec.columns, 2
        header[LONGEST] = STATE_HEADER + sum(1 + most * width for most, width in self.packed)
        for table in range(LEVELS, COLUMNS, 2):
            records = [list(record) for record in self.tables.get(table, [])]
            for record in records:
                if table == LEVELS:
                    record[5:7] = [slots_at + 4 * slot for slot in record[5:7]]
                    record[10] += columns_at
                elif table == WINDOWS:
                    record[3:5] = [used_at + used for used in record[3:5]]
                elif table == FOLDS:
                    record[3:5] = [reads_at + 3 * read for read in record[3:5]]
                    record += [self.bag_floats, self.bag_ints]
            header[table : table + 2] = [len(records), end + len(flat)]
            flat += [number for record in records for number in record]
        body = [number for slot in self.slots for number in slot]
        body += self.core_columns
        body += [slots_at + 4 * slot for slot in self.used]
        body += [number for read in self.reads for number in read]
        return np.array([*header, *body, *flat], dtype=np.int64)
