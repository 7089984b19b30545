"""What the transport says when it refuses a request, each with its own code."""

from __future__ import annotations

from holdfast.errors import ConfigError, ContractError

__all__ = [
    "bad_expectation",
    "bad_version",
    "body_too_large",
    "foreign_host",
    "foreign_origin",
    "header_too_large",
    "malformed",
    "too_late",
    "too_many",
    "url_too_long",
]


def malformed(why: str) -> ContractError:
    """Return the error for bytes that are not HTTP (400)."""
    return ContractError(
        f"the request is not valid HTTP: {why}",
        code="HF510",
        hint="this port speaks plain HTTP/1.1; https:// addresses do not work here",
    )


def body_too_large(limit: int) -> ContractError:
    """Return the error for a body above the limit (413)."""
    return ContractError(
        f"the body is larger than {limit} bytes",
        code="HF511",
        hint="send one event a request; `holdfast predict` takes whole files",
    )


def url_too_long(limit: int) -> ContractError:
    """Return the error for an address above the limit (414)."""
    return ContractError(
        f"the address is longer than {limit} bytes",
        code="HF512",
        hint="send values in the body, not in the address",
    )


def header_too_large(limit: int, most: int) -> ContractError:
    """Return the error for too many or too long header fields (431)."""
    return ContractError(
        f"the header is larger than {limit} bytes or {most} fields",
        code="HF513",
        hint="leave out cookies and other fields that this server does not read",
    )


def too_late(limit_s: float) -> ContractError:
    """Return the error for a request that took too long to arrive (408)."""
    return ContractError(
        f"the request did not arrive whole within {limit_s:g} s",
        code="HF514",
        hint="send it at once, on a new connection",
    )


def too_many(limit: int) -> ConfigError:
    """Return the error for a connection above the limit (503)."""
    return ConfigError(
        f"{limit} connections are open, and no more are taken",
        code="HF515",
        hint="keep connections open and use them again, or try later",
    )


def bad_version(version: str) -> ContractError:
    """Return the error for a version of HTTP that is not spoken (505)."""
    return ContractError(
        f"HTTP/{version} is not spoken here", code="HF516", hint="use HTTP/1.1 or HTTP/1.0"
    )


def bad_expectation(expected: str) -> ContractError:
    """Return the error for an `Expect` other than `100-continue` (417)."""
    return ContractError(
        f"cannot do what `Expect: {expected}` asks", code="HF517", hint="leave the field out"
    )


def foreign_host(host: str) -> ContractError:
    """Return the error for a local server that is addressed by a name that is not local (421)."""
    return ContractError(
        f"`Host: {host}` does not name this machine",
        code="HF518",
        hint="a local server answers to localhost, 127.0.0.1 and [::1] only",
    )


def foreign_origin(origin: str) -> ContractError:
    """Return the error for a page of another site that calls a local server (403)."""
    return ContractError(
        f"a page of {origin} may not call this server",
        code="HF519",
        hint="call it from your service; a local server serves no web pages of other sites",
    )
