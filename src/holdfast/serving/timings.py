"""How long the last answers took: a bounded ring of latencies for the health page."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import ceil, nan

__all__ = ["Latency", "Timings"]

RING_ANSWERS = 4096


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the last answers, in milliseconds; NaN before the first one."""

    count: int
    latency_ms_p50: float
    latency_ms_p99: float


class Timings:
    """Keeps the last `size` latencies and counts all of them."""

    def __init__(self, size: int = RING_ANSWERS) -> None:
        self._ring = array("d", bytes(8 * size))
        self._size = size
        self.count = 0

    def add(self, seconds: float) -> None:
        """Count one answer; above `size` it takes the place of the oldest."""
        self._ring[self.count % self._size] = seconds
        self.count += 1

    def latency(self) -> Latency:
        """Return the percentiles of what the ring holds; `count` is all there ever were.

        A percentile is the smallest held value that at least so many percent do not exceed.

        >>> timings = Timings()
        >>> for ms in range(1, 101): timings.add(ms / 1000)
        >>> timings.latency()
        Latency(count=100, latency_ms_p50=50.0, latency_ms_p99=99.0)
        """
        held = sorted(self._ring[: min(self.count, self._size)])
        return Latency(self.count, _percentile(held, 50), _percentile(held, 99))


def _percentile(held: list[float], percent: int) -> float:
    return held[ceil(len(held) * percent / 100) - 1] * 1000 if held else nan
