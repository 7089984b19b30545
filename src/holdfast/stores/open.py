"""Opening stores by URL; an adapter is imported on first use."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from holdfast.errors import ConfigError
from holdfast.stores.base import ArtifactStore, MetadataStore, OnlineStore

__all__ = ["open_artifacts", "open_metadata", "open_online"]

ENTRY_POINTS = "holdfast.stores"
_BUILT_IN = {
    ("online", "lmdb"): "holdfast.stores.lmdb:LmdbOnlineStore",
    ("online", "memory"): "holdfast.stores.memory:MemoryOnlineStore",
    ("metadata", "sqlite"): "holdfast.stores.sqlite:SqliteMetadataStore",
    ("artifacts", "file"): "holdfast.stores.files:FolderArtifactStore",
}
_LATER = {"redis", "rediss", "valkey", "postgresql", "postgres", "s3", "nats", "kafka", "delta"}


def open_online(
    url: str, *, spaces: tuple[str, ...], exclusive: bool = False, sync_on_commit: bool = True
) -> OnlineStore:
    """Return an online store: `lmdb:///folder` or `memory://`.

    Raises:
        ConfigError: HF703 for an unknown scheme, HF901 for one that a later version brings.
    """
    scheme, path = _split(url)
    adapter = _adapter("online", scheme, url)
    if scheme == "memory":
        store: OnlineStore = adapter(spaces)
        return store
    store = adapter(path, spaces, exclusive=exclusive, sync_on_commit=sync_on_commit)
    return store


def open_metadata(url: str) -> MetadataStore:
    """Return a metadata store: `sqlite:///file`."""
    scheme, path = _split(url)
    store: MetadataStore = _adapter("metadata", scheme, url)(path)
    return store


def open_artifacts(url: str) -> ArtifactStore:
    """Return an artifact store: `file:///folder`."""
    scheme, path = _split(url)
    store: ArtifactStore = _adapter("artifacts", scheme, url)(path)
    return store


def _split(url: str) -> tuple[str, Path]:
    scheme, found, rest = url.partition("://")
    return (scheme, Path(rest)) if found else ("", Path(url))


def _adapter(role: str, scheme: str, url: str) -> Any:
    target = _BUILT_IN.get((role, scheme))
    if target is not None:
        module, _, name = target.partition(":")
        return getattr(import_module(module), name)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == f"{role}.{scheme}":
            return entry.load()
    if scheme in _LATER:
        raise ConfigError(
            f"`{scheme}://` stores cannot run yet",
            code="HF901",
            site=url,
            hint="this version keeps everything in the project folder",
        )
    known = ", ".join(f"{s}://" for r, s in _BUILT_IN if r == role)
    raise ConfigError(
        f'no {role} store is known for "{url}"',
        code="HF703",
        site="holdfast.toml",
        hint=f"use {known}",
    )
