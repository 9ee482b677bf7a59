"""When sounds begin and how regularly: onsets, their autocorrelation and the spectrum of loudness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features.motion import context_windows

FloatArray = NDArray[np.floating[Any]]

# Seconds of context around a row: two beats of a slow rhythm fit in.
CONTEXT = 4.0
LAGS = 28
RATES = 24
GAPS = 8
RHYTHM_DIM = LAGS + RATES + GAPS + 8
_SHORTEST, _LONGEST = 0.06, 2.0  # seconds
_SLOWEST, _FASTEST = 0.5, 20.0  # Hz


def onset_envelope(bands: FloatArray) -> FloatArray:
    """How much begins at each step: mean rise of log bands [T, M] against two steps before: [T]."""
    rise = np.zeros(len(bands), np.float32)
    rise[2:] = np.maximum(bands[2:] - bands[:-2], 0).mean(axis=1)
    return rise


def autocorrelation(windows: FloatArray) -> FloatArray:
    """Autocorrelation of windows [L, n] for lags 0 to n - 1, unbiased, 1 at lag 0 (all 0 for a constant window)."""
    n = windows.shape[1]
    centred = windows - windows.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n, axis=1)
    raw = np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=1)[:, :n]
    pairs = n / np.maximum(n - np.arange(n), n / 8)
    return (raw * pairs / (raw[:, :1] + 1e-4 * n)).astype(np.float32)


def lag_grid() -> NDArray[np.float64]:
    """Lags of the rhythm features in seconds, evenly spaced in logarithm."""
    return np.geomspace(_SHORTEST, _LONGEST, LAGS)


def rate_grid() -> NDArray[np.float64]:
    """Repetition rates of the rhythm features in Hz, evenly spaced in logarithm."""
    return np.geomspace(_SLOWEST, _FASTEST, RATES)


def pick_onsets(envelope: FloatArray, per_second: int) -> NDArray[np.bool_]:
    """Steps of windows [L, n] at which something begins: a maximum within 40 ms, well above the mean."""
    reach = max(1, round(0.04 * per_second))
    padded = np.pad(envelope, ((0, 0), (reach, reach)))
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=1).max(axis=-1)
    mean, spread = envelope.mean(axis=1, keepdims=True), envelope.std(axis=1, keepdims=True)
    return (envelope >= around) & (envelope > mean + 0.7 * spread) & (envelope > 0.05)


def rhythm_rows(bands: FloatArray, per_second: int, segments: int) -> FloatArray:
    """Rhythm of each second with its surroundings.

    Args:
        bands: [T, M] log band energies.
        per_second: steps per second.
        segments: seconds (L).

    Returns:
        [L, RHYTHM_DIM] in about -1 to 1.
    """
    seconds = min(CONTEXT, float(segments))
    onsets = context_windows(onset_envelope(bands), per_second, segments, seconds)
    loudness = context_windows(bands.max(axis=1), per_second, segments, seconds)
    loudness = np.exp(loudness - loudness.max(axis=1, keepdims=True)) ** 0.3
    again = _at_lags(autocorrelation(onsets), per_second)
    swing = _at_rates(loudness, per_second)
    begins = pick_onsets(onsets, per_second)
    gaps, regular, median = _gaps(begins, per_second)
    duty = (loudness > 0.5 * loudness.max(axis=1, keepdims=True)).mean(axis=1)
    best = np.argmax(again, axis=1)
    more = (
        np.log2(begins.sum(axis=1) / seconds + 0.5) / 2 - 0.5,
        2 * duty - 1,
        loudness.mean(axis=1) * 2 - 1,
        3 * loudness.std(axis=1) - 0.5,
        regular,
        median,
        2 * best / (LAGS - 1) - 1,
        np.log2(onsets.max(axis=1) / (onsets.mean(axis=1) + 1e-2) + 1) / 2 - 1,
    )
    return np.concatenate([2 * again, swing, gaps, np.stack(more, axis=1)], axis=1).astype(np.float32)


def _at_lags(values: FloatArray, per_second: int) -> FloatArray:
    """Largest autocorrelation near each lag of the grid (the grid is coarser than the steps): [L, LAGS]."""
    edges = np.geomspace(_SHORTEST, _LONGEST, 2 * LAGS + 1) * per_second
    found = []
    for lag in range(LAGS):
        first, last = int(edges[2 * lag]), int(np.ceil(edges[2 * lag + 2]))
        block = values[:, first : last + 1]
        found.append(block.max(axis=1) if block.shape[1] else np.zeros(len(values), np.float32))
    return np.stack(found, axis=1)


def _at_rates(loudness: FloatArray, per_second: int) -> FloatArray:
    """Strength of each repetition rate in loudness windows [L, n]: [L, RATES]."""
    n = loudness.shape[1]
    time = np.arange(n) / per_second
    centred = (loudness - loudness.mean(axis=1, keepdims=True)) * np.hanning(n)
    waves = np.exp(-2j * np.pi * rate_grid()[:, None] * time)  # [RATES, n]
    return 2 * np.sqrt(np.abs(centred @ waves.T) * (4 / n)) - 0.5


def _gaps(begins: NDArray[np.bool_], per_second: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Histogram of the time between onsets [L, GAPS], its regularity [L] in -1..1 and its median on a log scale [L]."""
    histogram = np.zeros((len(begins), GAPS), np.float32)
    regular, median = np.full(len(begins), -1, np.float32), np.full(len(begins), 1, np.float32)
    for row, line in enumerate(begins):
        gap = np.diff(np.flatnonzero(line)) / per_second
        if len(gap):
            place = np.clip(np.log(gap / _SHORTEST) / np.log(_LONGEST / _SHORTEST), 0, 1)
            low = np.minimum((place * (GAPS - 1)).astype(int), GAPS - 2)
            share = place * (GAPS - 1) - low
            np.add.at(histogram[row], low, (1 - share) / len(gap))
            np.add.at(histogram[row], low + 1, share / len(gap))
            regular[row] = 1 - 2 * min(1.0, float(gap.std() / gap.mean()))
            median[row] = 2 * float(np.median(place)) - 1
    return 2 * np.sqrt(histogram) - 0.5, regular, median
