"""The OpenAPI document is valid, the page is whole in itself, the schemas keep the contract."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.serving.openapi import document, documented, example_row, row_schema
from holdfast.serving.routes import Parameter, Route, Router
from holdfast.serving.wire import Request, Response

PAYMENT = SourceSchema(
    name="Payment",
    uri="payments.csv",
    kind="event",
    key="id",
    event_time="at",
    columns=(
        ColumnSchema(attr="id", column="id", kind="key"),
        ColumnSchema(attr="card", column="card", kind="key", to="Card"),
        ColumnSchema(attr="at", column="at", kind="event_time"),
        ColumnSchema(attr="amount", column="amt", kind="float", gt=0, unit="EUR"),
        ColumnSchema(attr="share", column="share", kind="float", ge=0, le=1),
        ColumnSchema(attr="fee", column="fee", kind="float", lt=0, nullable=True),
        ColumnSchema(attr="items", column="items", kind="integer", gt=0, lt=2),
        ColumnSchema(attr="rooms", column="rooms", kind="integer", ge=2),
        ColumnSchema(attr="floor", column="floor", kind="integer", le=-1),
        ColumnSchema(attr="any", column="any", kind="integer"),
        ColumnSchema(attr="kind", column="kind", kind="category", values=("chip", "online")),
        ColumnSchema(attr="way", column="way", kind="category", values=("<b>", "y"), nullable=True),
        ColumnSchema(attr="vip", column="vip", kind="boolean"),
        ColumnSchema(attr="note", column="note", kind="text", max_length=4, nullable=True),
        ColumnSchema(
            attr="is_fraud", column="is_fraud", kind="boolean", known_at="reported", nullable=True
        ),
        ColumnSchema(attr="reported", column="reported", kind="time", nullable=True),
    ),
)


def answer(request: Request, parts: Any) -> Response:
    return Response()


ROUTES = [
    Route(
        method="POST",
        path="/use-cases/{name}/predict",
        call=answer,
        summary="Decide one payment <now>",
        description="Answers with the decision & why.",
        tag="Decisions",
        body=row_schema(PAYMENT),
        example={**example_row(PAYMENT), "note": "</textarea><script>alert(1)</script>"},
        answer={"$ref": "#/components/schemas/Decision"},
    ),
    Route(
        method="GET",
        path="/use-cases/{name}/predictions/{prediction}",
        call=answer,
        query=(
            Parameter(name="features", description="with features", schema={"type": "boolean"}),
        ),
    ),
    Route(method="POST", path="/events/{source}", call=answer, status=202, tag="Data"),
]
SCHEMAS = {"Decision": {"type": "object", "properties": {"score": {"type": "number"}}}}
WHOLE = document(ROUTES, title="Fraud <1>", version="0.1.0", description="d", schemas=SCHEMAS)


def test_the_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(WHOLE).iter_errors()) == []


def test_an_invalid_document_is_noticed() -> None:
    assert list(OpenAPIV31SpecValidator({**WHOLE, "paths": {"no slash": {}}}).iter_errors())


def test_the_document_says_what_was_declared() -> None:
    predict = WHOLE["paths"]["/use-cases/{name}/predict"]["post"]
    assert [parameter["name"] for parameter in predict["parameters"]] == ["name"]
    assert set(predict["responses"]) == {"200", "default"}
    events = WHOLE["paths"]["/events/{source}"]["post"]
    assert set(events["responses"]) == {"202", "default"}
    ids = [op["operationId"] for methods in WHOLE["paths"].values() for op in methods.values()]
    assert len(set(ids)) == len(ids) == 3


def test_the_schema_of_a_row_leaves_out_what_is_known_later() -> None:
    schema = row_schema(PAYMENT, optional=("at",))
    Draft202012Validator.check_schema(schema)
    assert "is_fraud" not in schema["properties"] and "reported" not in schema["properties"]
    assert "at" not in schema["required"] and "fee" not in schema["required"]
    assert schema["properties"]["amount"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "in EUR",
    }
    assert "is_fraud" in row_schema(PAYMENT, late=True)["properties"]


@pytest.mark.parametrize("late", [False, True])
def test_the_example_keeps_the_contract(late: bool) -> None:
    validator = Draft202012Validator(row_schema(PAYMENT, late=late))
    assert list(validator.iter_errors(example_row(PAYMENT, late=late))) == []
    broken = {**example_row(PAYMENT), "amount": 0, "kind": "cash", "items": 2, "note": "12345"}
    assert len(list(validator.iter_errors(broken))) == 4


class Reader(HTMLParser):
    """What a page refers to, the text of its areas, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.areas: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "textarea":
            self.areas.append(data)


def test_the_page_is_whole_in_itself() -> None:
    routes = documented(ROUTES, title="Fraud <1>", version="0.1.0", schemas=SCHEMAS)
    page = Router(routes).handle(Request("GET", "/docs"))
    assert page.content_type.startswith("text/html")
    reader = Reader()
    reader.feed(page.body.decode())
    assert reader.open == [] and reader.handlers == []
    assert all(link == "/openapi.json" or link.startswith("#") for link in reader.links)
    (area,) = reader.areas
    assert json.loads(area)["amount"] == 1.0
    for said in ("Fraud &lt;1&gt;", "Decide one payment &lt;now&gt;", "one of chip, online"):
        assert said in page.body.decode()


def test_the_policy_names_the_style_and_script_of_the_page() -> None:
    page = Router(documented(ROUTES, title="t", version="1", schemas=SCHEMAS)).handle(
        Request("GET", "/")
    )
    policy = dict(page.headers)["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2
    assert page.body.count(b"<script>") == page.body.count(b"<style>") == 1


def test_the_document_is_served_and_an_own_root_wins() -> None:
    root = Route(method="GET", path="/", call=lambda request, parts: Response(body=b"mine"))
    router = Router(documented([*ROUTES, root], title="t", version="1", schemas=SCHEMAS))
    assert router.handle(Request("GET", "/")).body == b"mine"
    served = json.loads(router.handle(Request("GET", "/openapi.json")).body)
    assert list(OpenAPIV31SpecValidator(served).iter_errors()) == []
    assert set(served["paths"]) == {*(route.path for route in ROUTES), "/"}
