"""Faults of definitions: every one found, all at once, each with code, place and hint."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from holdfast.define.check import Check, check
from holdfast.define.load import load_file, load_folder
from holdfast.errors import DefinitionError, NotFoundError, Site, UserCodeError

EXAMPLES = Path(__file__).parents[3] / "examples"

BASE = """
import holdfast as hf

Card, Shop = hf.Entity("card_id"), hf.Entity("shop_id")


class Payment(hf.Event, source="payments.parquet"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    card_id = hf.Key(Card)
    amount = hf.Float(gt=0)
    channel = hf.Category("chip", "online")
    fraud = hf.Boolean(known_after="7d")
    {columns}


class Features(hf.Features):
    amount = Payment.amount
    {features}


use_case = hf.UseCase(
    name={name},
    each=Payment,
    predict={predict},
    features=Features,
    value=hf.Payoff("EUR", {payoff}),
    training=hf.Training(candidates={candidates}, {training}),
    {policies}
)
"""


def definition(folder: Path, **parts: str) -> Path:
    defaults = {
        "columns": "",
        "features": "",
        "name": '"card-fraud"',
        "predict": "Payment.fraud",
        "payoff": "approve=hf.when(Payment.fraud, -Payment.amount, 1), decline=0",
        "candidates": "[hf.LightGBM()]",
        "training": "",
        "policies": "",
    }
    assert set(parts) <= set(defaults)
    path = folder / "case.py"
    path.write_text(textwrap.dedent(BASE).format(**(defaults | parts)))
    return path


def checked(path: Path) -> Check:
    (use_case,) = load_file(path)
    return check(use_case)


def codes(path: Path) -> list[str]:
    return [fault.code for fault in checked(path).faults]


@pytest.mark.parametrize("name", ["fraud", "demand", "documents"])
def test_the_examples_pass(name: str) -> None:
    (use_case,) = load_file(EXAMPLES / f"{name}.py")
    assert check(use_case).faults == ()


def test_the_examples_declare_what_cannot_run_yet() -> None:
    gaps = {
        name: {gap.what for gap in check(use_case).gaps if gap.code == "HF901"}
        for name, (_, use_case) in load_folder(EXAMPLES).items()
    }
    assert gaps["card-fraud"] == set()
    assert gaps["store-demand"] == set()
    assert gaps["mail-filing"] == {"a label with more than two classes"}


def test_a_good_definition_has_no_faults(tmp_path: Path) -> None:
    assert codes(definition(tmp_path)) == []


FEATURE_FAULTS = {
    "HF102": "x = Payment.by(Shop).count(over='7d')",
    "HF103": "x = Payment.by(Card).sum(Payment.amount, ahead='7d')",
    "HF105": "x = Payment.by(Card).count(over='seven days')",
    "HF109": "x = Other.by(Card).seen(Other.word, over='7d')",
    "HF110": "x = Payment.fraud",
    "HF108": "x = Other.word",
    "HF118": "x = Payment.by(Card).sum(Payment.channel, over='7d')",
    "HF160": "x = 2 * hf.target_encoded(Payment.channel)",
    "HF161": "x = hf.tfidf(Payment.channel, words=10)",
    "HF162": "x = hf.hashed(Payment.channel, buckets=1)",
    "HF163": "x = Payment.by(Card).last(Payment.note, over='7d')",
}
OTHER = """class Other(hf.Event, source="other.parquet"):
    at = hf.EventTime()
    card_id = hf.Key(Card)
    word = hf.Category()


"""


@pytest.mark.parametrize("code", FEATURE_FAULTS)
def test_a_wrong_feature_is_named(code: str, tmp_path: Path) -> None:
    columns = "note = hf.Text()"
    path = definition(tmp_path, columns=columns, features=FEATURE_FAULTS[code])
    path.write_text(path.read_text().replace("class Features", OTHER + "class Features"))
    (fault,) = checked(path).faults
    assert fault.code == code
    assert isinstance(fault.site, Site) and fault.site.file == str(path)
    wrong = path.read_text().splitlines()[fault.site.line - 1]
    assert wrong.strip() == FEATURE_FAULTS[code] or code in ("HF108", "HF110")
    assert fault.hint


@pytest.mark.parametrize(
    ("feature", "code"),
    [
        ("hf.target_encoded(Payment.amount)", "HF161"),
        ("hf.target_encoded(Payment.note)", "HF161"),
        ("hf.frequency_encoded(Payment.paid_at)", "HF161"),
        ("hf.tfidf(Payment.by(Card).last(Payment.note, over='7d'), words=10)", "HF161"),
        ("hf.hashed(Payment.by(Card).last(Payment.note, over='7d'), buckets=8)", "HF161"),
        ("hf.target_encoded(Payment.fraud)", "HF110"),
        ("hf.target_encoded(hf.ordinal(Payment.channel))", "HF160"),
        ("hf.hashed(Payment.channel, buckets=8).is_missing()", "HF160"),
        ("hf.target_encoded(Payment.channel, smooth=-1.0)", "HF162"),
        ("hf.tfidf(Payment.note, words=0)", "HF162"),
        ("hf.tfidf(Payment.note, words=10, ngrams=6)", "HF162"),
        ("hf.tfidf(Payment.note, words=10, components=True)", "HF162"),
        ("Payment.note", "HF163"),
    ],
)
def test_a_wrong_encoder_is_named(feature: str, code: str, tmp_path: Path) -> None:
    path = definition(tmp_path, columns="note = hf.Text()", features=f"x = {feature}")
    path.write_text(path.read_text().replace("class Features", OTHER + "class Features"))
    faults = checked(path).faults
    assert [fault.code for fault in faults] == [code]
    assert faults[0].hint


def test_encoders_of_every_kind_pass(tmp_path: Path) -> None:
    features = """
    a = hf.target_encoded(Payment.by(Card).last(Payment.channel, over='7d'))
    b = hf.frequency_encoded(Payment.card_id)
    c = hf.ordinal(Payment.channel)
    d = hf.hashed(Payment.note, buckets=1024)
    e = hf.tfidf(Payment.title, words=500, ngrams=2, components=10)
    f = hf.hashed(hf.when(Payment.amount > 3, Payment.channel, Payment.channel), buckets=2)
    g = hf.target_encoded(hf.calendar.hour)
    h = Payment.note.is_missing()"""
    columns = "note = hf.Text()\n    title = hf.String()"
    assert codes(definition(tmp_path, columns=columns, features=features)) == []


def test_all_time_has_no_offset(tmp_path: Path) -> None:
    feature = "x = Payment.by(Card).count(over='all', offset='7d')"
    assert codes(definition(tmp_path, features=feature)) == ["HF105"]


SOURCE_FAULTS = {
    "HF106": "other_card = hf.Key(Card)\n    x = 1",
    "HF115": "size = hf.Float(ge=2, le=1)",
    "HF116": "late = hf.Boolean(known_at='nowhere')",
    "HF122": "other_time = hf.EventTime()",
}


@pytest.mark.parametrize("code", SOURCE_FAULTS)
def test_a_wrong_source_is_named(code: str, tmp_path: Path) -> None:
    features = "x = Payment.by(Card).count(over='7d')" if code == "HF106" else ""
    path = definition(tmp_path, columns=SOURCE_FAULTS[code], features=features)
    assert code in codes(path)


POLICY_FAULTS = {
    "HF111": {"columns": "size = hf.Float()", "predict": "Payment.size", "payoff": "a=1"},
    "HF112": {"payoff": "a=Payment.by(Card).count(over='1d')"},
    "HF113": {"name": '"Card Fraud"'},
    "HF114": {"candidates": "[]"},
    "HF121": {"training": "folds=1"},
    "HF125": {"training": "subject_to=[hf.rate('refuse') <= 0.1]"},
}


@pytest.mark.parametrize("code", POLICY_FAULTS)
def test_a_wrong_policy_is_named(code: str, tmp_path: Path) -> None:
    assert codes(definition(tmp_path, **POLICY_FAULTS[code])) == [code]


def test_a_source_without_time_needs_the_loud_word(tmp_path: Path) -> None:
    path = definition(tmp_path)
    text = path.read_text().replace("    paid_at = hf.EventTime()\n", "")
    path.write_text(text)
    assert "HF101" in codes(path)
    text = text.replace('"payments.parquet"', '"payments.parquet", without_time=True')
    path.write_text(text.replace('known_after="7d"', "known_later=True"))
    assert codes(path) == []


def test_without_time_there_are_no_windows(tmp_path: Path) -> None:
    path = definition(tmp_path, features="x = Payment.by(Card).count(over='7d')")
    text = path.read_text().replace("    paid_at = hf.EventTime()\n", "")
    text = text.replace('"payments.parquet"', '"payments.parquet", without_time=True')
    path.write_text(text.replace('known_after="7d"', "known_later=True"))
    assert codes(path) == ["HF117"]


def test_all_faults_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    path = definition(
        tmp_path,
        columns="size = hf.Float(ge=2, le=1)",
        features=FEATURE_FAULTS["HF103"],
        candidates="[]",
    )
    found = checked(path)
    assert [fault.code for fault in found.faults] == ["HF115", "HF103", "HF114"]
    with pytest.raises(DefinitionError) as raised:
        found.raise_for_faults()
    assert raised.value.faults == found.faults


def test_an_expression_has_no_truth_value(tmp_path: Path) -> None:
    path = definition(tmp_path)
    path.write_text(path.read_text() + "\nif Payment.amount > 3:\n    pass\n")
    with pytest.raises(DefinitionError, match=r"HF104(.|\n)*case\.py:\d+(.|\n)*hf\.when"):
        load_file(path)


def test_the_message_says_what_where_and_how(tmp_path: Path) -> None:
    (fault,) = checked(definition(tmp_path, features=FEATURE_FAULTS["HF103"])).faults
    what, where, hint = str(fault).splitlines()
    assert what == "`x` looks 7d ahead, so it cannot be a feature [HF103]"
    assert where.startswith("  at case.py:")
    assert hint == '  hint: `ahead=` is for labels; write `over="7d"` to look back'


def test_code_that_raises_keeps_its_traceback(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import holdfast as hf\nx = 1 / 0\n")
    with pytest.raises(UserCodeError) as raised:
        load_file(path)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert raised.value.site == Site(str(path), 2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.py"):
        load_file(tmp_path / "nowhere.py")


def test_two_use_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    first = definition(tmp_path)
    (tmp_path / "again.py").write_text(first.read_text())
    with pytest.raises(DefinitionError, match="defined twice"):
        load_folder(tmp_path)


@pytest.mark.parametrize("name", ["event_time", "by", "site", "columns"])
def test_a_column_may_not_be_called_what_every_source_uses(tmp_path: Path, name: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_file(definition(tmp_path, columns=f"{name} = hf.Float()"))
    assert caught.value.code == "HF128" and f'column="{name}"' in caught.value.hint
    assert isinstance(caught.value.site, Site)
    assert (
        f"    {name} = hf"
        in (tmp_path / "case.py").read_text().splitlines()[caught.value.site.line - 1]
    )
    renamed = definition(tmp_path, columns=f'named = hf.Float(column="{name}")')
    assert codes(renamed) == []


BOUNDED = {
    "smooth": ("hf.target_encoded(Payment.channel, smooth={})", 1e9),
    "words": ("hf.tfidf(Payment.note, words={})", 1_000_000),
    "ngrams": ("hf.tfidf(Payment.note, words=10, ngrams={})", 5),
    "components": ("hf.tfidf(Payment.note, words=10, components={})", 1_000),
    "buckets": ("hf.hashed(Payment.note, buckets={})", 1 << 20),
    "tokens": ("hf.embedding(Payment.note, model='m.onnx', tokens={})", 512),
    "size": ("hf.embedding(Payment.note, model='m.onnx', size={})", 1_024),
}


@pytest.mark.parametrize("option", BOUNDED)
def test_options_of_encoders_are_bounded(option: str, tmp_path: Path) -> None:
    feature, most = BOUNDED[option]
    for value, found in ((most, []), (most + 1, ["HF162"])):
        path = definition(
            tmp_path, columns="note = hf.Text()", features=f"x = {feature.format(value)}"
        )
        assert codes(path) == found
