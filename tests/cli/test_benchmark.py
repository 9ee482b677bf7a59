"""The verb: its table, its files, its exit codes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from avzsl.cli import main
from avzsl.cli.benchmark import _seeds
from avzsl.errors import SettingError
from avzsl.methods import METHODS, Method, _own

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "own_method.py")
FAST = ["--set", "epochs=2", "--set", "batches=3", "--set", "batch_size=16", "--set", "learning_rate=0.02"]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.setattr(_own, "_USED", [])
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_method_of_ones_own_stands_in_the_table(
    toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b"
    arguments = [
        "--use", EXAMPLE, "benchmark", "--data", str(toy_benchmark), "--out", str(out), "--methods", "ridge,sphere",
        "--seeds", "2", "--device", "cpu", "--quiet", *FAST,
    ]  # fmt: skip
    assert main(arguments) == 0
    shown, err = capsys.readouterr()
    assert err == ""
    table = [line.split() for line in shown.splitlines() if line.strip().startswith(("1 ", "2 "))]
    assert {row[1] for row in table} == {"ridge", "sphere"}
    assert "ZSL by guessing: 50.00 %" in shown and "seeds: 0, 1" in shown
    for name in ("benchmark.json", "benchmark.md", "benchmark.csv", "benchmark.html"):
        assert (out / name).is_file() and str(out / name) in shown
    assert main([*arguments, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((out / "benchmark.json").read_text())
    assert {row["method"]: row["preset"] for row in record["tables"][0]["rows"]} == {
        "ridge": "default",
        "sphere": "none",
    }
    assert "sphere" in (out / "benchmark.html").read_text()


def test_a_line_stands_below_the_best_method_that_does_not_learn(
    toy_benchmark: Path, toy: type[Method], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poor = ["--set", "toy:epochs=1", "--set", "toy:batches=1", "--set", "toy:learning_rate=1e-9"]
    base = ["benchmark", "--data", str(toy_benchmark), "--out", str(tmp_path / "b"), "--seeds", "2", "--quiet"]
    assert main([*base, "--methods", "toy,ridge", *poor, "--set", "bias_search=exact"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if set(line) == {"-"})
    assert lines[place - 1].split()[:2] == ["1", "ridge"]
    assert lines[place + 1].split()[:2] == ["2", "toy"] and "*" in lines[place + 1]


def test_a_failed_run_is_told_and_the_exit_code_tells(
    toy_benchmark: Path, toy: type[Method], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["benchmark", "--data", str(toy_benchmark), "--out", str(tmp_path / "b"), "--seeds", "7,", "--quiet", *FAST]
    assert main([*base, "--methods", "toy,ridge", "--set", "toy:learning_rate=1e30"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: 1 of 2 runs failed, the first is toy, seed 7: the loss") and err.count("\n") == 1
    assert "  toy: the loss" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "toi"], "unknown method 'toi'; did you mean 'toy'?"),
        (["--methods", ","], "at least one data folder, one method and one seed"),
        (["--seeds", "0"], "--seeds is 0; give at least one seed (one certain seed is '0,')"),
        (["--seeds", "a"], "--seeds is 'a'; give a number of seeds, or seeds with commas"),
        (["--seeds", "1,1"], "seed 1 is given twice"),
        (["--jobs", "0"], "jobs is 0"),
        (["--set", "epohcs=1"], "did you mean 'epochs'?"),
        (["--set", "rigde:penalty=1"], "unknown method 'rigde'; did you mean 'ridge'?"),
        (["--preset", "uffc"], "none of the methods has a preset 'uffc'"),
        (["--preset", "no.toml"], "cannot read the preset no.toml"),
        (["--family", "cls"], "cls_features"),
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--out", "FULL"], "is not empty and holds no benchmark"),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: list[str], message: str, toy_benchmark: Path, toy: type[Method], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    base = [
        "benchmark",
        "--data",
        str(toy_benchmark),
        "--out",
        str(tmp_path / "b"),
        "--methods",
        "toy,ridge",
        "--quiet",
    ]
    assert main([*base, *(str(tmp_path / "full") if a == "FULL" else a for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "b").exists()


def test_seeds_are_a_number_or_a_list() -> None:
    assert _seeds("3") == (0, 1, 2)
    assert _seeds("0, 5,7") == (0, 5, 7)
    assert _seeds("7,") == (7,)
    with pytest.raises(SettingError):
        _seeds("1.5")


def test_the_docs_name_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "benchmark.md").read_text(encoding="utf-8")
    for verb in ("benchmark", "simulate"):
        assert main([verb, "--help"]) == 0
        options = set(re.findall(r"(--[a-z]+)", capsys.readouterr().out)) - {"--help", "--json", "--quiet", "--out"}
        assert not {option for option in options if f"`{option}" not in page and f" {option}" not in page}, verb
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (Path(__file__).resolve().parents[2] / "docs" / target).exists(), target
