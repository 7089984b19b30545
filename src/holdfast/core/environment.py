"""Values that configuration takes from the environment: passwords do not stand in files."""

from __future__ import annotations

import os
import re

from holdfast.errors import ConfigError

__all__ = ["with_environment"]

_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def with_environment(text: str, *, site: str) -> str:
    """Return a text whose `${NAME}` are replaced by the environment's values.

    Raises:
        ConfigError: HF720 when a name is not set.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(
                f"the environment has no {match[1]}",
                code="HF720",
                site=site,
                hint=f"export {match[1]}=... before this command",
            )
        return found

    return _NAME.sub(value, text)
