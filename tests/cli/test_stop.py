"""Every long verb ends soon after a request to stop, even when a library loses the exception that a signal raises."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.cli import main
from avzsl.methods._base import Method
from avzsl.types import ClipFeatures

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")

SHORT = ["--set", "epochs=2", "--set", "batches=3", "--set", "batch_size=8", "--device", "cpu"]


def _losing(real: Callable[..., Any], at: int, calls: list[int]) -> Callable[..., Any]:
    """The function, with a request to end in its call number `at` whose exception gets lost."""

    def run(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError("nothing was raised")
        return real(*args, **options)

    return run


def test_world_stops_at_the_next_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from avzsl.world import render

    calls: list[int] = []
    monkeypatch.setattr(render, "_render", _losing(render._render, 2, calls))
    assert main(["world", str(tmp_path / "w"), "--classes", "10", "--clips", "4", "--seconds", "1"]) == 130
    assert capsys.readouterr().err == "stopped; the same command goes on where it was\n"
    assert len(calls) == len(list(tmp_path.rglob("*.mp4"))) == 2


def test_extract_stops_at_the_next_video_and_at_the_next_file_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from avzsl.features import benchmark, pipeline

    assert main(["world", str(tmp_path / "w"), "--classes", "10", "--clips", "4", "--seconds", "1"]) == 0
    command = ["extract", str(tmp_path / "w"), "--out", str(tmp_path / "d"), "--text", "hash-ngram", "--workers", "0"]
    for module, name in ((pipeline, "_check"), (benchmark, "write_class_file")):
        calls: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr(module, name, _losing(getattr(module, name), 3, calls))
            assert main(command) == 130
        assert capsys.readouterr().err == "stopped; the same command goes on where it was\n"
        assert len(calls) <= 4  # audio and visual of the class under way
        assert [p.name for p in (tmp_path / "d").iterdir()] == [".avzsl-cache"]
    assert main(command) == 0


def test_simulate_stops_at_the_next_class(
    toy_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from avzsl.simulate import benchmark

    calls: list[int] = []
    monkeypatch.setattr(benchmark, "write_class_file", _losing(benchmark.write_class_file, 3, calls))
    assert main(["simulate", "--like", str(toy_benchmark), "--clips", "4", "--out", str(tmp_path / "s")]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert len(calls) <= 4
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_predict_stops_at_the_next_file(
    toy: type[Method], toy_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from avzsl.predict.predictor import Predictor

    assert main(["train", "toy", "--data", str(toy_benchmark), "--out", str(tmp_path / "run"), *SHORT]) == 0
    capsys.readouterr()
    calls: list[int] = []

    class Extractor:
        extract = staticmethod(_losing(lambda path: ClipFeatures(np.ones((1, 5)), np.ones((1, 7)), 1.0), 2, calls))

    monkeypatch.setattr(Predictor, "extractor", Extractor)
    files = [str(tmp_path / f"{n}.mp4") for n in range(5)]
    assert main(["predict", str(tmp_path / "run"), *files, "--workers", "0"]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert len(calls) == 2


@pytest.mark.parametrize("verb", ["train", "benchmark"])
def test_training_does_not_begin_when_a_stop_was_lost_while_loading(
    verb: str, toy: type[Method], toy_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from avzsl.experiments import run
    from avzsl.training import stages

    calls: list[int] = []
    monkeypatch.setattr(run, "_check_method", _losing(run._check_method, 1, []))
    monkeypatch.setattr(stages, "train_step", _losing(stages.train_step, -1, calls))
    given = ["train", "toy"] if verb == "train" else ["benchmark", "--methods", "toy", "--seeds", "2"]
    command = [*given, "--data", str(toy_benchmark), "--out", str(tmp_path / "out"), *SHORT]
    assert main(command) == 130
    assert not calls
    err = capsys.readouterr().err
    assert err.endswith("the same command goes on where it was\n") and err.count("\n") == 1
    assert main(command) == 0
    assert len(calls) >= 6


def test_train_stops_when_the_request_comes_with_its_last_save(
    toy: type[Method], toy_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from avzsl.training import stages

    command = ["train", "toy", "--data", str(toy_benchmark), "--out", str(tmp_path / "run"), *SHORT]
    real = stages.save_state

    def save(folder: Path, state: Any, *rest: Any) -> None:
        real(folder, state, *rest)
        if state.stage == 2 and state.best_epoch is not None and state.epoch == state.best_epoch + 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "save_state", save)
        assert main(command) == 130
    assert "give the same command again" in capsys.readouterr().err
    assert not (tmp_path / "run" / "result.json").exists()
    assert main(command) == 0
