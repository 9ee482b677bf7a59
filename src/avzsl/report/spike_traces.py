"""The pictures of single clips: who fired when, and how membranes met their thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.report.drawing import COLOUR, Picture, canvas, cells, short, to_svg
from avzsl.report.picture_files import save_picture
from avzsl.report.records import Array

Record = Mapping[str, Any]
SHOWN_NEURONS = 96
# Colour and marker of the neurons whose membranes are drawn.
TRACED = (("c0", "o"), ("c1", "s"), ("c2", "^"))


def clip_pictures(record: Record, arrays: Mapping[str, Array], clip: Record, folder: Path) -> list[Picture]:
    """A figure for each modality of a clip, its layers side by side.

    Args:
        record: of the survey.
        arrays: its tensors.
        clip: one of `record["shown"]`.
        folder: for the files.
    """
    pictures = []
    for modality in dict.fromkeys(layer["modality"] for layer in record["layers"]):
        chosen = [
            (layer, f"{clip['number']}.{place}")
            for place, layer in enumerate(record["layers"])
            if layer["modality"] == modality and f"{clip['number']}.{place}.spikes" in arrays
        ]
        known = [(layer, key) for layer, key in chosen if f"{key}.membrane" in arrays]
        bare = [(layer, key) for layer, key in chosen if f"{key}.membrane" not in arrays]
        where = f"{clip['clip']} ({'seen' if clip['seen'] else 'unseen'} class {clip['class_name']})"
        stem = f"clip{clip['number']}-{modality}"
        if known:
            text = f"Spikes, membranes and thresholds of the {modality} path for {where}."
            with canvas(max(5.2, 2.8 * len(known)), 5.4) as figure:
                grid = figure.subplots(2, len(known), squeeze=False)
                for column, (layer, key) in enumerate(known):
                    spikes = arrays[f"{key}.spikes"].astype(bool)
                    _raster(grid[0, column], layer, spikes, modality)
                    _membranes(grid[1, column], spikes, arrays[f"{key}.membrane"], arrays[f"{key}.threshold"])
                grid[0, 0].set_ylabel("neuron")
                grid[1, 0].set_ylabel("membrane")
                _legend(figure)
                pictures.append(_finish(figure, folder, stem, text))
        if bare:
            text = f"Spikes of the attention ({'joint' if modality == 'both' else modality}) for {where}."
            across = min(4, len(bare))
            down = math.ceil(len(bare) / across)
            with canvas(max(5.2, 2.1 * across), 2.6 * down) as figure:
                panels = figure.subplots(down, across, squeeze=False).flatten()
                for axes, (layer, key) in zip(panels, bare, strict=False):
                    _raster(axes, layer, arrays[f"{key}.spikes"].astype(bool), modality)
                for axes in panels[: len(bare) : across]:
                    axes.set_ylabel("neuron")
                for axes in panels[len(bare) :]:
                    axes.set_visible(False)
                pictures.append(_finish(figure, folder, f"{stem}-attention", text))
    return pictures


def _raster(axes: Any, layer: Record, spikes: Array, modality: str) -> None:
    steps, neurons = spikes.shape
    kept = shown_neurons(spikes)
    columns, rows = np.nonzero(spikes[:, kept])
    cells(axes, rows, columns + 1, {"audio": "seen", "visual": "unseen"}.get(modality, "hm"), inset=0.1)
    tokens = neurons // layer["neurons"]
    of = f"{neurons} neurons" if tokens == 1 else f"{tokens} x {layer['neurons']}"
    some = f"all {of}" if len(kept) == neurons else f"{len(kept) if spikes.any() else 'none'} of {of}"
    axes.set(
        xlim=(0.4, steps + 0.6), ylim=(-0.5, max(len(kept), 1) - 0.5), yticks=[], xlabel="time step",
        title=f"{layer['name']}\n{some}, rate {100 * spikes.mean():.1f} %",
    )  # fmt: skip
    axes.title.set_fontsize(9)
    axes.set_xticks(range(1, steps + 1, max(1, steps // 8)))
    axes.grid(False)


def shown_neurons(spikes: Array) -> Array:
    """All neurons of spikes [T, N] where there is room; else those that fire if these have room, else evenly spaced."""
    neurons = spikes.shape[1]
    firing = np.nonzero(spikes.any(axis=0))[0]
    if neurons > SHOWN_NEURONS >= len(firing):
        return firing
    return np.unique(np.linspace(0, neurons - 1, min(neurons, SHOWN_NEURONS)).round().astype(int))


def _membranes(axes: Any, spikes: Array, membrane: Array, threshold: Array) -> None:
    steps, neurons = spikes.shape
    time = np.arange(1, steps + 1)
    chosen = typical(spikes, membrane)
    for (colour, marker), neuron in zip(TRACED, chosen, strict=False):
        limit = threshold[:, neuron * threshold.shape[1] // neurons]
        fired = spikes[:, neuron]
        axes.plot(time, membrane[:, neuron], "-", color=COLOUR[colour], linewidth=1.4)
        axes.plot(time, limit, "--", color=COLOUR[colour], linewidth=1.1)
        axes.plot(time[fired], membrane[fired, neuron], marker, color=COLOUR[colour], markersize=6.5)
        axes.plot(time[~fired], membrane[~fired, neuron], marker, color=COLOUR[colour], markersize=5, fillstyle="none")
    axes.set(xlim=(0.4, steps + 0.6), xlabel="time step", title=f"neurons {', '.join(map(str, chosen))}")
    axes.title.set_fontsize(9)
    axes.set_xticks(range(1, steps + 1, max(1, steps // 8)))


def typical(spikes: Array, membrane: Array) -> list[int]:
    """A neuron that fires most, one in the middle of those that fire, and one that fires least, in this order.

    Among neurons that fire equally often, the one whose membrane rises highest.
    """
    counts = spikes.sum(axis=0)
    order = np.lexsort((membrane.max(axis=0), counts))[::-1]
    firing = order[counts[order] > 0]
    wanted = [order[0], firing[len(firing) // 2] if len(firing) else order[0]]
    least = order[counts[order] == counts.min()][0]
    return [int(neuron) for neuron in dict.fromkeys([*wanted, least])]


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    ink = COLOUR["ink"]
    figure.legend(
        handles=[
            Line2D([], [], color=ink, linestyle="-", label="membrane before the reset"),
            Line2D([], [], color=ink, linestyle="--", label="threshold of its channel"),
            Line2D([], [], color=ink, linestyle="", marker="o", label="step with a spike"),
            Line2D([], [], color=ink, linestyle="", marker="o", fillstyle="none", label="step without"),
            *(
                Line2D([], [], color=COLOUR[colour], linestyle="-", marker=marker, label=name)
                for (colour, marker), name in zip(TRACED, ("first neuron", "second", "third"), strict=True)
            ),
        ],
        loc="outside lower center", ncols=4,
    )  # fmt: skip


def _finish(figure: Any, folder: Path, name: str, text: str) -> Picture:
    picture = Picture(to_svg(figure, name, text, wide=True), short(text, 400), wide=True)
    save_picture(figure, folder, name)
    return picture
