"""Which colours the foreground and the background have."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

HUES = 18
BACK_HUES = 6
LEVELS = 6
# Foreground hues, foreground brightness of unsaturated pixels, saturation, means of both, background hues.
COLOUR_DIM = HUES + LEVELS + 4 + 3 + 3 + BACK_HUES


def hue_and_chroma(rgb: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Hue in turns [0, 1) (red 0, green 1/3, blue 2/3) and chroma in [0, 1] of colours [..., 3] in [0, 1]."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    along = red - 0.5 * (green + blue)
    across = np.float32(np.sqrt(3) / 2) * (green - blue)
    turns = np.arctan2(across, along) * np.float32(1 / (2 * np.pi))
    hue = turns - np.floor(turns)
    return np.where(hue >= 1, 0, hue).astype(np.float32), np.hypot(along, across)


def soft_histogram(values: FloatArray, weights: FloatArray, bins: int, *, circular: bool) -> FloatArray:
    """Histograms with linear sharing between neighbouring bins, so that nothing jumps at a border.

    Args:
        values: [N, K] in [0, 1]; bin centres are `i / bins` when circular, else `i / (bins - 1)`.
        weights: [N, K].
        bins: number of bins.
        circular: the last bin is the neighbour of the first.

    Returns:
        [N, bins] sums of weights.
    """
    place = values * bins if circular else np.clip(values, 0, 1) * (bins - 1)
    row, column = np.nonzero(weights > 1e-3)
    return shared_counts(row, place[row, column], weights[row, column], len(values), bins, circular=circular)


def shared_counts(
    row: NDArray[np.int64], place: FloatArray, weight: FloatArray, rows: int, bins: int, *, circular: bool = True
) -> FloatArray:
    """Histograms of points given one by one: point k adds to bins around `place[k]` of histogram `row[k]`.

    Returns:
        [rows, bins] sums of weights.
    """
    low = np.floor(place).astype(np.int64)
    share = place - low
    high = (low + 1) % bins if circular else np.minimum(low + 1, bins - 1)
    low %= bins
    total = np.bincount(row * bins + low, weight * (1 - share), rows * bins)
    total += np.bincount(row * bins + high, weight * share, rows * bins)
    return total.reshape(rows, bins).astype(np.float32)


def colour_rows(small: FloatArray, mask: FloatArray) -> FloatArray:
    """Colours of each frame: [F, h, w, 3] and its mask [F, h, w] -> [F, COLOUR_DIM], in about -1 to 1."""
    count = len(small)
    pixels = small[:, ::2, ::2].reshape(count, -1, 3)
    front = mask[:, ::2, ::2].reshape(count, -1) ** 2  # edges are mixtures with the background
    back = (1 - mask[:, ::2, ::2].reshape(count, -1)) ** 2
    hue, chroma = hue_and_chroma(pixels)
    value = np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
    strong = np.minimum(chroma * 2.5, 1)
    inside, outside = front.sum(axis=1, keepdims=True) + 1e-3, back.sum(axis=1, keepdims=True) + 1e-3
    hues = soft_histogram(hue, front * strong, HUES, circular=True) / inside
    levels = soft_histogram(value, front * (1 - strong), LEVELS, circular=False) / inside
    saturation = soft_histogram(np.minimum(chroma / np.maximum(value, 0.05), 1), front, 4, circular=False) / inside
    behind = soft_histogram(hue, back * strong, BACK_HUES, circular=True) / outside
    front_mean = np.einsum("fk,fkc->fc", front, pixels) / inside
    back_mean = np.einsum("fk,fkc->fc", back, pixels) / outside
    shares = np.concatenate([hues, levels, saturation, behind], axis=1)
    means = np.concatenate([front_mean, back_mean], axis=1)
    return np.concatenate([2 * np.sqrt(shares) - 0.4, 2 * means - 1], axis=1).astype(np.float32)
