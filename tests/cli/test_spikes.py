"""`avzsl spikes`, once from training to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import avzsl
from avzsl.cli import main

SMALL = [
    f"--set={text}"
    for text in (
        "hidden=32", "heads=2", "head_width=8", "attention_hidden=8", "head_hidden=8", "embedding=4", "slots=1",
        "time_steps=3", "rank=4", "largest_rank=4", "threshold=0.4", "epochs=1", "batches=2", "batch_size=8",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def run(toy_benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "stft"
    assert main(["train", "stft", "--data", str(toy_benchmark), "--out", str(folder), *SMALL, "-q"]) == 0
    return folder


def test_a_trained_run_gets_tables_a_page_and_pictures(
    run: Path, toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spikes", str(run), "--data", str(toy_benchmark), "--out", str(tmp_path), "--clips", "1", "-q"]) == 0
    said = capsys.readouterr().out
    assert "Spikes of STFT" in said and "Firing rates" in said and "spikes.html" in said
    record = json.loads((tmp_path / "spikes.json").read_text())
    assert len(record["shown"]) == 1 and record["clips"]["all"] > 0
    for name in ("spikes.csv", "spikes.md", "spikes.html", "pictures/rates.png", "pictures/clip0-audio.svg"):
        assert (tmp_path / name).stat().st_size > 0
    survey = avzsl.open_run(run, device="cpu").spikes(toy_benchmark, shown=1)
    assert survey.as_dict() == record


def test_json_is_the_record_and_nothing_else(
    run: Path, toy_benchmark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spikes", str(run), "--data", str(toy_benchmark), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((run / "spikes" / "spikes.json").read_text())


def test_a_method_without_spikes_says_so_in_one_line(
    toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "ridge", "--data", str(toy_benchmark), "--out", str(tmp_path / "ridge"), "-q"]) == 0
    capsys.readouterr()
    assert main(["spikes", str(tmp_path / "ridge"), "--data", str(toy_benchmark), "-q"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no spiking neurons" in said
    assert not (tmp_path / "ridge" / "spikes").exists()
