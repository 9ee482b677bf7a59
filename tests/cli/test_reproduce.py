"""The verb: what it prints, its files, its exit codes, its page in the docs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from avzsl.cli import main

TINY = [
    word
    for setting in (
        "stft:hidden=16", "stft:heads=2", "stft:head_width=4", "stft:attention_hidden=4", "stft:head_hidden=8",
        "stft:embedding=8", "stft:rank=3", "stft:time_steps=2", "epochs=1", "batches=2", "batch_size=8",
    )
    for word in ("--set", setting)
]  # fmt: skip


def test_a_table_is_worked_out_shown_and_shown_again(
    toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    base = ["reproduce", "table9", "--data", str(toy_benchmark), "--out", str(out), "--quick", "--quiet", "--device",
            "cpu", *TINY]  # fmt: skip
    assert main([*base, "--plan"]) == 0
    assert "6 different trainings, 0 finished, 6 left: no estimate" in capsys.readouterr().out
    assert main(base) == 0
    shown, err = capsys.readouterr()
    assert err == ""
    assert "Table IX (quick): The ablation study" in shown and "No reproduction" in shown
    rows = [line for line in shown.splitlines() if line.startswith("Only SNN")]
    assert len(rows) == 1 and "24.44" in rows[0] and "±" in rows[0]
    assert str(out / "index.html") in shown and str(out / "table9" / "table9.html") in shown
    assert main([*base, "--plan", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["trainings"], plan["left"]) == (6, 0)
    assert main([*base, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["records"][0] == json.loads((out / "table9" / "table9.json").read_text())


def test_a_failed_training_is_told_and_the_exit_code_tells(
    toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["reproduce", "table9", "--data", str(toy_benchmark), "--out", str(tmp_path / "r"), "--quick", "--quiet",
            "--device", "cpu", "--seeds", "1", *TINY, "--set", "learning_rate=1e30"]  # fmt: skip
    assert main(base) == 1
    err = capsys.readouterr().err
    assert re.search(r"error: \d of 3 trainings failed, the first is stft, seed 0: ", err), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel4"], "unknown item 'tabel4'; did you mean 'table4'?"),
        (["table4", "--seeds", "0"], "--seeds is 0"),
        (["table4", "--jobs", "0"], "jobs is 0"),
        (["table4", "--data", "nowhere"], "there is no folder nowhere"),
        (["table4", "--preset", "uffc"], "has a preset 'uffc'"),
        (["table4", "--set", "epohcs=1"], "did you mean 'epochs'?"),
        (["table4", "--out", "FULL"], "is not empty and holds no reproduction"),
        (["table4", "--family", "cls"], "cls_features"),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: list[str], message: str, toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    base = ["reproduce", "--out", str(tmp_path / "r"), "--quiet"]
    base += [] if "--data" in arguments else ["--data", str(toy_benchmark)]
    assert main([*base, *(str(tmp_path / "full") if a == "FULL" else a for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert not (tmp_path / "r").exists()


def test_an_item_without_data_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "table4", "--out", str(tmp_path / "r")]) == 2
    assert "table4 (Table IV) needs data; give a benchmark folder with --data" in capsys.readouterr().err


def test_the_docs_name_every_option_and_item(capsys: pytest.CaptureFixture[str]) -> None:
    from avzsl.experiments.reproduce.all import item_names

    page = (Path(__file__).resolve().parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
    assert main(["reproduce", "--help"]) == 0
    options = set(re.findall(r"(--[a-z]+)", capsys.readouterr().out)) - {"--help", "--json", "--quiet"}
    assert not {option for option in options if f"`{option}" not in page and f" {option}" not in page}
    assert not {name for name in item_names() if f"`{name}`" not in page}
