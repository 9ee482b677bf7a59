from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from avzsl.report.drawing import COLOUR, PRINT, canvas, cells, save_figure, short, to_svg


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


def test_a_figure_of_its_own_has_the_colours_of_printed_pages() -> None:
    css = files("avzsl.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    printed = dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", css[css.index("@media print") :]))
    assert {name: printed[name] for name in PRINT} == PRINT
    assert set(PRINT) == set(COLOUR)


def test_a_figure_of_its_own_is_written_twice_and_repeats_exactly(tmp_path: Path) -> None:
    def save(stem: Path) -> list[bytes]:
        with canvas(colours=PRINT) as figure:
            axes = figure.subplots()
            axes.plot([0, 1], [0, 1], color=PRINT["seen"])
            cells(axes, np.array([0]), np.array([1]), "heat", colours=PRINT)
            return [path.read_bytes() for path in save_figure(figure, stem)]

    png, svg = save(tmp_path / "fig3.a")
    assert {path.name for path in tmp_path.iterdir()} == {"fig3.a.png", "fig3.a.svg"}
    assert png.startswith(b"\x89PNG") and b"#0068a8" in svg and b"#0a4f86" in svg and b"#0102" not in svg
    assert save(tmp_path / "again") == [png, svg]
