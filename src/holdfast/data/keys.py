"""Entity keys as bytes, the same for a column and for one row."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["encode_key"]


def encode_key(values: Sequence[str]) -> bytes:
    """Return the bytes of a key of one or more parts; different keys have different bytes.

    >>> encode_key(["a", "bc"]) != encode_key(["ab", "c"])
    True
    """
    parts = []
    for value in values:
        text = value.encode("utf-8", "surrogatepass")
        parts.append(len(text).to_bytes(4, "big") + text)
    return b"".join(parts)
