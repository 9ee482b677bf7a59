from __future__ import annotations

import re

import numpy as np
import pytest

from avzsl.report.drawing import COLOUR, canvas, cells, short, to_svg


def draw(title: str = "title") -> str:
    with canvas() as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=COLOUR["seen"], label="a")
        axes.set_title(title)
        cells(axes, np.array([0, 1]), np.array([1, 0]), "heat")
        return to_svg(figure, "name", 'a "quoted" <description>')


def test_colours_follow_the_scheme_of_the_reader() -> None:
    svg = draw()
    assert "var(--seen)" in svg and "var(--heat)" in svg and "var(--ink)" in svg
    assert not re.search(r"#0102", svg)
    # A variable works in a style, not in an attribute of its own.
    assert not re.search(r'(fill|stroke)="var', svg)


def test_a_figure_repeats_exactly_and_carries_no_address() -> None:
    assert draw() == draw()
    assert "http" not in draw() and "<!--" not in draw() and "metadata" not in draw()


def test_the_description_is_escaped() -> None:
    assert 'aria-label="a &quot;quoted&quot; &lt;description&gt;"' in draw()


@pytest.mark.parametrize("title", ["<b>&", "$a_b$", "ルール", "50% of $"])
def test_any_text_can_be_a_title(title: str) -> None:
    import html

    assert html.escape(title, quote=False) in draw(title)


def test_style_of_matplotlib_is_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw()
    assert dict(matplotlib.rcParams) == before


def test_long_names_are_cut() -> None:
    assert short("a" * 30, 10) == "a" * 9 + "…"
    assert short("line\n break") == "line break"
