from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avzsl.errors import MediaError
from avzsl.features._base import create_extractor
from avzsl.media.encode import write_clip

pytest.importorskip("av")
RATE = 16000


def write(path: Path, seconds: float, *, sound: bool = True, rate: float = 12, side: int = 96) -> Path:
    y, x = np.mgrid[0:side, 0:side]
    count = max(1, round(seconds * rate))
    frames = np.full((count, side, side, 3), 70, np.uint8)
    for t, frame in enumerate(frames):
        centre = side / 2 + side / 5 * np.sin(2 * np.pi * t / rate)
        frame[(x - centre) ** 2 + (y - side / 2) ** 2 < (side / 7) ** 2] = (220, 40, 40)
    time = np.arange(round(seconds * RATE)) / RATE
    audio = (0.3 * np.sin(2 * np.pi * 440 * time) * (time % 0.25 < 0.1)).astype(np.float32)
    write_clip(path, frames, rate, audio if sound else None, RATE)
    return path


@pytest.mark.parametrize(("seconds", "rows"), [(0.5, 1), (1.0, 1), (2.6, 2), (4.0, 4)])
def test_there_is_one_row_per_whole_second_of_both(tmp_path: Path, seconds: float, rows: int) -> None:
    extractor = create_extractor("builtin")
    features = extractor.extract(write(tmp_path / "a.mp4", seconds))
    assert features.audio.shape == (rows, extractor.audio_dim) and features.audio.dtype == np.float32
    assert features.visual.shape == (rows, extractor.visual_dim) and features.visual.dtype == np.float32
    assert np.isfinite(features.audio).all() and np.isfinite(features.visual).all()
    assert features.step_seconds == 1.0 and ("shorter than a second" in features.warnings) == (seconds < 0.9)


def test_the_same_file_gives_the_same_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 2)
    one, two = (create_extractor("builtin").extract(path) for _ in range(2))
    np.testing.assert_array_equal(one.audio, two.audio)
    np.testing.assert_array_equal(one.visual, two.visual)


def test_a_silent_film_has_no_audio_rows_and_silence_has_a_row_of_its_own(tmp_path: Path) -> None:
    extractor = create_extractor("builtin")
    features = extractor.extract(write(tmp_path / "a.mp4", 2, sound=False))
    assert features.audio is None and len(features.visual) == 2
    silence = extractor.silence(2)
    assert silence.shape == (2, extractor.audio_dim) and silence.dtype == np.float32 and np.isfinite(silence).all()
    np.testing.assert_array_equal(silence[0], silence[1])


def test_frame_rate_and_picture_size_of_the_file_matter_little(tmp_path: Path) -> None:
    extractor = create_extractor("builtin")
    one = extractor.extract(write(tmp_path / "a.mp4", 3)).visual
    two = extractor.extract(write(tmp_path / "b.mp4", 3, rate=25, side=160)).visual
    assert np.corrcoef(one.mean(axis=0), two.mean(axis=0))[0, 1] > 0.95


def test_a_broken_file_is_a_media_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(MediaError, match=r"a\.mp4"):
        create_extractor("builtin").extract(tmp_path / "a.mp4")


@pytest.mark.slow
def test_attributes_of_generated_clips_can_be_read_off_by_a_linear_rule() -> None:
    """Every attribute of the world is read from averaged rows of new clips by ridge regression."""
    from avzsl.features.audio import audio_rows
    from avzsl.features.visual import visual_rows
    from avzsl.world import scenes
    from avzsl.world.picture import draw_frames
    from avzsl.world.sound import play

    values = {
        "colour": scenes.COLOURS,
        "object": scenes.OBJECTS,
        "motion": scenes.MOTIONS,
        "rhythm": scenes.RHYTHMS,
        "pitch": scenes.PITCHES,
        "timbre": scenes.TIMBRES,
    }
    generator = np.random.default_rng(7)
    count, train = 300, 220
    chosen = {name: generator.integers(0, len(choices), count) for name, choices in values.items()}
    rows: dict[str, list[np.ndarray]] = {"visual": [], "audio": []}
    for i in range(count):
        pick = {name: values[name][chosen[name][i]] for name in values}
        look = scenes.Look(pick["colour"], pick["object"], pick["motion"])
        sound = scenes.Sound(pick["rhythm"], pick["pitch"], pick["timbre"])
        frames = draw_frames(look, generator, frames=48, frame_rate=12, size=96, company=0)
        rows["visual"].append(visual_rows(frames, 12, 4).mean(axis=0))
        rows["audio"].append(
            audio_rows(play(sound, generator, seconds=4.0, rate=RATE, company=0), RATE, 4).mean(axis=0)
        )
    for modality, names in (("visual", ("colour", "object", "motion")), ("audio", ("rhythm", "pitch", "timbre"))):
        data = np.stack(rows[modality]).astype(np.float64)
        data = (data - data[:train].mean(axis=0)) / (data[:train].std(axis=0) + 0.05)
        data = np.concatenate([data, np.ones((count, 1))], axis=1)
        for name in names:
            target = np.eye(len(values[name]))[chosen[name]]
            gram = data[:train].T @ data[:train] + 30 * np.eye(data.shape[1])
            weights = np.linalg.solve(gram, data[:train].T @ target[:train])
            right = (data[train:] @ weights).argmax(axis=1) == chosen[name][train:]
            assert right.mean() > 0.9, f"{name}: {right.mean():.2f}"
