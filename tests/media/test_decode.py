"""Frames and sound come back as they were written; bad files end in one sentence, never in a wrong clip."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avzsl.errors import MediaError, MissingExtraError, SettingError
from avzsl.media.decode import Limits, MediaClip, probe, read_clip
from avzsl.media.encode import write_clip

_SPEC = importlib.util.spec_from_file_location("media_files", Path(__file__).with_name("conftest.py"))
assert _SPEC is not None and _SPEC.loader is not None
files = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(files)
numbered, read_number, sine = files.numbered, files.read_number, files.sine

Make = Callable[..., Path]


def _read(path: Path, **changes: object) -> MediaClip:
    settings: dict[str, object] = {"frame_rate": 25.0, "size": 64, "audio_rate": 16000, **changes}
    return read_clip(path, **settings)  # type: ignore[arg-type]


def _wide(count: int) -> np.ndarray:
    """Numbered square frames whose centre square is the whole picture."""
    return numbered(count, height=80, width=80)


@pytest.mark.parametrize("rate", [12.5, 25.0, 29.97, 30000 / 1001, 30.0])
def test_every_frame_comes_back_in_its_place_at_the_files_own_rate(tmp_path: Path, rate: float) -> None:
    path = tmp_path / "film.mp4"
    write_clip(path, _wide(70), rate, None, 16000)
    clip = _read(path, frame_rate=rate, size=80)
    assert clip.frames is not None and clip.frames.shape == (70, 80, 80, 3)
    assert [read_number(f) for f in clip.frames] == list(range(70))
    assert clip.info.fps == pytest.approx(rate, rel=1e-4) and clip.info.frames == 70
    assert clip.info.duration == pytest.approx(70 / rate, rel=1e-3)
    assert clip.info.warnings == ("no sound",)


def _filter_numbers(path: Path, rate: int) -> list[int]:
    """The oracle: libavfilter's own `fps` filter."""
    numbers = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        graph = av.filter.Graph()
        source, fps, sink = graph.add_buffer(template=stream), graph.add("fps", str(rate)), graph.add("buffersink")
        source.link_to(fps)
        fps.link_to(sink)
        graph.configure()

        def pull() -> None:
            while True:
                try:
                    numbers.append(read_number(graph.pull().to_ndarray(format="rgb24")))
                except (BlockingIOError, EOFError):
                    return

        for frame in container.decode(stream):
            graph.push(frame)
            pull()
        graph.push(None)
        pull()
    return numbers


@pytest.mark.parametrize(
    ("source", "target"), [(30, 25), (12.5, 25), (25, 12), (29.97, 10), (24, 30), (25, 60), (30, 1)]
)
def test_frames_at_another_rate_are_those_of_the_fps_filter(tmp_path: Path, source: float, target: int) -> None:
    path = tmp_path / "film.mp4"
    write_clip(path, _wide(90), source, None, 16000)
    clip = _read(path, frame_rate=target, size=80)
    assert clip.frames is not None
    assert [read_number(f) for f in clip.frames] == _filter_numbers(path, target)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_frequency_and_level_of_a_tone_survive(make: Make, rate: int) -> None:
    path = make("tone.mp4", _wide(50), audio=sine(1000, 2, rate), audio_rate=rate)
    clip = _read(path)
    assert clip.audio is not None and clip.audio.dtype == np.float32
    second = clip.audio[4000:20000]
    assert np.abs(np.fft.rfft(second)).argmax() == 1000
    assert np.sqrt(np.mean(second**2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.03)
    assert len(clip.audio) == pytest.approx(32000, abs=2500)  # AAC pads its last block
    assert clip.info.audio_rate == rate and clip.info.audio_channels == 1


def test_two_channels_become_their_mean(make: Make) -> None:
    both = (np.stack([sine(500, 1, 16000), np.zeros(16000)]) * 32767).astype(np.int16)
    path = make("two.wav", audio=both, layout="stereo", audio_codec="pcm_s16le", sample_format="s16")
    clip = _read(path)
    assert clip.audio is not None and clip.info.audio_channels == 2
    np.testing.assert_allclose(clip.audio, both[0] / 2 / 32768, atol=1e-4)


def test_five_point_one_sound_is_mixed_down_without_clipping(make: Make) -> None:
    six = np.stack([sine(440, 1, 48000, level=0.99)] * 6)
    path = make("six.mp4", audio=six, audio_rate=48000, layout="5.1")
    clip = _read(path)
    assert clip.info.audio_channels == 6
    assert clip.audio is not None
    second = clip.audio[2000:14000]
    assert 0.5 < np.abs(second).max() <= 1
    clipped = np.mean(np.abs(second) > 0.999)
    assert clipped < 0.01, "all channels alike and loud must not overflow"


@pytest.mark.parametrize(("height", "width"), [(96, 64), (64, 96), (65, 97), (33, 31), (64, 64), (20, 18)])
def test_the_centre_square_is_kept_for_any_shape(make: Make, height: int, width: int) -> None:
    ramp = np.zeros((3, height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)[None, None, :]
    ramp[..., 1] = np.linspace(0, 255, height)[None, :, None]
    path = make("odd.mkv", ramp, codec="ffv1", pixels="yuv444p")
    clip = _read(path, size=32)
    assert clip.frames is not None and clip.frames.shape[1:] == (32, 32, 3)
    assert (clip.info.width, clip.info.height) == (width, height)
    short = min(height, width)
    for channel, side, mean in ((0, width, clip.frames[0].mean(0)), (1, height, clip.frames[0].mean(1))):
        low, high = (side - short) / 2, (side + short) / 2
        expected = 255 * (np.linspace(low, high, 33)[:-1] + (high - low) / 64 - 0.5) / (side - 1)
        np.testing.assert_allclose(mean[2:-2, channel], np.clip(expected, 0, 255)[2:-2], atol=10)


def test_non_square_pixels_are_widened(make: Make) -> None:
    picture = np.zeros((2, 64, 64, 3), np.uint8)
    picture[:, :, 16:48] = 255

    def stretch(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)

    clip = _read(make("wide.mp4", picture, prepare=stretch), size=64)
    assert clip.frames is not None
    assert clip.frames[0, 32].mean() > 250, "the middle half, shown twice as wide, fills the centre square"


def _turn_header(path: Path) -> Path:
    """Give the picture track the matrix that phones write for 'turn a quarter clockwise to show'."""
    data = bytearray(path.read_bytes())
    plain = b"".join(v.to_bytes(4, "big") for v in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000))
    turned = b"".join(v.to_bytes(4, "big") for v in (0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000))
    place = data.index(plain, data.index(b"tkhd"))
    data[place : place + len(plain)] = turned
    path.write_bytes(bytes(data))
    return path


def test_rotation_is_honoured(make: Make) -> None:
    picture = np.zeros((3, 64, 96, 3), np.uint8)
    picture[:, :24] = 255  # a white band along the top
    path = _turn_header(make("phone.mp4", picture))
    info = probe(path)
    assert (info.width, info.height) == (64, 96)
    clip = _read(path, size=64)
    assert clip.frames is not None
    assert clip.frames[1, :, -20:].mean() > 240, "turned clockwise, the top lies on the right"
    assert clip.frames[1, :, :30].mean() < 15
    assert (clip.info.width, clip.info.height) == (64, 96)


def test_sound_that_starts_late_is_led_in_by_silence(make: Make) -> None:
    loud = (sine(1000, 1, 16000) * 32767).astype(np.int16)
    path = make("late.mkv", _wide(50), audio=loud, audio_start=0.5, audio_codec="flac", sample_format="s16")
    clip = _read(path)
    assert clip.audio is not None and clip.frames is not None
    first = int(np.flatnonzero(np.abs(clip.audio) > 0.05)[0])
    assert first == pytest.approx(8000, abs=80)
    assert len(clip.frames) == 50


def test_picture_that_starts_late_is_led_in_by_its_first_frame(make: Make) -> None:
    path = make("late.mkv", _wide(20), pts=[i + 10 for i in range(20)], audio=sine(300, 1.5, 16000))
    clip = _read(path, size=80)
    assert clip.frames is not None and clip.audio is not None
    assert [read_number(f) for f in clip.frames[:12]] == [0] * 11 + [1]
    assert abs(len(clip.audio) / 16000 - 1.5) < 0.1


def test_a_gap_in_the_sound_stays_a_gap(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start in (0, 8000, 24000):
            block = (sine(1000, 0.5, 16000) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(stream.encode(frame))
    clip = _read(path)
    assert clip.audio is not None and clip.frames is None and "no picture" in clip.info.warnings
    assert len(clip.audio) == pytest.approx(32000, abs=100)
    assert np.abs(clip.audio[16400:23600]).max() == 0 and np.abs(clip.audio[24400:31000]).max() > 0.3


def test_counts_and_durations_that_the_header_lacks_are_found_by_decoding(make: Make) -> None:
    path = make("film.mkv", _wide(37), rate=25)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0, "this test needs a header without a count"
    for info in (probe(path), _read(path).info):
        assert info.frames == 37 and info.duration == pytest.approx(1.48, abs=0.01)
        assert info.fps == pytest.approx(25, rel=0.01)


def test_a_varying_frame_rate_is_warned_of_and_resampled_by_time(make: Make) -> None:
    path = make("phone.mp4", _wide(6), pts=[0, 1, 2, 10, 11, 12])
    assert "the frame rate varies" in probe(path).warnings
    clip = _read(path, size=80)
    assert "the frame rate varies" in clip.info.warnings
    assert clip.frames is not None
    assert [read_number(f) for f in clip.frames] == [0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5]


def test_steady_films_are_not_called_varying(make: Make) -> None:
    for name in ("film.mkv", "film.mp4", "film.avi"):
        assert not any("varies" in w for w in probe(make(name, _wide(40), rate=Fraction(30000, 1001))).warnings)


def test_one_frame_makes_a_clip(make: Make) -> None:
    clip = _read(make("still.mp4", _wide(1)), size=80)
    assert clip.frames is not None and clip.frames.shape == (1, 80, 80, 3) and clip.info.frames == 1
    assert _read(make("still.mp4", _wide(1)), frame_rate=1.0).frames.shape[0] == 1  # type: ignore[union-attr]


def test_a_missing_modality_is_none_with_a_warning(make: Make) -> None:
    mute = _read(make("mute.mp4", _wide(10)))
    assert mute.audio is None and mute.frames is not None and mute.info.warnings == ("no sound",)
    for name, codec in (("talk.wav", "pcm_s16le"), ("talk.m4a", "aac"), ("talk.flac", "flac")):
        kind = "fltp" if codec == "aac" else "s16"
        samples = sine(200, 1, 16000) if codec == "aac" else (sine(200, 1, 16000) * 32767).astype(np.int16)
        talk = _read(make(name, audio=samples, audio_codec=codec, sample_format=kind))
        assert talk.frames is None and talk.audio is not None and talk.info.warnings == ("no picture",)
        assert talk.info.duration == pytest.approx(1, abs=0.1) and not talk.info.has_video


def test_digital_silence_is_kept_and_named(make: Make) -> None:
    clip = _read(make("silent.mp4", _wide(25), audio=np.zeros(16000, np.float32)))
    assert clip.audio is not None and not clip.audio.any() and "digital silence" in clip.info.warnings[0]


def test_invalid_samples_become_silence(make: Make) -> None:
    samples = sine(500, 1, 16000)
    samples[4000:4100], samples[9000] = np.nan, np.inf
    clip = _read(make("nan.wav", audio=samples, audio_codec="pcm_f32le", sample_format="flt"))
    assert clip.audio is not None and np.isfinite(clip.audio).all() and np.abs(clip.audio).max() < 0.5
    assert any("invalid samples" in w for w in clip.info.warnings)


def _long_film(tmp_path: Path) -> Path:
    path = tmp_path / "long.mp4"
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (100, 64, 64, 3), dtype=np.uint8)
    write_clip(path, frames, 25, sine(500, 4, 16000), 16000)
    return path


def test_a_film_cut_off_in_the_middle_gives_what_is_there(tmp_path: Path) -> None:
    path = _long_film(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    clip = _read(path)
    assert clip.frames is not None and 20 <= len(clip.frames) < 90
    assert any("of 100 announced pictures" in w or "breaks off" in w for w in clip.info.warnings)
    assert clip.info.frames < 90 and clip.info.duration < 3.6
    assert np.isfinite(clip.audio).all() if clip.audio is not None else True


def test_damage_in_the_middle_does_not_stop_the_rest(tmp_path: Path) -> None:
    path = _long_film(tmp_path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(bytes(data))
    clip = _read(path)
    assert clip.frames is not None and len(clip.frames) > 60


def _no_index(tmp_path: Path) -> Path:
    path = _long_film(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:4].join([b""]) + data[data.index(b"mdat") - 4 :])
    return path


def _written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(tmp_path: Path) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


_BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda tmp: tmp / "nowhere.mp4", "cannot be read"),
    "folder": (lambda tmp: tmp, "not a file"),
    "zero bytes": (_written("empty.mp4", b""), "0 bytes"),
    "text": (_written("text.mp4", b"I am not a video, whatever my name says.\n" * 50), "not a readable"),
    "noise": (_written("noise.mkv", np.random.default_rng(3).bytes(20_000)), "not a readable|can be decoded"),
    "play list": (_written("list.mp4", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"), "not a readable"),
    "joined files": (_written("join.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n"), "not a readable"),
    "no index": (_no_index, "not a readable"),
    "header only": (
        lambda tmp: _written("head.mp4", _long_film(tmp).read_bytes()[:600])(tmp),
        "not a readable|decoded",
    ),
}


@pytest.mark.parametrize("kind", _BAD)
def test_bad_files_end_in_an_error_that_names_them(tmp_path: Path, kind: str) -> None:
    make_bad, reason = _BAD[kind]
    path = make_bad(tmp_path)
    for call in (_read, probe):
        with pytest.raises(MediaError, match=reason) as caught:
            call(path)
        assert str(path) in str(caught.value)


def test_every_prefix_of_a_film_ends_in_a_clip_or_an_error(tmp_path: Path) -> None:
    whole = _long_film(tmp_path).read_bytes()
    path = tmp_path / "cut.mp4"
    kinds = set()
    for share in np.linspace(0, 1, 25):
        path.write_bytes(whole[: int(share * len(whole))])
        try:
            clip = _read(path, size=16)
            assert clip.frames is not None or clip.audio is not None
            kinds.add("clip")
        except MediaError as error:
            assert "cut.mp4" in str(error)
            kinds.add("error")
    assert kinds == {"clip", "error"}


def test_files_beyond_the_limits_are_refused_and_named(make: Make) -> None:
    path = make("film.mp4", _wide(10))
    with pytest.raises(MediaError, match=r"film\.mp4.*80 x 80 pixels"):
        _read(path, limits=Limits(max_pixels=80 * 79))
    with pytest.raises(MediaError, match=r"film\.mp4.*bytes"):
        probe(path, Limits(max_bytes=100))


def test_only_the_first_seconds_are_read(make: Make) -> None:
    path = make("film.mp4", _wide(200), audio=sine(300, 8, 16000))
    for clip in (_read(path, max_seconds=1.5), _read(path, limits=Limits(max_seconds=1.5))):
        assert clip.frames is not None and clip.audio is not None
        assert len(clip.frames) == 38 and len(clip.audio) == 24000
        assert any("only the first" in w for w in clip.info.warnings)
    tight = _read(path, limits=Limits(max_memory=10 * 3 * 64 * 64))
    assert tight.frames is not None and len(tight.frames) == 10
    assert not any("only the first" in w for w in _read(path).info.warnings)


@pytest.mark.parametrize("bad", [{"frame_rate": 0.0}, {"size": 0}, {"audio_rate": -1}, {"max_seconds": float("nan")}])
def test_senseless_settings_are_refused(make: Make, bad: dict[str, object]) -> None:
    with pytest.raises(SettingError, match="greater than 0"):
        _read(make("film.mp4", _wide(2)), **bad)


def test_a_missing_decoder_package_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make("film.mp4", _wide(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"avzsl\[video\]"):
        _read(path)


def test_names_that_look_like_protocols_are_only_names(make: Make, tmp_path: Path) -> None:
    strange = tmp_path / "concat:a|b ü #%20.mp4"
    make("film.mp4", _wide(5)).rename(strange)
    assert _read(strange).info.frames == 5


def test_the_info_of_a_clip_is_what_probe_says(make: Make) -> None:
    path = make("film.mp4", _wide(50), audio=sine(300, 2, 16000))
    assert dataclasses.replace(_read(path).info, audio_duration=0) == dataclasses.replace(probe(path), audio_duration=0)


_MEASURE = """
import resource, sys
from avzsl.media.decode import read_clip
def read(seconds):
    clip = read_clip(sys.argv[1], frame_rate=25.0, size=32, audio_rate=16000, max_seconds=seconds)
    return len(clip.frames), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(*read(1), *read(600))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory_is_bound_by_what_is_returned_not_by_the_film(make: Make) -> None:
    """600 frames of 640 x 480 are 550 MB as RGB; the reduced clip is 2 MB."""
    frames = np.broadcast_to(np.zeros((1, 480, 640, 3), np.uint8), (600, 480, 640, 3))
    path = make("long.mp4", frames, prepare=lambda s: setattr(s, "options", {"preset": "ultrafast"}))
    result = subprocess.run([sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, check=True)
    short, before, long, after = (int(v) for v in result.stdout.split())
    assert (short, long) == (25, 600)
    assert after - before < 100_000


def test_files_can_be_read_in_threads(make: Make) -> None:
    path = make("film.mp4", _wide(20), audio=sine(300, 1, 16000))
    expected, results = _read(path), []
    threads = [threading.Thread(target=lambda: results.append(_read(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for clip in results:
        np.testing.assert_array_equal(clip.frames, expected.frames)
        np.testing.assert_array_equal(clip.audio, expected.audio)


def test_a_header_that_claims_hardly_any_pictures_per_second_is_no_trouble() -> None:
    from avzsl.media._timeline import FrameSampler

    sampler = FrameSampler(
        Path("a.avi"), rate=Fraction(4), size=8, most=4, fps=1e-9, duration=1e-9, limits=Limits(), aspect=1.0
    )
    assert sampler.finish() is None


@pytest.mark.parametrize(("pts", "base"), [(None, None), (3, None), (None, Fraction(1, 10)), (3, Fraction(1, 10))])
def test_a_picture_or_sound_without_a_clock_follows_the_one_before(pts: int | None, base: Fraction | None) -> None:
    """Some damage leaves a stream without a unit of time."""
    from avzsl.media._timeline import FrameSampler, SoundCollector

    pictures = FrameSampler(Path("a"), rate=Fraction(4), size=8, most=9, fps=4, duration=1, limits=Limits(), aspect=1.0)
    sound = SoundCollector(rate=8000, most=8000)
    for _ in range(2):
        frame = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")
        block = av.AudioFrame.from_ndarray(np.ones((1, 800), np.float32), format="fltp", layout="mono")
        block.sample_rate = 8000
        for piece, taker in ((frame, pictures), (block, sound)):
            piece.pts = pts
            if base is not None:
                piece.time_base = base
            taker.add(piece)
    found, heard = pictures.finish(), sound.finish()
    assert found is not None and len(found) == 2 and heard is not None
    assert pictures.start == sound.start == (Fraction(3, 10) if pts and base else None)
