"""The verbs that look at finished runs: compare and leaderboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avzsl.cli import main
from avzsl.cli.compare import verdict

FAST = ["--set", "epochs=1", "--set", "batches=2", "--set", "batch_size=16", "--device", "cpu", "--quiet"]


@pytest.fixture
def benchmark_folder(toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    out = tmp_path / "bench"
    assert main(["benchmark", "--data", str(toy_benchmark), "--out", str(out), "--methods", "ridge,eszsl", "--seeds",
                 "2", *FAST]) == 0  # fmt: skip
    single = ["train", "ridge", "--data", str(toy_benchmark), "--out", str(tmp_path / "single"), "--seed", "7", *FAST]
    assert main(single) == 0
    capsys.readouterr()
    return out


def test_runs_of_train_and_of_benchmark_stand_in_one_table(
    benchmark_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "board"
    places = [str(benchmark_folder), str(tmp_path / "single")]
    assert main(["leaderboard", *places, "--out", str(out), "--draws", "50"]) == 0
    shown, err = capsys.readouterr()
    assert err == "" and "3 (seeds 0, 1, 7)" in shown and "2 (seeds 0, 1)" in shown
    for end in ("html", "md", "csv", "json"):
        assert f"written: {out / f'leaderboard.{end}'}" in shown
    assert main(["leaderboard", *places, "--json", "--draws", "50"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "leaderboard.json").read_text())


def test_two_methods_are_compared_seed_by_seed(benchmark_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [str(benchmark_folder / "runs" / name) for name in ("ridge", "eszsl")]
    assert main(["compare", *sides, "--draws", "50"]) == 0
    shown = capsys.readouterr().out
    assert "first ridge (2 runs), second eszsl (2 runs)" in shown and "HM: " in shown
    assert main(["compare", *sides, "--draws", "50", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["first"]["seeds"] == [0, 1] and set(record["differences"]) == {"seen", "unseen", "hm", "zsl"}


def test_wrong_requests_end_in_one_line(benchmark_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = str(benchmark_folder / "runs")
    for arguments, message in (
        (["compare", runs, runs], "runs of different settings"),
        (["compare", "nowhere", runs], "there is no folder nowhere"),
        (["compare", f"{runs}/ridge", f"{runs}/eszsl", "--level", "clip"], "did you mean 'clips'"),
        (["leaderboard", "nowhere"], "there is no folder nowhere"),
        (["leaderboard", runs, "--draws", "0"], "draws is 0"),
    ):
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_the_sentence_names_the_better_one() -> None:
    record = {
        "first": {"method": "a"}, "second": {"method": "b"},
        "differences": {"hm": {"p_value": 0.01, "difference": -3.0}, "zsl": {"p_value": 0.2, "difference": 9.0}},
    }  # fmt: skip
    assert verdict(record, "hm") == "HM: the second (b) is better (p = 0.0100)"
    assert verdict(record, "zsl").startswith("ZSL: no difference shown (p = 0.2000)")
