"""The rules of size, names and forbidden powers, as pure functions from source text to findings.

A rule is relaxed by what code *is* or where it lives, never by naming a file that may break it:

- `core/` holds the clock, chance and the environment, so it may use them;
- `cli/output.py` is where text leaves the program, so it may print;
- `cli/` and an edge's `open.py` import on demand, so they may import inside functions;
- a compiled kernel (a function under a Numba decorator) has no keyword-only arguments, so it may
  take up to 12 by position, and loops over numbers do not count in the median of lengths.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from statistics import median

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60  # without its docstring
FUNCTION_LINES_MEDIAN_MAX = 6  # over the whole package
LINE_COLUMNS_MAX = 100
POSITIONAL_MAX = 4
KERNEL_POSITIONAL_MAX = 12
NESTED_BLOCKS_MAX = 4

KERNEL_DECORATORS = {"njit", "jit", "cfunc", "vectorize", "guvectorize", "kernel", "compiled"}
JUNK_WORDS = {"util", "utils", "helper", "helpers", "manager", "handler", "misc"}
JUNK_NAMES = {"common", "base_utils"}

CLOCK = re.compile(
    r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|process_time)"
    r"|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
)
CHANCE = re.compile(
    r"random\.\w+|secrets\.\w+|uuid\.uuid[14]|os\.urandom"
    r"|numpy\.random\.(?!Generator$|PCG64$|Philox$|SeedSequence$|default_rng$)\w+"
)
ENVIRONMENT = re.compile(r"os\.(environ|environb|getenv|putenv)")
TERMINAL = re.compile(r"print|input|breakpoint|sys\.(stdout|stderr)")
PICKLES = re.compile(r"(pickle|cPickle|cloudpickle|dill|joblib|marshal|shelve)(\..*)?")

RULES = {
    "bare-except",
    "chance",
    "clock",
    "environment",
    "hidden-import",
    "junk-drawer",
    "long-file",
    "long-function",
    "long-line",
    "nested-blocks",
    "no-module-docstring",
    "pickle",
    "positional-arguments",
    "terminal",
    "undeclared-gap",
}

Blocks = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule, and where."""

    path: str
    line: int
    rule: str
    what: str

    def __post_init__(self) -> None:
        assert self.rule in RULES, f"`{self.rule}` is not in RULES"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.what}"


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the repository's root, its text and its tree."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    @property
    def inside(self) -> PurePosixPath | None:
        """The path inside the package, or None for tests, examples and benchmarks."""
        start = PurePosixPath("src/holdfast")
        return self.path.relative_to(start) if self.path.is_relative_to(start) else None


def findings(path: PurePosixPath, text: str) -> list[Finding]:
    """Every broken rule of one file, in the order of its lines."""
    source = Source(path, text, ast.parse(text))
    found = [*file_rules(source), *function_rules(source), *name_rules(source)]
    if source.inside is not None:
        found += [*power_rules(source, source.inside), *import_rules(source, source.inside)]
    if path.parts[0] == "tests":
        found += mark_rules(source)
    return sorted(Finding(str(path), line, rule, what) for line, rule, what in found)


Broken = tuple[int, str, str]


def file_rules(source: Source) -> Iterator[Broken]:
    lines = source.text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield len(lines), "long-file", f"{len(lines)} lines; split it by concept"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield number, "long-line", f"{len(line)} columns"
    docstring = ast.get_docstring(source.tree)
    empty = source.path.name == "__init__.py" and not source.tree.body
    if not docstring and not empty:
        yield 1, "no-module-docstring", "say in one line what this module knows"
    elif docstring and not docstring.splitlines()[0].endswith((".", "?", ":")):
        yield 1, "no-module-docstring", "its first line is one whole sentence"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare-except", "name what you expect"


def function_rules(source: Source) -> Iterator[Broken]:
    methods = {
        id(item)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, Function) and "staticmethod" not in decorators(item)
    }
    for node in ast.walk(source.tree):
        if not isinstance(node, Function):
            continue
        if length(node) > FUNCTION_LINES_MAX:
            yield node.lineno, "long-function", f"{node.name} has {length(node)} lines"
        if depth(node) > NESTED_BLOCKS_MAX:
            yield node.lineno, "nested-blocks", f"{node.name} nests {depth(node)} deep"
        if source.path.parts[0] != "tests":  # there, pytest hands fixtures in by position
            yield from argument_rules(node, method=id(node) in methods)


def argument_rules(node: Function, *, method: bool) -> Iterator[Broken]:
    positional = len(node.args.posonlyargs) + len(node.args.args) - method
    kernel = KERNEL_DECORATORS & decorators(node)
    most = KERNEL_POSITIONAL_MAX if kernel else POSITIONAL_MAX
    if positional > most:
        advice = "hand arrays over as a named tuple" if kernel else "use keywords"
        yield node.lineno, "positional-arguments", f"{node.name} takes {positional}; {advice}"


def name_rules(source: Source) -> Iterator[Broken]:
    parts = [*source.path.parts[:-1], source.path.stem]
    for name in parts:
        if junk(name):
            yield 1, "junk-drawer", f"`{name}`: name it after what it knows"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | Function) and junk(node.name):
            yield node.lineno, "junk-drawer", f"`{node.name}`: name it after what it does"


def power_rules(source: Source, inside: PurePosixPath) -> Iterator[Broken]:
    """The clock, chance, the environment, the terminal and pickle: each has one place or none."""
    rules = [(PICKLES, "pickle", "nothing is stored or loaded as pickle")]
    if inside.parts[0] != "core":
        rules.append((CLOCK, "clock", "take the time from the clock you were given"))
        rules.append((CHANCE, "chance", "take a seed and derive from it"))
        rules.append((ENVIRONMENT, "environment", "take settings; core/ reads them once"))
    if inside != PurePosixPath("cli/output.py"):
        rules.append((TERMINAL, "terminal", "hand text to cli/output.py"))
    for line, used in used_names(source.tree):
        for pattern, rule, advice in rules:
            if pattern.fullmatch(used):
                yield line, rule, f"{used}: {advice}"
    if inside.parts[0] != "core":
        calls = [node for node in ast.walk(source.tree) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func).endswith("default_rng") and not call.args + call.keywords:
                yield call.lineno, "chance", "default_rng() without a seed"


def import_rules(source: Source, inside: PurePosixPath) -> Iterator[Broken]:
    if inside.parts[0] == "cli" or inside.name == "open.py":
        return
    functions = [node for node in ast.walk(source.tree) if isinstance(node, Function)]
    for line in sorted({own for node in functions for own in own_imports(node)}):
        yield line, "hidden-import", "import own modules at the top; a cycle is a design fault"


def mark_rules(source: Source) -> Iterator[Broken]:
    """A gap says who must act; `xfail` and a bare `skip` say nothing."""
    for line, used in used_names(source.tree):
        if used in ("pytest.mark.xfail", "pytest.xfail", "pytest.mark.skip"):
            yield line, "undeclared-gap", f"{used}: declare the gap with its reason"


def junk(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")
    return bool(JUNK_WORDS & set(words)) or name.strip("_").lower() in JUNK_NAMES


def decorators(node: Function) -> set[str]:
    """The last names of a function's decorators: `njit` for `@numba.njit(cache=True)`."""
    calls = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return {ast.unparse(call).rpartition(".")[2] for call in calls}


def length(node: Function) -> int:
    """Lines of a function from `def` to its end, without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def depth(node: ast.AST) -> int:
    """How many blocks stand inside one another; `elif` is beside its `if`, not inside it."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        inner = depth(child)
        elif_ = (
            isinstance(node, ast.If)
            and isinstance(child, ast.If)
            and node.orelse == [child]
            and child.col_offset == node.col_offset
        )
        if isinstance(child, Blocks) and not elif_:
            inner += 1
        deepest = max(deepest, inner)
    return deepest


def used_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name or dotted name that is read or imported, in full: `np.x` is `numpy.x`."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
                root = alias.name if alias.asname else alias.name.partition(".")[0]
                full[alias.asname or root] = root
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
                full[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            root, _, rest = ast.unparse(node).partition(".")
            if root in full:
                yield node.lineno, ".".join(filter(None, [full[root], rest]))
        builtin = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if builtin and node.func.id not in full:
            yield node.lineno, node.func.id  # such as print


def own_imports(function: Function) -> Iterator[int]:
    for node in ast.walk(function):
        if isinstance(node, ast.ImportFrom):
            names = ["holdfast" if node.level else node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        if any(name.partition(".")[0] == "holdfast" for name in names):
            yield node.lineno


def median_length(texts: list[str]) -> float:
    """The median number of lines of a function over several files, compiled kernels left out."""
    trees = [ast.parse(text) for text in texts]
    return median(
        length(node)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, Function) and not KERNEL_DECORATORS & decorators(node)
    )
