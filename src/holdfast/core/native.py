"""Where compiled code is kept, and the environment that compilers read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from holdfast.core.settings import settings

__all__ = ["prepare_numba"]


def prepare_numba(sources: Iterable[Path]) -> tuple[Path, str]:
    """Set Numba up before it is imported; return its cache, and why nothing can be kept, or "".

    Vector math whose bits vary is switched off. The cache has a folder of its own for each
    content of `sources`: Numba looks at the file of a function only, not at those it calls, and
    would go on running old code after a change.
    """
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    wanted = settings().numba_cache or os.environ.get("NUMBA_CACHE_DIR")
    home = Path(wanted) if wanted else _user_cache() / "holdfast" / "numba"
    folder = home / digest.hexdigest()[:12]
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder, ""
    except OSError as error:
        return folder, f"{folder} cannot be written: {error.strerror or error}"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
