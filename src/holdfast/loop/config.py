"""`holdfast.toml`: where things live; without the file everything lives in the folder."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.errors import ConfigError

__all__ = ["Config", "read_config"]

_SECTIONS = {"sources", "stores"}
_STORES = {"online", "metadata", "artifacts"}


@dataclass(frozen=True)
class Config:
    """Where sources and stores are. `sources`: name of a source -> file or glob."""

    sources: dict[str, str] = field(default_factory=dict)
    online: str = ""
    metadata: str = ""
    artifacts: str = ""


def read_config(folder: Path) -> Config:
    """Return the configuration of a project folder.

    Raises:
        ConfigError: HF702 when the file is not TOML or says something unknown.
    """
    path = folder / "holdfast.toml"
    if not path.exists():
        return Config()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"holdfast.toml is not TOML: {error}",
            code="HF702",
            site=str(path),
            hint='such as `[sources]` and `Payment = "payments/*.parquet"`',
        ) from error
    _refuse_unknown(data, _SECTIONS, path)
    stores = _table(data, "stores", path)
    _refuse_unknown(stores, _STORES, path)
    return Config(
        sources={k: str(v) for k, v in _table(data, "sources", path).items()},
        online=str(stores.get("online", "")),
        metadata=str(stores.get("metadata", "")),
        artifacts=str(stores.get("artifacts", "")),
    )


def _table(data: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(
            f"`{name}` is not a table", code="HF702", site=str(path), hint=f"write `[{name}]`"
        )
    return value


def _refuse_unknown(data: dict[str, Any], known: set[str], path: Path) -> None:
    for name in data:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = (
                f"did you mean `{near[0]}`?" if near else f"it may say {', '.join(sorted(known))}"
            )
            raise ConfigError(
                f"holdfast.toml says `{name}`, which nothing reads",
                code="HF702",
                site=str(path),
                hint=hint,
            )
