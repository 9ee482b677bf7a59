"""Which note sounds, and how its overtones are spread, whatever the note."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features.colour import soft_histogram

FloatArray = NDArray[np.floating[Any]]

LOWEST, HIGHEST = 70.0, 2240.0  # Hz, five octaves
PER_OCTAVE = 24
NOTES = 20
OVERTONES = 10
PITCH_DIM = 2 * NOTES + OVERTONES + 4
_WEIGHTS = 0.84 ** np.arange(OVERTONES)
# Half the distance of two candidates, as a share of either, and a little more for sound that is not quite harmonic.
_TOLERANCE = 0.02


def pitch_grid() -> NDArray[np.float64]:
    """Candidate fundamentals in Hz, `PER_OCTAVE` to the octave."""
    octaves = np.log2(HIGHEST / LOWEST)
    return LOWEST * 2 ** (np.arange(int(octaves * PER_OCTAVE) + 1) / PER_OCTAVE)


@functools.lru_cache(maxsize=8)
def harmonic_sieve(bins: int, rate: int) -> FloatArray:
    """What each bin says about each candidate: [bins, candidates].

    Multiples of the candidate count for it with falling weights; half-way multiples count against it, which keeps the
    octave below from winning. A multiple is a triangle as wide as the grid is coarse.
    """
    per_hertz = 2 * (bins - 1) / rate
    place = np.arange(bins)[:, None]
    sieve = np.zeros((bins, len(pitch_grid())))
    for number, weight in enumerate(_WEIGHTS, 1):
        for multiple, share in ((number, weight), (number - 0.5, -0.5 * weight)):
            middle = pitch_grid() * multiple * per_hertz
            width = np.maximum(1.0, middle * _TOLERANCE)
            sieve += share * np.maximum(0, 1 - np.abs(place - middle) / width) * (middle < bins - 1)
    return sieve.astype(np.float32)


def fundamental(power: FloatArray, rate: int) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """The likeliest fundamental of spectra [T, bins], by harmonic summation.

    Returns:
        Position in `pitch_grid` [T]; salience in 0..1 [T]; overtone amplitudes [T, OVERTONES], their sum 1 or 0.
    """
    amplitude = np.sqrt(power)
    peaks = np.maximum(amplitude - _moving_mean(amplitude, 15), 0)
    score = peaks @ harmonic_sieve(power.shape[1], rate)
    best = np.argmax(score, axis=1)
    salience = np.take_along_axis(score, best[:, None], 1)[:, 0] / (amplitude.sum(axis=1) + 1e-6)
    per_hertz = 2 * (power.shape[1] - 1) / rate
    places = pitch_grid()[best][:, None] * np.arange(1, OVERTONES + 1) * per_hertz
    near = [_read_rows(amplitude, places * (1 + shift)) for shift in (-_TOLERANCE / 2, 0.0, _TOLERANCE / 2)]
    tones = np.maximum(np.maximum(*near[:2]), near[2])
    return best, np.clip(salience, 0, 1), tones / np.maximum(tones.sum(axis=1, keepdims=True), 1e-6)


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
    more = (odd - even, tones @ number / OVERTONES, voiced, height * voiced)
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
