"""Making faults of a definition."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.duration import duration_us
from holdfast.errors import DefinitionError, Site

__all__ = ["Fault", "duration_fault", "fault"]

Fault = DefinitionError


def fault(what: str, *, code: str, site: Site, hint: str) -> Fault:
    """Return one fault; nothing is raised, so that all can be shown at once."""
    return DefinitionError(what, code=code, site=site, hint=hint)


def duration_fault(text: str, site: Site) -> Iterator[Fault]:
    """Yield a fault when a text is not a duration longer than nothing."""
    try:
        span = duration_us(text)
    except ValueError as error:
        yield fault(str(error), code="HF105", site=site, hint='such as "1h", "7d" or "30min"')
        return
    if span == 0:
        yield fault(f'"{text}" is no time at all', code="HF105", site=site, hint='such as "7d"')
