"""Modules that definition files of one project share: `from features.payments import Payment`."""

from __future__ import annotations

import difflib
import importlib.abc
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from holdfast.errors import DefinitionError, Site

__all__ = ["ProjectModules", "sharing"]

MODULES_MAX = 1_000
"""Modules of a project that one definition file may import."""

_one_at_a_time = threading.RLock()


class ProjectModules(importlib.abc.MetaPathFinder):
    """Finds what a definition imports from its own project, and nothing else.

    A name that a file or a folder of the project has comes from there; everything else is found
    as ever. Modules of the standard library and Holdfast itself are never taken from a project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[str] = []
        self.cycle: tuple[str, ...] = ()
        self.loaded: list[ModuleType] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of the project is, None for any other."""
        if not self.has(fullname.partition(".")[0]):
            return None
        place = self.folder.joinpath(*fullname.split("."))
        file = place.with_suffix(".py")
        if file.is_file():
            return importlib.util.spec_from_file_location(
                fullname, file, loader=_Source(self, file)
            )
        if not place.is_dir():
            return None
        package = _Source(self, place / "__init__.py")
        return importlib.util.spec_from_loader(
            fullname, package, origin=str(place), is_package=True
        )

    def has(self, name: str) -> bool:
        """Whether a top-level name is the project's."""
        if name in sys.stdlib_module_names or name == "holdfast" or not name.isidentifier():
            return False
        place = self.folder / name
        return place.with_suffix(".py").is_file() or any(place.glob("*.py"))

    def missing(self, error: ModuleNotFoundError, site: Site) -> DefinitionError | None:
        """Return the error for an import that the project seems to mean, else None."""
        name = error.name or ""
        if not self.has(name.partition(".")[0]):
            return None
        parent = name.rpartition(".")[0]
        folder = self.folder.joinpath(*parent.split("."))
        there = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
        near = difflib.get_close_matches(name.rpartition(".")[2], there, n=1)
        hint = f"there are {', '.join(there) or 'no files'}"
        return DefinitionError(
            f"`{name}` is no file of this project",
            code="HF180",
            site=site,
            hint=f"did you mean `{parent}.{near[0]}`?" if near else hint,
        )

    def circular(self, site: Site) -> DefinitionError | None:
        """Return the error for files that import one another, None where they do not."""
        if not self.cycle:
            return None
        return DefinitionError(
            f"files of this project import one another: {' -> '.join(self.cycle)}",
            code="HF181",
            site=site,
            hint="move what both need into a file of its own",
        )


class _Source(importlib.abc.Loader):
    """Runs a file as it stands now: nothing compiled is kept, so a change is always seen."""

    def __init__(self, modules: ProjectModules, file: Path) -> None:
        self.modules, self.file = modules, file

    def exec_module(self, module: ModuleType) -> None:
        """Run the file in its module; a folder without `__init__.py` is an empty module."""
        modules = self.modules
        modules.loaded.append(module)
        if len(modules.loaded) > MODULES_MAX:
            raise DefinitionError(
                f"a definition imports more than {MODULES_MAX} files of its project",
                code="HF182",
                site=str(self.file),
                hint="import fewer",
            )
        if self.file.name == "__init__.py":
            module.__path__ = [str(self.file.parent)]
            if not self.file.is_file():
                return
        modules.running.append(module.__name__)
        try:
            code = compile(self.file.read_bytes(), str(self.file), "exec", dont_inherit=True)
            exec(code, vars(module))
        except ImportError as error:
            if error.name in modules.running and not modules.cycle:
                start = modules.running.index(str(error.name))
                modules.cycle = (*modules.running[start:], str(error.name))
            raise
        finally:
            modules.running.pop()


@contextmanager
def sharing(folder: Path) -> Iterator[ProjectModules]:
    """Let a definition file import from its project while it is run; leave no trace behind.

    Nothing is put on `sys.path`, and no module of the project stays in `sys.modules`: two projects
    may have files of the same name, and a changed file is read again.
    """
    modules = ProjectModules(folder)
    with _one_at_a_time:
        hidden = _of_project(modules)
        for name in hidden:
            del sys.modules[name]
        sys.meta_path.insert(0, modules)
        try:
            yield modules
        finally:
            sys.meta_path.remove(modules)
            for name in _of_project(modules):
                del sys.modules[name]
            sys.modules.update(hidden)


def _of_project(modules: ProjectModules) -> dict[str, ModuleType]:
    """Return what stands in `sys.modules` under names that the project has."""
    mine: dict[str, bool] = {}
    found = {}
    for name, module in sys.modules.items():
        top = name.partition(".")[0]
        if mine.setdefault(top, modules.has(top)):
            found[name] = module
    return found
