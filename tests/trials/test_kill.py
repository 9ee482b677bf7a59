"""The short form of `python -m trials.kill`, and that its comparison notices what it should."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

from trials import children, kill
from trials.compare import contents, differences

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes")


def test_a_killed_save_leaves_a_whole_state() -> None:
    trial = kill.kill_saves(2, random.Random(1))
    assert (trial.held, trial.kills, trial.faults) == (2, 2, [])


@pytest.mark.slow
def test_a_save_that_writes_in_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_place(path: Path, content: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(content), 1 << 14):
                file.write(content[start : start + (1 << 14)])

    monkeypatch.setattr("avzsl.files.write_bytes", in_place)
    # One kill at a time: every second one waits for a temporary file, which does not come here.
    assert any(kill.kill_saves(1, random.Random(seed)).faults for seed in range(30))


def test_the_comparison_leaves_out_times_and_nothing_else(tmp_path: Path) -> None:
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "result.json").write_text(json.dumps({"hm": 1.5, "seconds": seconds, "l": [{"seconds": 3}]}))
        (tmp_path / name / "epochs.jsonl").write_text(json.dumps({"loss": 0.1, "seconds": seconds}) + "\n")
        (tmp_path / name / "deep" / "x.bin").write_bytes(b"12")
    expected = contents(tmp_path / "a")
    assert differences(expected, contents(tmp_path / "b")) == []
    (tmp_path / "b" / "result.json").write_text(json.dumps({"hm": 1.5000000000000002, "seconds": 1.0, "l": [{}]}))
    (tmp_path / "b" / "deep" / "x.bin").rename(tmp_path / "b" / ".x.partial.bin")
    assert differences(expected, contents(tmp_path / "b")) == [
        f"{Path('deep/x.bin')} is missing", ".x.partial.bin is one too many", "result.json differs",
    ]  # fmt: skip


def test_what_a_child_says_and_how_it_ends_is_known() -> None:
    def fail() -> int:
        print("no luck", file=sys.__stderr__, flush=True)
        return 3

    child = children.Child(fail)
    assert (child.wait(), child.code) == ("no luck", 3)
    assert not children.Child(lambda: 0).kill_after(30)


@pytest.mark.slow
def test_killed_trainings_extractions_and_benchmarks_end_as_if_nothing_had_been(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = kill.main(["--kills", "3", "--save-kills", "10", "--extract-kills", "1", "--benchmark-kills", "1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {t["name"]: (t["held"], t["kills"]) for t in found["trials"]} == {
        "train stft": (2, 2), "train vaegan": (1, 1), "saves": (10, 10), "extract": (1, 1), "benchmark": (1, 1),
    }, found  # fmt: skip
    assert code == 0
