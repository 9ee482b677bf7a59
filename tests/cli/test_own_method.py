"""A method of the user's own takes part in everything: the example of the package, and files with faults."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from avzsl.cli import main
from avzsl.methods import METHODS, _own

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "own_method.py")
FAST = ["--set", "epochs=8", "--set", "batches=10", "--set", "batch_size=32", "--set", "learning_rate=0.01"]


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.setattr(_own, "_USED", [])
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_the_example_is_trained_judged_and_names_videos(
    toy_benchmark: Path, readable: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    data = ["--data", str(toy_benchmark)]
    assert main(["--use", EXAMPLE, "train", "sphere", *data, "--out", str(run), *FAST, "--quiet", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["method"] == "sphere"
    assert trained["seen"] > 50  # one of eight by guessing: it learns
    assert main(["--use", EXAMPLE, "evaluate", str(run), *data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hm"] == trained["hm"]
    (tmp_path / "one.mp4").write_text("1")
    video = str(tmp_path / "one.mp4")
    assert main(["--use", EXAMPLE, "predict", str(run), video, "--workers", "0", "--classes", "apple, kite"]) == 0
    assert "kite" in capsys.readouterr().out


def test_a_stored_model_of_an_unknown_method_says_what_to_use(
    toy_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = str(tmp_path / "run"), ["--data", str(toy_benchmark)]
    short = ["--set", "epochs=1", "--set", "batches=1", "--set", "batch_size=8"]
    with pytest.MonkeyPatch.context() as here:
        here.setattr(METHODS, "_entries", dict(METHODS._entries))
        assert main(["--use", EXAMPLE, "train", "sphere", *data, "--out", run, *short, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, *data]) == 2
    line = capsys.readouterr().err
    assert "unknown method 'sphere'" in line and line.count("\n") == 1
    assert line.rstrip().endswith(
        "(a method of your own needs its file: avzsl --use FILE.py ..., or avzsl.use('FILE.py'))"
    )
    monkeypatch.setenv("AVZSL_USE", EXAMPLE)
    assert main(["evaluate", run, *data]) == 0


def test_it_is_listed_with_its_settings_and_profiled(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--use", EXAMPLE, "methods"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("sphere"))
    assert "0.31 M" in line  # (512 + 512) * 300 + 300, and 2 * 1024 of the batch norm
    assert main(["--use", EXAMPLE, "methods", "sphere"]) == 0
    shown = capsys.readouterr().out
    assert "parameters: 309,548 at 512/512/300 columns" in shown
    assert "presets: none" in shown and "temperature = 0.05" in shown
    assert main(["--use", EXAMPLE, "profile", "sphere", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 309548
    assert main(["methods", "sphere"]) == 0  # known from now on in this process


def test_the_example_keeps_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-method", EXAMPLE, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["method"], record["kept"]) == ("sphere", True)
    assert {promise["state"] for promise in record["promises"]} == {"kept"}
    assert main(["check-method", EXAMPLE, "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("sphere: 11 kept, 0 broken, 0 not applicable\n")


def test_a_broken_promise_is_told_and_the_exit_code_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(EXAMPLE).read_text()
    path = tmp_path / "broken.py"
    path.write_text(text.replace("cosine / self.config", "cosine + torch.rand(1) / self.missing"))
    assert main(["check-method", str(path), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert "learns                  BROKEN" in out
    assert "  learns broken: AttributeError: 'Sphere' object has no attribute 'missing' (clean, averaged)" in out
    path.write_text(text.replace("dim=1)\n\n    def embed_classes", "dim=1) + torch.rand(1)\n\n    def embed_classes"))
    assert main(["check-method", str(path), "--json"]) == 1
    (record,) = json.loads(capsys.readouterr().out)
    told = {promise["name"]: promise["reason"] for promise in record["promises"] if promise["state"] == "broken"}
    assert told["no_trace"] == "the second call gave other scores (clean, averaged)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--use", "absent.py", "methods"], "error: there is no Python file absent.py; check the path"),
        (["--use", "FILE", "methods"], "line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (["check-method", "FILE"], "line 1: ModuleNotFoundError"),
        (["check-method", "EMPTY"], 'empty.py registers no method; put @register("name") above its class'),
        (["check-method", "absent.py"], "there is no Python file absent.py"),
        (["check-method", "rigde"], "unknown method 'rigde'; did you mean 'ridge'?"),
        (["train", "ridge", "--data", "x", "--out", "y", "--preset", "my.toml"], "cannot read the preset my.toml: No "),
        (["train", "ridge", "--data", "x", "--out", "y", "--preset", "TOML"], "is not valid TOML"),
        (["train", "ridge", "--data", "x", "--out", "y", "--preset", "SECTION"], "unknown section 'metod' in preset /"),
    ],
)
def test_a_wrong_file_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"FILE": "own.py", "EMPTY": "empty.py", "TOML": "broken.toml", "SECTION": "section.toml"}
    (tmp_path / "own.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "broken.toml").write_text("x = \n")
    (tmp_path / "section.toml").write_text("[metod]\npenalty = 1\n")
    assert main([str(tmp_path / files[a]) if a in files else a for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_a_preset_of_ones_own_is_a_file(
    toy_benchmark: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text('[method]\npenalty = 0.5\n\n[protocol]\nbias_search = "exact"\n\n[paper]\nhm = 12.3\n')
    arguments = [
        "train",
        "ridge",
        "--data",
        str(toy_benchmark),
        "--out",
        str(tmp_path / "run"),
        "--preset",
        str(preset),
    ]
    assert main([*arguments, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["preset"] == str(preset)
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert (settings["method"]["penalty"], settings["protocol"]["bias_search"]) == (0.5, "exact")
    preset.write_text("[method]\npenalty = 0.25\n")
    assert main(arguments) == 2
    assert "belongs to a run with method.penalty = 0.5, now it is 0.25" in capsys.readouterr().err
