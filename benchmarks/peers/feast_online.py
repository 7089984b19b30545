"""Feast reading 15 features of one entity, from Redis or SQLite: `... feast_online STORE READS`.

Runs in any Python that has Feast; prints the median and the 99th percentile in microseconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64

ENTITIES, FEATURES = 1_000, 15


def main(store: str, reads: int) -> None:
    """Make a repository, write one row for each entity, read entities at random."""
    folder = Path(tempfile.mkdtemp())
    names = [f"f{at}" for at in range(FEATURES)]
    frame = pd.DataFrame(np.random.default_rng(1).random((ENTITIES, FEATURES)), columns=names)
    frame["card"] = [f"c{at}" for at in range(ENTITIES)]
    frame["at"] = datetime.now(UTC)
    frame.to_parquet(folder / "rows.parquet")
    online = {"type": "sqlite", "path": str(folder / "online.db")}
    if store == "redis":
        online = {"type": "redis", "connection_string": "127.0.0.1:6379,db=15"}
    feast = FeatureStore(
        config=RepoConfig(
            project="bench", provider="local", registry=str(folder / "registry.db"),
            online_store=online, entity_key_serialization_version=3,
        )
    )  # fmt: skip
    card = Entity(name="card", join_keys=["card"])
    view = FeatureView(
        name="cards", entities=[card], ttl=timedelta(days=30),
        schema=[Field(name=name, dtype=Float64) for name in names],
        source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="at"),
    )  # fmt: skip
    feast.apply([card, view])
    feast.write_to_online_store("cards", frame.rename(columns={"at": "at"}))
    asked = [f"cards:{name}" for name in names]
    chosen = np.random.default_rng(2).integers(0, ENTITIES, reads + 50)
    took = []
    for entity in chosen:
        began = perf_counter()
        found = feast.get_online_features(asked, [{"card": f"c{entity}"}]).to_dict()
        took.append(perf_counter() - began)
        assert found["f0"][0] is not None
    feast.teardown()
    spent = np.array(took[50:]) * 1e6
    print(
        json.dumps({"p50_us": float(np.median(spent)), "p99_us": float(np.percentile(spent, 99))})
    )


main(sys.argv[1], int(sys.argv[2]))
