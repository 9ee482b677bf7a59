from __future__ import annotations

import numpy as np
import pytest

from avzsl.report import space
from avzsl.report.records import StoredScores


def stored(clips: int, size: int = 4, classes: int = 2) -> StoredScores:
    draw = np.random.default_rng(0)
    labels = np.arange(clips) % classes
    return StoredScores(
        np.zeros((clips, classes)), labels, np.arange(classes) < classes // 2, tuple(f"c{i}" for i in range(classes)),
        tuple(str(i) for i in range(clips)), draw.normal(size=(clips, size)), draw.normal(size=(classes, size)),
    )  # fmt: skip


@pytest.mark.parametrize("clips", [5, 7, 120])
def test_small_sets_are_drawn(clips: int) -> None:
    picture, marks = space.space_picture(stored(clips))
    assert f"all {clips} test clips" in picture.caption
    assert [m.name for m in marks] == ["c1"]


def test_too_little_to_draw_is_said() -> None:
    with pytest.raises(ValueError, match="too few"):
        space.space_picture(stored(3))


def test_chosen_rows_cover_every_class_evenly() -> None:
    labels = np.repeat([0, 1, 2], [1000, 500, 100])
    rows = space.spread_rows(labels, 160)
    assert np.bincount(labels[rows]).tolist() == pytest.approx([100, 50, 10], abs=1)
    assert len(set(rows.tolist())) == 160


def test_colours_and_shapes_differ_for_36_classes() -> None:
    marks = space.class_marks(stored(5, classes=72))
    assert len({(m.colour, m.shape) for m in marks.values()}) == 36
    assert [m.number for m in marks.values()] == list(range(1, 37))
