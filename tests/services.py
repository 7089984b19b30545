"""Real servers that tests use: whether they are there, and cleaning up after oneself."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

import pytest

__all__ = ["forget_redis", "redis_server"]


def _redis_problem() -> str:
    try:
        import redis
    except ImportError:
        return "the redis package is not installed"
    try:
        redis.Redis(host="127.0.0.1", socket_connect_timeout=1).ping()
    except redis.RedisError as error:
        return f"no Redis server on 127.0.0.1:6379 ({type(error).__name__})"
    return ""


_problem = _redis_problem()
if _problem and os.environ.get("CI"):  # in CI the servers must be there
    raise RuntimeError(_problem)
redis_server = pytest.mark.skipif(bool(_problem), reason=_problem)


def forget_redis(url: str) -> None:
    """Delete every key below a URL's prefix."""
    import redis

    prefix = parse_qs(urlsplit(url).query)["prefix"][0]
    with redis.Redis(host="127.0.0.1") as client:
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)
