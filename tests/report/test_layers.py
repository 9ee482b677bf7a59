"""Places of boxes: rows follow the arrows, boxes keep apart, arrows pass beside boxes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avzsl.report.layers import _apart, lay_out

DIAMOND = {"top": (), "left": ("top",), "right": ("top",), "bottom": ("left", "right")}


def test_rows_follow_the_longest_way_and_inputs_stand_above_what_needs_them() -> None:
    found = lay_out({**DIAMOND, "late": (), "end": ("bottom", "late")})
    assert found.rows == (("top",), ("left", "right"), ("bottom", "late"), ("end",))


def test_a_box_stands_below_the_middle_of_what_it_takes_from() -> None:
    found = lay_out(DIAMOND)
    assert found.x["bottom"] == pytest.approx((found.x["left"] + found.x["right"]) / 2)
    assert found.x["top"] == pytest.approx(found.x["bottom"])


def test_long_arrows_pass_rows_beside_the_boxes() -> None:
    found = lay_out({"a": (), "b": ("a",), "c": ("b",), "d": ("c", "a")})
    route = found.routes["a", "d"]
    assert route[0] == "a" and route[-1] == "d" and len(route) == 4
    for key in route[1:-1]:
        for box in found.rows[found.row_of[key]]:
            assert abs(found.x[key] - found.x[box]) >= 0.5


def test_boxes_of_a_row_never_overlap_whatever_the_graph() -> None:
    draw = np.random.default_rng(0)
    for _ in range(30):
        count = int(draw.integers(2, 14))
        sources = {str(i): tuple(str(j) for j in range(i) if draw.random() < 0.35) for i in range(count)}
        found = lay_out(sources)
        for row in found.rows:
            places = sorted(found.x[key] for key in row)
            assert all(other - one >= 1.12 - 1e-9 for one, other in itertools.pairwise(places))
        for key, own in sources.items():
            assert all(found.row_of[source] < found.row_of[key] for source in own)


def test_two_arrows_that_could_cross_do_not() -> None:
    found = lay_out({"a": (), "b": (), "c": ("b",), "d": ("a",)})
    assert (found.x["a"] < found.x["b"]) == (found.x["d"] < found.x["c"])


def test_places_nearest_to_the_wanted_ones() -> None:
    assert _apart([0.0, 5.0], [1, 1], 1.0) == [0.0, 5.0]
    assert _apart([1.0, 1.0, 1.0], [1, 1, 1], 1.0) == pytest.approx([0.0, 1.0, 2.0])
    assert _apart([3.0, 0.0], [1, 1], 1.0) == pytest.approx([1.0, 2.0])


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="circle"):
        lay_out({"a": ("b",), "b": ("a",)})
