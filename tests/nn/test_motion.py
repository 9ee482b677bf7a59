"""Motion streams against loops over time steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avzsl.nn.lif import LifParameters
from avzsl.nn.motion import ConvolutionalMotion, MotionLayer, sound_changes


def _leaky(current: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and potentials before the reset, τ = 2, step by step; thresholds broadcast against a step."""
    v = torch.zeros_like(current[0])
    spikes, charged = [], []
    for now, threshold in zip(current, thresholds, strict=True):
        u = v + (now - v) / 2
        s = (u >= threshold).to(u.dtype)
        v = u * (1 - s)
        spikes.append(s)
        charged.append(u)
    return torch.stack(spikes), torch.stack(charged)


def _norm(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Batch norm in training mode before scale and shift."""
    mean = values.mean(axes, keepdim=True)
    return (values - mean) / (values.var(axes, unbiased=False, keepdim=True) + 1e-5).sqrt()


def _strengthen(norm: nn.Module) -> None:
    nn.init.constant_(norm.weight, 2.0)  # type: ignore[arg-type]
    nn.init.constant_(norm.bias, 0.5)  # type: ignore[arg-type]


def test_a_layer_is_linear_norm_and_neurons() -> None:
    torch.manual_seed(0)
    layer = MotionLayer(5, 7).double()
    _strengthen(layer.norm)
    rows, thresholds = torch.randn(4, 3, 5).double(), 0.6 + torch.rand(4, 3, 1).double()
    run = layer(rows, thresholds)
    current = 2 * _norm(rows @ layer.linear.weight.T, (0, 1)) + 0.5
    spikes, charged = _leaky(current, thresholds)
    assert torch.equal(run.layers[0].spikes, spikes)
    assert torch.allclose(run.layers[0].charged, charged)
    assert torch.allclose(run.summary, spikes.mean(0))
    assert 0.1 < spikes.mean() < 0.9


def test_one_distinct_input_is_seen_at_every_step() -> None:
    torch.manual_seed(0)
    layer = MotionLayer(5, 7).double()
    _strengthen(layer.norm)
    rows, thresholds = torch.randn(1, 3, 5).double(), 0.6 + torch.rand(4, 3, 1).double()
    once, repeated = layer(rows, thresholds), layer(rows.expand(4, -1, -1), thresholds)
    assert torch.equal(once.layers[0].spikes, repeated.layers[0].spikes)
    assert once.layers[0].spikes.shape == (4, 3, 7)


def test_time_constant_of_the_settings_is_used() -> None:
    torch.manual_seed(0)
    rows, thresholds = torch.randn(4, 3, 5), torch.ones(4, 3, 1)
    runs = []
    for tau in (2.0, 8.0):
        torch.manual_seed(1)
        runs.append(MotionLayer(5, 7, LifParameters(tau=tau, surrogate="sigmoid"))(rows, thresholds).layers[0].charged)
    assert torch.allclose(runs[0][0], 4 * runs[1][0], atol=1e-6)  # the first charge is I / τ


def test_the_convolutional_stream_is_three_blocks_and_a_layer() -> None:
    torch.manual_seed(0)
    stream = ConvolutionalMotion(6).double()
    for norm in (*stream.norms, stream.last.norm):
        _strengthen(norm)
    events = (torch.rand(3, 2, 2, 16, 12) < 0.4).double()
    thresholds = 0.6 + torch.rand(3, 2, 1).double()
    run = stream(events, thresholds)
    values = events
    for k, convolution in enumerate(stream.convolutions):
        maps = torch.stack([nn.functional.conv2d(step, convolution.weight, stride=2, padding=1) for step in values])
        values, _ = _leaky(2 * _norm(maps, (0, 1, 3, 4)) + 0.5, thresholds[..., None, None])
        assert torch.equal(run.layers[k].spikes, values)
    assert values.shape == (3, 2, 128, 2, 2)
    rows = values.mean((3, 4)) @ stream.last.linear.weight.T
    last, _ = _leaky(2 * _norm(rows, (0, 1)) + 0.5, thresholds)
    assert torch.equal(run.layers[3].spikes, last)
    assert torch.allclose(run.summary, last.mean(0))


def test_sizes_of_the_streams() -> None:
    assert sum(p.numel() for p in ConvolutionalMotion(512).parameters()) == 159_744
    assert sum(p.numel() for p in MotionLayer(512, 512).parameters()) == 263_168


def test_gradients_reach_every_weight_and_the_thresholds() -> None:
    torch.manual_seed(0)
    stream = ConvolutionalMotion(6)
    for norm in (*stream.norms, stream.last.norm):
        _strengthen(norm)
    thresholds = torch.ones(3, 4, 1, requires_grad=True)
    summary = stream((torch.rand(3, 4, 2, 16, 12) < 0.4).float(), thresholds).summary
    (summary * torch.randn(4, 6)).sum().backward()
    assert thresholds.grad is not None and thresholds.grad.abs().min() > 0
    for name, parameter in stream.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-6, name


def test_sound_is_compared_with_its_past_or_with_what_is_known() -> None:
    steps = torch.tensor([[[1.0], [5.0]], [[4.0], [5.0]], [[4.0], [5.0]]])
    knowledge = torch.tensor([[[0.0], [0.0]], [[0.5], [0.25]], [[0.75], [0.5]]])
    found = sound_changes(steps, knowledge, torch.tensor([False, True]))
    assert found[:, 0].flatten().tolist() == [0, 3, 0]
    assert found[:, 1].flatten().tolist() == [5, 4.75, 4.5]
    alone = sound_changes(steps[:1, 1:], knowledge[:, 1:], torch.tensor([True]))
    assert alone.flatten().tolist() == [5, 4.75, 4.5]
