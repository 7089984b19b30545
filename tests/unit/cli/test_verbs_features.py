"""`features` at a moment and `parity`: what people read, what programs read, what is refused."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tests.unit.cli.calls import call
from tests.unit.cli.conftest import ROWS, Served


@pytest.fixture(scope="module")
def payment(world: Path) -> dict[str, str]:
    """A payment whose card has paid before."""
    rows = pl.read_parquet(world / "payments" / "*.parquet").sort("paid_at")
    counted = rows.filter(pl.col("card_id").cum_count().over("card_id") > 3)
    return {name: str(value) for name, value in counted.row(-1, named=True).items()}


def test_a_row_is_shown_as_it_was_with_the_events_behind(
    world: Path, payment: dict[str, str]
) -> None:
    row = f"payment_id={payment['payment_id']}"
    said = call("features", "--row", row, "--feature", "usual_amount", project=world)
    assert said.code == 0, said
    assert said.out.startswith("card-fraud at ")
    assert "mean of amount: " in said.out and f"card_id={payment['card_id']}" in said.out
    found = call("features", "--row", row, "--events", 100, "--json", project=world).result
    values = {one["name"]: one for one in found["features"]}
    assert values["channel"]["value"] == payment["channel"]
    [mean] = values["usual_amount"]["behind"]
    amounts = [event["value"] for event in mean["events"]]
    assert len(amounts) == mean["counted"] > 0 and mean["more"] == 0
    assert values["usual_amount"]["value"] == pytest.approx(sum(amounts) / len(amounts))
    times = [event["time"] for event in mean["events"]]
    assert times == sorted(times, reverse=True) and mean["from"] <= times[-1]
    few = call("features", "--row", row, "--events", 1, project=world)
    assert "and 1 more" in few.out or "more" in few.out


def test_a_key_is_asked_about_at_a_moment(world: Path, payment: dict[str, str]) -> None:
    at = ("features", "--at", "2027-01-01", "--key", f"card_id={payment['card_id']}")
    found = call(*at, "--json", project=world).result
    values = {one["name"]: one["value"] for one in found["features"]}
    assert found["at"] == "2027-01-01T00:00:00Z"
    assert (values["payments_1h"], values["amount"], values["merchant_fraud"]) == (0, None, None)
    said = call(*at, "--feature", "payments_1h", project=world)
    assert "payments_1h  0 " in said.out and "amount_ratio" not in said.out


def test_what_cannot_be_asked_is_refused(world: Path) -> None:
    refusals = {
        ("--key", "card_id=c1"): "HF308",
        ("--at", "2026-05-01", "--key", "colour=red"): "HF308",
        ("--row", "payment_id=nobody"): "HF307",
        ("--at", "2026-05-01", "--feature", "beauty"): "HF307",
        ("--at", "2026-05-01", "--key", "card_id"): "HF712",
        ("--at", "2026-05-01", "--key", "amount=much"): "HF211",
    }
    for words, code in refusals.items():
        assert call("features", *words, "--json", project=world).error["code"] == code, words


def test_the_list_names_the_views(world: Path) -> None:
    found = call("features", "--to", "2026-01-02", "--json", project=world).result
    about = {one["name"]: one["looks_back"] for one in found["features"]}
    assert about["amount"] == []
    [hour] = about["payments_1h"]
    assert (hour["source"], hour["keys"], hour["window"]) == ("Payment", ["card_id"], "1h")
    assert hour["view"] == about["spend_1d"][0]["view"] != about["merchant_fraud"][0]["view"]
    assert hour["view"][:8] in call("features", "--to", "2026-01-02", project=world).out


def test_parity_differs_nowhere(trained: Path, served: Served) -> None:
    said = call("parity", "--rows", 300, project=trained)
    assert said.code == 0
    assert "2,400 values of 300 rows, 0 differ" in said.out
    assert "served answers recomputed" in said.out
    found = call("parity", "--rows", 50, "--sample", 5, "--json", project=trained).result
    assert (found["history"]["rows"], found["history"]["differ"]) == (50, 0)
    assert (found["served"]["rows"], found["served"]["differ"]) == (5, 0)
    everything = call("parity", "--rows", 0, "--sample", 0, "--json", project=trained).result
    assert everything["history"] is None and everything["served"]["rows"] == ROWS
