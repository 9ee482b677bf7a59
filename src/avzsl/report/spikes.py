"""What the spiking neurons did for one clip, from the traces that the inspection stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avzsl.report.drawing import COLOUR, WIDTH, Picture, canvas, cells, to_svg
from avzsl.report.records import Array

SHOWN_NEURONS = 96
_DASHES = {"audio": ("-", "o"), "visual": ("--", "s")}


@dataclass(frozen=True)
class Block:
    """One block's trace: `spikes` [T, N] bool and `threshold` [T, channels] or None."""

    modality: str
    index: int
    spikes: Array
    threshold: Array | None
    mean_rates: Array | None


def read_blocks(arrays: Mapping[str, Array]) -> list[Block]:
    """Blocks from keys such as `spikes.audio.0`, audio before visual, in order of depth.

    Raises:
        ValueError: no trace is stored.
    """
    blocks = []
    for key in arrays:
        part, _, rest = key.partition(".")
        modality, _, index = rest.partition(".")
        if part != "spikes" or not index.isdigit() or arrays[key].ndim != 2 or 0 in arrays[key].shape:
            continue
        steps = len(arrays[key])
        threshold = arrays.get(f"threshold.{rest}")
        rates = arrays.get(f"rates.{rest}")
        blocks.append(
            Block(
                modality,
                int(index),
                arrays[key].astype(bool),
                threshold if threshold is not None and threshold.ndim == 2 and len(threshold) == steps else None,
                rates if rates is not None and rates.shape == (steps,) else None,
            )
        )
    if not blocks:
        raise ValueError("the method has no spiking neurons, or their traces were not stored")
    return sorted(blocks, key=lambda b: (b.modality, b.index))


def raster_pictures(blocks: list[Block]) -> list[Picture]:
    """One figure per modality, its blocks side by side."""
    pictures = []
    for modality in sorted({b.modality for b in blocks}):
        chosen = [b for b in blocks if b.modality == modality]
        with canvas(max(WIDTH, 2.7 * len(chosen)), 3.4) as figure:
            grid = figure.subplots(1, len(chosen), squeeze=False)[0]
            for axes, block in zip(grid, chosen, strict=True):
                _raster(axes, block)
            grid[0].set_ylabel("neuron")
            rates = ", ".join(f"block {b.index + 1} {100 * b.spikes.mean():.0f} %" for b in chosen)
            text = f"Spikes of the {modality} path, one mark per spike. Share of neurons that fire per step: {rates}."
            pictures.append(Picture(to_svg(figure, f"raster-{modality}", text, wide=True), text, wide=True))
    return pictures


def _raster(axes: Any, block: Block) -> None:
    steps, neurons = block.spikes.shape
    kept = np.unique(np.linspace(0, neurons - 1, min(neurons, SHOWN_NEURONS)).round().astype(int))
    columns, rows = np.nonzero(block.spikes[:, kept])
    cells(axes, rows, columns + 1, "seen" if block.modality == "audio" else "unseen", inset=0.1)
    shown = "all" if len(kept) == neurons else f"{len(kept)} of"
    axes.set(
        xlim=(0.4, steps + 0.6), ylim=(-0.5, len(kept) - 0.5), yticks=[], xlabel="time step",
        title=f"block {block.index + 1}\n{shown} {neurons} neurons",
    )  # fmt: skip
    axes.set_xticks(range(1, steps + 1, max(1, steps // 8)))
    axes.grid(False)


def rate_picture(blocks: list[Block]) -> Picture:
    """Share of neurons firing at each time step."""
    with canvas(WIDTH, 3.4) as figure:
        axes = figure.subplots()
        for block in blocks:
            _line(axes, block, 100 * block.spikes.mean(axis=1))
        axes.set(xlabel="time step", ylabel="neurons that fire, %", ylim=(0, None), title="Firing rate")
        text = "Firing rate: share of the neurons of a block that fire at each time step, for this clip."
        return _finish(figure, axes, blocks, "rates", text)


def mean_rate_picture(blocks: list[Block], clips: int) -> Picture | None:
    """The same as a mean over clips of the test set, when it was stored."""
    known = [b for b in blocks if b.mean_rates is not None]
    if not known:
        return None
    with canvas(WIDTH, 3.4) as figure:
        axes = figure.subplots()
        for block in known:
            assert block.mean_rates is not None
            _line(axes, block, 100 * block.mean_rates)
        axes.set(xlabel="time step", ylabel="neurons that fire, %", ylim=(0, None), title=f"Mean over {clips} clips")
        text = f"Firing rate as a mean over {clips} clips of the test set, evenly spread over it."
        return _finish(figure, axes, known, "mean-rates", text)


def threshold_picture(blocks: list[Block]) -> Picture | None:
    """The threshold neurons fire against, with the range over channels."""
    known = [b for b in blocks if b.threshold is not None]
    if not known:
        return None
    with canvas(WIDTH, 3.4) as figure:
        axes = figure.subplots()
        for block in known:
            assert block.threshold is not None
            _line(axes, block, block.threshold.mean(axis=1))
            steps = np.arange(1, len(block.threshold) + 1)
            low, high = block.threshold.min(axis=1), block.threshold.max(axis=1)
            axes.fill_between(steps, low, high, color=COLOUR[f"c{block.index % 6}"], alpha=0.12, linewidth=0)
        axes.set(xlabel="time step", ylabel="firing threshold", title="Threshold")
        text = "Threshold of each block by time step: the line is the mean over its channels, the band their range."
        return _finish(figure, axes, known, "threshold", text)


def _line(axes: Any, block: Block, values: Array) -> None:
    dash, marker = _DASHES.get(block.modality, ("-.", "^"))
    label = f"{block.modality}, block {block.index + 1}"
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, dash, marker=marker, markersize=4, color=COLOUR[f"c{block.index % 6}"], label=label)


def _finish(figure: Any, axes: Any, blocks: list[Block], name: str, text: str) -> Picture:
    axes.set_xticks(range(1, max(len(b.spikes) for b in blocks) + 1))
    figure.legend(loc="outside lower center", ncols=2)
    return Picture(to_svg(figure, name, text), text)
