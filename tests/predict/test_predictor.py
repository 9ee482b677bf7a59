"""Prediction decides as evaluation does, and a broken file stops nobody else."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.data.splits import load_benchmark
from avzsl.data.tables import average_segments
from avzsl.decision import decide
from avzsl.errors import AvzslError, DataError, ModelError, SettingError
from avzsl.evaluation.protocol import score_evaluation_set
from avzsl.predict.predictor import Predictor, average_rows
from avzsl.types import ClipFeatures, ExtractorIdentity

from .conftest import write_clip  # type: ignore[import-not-found]


def test_a_test_clip_is_decided_as_in_the_evaluation(run: Path, toy_benchmark: Path) -> None:
    predictor = Predictor.open(run)
    test = load_benchmark(toy_benchmark).evaluation(2)
    scores = score_evaluation_set(predictor.method, test)["both"]
    for bias in (predictor.card.bias, 0.0, 0.7, 3.0):
        expected = decide(scores, test.seen, bias).tolist()
        chosen = []
        for row in range(len(test)):
            clips = test.features.clips(torch.tensor([row]))
            assert clips.audio is not None
            assert clips.visual is not None
            features = ClipFeatures(clips.audio[0].numpy(), clips.visual[0].numpy(), 1.0)
            found = predictor.predict_features(features, bias=bias, k=1)
            chosen.append(test.class_names.index(found.name or ""))
        assert chosen == expected


def test_the_stored_bias_is_used_and_can_be_replaced(run: Path, clip: Path) -> None:
    predictor = Predictor.open(run)
    predictor.card = dataclasses.replace(predictor.card, bias=0.25)
    free = {g.name: g for g in predictor.predict(clip, k=99, bias=0.0)[0].guesses}
    stored = {g.name: g for g in predictor.predict(clip, k=99)[0].guesses}
    assert len(stored) == 8
    for name, guess in stored.items():
        assert guess.score == pytest.approx(free[name].score - (0.25 if guess.seen else 0), abs=1e-6)
        assert guess.distance == free[name].distance
        assert guess.distance == pytest.approx(-free[name].score)
    assert {g.name for g in stored.values() if not g.seen} == {"goat", "horn"}


def test_a_large_bias_leaves_only_unseen_classes_in_front(run: Path, clip: Path) -> None:
    predictor = Predictor.open(run)
    biased = [g.name for g in predictor.predict(clip, bias=1e6, k=2)[0].guesses]
    unseen = [g.name for g in predictor.predict(clip, unseen_only=True)[0].guesses]
    assert biased == unseen
    assert set(unseen) == {"goat", "horn"}


def test_guesses_are_ranked_and_the_margin_is_the_gap_to_the_second(run: Path, clip: Path) -> None:
    found = Predictor.open(run).predict(clip, k=3)[0]
    scores = [g.score for g in found.guesses]
    assert scores == sorted(scores, reverse=True)
    assert found.margin == pytest.approx(scores[0] - scores[1])
    assert found.labels == [(g.name, g.score) for g in found.guesses]
    one = Predictor.open(run).predict(clip, k=1)[0]
    assert len(one.guesses) == 1
    assert one.margin == pytest.approx(found.margin)
    assert Predictor.open(run).predict(clip, ["goat"])[0].margin is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_any_names_can_be_asked_for(run: Path, clip: Path) -> None:
    found = Predictor.open(run).predict(clip, ["Apple", "red kite", "fish, fried"])[0]
    assert {(g.name, g.seen) for g in found.guesses} == {("Apple", True), ("red kite", False), ("fish, fried", True)}
    reordered = Predictor.open(run).predict(clip, ["fish, fried", "red kite", "Apple"])[0]
    assert reordered.guesses == found.guesses


@pytest.mark.parametrize("lost", ["audio", "visual"])
def test_a_missing_modality_is_dropped(run: Path, tmp_path: Path, lost: str) -> None:
    random = np.random.default_rng(2)
    sides = {"audio": random.normal(size=(2, 5)), "visual": random.normal(size=(2, 7))}
    kept = {n: v if n != lost else None for n, v in sides.items()}
    path = write_clip(tmp_path / "half.mp4", kept["audio"], kept["visual"])
    found = Predictor.open(run).predict(path)[0]
    assert found.used == (("visual",) if lost == "audio" else ("audio",))
    assert found.error is None
    assert all(math.isfinite(g.score) for g in found.guesses)
    assert found.warnings == (("no sound",) if lost == "audio" else ())


def test_a_broken_file_is_reported_and_the_others_go_on(run: Path, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("x | y")
    wrong = write_clip(tmp_path / "wrong.mp4", np.zeros((1, 4)), np.zeros((1, 7)))
    found = Predictor.open(run).predict([broken, clip, tmp_path / "absent.mp4", wrong])
    assert [f.path.name for f in found] == ["broken.mp4", "clip.mp4", "absent.mp4", "wrong.mp4"]
    assert [f.error is None for f in found] == [False, True, False, False]
    assert all(f.path.name in (f.error or f.path.name) for f in found)
    assert "audio has 4 columns, the model was trained on 5" in (found[3].error or "")
    assert [f.name is None for f in found] == [True, False, True, True]


def test_a_folder_stands_for_its_media_files(run: Path, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    (folder / "b").mkdir(parents=True)
    for name in ("z.mp4", "b/a.MKV", "notes.txt"):
        (folder / name).write_bytes(clip.read_bytes())
    found = Predictor.open(run).predict(folder)
    assert [f.path.name for f in found] == ["a.MKV", "z.mp4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no video or audio files"):
        Predictor.open(run).predict(tmp_path / "empty")
    with pytest.raises(DataError, match="no videos were given"):
        Predictor.open(run).predict([])


def test_reading_in_child_processes_gives_the_same(run: Path, clip: Path, tmp_path: Path) -> None:
    paths = [clip, tmp_path / "absent.mp4"]
    here = Predictor.open(run).predict(paths)
    there = Predictor.open(run).predict(paths, workers=1, timeout=60)
    assert [h.as_dict() for h in here] == [t.as_dict() for t in there]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"k": 0}, "k is 0"), ({"bias": math.nan}, "bias is nan"), ({"classes": []}, "a class name is empty")],
)
def test_wrong_arguments_are_refused(run: Path, clip: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Predictor.open(run).predict(clip, **arguments)  # type: ignore[arg-type]


def test_a_model_of_unknown_features_cannot_read_videos(run: Path, clip: Path) -> None:
    predictor = Predictor.open(run)
    predictor.card = dataclasses.replace(predictor.card, extractor=ExtractorIdentity("unknown", profile="unknown"))
    with pytest.raises(ModelError, match="do not say which extractor made them, so it cannot read videos"):
        predictor.predict(clip)


def test_a_model_of_an_extractor_with_other_settings_is_refused(run: Path, clip: Path) -> None:
    predictor = Predictor.open(run)
    identity = ExtractorIdentity("toy-extractor", settings={"rate": 2}, version=9)
    predictor.card = dataclasses.replace(predictor.card, extractor=identity)
    with pytest.raises(ModelError, match="version 9"):
        predictor.predict(clip)


@pytest.mark.parametrize("length", [1, 3, 4, 5, 11, 23])
def test_long_clips_are_shortened_as_the_training_data_were(length: int) -> None:
    rows = np.random.default_rng(length).normal(size=(length, 3)).astype(np.float32)
    expected = average_segments(torch.from_numpy(rows), torch.tensor([0, length]), 4).data
    torch.testing.assert_close(torch.from_numpy(average_rows(rows, 4)).float(), expected, rtol=1e-6, atol=1e-7)


def test_scores_that_are_not_numbers_are_an_error(run: Path, clip: Path) -> None:
    predictor = Predictor.open(run)
    with torch.no_grad():
        next(predictor.method.parameters()).fill_(math.nan)
    with pytest.raises(AvzslError, match="diverged"):
        predictor.predict(clip)
