"""Loading definition files: a file in, its use cases out."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

from holdfast.define.use_case import UseCase
from holdfast.errors import DefinitionError, HoldfastError, NotFoundError, Site, UserCodeError

__all__ = ["load_file", "load_folder"]


def load_file(path: Path) -> list[UseCase]:
    """Return the use cases that a definition file assigns, in order.

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
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"_holdfast_definition_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotFoundError(f"{path} is not a Python file", code="HF701", hint="name it `x.py`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except HoldfastError:
        raise
    except Exception as error:
        raise UserCodeError(
            f"{path.name} raised {type(error).__name__}: {error}",
            code="HF120",
            site=_site_of(error, path),
            hint="the traceback is below; run it with `python` to see more",
        ) from error
    finally:
        sys.modules.pop(name, None)
    found = [value for value in vars(module).values() if isinstance(value, UseCase)]
    return list(dict.fromkeys(found))


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
