"""Which function answers which path: a small router over declared routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from holdfast.errors import ContractError, HoldfastError, InternalError, NotFoundError
from holdfast.serving.wire import Request, Response, error_response

__all__ = ["Parameter", "Route", "Router"]

Answerer = Callable[[Request, Mapping[str, str]], Response]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value in the query of an address, for the documentation."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation: where it stands, what answers, and what its page says.

    `path` is a template such as `/use-cases/{name}/predict`; a part in braces takes one segment.
    `body` and `answer` are JSON schemas; `example` is a body that works. `status` is that of a
    good answer. `call(request, parts)` is given the parts decoded.
    """

    method: str
    path: str
    call: Answerer
    summary: str = ""
    description: str = ""
    tag: str = ""
    body: Mapping[str, Any] | None = None
    example: Any = None
    answer: Mapping[str, Any] | None = None
    status: int = 200
    query: tuple[Parameter, ...] = ()
    hidden: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts in braces, in order."""
        return tuple(s[1:-1] for s in _segments(self.path) if _is_part(s))


class Router:
    """Finds the route of a request.

    Two rules make an address mean one thing:

    * a fixed segment wins over a part in braces;
    * no address ends with a slash, except `/`.

    HEAD is answered by the route for GET, OPTIONS by the list of methods.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._open: dict[int, list[tuple[tuple[str, ...], dict[str, Route]]]] = {}
        for route in routes:
            self._add(route)
        for found in self._open.values():
            found.sort(key=lambda entry: [_is_part(segment) for segment in entry[0]])

    def _add(self, route: Route) -> None:
        segments = _segments(route.path)
        if not any(map(_is_part, segments)):
            methods = self._fixed.setdefault(route.path, {})
        else:
            shape = tuple("{}" if _is_part(s) else s for s in segments)
            same = self._open.setdefault(len(shape), [])
            methods = next((found for held, found in same if held == shape), {})
            if not methods:
                same.append((shape, methods))
        if route.method in methods:
            raise InternalError(
                f"{route.method} {route.path} is declared twice", code="HF592", hint="keep one"
            )
        methods[route.method] = route

    def handle(self, request: Request) -> Response:
        """Return the answer of the route, or the envelope of what is wrong.

        Errors of Holdfast that the route raises become envelopes here; other exceptions pass.
        """
        try:
            methods, values = self._find(request.path)
            route = methods.get("GET" if request.method == "HEAD" else request.method)
            if route is None:
                return _other_method(request, methods)
            return route.call(request, dict(zip(route.parts, values, strict=True)))
        except HoldfastError as error:
            return error_response(error, request.id)

    def _find(self, path: str) -> tuple[dict[str, Route], list[str]]:
        """Methods of a path and the values of its parts."""
        if path in self._fixed:
            return self._fixed[path], []
        if not path.startswith("/"):
            raise _nothing(path)
        segments = [_decoded(segment) for segment in _segments(path)]
        fixed = self._fixed.get("/" + "/".join(segments))
        if fixed is not None and not any("/" in segment for segment in segments):
            return fixed, []
        for shape, methods in self._open.get(len(segments), ()):
            pairs = list(zip(shape, segments, strict=True))
            if all((held == "{}" and given) or held == given for held, given in pairs):
                return methods, [given for held, given in pairs if held == "{}"]
        raise _nothing(path)


def _nothing(path: str) -> NotFoundError:
    hint = "the page at /docs lists every address"
    if path.endswith("/") and path != "/":
        hint = "leave out the slash at the end"
    return NotFoundError(f"there is nothing at {path}", code="HF520", hint=hint)


def _other_method(request: Request, methods: Mapping[str, Route]) -> Response:
    given = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    allowed = ", ".join(sorted(given))
    if request.method == "OPTIONS":
        return Response(204, headers=(("allow", allowed),))
    error = ContractError(
        f"{request.path} does not take {request.method}", code="HF521", hint=f"it takes {allowed}"
    )
    return error_response(error, request.id, headers=(("allow", allowed),))


def _segments(path: str) -> list[str]:
    return path[1:].split("/") if path.startswith("/") else [path]


def _is_part(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _decoded(segment: str) -> str:
    """A segment without percent signs; an encoded slash stays inside it."""
    if "%" not in segment and segment.isascii():
        return segment
    try:
        text = unquote_to_bytes(segment.encode("latin-1")).decode()
    except UnicodeError as error:
        raise _undecodable(segment) from error
    if not text.isprintable():
        raise _undecodable(segment)
    return text


def _undecodable(segment: str) -> ContractError:
    return ContractError(
        f"`{segment}` in the address is not UTF-8 text in percent-encoding",
        code="HF522",
        hint="encode names as UTF-8, such as %C3%A9 for é",
    )
