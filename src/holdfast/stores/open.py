"""Opening stores by URL; an adapter is imported on first use."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, cast

from holdfast.errors import ConfigError
from holdfast.stores.base import ArtifactStore, MetadataStore, OnlineStore

__all__ = ["open_artifacts", "open_metadata", "open_online"]

ENTRY_POINTS = "holdfast.stores"
"""The entry point group of other packages: `online.elsewhere` -> what opens a URL, called as
`opens(url, spaces, exclusive=..., sync_on_commit=...)`, or `opens(url)` for `metadata.` and
`artifacts.`."""
_BUILT_IN = {
    ("online", "lmdb"): "holdfast.stores.lmdb:LmdbOnlineStore",
    ("online", "memory"): "holdfast.stores.memory:MemoryOnlineStore",
    ("online", "redis"): "holdfast.stores.redis:RedisOnlineStore",
    ("online", "rediss"): "holdfast.stores.redis:RedisOnlineStore",
    ("online", "valkey"): "holdfast.stores.redis:RedisOnlineStore",
    ("metadata", "sqlite"): "holdfast.stores.sqlite:SqliteMetadataStore",
    ("metadata", "memory"): "holdfast.stores.memory:MemoryMetadataStore",
    ("artifacts", "file"): "holdfast.stores.files:FolderArtifactStore",
    ("artifacts", "memory"): "holdfast.stores.memory:MemoryArtifactStore",
}
_BY_URL = {"redis", "rediss", "valkey"}
"""Schemes whose place is the whole URL; the client library of each is an extra of that name."""
_EXTRA = {"rediss": "redis", "valkey": "redis"}
_LATER = {"redis", "rediss", "valkey", "postgresql", "postgres", "s3", "nats", "kafka", "delta"}


def open_online(
    url: str, *, spaces: tuple[str, ...], exclusive: bool = False, sync_on_commit: bool = True
) -> OnlineStore:
    """Return an online store: `lmdb:///folder`, `redis://host/0?prefix=NAME` or `memory://`.

    Raises:
        ConfigError: HF703 for an unknown scheme, HF904 for one that a later version brings.
        StoreError: the store cannot be opened.
    """
    adapter, place = _adapter("online", url)
    if place is None:
        return cast(OnlineStore, adapter(spaces))
    store = adapter(place, spaces, exclusive=exclusive, sync_on_commit=sync_on_commit)
    return cast(OnlineStore, store)


def open_metadata(url: str) -> MetadataStore:
    """Return a metadata store: `sqlite:///file` or `memory://`.

    Raises:
        ConfigError, StoreError: as `open_online`.
    """
    adapter, place = _adapter("metadata", url)
    return cast(MetadataStore, adapter() if place is None else adapter(place))


def open_artifacts(url: str) -> ArtifactStore:
    """Return an artifact store: `file:///folder` or `memory://`.

    Raises:
        ConfigError, StoreError: as `open_online`.
    """
    adapter, place = _adapter("artifacts", url)
    return cast(ArtifactStore, adapter() if place is None else adapter(place))


def _adapter(role: str, url: str) -> tuple[Any, Path | str | None]:
    """Return what opens a URL and the place to open.

    The place is a path for our own schemes, None for memory, and the whole URL for a scheme that
    another package registers.
    """
    scheme, found, rest = url.partition("://")
    target = _BUILT_IN.get((role, scheme)) if found else None
    if target is not None:
        module, _, name = target.partition(":")
        if scheme == "memory":
            return getattr(import_module(module), name), None
        if not rest:
            raise _unknown(role, url)
        if scheme in _BY_URL:
            return getattr(_imported(module, scheme), name), url
        place = f"/{rest.lstrip('/')}" if rest.startswith("/") else rest
        return getattr(import_module(module), name), Path(place)
    for entry in entry_points(group=ENTRY_POINTS):
        if found and entry.name == f"{role}.{scheme}":
            return _loaded(entry, url), url
    if found and scheme in _LATER:
        raise ConfigError(
            f"`{scheme}://` stores are not in this version",
            code="HF904",
            site=url,
            hint=f"for {role}, use {_known(role)}",
        )
    raise _unknown(role, url)


def _imported(module: str, scheme: str) -> Any:
    extra = _EXTRA.get(scheme, scheme)
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"`{scheme}://` stores need the package {error.name}",
            code="HF704",
            site="holdfast.toml",
            hint=f"pip install 'holdfast[{extra}]'",
        ) from error


def _loaded(entry: EntryPoint, url: str) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f'the package that registers "{entry.name}" cannot be used: {error}',
            code="HF704",
            site=url,
            hint=f"install what {entry.value.partition(':')[0]} needs",
        ) from error


def _unknown(role: str, url: str) -> ConfigError:
    return ConfigError(
        f'no {role} store is known for "{url}"',
        code="HF703",
        site="holdfast.toml",
        hint=f"use {_known(role)}",
    )


def _known(role: str) -> str:
    ours = [scheme for one, scheme in _BUILT_IN if one == role]
    names = [entry.name.partition(".") for entry in entry_points(group=ENTRY_POINTS)]
    theirs = sorted({scheme for one, _, scheme in names if one == role} - set(ours))
    return ", ".join(f"{scheme}://" for scheme in (*ours, *theirs))
