"""A training set built by partitions is the one built in memory, bit for bit."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from holdfast.data.ingest import load
from holdfast.errors import DefinitionError
from holdfast.executors.local import LocalExecutor
from holdfast.features.plan import Plan
from holdfast.features.scale.build import build_training_set_in
from holdfast.features.scale.job import Sizes
from holdfast.features.scale.opened import SavedTrainingSet
from holdfast.features.training_set import TrainingSet, build_training_set
from tests.laws.worlds import PLANS, worlds

EXAMPLES = 6

every_plan = pytest.mark.parametrize(
    "name", [n for n, one in PLANS.items() if not one.functions and not one.schedule]
)
sizes = st.builds(
    Sizes,
    chunk_rows=st.sampled_from([1, 3, 7, 100]),
    partitions=st.sampled_from([1, 2, 7]),
    working_bytes=st.just(1 << 30),
)


def kept_whole(plan: Plan) -> Plan:
    """The plan without rows that are taken back: when they are is a time like any other."""
    schemas = {name: replace(one, retracted_time="") for name, one in plan.schemas.items()}
    return replace(plan, schemas=schemas)


def written(plan: Plan, world: Any, folder: Path, files: int) -> dict[str, Path]:
    """The world's rows as Parquet files, in the order given, several files a source."""
    found = {}
    for name, schema in plan.schemas.items():
        held = folder / name
        held.mkdir(parents=True)
        types = {
            c.column: pl.String if c.kind in ("key", "category") else None for c in schema.columns
        }
        rows = pl.DataFrame(world[name], schema=types, infer_schema_length=None)
        if not rows.height:
            rows = pl.DataFrame({c.column: ["none"] for c in schema.columns})
        for number in range(files):
            part = rows[number::files]
            if part.height or not number:
                part.write_parquet(held / f"{number}.parquet")
        found[name] = held
    return found


def assert_equal(one: TrainingSet, other: TrainingSet) -> None:
    """Every column is the same, NaN and the order of rows included."""
    for name in ("values", "context", "label", "matured_us", "time_us", "known_us", "cluster"):
        left, right = (np.ascontiguousarray(getattr(which, name)) for which in (one, other))
        assert left.dtype == right.dtype, name
        assert left.shape == right.shape, name
        assert left.tobytes() == right.tobytes(), (name, left, right)
    assert one.rows.equals(other.rows)
    for name in (
        "names",
        "kinds",
        "words",
        "context_names",
        "categories",
        "encodings",
        "without_time",
    ):
        assert getattr(one, name) == getattr(other, name), name
    assert {name: text.to_list() for name, text in one.texts.items()} == {
        name: text.to_list() for name, text in other.texts.items()
    }
    assert (one.events, one.late) == (other.events, other.late)


@every_plan
@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    world=worlds(),
    size=sizes,
    files=st.integers(1, 3),
    repeats=st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23)), max_size=3),
)
def test_partitions_change_nothing(
    name: str, world: Any, size: Sizes, files: int, repeats: list[tuple[int, int]]
) -> None:
    plan, payments = kept_whole(PLANS[name]), world["Pay"]
    for one, other in repeats:  # a key that is there already goes to quarantine
        payments[one % len(payments)]["pay_id"] = payments[other % len(payments)]["pay_id"]
    with tempfile.TemporaryDirectory() as folder:
        sources = written(plan, world, Path(folder) / "in", files)
        loaded = {n: load(s, sources[n], now_us=None) for n, s in plan.schemas.items()}
        whole = build_training_set(plan, {n: one.table for n, one in loaded.items()})
        out = Path(folder) / "out"
        saved = build_training_set_in(
            out, plan, sources, executor=LocalExecutor(), now_us=None, sizes=size
        )
        assert_equal(saved.load(), whole)
        assert [len(part) for part in saved.parts()] == [p["rows"] for p in saved.manifest["parts"]]
        for source, one in loaded.items():
            aside = list((out / "quarantine" / source).glob("*.parquet"))
            assert sum(pl.read_parquet(path).height for path in aside) == len(one.quarantine)
        few = SavedTrainingSet.open(out).sample(5, seed=1)
        chosen = np.random.default_rng(1).choice(len(whole), min(5, len(whole)), replace=False)
        assert_equal(few, whole.take(np.sort(chosen)))


def test_functions_of_the_definition_do_not_travel(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="HF335"):
        build_training_set_in(
            tmp_path, PLANS["functions"], {}, executor=LocalExecutor(), now_us=None
        )


def test_rows_that_may_be_taken_back_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="HF642"):
        build_training_set_in(tmp_path, PLANS["charged"], {}, executor=LocalExecutor(), now_us=None)
