"""How things move: where the foreground goes, how it turns and grows, and how fast any of this repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.features.colour import shared_counts
from avzsl.features.foreground import Place

FloatArray = NDArray[np.floating[Any]]

DIRECTIONS = 8
_FLOW = 6
# Seconds of context around a row: slower repetitions cannot be told apart in one second.
CONTEXT = 2.0


@dataclass(frozen=True)
class Tracks:
    """What changes over time, one value per frame.

    Attributes:
        x, y: [F] centre of the foreground, in picture sides.
        size: [F] log of the foreground's radius.
        bright: [F] mean brightness of the foreground.
        turn: [F] turning since the frame before, radians.
        change: [F] mean absolute difference to the frame before.
        flow: [F, 6] affine motion since the frame before (see `affine_flow`).
        directions: [F, DIRECTIONS] share of local motion in each direction.
    """

    x: FloatArray
    y: FloatArray
    size: FloatArray
    bright: FloatArray
    turn: FloatArray
    change: FloatArray
    flow: FloatArray
    directions: FloatArray


def affine_flow(
    across: FloatArray, down: FloatArray, step: FloatArray, weights: FloatArray, place: Place
) -> FloatArray:
    """Least-squares affine motion of the foreground from the gradient constraint.

    At each pixel `across u + down v + step = 0` with `u = p0 + p2 X + p3 Y` and `v = p1 + p4 X + p5 Y`, where X and Y
    are distances from the foreground's centre in units of its radius.

    Args:
        across: [F, h, w] horizontal gradient.
        down: [F, h, w] vertical gradient.
        step: [F, h, w] change to the next frame.
        weights: [F, h, w].
        place: the foreground's centre and radius.

    Returns:
        [F, 6]: shift right and down (pixels), growth, turning (clockwise on the screen), two shears, per frame.
    """
    count, high, wide = across.shape
    x = ((np.arange(wide) + 0.5) / wide - 0.5 - place.x[:, None]) / place.radius[:, None]  # [F, w]
    y = ((np.arange(high) + 0.5) / high - 0.5 - place.y[:, None]) / place.radius[:, None]  # [F, h]
    near_x, near_y = (np.abs(x) < 2.5), (np.abs(y) < 2.5)
    powers_x = np.stack([x**0, x, x**2], axis=2) * near_x[..., None]  # [F, w, 3]
    powers_y = np.stack([y**0, y, y**2], axis=1) * near_y[:, None]  # [F, 3, h]

    def moments(values: FloatArray) -> FloatArray:
        """Sums of values Y^i X^j over each picture: [F, i, j]."""
        return (powers_y @ (values @ powers_x)).astype(np.float64)

    weighted_a, weighted_b = across * weights, down * weights
    aa, ab, bb = moments(weighted_a * across), moments(weighted_a * down), moments(weighted_b * down)
    ac, bc = moments(weighted_a * step), moments(weighted_b * step)
    # The six columns are a, b, aX, aY, bX, bY; each entry of the normal equations is one moment.
    order = ((0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 0))  # which of a and b, power of Y, of X
    products = ((aa, ab), (ab, bb))
    normal = np.empty((count, 6, 6))
    for row, (kind, i, j) in enumerate(order):
        for column, (other, k, m) in enumerate(order):
            normal[:, row, column] = products[kind][other][:, i + k, j + m]
    target = -np.stack([(ac, bc)[kind][:, i, j] for kind, i, j in order], axis=1)[..., None]
    trace = np.trace(normal, axis1=1, axis2=2)
    ridge = (1e-2 * trace / 6 + 1e-3)[:, None, None] * np.eye(6)
    p = np.linalg.solve(normal + ridge, target)[..., 0]
    mixed = (p[:, 0], p[:, 1], p[:, 2] + p[:, 5], p[:, 4] - p[:, 3], p[:, 2] - p[:, 5], p[:, 3] + p[:, 4])
    return np.stack(mixed, axis=1).astype(np.float32)


def local_directions(across: FloatArray, down: FloatArray, step: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of local motion in each of `DIRECTIONS` directions (0 = right, turning downwards): [F, DIRECTIONS].

    Local motion is the normal flow: against the gradient where the picture gets brighter.
    """
    amount = weights * np.abs(step)
    frame, row, column = np.nonzero(amount > 5e-3)
    a, b, c = (v[frame, row, column] for v in (across, down, step))
    steep = a**2 + b**2 > 4e-4  # the direction of a faint gradient is noise
    sign = np.where(c > 0, np.float32(-1), np.float32(1))
    place = np.arctan2(b * sign, a * sign)[steep] * np.float32(DIRECTIONS / (2 * np.pi))
    shares = shared_counts(frame[steep], place, amount[frame, row, column][steep], len(across), DIRECTIONS)
    return (shares / (shares.sum(axis=1, keepdims=True) + 0.5)).astype(np.float32)


def turning(profiles: FloatArray) -> FloatArray:
    """Angle by which outlines [F, angles] turned since the frame before: [F] radians, 0 for the first.

    The best circular shift of one outline onto the next; turns beyond half a symmetry period look like others.
    """
    angles = profiles.shape[1]
    spectrum = np.fft.rfft(profiles - profiles.mean(axis=1, keepdims=True), axis=1)
    match = np.fft.irfft(spectrum[1:] * np.conj(spectrum[:-1]), 4 * angles, axis=1)  # [F - 1, 4 angles]
    # A tiny preference for small turns decides between the equal peaks of a symmetric shape.
    shift = (np.arange(4 * angles) + 2 * angles) % (4 * angles) - 2 * angles
    scale = match.max(axis=1, keepdims=True) + 1e-9
    best = shift[np.argmax(match / scale - 0.02 * np.abs(shift) / angles, axis=1)]
    sure = match.max(axis=1) > 1e-4
    turns = np.where(sure, best * (2 * np.pi / (4 * angles)), 0)
    return np.concatenate([[0], turns]).astype(np.float32)


def context_windows(track: FloatArray, rate: int, segments: int, seconds: float) -> FloatArray:
    """A window of `seconds` around each second of a track [F]; at the ends the window moves inwards.

    Returns:
        [segments, seconds * rate]; a shorter track is extended by its last value.
    """
    width = round(seconds * rate)
    if len(track) < width:
        track = np.concatenate([track, np.repeat(track[-1:], width - len(track), axis=0)])
    middle = ((np.arange(segments) + 0.5) * rate).astype(int)
    first = np.clip(middle - width // 2, 0, len(track) - width)
    return track[first[:, None] + np.arange(width)]


def repetition_spectrum(windows: FloatArray) -> FloatArray:
    """Strength of each repetition rate in windows [L, n] after their trend is taken off: [L, n // 2] (no rate 0)."""
    n = windows.shape[1]
    time = np.linspace(-1, 1, n)
    centred = windows - windows.mean(axis=1, keepdims=True)
    centred = centred - (centred @ time / (time @ time))[:, None] * time
    return (np.abs(np.fft.rfft(centred, axis=1))[:, 1 : n // 2 + 1] * (2 / n)).astype(np.float32)


def motion_rows(tracks: Tracks, rate: int, segments: int) -> FloatArray:
    """Motion of each second: [segments, d] in about -1 to 1."""
    spectra = [
        np.minimum(gain * repetition_spectrum(context_windows(track, rate, segments, CONTEXT)), 4)
        for track, gain in (
            (tracks.x, 16),
            (tracks.y, 16),
            (tracks.size, 8),
            (tracks.bright, 8),
            (np.cumsum(tracks.turn, dtype=np.float64).astype(np.float32), 2),
            (np.sqrt(tracks.change), 16),
        )
    ]
    parts: list[FloatArray] = [np.sqrt(s) - 0.3 for s in spectra]
    parts.append(_statistics(tracks, rate, segments))
    flow = context_windows(tracks.flow, rate, segments, 1.0)
    scaled = np.arcsinh(2 * flow)
    parts += [scaled.mean(axis=1), np.abs(scaled).mean(axis=1) - 0.3, scaled.std(axis=1) - 0.3]
    parts.append(2 * np.sqrt(context_windows(tracks.directions, rate, segments, 1.0).mean(axis=1)) - 0.6)
    return np.concatenate(parts, axis=1).astype(np.float32)


def _statistics(tracks: Tracks, rate: int, segments: int) -> FloatArray:
    """Moments of velocity, turning and growth over the context."""
    x, y = (context_windows(track, rate, segments, CONTEXT) for track in (tracks.x, tracks.y))
    vx, vy = np.diff(x, axis=1) * rate, np.diff(y, axis=1) * rate  # picture sides per second
    speed = np.hypot(vx, vy)
    swing = vx[:, :-1] * vy[:, 1:] - vy[:, :-1] * vx[:, 1:]  # positive: turns clockwise on the screen
    turn = context_windows(tracks.turn, rate, segments, CONTEXT) * rate  # radians per second
    size = context_windows(tracks.size, rate, segments, CONTEXT)
    change = context_windows(tracks.change, rate, segments, CONTEXT)
    path = speed.sum(axis=1) / rate + 1e-3
    straight = np.hypot(x[:, -1] - x[:, 0], y[:, -1] - y[:, 0]) / path
    values = (
        *(np.arcsinh(4 * v.mean(axis=1)) for v in (vx, vy)),
        *(np.arcsinh(4 * np.abs(v).mean(axis=1)) for v in (vx, vy)),
        *(np.arcsinh(4 * v.std(axis=1)) for v in (vx, vy, speed)),
        *(np.arcsinh(8 * v.std(axis=1)) for v in (x, y, size)),
        np.arcsinh(20 * swing.mean(axis=1)),
        np.arcsinh(20 * np.abs(swing).mean(axis=1)),
        swing.sum(axis=1) / (np.abs(swing).sum(axis=1) + 1e-3),
        straight,
        np.arcsinh(0.5 * turn.mean(axis=1)),
        np.arcsinh(0.5 * np.abs(turn).mean(axis=1)),
        np.arcsinh(0.5 * turn.std(axis=1)),
        turn.sum(axis=1) / (np.abs(turn).sum(axis=1) + 0.1),
        np.arcsinh(4 * (size[:, -1] - size[:, 0])),
        np.arcsinh(4 * np.abs(np.diff(size, axis=1)).mean(axis=1) * rate),
        np.log(change.mean(axis=1) + 1e-3) / 3 + 1.3,
        np.arcsinh(4 * change.std(axis=1) / (change.mean(axis=1) + 1e-3)) - 1,
        np.abs(vx).sum(axis=1) / (np.abs(vx).sum(axis=1) + np.abs(vy).sum(axis=1) + 1e-2) - 0.5,
        (np.abs(np.diff(np.sign(vx), axis=1)) > 1).mean(axis=1) * 2,
        (np.abs(np.diff(np.sign(vy), axis=1)) > 1).mean(axis=1) * 2,
        ((vx * vy).mean(axis=1) / (vx.std(axis=1) * vy.std(axis=1) + 1e-2)),
    )
    return np.clip(np.stack(values, axis=1), -4, 4).astype(np.float32)


STATISTICS = 26


def motion_dim(rate: int) -> int:
    """Columns that `motion_rows` gives at a frame rate."""
    return 6 * (round(CONTEXT * rate) // 2) + STATISTICS + 3 * _FLOW + DIRECTIONS
