"""The OpenAPI 3.1 document of declared routes, and JSON schemas of declared sources."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from math import ceil, floor
from typing import Any

from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.serving.page import documentation_page
from holdfast.serving.routes import Route
from holdfast.serving.wire import JSON, Response, json_response

__all__ = ["document", "documented", "example_row", "row_schema"]

OPENAPI = "3.1.0"
HTML = "text/html; charset=utf-8"
EXAMPLE_TIME = "2026-01-31T12:00:00Z"
TIMES = {"time", "event_time", "known_time", "retracted_time"}
TYPES = {"float": "number", "integer": "integer", "boolean": "boolean"}
BOUNDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
    "max_length": "maxLength",
}
ERROR = {
    "type": "object",
    "description": "What is wrong, where, and what to do; `code` stays the same over versions.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "what", "where", "hint", "field", "request_id"],
            "properties": {
                "type": {"type": "string", "examples": ["ContractError"]},
                "code": {"type": "string", "pattern": r"^HF\d{3}$"},
                "what": {"type": "string"},
                "where": {"type": ["string", "null"]},
                "hint": {"type": ["string", "null"]},
                "field": {"type": ["string", "null"], "description": "The field to blame."},
                "request_id": {"type": ["string", "null"]},
            },
        }
    },
}


def document(
    routes: Sequence[Route],
    *,
    title: str,
    version: str,
    description: str = "",
    schemas: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Return the OpenAPI document of routes, as plain data.

    `schemas` are named parts that bodies may refer to as `#/components/schemas/NAME`; `Error` is
    always there.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if not route.hidden:
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    info = {"title": title, "version": version}
    if description:
        info["description"] = description
    components = {"schemas": {"Error": ERROR, **(schemas or {})}}
    return {"openapi": OPENAPI, "info": info, "paths": paths, "components": components}


def documented(
    routes: Sequence[Route],
    *,
    title: str,
    version: str,
    description: str = "",
    schemas: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Route, ...]:
    """Return the routes, and with them `/openapi.json` and the page at `/docs` and `/`."""
    whole = document(routes, title=title, version=version, description=description, schemas=schemas)
    text = json_response(whole)
    body, policy = documentation_page(whole)
    page = Response(200, body, HTML, (("content-security-policy", policy),))
    taken = {route.path for route in routes if route.method == "GET"}
    own = {"/openapi.json": text, "/docs": page, "/": page}
    return (*routes, *(_fixed(path, own[path]) for path in own if path not in taken))


def _fixed(path: str, response: Response) -> Route:
    return Route(method="GET", path=path, call=lambda request, parts: response, hidden=True)


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": route.description,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
    }
    operation = {name: said for name, said in operation.items() if said not in ("", [], [""])}
    if route.body is not None:
        media: dict[str, Any] = {"schema": route.body}
        if route.example is not None:
            media["example"] = route.example
        operation["requestBody"] = {"required": True, "content": {JSON: media}}
    return {**operation, "responses": _responses(route)}


def _responses(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.answer is not None:
        good["content"] = {JSON: {"schema": route.answer}}
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    bad = {"description": "What is wrong, in one envelope", "content": {JSON: error}}
    return {str(route.status): good, "default": bad}


def operation_id(route: Route) -> str:
    """Return the name of an operation, made of its method and path.

    >>> operation_id(Route(method="GET", path="/models/{name}", call=print))
    'get_models_by_name'
    """
    words = re.findall(r"[A-Za-z0-9]+", route.path.replace("{", "by/"))
    return "_".join([route.method.lower(), *words])


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    string = {"type": "string", "minLength": 1}
    return [{"name": n, "in": "path", "required": True, "schema": string} for n in route.parts]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.description,
            "schema": parameter.schema,
        }
        for parameter in route.query
    ]


# ---------------------------------------------------------------- rows of a source


def row_schema(
    source: SourceSchema, *, optional: Collection[str] = (), late: bool = False
) -> dict[str, Any]:
    """Return the JSON schema of one row of a source, by the names that requests use.

    Columns that may be missing, and those in `optional`, are not required. Columns that are known
    only later are left out unless `late`.
    """
    columns = _shown(source, late)
    may_lack = {column.attr for column in columns if column.nullable} | set(optional)
    return {
        "type": "object",
        "title": source.name,
        "required": [column.attr for column in columns if column.attr not in may_lack],
        "properties": {column.attr: _column_schema(column) for column in columns},
    }


def example_row(source: SourceSchema, *, late: bool = False) -> dict[str, Any]:
    """Return a row that keeps the contract of a source, the same one every time."""
    return {column.attr: _example(column) for column in _shown(source, late)}


def _shown(source: SourceSchema, late: bool) -> list[ColumnSchema]:
    hidden = frozenset((source.retracted_time,)) if late else source.late_attrs
    return [column for column in source.columns if column.attr not in hidden]


def _column_schema(column: ColumnSchema) -> dict[str, Any]:
    name = TYPES.get(column.kind, "string")
    schema: dict[str, Any] = {"type": [name, "null"] if column.nullable else name}
    if column.kind in TIMES:
        schema["format"] = "date-time"
    if column.values:
        schema["enum"] = [*column.values, *([None] if column.nullable else [])]
    for bound, keyword in BOUNDS.items():
        limit = getattr(column, bound)
        if limit is not None:
            schema[keyword] = limit
    said = [f"in {column.unit}"] if column.unit else []
    said += [f"a key of {column.to}"] if column.to else []
    return {**schema, **({"description": "; ".join(said)} if said else {})}


def _example(column: ColumnSchema) -> Any:
    if column.values:
        return column.values[0]
    if column.kind in TIMES:
        return EXAMPLE_TIME
    if column.kind == "boolean":
        return False
    if column.kind in TYPES:
        return _number(column)
    return f"{column.to or column.attr}-1"[: column.max_length]


def _number(column: ColumnSchema) -> float | int:
    """A number inside the bounds: the lowest whole one, or the middle, or 1 off a bound."""
    low = column.ge if column.gt is None else column.gt
    high = column.le if column.lt is None else column.lt
    if column.kind == "integer":
        if low is not None:
            return ceil(low) if column.gt is None else floor(low) + 1
        return 1 if high is None else floor(high) - 1
    if low is not None and high is not None:
        return (low + high) / 2
    if low is not None:
        return low + 1.0
    return 1.0 if high is None else high - 1.0
