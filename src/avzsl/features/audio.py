"""What one hears: spectrum, pitch, timbre and rhythm of a clip, one row per second."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features import pitch, rhythm

FloatArray = NDArray[np.floating[Any]]

BANDS = 40
_WINDOW_SECONDS = 0.064
_HOP_SECONDS = 0.01
# Below this share of the clip's mean power a bin counts as silence; it also keeps the logarithm finite.
_FLOOR = 1e-5
# Added to the power of a 10 ms step, whose mean over the clip is the number of bins: steps far below it have no shape.
_QUIET = 0.1
_SHAPE = 8


def audio_dim() -> int:
    """Columns of an audio row."""
    return 3 * BANDS + 2 * _SHAPE + pitch.PITCH_DIM + rhythm.RHYTHM_DIM + 2


def audio_rows(samples: FloatArray, rate: int, segments: int) -> FloatArray:
    """One row per second.

    Args:
        samples: [N] float32 mono in -1 to 1.
        rate: samples per second.
        segments: seconds wanted (L); shorter sound is followed by silence, longer sound is cut.

    Returns:
        [segments, audio_dim()] float32, finite, in about -1 to 1. Loudness has no influence; silence gives a fixed row.
    """
    wanted = segments * rate
    sound = np.zeros(wanted, np.float32)
    kept = np.nan_to_num(np.asarray(samples[:wanted], np.float32), posinf=0, neginf=0)
    sound[: len(kept)] = kept - (kept.mean() if len(kept) else 0)  # an offset would click where the padding begins
    power = spectrogram(sound, rate)  # [T, bins]
    power[:, :3] = 0  # below 40 Hz lies what is left of an offset
    level = power.mean()
    audible = level > 1e-9
    power = power / level if audible else np.zeros_like(power)
    per_second = round(1 / _HOP_SECONDS)
    bands = np.log(power @ mel_filters(rate, window_length(rate), BANDS).T + _FLOOR)  # [T, BANDS]
    shapes = spectral_shape(power, rate)
    pitches = pitch.pitch_rows(power, rate)
    beats = rhythm.rhythm_rows(bands, per_second, segments)
    loud = power.mean(axis=1)

    by_second = bands.reshape(segments, per_second, BANDS)
    weight = (loud + 1e-6).reshape(segments, per_second, 1)
    share = weight / weight.sum(axis=1, keepdims=True)
    shapes = shapes.reshape(segments, per_second, -1)
    middle = (shapes * share).sum(axis=1)
    spread = np.sqrt(((shapes - middle[:, None]) ** 2 * share).sum(axis=1))
    second_loud = loud.reshape(segments, per_second).mean(axis=1)
    rows = (
        (by_second.mean(axis=1) + 5) / 4,
        by_second.std(axis=1) / 2 - 0.5,
        (by_second.max(axis=1) + 1) / 3,
        2 * middle - 1,
        4 * spread - 0.5,
        (pitches.reshape(segments, per_second, -1) * share).sum(axis=1),
        beats,
        np.stack([np.log10(second_loud + 1e-3) / 2, np.full(segments, 1.0 if audible else -1.0)], axis=1),
    )
    return np.clip(np.concatenate(rows, axis=1), -4, 4).astype(np.float32)


def window_length(rate: int) -> int:
    """Samples of one analysis window, a power of two near 64 ms."""
    return int(2 ** round(np.log2(_WINDOW_SECONDS * rate)))


def spectrogram(sound: FloatArray, rate: int) -> FloatArray:
    """Power [T, window / 2 + 1] of Hann windows whose middles are 10 ms apart, the first at 5 ms.

    Args:
        sound: [N] a whole number of seconds.
        rate: samples per second.
    """
    window = window_length(rate)
    steps = round(len(sound) / rate / _HOP_SECONDS)
    middles = ((np.arange(steps) + 0.5) * _HOP_SECONDS * rate).astype(int)
    padded = np.concatenate([np.zeros(window // 2, np.float32), sound, np.zeros(window, np.float32)])
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)
    power = np.empty((steps, window // 2 + 1), np.float32)
    for start in range(0, steps, 1000):  # ten seconds at a time bounds the memory
        block = frames[middles[start : start + 1000]] * shape.astype(np.float32)
        spectrum = np.fft.rfft(block, axis=1)
        power[start : start + 1000] = spectrum.real**2 + spectrum.imag**2
    return power


@functools.lru_cache(maxsize=8)
def mel_filters(rate: int, window: int, bands: int) -> FloatArray:
    """Triangular filters [bands, window / 2 + 1], equally spaced in mel from 40 Hz to half the rate, each of sum 1.

    mel = 2595 log10(1 + f / 700).
    """
    low, high = (2595 * np.log10(1 + f / 700) for f in (40.0, rate / 2))
    corners = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)  # Hz
    frequency = np.arange(window // 2 + 1) * rate / window
    rise = (frequency - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - frequency) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rise, fall))
    # The lowest filters can be narrower than one bin; such a filter reads the nearest bin.
    for row in np.flatnonzero(filters.sum(axis=1) < 1e-9):
        filters[row, np.argmin(np.abs(frequency - corners[row + 1]))] = 1
    return (filters / filters.sum(axis=1, keepdims=True)).astype(np.float32)


def spectral_shape(power: FloatArray, rate: int) -> FloatArray:
    """Centroid, bandwidth, two roll-offs, flatness, tilt, peakiness, low share of spectra [T, bins]: [T, 8] in 0..1."""
    bins = power.shape[1]
    # Mel-like frequency axis in 0..1, so that the lower octaves count.
    hertz = np.arange(bins) * (rate / 2 / (bins - 1))
    axis = (np.log10(1 + hertz / 700) / np.log10(1 + rate / 2 / 700)).astype(np.float32)
    total = power.sum(axis=1) + _QUIET
    centroid = power @ axis / total
    width = np.sqrt(np.maximum(power @ axis**2 / total - centroid**2, 0))
    rising = np.cumsum(power, axis=1) / total[:, None]
    half, most = (axis[np.argmax(rising >= share, axis=1)] for share in (0.5, 0.9))
    log = np.log(power + _FLOOR)
    flatness = np.exp(log.mean(axis=1)) / (power.mean(axis=1) + _FLOOR)
    slope = (log - log.mean(axis=1, keepdims=True)) @ (axis - axis.mean()) / ((axis - axis.mean()) ** 2).sum()
    peak = power.max(axis=1) / total
    low = power[:, hertz < 300].sum(axis=1) / total
    parts = (centroid, width * 2, half, most, np.sqrt(flatness), 0.5 + slope / 40, np.sqrt(peak), np.sqrt(low))
    return np.clip(np.stack(parts, axis=1), 0, 1).astype(np.float32)
