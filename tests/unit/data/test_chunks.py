"""A file read in chunks is the file read at once, wherever it lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import holdfast as hf
from holdfast.data.chunks import read_chunks, stretches_of
from holdfast.data.ingest import load
from holdfast.data.readers import read_file
from holdfast.define.schema import SourceSchema, schema_of
from holdfast.errors import ContractError, StoreError

ROWS = 25


class Paid(hf.Event, source="paid.csv"):
    at = hf.EventTime()
    who = hf.Key(hf.Entity("who"))
    amount = hf.Float(nullable=True)


SCHEMA: SourceSchema = schema_of(Paid)
FRAME = pl.DataFrame(
    {
        "at": [f"2026-01-01T00:{n:02}:00" for n in range(ROWS)],
        "who": [f"w{n % 4}" for n in range(ROWS)],
        "amount": [None if n % 7 == 0 else n / 3 for n in range(ROWS)],
        "other": list(range(ROWS)),
    }
)


def written(folder: Path, kind: str) -> Path:
    path = folder / f"paid.{kind}"
    if kind == "parquet":
        FRAME.write_parquet(path, row_group_size=4)
    elif kind == "csv":
        FRAME.write_csv(path)
    elif kind == "jsonl":
        FRAME.write_ndjson(path)
    else:
        pytest.importorskip("deltalake", reason="pip install holdfast[delta]")
        for start in range(0, ROWS, 10):
            FRAME[start : start + 10].write_delta(path, mode="append")
    return path


def in_chunks(where: Any, rows: int) -> pl.DataFrame:
    frames = []
    for stretch in stretches_of(SCHEMA, where, rows=rows):
        at = stretch.start
        for first, frame in read_chunks(stretch, SCHEMA, rows=rows):
            assert first == at
            assert frame.height <= rows
            at += frame.height
            frames.append(frame)
    return pl.concat(frames)


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "delta"])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_chunks_are_the_file(kind: str, rows: int, tmp_path: Path) -> None:
    path = written(tmp_path, kind)
    found = in_chunks(path, rows)
    whole = read_file(path, SCHEMA)  # a Delta table has an order of files of its own
    assert found.columns == ["at", "who", "amount"]
    assert found.equals(whole)
    assert sorted(found["at"]) == FRAME["at"].to_list()


def test_a_delta_table_is_read_as_of_one_version(tmp_path: Path) -> None:
    path = written(tmp_path, "delta")
    stretches = stretches_of(SCHEMA, path, rows=100)
    FRAME.write_delta(path, mode="append")
    ((_, frame),) = read_chunks(stretches[0], SCHEMA, rows=100)
    assert frame.height == ROWS
    assert stretches != stretches_of(SCHEMA, path, rows=100)


def test_a_url_nobody_answers_is_told() -> None:
    url = "s3://bucket/paid.parquet?endpoint_override=127.0.0.1:9&scheme=http&region=eu-west-1"
    with pytest.raises(StoreError) as caught:
        stretches_of(SCHEMA, url, rows=10)
    assert caught.value.code == "HF641"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server = pytest.importorskip("moto.server", reason="pip install moto[server]")
    boto3 = pytest.importorskip("boto3", reason="pip install moto[server]")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
    client.create_bucket(Bucket="data")
    options = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    yield client, options
    running.stop()


@pytest.mark.slow
def test_a_folder_in_s3_is_a_folder(bucket: Any, tmp_path: Path) -> None:
    client, options = bucket
    whole = written(tmp_path, "parquet")
    for number, cut in enumerate((slice(0, 12), slice(12, ROWS))):
        FRAME[cut].write_parquet(tmp_path / "part.parquet")
        client.upload_file(os.fspath(tmp_path / "part.parquet"), "data", f"in/{number}.parquet")
    client.put_object(Bucket="data", Key="in/readme.txt", Body=b"not data")
    expected = load(SCHEMA, whole, now_us=None).table.frame
    for place in ("in", "in/*.parquet"):
        url = f"s3://data/{place}?{options}"
        assert load(SCHEMA, url, now_us=None).table.frame.equals(expected)
        assert in_chunks(url, 5)["who"].to_list() == expected["who"].to_list()
    with pytest.raises(ContractError) as caught:
        stretches_of(SCHEMA, f"s3://data/in/*.csv?{options}", rows=5)
    assert caught.value.code == "HF202"
