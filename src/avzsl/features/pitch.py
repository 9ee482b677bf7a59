"""Which note sounds, and how its overtones are spread, whatever the note."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features.colour import soft_histogram

FloatArray = NDArray[np.floating[Any]]

LOWEST, HIGHEST = 70.0, 2240.0  # Hz, five octaves
PER_OCTAVE = 24
NOTES = 20
OVERTONES = 10
PITCH_DIM = 2 * NOTES + OVERTONES + 5
_WEIGHTS = 0.84 ** np.arange(OVERTONES)


def pitch_grid() -> NDArray[np.float64]:
    """Candidate fundamentals in Hz, `PER_OCTAVE` to the octave."""
    octaves = np.log2(HIGHEST / LOWEST)
    return LOWEST * 2 ** (np.arange(int(octaves * PER_OCTAVE) + 1) / PER_OCTAVE)


def fundamental(power: FloatArray, rate: int) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """The likeliest fundamental of spectra [T, bins], by harmonic summation.

    The amplitude (square root of power, the smooth part taken off) is added up at the multiples of each candidate with
    falling weights; half-way multiples count against it, which keeps the octave below from winning.

    Returns:
        Position in `pitch_grid` [T]; salience in 0..1 [T]; overtone amplitudes [T, OVERTONES], their sum 1 or 0.
    """
    amplitude = np.sqrt(power)
    smooth = _moving_mean(amplitude, 15)
    peaks = np.maximum(amplitude - smooth, 0)
    grid = pitch_grid()
    bins = power.shape[1]
    per_hertz = 2 * (bins - 1) / rate
    score = np.zeros((len(power), len(grid)), np.float32)
    for number, weight in enumerate(_WEIGHTS, 1):
        score += np.float32(weight) * _read(peaks, grid * number * per_hertz)
        score -= np.float32(0.5 * weight) * _read(peaks, grid * (number - 0.5) * per_hertz)
    best = np.argmax(score, axis=1)
    tones = _read_rows(amplitude, grid[best][:, None] * np.arange(1, OVERTONES + 1) * per_hertz)
    total = tones.sum(axis=1, keepdims=True)
    salience = np.take_along_axis(score, best[:, None], 1)[:, 0] / (amplitude.sum(axis=1) + 1e-6)
    return best, np.clip(salience, 0, 1), tones / np.maximum(total, 1e-6)


def pitch_rows(power: FloatArray, rate: int) -> FloatArray:
    """Pitch and overtones of spectra [T, bins]: [T, PITCH_DIM] in about -1 to 1."""
    best, salience, tones = fundamental(power, rate)
    last = len(pitch_grid()) - 1
    height = (best / last).astype(np.float32)
    voiced = np.sqrt(salience)
    notes = soft_histogram(height[:, None], voiced[:, None], NOTES, circular=False)
    bins = power.shape[1]
    lines = LOWEST * 2 ** (np.arange(NOTES) * np.log2(6000 / LOWEST) / (NOTES - 1))  # Hz, a coarse log-frequency axis
    spectrum = np.sqrt(np.sqrt(_read(power, np.minimum(lines, rate / 2.1) * 2 * (bins - 1) / rate)))
    spectrum = spectrum / (spectrum.sum(axis=1, keepdims=True) + 0.1)
    odd, even = tones[:, 0::2].sum(axis=1), tones[:, 1::2].sum(axis=1)
    number = np.arange(1, OVERTONES + 1)
    more = (odd - even, tones @ number / OVERTONES, voiced, height * voiced, height)
    return np.concatenate(
        [2 * notes - 0.1, 6 * spectrum - 0.3, 3 * np.sqrt(tones) - 0.8, np.stack(more, axis=1)], axis=1
    ).astype(np.float32)


def _moving_mean(values: FloatArray, width: int) -> FloatArray:
    """Mean over `width` neighbours along the last axis."""
    half = width // 2
    padded = np.pad(values, ((0, 0), (half + 1, half)), mode="edge")
    total = np.cumsum(padded, axis=1, dtype=np.float64)
    return ((total[:, width:] - total[:, :-width]) / width).astype(np.float32)


def _read(rows: FloatArray, places: NDArray[np.float64]) -> FloatArray:
    """Rows [T, bins] read between bins at the same places [K]; 0 beyond the end: [T, K]."""
    low = np.minimum(places.astype(int), rows.shape[1] - 2)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    inside = (places <= rows.shape[1] - 1).astype(np.float32)
    return (rows[:, low] * (1 - share) + rows[:, low + 1] * share) * inside


def _read_rows(rows: FloatArray, places: NDArray[np.float64]) -> FloatArray:
    """Rows [T, bins], each read at its own places [T, K]."""
    low = np.minimum(places.astype(int), rows.shape[1] - 2)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    inside = (places <= rows.shape[1] - 1).astype(np.float32)
    near, far = np.take_along_axis(rows, low, 1), np.take_along_axis(rows, low + 1, 1)
    return (near * (1 - share) + far * share) * inside
