"""Where the thing that matters is: a soft mask of what differs from the background, and its place and size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]

# Frames from which the background is estimated, and the contrast (in units of full scale) that counts as certain.
_SAMPLES = 9
_CERTAIN = 0.16
_NOISE_FLOOR = 0.035
_COLOUR_FLOOR = 0.12
# Share of the picture from which a colourful thing is taken for the foreground.
_COLOURFUL_SHARE = 0.004
# Pixels (halved) around a colourful thing in which anything else may belong to it.
_AROUND = 2


@dataclass(frozen=True)
class Background:
    """What a clip looks like without its foreground.

    Attributes:
        still: [h, w, 3] temporal median: right for everything that moves.
        smooth: [h, w, 3] plane fitted to the border of `still`: right for a thing that stays in the middle.
        noise: contrast that the background itself reaches.
        colourful: 1 when something in the clip stands out by its colour, 0 when nothing does.
    """

    still: FloatArray
    smooth: FloatArray
    noise: float
    colourful: float = 0.0


@dataclass(frozen=True)
class Place:
    """Place and size of the foreground, one value per frame ([F] float32 each, in units of the picture's side).

    Attributes:
        x: centre, -0.5 (left) to 0.5 (right).
        y: centre, -0.5 (top) to 0.5 (bottom).
        radius: root mean square distance from the centre.
        area: share of the picture.
        stretch: 0 for a round shape to 1 for a line.
        tilt: direction of the long axis, radians in (-pi/2, pi/2].
    """

    x: FloatArray
    y: FloatArray
    radius: FloatArray
    area: FloatArray
    stretch: FloatArray
    tilt: FloatArray


def halve(frames: NDArray[np.uint8]) -> FloatArray:
    """Mean of 2 x 2 pixels as float in [0, 1]: [F, H, W, 3] -> [F, H/2, W/2, 3]."""
    high, wide = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
    rows = frames[:, 0:high:2, :wide].astype(np.uint16) + frames[:, 1:high:2, :wide]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]).astype(np.float32) * np.float32(1 / (4 * 255))


def estimate_background(frames: NDArray[np.uint8]) -> Background:
    """Background of a clip [F, H, W, 3] from some of its frames."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_SAMPLES, len(frames))).round().astype(int))
    samples = halve(frames[chosen])
    still = np.partition(samples, len(chosen) // 2, axis=0)[len(chosen) // 2]
    high, wide = still.shape[:2]
    y, x = np.mgrid[0:high, 0:wide]
    plane = np.stack([np.ones_like(x), x / wide - 0.5, y / high - 0.5], axis=-1).astype(np.float64)
    edge = max(2, high // 12)
    border = np.ones((high, wide), bool)
    border[edge:-edge, edge:-edge] = False
    weights = np.ones(int(border.sum()))
    for _ in range(3):  # a foreground that touches the border must not tilt the plane
        root = np.sqrt(weights)[:, None]
        fit, *_ = np.linalg.lstsq(plane[border] * root, still[border].astype(np.float64) * root, rcond=None)
        error = np.abs(still[border] - plane[border] @ fit).max(axis=1)
        weights = 1 / (1 + (error / 0.05) ** 2)
    noise = float(np.sum(error * weights) / np.sum(weights))
    background = Background(still, np.clip(plane @ fit, 0, 1).astype(np.float32), noise)
    _, hue = _contrasts(samples, background)
    share = float((hue > _COLOUR_FLOOR + _CERTAIN).mean())
    return replace(background, colourful=min(1.0, share / _COLOURFUL_SHARE))


def foreground(small: FloatArray, background: Background) -> FloatArray:
    """Soft mask [F, h, w] in [0, 1] of halved frames [F, h, w, 3].

    What stands out by its colour counts most: where a clip has such a thing, grey things away from it are left out,
    and dark spots on it are kept. In a clip without colour everything that differs from the background counts.
    """
    floor = _NOISE_FLOOR + 2 * background.noise
    bright, hue = _contrasts(small, background)
    any_contrast = np.clip((bright - floor) * (1 / _CERTAIN), 0, 1)
    colourful = np.clip((hue - _COLOUR_FLOOR) * (1 / _CERTAIN), 0, 1)
    around = np.clip(4 * _blur(colourful, _AROUND), 0, 1)
    found = np.maximum(colourful, any_contrast * around)
    return background.colourful * found + (1 - background.colourful) * any_contrast


def _contrasts(small: FloatArray, background: Background) -> tuple[FloatArray, FloatArray]:
    """Largest difference from either background in any channel, and in colour alone: [F, h, w] each."""
    bright, hue = np.zeros(small.shape[:-1], np.float32), np.zeros(small.shape[:-1], np.float32)
    for picture in (background.smooth, background.still):
        red, green, blue = (small[..., c] - picture[..., c] for c in range(3))
        for channel in (red, green, blue):
            np.maximum(bright, np.abs(channel), out=bright)
        # Largest minus smallest difference: zero for a change of brightness alone.
        most, least = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
        np.maximum(hue, most - least, out=hue)
    return bright, hue


def _blur(mask: FloatArray, reach: int) -> FloatArray:
    """Mean over squares of `2 reach + 1` pixels: [F, h, w]."""
    width = 2 * reach + 1
    down = np.cumsum(np.pad(mask, ((0, 0), (reach + 1, reach), (0, 0))), axis=1, dtype=np.float32)
    across = np.pad(down[:, width:] - down[:, :-width], ((0, 0), (0, 0), (reach + 1, reach)))
    across = np.cumsum(across, axis=2, dtype=np.float32)
    return (across[:, :, width:] - across[:, :, :-width]) * np.float32(1 / width**2)


def locate(mask: FloatArray) -> Place:
    """Place and size of soft masks [F, h, w]; an empty mask lies in the middle with radius 0.25."""
    _, high, wide = mask.shape
    y = ((np.arange(high) + 0.5) / high - 0.5).astype(np.float32)
    x = ((np.arange(wide) + 0.5) / wide - 0.5).astype(np.float32)
    columns, rows = mask.sum(axis=1), mask.sum(axis=2)  # [F, w], [F, h]
    total = columns.sum(axis=1)
    empty = total < 2e-3 * high * wide
    safe = np.where(empty, 1, total)
    cx, cy = np.where(empty, 0, columns @ x / safe), np.where(empty, 0, rows @ y / safe)
    xx = np.where(empty, 1 / 32, columns @ x**2 / safe - cx**2)
    yy = np.where(empty, 1 / 32, rows @ y**2 / safe - cy**2)
    xy = np.where(empty, 0, np.einsum("fhw,h,w->f", mask, y, x, optimize=True) / safe - cx * cy)
    spread = np.maximum(xx + yy, 1e-4)
    stretch = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / spread
    parts = (cx, cy, np.sqrt(spread), total / (high * wide), stretch, 0.5 * np.arctan2(2 * xy, xx - yy))
    return Place(*(np.asarray(part, np.float32) for part in parts))


def polar_samples(image: FloatArray, place: Place, *, angles: int, radii: int, reach: float) -> FloatArray:
    """Sample images on rings around the foreground, in units of its radius, so that size and place drop out.

    Args:
        image: [F, h, w].
        place: where the foreground of each image lies.
        angles: samples on each ring, starting to the right and turning downwards.
        radii: rings, evenly spaced.
        reach: outermost ring, in units of the foreground's radius.

    Returns:
        [F, radii, angles]; zero outside the picture.
    """
    count, high, wide = image.shape
    turn = 2 * np.pi * np.arange(angles) / angles
    ring = reach * (np.arange(radii) + 0.5) / radii * place.radius[:, None]  # [F, radii]
    x = ((place.x[:, None, None] + ring[..., None] * np.cos(turn)) + 0.5) * wide - 0.5
    y = ((place.y[:, None, None] + ring[..., None] * np.sin(turn)) + 0.5) * high - 0.5
    left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    right_share, low_share = x - left, y - top
    padded = np.zeros((count, high + 2, wide + 2), np.float32)
    padded[:, 1:-1, 1:-1] = image
    flat = padded.reshape(-1)
    first = np.arange(count)[:, None, None] * ((high + 2) * (wide + 2))

    def at(row: NDArray[np.int32], column: NDArray[np.int32]) -> FloatArray:
        return flat[first + np.clip(row + 1, 0, high + 1) * (wide + 2) + np.clip(column + 1, 0, wide + 1)]

    upper = at(top, left) * (1 - right_share) + at(top, left + 1) * right_share
    lower = at(top + 1, left) * (1 - right_share) + at(top + 1, left + 1) * right_share
    return (upper * (1 - low_share) + lower * low_share).astype(np.float32)
