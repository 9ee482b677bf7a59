"""The pictures of a survey of spikes: rates, neurons, energy. Nothing is told by colour alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.report.drawing import COLOUR, Picture, canvas, cells, to_svg
from avzsl.report.picture_files import save_picture
from avzsl.report.spike_findings import energy
from avzsl.report.spike_tables import KINDS

Record = Mapping[str, Any]
SHADES = 20
# Colour and hatch of each kind of effort, in the order of the stack.
FILLS = {"spikes": ("c0", ""), "floats": ("c1", "//"), "upkeep": ("c4", ".."), "float module": ("grid", "")}
HOW = ("arithmetic", "arithmetic and memory traffic")


def heat_map(record: Record, folder: Path) -> Picture:
    """Firing rate of each layer (row) at each step (column)."""
    layers = record["layers"]
    rates = np.array([[*layer["rates"]["all"]["by_step"], layer["rates"]["all"]["mean"]] for layer in layers])
    steps = record["time_steps"]
    places = _rows(layers)
    top = max(float(rates.max()), 1e-9)
    with canvas(max(5.2, 2.6 + 0.46 * (steps + 1)), 1.2 + 0.29 * (places[-1] + 1)) as figure:
        axes = figure.subplots()
        columns = np.array([*range(1, steps + 1), steps + 1.6])
        levels = np.round(SHADES * np.sqrt(rates / top)).astype(int)  # the root shows small rates, too
        for level in range(1, SHADES + 1):
            rows, ats = np.nonzero(levels == level)
            cells(axes, np.array(places)[rows], columns[ats], "heat", alpha=level / SHADES, inset=0.02)
        for row, place in enumerate(places):
            for across, column in enumerate(columns):
                dark = levels[row, across] > 0.6 * SHADES
                axes.text(
                    column, place, _short(100 * rates[row, across]), ha="center", va="center", fontsize=8,
                    color=COLOUR["heat-ink" if dark else "ink"],
                )  # fmt: skip
        every = max(1, math.ceil(steps / 16))
        ticks = list(range(1, steps + 1, every))
        axes.set_xticks([*ticks, columns[-1]], [*map(str, ticks), "all"])
        axes.set_yticks(places, [layer["name"] for layer in layers])
        axes.set(xlim=(0.4, columns[-1] + 0.6), ylim=(places[-1] + 0.6, -0.6), xlabel="time step")
        axes.set_title("Neurons that fire, %")
        axes.grid(False)
        axes.tick_params(length=0)
        means = ", ".join(f"{layer['name']} {_short(100 * layer['rates']['all']['mean'])} %" for layer in layers)
        text = f"Share of the neurons of each layer that fire at each time step, mean over the test set: {means}."
        return _finish(figure, folder, "rates", text)


def group_picture(record: Record, folder: Path) -> Picture:
    """Rates of clips of seen and of unseen classes, with their spread."""
    layers = record["layers"]
    places = np.array(_rows(layers), dtype=float)
    with canvas(6.2, 1.3 + 0.29 * (places[-1] + 1)) as figure:
        axes = figure.subplots()
        for group, marker, shift in (("seen", "o", -0.17), ("unseen", "s", 0.17)):
            rates = [layer["rates"][group] for layer in layers]
            known = [k for k, rate in enumerate(rates) if rate["mean"] is not None]
            axes.errorbar(
                [100 * rates[k]["mean"] for k in known], places[known] + shift,
                xerr=[100 * (rates[k]["sd"] or 0) for k in known], fmt=marker, color=COLOUR[group], markersize=5,
                linewidth=0, elinewidth=1.2, capsize=2, label=f"clips of {group} classes",
            )  # fmt: skip
        axes.set_yticks(places, [layer["name"] for layer in layers])
        axes.set(ylim=(places[-1] + 0.6, -0.6), xlim=(0, None), xlabel="neurons that fire at a step, %")
        axes.tick_params(axis="y", length=0)
        figure.legend(loc="outside lower center", ncols=2)
        text = "Firing rates of clips of seen and of unseen classes: mean, and standard deviation over clips as a line."
        return _finish(figure, folder, "groups", text)


def neuron_picture(record: Record, folder: Path) -> Picture:
    """How many neurons of each layer fire how often."""
    layers = record["layers"]
    across = min(3 if len(layers) <= 9 else 4, len(layers))
    down = math.ceil(len(layers) / across)
    with canvas((2.7 if across <= 3 else 2.3) * across, 0.5 + 1.75 * down) as figure:
        panels = figure.subplots(down, across, squeeze=False).flatten()
        for axes, layer in zip(panels, layers, strict=False):
            counts = np.array(layer["histogram"])
            edges = np.linspace(0, 100, len(counts) + 1)
            axes.bar(
                edges[:-1], counts, width=np.diff(edges), align="edge", color=COLOUR["c0"], edgecolor=COLOUR["ink"],
                linewidth=0.4,
            )  # fmt: skip
            few = f"{layer['silent']} silent, {layer['saturated']} saturated"
            axes.set_title(f"{layer['name']} ({layer['neurons']})\n{few}", fontsize=9)
            axes.set_xlim(0, 100)
            axes.tick_params(labelsize=8)
        for axes in panels[len(layers) :]:
            axes.set_visible(False)
        figure.supxlabel("share of clips and steps at which a neuron fires, %", fontsize=10)
        figure.supylabel("neurons", fontsize=10)
        text = (
            "How often single neurons fire: neurons of each layer by their rate on the test set; in brackets how many."
        )
        return _finish(figure, folder, "neurons", text, wide=across > 2)


def total_picture(record: Record, folder: Path) -> Picture:
    """Energy of the method, of its twin and of its variant, by kind of effort."""
    names = [("this method", record["totals"]), ("twin without spikes", record["twin"])]
    if record["variant"] is not None:
        names.append(("its own variant\nwithout spikes", record["variant"]))
    bars = [
        (name, {kind: (c["arithmetic_by_kind"][kind], c["memory_by_kind"][kind]) for kind in FILLS})
        for name, c in names
    ]
    text = "Energy for one clip by kind of effort: " + "; ".join(
        f"{' '.join(name.split())} {energy(c['arithmetic'])}, with memory {energy(c['arithmetic'] + c['memory'])}"
        for name, c in names
    )
    with canvas(8.4, 1.5 + 0.5 * len(bars)) as figure:
        _stacks(figure, bars)
        return _finish(figure, folder, "energy", f"{text}.", wide=True)


def module_picture(record: Record, folder: Path) -> Picture:
    """Energy of every module."""
    modules = dict.fromkeys(part["module"] for part in record["parts"])
    bars = [(module, _by_kind([p for p in record["parts"] if p["module"] == module])) for module in modules]
    bars.sort(key=lambda bar: -sum(sum(pair) for pair in bar[1].values()))
    with canvas(8.4, 1.5 + 0.36 * len(bars)) as figure:
        _stacks(figure, bars)
        first = bars[0][0]
        text = f"Energy for one clip by module, the most expensive first: {first}."
        return _finish(figure, folder, "modules", text, wide=True)


def layer_picture(record: Record, folder: Path) -> Picture:
    """Energy of the spiking layers, each above its twin."""
    bars: list[tuple[str, dict[str, tuple[float, float]]]] = []
    for layer in record["layers"]:
        for key, name in (("parts", layer["name"]), ("twin_parts", "its twin")):
            bars.append((name, _by_kind([part for part in record[key] if part["layer"] == layer["name"]])))
    with canvas(8.4, 1.5 + 0.3 * len(bars)) as figure:
        _stacks(figure, bars, pairs=True)
        text = (
            "Energy for one clip of each spiking layer, and below it of the same layer without spikes and time steps."
        )
        return _finish(figure, folder, "layers", text, wide=True)


def _by_kind(parts: Sequence[Record]) -> dict[str, tuple[float, float]]:
    """Arithmetic and memory energy of parts by kind."""
    return {
        kind: (
            sum(part["arithmetic"] for part in parts if part["kind"] == kind),
            sum(part["memory"] for part in parts if part["kind"] == kind),
        )
        for kind in FILLS
    }


def _stacks(figure: Any, bars: Sequence[tuple[str, Mapping[str, tuple[float, float]]]], pairs: bool = False) -> None:
    """Stacked bars in two panels: arithmetic alone, and with memory traffic; every bar ends in its sum."""
    panels = figure.subplots(1, 2, sharey=True)
    places = [1.0 * k - (0.2 if pairs and k % 2 else 0) for k in range(len(bars))]
    used = [kind for kind in FILLS if any(sum(parts[kind]) > 0 for _, parts in bars)]
    for axes, how in zip(panels, HOW, strict=True):
        sums = np.zeros(len(bars))
        for kind in used:
            colour, hatch = FILLS[kind]
            values = np.array([parts[kind][0] + (parts[kind][1] if how != HOW[0] else 0) for _, parts in bars])
            axes.barh(
                places, values, left=sums, height=0.66, color=COLOUR[colour], hatch=hatch, edgecolor=COLOUR["ink"],
                linewidth=0.5, label=KINDS[kind],
            )  # fmt: skip
            sums += values
        largest = max(float(sums.max()), 1e-12)
        scale, unit = next(((s, u) for s, u in ((1e6, "µJ"), (1e3, "nJ")) if largest >= s), (1.0, "pJ"))
        for place, whole in zip(places, sums, strict=True):
            axes.text(whole + 0.015 * largest, place, energy(whole), va="center", fontsize=8)
        axes.set(title=how, xlim=(0, 1.3 * largest), xlabel=f"{unit} per clip")
        axes.set_xticks(_ticks(largest), [f"{tick / scale:.3g}" for tick in _ticks(largest)])
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(places, [name for name, _ in bars])
    panels[0].set_ylim(places[-1] + 0.6, -0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def _ticks(largest: float) -> list[float]:
    step = 10 ** math.floor(math.log10(largest))
    step = next(step * f for f in (1, 0.5, 0.25, 0.2) if largest / (step * f) >= 3 or f == 0.2)
    return [step * k for k in range(int(largest / step) + 1)]


def _rows(layers: Sequence[Record]) -> list[float]:
    """A row for each layer, and a gap before another modality."""
    places, place = [], -1.0
    for before, layer in zip([layers[0], *layers], layers, strict=False):
        place += 1 if layer["modality"] == before["modality"] else 1.5
        places.append(place)
    return places


def _short(percent: float) -> str:
    return (
        f"{percent:.0f}"
        if percent >= 9.95
        else f"{percent:.1f}"
        if percent >= 0.05
        else "0"
        if percent == 0
        else "<0.1"
    )


def _finish(figure: Any, folder: Path, name: str, text: str, wide: bool = False) -> Picture:
    picture = Picture(to_svg(figure, name, text, wide=wide), text, wide=wide)
    save_picture(figure, folder, name)
    return picture
