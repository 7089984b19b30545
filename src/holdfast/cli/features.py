"""The verb `features`: what there is, what it was at a moment, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holdfast.cli.output import Output
from holdfast.cli.verb import Session, moment, verb
from holdfast.errors import ConfigError

__all__ = ["features"]

FOLDING = "replaying the log"
FINGERPRINT_SHOWN = 8


def _pairs(
    _ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    """Return options `--key card_id=c42` by name."""
    found = {}
    for one in value:
        name, equals, given = one.partition("=")
        if not name or not equals:
            raise click.BadParameter(f'"{one}" is no NAME=VALUE', param=parameter)
        found[name.strip()] = given
    return found


@click.command()
@click.argument("name", required=False)
@click.option("--at", "at_us", callback=moment, metavar="TIME", help="Values as known then.")
@click.option(
    "--key", "keys", multiple=True, callback=_pairs, metavar="COLUMN=VALUE", help="Whose values."
)
@click.option(
    "--row", "row", multiple=True, callback=_pairs, metavar="COLUMN=VALUE", help="Values of a row."
)
@click.option("--feature", default="", help="Only this feature.")
@click.option(
    "--events", type=click.IntRange(0, 1_000), default=5, show_default=True, help="Events listed."
)
@click.option("--unused", is_flag=True, help="List features and states that no model uses.")
@click.option("--drop-unused", is_flag=True, help="Drop states that no model uses.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--from", "from_us", callback=moment, metavar="TIME", help="First moment.")
@click.option("--to", "to_us", callback=moment, metavar="TIME", help="Moment to stop before.")
@click.option(
    "--out", "file", type=click.Path(path_type=Path), help="Write the training set to a .parquet."
)
@verb
def features(session: Session, name: str | None, **asked: Any) -> int:
    """List the features of NAME and build its training set.

    With --at or --row, print the values as known at that moment and the events behind each:
    `--at 2026-08-01T12:00 --key card_id=c42`, or `--row payment_id=p1` for a row as it was.
    """
    out, project = session.out, session.project()
    if asked["unused"] or asked["drop_unused"]:
        return _unused(out, project, name, drop=asked["drop_unused"], sure=asked["yes"])
    if asked["at_us"] is not None or asked["row"] or asked["keys"]:
        return _show_moment(out, project, name, asked)
    return _show_all(out, project, name, asked)


def _unused(out: Output, project: Any, name: str | None, *, drop: bool, sure: bool) -> int:
    """List what no model uses, and drop its state where that was asked for."""
    found = project.unused(name)
    names = ", ".join(found.features)
    out.line(f"features that no current or candidate model uses: {names or 'none'}")
    size = sum(state.bytes for state in found.states)
    for state in found.states:
        versions = ", ".join(map(str, state.versions)) or "none yet"
        out.line(
            f"state of {len(state.features)} features, served for versions {versions}: "
            f"{state.entities:,} entities, {state.bytes:,} bytes, "
            f"{len(state.views)} views of its own"
        )
    if not found.states:
        out.line("states that no model uses: none")
    dropped: list[Any] = []
    if drop and found.states:
        question = f"Drop {size:,} bytes of state? The log stays, it can be filled again"
        if sure or (not out.as_json and click.confirm(question)):
            dropped = project.drop_unused(name)
            out.line(f"dropped {sum(one.bytes for one in dropped):,} bytes")
        else:
            out.line("nothing was dropped")
    out.result({"features": found.features, "states": found.states, "dropped": dropped})
    return 0


def _show_moment(out: Output, project: Any, name: str | None, asked: dict[str, Any]) -> int:
    """Print the values at a moment, and what made each."""
    if len(asked["row"]) > 1:
        raise click.UsageError("--row names one row: one COLUMN=VALUE")
    found = project.features_at(
        name,
        at_us=asked["at_us"],
        keys=asked["keys"],
        row=next(iter(asked["row"].items()), None),
        feature=asked["feature"],
        limit=asked["events"],
    )
    from holdfast.core.clock import iso

    row = ", ".join(f"{column}={value}" for column, value in found.row.items())
    out.line(f"{found.use_case} at {iso(found.at_us)}")
    out.line(f"  row: {row}")
    width = max(len(one.name) for one in found.features)
    for one in found.features:
        out.line(f"{one.name:<{width}}  {_worded(one.value)}   ({one.words})")
        for behind in one.behind:
            _show_behind(out, behind)
    out.result(found.as_dict())
    return 0


def _show_behind(out: Output, behind: Any) -> None:
    from holdfast.core.clock import iso

    begins = "the beginning" if behind.from_us is None else iso(behind.from_us)
    whose = ", ".join(f"{column}={_worded(value)}" for column, value in behind.keys.items())
    out.line(
        f"    {behind.what}: {behind.counted} {behind.source} of {whose}, "
        f"from {begins} to {iso(behind.to_us)}"
    )
    for event in behind.events:
        out.line(f"      {_event(event)}")
    if behind.more:
        out.line(f"      and {behind.more} more")
    if behind.empty:
        out.line(f"      not counted: {behind.empty} without a value")
    if behind.known_later:
        out.line(f"      not counted: {behind.known_later} known only later")
        for event in behind.later:
            out.line(f"        {_event(event)}")


def _event(event: Any) -> str:
    from holdfast.core.clock import iso

    parts = [iso(event.time_us)]
    if event.known_us != event.time_us:
        parts.append(f"known {_known(event)}")
    parts += [str(event.key)] if event.key is not None else []
    parts += [_worded(event.value)] if event.value is not None else []
    return "  ".join(parts)


def _known(event: Any) -> str:
    known = event.as_dict()["known"]
    return "never" if known is None else str(known)


def _worded(value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _show_all(out: Output, project: Any, name: str | None, asked: dict[str, Any]) -> int:
    """List the features and build the training set."""
    file: Path | None = asked["file"]
    if file is not None and file.suffix != ".parquet":
        raise ConfigError(
            f'"{file.name}" is no Parquet file', code="HF705", hint="name it `something.parquet`"
        )
    listed = project.features(name)
    shown = [
        [
            one.name,
            one.kind,
            one.words,
            " ".join(dict.fromkeys(v.view[:FINGERPRINT_SHOWN] for v in one.looks_back)),
        ]
        for one in listed
    ]
    out.table(("feature", "kind", "what it is", "view"), shown)
    built = project.training_set(name, from_us=asked["from_us"], to_us=asked["to_us"])
    known = int((built.label == built.label).sum())
    rate = getattr(project.progress, "rates", {}).get(FOLDING)
    size = (built.values.nbytes + built.context.nbytes) / 2**20
    out.line(f"{len(built):,} rows, {known:,} with a label; {built.events:,} events folded")
    out.line(f"{rate or 0:,.0f} events a second; the training set takes {size:,.1f} MiB")
    if built.late:
        out.line(
            f"{built.late:,} events came too late for some window and were counted, not folded"
        )
    if file is not None:
        _write(built, file)
        out.line(f"written to {file}")
    out.result(
        {
            "features": listed,
            "rows": len(built),
            "labelled": known,
            "events": built.events,
            "events_per_s": rate,
            "memory_mib": size,
            "late": built.late,
            "file": None if file is None else str(file),
        }
    )
    return 0


def _write(built: Any, file: Path) -> None:
    import polars as pl

    columns = {name: built.values[:, at] for at, name in enumerate(built.names)} | built.texts
    frame = pl.DataFrame({"time_us": built.time_us, **columns, "label": built.label})
    frame.fill_nan(None).write_parquet(file)
