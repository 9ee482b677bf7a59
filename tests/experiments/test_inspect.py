from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from avzsl.data.splits import Benchmark, load_benchmark
from avzsl.errors import DataError, MediaError, ModelError
from avzsl.experiments.inspect import evenly, example_rows, inspect_run
from avzsl.experiments.thumbnails import frame_strip, spectrogram
from avzsl.methods._checkpoint import ModelCard, save_model
from avzsl.methods.stft import Stft, StftConfig

SMALL = StftConfig(
    hidden=32, heads=2, head_width=8, attention_hidden=8, head_hidden=8, embedding=4, slots=1, time_steps=3, rank=4,
    largest_rank=4,
)  # fmt: skip


@pytest.fixture
def benchmark(toy_benchmark: Path) -> Benchmark:
    return load_benchmark(toy_benchmark)


@pytest.fixture
def run(tmp_path: Path, benchmark: Benchmark) -> Path:
    """A run folder with a model whose weights were only drawn."""
    torch.manual_seed(0)
    save(tmp_path, Stft(SMALL, benchmark.dimensions), benchmark)
    return tmp_path


def save(folder: Path, method: Any, benchmark: Benchmark) -> None:
    from avzsl.config import plain

    trained = set(benchmark.training(2).class_names)
    card = ModelCard(
        method=method.name, config=plain(method.config), dimensions=benchmark.dimensions, classes=benchmark.classes,
        seen=tuple(n in trained for n in benchmark.classes.names), bias=0.4, extractor=benchmark.identity,
        fingerprint=benchmark.fingerprint,
    )  # fmt: skip
    save_model(folder, method, card)


def gradient(clip: str) -> np.ndarray[Any, Any]:
    ramp = np.linspace(0, 255, 8)[:, None, None, None] * np.ones((8, 20, 40, 3))
    return ramp.astype(np.uint8)


def read(run: Path) -> Any:
    return json.loads((run / "report.json").read_text())


def test_examples_are_unseen_clips_class_by_class(run: Path, benchmark: Benchmark) -> None:
    assert inspect_run(run, benchmark, examples=5) == run / "report.json"
    test = benchmark.evaluation(2)
    clips = [example["clip"] for example in read(run)["examples"]]
    classes = [test.class_names[test.labels[test.clip_names.index(clip)]] for clip in clips]
    assert classes == ["goat", "horn", "goat", "horn", "goat"]
    assert len(set(clips)) == 5


def test_more_examples_than_clips_gives_all_of_them(benchmark: Benchmark) -> None:
    test = benchmark.evaluation(2)
    rows = example_rows(test, 100)
    assert sorted(rows) == [i for i, label in enumerate(test.labels) if not test.seen[label]]
    assert example_rows(test, 0) == []


def test_even_choice_reaches_both_ends() -> None:
    assert evenly(3, 5) == [0, 1, 2]
    assert evenly(101, 3) == [0, 50, 100]
    assert evenly(7, 1) == [0] and evenly(0, 4) == [] and evenly(4, 0) == []


def test_traces_are_those_of_the_model_and_the_first_example(run: Path, benchmark: Benchmark) -> None:
    from avzsl.methods._checkpoint import load_model

    inspect_run(run, benchmark)
    stored, test = load_file(run / "report.safetensors"), benchmark.evaluation(2)
    row = test.clip_names.index(read(run)["spikes"]["clip"])
    method, _ = load_model(run)
    with torch.inference_mode():
        traces = method.spike_traces(test.features.clips(torch.tensor([row])))
    assert {t.modality for t in traces} == {"audio", "visual"}
    for trace in traces:
        key = f"{trace.modality}.{trace.block}"
        assert torch.equal(stored[f"spikes.{key}"].bool(), trace.spikes)
        assert torch.equal(stored[f"threshold.{key}"], trace.threshold)


def test_mean_rates_are_means_over_the_test_clips(run: Path, benchmark: Benchmark) -> None:
    from avzsl.methods._checkpoint import load_model

    inspect_run(run, benchmark)
    stored, test = load_file(run / "report.safetensors"), benchmark.evaluation(2)
    assert read(run)["spikes"]["rate_clips"] == len(test) < 64
    method, _ = load_model(run)
    total = torch.zeros(3)
    for row in range(len(test)):
        with torch.inference_mode():
            traces = method.spike_traces(test.features.clips(torch.tensor([row])))
        total += next(t.spikes.float().mean(1) for t in traces if (t.modality, t.block) == ("visual", 2))
    torch.testing.assert_close(stored["rates.visual.2"], total / len(test))


def test_a_method_without_spikes_has_none(tmp_path: Path, benchmark: Benchmark, toy: Any) -> None:
    save(tmp_path, toy(toy.Config(), benchmark.dimensions), benchmark)
    inspect_run(tmp_path, benchmark)
    assert load_file(tmp_path / "report.safetensors") == {}
    assert "spikes" not in read(tmp_path) and read(tmp_path)["examples"]


def test_pictures_are_written_beside_the_record(run: Path, benchmark: Benchmark) -> None:
    from PIL import Image

    wave = np.sin(np.arange(16000) / 5).astype(np.float32)
    inspect_run(run, benchmark, examples=2, frames_of=gradient, sound_of=lambda _: (wave, 16000))
    for example in read(run)["examples"]:
        with Image.open(run / example["frames"]) as strip:
            assert strip.size == (4 * 240, 120)
        with Image.open(run / example["sound"]) as picture:
            assert picture.size == (480, 72)
    assert read(run)["pictures_note"] == ""


def test_clips_without_a_readable_video_are_shown_without_a_picture(run: Path, benchmark: Benchmark) -> None:
    inspect_run(run, benchmark, examples=2, frames_of=gradient)

    def broken(clip: str) -> None:
        raise MediaError(f"{clip}.mp4 is cut off")

    inspect_run(run, benchmark, examples=2, frames_of=broken, sound_of=lambda _: None)
    assert all(set(example) == {"clip"} for example in read(run)["examples"])
    assert "2 pictures could not be made" in read(run)["pictures_note"]
    assert list((run / "thumbnails").iterdir()) == [], "pictures of an earlier inspection are gone"


def test_baselines_survive_the_next_inspection(run: Path, benchmark: Benchmark) -> None:
    scores = {"seen": 40.0, "unseen": 20.0, "hm": 26.7, "zsl": 30.0}
    inspect_run(run, benchmark, baselines={"linear": scores})
    inspect_run(run, benchmark)
    assert read(run)["baselines"] == [{"name": "linear", **scores}]
    inspect_run(run, benchmark, baselines={})
    assert read(run)["baselines"] == []


def test_generated_videos_are_recognised(run: Path, benchmark: Benchmark, tmp_path_factory: Any) -> None:
    videos = tmp_path_factory.mktemp("videos")
    inspect_run(run, benchmark, videos=videos)
    assert read(run)["simulated"] is False
    (videos / "world.json").write_text("{}")
    inspect_run(run, benchmark, videos=videos)
    assert read(run)["simulated"] is True


def test_other_data_and_a_missing_model_are_refused(run: Path, benchmark: Benchmark, tmp_path_factory: Any) -> None:
    from dataclasses import replace

    with pytest.raises(DataError, match="trained on other data"):
        inspect_run(run, replace(benchmark, fingerprint="other"))
    with pytest.raises(ModelError, match="no model"):
        inspect_run(tmp_path_factory.mktemp("empty"), benchmark)


def test_a_strip_shows_the_clip_from_beginning_to_end() -> None:
    import io

    from PIL import Image

    picture = frame_strip(gradient(""))
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as strip:
        levels = [strip.getpixel((x, 60))[0] for x in (120, 360, 600, 840)]
    assert levels[0] < 5 and levels[-1] > 250 and levels == sorted(levels)
    assert frame_strip(np.zeros((0, 4, 4, 3), dtype=np.uint8)) is None


@pytest.mark.parametrize("frequency", [200.0, 3000.0])
def test_a_tone_is_a_line_at_its_pitch(frequency: float) -> None:
    import io

    from PIL import Image

    rate = 16000
    wave = np.sin(2 * np.pi * frequency * np.arange(rate) / rate)
    picture = spectrogram((wave, rate))
    assert picture is not None
    with Image.open(io.BytesIO(picture)) as image:
        light = np.asarray(image.convert("L"), dtype=float).mean(axis=1)[::-1]
    pitch = np.geomspace(60, rate / 2, 72)
    assert pitch[light.argmax()] == pytest.approx(frequency, rel=0.12)


def test_silence_and_short_sounds_make_no_trouble() -> None:
    assert spectrogram((np.zeros(16000), 16000)) is not None
    assert spectrogram((np.zeros(10), 16000)) is None
    assert spectrogram((np.full(4000, np.nan), 8000)) is not None
