"""The router: one address, one meaning; what does not fit gets an envelope."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ContractError, InternalError
from holdfast.serving.routes import Route, Router
from holdfast.serving.wire import Request, Response, json_response


def said(name: str) -> Route:
    method, path = name.split()

    def call(request: Request, parts: Mapping[str, str]) -> Response:
        return json_response({"route": name, **parts})

    return Route(method=method, path=path, call=call)


ROUTER = Router(
    [
        said("GET /"),
        said("GET /health"),
        said("GET /use-cases/{name}/{part}"),
        said("POST /use-cases/{name}/predict"),
        said("GET /use-cases/all/models"),
        said("DELETE /use-cases/{other}/predict"),
    ]
)


def ask(method: str, path: str) -> tuple[int, dict[str, str], dict[str, str]]:
    response = ROUTER.handle(Request(method, path, id="r_1"))
    body = json.loads(response.body) if response.body else {}
    return response.status, body.get("error", body), dict(response.headers)


@pytest.mark.parametrize(
    ("method", "path", "wanted"),
    [
        ("GET", "/", {"route": "GET /"}),
        ("GET", "/health", {"route": "GET /health"}),
        ("GET", "/%68ealth", {"route": "GET /health"}),
        ("HEAD", "/health", {"route": "GET /health"}),
        ("GET", "/use-cases/all/models", {"route": "GET /use-cases/all/models"}),
        ("POST", "/use-cases/caf%C3%A9/predict", {"name": "café"}),
        ("POST", "/use-cases/a%2Fb/predict", {"name": "a/b"}),
        ("POST", "/use-cases/a+b%20c/predict", {"name": "a+b c"}),
        ("DELETE", "/use-cases/a/predict", {"other": "a"}),
        ("GET", "/use-cases/a/b", {"name": "a", "part": "b"}),
        ("GET", "/use-cases/{}/{}", {"name": "{}", "part": "{}"}),
    ],
)
def test_a_path_finds_its_route(method: str, path: str, wanted: dict[str, str]) -> None:
    status, body, _ = ask(method, path)
    assert status == 200
    assert wanted.items() <= body.items()


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/health/",
        "//",
        "",
        "*",
        "/use-cases//predict",
        "/use-cases/all%2Fmodels",
        "/a/../",
    ],
)
def test_nothing_there_is_404(path: str) -> None:
    status, error, _ = ask("GET", path)
    assert (status, error["code"], error["type"]) == (404, "HF520", "NotFoundError")
    assert error["request_id"] == "r_1"


def test_a_slash_at_the_end_is_named() -> None:
    assert "slash" in ask("GET", "/health/")[1]["hint"]


@pytest.mark.parametrize("path", ["/%", "/%zz", "/%ff", "/%00", "/a%0ab", "/\xe9"])
def test_an_address_that_cannot_be_decoded(path: str) -> None:
    status, error, _ = ask("GET", path)
    assert (status, error["code"]) in {(400, "HF522"), (404, "HF520")}
    assert (status == 404) == (path in ("/%", "/%zz")), "a lone percent sign stands for itself"


def test_another_method_is_405_with_those_allowed() -> None:
    status, error, headers = ask("POST", "/health")
    assert (status, error["code"]) == (405, "HF521")
    assert headers["allow"] == "GET, HEAD, OPTIONS"
    assert ask("GET", "/use-cases/a/predict")[2]["allow"] == "DELETE, OPTIONS, POST"
    assert ask("OPTIONS", "/health")[::2] == (204, {"allow": "GET, HEAD, OPTIONS"})


def test_errors_of_a_route_become_envelopes() -> None:
    def call(request: Request, parts: Mapping[str, str]) -> Response:
        raise ContractError("`amount` is below 0", code="HF201", field="amount")

    response = Router([Route(method="POST", path="/p", call=call)]).handle(Request("POST", "/p"))
    assert response.status == 422
    assert json.loads(response.body)["error"]["field"] == "amount"


def test_a_route_is_declared_once() -> None:
    for second in ("GET /a", "GET /b/{y}"):
        with pytest.raises(InternalError):
            Router([said("GET /a"), said("GET /b/{x}"), said(second)])


@given(st.sampled_from(["GET", "POST", "X"]), st.text(st.characters(max_codepoint=255)))
def test_no_address_breaks_it(method: str, path: str) -> None:
    assert ROUTER.handle(Request(method, path)).status in (200, 204, 400, 404, 405)
