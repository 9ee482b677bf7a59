"""Figures as inline SVG that follow the reader's light or dark scheme.

Matplotlib draws with marker colours that no figure uses by chance; in the finished SVG they become CSS variables, so
one figure serves both schemes and print. Text stays text: it can be searched, copied and read aloud.
"""

from __future__ import annotations

import contextlib
import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.errors import MissingExtraError
from avzsl.files import atomic_path
from avzsl.report.records import Array

# Names of CSS variables in style.css and the colour that stands for each while drawing.
NAMES = ("ink", "soft", "grid", "seen", "unseen", "hm", "zsl", "heat", "heat-ink", "c0", "c1", "c2", "c3", "c4", "c5")
COLOUR = {name: f"#0102{0x10 + i:02x}" for i, name in enumerate(NAMES)}
# The same names in the colours of style.css on white paper, for figures that are files of their own.
PRINT = {
    "ink": "#000000", "soft": "#444444", "grid": "#cccccc", "seen": "#0068a8", "unseen": "#c04a00", "hm": "#007a58",
    "zsl": "#a3478a", "heat": "#0a4f86", "heat-ink": "#ffffff", "c0": "#0072b2", "c1": "#d55e00", "c2": "#008f68",
    "c3": "#b8679a", "c4": "#b07b00", "c5": "#2f9bd0",
}  # fmt: skip
CLASS_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5")
WIDTH = 5.2
"""Inches: shown in a column of some 500 pixels, letters of 10 points become 13 pixels high, and 10 on a telephone."""
LABEL = 24
"""Longest name in a figure; tables print names in full."""


def _style(colours: Mapping[str, str]) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "avzsl",
        "text.parse_math": False,
        "font.size": 10.0,
        "font.family": "DejaVu Sans",
        "text.color": colours["ink"],
        "axes.edgecolor": colours["soft"],
        "axes.labelcolor": colours["ink"],
        "axes.titlesize": 10.5,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": colours["grid"],
        "grid.linewidth": 0.7,
        "xtick.color": colours["soft"],
        "ytick.color": colours["soft"],
        "xtick.labelcolor": colours["ink"],
        "ytick.labelcolor": colours["ink"],
        "legend.frameon": False,
        "legend.labelcolor": colours["ink"],
        "figure.facecolor": "none",
        "lines.linewidth": 1.8,
        "lines.markersize": 5.0,
    }


@dataclass(frozen=True)
class Picture:
    """One figure of the page.

    Attributes:
        svg: markup, safe to insert as it is.
        caption: plain words under it.
        wide: it takes the whole width of the page and scrolls on a narrow screen.
    """

    svg: str
    caption: str
    wide: bool = False


@contextlib.contextmanager
def canvas(width: float = WIDTH, height: float = 3.2, colours: Mapping[str, str] = COLOUR) -> Iterator[Any]:
    """A matplotlib figure of the given inches, with the house style; nothing global changes.

    Args:
        width, height: inches.
        colours: `COLOUR` for a figure inside a page, `PRINT` for one that `save_figure` writes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report", "drawing figures") from error
    with (
        matplotlib.rc_context({**matplotlib.rcParamsDefault, "backend": "agg", **_style(colours)}),
        warnings.catch_warnings(),
    ):
        # Letters that the measuring font lacks are drawn by the reader's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Any, name: str, description: str, wide: bool = False) -> str:
    """The figure as an SVG element without anything that differs from run to run.

    Call it inside the `canvas` block.

    Args:
        figure: from `canvas`.
        name: unique on the page; precedes all identifiers.
        description: the alternative text.
        wide: keep letters readable by scrolling instead of shrinking.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    for variable, colour in COLOUR.items():
        text = text.replace(colour, f"var(--{variable})")
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"(\d+\.\d{3})\d+", r"\1", text)
    head = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert head is not None
    width = float(head[1])
    least = f"min-width:{width * 1.15:.0f}px;" if wide else ""
    size = f"{least}max-width:{width * 1.5:.0f}px"
    label = html.escape(description)
    opening = f'<svg viewBox="0 0 {head[1]} {head[2]}" role="img" aria-label="{label}" style="{size}">'
    body = text[text.index(">") + 1 :]
    return opening + f"<title>{label}</title>" + re.sub(r"\n\s*", "\n", body).strip()


def save_figure(figure: Any, stem: Path) -> list[Path]:
    """Write `<stem>.png` (200 dots per inch, on white) and `<stem>.svg`; the same figure gives the same bytes.

    Call it inside a `canvas` block with the colours `PRINT`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    about: tuple[dict[str, None], ...] = ({"Software": None}, {"Date": None, "Creator": None})
    for path, metadata in zip(paths, about, strict=True):
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=200, facecolor="white", metadata=metadata)
    return paths


def short(name: str, longest: int = LABEL) -> str:
    """A name that fits a figure, on one line."""
    name = " ".join(name.split())
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


def cells(
    axes: Any, rows: Array, columns: Array, colour: str, alpha: float = 1.0, inset: float = 0.0,
    colours: Mapping[str, str] = COLOUR,
) -> None:  # fmt: skip
    """Fill unit squares centred at (column, row) as one path, which stays small however many there are."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    if len(rows) == 0:
        return
    half = 0.5 - inset
    corners = np.array([(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)])
    points = np.stack([columns, rows], axis=1)[:, None, :] + corners
    codes = np.tile([Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY], len(rows))
    patch = PathPatch(Outline(points.reshape(-1, 2), codes), facecolor=colours[colour], edgecolor="none", alpha=alpha)
    axes.add_patch(patch)
