"""What one sees: colour, shape and motion of a clip, one row per second."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features import colour, motion, shape
from avzsl.features.foreground import Background, Place, estimate_background, foreground, halve, locate, polar_samples

FloatArray = NDArray[np.floating[Any]]

# Frames handled at once: bounds the memory that floats take, whatever the clip's length.
_BLOCK = 48
# Colour and shape change slowly: about so many looks at them per second are enough.
_LOOKS = 6
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)


def visual_dim(rate: int) -> int:
    """Columns of a visual row at a frame rate."""
    return colour.COLOUR_DIM + shape.SHAPE_DIM + motion.motion_dim(rate)


def visual_rows(frames: NDArray[np.uint8], rate: int, segments: int) -> FloatArray:
    """One row per second.

    Args:
        frames: [F, H, W, 3] uint8 RGB, at least one.
        rate: frames per second.
        segments: seconds wanted (L); a shorter clip stands still at its end, a longer one is cut.

    Returns:
        [segments, visual_dim(rate)] float32, finite, in about -1 to 1.
    """
    wanted = segments * rate
    frames = frames[:wanted]
    background = estimate_background(frames)
    starts = range(0, len(frames), _BLOCK)
    blocks = [
        _block(frames, start, background, _looked_at(start, min(start + _BLOCK, len(frames)), rate)) for start in starts
    ]
    looks = np.concatenate([look for look, _ in blocks if look is not None])
    parts = zip(*(track for _, track in blocks), strict=True)
    tracks = [np.concatenate(part) for part in parts]
    missing = wanted - len(frames)
    per_second = len(_looked_at(0, rate, rate))
    if missing:
        looks = np.concatenate([looks, np.repeat(looks[-1:], segments * per_second - len(looks), axis=0)])
        # x, y, size and brightness stay as they are; turning, change, flow and directions are zero while nothing moves
        still = [np.repeat(t[-1:], missing, axis=0) * np.float32(i < 4) for i, t in enumerate(tracks)]
        tracks = [np.concatenate(pair) for pair in zip(tracks, still, strict=True)]
    mean = looks.reshape(segments, per_second, -1).mean(axis=1)
    moving = motion.motion_rows(motion.Tracks(*tracks), rate, segments)
    return np.concatenate([mean, moving], axis=1).astype(np.float32)


def _looked_at(start: int, end: int, rate: int) -> NDArray[np.int64]:
    """Frames from `start` to `end` whose colour and shape are measured: the same number in each second."""
    numbers = np.arange(start, end)
    return numbers[numbers % rate % max(1, rate // _LOOKS) == 0]


def _block(
    frames: NDArray[np.uint8], start: int, background: Background, looked_at: NDArray[np.int64]
) -> tuple[FloatArray | None, tuple[FloatArray, ...]]:
    """Looks [n, d] of some frames and tracks of all from `start` on; the frame before is read for differences."""
    before = max(0, start - 1)
    small = halve(frames[before : start + _BLOCK])
    gray = small @ _GRAY
    mask = foreground(small, background)
    place = locate(mask)
    rings = polar_samples(mask, place, angles=shape.ANGLES, radii=shape.RADII, reach=shape.REACH)
    edges = shape.gradients(gray)
    skip = start - before
    kept = slice(skip, None)
    here = _rows(place, kept)
    looks = None
    if len(looked_at):
        at = looked_at - before
        shapes = shape.shape_rows(gray[at], mask[at], _rows(place, at), rings[at], (edges[0][at], edges[1][at]))
        looks = np.concatenate([colour.colour_rows(small[at], mask[at]), shapes], axis=1)
    inside = mask.sum(axis=(1, 2)) + 1e-3
    step = np.diff(gray, axis=0)
    weight = np.maximum(mask[:-1], mask[1:])
    middle = ((edges[0][:-1] + edges[0][1:]) / 2, (edges[1][:-1] + edges[1][1:]) / 2)
    earlier = _rows(place, slice(None, -1))
    moving = (
        motion.affine_flow(*middle, step, weight, earlier),
        motion.local_directions(*middle, step, weight),
    )
    changed = np.abs(step).mean(axis=(1, 2))
    # The first frame of a clip has no frame before it: it gets the values of the second, or zeros.
    flow, directions, change = ((_lead(v) if skip == 0 else v) for v in (*moving, changed))
    tracks = (
        here.x,
        here.y,
        np.log(here.radius),
        ((gray * mask).sum(axis=(1, 2)) / inside)[kept],
        motion.turning(shape.outline_profile(rings))[kept],
        change,
        flow,
        directions,
    )
    return looks, tracks


def _rows(place: Place, rows: slice | NDArray[np.int64]) -> Place:
    return Place(
        place.x[rows], place.y[rows], place.radius[rows], place.area[rows], place.stretch[rows], place.tilt[rows]
    )


def _lead(values: FloatArray) -> FloatArray:
    first = values[:1] if len(values) else np.zeros((1, *values.shape[1:]), np.float32)
    return np.concatenate([first, values])
