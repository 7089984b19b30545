"""The envelope, the statuses, JSON in and out, the ring of latencies."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import (
    ConfigError,
    ContractError,
    DefinitionError,
    HoldfastError,
    InternalError,
    NotFoundError,
    Site,
    StoreError,
    UserCodeError,
)
from holdfast.serving.timings import RING_ANSWERS, Timings
from holdfast.serving.wire import decode_json, error_response, json_response, status_of


def test_an_envelope_says_everything() -> None:
    error = ContractError(
        "`amount` is -3", code="HF201", site=Site("/x/fraud.py", 7), hint="above 0", field="amount"
    )
    response = error_response(error, "r_1")
    assert response.status == 422
    assert json.loads(response.body) == {
        "error": {
            "type": "ContractError",
            "code": "HF201",
            "what": "`amount` is -3",
            "where": "fraud.py:7",
            "hint": "above 0",
            "field": "amount",
            "request_id": "r_1",
        }
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ContractError("", code="HF200"), 422),
        (NotFoundError("", code="HF400"), 404),
        (StoreError("", code="HF600"), 503),
        (ConfigError("", code="HF700"), 500),
        (DefinitionError("", code="HF100"), 500),
        (UserCodeError("", code="HF190"), 500),
        (InternalError("", code="HF900"), 500),
        (ContractError("", code="HF523"), 400),
    ],
)
def test_a_status_says_who_must_act(error: HoldfastError, status: int) -> None:
    assert status_of(error) == status


def test_retry_after_only_where_it_helps() -> None:
    again = error_response(StoreError("", code="HF600", retryable=True), "")
    never = error_response(StoreError("", code="HF600"), "")
    assert [bool(response.headers) for response in (again, never)] == [True, False]


def test_half_a_surrogate_pair_can_be_told() -> None:
    response = error_response(NotFoundError("no file \udcff", code="HF400"), "")
    assert json.loads(response.body)["error"]["what"] == r"no file \udcff"


def test_not_a_number_is_null() -> None:
    assert json_response({"a": math.nan, "b": math.inf}).body == b'{"a":null,"b":null}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b"\xff",
        b'{"a": "\xff"}',
        b'{"a":' * 100_000,
        b"{} {}",
    ],
)
def test_malformed_json_is_400(body: bytes) -> None:
    with pytest.raises(ContractError) as raised:
        decode_json(body, dict)
    assert (raised.value.code, status_of(raised.value)) == ("HF523", 400)


@dataclass
class Ask:
    amount: float


@pytest.mark.parametrize(
    ("body", "field"), [(b'{"amount": "x"}', "amount"), (b"{}", ""), (b"[]", "")]
)
def test_json_of_another_shape_is_422_and_names_the_field(body: bytes, field: str) -> None:
    with pytest.raises(ContractError) as raised:
        decode_json(body, Ask)
    assert (raised.value.code, raised.value.field) == ("HF524", field)
    assert status_of(raised.value) == 422


@given(st.binary())
def test_no_body_breaks_decoding(body: bytes) -> None:
    try:
        assert isinstance(decode_json(body, dict), dict)
    except ContractError as error:
        assert error.code in ("HF523", "HF524")


def test_the_ring_of_latencies_is_bounded() -> None:
    timings = Timings()
    for _ in range(RING_ANSWERS):
        timings.add(1.0)
    for number in range(RING_ANSWERS):
        timings.add(0.002 if number % 50 else 0.5)
    latency = timings.latency()
    assert latency.count == 2 * RING_ANSWERS
    assert (latency.latency_ms_p50, latency.latency_ms_p99) == (2.0, 500.0)


def test_no_latency_before_the_first_answer() -> None:
    latency = Timings().latency()
    assert latency.count == 0 and math.isnan(latency.latency_ms_p99)
