from __future__ import annotations

import numpy as np
import pytest

from avzsl.features import audio, pitch, rhythm

RATE = 16000


def tone(hertz: float, seconds: float = 4.0, overtones: tuple[float, ...] = (1.0,)) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return sum(0.1 * a * np.sin(2 * np.pi * hertz * (k + 1) * time) for k, a in enumerate(overtones)).astype(np.float32)


def clicks(rate: float, seconds: float = 4.0) -> np.ndarray:
    """A decaying noise burst `rate` times a second."""
    sound = np.zeros(int(seconds * RATE), np.float32)
    burst = np.random.default_rng(0).standard_normal(600) * np.exp(-np.arange(600) / 120)
    for start in np.arange(0.02, seconds - 0.05, 1 / rate):
        sound[int(start * RATE) :][:600] += burst.astype(np.float32)
    return sound


def test_the_mel_filters_are_those_of_a_plain_loop() -> None:
    window, bands = 1024, 40
    filters = audio.mel_filters(RATE, window, bands)

    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    def hertz(value: float) -> float:
        return 700 * (10 ** (value / 2595) - 1)

    corners = [hertz(mel(40) + (mel(8000) - mel(40)) * i / (bands + 1)) for i in range(bands + 2)]
    for band in range(bands):
        left, top, right = corners[band : band + 3]
        row = []
        for k in range(window // 2 + 1):
            f = k * RATE / window
            inside = (f - left) / (top - left) if left < f <= top else (right - f) / (right - top)
            row.append(inside if left < f < right else 0.0)
        if sum(row) > 1e-9:
            np.testing.assert_allclose(filters[band], np.array(row) / sum(row), atol=1e-6)
    np.testing.assert_allclose(filters.sum(axis=1), 1, rtol=1e-5)


def test_the_spectrogram_is_that_of_a_plain_loop_and_peaks_at_the_tone() -> None:
    sound = tone(1000, 1.0)
    power = audio.spectrogram(sound, RATE)
    window = audio.window_length(RATE)
    assert window == 1024 and power.shape == (100, 513)
    middle = int(50.5 * 160)
    frame = sound[middle - 512 : middle + 512] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024))
    np.testing.assert_allclose(power[50], np.abs(np.fft.rfft(frame)) ** 2, rtol=1e-3, atol=1e-4)
    assert power[50].argmax() == round(1000 * 1024 / RATE)


def test_long_sound_in_blocks_is_the_same_as_short_sound() -> None:
    sound = np.random.default_rng(1).standard_normal(12 * RATE).astype(np.float32)
    whole = audio.spectrogram(sound, RATE)
    np.testing.assert_allclose(
        whole[900:1050], audio.spectrogram(sound[8 * RATE :], RATE)[100:250], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("rate", [2.0, 4.0, 5.0])
def test_the_autocorrelation_of_a_click_train_peaks_at_its_period(rate: float) -> None:
    power = audio.spectrogram(clicks(rate), RATE)
    bands = np.log(power / power.mean() @ audio.mel_filters(RATE, 1024, 40).T + 1e-5)
    again = rhythm.autocorrelation(rhythm.onset_envelope(bands)[None])[0]
    assert 6 + np.argmax(again[6:70]) == pytest.approx(100 / rate, abs=1)
    assert again[0] == pytest.approx(1, abs=0.01)


def test_the_autocorrelation_is_that_of_a_plain_loop() -> None:
    values = np.random.default_rng(0).standard_normal((1, 64))
    n, centred = 64, values[0] - values[0].mean()
    expected = []
    for lag in range(n):
        pairs = sum(centred[i] * centred[i + lag] for i in range(n - lag))
        expected.append(pairs * n / max(n - lag, n / 8) / (sum(centred**2) + 1e-4 * n))
    np.testing.assert_allclose(rhythm.autocorrelation(values)[0], expected, atol=1e-6)


def test_onsets_are_counted() -> None:
    power = audio.spectrogram(clicks(4), RATE)
    bands = np.log(power / power.mean() @ audio.mel_filters(RATE, 1024, 40).T + 1e-5)
    begins = rhythm.pick_onsets(rhythm.onset_envelope(bands)[None], 100)
    assert abs(int(begins.sum()) - 16) <= 1


def test_the_loudness_spectrum_peaks_at_the_repetition_rate() -> None:
    time = np.arange(400) / 100
    swing = rhythm._at_rates((1 + np.sin(2 * np.pi * 4 * time))[None], 100)[0]
    assert rhythm.rate_grid()[np.argmax(swing)] == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize("overtones", [(1.0,), (1, 0.5, 0.3, 0.2), (1, 0, 0.5, 0, 0.3), (0.3, 1, 0.6, 0.4, 0.3)])
@pytest.mark.parametrize("hertz", [110.0, 220.0, 440.0, 880.0])
def test_the_fundamental_is_found_whatever_the_overtones(hertz: float, overtones: tuple[float, ...]) -> None:
    power = audio.spectrogram(tone(hertz, 1.0, overtones), RATE)[20:80]
    best, salience, tones = pitch.fundamental(power, RATE)
    assert pitch.pitch_grid()[int(np.median(best))] == pytest.approx(hertz, rel=0.04)
    assert salience.mean() > 0.2
    strongest = int(np.argmax(overtones))
    assert int(np.median(tones.argmax(axis=1))) == strongest


def test_loudness_and_a_constant_offset_change_nothing() -> None:
    sound = tone(330, 2.0, (1, 0.5)) * (np.arange(2 * RATE) % 4000 < 2000)
    rows = audio.audio_rows(sound, RATE, 2)
    np.testing.assert_allclose(audio.audio_rows(0.01 * sound, RATE, 2), rows, atol=1e-3)
    np.testing.assert_allclose(audio.audio_rows(sound + np.float32(0.2), RATE, 2), rows, atol=0.05)


def test_a_little_noise_changes_little() -> None:
    sound = tone(330, 3.0, (1, 0.5, 0.4)) * (np.arange(3 * RATE) % 4000 < 2000)
    noise = 1e-4 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    one, two = audio.audio_rows(sound, RATE, 3), audio.audio_rows(sound + noise, RATE, 3)
    other = audio.audio_rows(tone(700, 3.0, (1, 0, 0.5)), RATE, 3)
    assert np.abs(one - two).mean() < 0.3 * np.abs(one - other).mean()


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0, np.float32),
        np.zeros(3 * RATE, np.float32),
        np.full(3 * RATE, 0.5, np.float32),
        np.ones(1, np.float32),
        np.full(RATE, np.nan, np.float32),
        np.full(RATE, np.inf, np.float32),
        np.sign(tone(100)) * 1e6,
        np.full(2 * RATE, 1e-30, np.float32),
        np.eye(1, 3 * RATE, RATE, dtype=np.float32)[0],
    ],
)
@pytest.mark.parametrize("segments", [1, 3])
def test_silence_clicks_and_broken_samples_give_finite_rows(sound: np.ndarray, segments: int) -> None:
    rows = audio.audio_rows(sound, RATE, segments)
    assert rows.shape == (segments, audio.audio_dim()) and rows.dtype == np.float32
    assert np.isfinite(rows).all() and np.abs(rows).max() <= 4


def test_short_sound_is_followed_by_silence_and_long_sound_is_cut() -> None:
    sound = tone(440, 4.0)
    np.testing.assert_allclose(
        audio.audio_rows(sound[: RATE // 2], RATE, 3),
        audio.audio_rows(np.concatenate([sound[: RATE // 2], np.zeros(5 * RATE, np.float32)]), RATE, 3),
        atol=1e-3,
    )


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_sample_rates_give_the_same_columns(rate: int) -> None:
    sound = np.random.default_rng(0).standard_normal(2 * rate).astype(np.float32)
    rows = audio.audio_rows(sound, rate, 2)
    assert rows.shape == (2, audio.audio_dim()) and np.isfinite(rows).all()
