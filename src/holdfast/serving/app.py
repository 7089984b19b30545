"""The service over HTTP: which address answers what."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from math import isnan
from typing import Any

from holdfast.core.clock import iso, monotonic_s
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError
from holdfast.features.plan import Plan
from holdfast.serving.answers import ACCEPTED, ANSWER, answer_of, explanation_of
from holdfast.serving.openapi import documented, example_row, row_schema
from holdfast.serving.routes import Route, Router
from holdfast.serving.service import ROWS_MAX, Service
from holdfast.serving.timings import Timings
from holdfast.serving.wire import JSON, Limits, Request, Response, decode_json, json_response

__all__ = ["ServiceApplication"]

OUTCOME_FIELDS = ("prediction_id", "key", "value")

Parts = Mapping[str, str]


class ServiceApplication:
    """One service behind a port: predict, event, outcome, explain, health, status.

    Every answer that says yes was kept by the store before it left. What a caller may do wrong
    is a 4xx in the one envelope of errors; what we do wrong is a 5xx, or an answer of the
    fallback.
    """

    def __init__(self, service: Service, *, limits: Limits | None = None) -> None:
        self.service = service
        self.timings = Timings()
        self._limits = limits or Limits()
        self._started_us = service.clock.now_us()
        plan = service.plan
        self._router = Router(
            documented(
                self._routes(),
                title=f"{plan.use_case}, version {service.bundle.version}",
                version=str(service.bundle.version),
                description=f"Decides each {_about(plan)}: "
                f"{', '.join(service.bundle.decisions) or 'an amount'}. Errors share one envelope.",
                schemas={"Answer": ANSWER, "Accepted": ACCEPTED},
            )
        )

    @property
    def limits(self) -> Limits:
        """What the server bears."""
        return self._limits

    def handle(self, request: Request) -> Response:
        """Return the answer to one request."""
        return self._router.handle(request)

    # ------------------------------------------------------------ decisions and facts

    def _predict(self, request: Request, parts: Parts) -> Response:
        started = monotonic_s()
        body = _body(request)
        rows = _rows(body, self.service.schema)
        if rows is None:
            answer: Any = answer_of(self.service.predict(body))
            answered = 1
        else:
            answer = {"predictions": [answer_of(one) for one in self.service.predict_rows(rows)]}
            answered = len(rows)
        response = json_response(answer)
        taken = (monotonic_s() - started) / max(answered, 1)
        for _ in range(answered):
            self.timings.add(taken)
        return response

    def _event(self, request: Request, parts: Parts) -> Response:
        source = parts["source"]
        body = _body(request)
        schema = self.service.plan.schemas.get(source)
        rows = None if schema is None else _rows(body, schema)
        if rows is None:
            return json_response(self.service.event(source, body))
        return json_response({"events": self.service.events(source, rows)})

    def _outcome(self, request: Request, parts: Parts) -> Response:
        body = _body(request)
        for name in body:
            if name not in OUTCOME_FIELDS:
                near = difflib.get_close_matches(name, OUTCOME_FIELDS, n=1)
                raise ContractError(
                    f"an outcome has no field `{name}`",
                    code="HF507",
                    field=name,
                    hint=f"did you mean `{near[0]}`?"
                    if near
                    else f"its fields are {', '.join(OUTCOME_FIELDS)}",
                )
        return json_response(self.service.outcome(body))

    def _retract(self, request: Request, parts: Parts) -> Response:
        body = _body(request)
        offset = body.get("offset")
        wrong = set(body) - {"key", "offset"} or (offset is not None and type(offset) is not int)
        if wrong:
            raise ContractError(
                "a retraction names a row by `key`, or by `offset`, and nothing else",
                code="HF343",
                hint='send {"key": "..."}',
            )
        key = None if body.get("key") is None else str(body["key"])
        return json_response(self.service.retract(parts["source"], key, offset=offset))

    def _explain(self, request: Request, parts: Parts) -> Response:
        found = self.service.explain(parts["prediction_id"])
        return json_response(explanation_of(found, self.service.plan_of(found)))

    # ------------------------------------------------------------ how it is

    def _health(self, request: Request, parts: Parts) -> Response:
        return json_response({"status": "alive", "use_case": self.service.plan.use_case})

    def _ready(self, request: Request, parts: Parts) -> Response:
        head = self.service.head()
        return json_response({"status": "ready", "next_offset": head["next_offset"]})

    def _status(self, request: Request, parts: Parts) -> Response:
        latency = self.timings.latency()
        service = self.service
        return json_response(
            {
                "use_case": service.plan.use_case,
                "model_version": service.bundle.version,
                "fallback": service.bundle.fallback or None,
                "started_at": iso(self._started_us),
                "counts": service.counts,
                "records": service.records.about(),
                "parity": None if service.watch is None else service.watch.about(),
                "latency_ms_p50": _or_null(latency.latency_ms_p50),
                "latency_ms_p99": _or_null(latency.latency_ms_p99),
                "log": service.head(),
            }
        )

    # ------------------------------------------------------------ the map

    def _routes(self) -> list[Route]:
        plan, schema = self.service.plan, self.service.schema
        optional = (schema.event_time, schema.known_time)
        row = row_schema(schema, optional=optional)
        answer = {"$ref": "#/components/schemas/Answer"}
        several = {"type": "array", "items": row, "maxItems": ROWS_MAX}
        routes = [
            Route(
                method="POST",
                path="/predict",
                call=self._predict,
                summary=f"Decide one {_about(plan)}",
                description=_when(plan)
                + "The row is kept and counts in the features of later ones. Sent "
                'again, it gets the same answer. {"rows": [...]} decides up to '
                f"{ROWS_MAX} at once, all or none.",
                tag="Decisions",
                body={"anyOf": [row, _object({"rows": several}, "rows")]},
                example=example_row(schema),
                answer={
                    "anyOf": [answer, _object({"predictions": {"type": "array", "items": answer}})]
                },
            ),
            Route(
                method="GET",
                path="/explain/{prediction_id}",
                call=self._explain,
                summary="Why it was decided so: inputs, features as served, reasons",
                tag="Decisions",
                answer=answer,
            ),
        ]
        told = [one for one in plan.schemas.values() if one.kind != "schedule"]
        routes += [self._event_route(one) for one in told]
        routes.append(_route("POST", "/event/{source}", self._event, "", hidden=True))
        routes.append(
            Route(
                method="POST",
                path="/retract/{source}",
                call=self._retract,
                summary="Take a row back: from now on nothing counts it",
                description="Named by the key that it was sent with, or by its place in the log.",
                tag="Facts",
                body=_object({"key": {"type": "string"}, "offset": {"type": "integer"}}),
                example={"key": "..."},
                answer={"$ref": "#/components/schemas/Accepted"},
            )
        )
        if plan.labels[0].kind == "column":
            routes.append(self._outcome_route())
        else:
            routes.append(_route("POST", "/outcome", self._outcome, "", hidden=True))
        health = "Health"
        routes += [
            _route("GET", "/health", self._health, "Whether the process answers", tag=health),
            _route("GET", "/ready", self._ready, "Whether the store can be read", tag=health),
            _route("GET", "/status", self._status, "Counts, latencies, version", tag=health),
        ]
        return routes

    def _event_route(self, schema: SourceSchema) -> Route:
        def call(request: Request, parts: Parts) -> Response:
            return self._event(request, {"source": schema.name})

        optional = (schema.event_time, schema.known_time, *schema.late_attrs)
        row = row_schema(schema, optional=optional, late=True)
        several = {"type": "array", "items": row, "maxItems": ROWS_MAX}
        return Route(
            method="POST",
            path=f"/event/{schema.name}",
            call=call,
            summary=f"Tell of one {schema.name} that is not to be decided",
            description='{"rows": [...]} tells of several, all or none.',
            tag="Facts",
            body={"anyOf": [row, _object({"rows": several}, "rows")]},
            example=example_row(schema),
            answer={"$ref": "#/components/schemas/Accepted"},
        )

    def _outcome_route(self) -> Route:
        plan = self.service.plan
        kind = "boolean" if plan.task == "binary" else "number"
        fields = {
            "prediction_id": {"type": "string"},
            "key": {"type": "string", "description": f"or the key of the {plan.each}"},
            "value": {"type": [kind, "string"]},
        }
        return Route(
            method="POST",
            path="/outcome",
            call=self._outcome,
            summary=f"Tell `{plan.labels[0].column}` of a row that was decided",
            tag="Facts",
            body=_object(fields, "value"),
            example={"prediction_id": "p_...", "value": True if kind == "boolean" else 1.0},
            answer={"$ref": "#/components/schemas/Accepted"},
        )


def _route(
    method: str,
    path: str,
    call: Callable[[Request, Parts], Response],
    summary: str,
    *,
    tag: str = "",
    hidden: bool = False,
) -> Route:
    return Route(method=method, path=path, call=call, summary=summary, tag=tag, hidden=hidden)


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _body(request: Request) -> dict[str, Any]:
    """Return a request's JSON object.

    Raises:
        ContractError: HF525 (415) for another media type, HF523 (400) and HF524 (422) as
            `decode_json`.
    """
    media = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if media != JSON and not media.endswith("+json"):
        raise ContractError(
            f"the body is sent as `{media}`",
            code="HF525",
            hint="send JSON and say so: `content-type: application/json`",
        )
    return decode_json(request.body, dict[str, Any])


def _rows(body: Mapping[str, Any], schema: SourceSchema) -> list[dict[str, Any]] | None:
    """Return the rows of `{"rows": [...]}`, None where the body is one row itself."""
    if set(body) != {"rows"} or any(column.attr == "rows" for column in schema.columns):
        return None
    rows = body["rows"]
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        return rows
    raise ContractError(
        "`rows` is not a list of objects, or it is empty",
        code="HF508",
        field="rows",
        hint='send {"rows": [{...}, {...}]}',
    )


def _or_null(number: float) -> float | None:
    return None if isnan(number) else number


def _about(plan: Plan) -> str:
    """Return what is decided about, in words."""
    return " and ".join(plan.schedule.keys) if plan.schedule else plan.each


def _when(plan: Plan) -> str:
    if plan.schedule is None:
        return ""
    return (
        f"`{plan.schemas[plan.each].event_time}` is the moment to decide at, now where it is not "
        "given; it sees what was known by then. "
    )
