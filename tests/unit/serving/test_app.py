"""The service over HTTP: answers, every way to ask wrongly, and what happens when a part fails."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from holdfast.core.clock import FixedClock
from holdfast.errors import StoreError
from holdfast.loop.project import Project
from holdfast.serving.answers import ANSWER
from holdfast.serving.app import ServiceApplication
from holdfast.serving.http import ThreadedServer
from holdfast.serving.service import ROWS_MAX, Service
from holdfast.serving.wire import Request
from tests.simulation import tiny
from tests.unit.serving.talk import Reply, Wire, post

ROW = {"payment_id": "n1", "card": "c1", "shop": "s1", "amount": 30.5, "channel": "online"}


class Client:
    """Asks an application without a socket."""

    def __init__(self, service: Service) -> None:
        self.service, self.app = service, ServiceApplication(service)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        request = Request(method, path, headers=headers, body=raw, id="r_1")
        response = self.app.handle(request)
        return Reply(response.status, dict(response.headers), response.body)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.ask("POST", path, body, **headers)

    def get(self, path: str) -> Reply:
        return self.ask("GET", path)


@contextmanager
def opened(folder: Path) -> Iterator[Client]:
    project = Project(folder, clock=FixedClock(tiny.NOW + 40 * tiny.DAY))
    with project.service() as service:
        yield Client(service)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.trained(tmp_path / "tiny")


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    with opened(folder) as found:
        yield found


@pytest.fixture
def later(tmp_path: Path) -> Iterator[Client]:
    """A service whose label is a column that is told later."""
    with opened(tiny.trained(tmp_path / "later", ahead=False)) as found:
        yield found


# ---------------------------------------------------------------- answers


def test_an_answer_says_what_was_decided_and_why(client: Client) -> None:
    reply = client.post("/predict", ROW)
    said = reply.json
    assert reply.status == 200
    Draft202012Validator(dict(ANSWER)).validate(said)
    assert said["prediction_id"].startswith("p_")
    assert (said["use_case"], said["model_version"], said["by"]) == ("tiny", 1, "model")
    assert 0 < said["score"] < 1
    assert set(said["expected_values"]) == {"approve", "review"}
    assert said["expected_value"] == said["expected_values"][said["decision"]]
    assert said["expected_value"] == max(said["expected_values"].values())
    assert said["currency"] == "EUR"
    assert 1 <= len(said["reasons"]) <= 2
    assert all(" is " in reason["words"] for reason in said["reasons"])
    assert said["repeated"] is False and said["logged"] is True and "failure" not in said


def test_the_same_row_gets_the_same_answer_and_counts_once(client: Client) -> None:
    first, second = (client.post("/predict", ROW).json for _ in range(2))
    assert second == {**first, "repeated": True}
    other = client.post("/predict", {**ROW, "payment_id": "n2"}).json
    explained = client.get(f"/explain/{other['prediction_id']}").json
    assert explained["features"]["count_1d"] == 1
    assert client.service.counts["predictions"] == 2
    assert client.service.counts["repeated"] == 1


def test_the_same_answer_after_the_service_was_opened_again(folder: Path) -> None:
    with opened(folder) as client:
        first = client.post("/predict", ROW).json
    with opened(folder) as client:
        assert client.post("/predict", ROW).json == {**first, "repeated": True}


def test_rows_together_are_answered_in_order(client: Client) -> None:
    rows = [{**ROW, "payment_id": f"n{n}", "amount": 10.0 + n} for n in range(4)]
    said = client.post("/predict", {"rows": rows}).json["predictions"]
    explained = [client.get(f"/explain/{one['prediction_id']}").json for one in said]
    assert [one["features"]["count_1d"] for one in explained] == [0, 1, 2, 3]
    assert [one["row"]["amount"] for one in explained] == [10, 11, 12, 13]


def test_an_explanation_holds_inputs_features_and_reasons(client: Client) -> None:
    said = client.post("/predict", ROW).json
    explained = client.get(f"/explain/{said['prediction_id']}").json
    assert explained["row"] == {**ROW, "paid_at": "2025-04-11T00:00:00Z"}
    assert set(explained["features"]) == set(client.service.plan.feature_names)
    shared = set(said) - {"repeated", "logged"}
    assert {name: explained[name] for name in shared} == {name: said[name] for name in shared}


def test_events_are_folded_and_accepted_once(client: Client) -> None:
    paid = client.post("/predict", ROW).json
    back = {"chargeback_id": "x1", "payment_id": "n1", "reported_at": "2025-04-11T00:00:00Z"}
    first, second = (client.post("/event/Chargeback", back) for _ in range(2))
    assert first.status == second.status == 200
    assert (first.json["repeated"], second.json["repeated"]) == (False, True)
    assert first.json["offset"] == second.json["offset"]
    told = client.post("/event/Payment", {"rows": [{**ROW, "payment_id": f"e{n}"} for n in "ab"]})
    assert [one["repeated"] for one in told.json["events"]] == [False, False]
    asked = client.post("/predict", {**ROW, "payment_id": "n9"}).json
    explained = client.get(f"/explain/{asked['prediction_id']}").json
    assert explained["features"]["count_1d"] == 3
    assert paid["prediction_id"] != asked["prediction_id"]


def test_a_row_known_before_it_is_asked_about_is_answered_once(client: Client) -> None:
    client.post("/event/Payment", ROW)
    first, second = (client.post("/predict", ROW).json for _ in range(2))
    assert second == {**first, "repeated": True}
    explained = client.get(f"/explain/{first['prediction_id']}").json
    assert explained["offset"] is None


def test_outcomes_are_taken_by_prediction_or_key(later: Client) -> None:
    said = later.post("/predict", ROW).json
    told = {"prediction_id": said["prediction_id"], "value": True}
    assert later.post("/outcome", told).json["repeated"] is False
    assert later.post("/outcome", {"key": "n1", "value": True}).json["repeated"] is True
    assert later.post("/outcome", {"key": "nobody", "value": True}).status == 404
    wrong = later.post("/outcome", {"key": "n1", "value": "perhaps"})
    assert (wrong.status, wrong.json["error"]["field"]) == (422, "value")
    typo = later.post("/outcome", {"kee": "n1", "value": True})
    assert (typo.status, typo.json["error"]["hint"]) == (422, "did you mean `key`?")


def test_an_outcome_made_of_events_names_the_event(client: Client) -> None:
    reply = client.post("/outcome", {"key": "n1", "value": True})
    assert reply.status == 422
    assert "/event/Chargeback" in reply.json["error"]["hint"]


def test_health_and_status(client: Client) -> None:
    client.post("/predict", ROW)
    assert client.get("/health").json == {"status": "alive", "use_case": "tiny"}
    assert client.get("/ready").json["status"] == "ready"
    status = client.get("/status").json
    assert (status["model_version"], status["counts"]["predictions"]) == (1, 1)
    assert status["latency_ms_p50"] > 0 and status["latency_ms_p99"] > 0
    assert status["log"]["predictions"] == 1
    assert status["log"]["clock"] == "2025-04-11T00:00:00Z"


def test_the_pages_are_valid_and_their_examples_work(later: Client) -> None:
    whole = later.get("/openapi.json").json
    assert list(OpenAPIV31SpecValidator(whole).iter_errors()) == []
    page = later.get("/")
    assert page.status == 200 and b"<html" in page.body
    for path, methods in whole["paths"].items():
        if "post" in methods and path not in ("/outcome", "/retract/{source}"):
            media = methods["post"]["requestBody"]["content"]["application/json"]
            Draft202012Validator(media["schema"]).validate(media["example"])
            example = {**media["example"], "paid_at": "2025-04-10T00:00:00Z"}
            assert later.post(path, example).status == 200, path


# ---------------------------------------------------------------- asked wrongly


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"channel": "fax"}, "channel", "chip, online"),
        ({"card": None}, "card", "is missing"),
        ({"amount": "much"}, "amount", "not a number"),
        ({"amount": -1}, "amount", "above 0"),
        ({"amont": 3}, "amont", 'did you mean "amount"?'),
        ({"paid_at": "soon"}, "paid_at", "soon"),
    ],
)
def test_a_broken_contract_names_the_field(
    client: Client, change: dict[str, Any], field: str, says: str
) -> None:
    before = client.service.head()
    reply = client.post("/predict", {**ROW, **change})
    error = reply.json["error"]
    assert (reply.status, error["type"], error["field"]) == (422, "ContractError", field)
    assert says in f"{error['what']} {error['hint']}"
    assert error["request_id"] == "r_1"
    assert client.service.head() == before


def test_a_missing_field_is_named(client: Client) -> None:
    row = {name: value for name, value in ROW.items() if name != "amount"}
    reply = client.post("/predict", row)
    assert (reply.status, reply.json["error"]["field"]) == (422, "amount")


def test_a_label_has_no_place_in_a_request(later: Client) -> None:
    reply = later.post("/predict", {**ROW, "fraud": True})
    assert (reply.status, reply.json["error"]["field"]) == (422, "fraud")
    assert "after the decision" in reply.json["error"]["what"]


def test_one_broken_row_of_several_keeps_all_out(client: Client) -> None:
    before = client.service.head()
    reply = client.post("/predict", {"rows": [ROW, {**ROW, "amount": "x"}]})
    assert (reply.status, reply.json["error"]["field"]) == (422, "rows[1].amount")
    assert client.service.head() == before


def test_the_number_of_rows_has_a_bound(client: Client) -> None:
    rows = [{**ROW, "payment_id": f"n{n}"} for n in range(ROWS_MAX + 1)]
    assert client.post("/predict", {"rows": rows}).code == "HF508"
    assert client.post("/event/Payment", {"rows": rows}).code == "HF508"
    assert client.post("/predict", {"rows": rows[:-1]}).status == 200
    assert client.post("/predict", {"rows": []}).code == "HF508"
    assert client.post("/predict", {"rows": [1]}).code == "HF508"


@pytest.mark.parametrize("body", [b'{"amount": }', b"", b'{"a": "\xff"}', b'{"a":' * 5000])
def test_malformed_json_says_where(client: Client, body: bytes) -> None:
    reply = client.post("/predict", body)
    assert (reply.status, reply.code) == (400, "HF523")
    if body.startswith(b'{"amount'):
        assert "byte 11" in reply.json["error"]["what"]


def test_json_of_another_shape(client: Client) -> None:
    assert client.post("/predict", [ROW]).status == 422


def test_addresses_methods_and_media_types(client: Client) -> None:
    assert client.get("/predictions").status == 404
    assert client.get("/explain/p_nothing").status == 404
    assert client.post("/event/Paymnt", ROW).json["error"]["hint"] == 'did you mean "Payment"?'
    wrong = client.get("/predict")
    assert (wrong.status, wrong.headers["allow"]) == (405, "OPTIONS, POST")
    form = client.post("/predict", ROW, **{"content-type": "application/x-www-form-urlencoded"})
    assert (form.status, form.code) == (415, "HF525")
    good = client.post("/predict", ROW, **{"content-type": "application/json; charset=utf-8"})
    assert good.status == 200


def test_ten_megabytes_are_refused_and_the_server_goes_on(client: Client) -> None:
    body = json.dumps({**ROW, "note": "x" * 10_000_000}).encode()
    with ThreadedServer(client.app) as server:
        with Wire(server) as wire:
            assert wire.ask(post("/predict", body)[:200_000]).status == 413
        with Wire(server) as wire:
            assert wire.ask(post("/predict", json.dumps(ROW).encode())).status == 200


# ---------------------------------------------------------------- what fails


def broken(*args: Any, **kwargs: Any) -> Any:
    raise ZeroDivisionError("the model is ill")


def failing(code: str) -> Any:
    @contextmanager
    def transaction(*, write: bool) -> Iterator[Any]:
        raise StoreError("the disk is full", code=code, retryable=True)
        yield

    return transaction


def test_a_model_that_raises_leaves_the_decision_to_the_fallback(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(client.service.bundle), "predict", broken)
        said = client.post("/predict", ROW).json
    assert (said["by"], said["decision"], said["score"]) == ("fallback", "review", None)
    assert said["failure"] == "ZeroDivisionError" and said["logged"] is True
    assert client.service.counts["fallbacks"] == client.service.counts["failures"] == 1
    explained = client.get(f"/explain/{said['prediction_id']}").json
    assert explained["failure"] == "ZeroDivisionError"
    assert client.post("/predict", {**ROW, "payment_id": "n2"}).json["by"] == "model"


def test_a_store_that_fails_leaves_the_decision_to_the_fallback(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.service.head()
    with monkeypatch.context() as patch:
        patch.setattr(client.service.store, "transaction", failing("HF601"))
        said = client.post("/predict", ROW)
        told = client.post("/event/Payment", {**ROW, "payment_id": "e1"})
        assert client.get("/ready").status == 503
        assert client.get("/health").status == 200
    assert (said.status, said.json["by"], said.json["logged"]) == (200, "fallback", False)
    assert said.json["failure"] == "the disk is full"
    assert (told.status, told.headers["retry-after"]) == (503, "1")
    assert client.service.head() == before
    again = client.post("/predict", ROW).json
    assert (again["by"], again["repeated"]) == ("model", False)


def test_without_a_fallback_a_failing_store_is_a_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(client.service.bundle, "fallback", "")
    with monkeypatch.context() as patch:
        patch.setattr(client.service.store, "transaction", failing("HF601"))
        reply = client.post("/predict", ROW)
    assert (reply.status, reply.headers["retry-after"], reply.code) == (503, "1", "HF601")
    assert client.post("/predict", ROW).status == 200


@pytest.mark.parametrize("kept", [1, 7, 24, 25, 48])
def test_damaged_state_is_answered_by_the_fallback_and_then_made_again(
    folder: Path, kept: int
) -> None:
    with opened(folder) as client:
        first = client.post("/predict", ROW).json
        with client.service.store.transaction(write=True) as txn:
            for key, value in list(txn.scan("state")):
                txn.put("state", key, value[:kept])
        said = client.post("/predict", {**ROW, "payment_id": "n2"}).json
        assert (said["by"], said["logged"]) == ("fallback", True)
        assert client.get(f"/explain/{said['prediction_id']}").json["failure"] == said["failure"]
        assert client.get("/ready").status == 200
        told = client.post("/event/Payment", {**ROW, "payment_id": "e1"})
        assert (told.status, told.code) == (503, "HF301")
    with opened(folder) as client:
        assert client.post("/predict", ROW).json == {**first, "repeated": True}
        again = client.post("/predict", {**ROW, "payment_id": "n2"}).json
        assert (again["by"], again["repeated"]) == ("model", False)
        explained = client.get(f"/explain/{again['prediction_id']}").json
        assert explained["features"]["count_1d"] == 1
    served = Project(folder, clock=FixedClock(tiny.NOW + 40 * tiny.DAY)).parity(rows=0)["served"]
    assert served is not None and (served.rows, served.differ) == (2, 0)


def test_a_store_of_another_version_is_left_alone(folder: Path) -> None:
    with opened(folder) as client, client.service.store.transaction(write=True) as txn:
        txn.put("meta", b"version", b"2")
    with pytest.raises(StoreError) as raised, opened(folder):
        pass
    assert raised.value.code == "HF305"


def test_an_unexpected_fault_is_a_500_with_the_request_id(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.service.online, "accept", broken)
    with ThreadedServer(client.app) as server, Wire(server) as wire:
        reply = wire.ask(post("/predict", json.dumps(ROW).encode()))
        assert (reply.status, reply.code) == (500, "HF590")
        assert reply.json["error"]["request_id"] and "ill" not in reply.body.decode()
        monkeypatch.undo()
        assert wire.ask(post("/predict", json.dumps(ROW).encode())).status == 200


def test_failures_in_the_journal_are_bounded(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(type(client.service.bundle), "predict", broken)
    for number in range(20):
        client.post("/predict", {**ROW, "payment_id": f"n{number}"})
    assert len([r for r in caplog.records if "fallback" in r.message]) == 5


def test_one_process_at_a_time_serves_from_a_folder(folder: Path, client: Client) -> None:
    with pytest.raises(StoreError, match=str(os.getpid())) as raised, opened(folder):
        pass
    assert raised.value.code == "HF607"


def test_a_damaged_bundle_is_named_at_the_start(folder: Path) -> None:
    artifacts = folder / ".holdfast" / "artifacts"
    damaged = max(
        (path for path in artifacts.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(content))
    with pytest.raises(StoreError) as raised, opened(folder):
        pass
    assert damaged.name in str(raised.value)
