"""Fingerprints: the same content has the same name on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["category_id", "file_fingerprint", "fingerprint"]

_CHUNK_BYTES = 1 << 20


def fingerprint(content: Any) -> str:
    """Return 16 hexadecimal digits naming plain data (dicts, lists, strings, numbers).

    >>> fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def category_id(text: str) -> float:
    """Return the number that stands for a category inside the feature engine.

    52 bits of BLAKE2b, so that it is exact in a float64; the same on every machine. Two values
    of one column share an id with probability 2**-52.

    >>> category_id("online") == category_id("online") != category_id("chip")
    True
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return float(int.from_bytes(digest) >> 12)
