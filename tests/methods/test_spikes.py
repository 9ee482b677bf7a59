"""Tallies against spikes made by hand, and the closed form against the count on full size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from avzsl.methods._energy import EnergyModel, total
from avzsl.methods._spikes import LayerTally, layer_efforts, module_macs, tally_layers, twin_efforts
from avzsl.methods.avmst import Avmst, AvmstConfig
from avzsl.methods.mdft import Mdft, MdftConfig
from avzsl.methods.stft import Stft, StftConfig
from avzsl.nn.spiking import SpikingConfig, SpikingEncoder
from avzsl.nn.spiking_layers import encoder_layers
from avzsl.nn.synapses import SpikeLayer, linear, norm
from avzsl.types import Clips, Dimensions

SMALL = StftConfig(
    hidden=32, heads=2, head_width=8, attention_hidden=8, head_hidden=8, embedding=4, slots=1, time_steps=3, rank=4,
    largest_rank=4,
)  # fmt: skip
SIZES = Dimensions(audio=10, visual=14, text=6)


def layer(spikes: Tensor, owner: Tensor | None = None, clips: int | None = None) -> SpikeLayer:
    B = len(spikes[0]) if clips is None else clips
    arriving = linear(
        torch.Size((5, spikes.shape[2])), spikes=spikes, passes=torch.zeros(B), twin=torch.ones(B), owner=owner
    )
    upkeep = norm(7 * torch.ones(B), 2 * torch.ones(B))
    return SpikeLayer("audio block 1", "net", "audio", spikes, (arriving,), (upkeep,), 0, owner)


def by_hand() -> Tensor:
    """2 steps, 3 clips, 4 neurons: the last neuron never fires, the first always."""
    spikes = torch.zeros(2, 3, 4, dtype=torch.bool)
    spikes[:, :, 0] = True
    spikes[0, 1, 1] = spikes[1, 2, 2] = spikes[1, 1, 1] = True
    return spikes


def test_rates_of_spikes_made_by_hand() -> None:
    spikes = by_hand()
    tallies: dict[str, LayerTally] = {}
    tally_layers(tallies, [layer(spikes[:, :2])], 2)
    tally_layers(tallies, [layer(spikes[:, 2:])], 1)
    (tally,) = tallies.values()
    assert tally.rates.tolist() == [[0.25, 0.25], [0.5, 0.5], [0.25, 0.5]]
    assert tally.neuron_rates.tolist() == pytest.approx([1, 2 / 6, 1 / 6, 0])
    assert (tally.fired == 0).tolist() == [False, False, False, True]
    assert (tally.fired == tally.looks).tolist() == [True, False, False, False]
    (part,) = tally.synapses
    assert part.operations.tolist() == [10, 20, 15]
    assert part.closed_form == pytest.approx(15) and part.dense == 2 * 4 * 5


def test_rates_of_tokens_are_means_over_those_of_a_clip() -> None:
    tally = LayerTally(layer(by_hand(), torch.tensor([0, 0, 1]), 2))
    tally.add(layer(by_hand(), torch.tensor([0, 0, 1]), 2), 2)
    assert tally.rates.tolist() == [[0.375, 0.375], [0.25, 0.5]]
    assert tally.synapses[0].operations.tolist() == [30, 15]


def test_efforts_are_means_over_clips() -> None:
    tally = LayerTally(layer(by_hand()))
    tally.add(layer(by_hand()), 3)
    driven, kept = layer_efforts(tally, 3)
    assert (driven.kind, driven.adds, driven.macs, driven.weight_reads, driven.value_reads) == ("spikes", 15, 0, 15, 3)
    assert (driven.state_reads, driven.state_writes, driven.weight_words, driven.state_words) == (15, 15, 20, 5)
    assert (kept.kind, kept.macs, kept.state_reads, kept.state_writes) == ("upkeep", 7, 7, 7)
    dense, other = twin_efforts(tally, 3)
    assert (dense.macs, dense.kind, dense.value_writes) == (20, "floats", 5) and other.macs == 2


def test_a_silent_layer_does_nothing_and_divides_by_nothing() -> None:
    silent = torch.zeros(2, 3, 4, dtype=torch.bool)
    tally = LayerTally(layer(silent))
    tally.add(layer(silent), 3)
    (part,) = tally.synapses
    assert part.operations.sum() == part.closed_form == part.closed_form_padded == part.arriving_rate == 0
    assert total(layer_efforts(tally, 3)[:1], EnergyModel()).both == 0
    assert tally.rates.abs().sum() == 0


def test_the_closed_form_agrees_with_the_count_on_full_size() -> None:
    """512 positions, 8 steps, as published: 1 % with and without the taps over padding, but more so without."""
    torch.manual_seed(0)
    encoder = SpikingEncoder(512, SpikingConfig()).eval()
    layers = encoder_layers(encoder, torch.randn(32, 1, 512), None, "audio", "spiking")
    tallies: dict[str, LayerTally] = {}
    tally_layers(tallies, layers, 32)
    for name, padding in (("audio block 2", 2 / 510), ("audio block 3", 2 / 254)):
        (part,) = tallies[name].synapses
        counted = float(part.operations.mean())
        assert counted > 10_000
        assert part.closed_form == pytest.approx(counted, rel=0.01)
        assert part.closed_form_padded == pytest.approx(counted, rel=0.01)
        assert part.closed_form_padded / part.closed_form - 1 == pytest.approx(padding)


CASES = {
    "stft": lambda: Stft(SMALL, SIZES),
    "full spike": lambda: Stft(StftConfig(**vars(SMALL) | {"reasoning": "spiking_attention"}), SIZES),
    "spiking path": lambda: Stft(StftConfig(**vars(SMALL) | {"paths": "snn"}), SIZES),
    "full spike, one path": lambda: Stft(
        StftConfig(**vars(SMALL) | {"paths": "snn", "reasoning": "spiking_attention"}), SIZES
    ),
    "audio": lambda: Stft(StftConfig(**vars(SMALL) | {"modality": "audio"}), SIZES),
    "avmst": lambda: Avmst(AvmstConfig(time_steps=3), SIZES),
    "quirks": lambda: Avmst(AvmstConfig(time_steps=3, visual_loop="audio"), Dimensions(10, 10, 6)),
    "mdft": lambda: Mdft(MdftConfig(hidden=16, heads=2, head_width=8, time_steps=3), SIZES),
}


def clips(sizes: Dimensions, count: int, segments: int) -> Clips:
    generator = torch.Generator().manual_seed(4)
    assert sizes.audio is not None and sizes.visual is not None
    audio, visual = (torch.randn(count, segments, n, generator=generator) for n in (sizes.audio, sizes.visual))
    return Clips(audio, visual)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("segments", [1, 2, 5])
def test_layers_hold_all_products_of_their_modules_and_the_spikes_of_the_traces(name: str, segments: int) -> None:
    torch.manual_seed(1)
    method = CASES[name]().eval()
    some = clips(method.dimensions, 1, segments)
    with torch.no_grad():
        layers = method.spike_layers(some)
        macs = module_macs(method, some, torch.randn(4, method.dimensions.text))
        traces = {(trace.modality, trace.block): trace for trace in method.spike_traces(some)}
    described: dict[str, float] = {}
    for found in layers:
        for part in found.synapses:
            rows = 0 if part.spikes is None else part.spikes.shape[0] * part.spikes.shape[1]
            # a machine that multiplies zeros, too; one pass or T where a clip of one segment has no events
            dense = part.nominal * (int(part.passes.sum()) or rows)
            described[found.module] = described.get(found.module, 0) + dense
    assert described == {module: macs[module] for module in described}
    shown = [found for found in layers if found.index is not None]
    assert len(shown) == len(traces)
    for found in shown:
        assert found.index is not None
        assert torch.equal(found.spikes[:, 0], traces[found.modality, found.index].spikes)


@pytest.mark.parametrize("name", ["stft", "full spike", "mdft", "avmst"])
def test_a_clip_costs_the_same_alone_and_in_a_block(name: str) -> None:
    torch.manual_seed(2)
    method = CASES[name]().eval()
    some = clips(method.dimensions, 4, 1 if name == "avmst" else 3)
    with torch.no_grad():
        together = method.spike_layers(some)
        for row in range(4):
            alone = method.spike_layers(some.rows(torch.tensor([row])))
            for one, all_ in zip(alone, together, strict=True):
                for mine, theirs in zip(one.synapses, all_.synapses, strict=True):
                    assert mine.operations().tolist() == [float(theirs.operations()[row])]
                    assert int(mine.passes[0]) == int(theirs.passes[row])
                for kept, other in zip(one.upkeep, all_.upkeep, strict=True):
                    assert int(kept.values[0]) == int(other.values[row])


def test_events_of_frames_arrive_as_spikes() -> None:
    method = Mdft(MdftConfig(hidden=16, heads=2, head_width=8, time_steps=3, events="frames"), SIZES).eval()
    some = replace(clips(SIZES, 2, 1), events=(torch.rand(2, 3, 2, 8, 8) < 0.2).float())
    with torch.no_grad():
        layers = {layer.name: layer.synapses[0] for layer in method.spike_layers(some)}
    assert layers["audio motion 1"].spikes is None and layers["audio motion 1"].passes.tolist() == [3, 3]
    assert layers["visual motion 1"].passes.tolist() == [0, 0]
    assert all(float(count) > 0 for count in layers["visual motion 1"].operations())


def test_the_variant_without_spikes_has_none() -> None:
    method = Stft(StftConfig(**vars(SMALL) | {"rank": "adaptive", "reasoning": "spiking_attention"}), SIZES)
    variant = method.without_spikes()
    assert variant is not None
    assert (variant.config.spiking, variant.config.reasoning, variant.config.rank) == ("mlp", "transformer", 4)
    assert variant.eval().spike_layers(clips(SIZES, 2, 1)) == () and variant.without_spikes() is None
    assert Avmst(AvmstConfig(), SIZES).without_spikes() is None
