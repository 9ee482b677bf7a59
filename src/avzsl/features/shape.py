"""Which outline and texture the foreground has, whatever its size and place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features.colour import shared_counts
from avzsl.features.foreground import Place, polar_samples

FloatArray = NDArray[np.floating[Any]]

ANGLES = 48
RADII = 8
REACH = 2.4
HARMONICS = 9
ORIENTATIONS = 9
GRID = 2
_TEXTURE_RINGS = 3
SHAPE_DIM = RADII * HARMONICS + HARMONICS + 4 * 8 + _TEXTURE_RINGS * HARMONICS + ORIENTATIONS * (1 + GRID * GRID) + 6


def outline_profile(rings: FloatArray) -> FloatArray:
    """Distance of the outline in each direction, [F, radii, angles] -> [F, angles], 1 = outermost ring."""
    return rings.mean(axis=1)


def harmonics(profile: FloatArray) -> FloatArray:
    """Strength of the turns-per-round 0 to `HARMONICS - 1` over the last axis; does not change when the shape turns."""
    spectrum = np.abs(np.fft.rfft(profile, axis=-1)) / profile.shape[-1]
    return spectrum[..., :HARMONICS].astype(np.float32)


def gradients(gray: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Central differences (x, y) of images [F, h, w], zero at the border."""
    across, down = np.zeros_like(gray), np.zeros_like(gray)
    across[:, :, 1:-1] = 0.5 * (gray[:, :, 2:] - gray[:, :, :-2])
    down[:, 1:-1] = 0.5 * (gray[:, 2:] - gray[:, :-2])
    return across, down


def orientation_histogram(across: FloatArray, down: FloatArray, weights: FloatArray) -> FloatArray:
    """How much edge runs in each direction, globally and in a coarse grid.

    Args:
        across: [F, h, w] horizontal gradient.
        down: [F, h, w] vertical gradient.
        weights: [F, h, w].

    Returns:
        [F, ORIENTATIONS * (1 + GRID ** 2)], each histogram of sum 1 (or less when there are no edges); bin i is the
        direction of the gradient, `i / ORIENTATIONS` half turns from the horizontal.
    """
    count, high, wide = across.shape
    strength = np.hypot(across, down) * weights
    frame, row, column = np.nonzero(strength > 5e-3)  # camera noise stays below
    place = np.arctan2(down[frame, row, column], across[frame, row, column]) * np.float32(ORIENTATIONS / np.pi)
    cell = frame * GRID * GRID + row * GRID // high * GRID + column * GRID // wide
    total = shared_counts(cell, place, strength[frame, row, column], count * GRID * GRID, ORIENTATIONS)
    cells = total.reshape(count, GRID * GRID, ORIENTATIONS)
    whole = cells.sum(axis=1, keepdims=True)
    every = np.concatenate([whole, cells], axis=1)
    faint = 1e-3 * high * wide
    return (every / (every.sum(axis=-1, keepdims=True) + faint)).reshape(count, -1).astype(np.float32)


def shape_rows(
    gray: FloatArray, mask: FloatArray, place: Place, rings: FloatArray, edges: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Outline and texture of each frame.

    Args:
        gray: [F, h, w].
        mask: [F, h, w] soft foreground.
        place: where it lies.
        rings: [F, RADII, ANGLES] of the mask.
        edges: gradients of `gray`.

    Returns:
        [F, SHAPE_DIM], in about -1 to 1.
    """
    count = len(gray)
    outline = harmonics(rings)  # [F, RADII, HARMONICS]
    total = harmonics(outline_profile(rings))
    coarse = rings.reshape(count, 4, RADII // 4, 8, ANGLES // 8).mean(axis=(2, 4))
    texture_rings = polar_samples(gray, place, angles=24, radii=_TEXTURE_RINGS, reach=1.2)
    texture = harmonics(texture_rings - texture_rings.mean(axis=(1, 2), keepdims=True))
    turning = orientation_histogram(*edges, 0.2 + mask)
    inner = rings[:, : RADII // 2].mean(axis=(1, 2))
    sizes = np.stack(
        [
            np.log(place.area + 1e-3) / 3 + 1,
            4 * place.radius - 1,
            place.stretch,
            2 * inner - 1,
            # how much of the disc of the same spread is filled: 1 for a disc, less for a ring, a star or a line
            place.area / (2 * np.pi * place.radius**2 + 1e-6) - 1,
            np.hypot(*edges).mean(axis=(1, 2)) * 20 - 1,
        ],
        axis=1,
    )
    parts = (
        _compress(outline).reshape(count, -1),
        2 * _compress(total),
        coarse.reshape(count, -1) - 0.4,
        _compress(texture).reshape(count, -1),
        2 * np.sqrt(turning) - 0.6,
        np.clip(sizes, -2, 2),
    )
    return np.concatenate(parts, axis=1).astype(np.float32)


def _compress(values: FloatArray) -> FloatArray:
    """Square root: weak harmonics count, too."""
    return 2 * np.sqrt(np.maximum(values, 0)) - 0.3
