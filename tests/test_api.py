"""The five lines of Python in the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import avzsl
from avzsl.data.splits import Benchmark
from avzsl.errors import ModelError, SettingError
from avzsl.methods._base import Method

FAST = {"epochs": 2, "batches": 3, "batch_size": 16, "learning_rate": 0.02}


def test_a_run_is_trained_kept_and_opened_again(toy: type[Method], toy_benchmark: Path, tmp_path: Path) -> None:
    run = avzsl.fit("toy", toy_benchmark, out=tmp_path / "run", device="cpu", dropout=0.1, **FAST)
    again = avzsl.open_run(tmp_path / "run", device="cpu")
    assert again.result.as_dict() == run.result.as_dict()
    assert run.evaluate(toy_benchmark).hm == run.result.hm
    assert again.card.config == {"width": 8, "dropout": 0.1}
    assert (
        avzsl.fit("toy", toy_benchmark, out=tmp_path / "run", device="cpu", dropout=0.1, **FAST).result.trained is False
    )


def test_without_a_folder_the_run_lives_as_long_as_its_object(toy: type[Method], toy_benchmark: Path) -> None:
    run = avzsl.fit("toy", toy_benchmark, device="cpu", **FAST)
    folder = run.folder
    assert (folder / "model.json").is_file()
    assert run.predictor.card.method == "toy"
    run._temporary.cleanup()
    assert not folder.exists()


def test_a_loaded_benchmark_is_used_as_it_was_loaded(toy: type[Method], toy_benchmark: Path, tmp_path: Path) -> None:
    loaded = avzsl.load(toy_benchmark, mode="reference")
    assert isinstance(loaded, Benchmark)
    run = avzsl.fit("toy", loaded, out=tmp_path / "run", device="cpu", **FAST)
    assert (run.result.mode, run.result.fingerprint) == ("reference", loaded.fingerprint)


def test_settings_are_checked_by_name(toy: type[Method], toy_benchmark: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="unknown setting 'epohcs'; did you mean 'epochs'"):
        avzsl.fit("toy", toy_benchmark, out=tmp_path / "run", epohcs=3)
    run = avzsl.fit("toy", toy_benchmark, out=tmp_path / "run", device="cpu", mode="reference", **FAST)
    assert run.result.mode == "reference"
    with pytest.raises(ModelError, match="holds no finished run"):
        avzsl.open_run(tmp_path)


def test_the_package_is_light_until_something_is_used() -> None:
    code = (
        "import sys, avzsl; assert 'torch' not in sys.modules; assert {'fit', 'use'} <= set(dir(avzsl)); "
        "assert callable(avzsl.fit); assert 'torch' in sys.modules\n"
        "try: avzsl.fti\nexcept AttributeError as error: assert 'fti' in str(error)\nelse: sys.exit('no error')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
