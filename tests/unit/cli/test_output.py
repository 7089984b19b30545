"""What is written where: progress without and with a terminal, tables, plain JSON."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from holdfast.cli.output import Output, TerminalProgress, plain


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def work(progress: TerminalProgress) -> None:
    with progress.step("folding", total=200, unit="events") as step:
        step.advance(50)
        step.advance(150)


def test_without_a_terminal_each_finished_step_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    work(TerminalProgress())
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith("folding: 200 events in ") and line.endswith(" events/s")


def test_a_step_that_failed_is_not_called_finished(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), TerminalProgress().step("folding", unit="x"):
        raise ValueError("no")
    assert capsys.readouterr().err == ""


def test_programs_see_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TerminalProgress(quiet=True)
    work(progress)
    progress.note("by the way")
    assert capsys.readouterr() == ("", "")
    assert progress.rates["folding"] > 0


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    work(TerminalProgress())
    assert "folding" in terminal.getvalue()
    assert "100%" in terminal.getvalue() and "events/s" in terminal.getvalue()


def test_a_slow_rate_still_says_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = iter((10.0, 12.0))
    monkeypatch.setattr("holdfast.cli.output.monotonic_s", lambda: next(moments))
    with TerminalProgress().step("training", total=1, unit="fits") as step:
        step.advance(1)
    assert capsys.readouterr().err == "training: 1 fits in 2.0 s, 0.5 fits/s\n"


def test_lines_are_broken_between_words_only_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "  because " + "words and more " * 12
    for stream, lines in ((io.StringIO(), 1), (Terminal(), 3)):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", "80")
        Output("x", as_json=False).line(text)
        said = stream.getvalue().splitlines()
        assert len(said) == lines
        assert " ".join(said).split() == text.split()
        assert lines == 1 or max(map(len, said)) <= 80


def test_tables_keep_to_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["a name", "1,234.50", "words " * 30], ["b", "-3", "few [words]"]]
    Output("x", as_json=False).table(("name", "worth", "about"), rows)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "few [words]" in said
    Output("x", as_json=True).table(("name", "worth", "about"), rows)
    assert capsys.readouterr().out == ""


def test_what_is_not_a_number_is_null() -> None:
    said = plain({1: np.float64("inf"), "b": (np.int64(3), np.bool_(True), {"c": float("nan")})})
    assert said == {"1": None, "b": [3, True, {"c": None}]}
