"""Identifiers that sort by time and cannot collide between processes; salts."""

from __future__ import annotations

import os

__all__ = ["SALT_BYTES", "new_id", "new_salt"]

SALT_BYTES = 32


def new_id(prefix: str, now_us: int) -> str:
    """Return `prefix_` + 11 hexadecimal digits of milliseconds + 12 of chance.

    >>> new_id("p", 0).startswith("p_00000000000")
    True
    """
    return f"{prefix}_{now_us // 1000:011x}{os.urandom(6).hex()}"


def new_salt() -> bytes:
    """Return 32 bytes of chance: the key of hashes that nobody else can make."""
    return os.urandom(SALT_BYTES)
