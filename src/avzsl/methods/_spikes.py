"""Count what spiking layers did over many clips: rates, synaptic operations, and the efforts that energy is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from avzsl.methods._base import Method
from avzsl.methods._energy import Effort
from avzsl.methods._profile import _infer, _parameters, count_flops
from avzsl.nn.synapses import SpikeLayer, Synapses, Upkeep, by_clip
from avzsl.types import Clips


class LayerTally:
    """One layer over all clips so far.

    Attributes:
        name, module, modality, index: as in `SpikeLayer`.
        steps, neurons: T and N.
        fired: [N] float64, how often each neuron fired.
        looks: how often it could have: rows × time steps.
        synapses, upkeep: counts of its parts.
    """

    def __init__(self, layer: SpikeLayer) -> None:
        self.name, self.module, self.modality = layer.name, layer.module, layer.modality
        self.index, self.steps, self.neurons = layer.index, len(layer.spikes), layer.spikes.shape[2]
        self.fired = torch.zeros(self.neurons, dtype=torch.float64)
        self.looks = 0
        self._rates: list[Tensor] = []
        self.synapses = [SynapseTally(part) for part in layer.synapses]
        self.upkeep = [UpkeepTally(part) for part in layer.upkeep]

    def add(self, layer: SpikeLayer, clips: int) -> None:
        """Count what the layer did for B more clips."""
        self.fired += layer.spikes.sum((0, 1)).double().cpu()
        self.looks += layer.spikes.shape[0] * layer.spikes.shape[1]
        share = layer.spikes.double().mean(2).T  # [R, T]
        if layer.owner is not None:
            rows = by_clip(torch.ones(len(share), device=share.device), layer.owner, clips)
            share = torch.stack([by_clip(step, layer.owner, clips) for step in share.T], 1) / rows[:, None]
        self._rates.append(share.cpu())
        for tally, part in zip(self.synapses, layer.synapses, strict=True):
            tally.add(part)
        for counted, kept in zip(self.upkeep, layer.upkeep, strict=True):
            counted.add(kept)

    @property
    def rates(self) -> Tensor:
        """Share of neurons that fired for each clip at each step, [clips, T] float64."""
        return torch.cat(self._rates)

    @property
    def neuron_rates(self) -> Tensor:
        """Share of all clips, tokens and steps at which each neuron fired, [N] float64."""
        return self.fired / max(self.looks, 1)


class SynapseTally:
    """Weights on the way to a layer over all clips so far."""

    def __init__(self, part: Synapses) -> None:
        self.name, self.weights, self.outputs = part.name, part.weights, part.outputs
        self.taps, self.nominal, self.inputs = part.taps, part.nominal, part.fan_out.shape[-1]
        self.driven = False  # did spikes arrive at all?
        self.arrived = self.places = self.reach = self.passes = self.twin = 0.0
        self._operations: list[Tensor] = []

    def add(self, part: Synapses) -> None:
        """Count B more clips."""
        self._operations.append(part.operations().cpu())
        self.passes += float(part.passes.sum())
        self.twin += float(part.twin.sum())
        if part.spikes is not None:
            self.driven = True
            self.arrived += float(part.spikes.sum())
            self.places += part.spikes.numel()
            self.reach += float(part.fan_out.double().mean()) * part.spikes.numel()

    @property
    def operations(self) -> Tensor:
        """Synaptic operations of each clip, [clips] float64, from its real spikes."""
        return torch.cat(self._operations)

    @property
    def clips(self) -> int:
        """How many clips were counted."""
        return sum(len(part) for part in self._operations)

    @property
    def arriving_rate(self) -> float:
        """Share of the sources that fire at a step."""
        return self.arrived / self.places if self.places else math.nan

    @property
    def closed_form(self) -> float:
        """Synaptic operations per clip as rate x steps x synapses, which are spread over the sources evenly."""
        return self.arrived * (self.reach / self.places) / self.clips if self.places else 0.0

    @property
    def closed_form_padded(self) -> float:
        """The same with the taps over padding counted as synapses, as papers do."""
        return self.closed_form * self.nominal / self.taps

    @property
    def dense(self) -> float:
        """Multiply-adds per clip of a machine that multiplies zeros, too, at every step."""
        return (self.passes + self.places / self.inputs) * self.nominal / self.clips


class UpkeepTally:
    """Float arithmetic of a layer over all clips so far."""

    def __init__(self, part: Upkeep) -> None:
        self.part = part
        self.values = self.twin = 0.0

    def add(self, part: Upkeep) -> None:
        """Count B more clips."""
        self.values += float(part.values.sum())
        self.twin += float(part.twin.sum())


def tally_layers(tallies: dict[str, LayerTally], layers: Sequence[SpikeLayer], clips: int) -> None:
    """Count B more clips of every layer; layers that are new are added."""
    for layer in layers:
        if layer.name not in tallies:
            tallies[layer.name] = LayerTally(layer)
        tallies[layer.name].add(layer, clips)


def layer_efforts(tally: LayerTally, clips: int) -> list[Effort]:
    """What a layer did for one clip, in the mean."""
    found = []
    for part in tally.synapses:
        if part.driven:
            found.append(_driven(tally, part, clips))
        if part.passes:
            found.append(_dense(tally, part, part.passes / clips, "floats"))
    return [*found, *(_kept(tally, part, part.values / clips) for part in tally.upkeep)]


def twin_efforts(tally: LayerTally, clips: int) -> list[Effort]:
    """What the same layer would do without time steps and spikes: every product dense, made once."""
    dense = [_dense(tally, part, part.twin / clips, "floats") for part in tally.synapses]
    return [*dense, *(_kept(tally, part, part.twin / clips) for part in tally.upkeep if part.twin)]


def module_macs(method: Method, clips: Clips, classes: Tensor) -> dict[str, float]:
    """Multiply-adds of matrix products, convolutions and attention for one clip, by module."""
    counts, _ = count_flops(method, lambda: _infer(method, clips, classes))
    return {name: flops / 2 for name, flops in counts.items()}


def module_parameters(method: Method) -> dict[str, int]:
    """Numbers that each module holds."""
    return _parameters(method)


def module_effort(module: str, macs: float, parameters: int) -> Effort:
    """A module without spiking neurons: its products. What it does value by value is not counted."""
    return Effort(
        module, "", "products", "float module", macs=macs,
        weight_reads=macs, weight_words=parameters, value_reads=macs,
    )  # fmt: skip


def _driven(tally: LayerTally, part: SynapseTally, clips: int) -> Effort:
    """Each operation fetches a weight and adds it to a current in memory; each spike is sent and received once."""
    operations, spikes = float(part.operations.sum()) / clips, part.arrived / clips
    return Effort(
        tally.module, tally.name, part.name, "spikes", adds=operations,
        weight_reads=operations, weight_words=part.weights,
        state_reads=operations, state_writes=operations, state_words=part.outputs,
        value_reads=spikes, value_writes=spikes, value_words=part.inputs,
    )  # fmt: skip


def _dense(tally: LayerTally, part: SynapseTally, passes: float, kind: str) -> Effort:
    """Each multiply-add fetches a weight and an input; the sum stays in a register until it is stored."""
    macs = part.taps * passes
    return Effort(
        tally.module, tally.name, part.name, kind, macs=macs, weight_reads=macs, weight_words=part.weights,
        value_reads=macs, value_writes=part.outputs * passes, value_words=part.inputs,
    )  # fmt: skip


def _kept(tally: LayerTally, counted: UpkeepTally, values: float) -> Effort:
    part = counted.part
    return Effort(
        tally.module, tally.name, part.name, "upkeep",
        macs=values * part.macs, adds=values * part.adds, special=values * part.special,
        state_reads=values * part.reads, state_writes=values * part.writes, state_words=tally.neurons,
    )  # fmt: skip
