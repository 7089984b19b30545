"""Batch: one row out for each row in, with the features that a service would have served."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from holdfast.core.clock import FixedClock
from holdfast.errors import ContractError, StoreError
from holdfast.loop.project import Project
from holdfast.serving.batch import predict_batch
from tests.simulation import tiny

COUNT = 40


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tiny.trained(tmp_path / "tiny")
    return Project(folder, clock=FixedClock(tiny.NOW + 40 * tiny.DAY))


def rows(count: int = COUNT) -> list[dict[str, Any]]:
    return list(tiny.stream(3, count))


def written(folder: Path, name: str, given: list[dict[str, Any]]) -> Path:
    path = folder / name
    frame = pl.DataFrame(given)
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[
        path.suffix
    ](path)
    return path


def read(path: Path) -> pl.DataFrame:
    if path.suffix == ".csv":
        return pl.read_csv(path)
    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_ndjson(path)


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
def test_a_file_gets_what_the_service_answers(project: Project, tmp_path: Path, form: str) -> None:
    given = sorted(rows(), key=lambda row: row["paid_at"])
    source = written(tmp_path, f"in{form}", given)
    counts = project.predict_file(None, source, tmp_path / f"out{form}")
    assert counts == {"rows": COUNT, "by_model": COUNT, "by_fallback": 0, "broken": 0}
    out = read(tmp_path / f"out{form}")
    assert out.get_column("payment_id").to_list() == [row["payment_id"] for row in given]
    with project.service() as service:
        for row, said in zip(given, out.iter_rows(named=True), strict=True):
            answer = service.predict(row)
            assert said["score"] == pytest.approx(answer.score, rel=1e-15)
            assert said["decision"] == answer.decision
            assert said["expected_value"] == pytest.approx(answer.expected_value, rel=1e-15)
            assert said["model_version"] == 1


def test_the_rows_come_back_in_the_order_of_the_file(project: Project, tmp_path: Path) -> None:
    given = rows()
    sorted_rows = sorted(given, key=lambda row: row["paid_at"])
    found = []
    for name, some in (("a", given), ("b", sorted_rows)):
        project.predict_file(
            None, written(tmp_path, f"{name}.csv", some), tmp_path / f"{name}.out.csv"
        )
        out = read(tmp_path / f"{name}.out.csv")
        assert out.get_column("payment_id").to_list() == [row["payment_id"] for row in some]
        found.append(dict(out.select("payment_id", "score").iter_rows()))
    assert found[0] == found[1]


def test_the_live_log_counts_and_stays_as_it_is(project: Project, tmp_path: Path) -> None:
    given = rows(10)
    last = max(row["paid_at"] for row in given)
    asked = {**given[0], "payment_id": "later", "paid_at": last}
    source, target = written(tmp_path, "in.csv", [asked]), tmp_path / "out.parquet"
    project.predict_file(None, source, target)
    alone = read(target).get_column("score").item()
    with project.service() as service:
        for row in given:
            service.predict(row)
        head = service.head()
    project.predict_file(None, source, target)
    assert read(target).get_column("score").item() != alone
    with project.service() as service:
        assert service.head() == head
        assert service.predict(asked).score == read(target).get_column("score").item()


def test_rows_of_history_get_the_features_they_had(project: Project, tmp_path: Path) -> None:
    history = pl.read_csv(project.folder / "payments.csv").tail(30)
    history.write_csv(tmp_path / "in.csv")
    project.predict_file(None, tmp_path / "in.csv", tmp_path / "out.csv")
    training = project.training_set()
    told = project.bundle().predict(training.values[-30:], training.context[-30:])
    assert read(tmp_path / "out.csv").get_column("score").to_list() == told.probability.tolist()


def test_broken_rows_get_the_fallback_and_say_why(project: Project, tmp_path: Path) -> None:
    given = rows(6)
    given[1]["channel"] = "fax"
    given[3]["amount"] = -1.0
    given[4]["card"] = None
    counts = project.predict_file(None, written(tmp_path, "in.csv", given), tmp_path / "out.csv")
    assert counts == {"rows": 6, "by_model": 3, "by_fallback": 3, "broken": 3}
    out = read(tmp_path / "out.csv")
    assert out.get_column("problem").to_list() == [
        None, "channel: unknown category", None, "amount: not above 0", "card: missing", None
    ]  # fmt: skip
    assert out.get_column("decision").to_list()[1] == "review"
    assert out.get_column("score").is_null().to_list() == [False, True, False, True, True, False]


def test_what_cannot_be_read_or_written(project: Project, tmp_path: Path) -> None:
    source = written(tmp_path, "in.csv", rows(2))
    for target, code in (("out.xlsx", "HF509"), ("in.csv", "HF509")):
        with pytest.raises(ContractError) as raised:
            project.predict_file(None, source, tmp_path / target)
        assert raised.value.code == code
    with pytest.raises(ContractError) as raised:
        project.predict_file(None, tmp_path / "inn.csv", tmp_path / "out.csv")
    assert (raised.value.code, raised.value.hint) == ("HF202", "did you mean in.csv?")
    with pytest.raises(StoreError) as failed:
        project.predict_file(None, source, tmp_path / "nowhere" / "out.csv")
    assert failed.value.code == "HF526"


def test_a_full_disk_leaves_the_old_output(project: Project, tmp_path: Path) -> None:
    source, target = written(tmp_path, "in.csv", rows()), tmp_path / "out.csv"
    project.predict_file(None, source, target)
    before = target.read_bytes()
    bundle, tables, now_us = project.bundle(), project.history().tables, project.clock.now_us()
    held = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limits[1]))
    try:
        with pytest.raises(StoreError) as failed:
            predict_batch(bundle, tables, file_in=source, file_out=target, now_us=now_us)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, held)
    assert failed.value.code == "HF526" and failed.value.retryable
    assert target.read_bytes() == before
    assert not list(tmp_path.glob(".*aside"))
