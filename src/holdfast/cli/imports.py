"""The verb `import`: definitions from what another system declares."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from holdfast.cli.verb import Session, verb
from holdfast.errors import ConfigError

__all__ = ["import_"]


@click.command("import")
@click.argument("kind", type=click.Choice(["feast"]))
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out", "file", type=click.Path(path_type=Path), help="Write the definition to this .py file."
)
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@verb
def import_(session: Session, kind: str, path: Path, *, file: Path | None, force: bool) -> None:
    """Write entities and feature views of a Feast repository as definitions.

    PATH is the repository's folder, or one file. Its Python files are read, not run; Feast need
    not be installed. What has no counterpart here is listed, and stands at the top of the file.
    """
    out = session.out
    repo = import_module("holdfast.data.feast_repo").read_feast(path)
    into = session.folder if file is None else (session.folder / file).parent
    text = import_module("holdfast.data.feast_render").render_feast(repo, into=into.resolve())
    if file is None:
        out.line(text)
    else:
        _write(session.folder / file, text, force=force)
        out.line(f"{file}: {len(repo.entities)} entities, {len(repo.views)} feature views")
        for one in repo.left_out:
            out.line(f"  not carried over: {one.where}: {one.what}: {one.why}")
        out.line("next: fill in the use case at its end, then `holdfast check`")
    out.result(
        {
            "file": None if file is None else str(file),
            "files": repo.files,
            "entities": repo.entities,
            "views": [view.name for view in repo.views],
            "left_out": repo.left_out,
            "definition": text if file is None else None,
        }
    )


def _write(file: Path, text: str, *, force: bool) -> None:
    if file.suffix != ".py":
        raise ConfigError(f'"{file.name}" is no Python file', code="HF716", hint="name it `x.py`")
    if file.exists() and not force:
        raise ConfigError(
            f"{file} is there already", code="HF707", site=str(file), hint="--force overwrites it"
        )
    file.write_text(text, encoding="utf-8")
