"""Definition files of one project share modules; nothing of them is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.define.load import load_file, load_folder
from holdfast.errors import DefinitionError, NotFoundError, UserCodeError
from holdfast.features.compile_plan import compile_plan

PAYMENTS = """\
import holdfast as hf

Card, Shop = hf.Entity("card"), hf.Entity("shop")


class Payment(hf.Event, source="payments.csv"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    card = hf.Key(Card)
    shop = hf.Key(Shop)
    amount = hf.Float()
    fraud = hf.Boolean(known_after="2d", nullable=True)
    returned = hf.Boolean(known_after="9d", nullable=True)


class Cards(hf.Features):
    count_1d = Payment.by(Card).count(over="1d")
    spend_7d = Payment.by(Card).sum(Payment.amount, over="7d")


class Shops(hf.Features):
    shop_count = Payment.by(Shop).count(over="7d")
    shop_spend = Payment.by(Shop).sum(Payment.amount, over="7d")
"""
USE_CASE = """\
import holdfast as hf
from features.payments import Cards, Payment, Shops


class Features({bases}):
    amount = Payment.amount


use_case = hf.UseCase(
    name="{name}", owner="x", each=Payment, predict=Payment.{label}, features=Features,
    value=hf.Payoff("EUR", yes=hf.when(Payment.{label}, -1, 1), no=0),
    training=hf.Training(candidates=[hf.LogisticRegression()]),
)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "payments.py").write_text(PAYMENTS)
    write(tmp_path, "fraud", "fraud", "Cards, Shops")
    write(tmp_path, "returns", "returned", 'Cards, Shops.select("shop_spend")')
    return tmp_path


def write(folder: Path, name: str, label: str, bases: str) -> None:
    (folder / f"{name}.py").write_text(USE_CASE.format(name=name, label=label, bases=bases))


def test_use_cases_share_a_file_and_their_views_have_one_name(project: Path) -> None:
    found = load_folder(project)
    assert list(found) == ["fraud", "returns"]
    plans = {name: compile_plan(use_case) for name, (_, use_case) in found.items()}
    assert plans["fraud"].feature_names == (
        "shop_count", "shop_spend", "count_1d", "spend_7d", "amount",
    )  # fmt: skip
    assert plans["returns"].feature_names == ("shop_spend", "count_1d", "spend_7d", "amount")
    cards = [
        {view.fingerprint for view in plan.views if view.keys == ("card",)}
        for plan in plans.values()
    ]
    assert cards[0] == cards[1] != set()


def test_nothing_is_left_behind(project: Path, tmp_path: Path) -> None:
    path, modules, finders = list(sys.path), dict(sys.modules), list(sys.meta_path)
    load_folder(project)
    assert (sys.path, sys.meta_path) == (path, finders)
    assert {name for name in sys.modules if name.startswith("features")} == set()
    assert {n for n in sys.modules.keys() - modules.keys() if "holdfast_definition" in n} == set()
    assert not list(project.rglob("__pycache__"))


def test_two_projects_may_have_files_of_one_name(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "features").mkdir()
    (other / "features" / "payments.py").write_text(PAYMENTS.replace("amount =", "euros ="))
    with pytest.raises(UserCodeError, match="amount"):
        write(other, "fraud", "fraud", "Cards")
        load_folder(other)
    (other / "features" / "payments.py").write_text(PAYMENTS.replace('over="7d"', 'over="3d"'))
    for folder, window in ((project, "7d"), (other, "3d")):
        plan = compile_plan(load_folder(folder)["fraud"][1])
        [spend] = [one.words for one in plan.features if one.name == "spend_7d"]
        assert spend.endswith(f"over {window}")


def test_a_changed_file_is_read_again(project: Path) -> None:
    before = compile_plan(load_folder(project)["fraud"][1])
    (project / "features" / "payments.py").write_text(PAYMENTS.replace('"1d"', '"2d"'))
    after = compile_plan(load_folder(project)["fraud"][1])
    assert before.fingerprint != after.fingerprint


def test_a_module_of_the_same_name_elsewhere_is_hidden_meanwhile(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = type(sys)("features")
    monkeypatch.setitem(sys.modules, "features", mine)
    assert list(load_folder(project)) == ["fraud", "returns"]
    assert sys.modules["features"] is mine


def test_the_standard_library_is_never_taken_from_a_project(project: Path) -> None:
    (project / "json.py").write_text("raise RuntimeError('not this one')\n")
    (project / "fraud.py").write_text("import json\n" + (project / "fraud.py").read_text())
    sys.modules.pop("json.tool", None)
    assert "fraud" in load_folder(project)


def test_a_file_beside_may_be_imported_and_keeps_its_use_case(project: Path) -> None:
    text = (project / "returns.py").read_text()
    (project / "returns.py").write_text(
        text + "\nfrom fraud import Features as Theirs, use_case as u\n"
    )
    (project / "all.py").write_text("from fraud import *\nfrom returns import *\n# UseCase(\n")
    assert list(load_folder(project)) == ["fraud", "returns"]
    assert load_file(project / "all.py") == []


def test_a_package_may_have_an_init_and_relative_imports(project: Path) -> None:
    (project / "features" / "__init__.py").write_text("from .payments import Cards\n")
    (project / "features" / "more.py").write_text(
        "from . import Cards\nfrom .payments import Card\n"
    )
    fraud = project / "fraud.py"
    fraud.write_text("import features.more\n" + fraud.read_text())
    assert "fraud" in load_folder(project)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("from features.paymnts import Payment", "HF180", "did you mean `features.payments`?"),
        ("from features.zzz import Payment", "HF180", "there are a, b, broken, payments"),
        ("import features.a", "HF181", "features.a -> features.b -> features.a"),
        ("from nowhere.at_all import x", "HF120", "No module named"),
        ("from features.broken import x", "HF120", "SyntaxError"),
        ("from features.payments import Paymnt", "HF120", "cannot import name"),
        ("from features.payments import Cards; Cards.select('count_2d')", "HF183", "`count_1d`?"),
        ("from features.payments import Cards; Cards.select('zzz')", "HF183", "it has count_1d"),
    ],
)
def test_what_cannot_be_imported_is_named(project: Path, line: str, code: str, says: str) -> None:
    (project / "features" / "a.py").write_text("from features.b import y\nx = 1\n")
    (project / "features" / "b.py").write_text("from features.a import x\ny = 1\n")
    (project / "features" / "broken.py").write_text("x = = 1\n")
    (project / "bad.py").write_text(f"import holdfast as hf\n{line}\n")
    with pytest.raises((DefinitionError, UserCodeError)) as raised:
        load_file(project / "bad.py")
    assert raised.value.code == code, raised.value
    assert says in str(raised.value)
    assert "features" not in sys.modules


def test_a_missing_file_is_still_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_file(tmp_path / "none.py")


def test_a_selection_is_a_feature_set_of_its_own() -> None:
    class Whole(hf.Features):
        hour = hf.calendar.hour
        day = hf.calendar.day
        year = hf.calendar.year

    some = Whole.select("year", "hour")
    assert list(some.features) == ["year", "hour"]
    assert issubclass(some, hf.Features) and not issubclass(some, Whole)

    class More(Whole.select("day")):  # type: ignore[misc]
        month = hf.calendar.month

    assert list(More.features) == ["day", "month"]
