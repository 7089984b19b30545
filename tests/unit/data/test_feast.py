"""A Feast repository becomes a definition that loads and passes the check; the rest is listed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.data.feast_render import render_feast
from holdfast.data.feast_repo import FeastRepo, read_feast
from holdfast.define.check import check
from holdfast.define.load import load_file
from holdfast.errors import NotFoundError
from holdfast.features.compile_plan import compile_plan
from tests.conftest import ROOT

ENTITIES = """\
from feast import Entity, ValueType

rider = Entity(name="rider", join_keys=["rider_id"], value_type=ValueType.STRING)
station = Entity(name="station", tags={"team": "bikes"})
"""
VIEWS = '''\
"""Bikes: what is known of riders and stations."""
import datetime as dt
from datetime import timedelta

import feast
from feast import BatchFeatureView, FeatureService, FeatureView as View, Field, FileSource
from feast import PushSource, RequestSource
from feast.aggregation import Aggregation
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float32, Int64, String, UnixTimestamp

from entities import rider, station

BASE = "data"
DAY = timedelta(days=1)

riders = FileSource(
    name="riders",
    path=BASE + "/riders.parquet",
    timestamp_field="valid_from",
    created_timestamp_column="loaded_at",
    field_mapping={"AvgKm": "avg_km"},
)
rider_profile = View(
    name="rider_profile",
    entities=[rider],
    ttl=14 * DAY if False else timedelta(weeks=2),
    schema=[
        Field(name="rider_id", dtype=String),
        Field(name="avg_km", dtype=Float32),
        Field(name="trips", dtype=Int64),
        Field(name="class", dtype=String),
        Field(name="insured", dtype=Bool),
        Field(name="since", dtype=UnixTimestamp),
        Field(name="taste", dtype=Array(Float32)),
    ],
    source=riders,
    online=True,
    owner="bikes@example.org",
)
station_state = View(
    name="station-state",
    entities=[station],
    schema=[Field(name="docks", dtype=Int64), Field(name="columns", dtype=Int64)],
    ttl=dt.timedelta(hours=36),
    source=PushSource(
        name="station_push",
        batch_source=FileSource(path="data/stations/*.parquet", timestamp_field="at"),
    ),
)
trip_totals = BatchFeatureView(
    name="trip_totals",
    entities=[rider, station],
    source=FileSource(path="data/trips.parquet", timestamp_field="ended_at"),
    aggregations=[
        Aggregation(column="km", function="sum", time_window=timedelta(days=7)),
        Aggregation(column="km", function="mean", time_window=timedelta(hours=1), name="usual"),
        Aggregation(column="bike", function="count_distinct", time_window=timedelta(minutes=90)),
        Aggregation(column="km", function="count"),
        Aggregation(column="km", function="percentile", time_window=DAY),
    ],
)
ask = RequestSource(name="ask", schema=[Field(name="hour", dtype=Int64)])


@on_demand_feature_view(sources=[rider_profile, ask], schema=[Field(name="x", dtype=Float32)])
def eager(inputs):
    raise RuntimeError("nobody runs this")


v1 = FeatureService(name="bikes_v1", features=[rider_profile, station_state[["docks"]]])
'''


@pytest.fixture
def bikes(tmp_path: Path) -> Path:
    folder = tmp_path / "bikes"
    (folder / ".venv").mkdir(parents=True)
    (folder / "entities.py").write_text(ENTITIES)
    (folder / "views.py").write_text(VIEWS.replace("14 * DAY if False else ", ""))
    (folder / ".venv" / "not_ours.py").write_text(
        "from feast import Entity\nx = Entity(name='x')\n"
    )
    return folder


def rendered(path: Path, into: Path) -> tuple[FeastRepo, str]:
    repo = read_feast(path)
    return repo, render_feast(repo, into=into)


USE_CASE = """

class Ask(hf.Event, source="asks.parquet"):
    ask_id = hf.Key()
    asked_at = hf.EventTime()
{keys}
    late = hf.Boolean(known_after="1d", nullable=True)


class Everything({bases}):
    hour = hf.calendar.hour


use_case = hf.UseCase(
    name="asked", owner="x", each=Ask, predict=Ask.late, features=Everything,
    value=hf.Payoff("EUR", yes=hf.when(Ask.late, 1, -1), no=0),
    training=hf.Training(candidates=[hf.LogisticRegression()]),
)
"""


def assert_checked(repo: FeastRepo, text: str, folder: Path) -> tuple[str, ...]:
    """The file loads, and a use case of every feature in it has no fault; its features."""
    (folder / "plain.py").write_text(text)
    assert load_file(folder / "plain.py") == []
    lines = text.splitlines()
    named = [line.split()[0] for line in lines if "= hf.Entity(" in line]
    keys = "".join(f"    key_{name} = hf.Key({name})\n" for name in named)
    sets = [line[6:].partition("(")[0] for line in lines if line.endswith("(hf.Features):")]
    filled = [s for s in sets if f"class {s}(hf.Features):\n    pass" not in text]
    bases = ", ".join(filled or ["hf.Features"])
    (folder / "asked.py").write_text(text + USE_CASE.format(keys=keys, bases=bases))
    [use_case] = load_file(folder / "asked.py")
    assert [str(fault) for fault in check(use_case).faults] == []
    return compile_plan(use_case).feature_names


def test_a_repository_becomes_a_definition(
    bikes: Path, tmp_path: Path, golden: Callable[[Path, str], None]
) -> None:
    repo, text = rendered(bikes, tmp_path)
    golden(ROOT / "tests" / "golden" / "feast_bikes.txt", text)
    names = assert_checked(repo, text, tmp_path)
    assert set(names) == {
        "avg_km", "trips", "class_", "insured", "since", "docks", "columns_", "sum_km", "usual",
        "count_distinct_bike", "count_km", "hour",
    }  # fmt: skip
    assert 'source="bikes/data/riders.parquet"' in text
    assert 'avg_km = hf.Float(nullable=True, column="AvgKm")' in text
    assert "loaded_at = hf.KnownTime()" in text
    assert 'RiderProfile.by(Rider).last(RiderProfile.trips, over="14d")' in text
    assert 'TripTotals.by(Rider, Station).sum(TripTotals.km, over="7d")' in text
    assert "feast" not in sys.modules


def test_what_does_not_map_is_said_plainly(bikes: Path) -> None:
    listed = "\n".join(f"{one.what}: {one.why}" for one in read_feast(bikes).left_out)
    for words in (
        "`taste` of `rider_profile`: no column has the type Array",
        "owner of `rider_profile`",
        "tags of `station`",
        "the PushSource of `station-state`: a stream",
        "an aggregation of `trip_totals`: not known",
        "`ask`: a request source",
        "`eager`: an on-demand view",
        "`bikes_v1`: a feature service",
    ):
        assert words in listed, words


BAD = {
    "broken.py": "from feast import Entity\nx = = 3\n",
    "bytes.py": "x = '\x00'\n",
    "made.py": '''\
import os
from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float32, String
from somewhere import make_source, NAMES

good = Entity(name="good", join_keys=["good_id"])
computed = Entity(name=os.environ["NAME"])
several = Entity(name="several", join_keys=["a", "b"])
for name in NAMES:
    Entity(name=name)
loop = loop
path = FileSource(path=os.path.join("a", "b.parquet"), timestamp_field="at")
held = FeatureView(name="held", entities=[good], source=path, schema=[
    Field(name="x", dtype=Float32), Field(name=NAMES[0], dtype=Float32),
    Field(name="y", dtype=loop),
])
elsewhere = FeatureView(name="elsewhere", entities=[good], source=make_source())
unnamed = FeatureView(name=f"v{NAMES}", entities=[good], source=path)
nobody = FeatureView(name="nobody", entities=[], source=path)
stranger = FeatureView(name="stranger", entities=[computed], source=path)
bare = FeatureView(name="bare", entities=[good], source=FileSource(path="c.parquet"), ttl=NAMES)
cloud = FeatureView(name="cloud", entities=[good], schema=[Field(name="z", dtype=String)],
    source=FileSource(path="s3://bucket/z.parquet", timestamp_field="at"), **NAMES)
''',
    "warehouse.py": '''\
from feast import Entity, FeatureView, Field, BigQuerySource
from feast.types import Float64
FeatureView(
    name="Sales  Ünits", entities=[Entity(name="shop")],
    source=BigQuerySource(table="a.b", timestamp_field="at"),
    schema=[Field(name="units sold", dtype=Float64), Field(name="2nd", dtype=Float64)],
)
''',
}  # fmt: skip


def test_bad_files_and_computed_values_are_listed_and_nothing_crashes(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, text in BAD.items():
        (folder / name).write_text(text)
    repo, text = rendered(folder, tmp_path)
    listed = "\n".join(f"{one.where}: {one.what}: {one.why}" for one in repo.left_out)
    for words in (
        "broken.py:2: the whole file",
        "bytes.py: the whole file",
        "the entity `os.environ['NAME']`",
        "keys of `several` but the first",
        "made.py:10: a Entity: it stands in a loop",
        "the source of `held`: its path is computed: os.path.join('a', 'b.parquet')",
        "a field of `held`",
        "`y` of `held`: no column has the type loop",
        "the view `elsewhere`: its source is another view, or is computed",
        "the view `f'v{NAMES}'`: its name is computed",
        "the view `nobody`: it has no entities",
        "the view `stranger`: its entity is computed",
        "the ttl of `bare`: it is computed: NAMES",
        "the event time of `bare`",
        "the schema of `bare`",
        "the place of `cloud`: copy s3://bucket/z.parquet",
        "`**` in `cloud`",
        "the source of `Sales  Ünits`: a BigQuerySource",
    ):
        assert words in listed, words
    assert {view.name for view in repo.views} == {"held", "bare", "cloud", "Sales  Ünits"}
    names = assert_checked(repo, text, tmp_path)
    assert {"x", "z", "units_sold", "c2nd"} <= set(names)


def test_nothing_of_feast_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Entity: ...\nx = Entity()\n")
    for place in (tmp_path, tmp_path / "a.py", tmp_path / "none"):
        with pytest.raises(NotFoundError) as raised:
            read_feast(place)
        assert raised.value.code == "HF220"


def test_names_never_meet(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "from feast import *\nimport feast\n"
        "e = feast.Entity(name='driver', join_keys=['driver_id'])\n"
        "s = feast.FileSource(path='d.parquet', timestamp_field='at')\n"
        "f = [feast.Field(name='x y', dtype=feast.types.Int64),"
        " feast.Field(name='x_y', dtype=feast.types.Int64)]\n"
        "a = feast.FeatureView(name='driver', entities=[e], source=s, schema=f)\n"
        "b = feast.FeatureView(name='Driver', entities=[e], source=s, schema=f)\n"
    )
    repo, text = rendered(tmp_path / "a.py", tmp_path)
    assert len(repo.views) == 2
    for line in ("Driver = hf.Entity", "class Driver2(hf.Snapshot", "class Driver3(hf.Snapshot"):
        assert line in text
    assert assert_checked(repo, text, tmp_path)
