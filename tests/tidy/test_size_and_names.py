"""Size, names and forbidden powers hold for every file; no file is excused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from _pytest.mark.structures import ParameterSet

from tests.conftest import ROOT
from tests.tidy import rules

FOLDERS = ("src", "tests", "examples", "benchmarks")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
INSIDE = "src/holdfast/serving/bad.py"
DEEP = "if a:\n  for b in c:\n    while d:\n      with e:\n        if f:\n          g()"


def bad(name: str, text: str, *, path: str = INSIDE, docstring: bool = True) -> ParameterSet:
    return pytest.param(path, '"""Bad."""\n' * docstring + text, name, id=name)


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


BAD = [
    bad("long-file", "x = 1\n" * 500),
    bad("long-line", f"x = {'1' * 97}\n"),
    bad("no-module-docstring", "x = 1\n", docstring=False),
    bad("bare-except", "try:\n    x = 1\nexcept:\n    pass\n"),
    bad("long-function", "def f() -> None:\n" + "    x = 1\n" * 60),
    bad("nested-blocks", "def f() -> None:\n" + indented(DEEP)),
    bad("positional-arguments", "def f(a, b, c, d, e): ...\n"),
    bad("junk-drawer", "class StoreManager: ...\n"),
    bad("clock", "from datetime import datetime\nnow = datetime.now()\n"),
    bad("chance", "import numpy as np\nnp.random.seed(1)\n"),
    bad("environment", "import os\nhome = os.environ['HOME']\n"),
    bad("terminal", "print('x')\n"),
    bad("pickle", "import pickle\n"),
    bad("hidden-import", "def f() -> None:\n    from holdfast.cli import main\n"),
    bad("undeclared-gap", "import pytest\n@pytest.mark.xfail\ndef t(): ...\n", path="tests/t.py"),
]

ALSO_BAD = [
    bad("long-line", "#" * 101, path="examples/bad.py"),
    bad("no-module-docstring", "", docstring=False),
    bad("no-module-docstring", '"""serves\n\nrequests"""', docstring=False),
    bad("positional-arguments", "class C:\n    def f(self, a, b, c, d, e): ...\n"),
    bad("positional-arguments", "class C:\n    @staticmethod\n    def f(a, b, c, d, e): ...\n"),
    bad(
        "positional-arguments",
        f"@numba.njit(cache=True)\ndef f({', '.join('abcdefghijklm')}): ...\n",
    ),
    bad("junk-drawer", "x = 1\n", path="src/holdfast/data/utils.py"),
    bad("junk-drawer", "x = 1\n", path="src/holdfast/_common/x.py"),
    bad("junk-drawer", "def parse_helper(): ...\n"),
    bad("clock", "from time import time\nf = time\n"),
    bad("clock", "import time as t\nt.perf_counter()\n"),
    bad("clock", "import datetime\ndatetime.date.today()\n"),
    bad("chance", "import random\nrandom.shuffle([])\n"),
    bad("chance", "from numpy.random import default_rng\ndefault_rng()\n"),
    bad("chance", "from uuid import uuid4\n"),
    bad("environment", "from os import getenv\n"),
    bad("terminal", "import sys\nsys.stdout.write('x')\n", path="src/holdfast/cli/bad.py"),
    bad("pickle", "from joblib import dump\n", path="src/holdfast/core/bad.py"),
    bad("hidden-import", "def f() -> None:\n    import holdfast.cli\n"),
]

GOOD = [
    ("src/holdfast/serving/__init__.py", ""),
    ("src/holdfast/core/clock.py", '"""C."""\nimport time\ntime.time_ns()\n'),
    ("src/holdfast/cli/output.py", '"""C."""\nprint(1)\n'),
    ("src/holdfast/stores/open.py", '"""C."""\ndef f():\n    import holdfast.stores.base\n'),
    (INSIDE, '"""C."""\nclass C:\n    def f(self, a, b, c, d, *, e): ...\n'),
    (INSIDE, '"""C."""\n@njit\ndef _f(a, b, c, d, e, f): ...\n'),
    (INSIDE, '"""C."""\ndef f():\n' + '    """D."""\n' + "    x = 1\n" * 59),
    (INSIDE, '"""C."""\ndef f(input):\n    return input\n'),
    (INSIDE, '"""C."""\nfrom numpy.random import default_rng\ndefault_rng(1)\n'),
    (INSIDE, '"""C."""\ndef f():\n    if a:\n        b()\n' + "    elif a:\n        b()\n" * 6),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_keeps_the_rules(path: Path) -> None:
    relative = PurePosixPath(path.relative_to(ROOT).as_posix())
    text = path.read_text(encoding="utf-8")
    assert [str(finding) for finding in rules.findings(relative, text)] == []


def test_functions_are_short() -> None:
    texts = [
        path.read_text(encoding="utf-8") for path in FILES if path.is_relative_to(ROOT / "src")
    ]
    assert rules.median_length(texts) <= rules.FUNCTION_LINES_MEDIAN_MAX


@pytest.mark.parametrize(("path", "text", "rule"), [*BAD, *ALSO_BAD])
def test_a_bad_file_is_found(path: str, text: str, rule: str) -> None:
    assert {finding.rule for finding in rules.findings(PurePosixPath(path), text)} == {rule}


@pytest.mark.parametrize(("path", "text"), GOOD)
def test_a_good_file_is_not(path: str, text: str) -> None:
    assert rules.findings(PurePosixPath(path), text) == []


def test_every_rule_has_a_bad_example() -> None:
    assert {str(example.id) for example in BAD} == rules.RULES
