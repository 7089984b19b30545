"""Every error code has one meaning, one class of error and its place in the documentation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from holdfast import errors
from tests.conftest import ROOT
from tests.tidy import error_codes
from tests.tidy.error_codes import AREAS, UNTITLED, page, titles

PAGE = ROOT / "docs" / "reference" / "errors.md"
USES = error_codes.uses(ROOT / "src" / "holdfast")
CODES = sorted({use.code for use in USES})
CLASSES = {name: getattr(errors, name) for name in errors.__all__ if name.endswith("Error")}
EXIT_CODES = {name: kind.exit_code for name, kind in CLASSES.items()}
WRITTEN = titles(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}


def test_the_page_of_errors_is_what_the_source_says(golden: Callable[[Path, str], None]) -> None:
    golden(PAGE, page(USES, WRITTEN, EXIT_CODES))


def test_a_code_has_a_title_of_its_own() -> None:
    untitled = [code for code in CODES if WRITTEN.get(code, UNTITLED) == UNTITLED]
    assert untitled == [], f"say in {PAGE.name} what they mean"
    assert [title for title, times in Counter(WRITTEN.values()).items() if times > 1] == []


def test_a_code_belongs_to_one_class_of_error() -> None:
    kinds = defaultdict(set)
    for use in USES:
        kinds[use.code] |= {use.kind} - {""}
    assert {code: found for code, found in kinds.items() if len(found) > 1} == {}


def test_a_code_belongs_to_an_area() -> None:
    assert {code for code in CODES if code[2] not in AREAS} == set()


def test_an_error_written_by_hand_is_collected(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "def refuse(what, *, code): raise StoreError(what, code=code)\n"
        'def f(n): raise DefinitionError(f"`{n.name}` is " + "odd", code="HF199", hint="no")\n'
        'def g(n): refuse(f"{len(n)} rows", code="HF199")\n'
        'TABLE = {1: ("HF199", "is full", "free some", False)}\n'
    )
    first, second, third = error_codes.uses(tmp_path)
    assert (first.kind, first.says, first.hint) == ("DefinitionError", "`<name>` is odd", "no")
    assert (second.kind, second.says, second.where) == ("StoreError", "<len> rows", "bad.py")
    assert (third.kind, third.says, third.hint) == ("", "is full", "free some")
    assert f"### HF199: {UNTITLED}" in page([first, second], {}, EXIT_CODES)
