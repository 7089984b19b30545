"""Every error Holdfast raises on purpose, grouped by who must act.

HoldfastError
  DefinitionError   the use-case file asks for something impossible   -> its author acts
  UserCodeError     code in the use-case file raised                  -> its author acts
  ContractError     data broke the contract of its source             -> the data's owner acts
  NotFoundError     no such use case, model, run or prediction        -> the caller acts
  ConfigError       the command, holdfast.toml or the environment     -> the operator acts
  StoreError        a store failed; `.retryable` says what to do      -> the operator acts
  InternalError     an invariant of Holdfast itself broke             -> we act; please report
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "ConfigError",
    "ContractError",
    "DefinitionError",
    "HoldfastError",
    "InternalError",
    "NotFoundError",
    "Site",
    "StoreError",
    "UserCodeError",
]


@dataclass(frozen=True, slots=True)
class Site:
    """Where in the user's file something was written."""

    file: str
    line: int

    @classmethod
    def here(cls) -> Site:
        """The innermost frame outside Holdfast."""
        frame = sys._getframe(1)
        while frame.f_back and f"{frame.f_globals.get('__name__', '')}.".startswith("holdfast."):
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno)

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


class HoldfastError(Exception):
    """Base of all errors: what happened, where, and what to do about it.

    `code` is stable across versions (`HF101`); `exit_code` is what the command line returns.
    """

    exit_code = 70

    def __init__(
        self, what: str, *, code: str, site: Site | str | None = None, hint: str = ""
    ) -> None:
        self.what, self.code, self.site, self.hint = what, code, site, hint
        lines = [f"{what} [{code}]"]
        if site:
            lines.append(f"  at {site}")
        if hint:
            lines.append(f"  hint: {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell another process all that this one knows of the error."""
        return _told, (type(self), self.args, self.__dict__)

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the `error` member of the JSON envelope."""
        return {
            "type": type(self).__name__,
            "code": self.code,
            "what": self.what,
            "where": str(self.site) if self.site else None,
            "hint": self.hint or None,
        }


def _told(kind: type[HoldfastError], arguments: Any, known: dict[str, Any]) -> HoldfastError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(known)
    return error


class DefinitionError(HoldfastError):
    """The use-case file asks for something impossible. `faults` holds all of them."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        code: str,
        site: Site | str | None = None,
        hint: str = "",
        faults: Sequence[DefinitionError] = (),
    ) -> None:
        super().__init__(what, code=code, site=site, hint=hint)
        self.faults: tuple[DefinitionError, ...] = tuple(faults) or (self,)


class UserCodeError(HoldfastError):
    """Code in the use-case file raised; `__cause__` keeps its traceback."""

    exit_code = 2


class ContractError(HoldfastError):
    """Data broke the contract of its source. `field` names the column, where one is to blame."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        code: str,
        site: Site | str | None = None,
        hint: str = "",
        field: str = "",
    ) -> None:
        super().__init__(what, code=code, site=site, hint=hint)
        self.field = field

    def as_dict(self) -> dict[str, Any]:
        """Return the error with the field that broke the contract."""
        return {**super().as_dict(), "field": self.field or None}


class NotFoundError(HoldfastError):
    """There is no such use case, model, run or prediction."""

    exit_code = 2


class ConfigError(HoldfastError):
    """The command, `holdfast.toml` or the environment is wrong."""

    exit_code = 2


class StoreError(HoldfastError):
    """A store failed; `retryable` says whether the same call may succeed later."""

    exit_code = 3

    def __init__(
        self,
        what: str,
        *,
        code: str,
        site: Site | str | None = None,
        hint: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(what, code=code, site=site, hint=hint)
        self.retryable = retryable


class InternalError(HoldfastError):
    """An invariant of Holdfast itself broke; please report it."""

    exit_code = 70
