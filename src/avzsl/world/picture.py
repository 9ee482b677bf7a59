"""Draw what one sees: a coloured shape that moves over a textured ground, among smaller ones that do not count."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avzsl.world.scenes import OBJECTS, Look

Floats = npt.NDArray[np.float32]

# Hue in degrees, saturation, value; far enough apart that hue alone decides after the jitter below.
_COLOURS = {
    "red": (0.0, 0.95, 0.9),
    "green": (120, 0.85, 0.75),
    "blue": (222, 0.9, 0.95),
    "yellow": (54, 0.9, 0.95),
    "purple": (288, 0.8, 0.8),
    "turquoise": (176, 0.8, 0.85),
}
_HUE_JITTER = 7.0
# Share of clips with a second coloured shape beside the one that counts, and its radius as a share of the usual.
COMPANY_SHARE = 0.75
_COMPANY_RADIUS = (0.35, 0.6)
_NOISE_MARGIN = 32
_DRIFT = 16


@dataclass
class _Track:
    """Where a shape is at each frame: centre and radius in pixels, angle in radians; [F] each."""

    x: Floats
    y: Floats
    radius: Floats
    angle: Floats


def draw_frames(
    look: Look,
    generator: np.random.Generator,
    *,
    frames: int,
    frame_rate: float,
    size: int,
    company: float = COMPANY_SHARE,
) -> npt.NDArray[np.uint8]:
    """Frames of one clip; everything but the look is drawn anew.

    Args:
        look: colour, object and motion.
        generator: source of place, size, speed, ground, noise and company.
        frames: number of frames F.
        frame_rate: frames per second.
        size: side of the picture, pixels.
        company: probability of a second, smaller coloured shape.

    Returns:
        [F, size, size, 3] uint8 RGB.
    """
    times = np.arange(frames, dtype=np.float32) / np.float32(frame_rate)
    canvas = _ground(generator, frames, size)
    for _ in range(int(generator.integers(0, 4))):
        _grey_company(canvas, generator, times, size)
    if generator.random() < company:
        _coloured_company(canvas, look, generator, times, size)
    track = _MOTIONS[look.motion](generator, times, size)
    _paint(canvas, look.object, track, _colour(look.colour, generator), mark=True)
    canvas *= np.float32(generator.uniform(0.8, 1.1))
    _add_noise(canvas, generator)
    canvas *= 255
    np.clip(canvas, 0, 255, out=canvas)
    return canvas.astype(np.uint8)


def _colour(name: str, generator: np.random.Generator) -> Floats:
    hue, saturation, value = _COLOURS[name]
    hue = (hue + generator.uniform(-_HUE_JITTER, _HUE_JITTER)) / 360 % 1
    value *= generator.uniform(0.85, 1.05)
    return np.array(colorsys.hsv_to_rgb(hue, saturation * generator.uniform(0.85, 1.0), min(1.0, value)), np.float32)


def _ground(generator: np.random.Generator, frames: int, size: int) -> Floats:
    """A dull, smooth texture that may drift slowly: [F, size, size, 3]."""
    cells = int(generator.integers(3, 11))
    full = size + _DRIFT
    weights = _smooth_weights(full, cells)
    rough = generator.normal(0, 1, (3, cells, cells)).astype(np.float32)
    # Mostly brightness, a little colour: the ground must not outshine the shape's colour.
    rough = 0.85 * rough[:1] + 0.15 * rough
    texture = np.moveaxis(weights @ rough @ weights.T, 0, 2) * np.float32(generator.uniform(0.02, 0.1))
    base = generator.uniform(0.12, 0.5) * (1 + generator.uniform(-0.12, 0.12, 3))
    texture = texture + base.astype(np.float32)
    travel = _DRIFT * generator.uniform(-1, 1, 2) * (generator.random() < 0.5)
    steps = np.round(np.linspace(0, 1, frames)[:, None] * travel + _DRIFT * (travel < 0)).astype(int)
    steps = np.clip(steps, 0, _DRIFT)
    return np.stack([texture[y : y + size, x : x + size] for y, x in steps])


def _smooth_weights(full: int, cells: int) -> Floats:
    """Cosine interpolation from `cells` values to `full` pixels: [full, cells]."""
    place = np.linspace(0, cells - 1, full)
    left = np.minimum(place.astype(int), cells - 2)
    right = (1 - np.cos(np.pi * (place - left))) / 2
    weights = np.zeros((full, cells), dtype=np.float32)
    weights[np.arange(full), left] = 1 - right
    weights[np.arange(full), left + 1] = right
    return weights


def _add_noise(canvas: Floats, generator: np.random.Generator) -> None:
    """Grey camera noise, cut for each frame from one larger sheet (drawing it anew would cost more than all else)."""
    frames, size = canvas.shape[:2]
    side = size + _NOISE_MARGIN
    sheet = generator.standard_normal((side, side), dtype=np.float32) * np.float32(generator.uniform(0.004, 0.03))
    for picture, (y, x) in zip(canvas, generator.integers(0, _NOISE_MARGIN, (frames, 2)), strict=True):
        picture += sheet[y : y + size, x : x + size, None]


def _grey_company(canvas: Floats, generator: np.random.Generator, times: Floats, size: int) -> None:
    """One small grey shape, resting or drifting."""
    start, speed = generator.uniform(0.1, 0.9, 2) * size, generator.uniform(-0.06, 0.06, 2) * size
    speed *= generator.random() < 0.5
    radius = generator.uniform(0.035, 0.075) * size
    track = _Track(
        x=(start[0] + speed[0] * times).astype(np.float32),
        y=(start[1] + speed[1] * times).astype(np.float32),
        radius=np.full(len(times), radius, np.float32),
        angle=np.full(len(times), generator.uniform(0, 2 * np.pi), np.float32),
    )
    grey = np.full(3, generator.uniform(0.2, 0.75), np.float32)
    _paint(canvas, OBJECTS[int(generator.integers(len(OBJECTS)))], track, grey, mark=False)


def _coloured_company(canvas: Floats, look: Look, generator: np.random.Generator, times: Floats, size: int) -> None:
    """A smaller shape of another colour, kind and motion, drawn below the one that counts."""
    colour, shape, motion = (
        str(generator.choice([name for name in names if name != own]))
        for names, own in ((tuple(_COLOURS), look.colour), (OBJECTS, look.object), (tuple(_MOTIONS), look.motion))
    )
    track = _MOTIONS[motion](generator, times, size)
    track.radius = track.radius * np.float32(generator.uniform(*_COMPANY_RADIUS))
    shift = generator.uniform(-0.35, 0.35, 2).astype(np.float32) * size
    track.x, track.y = track.x + shift[0], track.y + shift[1]
    _paint(canvas, shape, track, _colour(colour, generator), mark=True)


def _paint(canvas: Floats, shape: str, track: _Track, colour: Floats, *, mark: bool) -> None:
    """Blend a shape into every frame; its edge is as soft as one pixel."""
    size = canvas.shape[1]
    # Only a window around the shape is touched.
    reach = int(np.ceil(track.radius.max() * 1.2)) + 2
    window = np.arange(2 * reach, dtype=np.float32) + np.float32(0.5)
    left, top = np.floor(track.x).astype(int) - reach, np.floor(track.y).astype(int) - reach
    dx = (left - track.x).astype(np.float32)[:, None, None] + window[None, None, :]
    dy = (top - track.y).astype(np.float32)[:, None, None] + window[None, :, None]
    radius = track.radius[:, None, None]
    cos, sin = (np.cos(track.angle) / track.radius)[:, None, None], (np.sin(track.angle) / track.radius)[:, None, None]
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    cover = np.clip(0.5 - _SHAPES[shape](u, v) * radius, 0, 1)
    shade: Floats = 1 - 0.12 * np.clip(v, -1, 1)
    if mark:
        # A dark spot off the centre; without it a ball would not be seen to spin.
        spot = np.clip(0.5 - (np.hypot(u - 0.62, v) - 0.2) * radius, 0, 1)
        shade *= 1 - 0.8 * spot
    for picture, a, s, x, y in zip(canvas, cover, shade, left, top, strict=True):
        x0, y0, x1, y1 = max(0, x), max(0, y), min(size, x + 2 * reach), min(size, y + 2 * reach)
        if x0 >= x1 or y0 >= y1:
            continue
        cut = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
        part = picture[y0:y1, x0:x1]
        part += a[cut][..., None] * (s[cut][..., None] * colour - part)


# Signed distance to the outline, in radii, negative inside; u to the right, v down, in the shape's own frame.


def _ball(u: Floats, v: Floats) -> Floats:
    distance: Floats = np.hypot(u, v) - np.float32(0.95)
    return distance


def _square(u: Floats, v: Floats) -> Floats:
    distance: Floats = np.maximum(np.abs(u), np.abs(v)) - np.float32(0.85)
    return distance


def _ring(u: Floats, v: Floats) -> Floats:
    distance: Floats = np.abs(np.hypot(u, v) - np.float32(0.74)) - np.float32(0.26)
    return distance


def _cross(u: Floats, v: Floats) -> Floats:
    u, v = np.abs(u), np.abs(v)
    distance: Floats = np.minimum(np.maximum(u - 1, v - np.float32(0.33)), np.maximum(u - np.float32(0.33), v - 1))
    return distance


def _triangle(u: Floats, v: Floats) -> Floats:
    slope = np.float32(np.sqrt(3) / 2)
    distance: Floats = np.maximum(v, slope * np.abs(u) - v / 2) - np.float32(0.56)
    return distance


def _star(u: Floats, v: Floats) -> Floats:
    """Five points: the plane is folded onto one half of one point, whose edge is a straight line."""
    sector = 2 * np.pi / 5
    angle = np.abs((np.arctan2(u, -v) + sector / 2) % sector - sector / 2).astype(np.float32)
    far = np.hypot(u, v)
    tip, dent = np.array([1.15, 0.0]), 0.5 * np.array([np.cos(sector / 2), np.sin(sector / 2)])
    normal = np.array([dent[1] - tip[1], tip[0] - dent[0]]) / np.hypot(*(dent - tip))
    distance: Floats = (
        far * np.cos(angle) * np.float32(normal[0])
        + far * np.sin(angle) * np.float32(normal[1])
        - np.float32(normal @ tip)
    )
    return distance


_SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "ball": _ball,
    "square": _square,
    "star": _star,
    "ring": _ring,
    "triangle": _triangle,
    "cross": _cross,
}


def _rest(generator: np.random.Generator, times: Floats, size: int, reach: tuple[float, float]) -> _Track:
    """A track that stands still so that movements up to `reach` (x, y in picture sides) stay in the picture."""
    radius = generator.uniform(0.115, 0.185) * size
    place = [
        generator.uniform(min(0.5, radius / size + r), max(0.5, 1 - radius / size - r)) * size for r in reach
    ]  # x, y
    full = np.ones(len(times), dtype=np.float32)
    return _Track(
        x=full * np.float32(place[0]),
        y=full * np.float32(place[1]),
        radius=full * np.float32(radius),
        angle=full * np.float32(generator.uniform(-0.3, 0.3)),
    )


def _cycle(generator: np.random.Generator, times: Floats, low: float, high: float) -> Floats:
    """Phase of an oscillation of `low` to `high` turns per second, either way round, radians."""
    speed = 2 * np.pi * generator.uniform(low, high) * generator.choice([-1, 1])
    phase: Floats = (speed * times + generator.uniform(0, 2 * np.pi)).astype(np.float32)
    return phase


def _bouncing(generator: np.random.Generator, times: Floats, size: int) -> _Track:
    height = generator.uniform(0.13, 0.2)
    track = _rest(generator, times, size, (0, height))
    track.y += np.float32(height * size) * (1 - 2 * np.abs(np.sin(_cycle(generator, times, 0.45, 0.75))))
    return track


def _spinning(generator: np.random.Generator, times: Floats, size: int) -> _Track:
    track = _rest(generator, times, size, (0, 0))
    track.angle = _cycle(generator, times, 0.6, 1.0)
    return track


def _sliding(generator: np.random.Generator, times: Floats, size: int) -> _Track:
    width = generator.uniform(0.17, 0.26)
    track = _rest(generator, times, size, (width, 0))
    track.x += np.float32(width * size) * np.sin(_cycle(generator, times, 0.45, 0.75))
    return track


def _pulsing(generator: np.random.Generator, times: Floats, size: int) -> _Track:
    track = _rest(generator, times, size, (0.05, 0.05))
    track.radius *= 1 + np.float32(generator.uniform(0.35, 0.5)) * np.sin(_cycle(generator, times, 0.8, 1.3))
    return track


def _circling(generator: np.random.Generator, times: Floats, size: int) -> _Track:
    width = generator.uniform(0.14, 0.22)
    track = _rest(generator, times, size, (width, width))
    phase = _cycle(generator, times, 0.5, 0.8)
    track.x += np.float32(width * size) * np.cos(phase)
    track.y += np.float32(width * size) * np.sin(phase)
    return track


def _shaking(generator: np.random.Generator, times: Floats, size: int) -> _Track:
    reach = generator.uniform(0.035, 0.055)
    track = _rest(generator, times, size, (reach, reach))
    jolts = generator.uniform(-1, 1, (3, len(times))).astype(np.float32)
    track.x += np.float32(reach * size) * jolts[0]
    track.y += np.float32(reach * size) * jolts[1]
    track.angle += np.float32(0.25) * jolts[2]
    return track


_MOTIONS: dict[str, Callable[[np.random.Generator, Floats, int], _Track]] = {
    "bouncing": _bouncing,
    "spinning": _spinning,
    "sliding": _sliding,
    "pulsing": _pulsing,
    "circling": _circling,
    "shaking": _shaking,
}
