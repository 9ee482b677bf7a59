"""Progress goes to stderr: bars on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import sys

import pytest

from avzsl import progress
from avzsl.cli import _progress
from avzsl.cli._output import print_table


def _work() -> None:
    with progress.task("stage 1", 4) as running:
        for step in range(4):
            running.advance(1, f"epoch {step} [x]")


def test_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 10.0, 31.0, 31.0, 40.0, 70.0, 70.0])
    monkeypatch.setattr(_progress.time, "monotonic", lambda: next(clock))
    with _progress.show_progress(quiet=False):
        _work()
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "stage 1: 2/4, epoch 1 [x]\nstage 1: 4/4, epoch 3 [x]\n"


def test_quiet_shows_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_progress, "EVERY", 0.0)
    with _progress.show_progress(quiet=True):
        _work()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_bars_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with _progress.show_progress(quiet=False):
        _work()
    assert "stage 1" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_numbers_stand_to_the_right_and_texts_to_the_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "count"], [["a", "1"], ["longer", "1,234"]])
    assert capsys.readouterr().out == "name    count\na           1\nlonger  1,234\n"
