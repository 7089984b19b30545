"""Loading definition files: a file in, its use cases out."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

from holdfast.define.shared import ProjectModules, sharing
from holdfast.define.use_case import UseCase
from holdfast.errors import DefinitionError, HoldfastError, NotFoundError, Site, UserCodeError

__all__ = ["load_file", "load_folder"]


def load_file(path: Path) -> list[UseCase]:
    """Return the use cases that a definition file assigns, in order.

    The file may import others of its folder, and of folders in it; use cases that it only imports
    are not its own.

    Raises:
        NotFoundError: when there is no such file.
        UserCodeError: when the file raises; the cause is kept.
        DefinitionError: when the file says something impossible.
    """
    if not path.is_file():
        raise NotFoundError(
            f"there is no definition file {path}",
            code="HF701",
            hint="`holdfast new fraud` writes one to start from",
        )
    with sharing(path.resolve().parent) as modules:
        module = _run(path, modules)
    theirs = {id(value) for one in modules.loaded for value in vars(one).values()}
    found = [one for one in vars(module).values() if isinstance(one, UseCase)]
    return list(dict.fromkeys(one for one in found if id(one) not in theirs))


def _run(path: Path, modules: ProjectModules) -> ModuleType:
    """Run a definition file as a module that nobody else can import."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"_holdfast_definition_{path.stem}_{digest}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(module))
    except HoldfastError:
        raise
    except Exception as error:
        site = _site_of(error, path)
        if isinstance(error, ImportError):
            missing = modules.missing(error, site) if type(error) is ModuleNotFoundError else None
            known = modules.circular(site) or missing
            if known is not None:
                raise known from error
        raise UserCodeError(
            f"{path.name} raised {type(error).__name__}: {error}",
            code="HF120",
            site=site,
            hint="the traceback is below; run it with `python` to see more",
        ) from error
    finally:
        sys.modules.pop(name, None)
    return module


def load_folder(folder: Path) -> dict[str, tuple[Path, UseCase]]:
    """Return the use cases of every `*.py` file of a folder that mentions one, by name.

    Raises:
        DefinitionError: when two files name the same use case.
    """
    found: dict[str, tuple[Path, UseCase]] = {}
    for path in sorted(folder.glob("*.py")):
        if "UseCase(" not in path.read_text(encoding="utf-8", errors="replace"):
            continue
        for use_case in load_file(path):
            if use_case.name in found:
                raise DefinitionError(
                    f'the use case "{use_case.name}" is defined twice',
                    code="HF119",
                    site=use_case.site,
                    hint=f"the other one is in {found[use_case.name][0].name}; rename one",
                )
            found[use_case.name] = (path, use_case)
    return found


def _site_of(error: BaseException, path: Path) -> Site:
    if isinstance(error, SyntaxError) and error.lineno:
        return Site(str(path), error.lineno)
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return Site(str(path), line)
