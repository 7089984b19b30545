"""The verb `import`: a file written, a file printed, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.calls import call

REPO = """\
from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float32

shop = Entity(name="shop", join_keys=["shop_id"])
prices = FeatureView(
    name="prices", entities=[shop], schema=[Field(name="price", dtype=Float32)],
    source=FileSource(path="prices.parquet", timestamp_field="at"),
)
service = FeatureService(name="v1", features=[prices])
"""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    (tmp_path / "feast_repo").mkdir()
    (tmp_path / "feast_repo" / "prices.py").write_text(REPO)
    return tmp_path


def test_a_definition_is_written_and_what_is_missing_is_said(repo: Path) -> None:
    said = call("import", "feast", repo / "feast_repo", "--out", "shared.py", project=repo)
    assert said.code == 0, said
    assert "shared.py: 1 entities, 1 feature views" in said.out
    assert "not carried over: prices.py:9: `v1`: a feature service" in said.out
    text = (repo / "shared.py").read_text("utf-8")
    assert 'class Prices(hf.Snapshot, source="feast_repo/prices.parquet"):' in text
    again = call("import", "feast", repo / "feast_repo", "--out", "shared.py", project=repo)
    assert "HF707" in again.err and again.code == 2
    forced = ("import", "feast", repo / "feast_repo", "--out", "shared.py", "--force", "--json")
    found = call(*forced, project=repo)
    assert found.envelope["verb"] == "import"
    assert found.result["views"] == ["prices"] and found.result["entities"] == {"shop": "shop_id"}
    assert found.result["left_out"][0]["what"] == "`v1`"


def test_without_a_file_it_is_printed(repo: Path) -> None:
    said = call("import", "feast", repo / "feast_repo", project=repo)
    assert (
        said.out.startswith('"""Entities and feature views') and "# Not carried over:" in said.out
    )
    found = call("import", "feast", repo / "feast_repo", "--json", project=repo).result
    assert found["definition"] in said.out and found["file"] is None


def test_what_cannot_be_imported_is_refused(repo: Path) -> None:
    feast = ("import", "feast")
    refusals = {
        (*feast, repo / "nowhere"): "HF220",
        (*feast, repo / "feast_repo", "--out", "x.txt"): "HF716",
        ("import", "tecton", repo): "HF712",
    }
    for words, code in refusals.items():
        assert call(*words, "--json", project=repo).error["code"] == code, words
