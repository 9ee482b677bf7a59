"""What the name says is what the waveform sounds like, however the rest varies."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from avzsl.world.scenes import PITCHES, RHYTHMS, TIMBRES, Sound
from avzsl.world.sound import play

RATE = 16000


def _play(sound: Sound, seed: int = 0, seconds: float = 4.0) -> np.ndarray:
    return play(sound, np.random.default_rng(seed), seconds=seconds, rate=RATE, company=0)


def _centre(wave: np.ndarray) -> float:
    """Frequency with half of the power below it, Hz; the floor under hum and hiss is taken off."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    share = np.cumsum(power) / power.sum()
    return float(np.fft.rfftfreq(len(wave), 1 / RATE)[np.searchsorted(share, 0.5)])


def _course(wave: np.ndarray) -> np.ndarray:
    """Level in blocks of 10 ms, loudest = 1."""
    level = np.sqrt((wave[: len(wave) // 160 * 160].reshape(-1, 160) ** 2).mean(1))
    return level / np.quantile(level, 0.98)


def _beats(wave: np.ndarray) -> float:
    """Strongest rhythm between 1 and 16 Hz, Hz."""
    course = _course(wave) - _course(wave).mean()
    spectrum = np.abs(np.fft.rfft(course, 4096))
    frequencies = np.fft.rfftfreq(4096, 0.01)
    wanted = (frequencies > 1) & (frequencies < 16)
    return float(frequencies[wanted][spectrum[wanted].argmax()])


@pytest.mark.parametrize(("rhythm", "timbre"), list(product(RHYTHMS, TIMBRES)))
def test_every_sound_is_finite_loud_enough_and_never_clips(rhythm: str, timbre: str) -> None:
    for pitch in PITCHES:
        wave = _play(Sound(rhythm, pitch, timbre), 3)
        assert wave.dtype == np.float32 and wave.shape == (64000,)
        assert np.isfinite(wave).all() and 0.05 < np.abs(wave).max() < 0.95


@pytest.mark.parametrize("timbre", TIMBRES)
def test_pitches_are_ordered_in_every_timbre(timbre: str) -> None:
    centres = {p: np.median([_centre(_play(Sound("steady", p, timbre), seed)) for seed in range(4)]) for p in PITCHES}
    assert centres["low"] * 1.3 < centres["medium"] and centres["medium"] * 1.3 < centres["high"]


def test_rhythms_beat_at_their_own_rate() -> None:
    for seed, timbre in product(range(4), ("bells", "drums", "organs")):
        fast, slow = (_play(Sound(r, "medium", timbre), seed) for r in ("fast", "slow"))
        assert 4.5 < _beats(fast) < 6.6
        assert 1.2 < _beats(slow) < 1.8
    for seed in range(4):
        assert _course(_play(Sound("steady", "medium", "organs"), seed)).min() > 0.4
        broken = _course(_play(Sound("stuttering", "medium", "organs"), seed))
        assert 0.2 < np.mean(broken < 0.35) < 0.8, "a burst, then a rest"


def test_galloping_comes_in_threes() -> None:
    """Two short gaps, then a longer one."""
    for seed in range(5):
        course = _course(_play(Sound("galloping", "high", "bells"), seed))
        rise = np.flatnonzero((course[2:] > course[:-2] + 0.15) & (course[2:] > 0.3))
        onsets = rise[np.diff(rise, prepend=-100) > 4]
        gaps = np.diff(onsets) / 100
        assert 0.08 < np.quantile(gaps, 0.3) < 0.2 and 0.25 < gaps.max() < 0.5


def test_timbres_differ_in_their_spectra() -> None:
    """A judge that slides each spectrum along a logarithmic axis (tuning varies) finds the nearest timbre."""
    edges = 430 * np.geomspace(0.35, 10, 65)

    def profile(timbre: str, seed: int) -> np.ndarray:
        wave = _play(Sound("steady", "medium", timbre), seed)
        power = np.histogram(np.fft.rfftfreq(len(wave), 1 / RATE), edges, weights=np.abs(np.fft.rfft(wave)) ** 2)[0]
        bands = np.log(power / power.sum() + 1e-3)
        return bands - bands.mean()

    def likeness(one: np.ndarray, other: np.ndarray) -> float:
        return max(float(np.corrcoef(np.roll(one, k), other)[0, 1]) for k in range(-8, 9))

    known = {t: [profile(t, s) for s in range(4)] for t in TIMBRES}
    right = []
    for true, seed in product(TIMBRES, range(20, 25)):
        heard = profile(true, seed)
        right.append(max(TIMBRES, key=lambda t: max(likeness(heard, k) for k in known[t])) == true)
    assert np.mean(right) > 0.85


def test_clips_of_one_class_differ_in_loudness_tuning_and_noise() -> None:
    waves = [_play(Sound("steady", "medium", "flutes"), seed) for seed in range(10)]
    assert np.ptp([20 * np.log10(np.abs(w).max()) for w in waves]) > 6
    assert np.ptp([_centre(w) for w in waves]) > 20


def test_any_length_and_rate_work() -> None:
    for seconds, rate in ((1.0, 8000), (0.5, 16000), (7.3, 16000)):
        wave = play(Sound("slow", "high", "strings"), np.random.default_rng(0), seconds=seconds, rate=rate)
        assert wave.shape == (round(seconds * rate),) and np.isfinite(wave).all()


def test_the_generator_decides_every_sample() -> None:
    sound = Sound("galloping", "low", "strings")
    np.testing.assert_array_equal(_play(sound, 5), _play(sound, 5))
    assert not np.array_equal(_play(sound, 5), _play(sound, 6))


def test_company_is_another_instrument_6_to_14_db_below() -> None:
    """The same seed with and without company: what the company adds is the difference of two waves at unit level."""
    from avzsl.world import sound as module

    for seed in range(8):
        generator = np.random.default_rng(seed)
        added = module._company(
            Sound("steady", "low", "flutes"), generator, np.arange(4 * RATE, dtype=np.float32) / RATE, RATE
        )
        assert np.sqrt(np.mean(added**2)) == pytest.approx(1, abs=1e-3)
    low, high = module._COMPANY_LEVEL
    assert (low, high) == (-14.0, -6.0)
    alone, joined = (
        play(Sound("steady", "low", "flutes"), np.random.default_rng(3), seconds=4, rate=RATE, company=c)
        for c in (0, 1)
    )
    assert np.abs(np.corrcoef(alone, joined)[0, 1]) < 0.999
