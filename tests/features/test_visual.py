from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avzsl.features import colour, foreground, motion, shape
from avzsl.features.visual import visual_dim, visual_rows

RATE = 12
SIDE = 96
Y, X = np.mgrid[0:SIDE, 0:SIDE]


def paint(inside: np.ndarray, rgb: tuple[int, int, int] = (230, 40, 30), back: int = 60) -> np.ndarray:
    return np.where(inside[..., None], np.array(rgb), back).astype(np.uint8)


def disc(x: float = 48, y: float = 48, radius: float = 14) -> np.ndarray:
    return (X - x) ** 2 + (Y - y) ** 2 < radius**2


def bar(angle: float, x: float = 48, y: float = 48) -> np.ndarray:
    along = (X - x) * np.cos(angle) + (Y - y) * np.sin(angle)
    across = -(X - x) * np.sin(angle) + (Y - y) * np.cos(angle)
    return (np.abs(along) < 20) & (np.abs(across) < 6)


def film(frame: Callable[[int], np.ndarray], count: int = 48) -> np.ndarray:
    return np.stack([frame(t) for t in range(count)])


def test_pure_colours_have_their_hue() -> None:
    rgb = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]], np.float32)
    hue, chroma = colour.hue_and_chroma(rgb)
    np.testing.assert_allclose(hue, np.arange(6) / 6, atol=1e-6)
    np.testing.assert_allclose(chroma, 1, atol=1e-6)
    assert colour.hue_and_chroma(np.full((1, 3), 0.3, np.float32))[1] == pytest.approx(0, abs=1e-6)


def test_a_soft_histogram_shares_between_neighbours() -> None:
    values, weights = np.array([[0.0, 0.125, 0.99]], np.float32), np.array([[1, 2, 1]], np.float32)
    circular = colour.soft_histogram(values, weights, 4, circular=True)
    np.testing.assert_allclose(circular, [[1 + 1 + 0.96, 1, 0, 0.04]], atol=1e-5)
    straight = colour.soft_histogram(np.array([[1.0, 0.5]], np.float32), np.ones((1, 2), np.float32), 4, circular=False)
    np.testing.assert_allclose(straight, [[0, 0.5, 0.5, 1]], atol=1e-6)


@pytest.mark.parametrize(("rgb", "turns"), [((220, 20, 20), 0), ((20, 220, 20), 1 / 3), ((30, 30, 230), 2 / 3)])
def test_the_hue_of_the_foreground_fills_one_bin(rgb: tuple[int, int, int], turns: float) -> None:
    small = foreground.halve(paint(disc(), rgb)[None])
    mask = foreground.halve(np.repeat(disc()[..., None], 3, axis=2)[None].astype(np.uint8) * 255)[..., 0]
    hues = colour.colour_rows(small, mask)[0, : colour.HUES]
    assert np.argmax(hues) == round(turns * colour.HUES) % colour.HUES
    assert hues.max() > 1.2 and np.sort(hues)[-3] < -0.1


def test_halving_is_the_mean_of_four_pixels() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    expected = frames.reshape(2, 3, 2, 4, 2, 3).astype(np.float64).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(foreground.halve(frames), expected, atol=1e-6)


def test_a_moving_and_a_resting_thing_are_both_foreground() -> None:
    slope = (X * 0.8 + 40).astype(np.uint8)[..., None].repeat(3, axis=2)
    for inside in (lambda t: disc(20 + t), lambda t: disc()):
        frames = film(lambda t, inside=inside: np.where(inside(t)[..., None], (230, 40, 30), slope).astype(np.uint8))
        background = foreground.estimate_background(frames)
        mask = foreground.foreground(foreground.halve(frames), background)
        truth = np.stack([inside(t)[::2, ::2] for t in range(48)])
        assert mask[truth].mean() > 0.95 and mask[~truth].mean() < 0.05


def test_a_colourful_thing_wins_over_grey_ones_and_keeps_its_dark_spots() -> None:
    thing, spot, company = disc(30, 30), disc(33, 30, 3), disc(75, 75, 8)

    def frame(t: int) -> np.ndarray:
        picture = paint(thing)
        picture[company] = 180
        picture[spot] = (45, 8, 6)
        return picture

    frames = film(frame)
    background = foreground.estimate_background(frames)
    assert background.colourful == 1
    mask = foreground.foreground(foreground.halve(frames), background)
    assert mask[:, company[::2, ::2]].max() < 0.05
    assert mask[:, spot[::2, ::2]].min() > 0.9
    grey = frames.copy()
    grey[:, thing | spot] = 180
    background = foreground.estimate_background(grey)
    assert background.colourful == 0
    mask = foreground.foreground(foreground.halve(grey), background)
    assert mask[:, company[::2, ::2]].mean() > 0.9 and mask[:, thing[::2, ::2]].mean() > 0.9


def test_blurring_is_the_mean_of_a_square() -> None:
    mask = np.random.default_rng(0).random((2, 9, 7)).astype(np.float32)
    padded = np.pad(mask, ((0, 0), (2, 2), (2, 2)))
    expected = [[[padded[f, i : i + 5, j : j + 5].mean() for j in range(7)] for i in range(9)] for f in range(2)]
    np.testing.assert_allclose(foreground._blur(mask, 2), expected, atol=1e-5)


def test_place_and_size_are_those_of_the_disc() -> None:
    mask = np.stack([disc(30, 60, 10), np.zeros((SIDE, SIDE), bool), bar(np.pi / 6)]).astype(np.float32)
    place = foreground.locate(mask)
    assert place.x[0] == pytest.approx(30.5 / SIDE - 0.5, abs=1e-3) and place.y[0] == pytest.approx(0.13, abs=0.01)
    assert place.radius[0] == pytest.approx(10 / SIDE / np.sqrt(2), rel=0.03)
    assert place.area[0] == pytest.approx(np.pi * 100 / SIDE**2, rel=0.03)
    assert place.stretch[0] < 0.02 and place.stretch[2] > 0.7
    assert place.tilt[2] == pytest.approx(np.pi / 6, abs=0.03)
    assert (place.x[1], place.y[1], place.radius[1]) == (0, 0, 0.25)


def test_polar_samples_are_those_of_a_plain_loop() -> None:
    image = np.random.default_rng(0).random((1, 20, 20)).astype(np.float32)
    place = foreground.locate(disc(50, 40)[None, ::5, ::5][:, :20, :20].astype(np.float32))
    rings = foreground.polar_samples(image, place, angles=8, radii=3, reach=6.0)
    padded = np.pad(image[0], 30)
    for r in range(3):
        for a in range(8):
            ring, turn = 6.0 * (r + 0.5) / 3 * place.radius[0], 2 * np.pi * a / 8
            x = (place.x[0] + ring * np.cos(turn) + 0.5) * 20 - 0.5 + 30
            y = (place.y[0] + ring * np.sin(turn) + 0.5) * 20 - 0.5 + 30
            i, j, v, u = int(np.floor(y)), int(np.floor(x)), y - np.floor(y), x - np.floor(x)
            expected = (padded[i, j] * (1 - u) + padded[i, j + 1] * u) * (1 - v)
            expected += (padded[i + 1, j] * (1 - u) + padded[i + 1, j + 1] * u) * v
            assert rings[0, r, a] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("corners", [3, 4, 5, 6])
def test_the_outline_of_a_polygon_has_as_many_waves_as_corners(corners: int) -> None:
    turn, distance = np.arctan2(Y - 47.5, X - 47.5), np.hypot(Y - 47.5, X - 47.5)
    folded = (turn + 0.3) % (2 * np.pi / corners) - np.pi / corners
    mask = (distance * np.cos(folded) < 18).astype(np.float32)[None]
    rings = foreground.polar_samples(mask, foreground.locate(mask), angles=48, radii=8, reach=2.4)
    waves = shape.harmonics(shape.outline_profile(rings))[0]
    assert 1 + int(np.argmax(waves[1:])) == corners


@pytest.mark.parametrize("angle", [0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4])
def test_the_gradient_of_an_edge_points_across_it(angle: float) -> None:
    ramp = (np.cos(angle) * X + np.sin(angle) * Y > (np.cos(angle) + np.sin(angle)) * 48).astype(np.float32)[None]
    edges = shape.gradients(ramp)
    histogram = shape.orientation_histogram(*edges, np.ones_like(ramp))[0, : shape.ORIENTATIONS]
    expected = round(angle / np.pi * shape.ORIENTATIONS) % shape.ORIENTATIONS
    assert abs(int(np.argmax(histogram)) - expected) <= (1 if angle % (np.pi / 2) else 0)
    assert histogram.max() > 0.4


def moved_flow(change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Flow between a smooth pattern and the pattern after each point (x, y) has gone by `change`."""

    def pattern(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sin(x / 5) * np.cos(y / 6) + 0.5 * np.sin((x + y) / 7)

    dx, dy = change(X - 47.5, Y - 47.5)
    one, two = pattern(X, Y).astype(np.float32), pattern(X - dx, Y - dy).astype(np.float32)
    across, down = shape.gradients(((one + two) / 2)[None])
    mask = disc(47.5, 47.5, 30).astype(np.float32)[None]
    return motion.affine_flow(across, down, (two - one)[None], mask, foreground.locate(mask))[0]


def test_flow_finds_shift_growth_and_turning() -> None:
    radius = 30 / np.sqrt(2)  # of the disc, in pixels; growth and turning are per radius
    shift = moved_flow(lambda x, y: (np.full(x.shape, 0.5), np.full(x.shape, -0.3)))
    np.testing.assert_allclose(shift[:2], [0.5, -0.3], atol=0.05)
    growth = moved_flow(lambda x, y: (0.02 * x, 0.02 * y))
    assert growth[2] == pytest.approx(2 * 0.02 * radius, rel=0.15) and abs(growth[3]) < 0.1
    turn = moved_flow(lambda x, y: (-0.02 * y, 0.02 * x))
    assert turn[3] == pytest.approx(2 * 0.02 * radius, rel=0.15) and abs(turn[2]) < 0.1


@pytest.mark.parametrize("direction", range(0, 8, 2))
def test_local_motion_points_where_the_disc_goes(direction: int) -> None:
    turn = 2 * np.pi * direction / 8
    frames = np.stack([disc(48 + s * 1.5 * np.cos(turn), 48 + s * 1.5 * np.sin(turn)) for s in (0, 1)]).astype(
        np.float32
    )
    soft = foreground.halve(np.repeat(frames[..., None], 3, axis=-1).astype(np.uint8) * 255)[..., 0]
    across, down = shape.gradients(soft.mean(axis=0, keepdims=True))
    shares = motion.local_directions(across, down, np.diff(soft, axis=0), np.ones_like(across))[0]
    assert int(np.argmax(shares)) == direction


@pytest.mark.parametrize("step", [-0.2, 0.1, 0.3])
def test_turning_of_an_outline_is_measured(step: float) -> None:
    angles = 2 * np.pi * np.arange(48) / 48
    profiles = np.stack(
        [1 + 0.4 * np.cos(angles - t * step) + 0.3 * np.cos(2 * (angles - t * step)) for t in range(10)]
    )
    turns = motion.turning(profiles.astype(np.float32))
    assert turns[0] == 0
    assert turns[1:].mean() == pytest.approx(step, abs=0.03)


def test_turning_of_a_disc_is_zero() -> None:
    assert not motion.turning(np.ones((5, 48), np.float32)).any()


def test_the_repetition_spectrum_peaks_at_the_rate_and_ignores_a_trend() -> None:
    time = np.arange(24) / RATE
    spectrum = motion.repetition_spectrum((np.sin(2 * np.pi * 2.5 * time) + 3 * time)[None])[0]
    assert (1 + np.argmax(spectrum)) / 2 == 2.5  # half a hertz per bin in two seconds
    assert spectrum.max() == pytest.approx(1, rel=0.15)


def test_context_windows_move_inwards_at_the_ends() -> None:
    windows = motion.context_windows(np.arange(48, dtype=np.float32), RATE, 4, 2.0)
    assert windows[:, 0].tolist() == [0, 6, 18, 24] and windows.shape == (4, 24)
    assert motion.context_windows(np.arange(12, dtype=np.float32), RATE, 1, 2.0)[0, 12:].tolist() == [11] * 12


def test_rows_hold_still_for_a_resting_thing_and_move_for_a_moving_one() -> None:
    rest = visual_rows(film(lambda t: paint(disc())), RATE, 4)
    swing = visual_rows(film(lambda t: paint(disc(48 + 20 * np.sin(2 * np.pi * t / 12)))), RATE, 4)
    looks = colour.COLOUR_DIM + shape.SHAPE_DIM
    assert rest.shape == (4, visual_dim(RATE)) and rest.dtype == np.float32
    assert np.abs(rest[:, :looks] - swing[:, :looks]).mean() < 0.5 * np.abs(rest[:, looks:] - swing[:, looks:]).mean()
    horizontal = swing[0, looks : looks + 12]  # spectrum of x: one swing a second is its second bin
    assert int(np.argmax(horizontal)) == 1


def test_size_and_place_change_outline_and_colour_little() -> None:
    def looks(x: float, y: float, radius: float, inside: Callable[..., np.ndarray]) -> np.ndarray:
        rows = visual_rows(film(lambda t: paint(inside(x + t / 4, y, radius)), 12), RATE, 1)
        return rows[0, : colour.COLOUR_DIM + 72]  # colours and the harmonics of the rings

    def square(x: float, y: float, radius: float) -> np.ndarray:
        return np.maximum(abs(X - x), abs(Y - y)) < radius * 0.9

    small, large, other = looks(25, 60, 10, disc), looks(60, 40, 18, disc), looks(60, 40, 18, square)
    shape_part = slice(colour.COLOUR_DIM, None)
    assert np.abs(small - large)[shape_part].mean() < 0.6 * np.abs(large - other)[shape_part].mean()
    assert np.abs(small - large)[: colour.HUES].max() < 0.3


@pytest.mark.parametrize("count", [1, 2, 11, 13, 100])
def test_any_number_of_frames_gives_finite_rows(count: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    for frames in (noise, np.zeros_like(noise), np.full_like(noise, 255), noise // 255 * 255):
        rows = visual_rows(frames, RATE, 2)
        assert rows.shape == (2, visual_dim(RATE)) and np.isfinite(rows).all()
        assert np.abs(rows).max() <= 6


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = film(lambda t: paint(bar(t / 10, 30 + t, 48)))
    whole = visual_rows(frames, RATE, 4)
    monkeypatch.setattr("avzsl.features.visual._BLOCK", 7)
    np.testing.assert_allclose(visual_rows(frames, RATE, 4), whole, atol=1e-5)


@pytest.mark.parametrize("side", [32, 50, 128])
def test_other_sizes_give_the_same_columns(side: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (24, side, side, 3), dtype=np.uint8)
    assert visual_rows(frames, RATE, 2).shape == (2, visual_dim(RATE))


@pytest.mark.parametrize("rate", [2, 5, 13, 25, 30])
@pytest.mark.parametrize("count", [3, 60, 70])
def test_other_frame_rates_give_the_columns_they_announce(rate: int, count: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    rows = visual_rows(frames, rate, 2)
    assert rows.shape == (2, visual_dim(rate)) and np.isfinite(rows).all()
