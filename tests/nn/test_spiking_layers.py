"""Descriptions of the spiking networks against their forward passes, plain loops and torch's operation counter."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from avzsl.methods._profile import count_flops
from avzsl.nn.integrate import SpikingBranch
from avzsl.nn.lif import LifParameters
from avzsl.nn.motion import ConvolutionalMotion, MotionLayer
from avzsl.nn.spikformer import SpikingReasoningBlock
from avzsl.nn.spiking import SpikingConfig, SpikingEncoder
from avzsl.nn.spiking_layers import branch_layers, encoder_layers, motion_layers, reasoning_layers, recorded_inputs
from avzsl.nn.synapses import SpikeLayer

SMALL = SpikingConfig(time_steps=4, channels=4, positions=16, threshold=0.4)


def encoder(width: int = 16, config: SpikingConfig = SMALL) -> SpikingEncoder:
    torch.manual_seed(3)
    return SpikingEncoder(width, config).eval()


def computed(layers: list[SpikeLayer]) -> int:
    """Multiply-adds of a machine that does not know zeros: what torch's counter counts."""
    whole = 0
    for part in (part for layer in layers for part in layer.synapses):
        rows = 0 if part.spikes is None else part.spikes.shape[0] * part.spikes.shape[1]
        whole += part.nominal * (int(part.passes.sum()) + rows)
    return whole


def counted(module: nn.Module, *inputs: object) -> int:
    with torch.no_grad():
        counts, _ = count_flops(module, lambda: module(*inputs))
    return sum(counts.values()) // 2


def brute_blocks(spikes: Tensor, weight: Tensor) -> Tensor:
    """Kernel 4, stride 2, padding 1: every weight of every spike, [B]."""
    T, B, N = spikes.shape
    outputs, inputs, _ = weight.shape
    positions = N // inputs
    counts = torch.zeros(B, dtype=torch.float64)
    for t, b, c, p in product(range(T), range(B), range(inputs), range(positions)):
        if spikes[t, b, c * positions + p]:
            for _ in range(outputs):
                for tap in range(4):
                    doubled = p + 1 - tap
                    counts[b] += doubled % 2 == 0 and 0 <= doubled // 2 < positions // 2
    return counts


def test_operations_of_the_encoder_are_those_of_every_spike_and_every_weight() -> None:
    network = encoder()
    features = torch.randn(3, 1, 16, generator=torch.Generator().manual_seed(0))
    first, second, third = encoder_layers(network, features, None, "audio", "spiking")
    assert torch.equal(third.spikes.transpose(0, 1), network(features).spikes.bool())
    for before, layer, block in ((first, second, 1), (second, third, 2)):
        (part,) = layer.synapses
        assert before.spikes.any()
        assert torch.equal(part.operations(), brute_blocks(before.spikes, network.blocks[block].weight))
    assert first.synapses[0].spikes is None and first.synapses[0].operations().sum() == 0
    assert [layer.name for layer in (first, second, third)] == ["audio block 1", "audio block 2", "audio block 3"]


@pytest.mark.parametrize("width", [16, 10])
@pytest.mark.parametrize("segments", [1, 3, 9])
def test_dense_products_of_the_encoder_are_those_that_torch_counts(width: int, segments: int) -> None:
    network = encoder(width)
    features = torch.randn(2, segments, width, generator=torch.Generator().manual_seed(1))
    layers = encoder_layers(network, features, None, "audio", "spiking")
    assert computed(layers) == counted(network, features)
    assert layers[0].synapses[-1].passes.tolist() == [min(segments, 4)] * 2
    assert (layers[0].synapses[0].name == "map") == (width != 16)


def test_padding_makes_no_distinct_segments() -> None:
    features = torch.randn(3, 6, 16, generator=torch.Generator().manual_seed(2))
    mask = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    layers = encoder_layers(encoder(), features, mask, "visual", "spiking")
    assert layers[0].synapses[0].passes.tolist() == [1, 3, 4]
    assert layers[1].synapses[0].twin.tolist() == [1, 3, 4]
    upkeep = {part.name: part for part in layers[0].upkeep}
    neurons = layers[0].spikes.shape[2]
    assert upkeep["norm"].values.tolist() == [neurons, 3 * neurons, 4 * neurons]
    assert upkeep["neurons"].values.tolist() == [4 * neurons] * 3
    assert upkeep["neurons"].twin.tolist() == [0, 0, 0]


def test_parts_that_are_switched_off_cost_nothing() -> None:
    bare = SpikingConfig(
        time_steps=4, channels=4, positions=16, pooling=False, dynamic_threshold=False, time_step_factor=False
    )
    layers = encoder_layers(encoder(config=bare), torch.randn(1, 1, 16), None, "audio", "spiking")
    assert [part.name for part in layers[0].upkeep] == ["norm", "gate", "neurons"]
    assert [part.name for part in layers[2].upkeep] == ["norm", "gate", "neurons", "mean over time"]
    assert layers[0].upkeep[1].macs == 0


def attention(scale: float | None = None) -> SpikingReasoningBlock:
    torch.manual_seed(5)
    return SpikingReasoningBlock(8, 2, 6, 3, scale).eval()


def test_the_attention_is_described_as_it_runs() -> None:
    block = attention()
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]], dtype=torch.bool)
    with recorded_inputs(block) as calls, torch.no_grad():
        block.over_segments(4 * torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(6)), mask)
    ((rows, seen),) = calls
    layers = {layer.name: layer for layer in reasoning_layers(block, rows, seen, "audio", "attention")}
    assert list(layers) == [f"audio {n}" for n in ("query", "key", "value", "attended", "output", "first", "second")]
    products = {part.name: part for part in layers["audio attended"].synapses}
    query, key, value = (layers[f"audio {name}"].spikes for name in ("query", "key", "value"))
    assert key.any() and value.any() and query.any()
    meetings, sums = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    owner = [0, 0, 1, 1, 1]
    for t, r, head in product(range(3), range(5), range(2)):
        for i in range(4):
            sums[owner[r]] += 4 * int(query[t, r, 4 * head + i])
            for j in range(4):
                meetings[owner[r]] += bool(key[t, r, 4 * head + i]) and bool(value[t, r, 4 * head + j])
    assert torch.equal(products["keys by values"].operations(), meetings)
    assert torch.equal(products["queries by sums"].operations(), sums)
    attended = layers["audio attended"].spikes
    by_hand = torch.stack([8.0 * attended[:, :2].sum(), 8.0 * attended[:, 2:].sum()]).double()
    assert torch.equal(layers["audio output"].synapses[0].operations(), by_hand)
    # queries, keys and values once for each token; the MLP's first layer sees floats at every step
    assert layers["audio query"].synapses[0].passes.tolist() == [2, 3]
    assert layers["audio first"].synapses[0].passes.tolist() == [6, 9]


def test_dense_products_of_the_attention_are_those_that_torch_counts() -> None:
    block = attention(0.125)
    rows, mask = torch.randn(1, 6, 8), torch.ones(2, 3, dtype=torch.bool)
    assert computed(reasoning_layers(block, rows, mask, "both", "attention")) == counted(block, rows, mask)


def test_a_branch_in_two_parts_multiplies_its_features_twice() -> None:
    torch.manual_seed(7)
    branch = SpikingBranch(5, 4, 3)
    rows = 3 * torch.randn(2, 5)
    runs = [branch(rows, 1), branch(rows, 3)]
    first, second = branch_layers(branch, runs, "visual", "spiking", governed=False)
    assert first.spikes.shape == (4, 2, 4) and second.spikes.shape == (4, 2, 3)
    assert first.synapses[0].passes.tolist() == [2, 2] and first.synapses[0].twin.tolist() == [1, 1]
    assert torch.equal(second.synapses[0].operations(), 3.0 * first.spikes.sum((0, 2)).double())
    assert computed([first, second]) == counted(branch, rows, 1) + counted(branch, rows, 3)


def motion(stream: MotionLayer | ConvolutionalMotion, inputs: Tensor, floats: Tensor, steps: int) -> list[SpikeLayer]:
    with torch.no_grad():
        run = stream(inputs, torch.full((steps, inputs.shape[1], 1), 0.3))
    return motion_layers(stream, run, inputs, floats, "visual", "visual_motion", governed=True)


def test_events_are_spikes_and_what_stands_for_them_is_not() -> None:
    torch.manual_seed(8)
    stream = MotionLayer(6, 4, LifParameters()).eval()
    events = (torch.rand(3, 2, 6) < 0.4).float()
    events[:, 1] = torch.rand(3, 6)  # a clip of one segment
    (layer,) = motion(stream, events, torch.tensor([False, True]), 3)
    (part,) = layer.synapses
    assert part.operations().tolist() == [4 * float(events[:, 0].sum()), 0]
    assert part.passes.tolist() == [0, 3]


def test_events_of_frames_drive_the_convolutions() -> None:
    torch.manual_seed(9)
    stream = ConvolutionalMotion(5, LifParameters()).eval()
    events = (torch.rand(2, 2, 2, 9, 8) < 0.3).float()
    layers = motion(stream, events, torch.tensor([False, False]), 2)
    assert [layer.name for layer in layers] == [f"visual motion {k}" for k in (1, 2, 3, 4)]
    assert layers[3].synapses[0].spikes is None, "means over positions are no spikes"
    assert computed(layers) == counted(stream, events, torch.full((2, 2, 1), 0.3))
    unit = nn.Conv2d(2, 32, 3, stride=2, padding=1, bias=False).double()
    nn.init.ones_(unit.weight)
    with torch.no_grad():
        reached = unit(events.flatten(0, 1).double()).flatten(1).sum(1).view(2, 2).sum(0)
    assert torch.equal(layers[0].synapses[0].operations(), reached)
