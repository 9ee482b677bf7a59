from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.errors import MediaError
from avzsl.features._base import create_extractor
from avzsl.features.builtin import VERSION, BuiltinExtractor
from avzsl.media.decode import MediaClip, MediaInfo
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


GOLDEN = Path(__file__).parent / "golden"


def noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in [-1, 1); made of raw bits because numpy promises the same stream for these only."""
    bits = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return (bits >> np.uint64(11)).reshape(shape) * 2.0**-52 - 1


def synthetic() -> MediaClip:
    """Six seconds by formula, so that no codec stands between: shapes that move and fade, over a chirp with beats.

    Noise, faint colours and a quiet passage are there because thresholds of the extractor only show beside them.
    """
    y, x = np.mgrid[0:96, 0:96].astype(np.float64)
    frames = np.empty((72, 96, 96, 3), np.uint8)
    for t, frame in enumerate(frames):
        picture = np.stack([60 + 0.2 * x, 70 + 0.1 * y, np.full_like(x, 80)], axis=-1)
        across = x - (48 + 20 * np.sin(2 * np.pi * t / 18))
        inside = np.hypot(across, y - 40) < 14 if t < 36 else np.maximum(abs(across), abs(y - 56)) < 11
        picture[inside] = ((210, 50, 40), (40, 160, 220), (125, 105, 110), (100, 88, 88), (70, 90, 70), (90, 90, 90))[
            t // 12
        ]
        frame[:] = np.clip(picture + 5 * noise(t, picture.shape), 0, 255).astype(np.uint8)
    time = np.arange(6 * RATE) / RATE
    tone = sum(np.sin(2 * np.pi * k * (300 * time + 40 * time**2)) / k for k in (1, 2, 3, 5))
    loudness = np.where(time < 4, 0.25, 0.004) * np.exp(-6 * (time % 0.4))
    audio = (loudness * tone + 0.003 * noise(99, time.shape)).astype(np.float32)
    info = MediaInfo(Path("synthetic"), True, True, 96, 96, 12.0, 72, 6.0, RATE, 1, 6.0)
    return MediaClip(info, frames, 12.0, audio, RATE)


def test_numbers_do_not_change_without_a_new_version() -> None:
    """Features and models carry the version; old ones must never meet numbers that are made in another way.

    When this fails and the change is wanted: raise VERSION in builtin.py, run `python tests/features/test_builtin.py`,
    which writes the numbers of the new version beside the old ones, and commit both.
    """
    path = GOLDEN / f"builtin-{VERSION}.json"
    assert path.is_file(), f"no golden numbers of version {VERSION}; write them with: python {Path(__file__).name}"
    golden, found = json.loads(path.read_text()), computed()
    assert found["identity"] == golden["identity"]
    for modality in ("audio", "visual", "silence"):
        np.testing.assert_allclose(
            found[modality],
            golden[modality],
            rtol=1e-4,
            atol=1e-5,
            err_msg=f"{modality} rows are others than version {VERSION} gave; raise VERSION in builtin.py",
        )


def computed() -> dict[str, Any]:
    extractor = BuiltinExtractor()
    features = extractor.describe(synthetic())
    rows = {"audio": features.audio, "visual": features.visual, "silence": extractor.silence(1)}
    plain = {name: [[float(f"{v:.7g}") for v in row] for row in values.tolist()] for name, values in rows.items()}
    return {"identity": extractor.identity.as_dict(), **plain}


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


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"builtin-{VERSION}.json").write_text(json.dumps(computed()) + "\n")
