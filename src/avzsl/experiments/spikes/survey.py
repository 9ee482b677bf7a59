"""Pass the whole test set through a trained model and count its spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

import avzsl.methods
from avzsl.data.tables import EvaluationSet, Ragged
from avzsl.errors import DataError, ModelError, nearest_name
from avzsl.experiments.evaluate import open_with_test_set
from avzsl.experiments.run import choose_device, is_simulated
from avzsl.experiments.spikes.balance import balance, price_parts, totals
from avzsl.experiments.spikes.records import BINS, LayerRates, Rates, ShownClip, SpikeSurvey, SynapseCount
from avzsl.methods._base import METHODS, Method
from avzsl.methods._energy import Effort, energy_model
from avzsl.methods._spikes import (
    LayerTally,
    SynapseTally,
    layer_efforts,
    module_effort,
    module_macs,
    module_parameters,
    tally_layers,
    twin_efforts,
)
from avzsl.progress import track

assert avzsl.methods  # imported for its registrations

CHUNK = 64
"""Clips that pass the model at a time."""


def survey_spikes(
    run: Path | str,
    data: Path | str,
    *,
    shown: int = 2,
    clips: Sequence[str] = (),
    precision: str = "fp32",
    device: str = "auto",
    trust: bool = False,
) -> SpikeSurvey:
    """Pass the whole test set through a trained model and count its spikes.

    Args:
        run: folder of a finished run.
        data: benchmark folder.
        shown: clips whose traces are kept: the first of a class, unseen and seen classes in turn.
        clips: names of the clips to keep instead.
        precision: number format whose energies are used, a name in `avzsl.methods._energy.MODELS`.
        device: where to compute.
        trust: read temporal features from public pickles, too.

    Raises:
        ModelError: no model there, it does not fit the data, or it has no spiking neurons.
        DataError: the benchmark is damaged, or has no clip of a name in `clips`.
        SettingError: unknown device or number format.
    """
    constants = energy_model(precision)
    where = choose_device(device)
    method, card, benchmark, test = open_with_test_set(run, data, device=where, trust=trust)
    rows = [_row(test, name) for name in clips] or first_of_classes(test, shown)
    method.eval()
    _check_spikes(method, test, where)
    tallies: dict[str, LayerTally] = {}
    with torch.no_grad():
        for start in track(range(0, len(test), CHUNK), "spikes"):
            stop = min(start + CHUNK, len(test))
            layers = method.spike_layers(test.features.span(start, stop).clips().to(where))
            tally_layers(tallies, layers, stop - start)
        kept, tensors = _traces(method, test, rows, where)
    seen = test.seen.cpu()[test.labels.cpu()]
    spiking = {tally.module for tally in tallies.values()}
    described = [effort for tally in tallies.values() for effort in layer_efforts(tally, len(test))]
    twins = [effort for tally in tallies.values() for effort in twin_efforts(tally, len(test))]
    rest = _float_modules(method, test, spiking, where)
    variant = method.without_spikes()
    other = [] if variant is None else _float_modules(variant.to(where).eval(), test, set(), where)
    return SpikeSurvey(
        run=str(run), method=card.method, title=method.title, benchmark=benchmark.name, family=benchmark.family,
        fingerprint=benchmark.fingerprint, simulated=is_simulated(benchmark),
        clips={"all": len(test), "seen": int(seen.sum()), "unseen": int((~seen).sum())},
        time_steps=next(iter(tallies.values())).steps,
        layers=tuple(_layer(tally, seen) for tally in tallies.values()),
        synapses=tuple(
            _synapses(tally, part, seen, len(test)) for tally in tallies.values() for part in tally.synapses
        ),
        parts=price_parts([*described, *rest], constants), twin_parts=price_parts(twins, constants),
        totals=totals([*described, *rest], constants), twin=totals([*twins, *rest], constants),
        variant=totals(other, constants) if other else None, variant_parts=price_parts(other, constants),
        balance=balance(described, twins, _present_rate(tallies), constants), model=constants.as_dict(),
        shown=kept, tensors=tensors,
    )  # fmt: skip


def first_of_classes(test: EvaluationSet, count: int) -> list[int]:
    """Rows of the first clips of classes in their order: of an unseen class, of a seen one, and so on."""
    first: dict[int, int] = {}
    for row, label in enumerate(test.labels.tolist()):
        first.setdefault(label, row)
    unseen = [first[label] for label in sorted(first) if not bool(test.seen[label])]
    seen = [first[label] for label in sorted(first) if bool(test.seen[label])]
    turns = [row for turn in range(max(len(unseen), len(seen))) for row in (*unseen[turn:][:1], *seen[turn:][:1])]
    return turns[:count]


def _row(test: EvaluationSet, name: str) -> int:
    if name not in test.clip_names:
        raise DataError(f"the test set has no clip '{name}'{nearest_name(name, test.clip_names)}")
    return test.clip_names.index(name)


def _check_spikes(method: Method, test: EvaluationSet, device: torch.device) -> None:
    with torch.no_grad():
        if method.spike_layers(test.features.span(0, 1).clips().to(device)):
            return
    able = [name for name in METHODS.names() if METHODS.get(name).spike_layers is not Method.spike_layers]
    if type(method).spike_layers is not Method.spike_layers:
        raise ModelError(f"{method.title} was trained with settings that leave it without spiking neurons")
    raise ModelError(f"{method.title} has no spiking neurons that could be counted; {', '.join(able)} have")


def _layer(tally: LayerTally, seen: Tensor) -> LayerRates:
    counts = torch.histc(tally.neuron_rates, BINS, 0, 1)
    groups = {"all": torch.ones_like(seen), "seen": seen, "unseen": ~seen}
    return LayerRates(
        tally.name, tally.module, tally.modality, tally.neurons,
        {name: rates_of(tally.rates[rows]) for name, rows in groups.items()},
        silent=int((tally.fired == 0).sum()), saturated=int((tally.fired == tally.looks).sum()),
        histogram=tuple(int(count) for count in counts),
    )  # fmt: skip


def rates_of(rates: Tensor) -> Rates:
    """Mean and spread over clips of their rates [clips, T]."""
    if len(rates) == 0:
        return Rates(0, None, None, (), None)
    single = len(rates) == 1
    return Rates(
        len(rates),
        float(rates.mean()),
        None if single else float(rates.mean(1).std()),
        tuple(rates.mean(0).tolist()),
        None if single else tuple(rates.std(0).tolist()),
    )


def _synapses(tally: LayerTally, part: SynapseTally, seen: Tensor, clips: int) -> SynapseCount:
    counted = part.operations
    mean = float(counted.mean())
    closed, padded = part.closed_form, part.closed_form_padded
    return SynapseCount(
        tally.name, part.name,
        "floats" if not part.driven else "both" if part.passes else "spikes",
        part.weights, mean, float(counted.std()) if clips > 1 else None,
        float(counted[seen].mean()) if seen.any() else None, float(counted[~seen].mean()) if (~seen).any() else None,
        closed, _difference(closed, mean), padded, _difference(padded, mean),
        part.taps * part.passes / clips, part.dense,
    )  # fmt: skip


def _difference(closed: float, counted: float) -> float | None:
    return None if counted == 0 else closed / counted - 1


def _present_rate(tallies: Mapping[str, LayerTally]) -> float | None:
    """Share of the sources of spike-driven weights that fire at a step; None where no spike meets a weight."""
    parts = [part for tally in tallies.values() for part in tally.synapses if part.driven]
    places = sum(part.places for part in parts)
    return sum(part.arrived for part in parts) / places if places else None


def _traces(
    method: Method, test: EvaluationSet, rows: Sequence[int], device: torch.device
) -> tuple[tuple[ShownClip, ...], dict[str, Tensor]]:
    """Spikes of every layer, and thresholds and membranes where the method shows them."""
    shown, tensors = [], {}
    for number, row in enumerate(rows):
        label = int(test.labels[row])
        shown.append(ShownClip(number, test.clip_names[row], test.class_names[label], bool(test.seen[label])))
        clip = test.features.clips(torch.tensor([row], device=test.features.device)).to(device)
        traces = {(trace.modality, trace.block): trace for trace in method.spike_traces(clip)}
        for place, layer in enumerate(method.spike_layers(clip)):
            key = f"{number}.{place}"
            tensors[f"{key}.spikes"] = layer.spikes.flatten(1).to(torch.uint8).cpu()
            trace = None if layer.index is None else traces.get((layer.modality, layer.index))
            if trace is not None:
                tensors[f"{key}.threshold"] = trace.threshold.float().cpu()
                tensors[f"{key}.membrane"] = trace.membrane.float().cpu()
    return tuple(shown), tensors


def _float_modules(method: Method, test: EvaluationSet, spiking: set[str], device: torch.device) -> list[Effort]:
    """Efforts of the modules without spiking neurons, the mean over the clips; clips of equal lengths cost the same."""
    kinds = list(zip(_lengths(test, "audio"), _lengths(test, "visual"), strict=True))
    macs: dict[str, float] = {}
    classes = test.classes.to(device)
    with torch.no_grad():
        for kind in sorted(set(kinds)):
            row = torch.tensor([kinds.index(kind)], device=test.features.device)
            found = module_macs(method, test.features.clips(row).to(device), classes)
            for name, count in found.items():
                macs[name] = macs.get(name, 0.0) + count * kinds.count(kind) / len(kinds)
    sizes = module_parameters(method)
    return [module_effort(name, n, sizes.get(name, 0)) for name, n in macs.items() if n and name not in spiking]


def _lengths(test: EvaluationSet, modality: str) -> list[int]:
    table: Ragged | None = getattr(test.features, modality)
    if table is None:
        return [0] * len(test)
    return [1] * len(test) if table.offsets is None else table.offsets.diff().tolist()
