"""What travels: requests, responses, limits, and the one JSON envelope for errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar, cast

import msgspec

from holdfast.errors import (
    ContractError,
    HoldfastError,
    NotFoundError,
    StoreError,
)

__all__ = [
    "JSON",
    "Application",
    "Committing",
    "Limits",
    "Request",
    "Response",
    "decode_json",
    "error_body",
    "error_response",
    "json_response",
    "sendable",
    "status_of",
]

BODY_BYTES_MAX = 1 << 20
HEADER_BYTES_MAX = 32 << 10
HEADERS_MAX = 100
URL_BYTES_MAX = 8 << 10
IDLE_S = 60.0
READ_S = 20.0
WRITE_S = 20.0
DRAIN_S = 10.0
CONNECTIONS_MAX = 512
RETRY_AFTER_S = 1

JSON = "application/json"
CONTRACT_STATUS = 422
FAULT_STATUS = 500
STORE_STATUS = 503

STATUS_BY_CODE = {
    "HF510": 400,
    "HF511": 413,
    "HF512": 414,
    "HF513": 431,
    "HF514": 408,
    "HF515": 503,
    "HF516": 505,
    "HF517": 417,
    "HF518": 421,
    "HF519": 403,
    "HF520": 404,
    "HF521": 405,
    "HF522": 400,
    "HF523": 400,
    "HF524": 422,
    "HF525": 415,
}
"""Status of what the transport itself refuses; all other errors go by their class."""

T = TypeVar("T")
Headers = tuple[tuple[str, str], ...]
_AT_FIELD = re.compile(r" - at `\$\.?([^`]*)`$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server bears. Sizes in bytes, times in seconds."""

    body_bytes: int = BODY_BYTES_MAX
    header_bytes: int = HEADER_BYTES_MAX
    headers: int = HEADERS_MAX
    url_bytes: int = URL_BYTES_MAX
    connections: int = CONNECTIONS_MAX
    idle_s: float = IDLE_S
    read_s: float = READ_S
    write_s: float = WRITE_S
    drain_s: float = DRAIN_S


class Request(msgspec.Struct, frozen=True):
    """One request, whole. `path` is as sent (percent-encoded); header names are lower case.

    `id` names the request in the log and in an error's envelope.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    id: str = ""


class Response(msgspec.Struct, frozen=True):
    """One answer. The transport adds length, date and connection by itself."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: Headers = ()


class Application(Protocol):
    """What a server serves; it knows nothing of sockets.

    `handle` runs in the thread of the event loop, so while it works nobody else is answered: it
    must be quick. A HoldfastError that it raises becomes the envelope with `status_of` the error;
    any other exception becomes a 500 that says nothing but the request's id.
    """

    @property
    def limits(self) -> Limits:
        """What the server bears; read once, at the start."""
        ...

    def handle(self, request: Request) -> Response:
        """Return the answer to one request."""
        ...


class Committing(Application, Protocol):
    """An application that makes many requests durable at once.

    `commit` runs once after all requests that were ready in one turn of the loop were handled,
    and before any of their answers leaves. When it raises, no request of that turn is
    acknowledged: each gets the error instead of its answer, except GET and HEAD.
    """

    def commit(self) -> None:
        """Make what `handle` accepted since the last call durable; cheap when that is nothing."""
        ...


def json_response(content: Any, *, status: int = 200, headers: Headers = ()) -> Response:
    """Return plain data as a JSON answer; NaN and infinity become null.

    >>> json_response({"score": 0.5, "why": None}).body
    b'{"score":0.5,"why":null}'
    """
    return Response(status, msgspec.json.encode(content), JSON, headers)


def status_of(error: HoldfastError) -> int:
    """Return the HTTP status of an error: 4xx where the caller must act, 5xx where we must.

    >>> status_of(NotFoundError("no such model", code="HF520"))
    404
    """
    if error.code in STATUS_BY_CODE:
        return STATUS_BY_CODE[error.code]
    if isinstance(error, ContractError):
        return CONTRACT_STATUS
    if isinstance(error, NotFoundError):
        return 404
    return STORE_STATUS if isinstance(error, StoreError) else FAULT_STATUS


def error_body(error: HoldfastError, request_id: str) -> dict[str, Any]:
    """Return the envelope of an error as plain data.

    >>> body = error_body(ContractError("`amount` is below 0", code="HF523"), "r_1")
    >>> list(body["error"])
    ['type', 'code', 'what', 'where', 'hint', 'field', 'request_id']
    """
    said = {"field": None, **error.as_dict()}
    names = ("type", "code", "what", "where", "hint", "field")
    told = {name: sendable(said[name]) if said[name] else None for name in names}
    return {"error": {**told, "request_id": request_id or None}}


def sendable(text: str) -> str:
    r"""Return a text that UTF-8 can carry: half a surrogate pair becomes its escape.

    >>> sendable("a\ud800")
    'a\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def error_response(
    error: HoldfastError, request_id: str, *, status: int = 0, headers: Headers = ()
) -> Response:
    """Return an error as an answer; `status` 0 takes the status of its class."""
    status = status or status_of(error)
    if status == STORE_STATUS and getattr(error, "retryable", True):
        headers = (*headers, ("retry-after", str(RETRY_AFTER_S)))
    return json_response(error_body(error, request_id), status=status, headers=headers)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Return a request's body as `kind` (`dict`, a dataclass, a msgspec.Struct).

    Raises:
        ContractError: HF523 (status 400) when it is not JSON, HF524 (status 422) when it is JSON
            of another shape; `field` names the place.

    >>> decode_json(b'{"amount": 3}', dict)
    {'amount': 3}
    """
    try:
        decoded: T = _decoder(cast(Any, kind)).decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_shape(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(
            f"the body is not JSON: {str(error) or 'it nests too deep'}",
            code="HF523",
            hint='send one JSON object, such as {"amount": 12.5}',
        ) from error
    return decoded


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _wrong_shape(message: str) -> ContractError:
    found = _AT_FIELD.search(message)
    return ContractError(
        f"the body has another shape: {_AT_FIELD.sub('', message)}",
        code="HF524",
        hint="the page at /docs shows the shape of every body",
        field=found[1] if found else "",
    )
