"""The first inputs of the hostile trial, and a fault of each kind that it must notice."""

from __future__ import annotations

import faulthandler
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

from avzsl.errors import DataError
from avzsl.features.store import reader
from trials.hostile import attempt, hdf5, media, models, mutate, runner, settings
from trials.hostile.attempt import FAULTS, Attempt, WrongResultError


@pytest.mark.filterwarnings("ignore::UserWarning")  # one epoch on a handful of clips
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes pipes")
@pytest.mark.parametrize(
    ("subject", "count"),
    [(hdf5, 40), (media, 20), (settings, 120), (models, 150)],
    ids=lambda v: getattr(v, "__name__", v),
)
def test_the_first_inputs_end_as_promised(
    subject: Any, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Helper", "SECONDS"):  # the trial has its own; afterwards they are what they were
        monkeypatch.setattr(reader, name, getattr(reader, name))
    found = list(subject.Subject(tmp_path).attempts(range(count), 7))
    assert [a.number for a in found] == list(range(count))
    assert not [a for a in found if a.outcome in FAULTS]
    assert {"refused", "other"} <= {a.outcome for a in found}


def test_the_same_seed_makes_the_same_damage() -> None:
    content = bytes(range(256)) * 8
    made = [
        [mutate.mutate_bytes(content, np.random.default_rng([s, n]), content) for n in range(50)] for s in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]
    assert sum(damaged != content for _, damaged in made[0]) > 40
    document = {"a": [1, 2, {"b": "c"}], "d": {"e": None}}
    for n in range(200):
        mutate.mutate_values(document, np.random.default_rng(n))
    assert document == {"a": [1, 2, {"b": "c"}], "d": {"e": None}}


def _raise(error: BaseException) -> bool:
    raise error


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (lambda _: True, "same"),
        (lambda _: False, "other"),
        (lambda _: _raise(DataError("it is damaged")), "refused"),
        (lambda _: _raise(DataError("reading it takes more than 2 s")), "refused: time"),
        (lambda _: _raise(DataError("it crashes: its process was ended by signal SIGSEGV")), "refused: crash"),
        (lambda _: _raise(DataError("it needs more memory than it is given")), "refused: memory"),
        (lambda _: _raise(DataError("")), "bad message"),
        (lambda _: _raise(KeyError("x")), "exception"),
        (lambda _: _raise(SystemExit(2)), "exception"),
        (lambda _: _raise(MemoryError()), "exception"),
        (lambda _: _raise(WrongResultError("NaN")), "wrong result"),
        (lambda folder: (folder / "file").write_text("else") > 0, "files changed"),
        (lambda folder: (folder / "file").unlink() is None, "files changed"),
        (lambda folder: (folder / "more").mkdir() is None, "files changed"),
    ],
)
def test_outcomes_are_told_apart(call: Any, outcome: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    assert attempt.run(3, "flip", lambda: call(tmp_path), tmp_path).outcome == outcome


@pytest.mark.parametrize("text", ["a\nb", "x" * 3000, " ", "Traceback (most recent call last)"])
def test_a_bad_message_is_a_fault(text: str) -> None:
    assert attempt.judge_message(text)[0] == "bad message"


class _Falling:
    """Input 1 hangs, 3 crashes, 5 raises."""

    limit = 0.5

    def __init__(self, base: Path) -> None:
        self.base = base

    def attempts(self, numbers: range, seed: int) -> Iterator[Attempt]:
        for number in numbers:
            damaged = self.base / "damaged"
            damaged.write_text(str(number))
            attempt.tell(self.base, damaged)
            if number == 1:
                time.sleep(60)
            if number == 3:
                faulthandler.disable()  # its report of the crash is not wanted here
                os.abort()
            found = Attempt(number, "flip", "exception" if number == 5 else "same")
            attempt.keep_fault(self.base, damaged, found)
            yield found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_crash_and_a_hang_are_counted_and_the_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = runner.run_subject(_Falling, "falling", 4, 7, tmp_path)
    assert first["done"] == 4
    score = runner.run_subject(_Falling, "falling", 8, 7, tmp_path)
    assert score["outcomes"] == {"same": 5, "hang": 1, "crash": 1, "exception": 1}
    assert [(number, what) for number, _, what, _ in score["faults"]] == [(1, "hang"), (3, "crash"), (5, "exception")]
    kept = {path.name: path.read_text() for path in (tmp_path / "faults").iterdir()}
    assert sorted(kept.values()) == ["1", "3", "5"]
    assert runner.read_score(tmp_path, "falling", 8)["done"] == 0  # another seed begins anew
    lines = dict(itertools.islice((line.rsplit(None, 1) for line in runner.summary([score])), 1, None))
    assert lines["inputs"] == "8" and lines["faults"] == "3"
