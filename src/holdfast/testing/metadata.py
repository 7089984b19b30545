"""The conformance kit of metadata stores; see `holdfast.testing.stores` for how to use it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from holdfast.errors import NotFoundError
from holdfast.stores.base import MetadataStore, ModelRecord, RunRecord
from holdfast.testing.crowd import HARD_NAMES, TURNS, WORKERS, in_processes, in_threads

__all__ = ["MetadataStoreTestCase"]

_ADD = """
from holdfast.stores.open import open_metadata
with open_metadata({url!r}) as store:
    for _ in range({turns}):
        made = store.add_model(
            "m", created_us=1, kind="prior", artifact="", metrics={{}}, lineage={{}}
        )
        store.promote("m", made.version, at_us=2)
        print(made.version)
"""


class MetadataStoreTestCase:
    """What every metadata store keeps."""

    durable: ClassVar[bool] = True

    def open_store(self, folder: Path) -> MetadataStore:
        """Open a store that keeps its files in `folder`."""
        raise NotImplementedError

    def url(self, folder: Path) -> str:
        """Return the URL of that store for another process, "" where only this one sees it."""
        return ""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[MetadataStore]:
        """A new store."""
        with self.open_store(tmp_path) as store:
            yield store

    def test_a_new_store_is_empty(self, store: MetadataStore) -> None:
        """A new store is empty."""
        assert (store.models(), store.models("m"), store.promotions("m")) == ([], [], [])
        assert (store.runs(), store.runs("m")) == ([], [])
        for version in (None, 1):
            with pytest.raises(NotFoundError) as missing:
                store.model("m", version)
            assert (missing.value.code, '"m"' in missing.value.what) == ("HF610", True)
        assert "://" in store.describe()

    def test_versions_count_up_for_each_name(self, store: MetadataStore) -> None:
        """Versions count up for each name."""
        for version in (1, 2, 3):
            for name in HARD_NAMES:
                assert self.add(store, name).version == version
        names = [(record.name, record.version) for record in store.models()]
        assert names == sorted((name, v) for name in HARD_NAMES for v in (1, 2, 3))
        for name in HARD_NAMES:
            assert [record.version for record in store.models(name)] == [1, 2, 3]

    def test_a_model_comes_back_as_it_was_given(self, store: MetadataStore) -> None:
        """A model comes back as it was given."""
        metrics = {"auc": 0.1 + 0.2, "none": None, "least": 5e-324, "most": 2**62, "": {"é": [1]}}
        lineage = {"list": [1, [2, {"x": True}]], "text": "\x00 ' \" \\ 名 \n", "pair": (1, 2)}
        made = self.add(store, "m", metrics=metrics, lineage=lineage, notes="why: 'this'")
        assert made == store.model("m") == store.model("m", 1) == store.models()[0]
        assert made == ModelRecord(
            name="m",
            version=1,
            created_us=1_700_000_000_000_001,
            kind="lightgbm",
            status="candidate",
            artifact="m-0123",
            metrics=metrics,
            lineage={**lineage, "pair": [1, 2]},
            notes="why: 'this'",
        )
        odd = self.add(store, "m", metrics={"nan": math.nan, "far": -math.inf}).metrics
        assert math.isnan(odd["nan"])
        assert odd["far"] == -math.inf

    def test_what_was_handed_over_is_the_callers(self, store: MetadataStore) -> None:
        """What was handed over is the callers."""
        metrics = {"inner": {"x": 1}}
        made = self.add(store, "m", metrics=metrics)
        for held in (metrics, made.metrics, store.model("m").metrics, store.models()[0].metrics):
            held["inner"]["x"] = 2
        assert store.model("m").metrics == {"inner": {"x": 1}}

    def test_the_model_is_the_current_one_else_the_newest(self, store: MetadataStore) -> None:
        """The model is the current one else the newest."""
        for _ in range(3):
            self.add(store, "m")
        assert store.model("m").version == 3
        store.promote("m", 2, at_us=1)
        assert (store.model("m").version, store.model("m", 3).version) == (2, 3)
        with pytest.raises(NotFoundError) as missing:
            store.model("m", 9)
        assert "1, 2, 3" in missing.value.hint

    def test_one_model_of_a_name_is_current(self, store: MetadataStore) -> None:
        """One model of a name is current."""
        for name in ("m", "m", "m", "other"):
            self.add(store, name)
        store.promote("other", 1, at_us=5)
        for at_us, version in enumerate((2, 3, 3, 2)):
            promoted = store.promote("m", version, at_us=at_us)
            assert (promoted.version, promoted.status) == (version, "current")
        before = store.models()
        assert [r.status for r in before] == ["candidate", "current", "retired", "current"]
        for name, version in (("m", 4), ("m", 0), ("nobody", 1)):
            with pytest.raises(NotFoundError):
                store.promote(name, version, at_us=9)
        assert store.models() == before
        assert store.promotions("m") == [(2, 0), (3, 1), (3, 2), (2, 3)]
        assert store.promotions("other") == [(1, 5)]

    def test_runs_are_kept_in_order(self, store: MetadataStore) -> None:
        """Runs are kept in order."""
        runs = [self.run(f"r{n}", name="ab"[n % 2], outcome="running") for n in (3, 1, 2, 0)]
        for run in runs:
            store.add_run(run)
        assert store.runs() == runs
        ended = self.run("r1", name="b", outcome="done", details={"rows": [1, 2], "x": 0.1})
        store.add_run(ended)
        assert store.runs() == [runs[0], ended, *runs[2:]]
        assert store.runs("a") == [run for run in runs if run.name == "a"]

    def test_threads_get_versions_of_their_own(self, store: MetadataStore) -> None:
        """Threads get versions of their own."""
        versions = in_threads(lambda _: self.add(store, "m").version)
        assert sorted(versions) == list(range(1, WORKERS * TURNS + 1))
        in_threads(lambda n: store.promote("m", n + 1, at_us=n))
        assert [r.status for r in store.models("m")].count("current") == 1
        assert len(store.promotions("m")) == WORKERS * TURNS
        assert store.promotions("m")[-1][0] == store.model("m").version

    def test_processes_get_versions_of_their_own(self, tmp_path: Path) -> None:
        """Processes get versions of their own."""
        url = self.url(tmp_path)
        if not url:
            return
        said = in_processes(_ADD.format(url=url, turns=TURNS))
        assert sorted(map(int, said)) == list(range(1, WORKERS * TURNS + 1))
        with self.open_store(tmp_path) as store:
            assert [record.version for record in store.models("m")] == sorted(map(int, said))
            assert [r.status for r in store.models("m")].count("current") == 1

    def test_what_was_kept_is_there_again(self, tmp_path: Path) -> None:
        """What was kept is there again."""
        if not self.durable:
            return
        with self.open_store(tmp_path) as store:
            self.add(store, "m")
            made = store.promote("m", 1, at_us=1)
            store.add_run(self.run("r"))
        store.close()
        with self.open_store(tmp_path) as store:
            assert store.models() == [made]
            assert store.promotions("m") == [(1, 1)]
            assert store.runs() == [self.run("r")]
            assert self.add(store, "m").version == 2

    def add(self, store: MetadataStore, name: str, **given: Any) -> ModelRecord:
        """Register a model of which only the name matters."""
        plain: dict[str, Any] = {"metrics": {}, "lineage": {}, **given}
        return store.add_model(
            name, created_us=1_700_000_000_000_001, kind="lightgbm", artifact="m-0123", **plain
        )

    def run(self, run_id: str, **given: Any) -> RunRecord:
        """Return a run of which only the id matters."""
        plain: dict[str, Any] = {"name": "m", "outcome": "done", **given}
        return RunRecord(run_id=run_id, verb="train", started_us=1, ended_us=2, **plain)
