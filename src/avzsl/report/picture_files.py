"""Figures as files of their own, PNG and SVG, in the colours of the light page."""

from __future__ import annotations

import io
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from avzsl.files import atomic_path, write_text
from avzsl.report.drawing import COLOUR

DPI = 200
_PROPERTIES = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


@cache
def palette() -> dict[str, str]:
    """Marker colour of `avzsl.report.drawing` to the colour that the style sheet gives it on a light page."""
    css = files("avzsl.report").joinpath("templates/style.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", css[: css.index("@media")]))
    return {marker: light[name] for name, marker in COLOUR.items()}


def save_picture(figure: Any, folder: Path, name: str) -> list[Path]:
    """Write `name.svg` and `name.png`; the figure keeps the light colours, so this comes after `to_svg`.

    Call it inside the `canvas` block.

    Raises:
        OutputError: the folder cannot be written to.
    """
    text = io.StringIO()
    figure.savefig(text, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    for marker, colour in palette().items():
        svg = svg.replace(marker, colour)
    write_text(folder / f"{name}.svg", svg)
    _recolour(figure)
    with atomic_path(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return [folder / f"{name}.png", folder / f"{name}.svg"]


def _recolour(figure: Any) -> None:
    from matplotlib.colors import to_hex

    for artist in figure.findobj():
        for name in _PROPERTIES:
            get, put = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
            if get is None or put is None:
                continue
            value = get()
            several = not isinstance(value, str | tuple) and getattr(value, "ndim", 1) == 2
            found = [_light(one, to_hex) for one in (value if several else [value])]
            if any(colour is not None for colour in found):
                put([new or old for new, old in zip(found, value, strict=True)] if several else found[0])


def _light(value: Any, to_hex: Any) -> Any:
    """The light page's colour for a marker colour, with its transparency; None for anything else."""
    try:
        marker, whole = to_hex(value), to_hex(value, keep_alpha=True)
    except (ValueError, TypeError):
        return None
    light = palette().get(marker)
    return None if light is None or whole.endswith("00") else light + whole[7:]
