"""What the name says is what the frames show, however the rest varies."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from avzsl.world.picture import draw_frames
from avzsl.world.scenes import COLOURS, MOTIONS, OBJECTS, Look


def _draw(look: Look, seed: int = 0, frames: int = 48) -> np.ndarray:
    return draw_frames(look, np.random.default_rng(seed), frames=frames, frame_rate=12, size=96, company=0)


def _figure(frames: np.ndarray) -> np.ndarray:
    """Where the coloured shape is, by its saturation alone: [F, H, W] bool."""
    values = frames.astype(float)
    high, low = values.max(-1), values.min(-1)
    return (high - low > 60) & (high - low > 0.45 * high)


def _path(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre (x, y) and area of the shape in each frame."""
    figure = _figure(frames)
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    area = np.maximum(figure.sum((1, 2)), 1)
    return (figure * x).sum((1, 2)) / area, (figure * y).sum((1, 2)) / area, figure.sum((1, 2))


@pytest.mark.parametrize("colour", COLOURS)
def test_the_hue_is_nearest_to_its_own_name(colour: str) -> None:
    centres = {"red": 0, "green": 120, "blue": 222, "yellow": 54, "purple": 288, "turquoise": 176}
    for seed in range(5):
        frames = _draw(Look(colour, "ball", "sliding"), seed)
        hue = 360 * colorsys.rgb_to_hsv(*np.median(frames[_figure(frames)], axis=0) / 255)[0]
        near = min(centres, key=lambda name: abs((hue - centres[name] + 180) % 360 - 180))
        assert near == colour


def test_each_object_has_its_own_outline() -> None:
    """The share of its circumscribed square that a shape fills, worked out by hand from its geometry."""
    shares = {}
    for name in OBJECTS:
        found = []
        for seed in range(6):
            figure = _figure(_draw(Look("yellow", name, "sliding"), seed, frames=12))
            for picture in figure:
                rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
                found.append(picture.sum() / (np.ptp(rows) + 1) / (np.ptp(columns) + 1))
        shares[name] = float(np.median(found))
    assert shares["ball"] == pytest.approx(np.pi / 4, abs=0.1)
    assert shares["star"] < 0.45 and shares["cross"] < 0.7
    order = sorted(OBJECTS, key=lambda name: shares[name])
    assert order[0] == "star" and {"ball", "square"} == set(order[-2:])


def _spread(look: Look, seed: int) -> dict[str, float]:
    x, y, area = _path(_draw(look, seed))
    steps = np.hypot(np.diff(x), np.diff(y))
    return {
        "x": float(np.ptp(x)),
        "y": float(np.ptp(y)),
        "area": float(area.max() / max(1, area.min())),
        "rough": float(np.abs(np.diff(steps)).mean()),
    }


def test_each_motion_leaves_its_own_trace() -> None:
    for seed in range(6):
        traces = {m: _spread(Look("yellow", "square", m), seed) for m in MOTIONS}
        assert traces["bouncing"]["y"] > 20 and traces["bouncing"]["x"] < 6
        assert traces["sliding"]["x"] > 20 and traces["sliding"]["y"] < 6
        assert traces["circling"]["x"] > 18 and traces["circling"]["y"] > 18
        assert traces["pulsing"]["area"] > 2.5 and traces["pulsing"]["x"] < 8
        assert traces["spinning"]["x"] < 6 and traces["spinning"]["y"] < 6 and traces["spinning"]["area"] < 1.5
        assert 2 < traces["shaking"]["x"] < 15 and traces["shaking"]["rough"] > 1


def test_a_spinning_ball_is_seen_to_spin() -> None:
    for seed in range(4):
        frames = _draw(Look("yellow", "ball", "spinning"), seed).astype(float).mean(-1)
        still = _draw(Look("yellow", "ball", "pulsing"), seed, frames=1)
        assert still.shape == (1, 96, 96, 3)
        assert np.abs(np.diff(frames, axis=0)).max() > 60


def test_clips_of_one_class_differ_in_place_size_and_ground() -> None:
    looks = [_draw(Look("red", "star", "spinning"), seed, frames=4) for seed in range(12)]
    x, y, area = np.array([[v[0] for v in _path(frames)] for frames in looks]).T
    assert np.std(x) > 5 and np.std(y) > 5 and np.std(area) / np.mean(area) > 0.1
    assert np.std([frames[0, :10, :10].mean() for frames in looks]) > 8


def test_the_shape_stays_in_the_picture() -> None:
    for motion in MOTIONS:
        for seed in range(5):
            _, _, area = _path(_draw(Look("green", "ball", motion), seed))
            assert area.min() > 60


def test_the_generator_decides_every_pixel() -> None:
    look = Look("blue", "ring", "circling")
    np.testing.assert_array_equal(_draw(look, 5), _draw(look, 5))
    assert (_draw(look, 5) != _draw(look, 6)).mean() > 0.5


def test_company_is_of_another_colour_and_smaller_than_the_one_that_counts() -> None:
    """Yellow is the only colour with much red and green and little blue; the blue-ish rest of the palette has less."""
    look = Look("yellow", "ball", "sliding")
    areas: dict[str, list[int]] = {"own": [], "other": []}
    for seed in range(12):
        frames = draw_frames(look, np.random.default_rng(seed), frames=6, frame_rate=12, size=96, company=1)
        red, green, blue = np.moveaxis(frames.astype(int), 3, 0)
        vivid = np.max([red, green, blue], 0) - np.min([red, green, blue], 0) > 70
        yellow = vivid & (np.minimum(red, green) - blue > 60)
        areas["own"].append(int(yellow.sum()))
        areas["other"].append(int((vivid & ~yellow).sum()))
    assert min(areas["own"]) > 0
    assert sum(other > 0 for other in areas["other"]) >= 9  # it may hide behind the main one or leave the picture
    assert np.median(areas["other"]) < 0.6 * np.median(areas["own"])
