"""A survey of a small model, from the run folder to the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from avzsl.config import plain
from avzsl.data.splits import Benchmark, load_benchmark
from avzsl.errors import DataError, ModelError, SettingError
from avzsl.experiments.evaluate import open_with_test_set
from avzsl.experiments.spikes import SpikeSurvey, survey_spikes
from avzsl.experiments.spikes.balance import balance
from avzsl.experiments.spikes.survey import first_of_classes, rates_of
from avzsl.methods._base import Method
from avzsl.methods._checkpoint import ModelCard, save_model
from avzsl.methods._energy import Effort, EnergyModel
from avzsl.methods._spikes import module_macs
from avzsl.methods.avmst import Avmst, AvmstConfig
from avzsl.methods.mdft import Mdft, MdftConfig
from avzsl.methods.ridge import Ridge, RidgeConfig
from avzsl.methods.stft import Stft, StftConfig

SMALL = StftConfig(
    hidden=32, heads=2, head_width=8, attention_hidden=8, head_hidden=8, embedding=4, slots=1, time_steps=3, rank=4,
    largest_rank=4, threshold=0.4,
)  # fmt: skip
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A run folder with a model whose weights were only drawn."""

    def run(kind: type[Method], config: Any, benchmark: Benchmark) -> Path:
        torch.manual_seed(0)
        method = kind(config, benchmark.dimensions)
        trained = set(benchmark.training(2).class_names)
        card = ModelCard(
            method=method.name, config=plain(config), dimensions=benchmark.dimensions, classes=benchmark.classes,
            seen=tuple(n in trained for n in benchmark.classes.names), bias=0.4, extractor=benchmark.identity,
            fingerprint=benchmark.fingerprint, temporal=benchmark.temporal,
        )  # fmt: skip
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        save_model(folder, method, card)
        return folder

    return run


@pytest.fixture
def survey(make: Make, toy_benchmark: Path) -> SpikeSurvey:
    return survey_spikes(make(Stft, SMALL, load_benchmark(toy_benchmark)), toy_benchmark, device="cpu")


def test_rates_and_operations_are_those_of_all_test_clips(survey: SpikeSurvey, toy_benchmark: Path) -> None:
    method, _, _, test = open_with_test_set(survey.run, toy_benchmark, device=torch.device("cpu"))
    method.eval()
    with torch.no_grad():
        layers = method.spike_layers(test.features.clips())
    seen = test.seen[test.labels]
    assert survey.clips == {"all": len(test), "seen": int(seen.sum()), "unseen": int((~seen).sum())}
    assert [layer.name for layer in survey.layers] == [f"{m} block {k}" for m in ("audio", "visual") for k in (1, 2, 3)]
    for found, layer in zip(survey.layers, layers, strict=True):
        share = layer.spikes.double().mean(2).T  # [clips, T]
        for group, rows in (("all", seen | ~seen), ("seen", seen), ("unseen", ~seen)):
            rates = found.rates[group]
            assert rates.by_step == pytest.approx(share[rows].mean(0).tolist())
            assert rates.sd == pytest.approx(float(share[rows].mean(1).std()))
            assert rates.mean == pytest.approx(float(share[rows].mean()))
        assert found.silent == int((layer.spikes.sum((0, 1)) == 0).sum())
        assert sum(found.histogram) == found.neurons == layer.spikes.shape[2]
    parts = [part for layer in layers for part in layer.synapses]
    assert any(part.spikes is not None for part in parts)
    for counted, part in zip(survey.synapses, parts, strict=True):
        assert counted.operations == pytest.approx(float(part.operations().mean()))
        assert counted.unseen == pytest.approx(float(part.operations()[~seen].mean()))
        assert counted.arrives == ("floats" if part.spikes is None else "spikes")


def test_sums_of_parts_are_the_totals(survey: SpikeSurvey) -> None:
    assert survey.totals.arithmetic == pytest.approx(sum(part.arithmetic for part in survey.parts))
    assert survey.totals.memory == pytest.approx(sum(survey.totals.memory_by_kind.values()))
    shared = sum(part.arithmetic for part in survey.parts if part.kind == "float module")
    assert survey.twin.arithmetic == pytest.approx(shared + sum(part.arithmetic for part in survey.twin_parts))
    assert survey.variant is not None and survey.variant.arithmetic_by_kind["spikes"] == 0
    modules = {part.module for part in survey.parts}
    assert modules == {"spiking", "encoders", "latent", "attention", "fusion", "clip_head"}, "class texts cost no clip"
    assert {part.module for part in survey.parts if part.kind == "float module"} == modules - {"spiking"}
    multiplied = next(part for part in survey.parts if part.module == "encoders").counts["macs"]
    assert multiplied == 5 * 32 + 32 * 32 + 7 * 32 + 32 * 32


def test_the_record_survives_its_file(survey: SpikeSurvey, tmp_path: Path) -> None:
    path = survey.write(tmp_path / "out")
    record = json.loads(path.read_text())
    assert record == survey.as_dict() and "tensors" not in record
    stored = load_file(path.with_suffix(".safetensors"))
    assert stored["0.0.spikes"].shape == (3, 4 * 16)
    assert stored["0.0.membrane"].shape == stored["0.0.spikes"].shape and stored["0.0.threshold"].shape == (3, 4)
    crossed = stored["0.0.membrane"] >= stored["0.0.threshold"].repeat_interleave(16, 1)
    assert torch.equal(crossed, stored["0.0.spikes"].bool())


def test_clips_of_unseen_and_seen_classes_are_shown_in_turn(make: Make, toy_benchmark: Path) -> None:
    benchmark = load_benchmark(toy_benchmark)
    test = benchmark.evaluation(2)
    rows = first_of_classes(test, 3)
    assert [bool(test.seen[test.labels[row]]) for row in rows] == [False, True, False]
    assert all(int(test.labels[row]) not in test.labels[:row].tolist() for row in rows)
    run, name = make(Stft, SMALL, benchmark), test.clip_names[-1]
    (shown,) = survey_spikes(run, toy_benchmark, clips=[name], device="cpu").shown
    assert (shown.clip, shown.class_name) == (name, test.class_names[int(test.labels[-1])])
    assert survey_spikes(run, toy_benchmark, shown=0, device="cpu").tensors == {}


def test_what_cannot_be_counted_is_said(make: Make, toy_benchmark: Path) -> None:
    benchmark = load_benchmark(toy_benchmark)
    with pytest.raises(ModelError, match=r"no spiking neurons that could be counted; .*stft.* have"):
        survey_spikes(make(Ridge, RidgeConfig(), benchmark), toy_benchmark, device="cpu")
    with pytest.raises(ModelError, match="settings that leave it without"):
        survey_spikes(make(Stft, replace(SMALL, spiking="mlp"), benchmark), toy_benchmark, device="cpu")
    run = make(Stft, SMALL, benchmark)
    with pytest.raises(DataError, match="no clip 'nothing'"):
        survey_spikes(run, toy_benchmark, clips=["nothing"], device="cpu")
    with pytest.raises(SettingError, match="number format"):
        survey_spikes(run, toy_benchmark, precision="fp33", device="cpu")


def test_a_silent_network_is_counted(make: Make, toy_benchmark: Path) -> None:
    """A current stays below 1, so with a fixed threshold of 1 nothing ever fires."""
    config = replace(SMALL, threshold=1.0, dynamic_threshold=False)
    survey = survey_spikes(make(Stft, config, load_benchmark(toy_benchmark)), toy_benchmark, device="cpu")
    assert all(layer.silent == layer.neurons and layer.rates["all"].mean == 0 for layer in survey.layers)
    driven = [part for part in survey.synapses if part.arrives == "spikes"]
    assert driven and all(part.operations == part.closed_form == 0 and part.difference is None for part in driven)
    assert survey.totals.arithmetic_by_kind["spikes"] == survey.totals.memory_by_kind["spikes"] == 0
    assert survey.balance.rate == 0 and survey.balance.synapses.break_even is None


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Stft, SMALL), (Stft, replace(SMALL, reasoning="spiking_attention")), (Stft, replace(SMALL, paths="snn")),
        (Avmst, AvmstConfig(time_steps=3)), (Mdft, MdftConfig(hidden=16, heads=2, head_width=8, time_steps=3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("temporal", [False, True])
def test_every_spiking_method_can_be_surveyed(
    make: Make, tiny_benchmark: Any, kind: type[Method], config: Any, temporal: bool
) -> None:
    benchmark = tiny_benchmark.temporal if temporal else tiny_benchmark.benchmark
    survey = survey_spikes(make(kind, config, benchmark), tiny_benchmark.root, device="cpu")
    assert survey.clips["all"] == len(benchmark.evaluation(2))
    assert survey.totals.arithmetic > survey.totals.arithmetic_by_kind["spikes"]
    for part in survey.synapses:
        if part.arrives == "spikes" and part.weights and part.operations > 100:
            assert part.difference == pytest.approx(0, abs=0.02)
    assert json.dumps(survey.as_dict(), allow_nan=False)


def test_clips_of_different_lengths_are_counted_one_by_one(make: Make, tiny_benchmark: Any) -> None:
    run = make(Stft, SMALL, tiny_benchmark.temporal)
    survey = survey_spikes(run, tiny_benchmark.root, device="cpu")
    method, _, _, test = open_with_test_set(run, tiny_benchmark.root, device=torch.device("cpu"))
    method.eval()
    sums: dict[str, float] = {}
    with torch.no_grad():
        for row in range(len(test)):
            for name, macs in module_macs(method, test.features.clips(torch.tensor([row])), test.classes).items():
                sums[name] = sums.get(name, 0.0) + macs / len(test)
    found = {part.module: part.counts["macs"] for part in survey.parts if part.kind == "float module"}
    assert found == pytest.approx({name: sums[name] for name in found})
    assert found["attention"] % 1, "not all clips are of one length"


def test_spread_needs_two_clips() -> None:
    assert rates_of(torch.zeros(0, 2)).mean is None
    one = rates_of(torch.tensor([[0.5, 0.25]]))
    assert (one.mean, one.sd, one.sd_by_step, one.by_step) == (0.375, None, None, (0.5, 0.25))


def test_break_even_of_bare_weights_is_the_ratio_of_the_constants() -> None:
    """10 sources, 4 targets, 8 steps, one in five fires: 64 operations against 40 multiply-adds once."""
    mine = [Effort("net", "a", "linear", "spikes", adds=64)]
    twin = [Effort("net", "a", "linear", "floats", macs=40)]
    found = balance(mine, twin, 0.2, EnergyModel())
    assert found.synapses.spiking == pytest.approx(64 * 0.9) and found.synapses.twin == pytest.approx(40 * 4.6)
    assert found.synapses.break_even == pytest.approx(4.6 / (0.9 * 8))
    # upkeep worth half of the twin takes half of the way; twice the twin, and no rate is low enough
    upkeep = Effort("net", "a", "neurons", "upkeep", macs=20)
    assert balance([*mine, upkeep], twin, 0.2, EnergyModel()).arithmetic.break_even == pytest.approx(2.3 / (0.9 * 8))
    dear = Effort("net", "a", "neurons", "upkeep", special=16)
    balanced = balance([*mine, dear], twin, 0.2, EnergyModel())
    assert balanced.arithmetic.break_even is None
    assert balanced.plain.break_even == pytest.approx(4.6 / (0.9 * 8))


def test_memory_traffic_counts_in_its_own_column_alone() -> None:
    """Small memories, 5 pJ a number: a weight and a current there and back, against a weight and an input."""
    mine = Effort("net", "a", "linear", "spikes", adds=64, weight_reads=64, state_reads=64, state_writes=64)
    twin = Effort("net", "a", "linear", "floats", macs=40, weight_reads=40, value_reads=40)
    found = balance([mine], [twin], 0.2, EnergyModel())
    assert (found.arithmetic.spiking, found.arithmetic.twin) == (pytest.approx(64 * 0.9), pytest.approx(40 * 4.6))
    assert found.memory.spiking == pytest.approx(64 * (0.9 + 15)) and found.memory.driven == 1
    assert found.memory.twin == pytest.approx(40 * (4.6 + 10))
    assert found.memory.break_even == pytest.approx(0.2 * 40 * 14.6 / (64 * 15.9))
