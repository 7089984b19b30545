"""The only place that asks what time it is. Times are whole microseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "FixedClock", "SystemClock", "iso", "monotonic_s", "parse_time"]


class Clock(Protocol):
    """What tells the time; replay hands in another one."""

    def now_us(self) -> int:
        """Return the present as microseconds since 1970, UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_us(self) -> int:
        """Return the machine's time in microseconds, UTC."""
        return time.time_ns() // 1000


class FixedClock:
    """A clock that stands still until it is moved.

    >>> clock = FixedClock(5); clock.now_us()
    5
    """

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """Return the time it was set to."""
        return self._now_us

    def set(self, now_us: int) -> None:
        """Move the clock."""
        self._now_us = now_us


def monotonic_s() -> float:
    """Return seconds on a clock that never goes back, for measuring how long work took."""
    return time.perf_counter()


def iso(time_us: int) -> str:
    """Return a moment as ISO 8601 in UTC.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    micros = time_us % 1_000_000
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


def parse_time(text: str) -> int:
    """Return an ISO 8601 moment as microseconds; one without a zone is UTC.

    Raises:
        ValueError: when it is not ISO 8601.

    >>> parse_time("1970-01-02")
    86400000000
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
