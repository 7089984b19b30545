"""Every verb on a small world: what people read, what programs read, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from holdfast.testing.worlds import live_payments
from tests.conftest import ROOT
from tests.unit.cli.calls import Call, call
from tests.unit.cli.conftest import PAYMENTS, ROWS, Served

FEATURES = ["amount", "channel", "payments_1h", "spend_1d"]


def test_the_definition_of_the_world_is_the_example(world: Path) -> None:
    example = (ROOT / "examples" / "fraud.py").read_text("utf-8")
    assert (world / "fraud.py").read_text("utf-8") == example


def test_check_says_ok_and_lists_what_cannot_run_yet(world: Path) -> None:
    said = call("check", project=world)
    assert said.code == 0
    assert "card-fraud: ok, 8 features" in said.out
    assert re.search(r"cannot run yet: monitoring alerts \(fraud\.py:\d+\)", said.out)
    [about] = call("check", "card-fraud", "--json", project=world).result
    assert about["faults"] == []
    assert {gap["code"] for gap in about["gaps"]} == {"HF903"}


def test_audit_names_what_went_to_quarantine(world: Path) -> None:
    said = call("audit", project=world)
    assert said.code == 0
    assert "verdict:" in said.out and "quarantine:" in said.out and "label delay" in said.out
    found = call("audit", "--json", project=world).result
    assert set(found) == {"Payment", "Chargeback"}
    assert found["Payment"]["rows_kept"] == PAYMENTS


def test_features_are_listed_built_and_written(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    said = call("features", "--out", file, project=world)
    assert said.code == 0
    assert "mean of Payment.amount per card_id" in said.out
    assert "events a second" in said.out and "MiB" in said.out
    frame = pl.read_parquet(file)
    assert frame.height == PAYMENTS and set(FEATURES) <= set(frame.columns)
    assert max(len(line) for line in said.out.splitlines() if str(file) not in line) <= 80
    found = call("features", "--to", "2026-02-01", "--json", project=world).result
    assert 0 < found["rows"] < PAYMENTS
    assert [one["name"] for one in found["features"]][:4] == FEATURES
    assert found["events_per_s"] > 0 and found["memory_mib"] > 0


def test_train_registers_a_model(training: Call) -> None:
    assert training.code == 0
    found = training.result
    assert (found["version"], found["status"]) == (1, "current")


def test_evaluate_shows_money_slices_and_time(trained: Path) -> None:
    said = call("evaluate", project=trained)
    assert said.code == 0
    for words in ("EUR/1,000", "95% interval", "approve all", "chosen:", "slices", "over time"):
        assert words in said.out
    report = call("evaluate", "card-fraud", "--version", 1, "--json", project=trained).result
    worth = report["final"][report["chosen"]]["per_1000"]
    assert worth["low"] <= worth["value"] <= worth["high"]


def test_models_are_listed_and_promoted(trained: Path) -> None:
    said = call("models", project=trained)
    assert said.code == 0 and "current" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    [record] = call("models", "card-fraud", "--promote", 1, "--json", project=trained).result
    assert (record["version"], record["status"]) == (1, "current")


def test_serve_answers_and_stops_when_told(served: Served) -> None:
    assert served.ready["url"].startswith("http://127.0.0.1:")
    assert served.docs == 200
    assert [answer["by"] for answer in served.answers] == ["model"] * ROWS
    assert served.code == 0


def test_explain_shows_inputs_worth_and_reasons(trained: Path, served: Served) -> None:
    answer = served.answers[-1]
    said = call("explain", "card-fraud", answer["prediction_id"], project=trained)
    assert said.code == 0
    for words in ("row: payment_id=", "score:", f"* {answer['decision']}", "because", "amount="):
        assert words in said.out
    found = call("explain", "card-fraud", answer["prediction_id"], "--json", project=trained).result
    assert found["decision"] == answer["decision"]
    assert list(found["features"])[:4] == FEATURES
    assert set(found["expected_values"]) == {"approve", "review", "decline"}


def test_status_shows_the_model_and_the_latest_decision(trained: Path, served: Served) -> None:
    said = call("status", project=trained)
    assert said.code == 0 and "card-fraud" in said.out
    found = call("status", "--json", project=trained).result["card-fraud"]
    assert found["predictions"] == ROWS
    assert found["latest"] == served.answers[-1]["prediction_id"]
    assert found["latest"] in said.out


def test_predict_decides_a_file(trained: Path, served: Served, tmp_path: Path) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.csv"
    live_payments(trained).payments.tail(7).write_parquet(source)
    said = call("predict", "card-fraud", source, target, project=trained)
    assert said.code == 0 and "written to" in said.out
    assert pl.read_csv(target).height == 7
    again = call("predict", "card-fraud", source, tmp_path / "o.jsonl", "--json", project=trained)
    assert again.result["file"].endswith("o.jsonl")


def test_doctor_proves_the_model(trained: Path) -> None:
    said = call("doctor", project=trained)
    assert "card-fraud: model: version 1 predicts what it predicted" in said.out
    assert "card-fraud: state: " in said.out
    found = call("doctor", "--json", project=trained).result
    assert {"python", "numpy", "compiled code", "project folder", "disk"} <= {
        one["what"] for one in found
    }
    assert said.code == (0 if all(one["ok"] for one in found) else 1)


def test_new_from_a_table_says_what_it_left_out(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "client": [f"c{n % 40}" for n in range(400)],
            "age": [20 + n % 50 for n in range(400)],
            "email": [f"a{n}@example.org" for n in range(400)],
            "left": [("yes" if (n * 7) % 11 < 3 else "no") for n in range(400)],
        }
    )
    rows.write_csv(tmp_path / "clients.csv")
    table = ("--data", tmp_path / "clients.csv", "--label", "left")
    said = call("new", "churn", *table, project=tmp_path)
    assert said.code == 0, said
    assert "true is 'yes', false is 'no'" in said.out
    assert "left out: email" in said.out and "next" in said.out
    assert call("check", "churn", project=tmp_path).code == 0
    again = call("new", "churn", *table, "--force", "--json", project=tmp_path)
    assert again.result["task"] == "binary" and "email" in again.result["left_out"]
    assert again.result["columns"]["age"] == "integer"


@pytest.mark.slow
def test_the_demo_runs_the_whole_path(tmp_path: Path) -> None:
    said = call("demo", "--payments", 20_000, "--json", project=tmp_path)
    found = said.result
    assert said.code == 0
    steps = ["world", "audit", "features", "training", "best_possible", "live", "parity"]
    assert [name for name in found if name in steps] == steps
    assert found["live"]["requests"] == 1_000 and found["live"]["fallbacks"] == 0
    assert [one["differ"] for one in found["parity"].values()] == [0, 0]
    assert found["parity"]["served"]["rows"] == 1_000
    best = found["best_possible"]["best_possible_per_1000"]
    assert best >= found["best_possible"]["constant_per_1000"]["approve"]
    (tmp_path / "demo" / "fraud.py").write_text("mine = True\n", encoding="utf-8")
    again = call("demo", "--json", project=tmp_path)
    assert (again.code, again.error["code"]) == (2, "HF707")
    assert (tmp_path / "demo" / "truth.parquet").exists()
