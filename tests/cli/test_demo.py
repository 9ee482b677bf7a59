"""The demo on a tiny world: everything it promises is there, and a second call shows it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avzsl.cli import main

pytest.importorskip("av")
pytest.importorskip("jinja2")

SMALL = ["--classes", "10", "--clips", "4", "--text", "hash-ngram", "--workers", "0", "--quiet"]
SHORT = ["--set", "train.epochs=2", "--set", "train.batches=3", "--set", "batch_size=16"]


@pytest.mark.filterwarnings("ignore:validation HM is 0")  # six steps of training judge nothing
def test_the_demo_ends_with_scores_paths_and_next_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), *SMALL, *SHORT]) == 0
    shown = capsys.readouterr().out
    record = json.loads((out / "result.json").read_text())
    assert {"seen", "unseen", "hm", "zsl", "zsl_chance", "bias", "epoch", "seed", "seconds"} <= set(record)
    assert record["simulated"] is True
    assert set(record["baselines"]) == {"ridge, audio", "ridge, visual", "ridge, both"}
    assert set(record["stage_seconds"]) == {"render", "extract", "baselines", "train", "predict", "report"}
    assert record["hm"] == json.loads((out / "stft" / "result.json").read_text())["hm"]
    unseen = {p["true"] for p in record["predictions"]}
    assert len(record["predictions"]) == 8 and len(unseen) == 4
    for prediction in record["predictions"]:
        assert {guess["name"] for guess in prediction["guesses"]} <= unseen
    for path in (out / "report.html", out / "result.json", out / "world", out / "data" / "DemoWorld", out / "stft"):
        assert path.exists() and str(path) in shown
    assert "data:image" in (out / "report.html").read_text()
    assert sum(line.startswith("  avzsl ") for line in shown.split("next:")[1].splitlines()) == 3

    assert main(["demo", "--out", str(out), *SMALL, *SHORT, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["digest"] == record["digest"]
    assert [p["guesses"] for p in again["predictions"]] == [p["guesses"] for p in record["predictions"]]
