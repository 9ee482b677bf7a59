"""What a survey of spikes finds, and the files it is kept in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from avzsl.experiments.spikes.balance import Balance, Part, Totals
from avzsl.files import write_json, write_tensors

RECORD = "spikes.json"
TENSORS = "spikes.safetensors"
BINS = 20
"""Of the histogram of neurons by their rates."""


@dataclass(frozen=True)
class Rates:
    """Share of neurons that fire: mean and sample standard deviation over clips, in all and step by step.

    `sd` and `sd_by_step` are None for a single clip; everything is None and empty without any.
    """

    clips: int
    mean: float | None
    sd: float | None
    by_step: tuple[float, ...]
    sd_by_step: tuple[float, ...] | None


@dataclass(frozen=True)
class LayerRates:
    """What one layer of neurons did on the test set.

    Attributes:
        name, module, modality: of the layer.
        neurons: for each clip, or for each token of one.
        rates: by group of clips: `"all"`, `"seen"`, `"unseen"`.
        silent: neurons that fired for no clip at no step.
        saturated: neurons that fired for every clip at every step.
        histogram: neurons by rate in `BINS` equal bins from 0 to 1.
    """

    name: str
    module: str
    modality: str
    neurons: int
    rates: Mapping[str, Rates]
    silent: int
    saturated: int
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class SynapseCount:
    """Synaptic operations of one set of weights, per clip.

    Attributes:
        layer, name: whose they are.
        arrives: `"spikes"`, `"floats"`, or `"both"` where it depends on the clip.
        weights: numbers stored.
        operations: mean over clips of the count from real spikes; `sd` the deviation, and `seen`, `unseen` the means
            over those clips (None where there are none).
        closed_form: rate x steps x synapses; `difference` its relative deviation from `operations`, None without any.
        closed_form_padded: the same with taps over padding counted.
        macs: multiply-adds made with floats.
        dense: what a machine that multiplies zeros, too, does at every step.
    """

    layer: str
    name: str
    arrives: str
    weights: int
    operations: float
    sd: float | None
    seen: float | None
    unseen: float | None
    closed_form: float
    difference: float | None
    closed_form_padded: float
    difference_padded: float | None
    macs: float
    dense: float


@dataclass(frozen=True)
class ShownClip:
    """A clip whose spikes are stored neuron by neuron, under `number.layer.spikes` in the tensors."""

    number: int
    clip: str
    class_name: str
    seen: bool


@dataclass(frozen=True)
class SpikeSurvey:
    """Everything `avzsl spikes` counts about a run.

    Attributes:
        run, method, title, benchmark, family, fingerprint, simulated: what was looked at.
        clips: how many of each group.
        time_steps: T.
        layers, synapses: in the order of the signal.
        parts: efforts and prices of the method, part by part; `twin_parts` of the twin's spiking layers.
        totals, twin: energy of the method, and of the same network without time steps and spikes.
        variant: energy of the method's own variant without spikes, None where it has none.
        balance: where the spiking layers break even with their twin.
        model: constants of the energy model.
        shown: clips with traces.
        tensors: their traces.
    """

    run: str
    method: str
    title: str
    benchmark: str
    family: str
    fingerprint: str
    simulated: bool
    clips: Mapping[str, int]
    time_steps: int
    layers: tuple[LayerRates, ...]
    synapses: tuple[SynapseCount, ...]
    parts: tuple[Part, ...]
    twin_parts: tuple[Part, ...]
    totals: Totals
    twin: Totals
    variant: Totals | None
    variant_parts: tuple[Part, ...]
    balance: Balance
    model: Mapping[str, Any]
    shown: tuple[ShownClip, ...]
    tensors: Mapping[str, Tensor] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the traces."""
        values = {name: value for name, value in vars(self).items() if name != "tensors"}
        return {"format": 1} | {name: _plain(value) for name, value in values.items()}

    def write(self, folder: Path | str) -> Path:
        """Store the record and the traces; returns the record's path.

        Raises:
            OutputError: the folder cannot be written to.
        """
        folder = Path(folder)
        write_tensors(folder / TENSORS, self.tensors)
        write_json(folder / RECORD, self.as_dict())
        return folder / RECORD


def _plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as JSON has them; a number that is none becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
