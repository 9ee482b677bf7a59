"""A whole run: same seed same result, no peeking at the test, nothing half-written when something is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import signal
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avzsl.config import quirk, quirk_names
from avzsl.data.splits import load_benchmark
from avzsl.decision import decide
from avzsl.errors import AvzslError, DataError, ModelError, OutputError, SettingError
from avzsl.experiments.evaluate import evaluate_run
from avzsl.experiments.folder import check_folder
from avzsl.experiments.result import Result, read_result
from avzsl.experiments.run import choose_device, run_training
from avzsl.experiments.settings import assemble
from avzsl.features.store import read_class_file, read_temporal_file, write_class_file, write_word_vectors
from avzsl.files import LOCK, lock_folder
from avzsl.layout import Layout
from avzsl.methods._base import Method
from avzsl.methods._checkpoint import load_card
from avzsl.report import sections
from avzsl.report.records import read_records
from avzsl.training.interrupt import Interrupted
from avzsl.training.stages import StageOptions
from avzsl.types import Clips, Dimensions, ExtractorIdentity, TextVectors

from ..conftest import write_toy_benchmark

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark

FAST = {"epochs": 3, "batches": 4, "batch_size": 16, "learning_rate": 0.02}
FILES = {
    "settings.json", "epochs.jsonl", "model.json", "model.safetensors", "result.json", "evaluation.json",
    "evaluation.safetensors",
}  # fmt: skip


@pytest.fixture
def data(toy_benchmark: Path, toy: type[Method]) -> Path:
    return toy_benchmark


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "Toy"))


def _run(data: Path, out: Path, **changes: Any) -> Result:
    options = changes.pop("options", {})
    return run_training(
        data, "toy", out=out, options={"train": FAST | options.pop("train", {}), **options}, device="cpu", **changes
    )


def _hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


def _edit(data: Path, split: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for modality in ("audio", "visual"):
        for path in sorted(Layout(data, "main").features_dir(modality, split).iterdir()):
            stored = read_class_file(path)
            assert stored.identity is not None
            write_class_file(path, change(stored.data), list(stored.names), stored.identity)


def _shuffle_test_labels(data: Path) -> None:
    """Give every class of the test the clips of the next one."""
    for split in ("stage_2_test_seen", "stage_2_test_unseen"):
        for modality in ("audio", "visual"):
            paths = sorted(Layout(data, "main").features_dir(modality, split).iterdir())
            contents = [p.read_bytes() for p in paths]
            for path, content in zip(paths, [*contents[1:], contents[0]], strict=True):
                path.write_bytes(content)


def test_the_same_seed_gives_the_same_files_twice(data: Path, tmp_path: Path) -> None:
    first, second = _run(data, tmp_path / "a"), _run(data, tmp_path / "b")
    assert set(_hashes(tmp_path / "a")) == FILES
    timed = {"result.json", "epochs.jsonl"}
    assert {n: h for n, h in _hashes(tmp_path / "a").items() if n not in timed} == {
        n: h for n, h in _hashes(tmp_path / "b").items() if n not in timed
    }
    assert first.digest == second.digest
    one, two = (json.loads((tmp_path / n / "result.json").read_text()) for n in "ab")
    assert one.pop("seconds") > 0
    two.pop("seconds")
    assert one == two
    assert one["digest"] == first.digest
    other = _run(data, tmp_path / "c", seed=43)
    assert other.digest != first.digest
    assert not (tmp_path / "a" / "state").exists()


def test_the_result_agrees_with_its_evidence(data: Path, tmp_path: Path) -> None:
    """S, U, HM and ZSL recomputed from the stored scores with plain loops."""
    result = _run(data, tmp_path / "run")
    stored = load_file(tmp_path / "run" / "evaluation.safetensors")
    names = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    scores, labels, seen = stored["scores"], stored["labels"], stored["seen"]
    right: dict[int, list[bool]] = {}
    right_among_unseen: dict[int, list[bool]] = {}
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        biased = [value - (result.bias if seen[c] else 0) for c, value in enumerate(row)]
        right.setdefault(label, []).append(biased.index(max(biased)) == label)
        unseen_only = [value if not seen[c] else -1e9 for c, value in enumerate(row)]
        right_among_unseen.setdefault(label, []).append(unseen_only.index(max(unseen_only)) == label)

    def mean(of: dict[int, list[bool]], wanted: bool) -> float:
        recalls = [sum(v) / len(v) for c, v in of.items() if bool(seen[c]) == wanted]
        return 100 * sum(recalls) / len(recalls)

    s, u = mean(right, True), mean(right, False)
    assert result.seen == pytest.approx(s, abs=1e-5)
    assert result.unseen == pytest.approx(u, abs=1e-5)
    assert result.hm == pytest.approx(2 * s * u / (s + u) if s + u else 0, abs=1e-4)
    assert result.zsl == pytest.approx(mean(right_among_unseen, False), abs=1e-5)
    assert result.zsl_chance == pytest.approx(50)
    assert names["class_names"] == sorted(names["class_names"])
    assert [names["class_names"][c] for c in labels[:3].tolist()] == ["apple"] * 3
    distances = (stored["embeddings"][:, None] - stored["class_embeddings"][None]).norm(dim=2)
    torch.testing.assert_close(-distances, scores, rtol=1e-4, atol=1e-5)
    assert torch.equal(decide(scores, seen, result.bias), decide(-distances, seen, result.bias))


def test_the_result_says_where_it_comes_from(data: Path, tmp_path: Path) -> None:
    result = json.loads((tmp_path / "run" / "result.json").read_text()) if _run(data, tmp_path / "run") else {}
    assert result["method"] == "toy"
    assert result["benchmark"] == "Toy"
    assert result["extractor"] == {"name": "toy-extractor", "profile": "clean", "settings": {"rate": 2}, "version": 1}
    assert result["text_encoder"] == "toy-text"
    assert result["text_assignment"] == "by_name"
    assert result["counts"]["stage_2_test_unseen"] == 8
    assert result["counts"]["classes_unseen"] == 2
    assert not any(result["quirks"].values())
    assert {"avzsl", "torch", "numpy", "python", "threads"} <= set(result["versions"])
    assert result["simulated"] is False
    lines = [json.loads(line) for line in (tmp_path / "run" / "epochs.jsonl").read_text().splitlines()]
    assert {"loss", "pull", "push", "learning_rate", "hm", "seen", "unseen", "zsl", "bias", "seconds"} <= set(lines[0])
    assert max(line["hm"] for line in lines if line["stage"] == 1) == pytest.approx(result["validation"]["hm"] / 100)


def test_shuffling_the_test_labels_changes_only_the_test(copied: Path, tmp_path: Path) -> None:
    before = _run(copied, tmp_path / "before")
    _shuffle_test_labels(copied)
    after = _run(copied, tmp_path / "after")
    assert (after.epoch, after.bias, after.validation) == (before.epoch, before.bias, before.validation)
    assert after.seen != before.seen
    models = [load_file(tmp_path / n / "model.safetensors") for n in ("before", "after")]
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])
    settings = [json.loads((tmp_path / n / "settings.json").read_text()) for n in ("before", "after")]
    assert settings[0].pop("fingerprint") != settings[1].pop("fingerprint")
    assert settings[0] == settings[1]


def test_destroying_the_test_features_changes_only_the_test(copied: Path, tmp_path: Path) -> None:
    before = _run(copied, tmp_path / "before")
    for split in ("stage_2_test_seen", "stage_2_test_unseen"):
        _edit(copied, split, lambda rows: rows[::-1] * -3)
    after = _run(copied, tmp_path / "after")
    assert (after.epoch, after.bias, after.validation) == (before.epoch, before.bias, before.validation)
    models = [load_file(tmp_path / n / "model.safetensors") for n in ("before", "after")]
    assert all(torch.equal(models[0][k], models[1][k]) for k in models[0])


@pytest.mark.parametrize("step", [2, 9, 14])
def test_a_stopped_run_is_continued_by_the_same_call(
    data: Path, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avzsl.training import stages

    whole = _run(data, tmp_path / "whole")
    real, calls = stages.train_step, 0

    def stopping(*args: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "train_step", stopping)
        with pytest.raises(Interrupted):
            _run(data, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "result.json").exists()
    again = _run(data, tmp_path / "stopped")
    assert again.digest == whole.digest
    same = FILES - {"result.json", "epochs.jsonl"}
    assert {n: _hashes(tmp_path / "stopped")[n] for n in same} == {n: _hashes(tmp_path / "whole")[n] for n in same}


def test_a_crash_between_training_and_result_is_made_good(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avzsl.experiments import run

    def crash(*args: Any) -> None:
        raise OutputError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(run, "write_evidence", crash)
        with pytest.raises(OutputError):
            _run(data, tmp_path / "run")
    monkeypatch.setattr("avzsl.training.stages.train_step", crash)  # nothing is trained again
    assert _run(data, tmp_path / "run").trained


def test_a_finished_run_is_read_back_and_not_trained(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _run(data, tmp_path / "run")
    before = _hashes(tmp_path / "run")
    monkeypatch.setattr("avzsl.experiments.run.fit_stages", lambda *a, **k: pytest.fail("trained"))
    second = _run(data, tmp_path / "run")
    assert (first.trained, second.trained) == (True, False)
    assert second.as_dict() == first.as_dict()
    assert _hashes(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed = 42, now it is 1"),
        ({"options": {"train": {"epochs": 9}}}, "train.epochs = 3, now it is 9"),
        ({"assignments": ["dropout=0.5"]}, "method.dropout = 0.2, now it is 0.5"),
        ({"options": {"protocol": {"mode": "reference"}}}, "protocol.mode = clean, now it is reference"),
    ],
)
def test_other_settings_for_a_folder_in_use_are_refused_by_name(
    data: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    _run(data, tmp_path / "run")
    before = _hashes(tmp_path / "run")
    with pytest.raises(SettingError, match=f"{message}.*another folder, or start over with --fresh"):
        _run(data, tmp_path / "run", **changes)
    assert _hashes(tmp_path / "run") == before


def test_other_data_for_a_folder_in_use_are_refused(copied: Path, tmp_path: Path) -> None:
    _run(copied, tmp_path / "run")
    _edit(copied, "stage_1_train", lambda rows: rows + 1)
    with pytest.raises(SettingError, match="fingerprint = "):
        _run(copied, tmp_path / "run")


def test_fresh_starts_over_and_leaves_foreign_files_alone(data: Path, tmp_path: Path) -> None:
    _run(data, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "thumbnails").mkdir()
    result = _run(data, tmp_path / "run", seed=1, fresh=True)
    assert result.trained
    assert result.seed == 1
    assert set(_hashes(tmp_path / "run")) == FILES | {"notes.txt"}
    assert not (tmp_path / "run" / "thumbnails").exists()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_is_not_a_run_is_left_alone(data: Path, tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("x")
    with pytest.raises(SettingError, match=r"is not empty and holds no run; .*choose another folder"):
        _run(data, tmp_path / "photos", fresh=fresh)
    assert [p.name for p in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_a_file_in_the_way_is_named_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match="is a file; choose another folder"):
            check_folder(folder, fresh=False)


def test_a_full_disk_stops_with_one_sentence_and_can_be_continued(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _run(data, tmp_path / "whole")
    real, calls = os.replace, 0

    def full(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise OSError(28, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left on device; free some disk space and run the same command"):
            _run(data, tmp_path / "run")
    assert not [p for p in (tmp_path / "run").rglob("*") if "partial" in p.name]
    assert _run(data, tmp_path / "run").digest == whole.digest


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"method": "toi"}, SettingError, "unknown method 'toi'; did you mean 'toy'"),
        ({"assignments": ["widht=3"]}, SettingError, "unknown setting 'widht'; did you mean 'width'"),
        ({"assignments": ["epochs"]}, SettingError, "write --set key=value"),
        ({"assignments": ["epochs=many"]}, SettingError, "'epochs' in .train. is 'many'"),
        ({"assignments": ["learning_rate=-1"]}, SettingError, "learning_rate must be above 0"),
        ({"preset": "ufc"}, SettingError, "has no preset 'ufc'"),
        ({"seed": -1}, SettingError, "seed is -1"),
        ({"device": "gpu"}, SettingError, "unknown device 'gpu'"),
        ({"options": {"protocol": {"mode": "clear"}}}, SettingError, "'mode' in .protocol. is 'clear'"),
        ({"data": "nowhere"}, DataError, "there is no folder nowhere; check the path"),
        ({"options": {"data": {"family": "cls"}}}, DataError, "cls"),
        (
            {"options": {"data": {"audio_columns": 128}}},
            DataError,
            "Toy, family main: audio has 5 columns.*expects 128",
        ),
    ],
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(
    data: Path, tmp_path: Path, call: dict[str, Any], error: type[AvzslError], message: str
) -> None:
    arguments: dict[str, Any] = {"data": data, "method": "toy", "device": "cpu"} | call
    with pytest.raises(error, match=message) as raised:
        run_training(arguments.pop("data"), arguments.pop("method"), out=tmp_path / "run", **arguments)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="no CUDA device is available here; use --device cpu"):
        choose_device("cuda")
    assert choose_device("auto") == torch.device("cpu")


def test_what_the_user_says_wins_over_the_preset_and_the_preset_over_defaults() -> None:
    preset = assemble("stft", preset="ucf")
    assert (preset.config.slots, preset.config.encoder_dropout, preset.train.epochs) == (3, 0.25, 60)
    assert preset.published["seen"] == 56.47
    said = assemble(
        "stft",
        preset="ucf",
        assignments=["slots=2", "train.epochs=7"],
        options={"train": {"epochs": 5, "batches": None}},
    )
    assert (said.config.slots, said.config.encoder_dropout, said.train.epochs, said.train.batches) == (2, 0.25, 5, 500)


def test_published_numbers_go_with_the_family_they_are_of() -> None:
    assert assemble("stft", preset="ucf_cls").published["seen"] == 61.42
    assert assemble("stft", preset="ucf", options={"data": {"family": "main"}}).published["seen"] == 56.47
    other = assemble("stft", preset="ucf", options={"data": {"family": "cls"}})
    assert (other.published, other.data.audio_columns) == ({}, 0)
    assert assemble("stft", preset="ucf", assignments=["family=cls"]).published == {}


@dataclass(frozen=True)
class _QuirkyConfig:
    width: int = 8
    dropout: float = 0.2
    halved: bool = quirk("X1", clean=False, reference=True)
    momentum: float = quirk("X2", clean=0.1, reference=0.5)


def test_reference_mode_switches_quirks_and_the_presets_own_reference_settings_on(
    toy: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = {
        "method": {"width": 6},
        "train": {"epochs": 9},
        "reference": {"method": {"momentum": 0.99}, "protocol": {"bias_search": "none"}},
    }
    monkeypatch.setattr(toy, "Config", _QuirkyConfig)
    monkeypatch.setattr("avzsl.experiments.settings.load_preset", lambda method, name: deepcopy(preset))

    def settings(*assignments: str, mode: str | None = "reference") -> tuple[Any, ...]:
        found = assemble("toy", preset="p", assignments=assignments, options={"protocol": {"mode": mode}})
        return (found.config.width, found.config.halved, found.config.momentum, found.protocol.bias_search)

    assert settings(mode=None) == (6, False, 0.1, "grid")
    assert settings() == (6, True, 0.99, "none")
    assert settings("protocol.mode=reference", mode=None) == (6, True, 0.99, "none")
    assert settings("halved=false", "momentum=0.3", "bias_search=grid") == (6, False, 0.3, "grid")
    without = assemble("toy", options={"protocol": {"mode": "reference"}})
    assert (without.config.halved, without.config.momentum) == (True, 0.5)
    assert quirk_names(_QuirkyConfig) == {"halved": "X1", "momentum": "X2"}


def test_an_unknown_section_of_reference_settings_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "avzsl.experiments.settings.load_preset", lambda method, name: {"reference": {"methods": {"a": 1}}}
    )
    with pytest.raises(SettingError, match="unknown section 'methods' in preset stft/p; did you mean 'method'"):
        assemble("stft", preset="p")


def test_what_a_preset_says_of_segments_goes_when_averaged_features_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preset = {"data": {"temporal": True, "max_segments": 8}}
    monkeypatch.setattr("avzsl.experiments.settings.load_preset", lambda method, name: deepcopy(preset))
    assert assemble("stft", preset="demo").data.max_segments == 8
    assert assemble("stft", preset="demo", options={"data": {"temporal": False}}).data.max_segments is None


def test_published_numbers_stand_beside_runs_on_their_own_data_set_alone(
    toy: type[Method], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "UCF"
    write_toy_benchmark(data, ExtractorIdentity("as distributed", profile="published"))
    paper = {"hm": 12.5, "zsl": 8.5, "note": "with other events"}
    monkeypatch.setattr(
        "avzsl.experiments.settings.load_preset",
        lambda method, name: {"data": {"family": "main"}, "paper": deepcopy(paper)},
    )
    own, other, mine = (
        _run(data, tmp_path / Path(name).stem, preset=name) for name in ("ucf", "activitynet", "mine.toml")
    )
    assert own.published == mine.published == paper
    assert own.published_note.startswith(
        "published numbers come from one run on the features as distributed (Toy: with other events); this run is in"
    )
    wanted = "preset activitynet is for another data set, so its published numbers do not compare"
    assert (other.published, other.published_note) == ({}, wanted)


def test_a_method_that_cannot_be_built_leaves_the_folder_to_the_next_try(
    data: Path, tmp_path: Path, toy: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = toy.__init__

    def picky(self: Method, config: Any, dimensions: Dimensions) -> None:
        if config.width == 3:
            raise SettingError("width is 3; this will not do")
        built(self, config, dimensions)

    monkeypatch.setattr(toy, "__init__", picky)
    with pytest.raises(SettingError, match="width is 3; this will not do"):
        _run(data, tmp_path / "run", assignments=["width=3"])
    assert not (tmp_path / "run").exists()
    assert _run(data, tmp_path / "run", assignments=["width=4"]).trained


def test_a_method_that_needs_real_numbers_to_be_built_is_trained(
    data: Path, tmp_path: Path, toy: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = toy.__init__

    def looks(self: Method, config: Any, dimensions: Dimensions) -> None:
        built(self, config, dimensions)
        assert torch.zeros(1).item() == 0

    monkeypatch.setattr(toy, "__init__", looks)
    assert _run(data, tmp_path / "run").trained


def test_a_method_gets_only_features_that_it_takes(toy: type[Method], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a word, what it takes; what it does not take is refused, whoever asks for it."""
    for temporal in (False, True):
        assert assemble("toy", options={"data": {"temporal": temporal}}).data.temporal is temporal
    for inputs, other, how in (("temporal", "averaged", "--averaged"), ("averaged", "temporal", "--temporal")):
        monkeypatch.setattr(toy, "inputs", inputs)
        assert assemble("toy").data.temporal is (inputs == "temporal")
        asked = str(inputs == "averaged").lower()
        message = f"Toy takes {inputs} features; {other} ones were asked for ({how}, or temporal = {asked})"
        with pytest.raises(SettingError, match=re.escape(message)):
            assemble("toy", assignments=[f"temporal={asked}"])
        with pytest.raises(SettingError, match=re.escape(message)):
            assemble("toy", options={"data": {"temporal": inputs == "averaged"}})


def test_a_preset_for_another_family_points_to_the_right_one() -> None:
    """Where both set the same, as those of STFT do, there is nothing to say."""
    for preset, family, other in (("ucf", "cls", "ucf_cls"), ("ucf_cls", "main", "ucf")):
        own = "main" if family == "cls" else "cls"
        with pytest.warns(
            UserWarning,
            match=f"^preset sje/{preset} has the settings for family '{own}'; those for '{family}' are in '{other}'$",
        ):
            asked = assemble("sje", preset=preset, options={"data": {"family": family}})
        assert asked.config.normalise is (own == "cls")
        assert assemble("sje", preset=preset, options={"data": {"family": own}}).published
        assemble("stft", preset=preset, options={"data": {"family": family}})
        assemble("sje", preset=preset, options={"data": {"family": "builtin"}})
    assemble("sje", preset="demo", options={"data": {"family": "cls"}})


def test_reference_mode_turns_its_quirks_on_and_changes_the_run(data: Path, tmp_path: Path) -> None:
    clean = _run(data, tmp_path / "clean")
    reference = _run(data, tmp_path / "reference", options={"protocol": {"mode": "reference"}})
    assert all(reference.quirks.values())
    assert reference.text_assignment == "by_sorted_rank"
    assert clean.digest != reference.digest
    card = load_card(tmp_path / "reference")
    assert (card.mode, card.bias) == ("reference", reference.bias)
    by_name = _run(
        data, tmp_path / "by_name", options={"protocol": {"mode": "reference"}, "data": {"text_assignment": "by_name"}}
    )
    assert by_name.quirks["text_by_rank"] is False


@pytest.mark.parametrize("name", ["schedule_on_validation", "zero_is_unset"])
def test_p4_and_p5_reach_the_stages_from_mode_and_from_single_switches(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def stages(build: Any, training: Any, score: Any, options: StageOptions) -> None:
        reached = {"schedule_on_validation": options.live_plateau, "zero_is_unset": options.is_better(0.0, 0.0)}
        raise AvzslError(str(sorted(key for key, on in reached.items() if on)))

    monkeypatch.setattr("avzsl.experiments.run.fit_stages", stages)
    for protocol, expected in (({}, []), ({"mode": "reference"}, ["schedule_on_validation", "zero_is_unset"])):
        with pytest.raises(AvzslError, match=re.escape(str(expected))):
            _run(data, tmp_path / "run", options={"protocol": protocol}, fresh=True)
    with pytest.raises(AvzslError, match=re.escape(str([name]))):
        _run(data, tmp_path / "run", options={"protocol": {name: True}}, fresh=True)


def test_pickled_features_are_trained_on_and_judged_only_when_trusted(
    tiny_benchmark: TinyBenchmark, toy: type[Method], tmp_path: Path
) -> None:
    root = Path(shutil.copytree(tiny_benchmark.root, tmp_path / "Tiny"))
    for path in sorted((root / "features" / "main_features_non_averaged").rglob("*.h5")):
        clips = read_temporal_file(path)
        content = {
            "features": np.split(clips.data, clips.offsets[1:-1]),
            "video_names": [n.encode() for n in clips.names],
        }
        path.with_suffix(".pkl").write_bytes(pickle.dumps(content, 2))
        path.unlink()
    average = {"temporal": True, "max_segments": 1}
    with pytest.raises(DataError, match="--trust"):
        _run(root, tmp_path / "run", options={"data": average})
    result = _run(root, tmp_path / "run", options={"data": average | {"trust": True}})
    with pytest.raises(DataError, match="--trust"):
        evaluate_run(tmp_path / "run", root, device="cpu")
    again = evaluate_run(tmp_path / "run", root, device="cpu", trust=True)
    assert (again.same_data, again.hm, again.zsl) == (True, result.hm, result.zsl)


def test_evaluating_a_run_on_its_own_data_gives_its_numbers(data: Path, tmp_path: Path) -> None:
    result = _run(data, tmp_path / "run")
    again = evaluate_run(tmp_path / "run", data, device="cpu")
    assert again.same_data
    single = _run(data, tmp_path / "single", assignments=["text_lookup=by_set_order"])
    assert [name for name, on in single.quirks.items() if on] == ["text_by_set_order"]
    assert evaluate_run(tmp_path / "single", data, device="cpu").same_data
    names = ("seen", "unseen", "hm", "zsl", "zsl_chance", "bias", "fingerprint", "evaluated")
    assert [getattr(again, n) for n in names] == [getattr(result, n) for n in names]


def test_an_output_for_the_zero_shot_number_makes_it_everywhere(
    data: Path, tmp_path: Path, toy: type[Method], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A toy that swaps classes pairwise when only unseen ones are possible; training, evaluation, report."""
    plain = _run(data, tmp_path / "plain")

    def mode_scores(self: Method, clips: Clips, classes: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.class_scores(clips, classes)
        return {"both": scores, "zsl": scores[:, torch.arange(len(classes)).view(-1, 2).flip(1).flatten()]}

    monkeypatch.setattr(toy, "mode_scores", mode_scores)
    swapped = _run(data, tmp_path / "run")
    assert swapped.zsl == pytest.approx(100 - plain.zsl) != plain.zsl  # two unseen classes
    assert (swapped.seen, swapped.unseen, swapped.hm, swapped.bias) == (plain.seen, plain.unseen, plain.hm, plain.bias)
    assert swapped.validation["zsl"] != plain.validation["zsl"] and swapped.validation["hm"] == plain.validation["hm"]
    again = evaluate_run(tmp_path / "run", data, device="cpu")
    assert (again.zsl, again.hm) == (swapped.zsl, swapped.hm)
    records = read_records(tmp_path / "run")
    assert records.test is not None and read_records(tmp_path / "plain").test.zsl_scores is None  # type: ignore[union-attr]
    (group,) = (g for g in sections.classes(records)["groups"] if g["part"] == "unseen")
    assert 100 * group["zsl"] == pytest.approx(swapped.zsl) and 100 * group["mean"] == pytest.approx(swapped.unseen)
    stored = load_file(tmp_path / "run" / "evaluation.safetensors")
    save_file(
        stored | {"zsl_scores": stored["zsl_scores"][:, 1:].contiguous()}, tmp_path / "run" / "evaluation.safetensors"
    )
    assert "among unseen classes" in read_records(tmp_path / "run").problems["test"]


def test_evaluating_on_other_data_uses_the_stored_bias(copied: Path, tmp_path: Path) -> None:
    result = _run(copied, tmp_path / "run")
    _edit(copied, "stage_2_test_unseen", lambda rows: rows[::-1] + 5)
    again = evaluate_run(tmp_path / "run", copied, device="cpu")
    assert not again.same_data
    assert again.bias == result.bias
    assert again.seen != result.seen or again.unseen != result.unseen


def test_features_of_another_extractor_cannot_be_judged(copied: Path, tmp_path: Path) -> None:
    _run(copied, tmp_path / "run")
    for path in sorted((copied / "features").rglob("*.h5")):
        stored = read_class_file(path)
        write_class_file(
            path, stored.data, list(stored.names), ExtractorIdentity("toy-extractor", settings={"rate": 3})
        )
    with pytest.raises(ModelError, match=r"another extractor than the model's .settings {'rate': 3} instead of"):
        evaluate_run(tmp_path / "run", copied, device="cpu")


def test_text_vectors_of_another_encoder_cannot_be_judged(copied: Path, tmp_path: Path) -> None:
    _run(copied, tmp_path / "run")
    from avzsl.features.store import read_word_vectors

    path = Layout(copied, "main").word_vectors_safetensors
    vectors = read_word_vectors(path)
    write_word_vectors(path, TextVectors(vectors.names, vectors.vectors, "other-text"))
    with pytest.raises(ModelError, match="encoded by 'other-text', the model was trained on 'toy-text'"):
        evaluate_run(tmp_path / "run", copied, device="cpu")


def test_a_damaged_result_is_refused(data: Path, tmp_path: Path) -> None:
    _run(data, tmp_path / "run")
    (tmp_path / "run" / "result.json").write_text("{")
    with pytest.raises(ModelError, match="delete it and give the same"):
        read_result(tmp_path / "run")
    with pytest.raises(ModelError, match="holds no finished run"):
        read_result(tmp_path)


def test_a_run_that_learns_nothing_says_so(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avzsl.experiments import run
    from avzsl.training.stages import Score

    real = run._as_score
    monkeypatch.setattr(run, "_as_score", lambda found: Score(0.0, {}, real(found).record))
    with pytest.warns(UserWarning, match="validation HM is 0 in every epoch"):
        assert _run(data, tmp_path / "run").epoch == 1


def test_what_a_killed_process_left_behind_is_no_obstacle_and_goes(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".settings.json.abc.partial.json").write_text("{")
    _run(data, tmp_path / "run")
    assert set(_hashes(tmp_path / "run")) == FILES
    (tmp_path / "run" / "state").mkdir()
    (tmp_path / "run" / "state" / "state.safetensors").write_text("killed after the result was written")
    assert not _run(data, tmp_path / "run").trained
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_a_preset_refuses_features_it_was_not_made_for(data: Path, tmp_path: Path) -> None:
    message = r"Toy, family main: audio has 5 columns, preset stft/ucf expects 512; pass --family .* audio_columns=0"
    with pytest.raises(DataError, match=message):
        run_training(data, "stft", out=tmp_path / "run", preset="ucf", device="cpu")
    said = assemble("stft", preset="ucf", options={"data": {"family": "cls"}})
    assert (said.data.audio_columns, said.data.visual_columns) == (0, 0)


def test_a_folder_in_which_another_process_works_is_refused(data: Path, tmp_path: Path) -> None:
    with lock_folder(tmp_path / "run"), pytest.raises(OutputError, match="in use by another run"):
        _run(data, tmp_path / "run")
    _run(data, tmp_path / "run")
    assert not (tmp_path / "run" / LOCK).exists()


@pytest.mark.parametrize(
    "change", [{"hm": None}, {"hm": "x"}, {"bias": float("inf")}, {"validation": []}, {"hm": 10**400}]
)
def test_an_edited_result_is_refused(data: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    _run(data, tmp_path)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=r"result\.json is damaged; delete it and give the same"):
        _run(data, tmp_path)


def test_a_damaged_record_of_the_extraction_shows_before_the_training(copied: Path, tmp_path: Path) -> None:
    (copied / "extract.json").write_text("{")
    with pytest.raises(DataError, match=r"extract\.json is not valid JSON"):
        _run(copied, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("method.depth=9223372036854775807", "ask for fewer layers"),
        ("method.heads=9223372036854775808", "larger than any tensor"),
        ("method.embedding=1000000000000", "cannot hold"),
    ],
)
def test_sizes_that_nothing_can_hold_are_refused_before_the_folder_is_claimed(
    setting: str, said: str, toy_benchmark: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        run_training(
            toy_benchmark,
            "tcaf",
            out=tmp_path / "run",
            assignments=[setting],
            load=lambda *_: load_benchmark(toy_benchmark),
        )
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_a_folder_in_the_place_of_the_result_stops_before_training(data: Path, tmp_path: Path) -> None:
    _run(data, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "result.json").unlink()
    (tmp_path / "result.json").mkdir()
    with pytest.raises(ModelError, match="start with --fresh"):
        _run(data, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before and not (tmp_path / "state").exists()
