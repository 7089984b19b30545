"""Every wrong command and input: exit code, code, what to do; as text and as the envelope."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.main import VERBS
from holdfast.errors import InternalError, StoreError
from holdfast.loop.project import Project
from tests.unit.cli.calls import MODULE, PATIENCE_S, call, spawn

FAULTY = """\
import holdfast as hf

Card = hf.Entity("card_id")


class Payment(hf.Event, source="p.csv"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    card_id = hf.Key(Card)
    amount = hf.Float(gt=0)
    bad = hf.Boolean(known_after="7d")


class Features(hf.Features):
    spend = Payment.by(Card).sum(Payment.amount, ahead="7d")
    count = Payment.by(Card).count(over="7 days")


use_case = hf.UseCase(
    name="Bad Name",
    owner="me",
    each=Payment,
    predict=Payment.bad,
    features=Features,
    value=hf.Payoff("EUR", go=1, stop=0),
    training=hf.Training(candidates=[hf.LogisticRegression()], history="60d"),
)
"""

WRONG: dict[str, tuple[tuple[str, ...], int, str, str]] = {
    "unknown verb": (("tain",), 2, "HF712", "'train'"),
    "unknown option": (("train", "--fast"), 2, "HF712", "--fast"),
    "bad moment": (("train", "--from", "soon"), 2, "HF712", "2026-01-31"),
    "half a range": (("train", "--from", "2026-01-31"), 2, "HF712", "--test-to"),
    "unknown use case": (("train", "card-fruad"), 2, "HF701", "card-fraud"),
    "no model yet": (("evaluate",), 2, "HF610", "train"),
    "serve without a model": (("serve",), 2, "HF610", "train"),
    "predict without a model": (("predict", "card-fraud", "a.csv", "b.csv"), 2, "HF610", "train"),
    "never served": (("explain", "card-fraud", "p_1"), 2, "HF504", "serve"),
    "no such version": (("models", "card-fraud", "--promote", "9"), 2, "HF610", ""),
    "no Parquet": (("features", "--out", "x.csv"), 2, "HF705", ".parquet"),
    "no such world": (("new", "froud"), 2, "HF706", "--data"),
    "label without data": (("new", "fraud", "--label", "x"), 2, "HF712", "--data"),
    "data without label": (("new", "x", "--data", "x.csv"), 2, "HF712", "--label"),
    "a name that is none": (("new", "A b", "--data", "x", "--label", "y"), 2, "HF708", "churn"),
    "no such table": (("new", "x", "--data", "no.csv", "--label", "y"), 1, "HF2", ""),
    "port out of range": (("serve", "--port", "70000"), 2, "HF712", "65535"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_says_what_and_what_to_do(case: str, world: Path, tmp_path: Path) -> None:
    words, code, error, hint = WRONG[case]
    bare = tmp_path / "bare"  # the world is shared: a test that finds no model needs its own
    bare.mkdir()
    shutil.copy(world / "fraud.py", bare)
    for part in ("payments", "chargebacks"):
        (bare / part).symlink_to(world / part)
    said = call(*words, project=bare)
    assert said.code == code, said
    assert re.search(rf"^\w+Error: .*\[{error}\d*\]$", said.err, re.MULTILINE), said.err
    assert "hint:" in said.err and hint in said.err
    assert "Traceback" not in said.err and said.out == ""
    told = call(*words, "--json", project=bare)
    assert told.code == code
    assert told.error["code"].startswith(error) and told.error["hint"]


def test_no_such_project_folder(tmp_path: Path) -> None:
    said = call("status", "--json", project=tmp_path / "nowhere")
    assert (said.code, said.error["code"]) == (2, "HF701")


def test_an_empty_folder_is_told_how_to_begin(tmp_path: Path) -> None:
    for verb in ("check", "status"):
        said = call(verb, project=tmp_path)
        assert said.code == 0 and "holdfast new fraud" in said.out
    said = call("train", project=tmp_path)
    assert said.code == 2 and "holdfast new fraud" in said.err
    assert "holdfast train" in call("models", project=tmp_path).out


def test_check_shows_all_faults_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(FAULTY, encoding="utf-8")
    said = call("check", project=tmp_path)
    assert said.code == 2
    assert len(re.findall(r"\[HF1\d\d\]", said.out)) >= 3
    assert len(re.findall(r"at bad\.py:\d+", said.out)) >= 3
    told = call("check", "--json", project=tmp_path)
    assert told.code == 2
    faults = told.error["faults"]
    assert len(faults) >= 3 and all(re.fullmatch(r"bad\.py:\d+", f["where"]) for f in faults)
    train = call("train", project=tmp_path)
    assert train.code == 2 and len(re.findall(r"^DefinitionError: ", train.err, re.M)) >= 3


def test_code_that_raises_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = 1 / 0  # UseCase(\n", encoding="utf-8")
    said = call("check", project=tmp_path)
    assert said.code == 2
    assert "[HF120]" in said.err and "bad.py:1" in said.err and "ZeroDivisionError" in said.err


def test_missing_and_broken_data_is_a_finding(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "fraud.py", tmp_path)
    said = call("audit", "--json", project=tmp_path)
    assert said.code == 1 and said.error["code"].startswith("HF2")
    (tmp_path / "payments").mkdir()
    (tmp_path / "payments" / "one.parquet").write_bytes(b"")
    empty = call("audit", project=tmp_path)
    assert empty.code == 1 and "one.parquet" in empty.err


def test_new_overwrites_nothing_unasked(world: Path) -> None:
    before = (world / "fraud.py").read_bytes()
    said = call("new", "fraud", "--folder", world)
    assert said.code == 2 and "[HF707]" in said.err and "--force" in said.err
    assert (world / "fraud.py").read_bytes() == before


def test_new_and_demo_leave_the_data_of_others_alone(tmp_path: Path) -> None:
    mine = tmp_path / "payments" / "payments-2026-01.parquet"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert call("new", "fraud", "--folder", tmp_path, "--payments", 1000).code == 2
    said = call("demo", "--folder", tmp_path, "--json")
    assert (said.code, said.error["code"]) == (2, "HF707")
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (RuntimeError("boom"), 70, "[HF999]"),
        (InternalError("broken", code="HF900"), 70, "[HF900]"),
        (StoreError("gone", code="HF601"), 3, "[HF601]"),
        (PermissionError(13, "Permission denied", "/x/y"), 3, "[HF713]"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_each_failure_has_its_exit_code(
    error: BaseException, code: int, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(self: Project) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(Project, "status", fail)
    said = call("status", project=tmp_path)
    assert (said.code, said.out) == (code, "")
    assert says in said.err and "Traceback" not in said.err
    shown = call("status", "--debug", project=tmp_path)
    assert shown.code == code
    assert code == 130 or "Traceback" in shown.err
    if code != 130:
        assert call("status", "--json", project=tmp_path).error["code"] in says


def test_every_verb_takes_the_shared_options() -> None:
    for verb in VERBS:
        said = call(verb, "--help")
        assert said.code == 0
        for option in ("--json", "--project", "--debug"):
            assert option in said.out, verb


def test_version_help_and_no_verb() -> None:
    assert re.fullmatch(r"holdfast \d+\.\d+\.\d+\n", call("--version").out)
    said = call("--help")
    assert said.code == 0 and all(verb in said.out for verb in VERBS)
    bare = call()
    assert bare.code == 2 and "Usage:" in bare.out + bare.err


def test_a_reader_that_left_is_no_error(world: Path) -> None:
    command = [*MODULE, "check", "--json", "--project", str(world)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in said and "BrokenPipe" not in said and "Exception" not in said


def test_a_process_of_its_own_ends_with_the_same_codes(tmp_path: Path) -> None:
    assert spawn("tain").code == 2
    said = spawn("train", "--project", tmp_path)
    assert said.code == 2 and said.err.startswith("NotFoundError: ")


def test_a_setting_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_THREADS", "many")
    said = spawn("doctor", "--project", tmp_path)
    assert said.code == 2 and "[HF714]" in said.err and "many" in said.err
