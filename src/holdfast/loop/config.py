"""`holdfast.toml`: where things live; without the file everything lives in the folder."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.core.environment import with_environment
from holdfast.errors import ConfigError

__all__ = ["Config", "read_config"]

_SECTIONS = {"serving", "sources", "stores"}
_STORES = {"online", "metadata", "artifacts"}
_SERVING = {"parity_sample"}

PARITY_SAMPLE = 0.01
"""The share of served requests that a service replays from the log while it runs."""


@dataclass(frozen=True)
class Config:
    """Where sources and stores are. `sources`: name of a source -> file or glob.

    `parity_sample`: the share of served requests that is replayed and compared, 0 for none.
    """

    sources: dict[str, str] = field(default_factory=dict)
    online: str = ""
    metadata: str = ""
    artifacts: str = ""
    parity_sample: float = PARITY_SAMPLE


def read_config(folder: Path) -> Config:
    """Return the configuration of a project folder.

    Raises:
        ConfigError: HF702 when the file is not TOML or says something unknown, HF720 when a
            store's URL names a variable (`${REDIS_PASSWORD}`) that the environment has not.
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
    serving = _table(data, "serving", path)
    _refuse_unknown(serving, _SERVING, path)
    return Config(
        parity_sample=_share(serving.get("parity_sample", PARITY_SAMPLE), path),
        sources={k: str(v) for k, v in _table(data, "sources", path).items()},
        online=with_environment(str(stores.get("online", "")), site=str(path)),
        metadata=with_environment(str(stores.get("metadata", "")), site=str(path)),
        artifacts=with_environment(str(stores.get("artifacts", "")), site=str(path)),
    )


def _share(value: Any, path: Path) -> float:
    """Return a share between 0 and 1."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ConfigError(
        f"`parity_sample` is {value!r}",
        code="HF702",
        site=str(path),
        hint="write a share between 0 and 1, such as 0.01; 0 switches the check off",
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
