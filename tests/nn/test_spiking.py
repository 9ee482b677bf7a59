from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from avzsl.nn.spiking import BLOCKS, SpikingConfig, SpikingEncoder, SpikingOutput

SMALL = SpikingConfig(positions=64)


def _encoder(dimension: int, config: SpikingConfig = SMALL, dtype: torch.dtype = torch.float32) -> SpikingEncoder:
    torch.manual_seed(0)
    return SpikingEncoder(dimension, config).to(dtype)


def _features(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _by_hand(encoder: SpikingEncoder, features: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The whole network for L = 1 with every step computed, in plain operations that share nothing with the package."""
    config = encoder.config
    values = features[:, 0].expand(config.time_steps, -1, -1).unsqueeze(2)  # [T, B, 1, d]
    rates = []
    for block in encoder.blocks:
        flat = nn.functional.conv1d(values.flatten(0, 1), block.weight, stride=2, padding=1)
        mean, variance = flat.mean(dim=(0, 2), keepdim=True), flat.var(dim=(0, 2), keepdim=True, correction=0)
        flat = (flat - mean) / (variance + 1e-5).sqrt() * block.norm.weight[:, None] + block.norm.bias[:, None]
        current = flat.unflatten(0, values.shape[:2])
        beta = block.pooling.beta_logit.sigmoid()
        largest, average = current.max(-1, keepdim=True).values, current.mean(-1, keepdim=True)
        pool = (largest + average) / 2 + beta * largest + (1 - beta) * average
        current = (pool * current + current).sigmoid()
        level = torch.full_like(pool[0], config.threshold)
        membrane, steps = torch.zeros_like(current[0]), []
        for now, factor in zip(current, pool.sigmoid(), strict=True):
            charged = membrane + (now - membrane) / config.tau
            fired = (charged >= level).to(charged.dtype)
            membrane = torch.where(fired > 0, torch.zeros_like(charged), charged)
            count = fired.sum(dim=(1, 2), keepdim=True).clamp(min=1)
            level = ((factor + count.log() / math.log(fired[0].numel())) * level).clamp(
                config.threshold / 4, config.threshold * 4
            )
            steps.append(fired)
        values = torch.stack(steps)
        rates.append(values.mean(dim=(1, 2, 3)))
    return values.flatten(2).transpose(0, 1), rates


def test_training_forward_is_the_network_written_out_by_hand() -> None:
    encoder, features = _encoder(64, dtype=torch.float64), _features(5, 1, 64, dtype=torch.float64)
    spikes, rates = _by_hand(encoder, features)
    out = encoder(features)
    assert torch.equal(out.spikes, spikes)
    assert all(torch.allclose(a, b) for a, b in zip(out.rates, rates, strict=True))
    share = torch.softmax(spikes, dim=1).amax(dim=2)
    assert torch.allclose(out.weights, share)
    assert torch.allclose(out.summary, (share[:, :, None] * spikes).sum(dim=1))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 4),
    segments=st.integers(1, 6),
    time_steps=st.integers(1, 6),
    dimension=st.sampled_from([16, 24]),
    masked=st.booleans(),
    training=st.booleans(),
    switches=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    sign=st.sampled_from(["text", "printed"]),
    seed=st.integers(0, 10_000),
)
def test_fast_encoder_has_the_spikes_and_gradients_of_the_plain_one(
    rows: int,
    segments: int,
    time_steps: int,
    dimension: int,
    masked: bool,
    training: bool,
    switches: tuple[bool, bool, bool],
    sign: str,
    seed: int,
) -> None:
    pooling, dynamic, factor = switches
    config = SpikingConfig(
        time_steps, pooling=pooling, dynamic_threshold=dynamic, threshold_sign=sign, time_step_factor=factor,  # type: ignore[arg-type]
        positions=16, channels=4,
    )  # fmt: skip
    features = _features(rows, segments, dimension, seed=seed, dtype=torch.float64).requires_grad_()
    mask = torch.rand(rows, segments, generator=torch.Generator().manual_seed(seed)) < 0.6 if masked else None
    results = []
    for fast in (False, True):
        encoder = _encoder(dimension, dataclasses.replace(config, fast=fast), torch.float64).train(training)
        out = encoder(features, mask)
        loss = (out.spikes * _features(*out.spikes.shape, seed=2)).sum() + out.summary.square().sum()
        found = torch.autograd.grad(loss, [features, *encoder.parameters()], materialize_grads=True)
        results.append((out, found))
    (plain, plain_gradients), (fast_out, fast_gradients) = results
    assert torch.equal(plain.spikes, fast_out.spikes)
    assert torch.allclose(plain.summary, fast_out.summary)
    # a batch norm over two rows enlarges roundings a thousandfold: measured against the largest gradient of all
    largest = max(1.0, *(float(theirs.abs().max()) for theirs in plain_gradients))
    for ours, theirs in zip(plain_gradients, fast_gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-9 * largest)


def test_fast_encoder_agrees_in_single_precision() -> None:
    features = _features(32, 1, 64)
    gradients = []
    for fast in (False, True):
        encoder = _encoder(64, dataclasses.replace(SMALL, fast=fast))
        out = encoder(features)
        loss = (out.spikes * _features(*out.spikes.shape, seed=2)).mean() + out.summary.square().mean()
        gradients.append((out.spikes, *torch.autograd.grad(loss, encoder.parameters())))
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert all((a - b).abs().max() <= 1e-5 for a, b in zip(gradients[0][1:], gradients[1][1:], strict=True))


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_computing_each_segment_once_changes_nothing(segments: int) -> None:
    features = _features(6, segments, 40, dtype=torch.float64)
    copies = features.repeat_interleave(8 // segments, dim=1)
    results = []
    for values in (features, copies):
        encoder = _encoder(40, dtype=torch.float64)
        out = encoder(values)
        loss = out.summary.square().sum()
        results.append((encoder, out, torch.autograd.grad(loss, encoder.parameters())))
    (once, out, gradients), (naive, naive_out, naive_gradients) = results
    assert torch.equal(out.spikes, naive_out.spikes)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(gradients, naive_gradients, strict=True))
    # the running variances differ by the factor n / (n - 1) alone, where n counts distinct values
    norm, other = once.blocks[0].norm, naive.blocks[0].norm
    n, copied = 6 * segments * 32, 6 * 8 * 32
    assert torch.allclose(norm.running_mean, other.running_mean)
    biased = (norm.running_var - 0.9) * (n - 1) / n
    assert torch.allclose(biased, (other.running_var - 0.9) * (copied - 1) / copied)
    assert norm.num_batches_tracked == other.num_batches_tracked == 1


def test_step_t_sees_segment_floor_of_t_l_over_t() -> None:
    features = _features(3, 3, 64)
    chosen = features[:, [0, 0, 0, 1, 1, 1, 2, 2]]  # floor(3 t / 8)
    for training in (False, True):
        assert torch.equal(_encoder(64).train(training)(features).spikes, _encoder(64).train(training)(chosen).spikes)
    many = _features(3, 20, 64)
    assert torch.equal(_encoder(64)(many).spikes, _encoder(64)(many[:, [0, 2, 5, 7, 10, 12, 15, 17]]).spikes)


def test_features_of_another_width_are_mapped_and_normalised_over_the_batch() -> None:
    features = _features(6, 2, 40, dtype=torch.float64)
    encoder, bare = _encoder(40, dtype=torch.float64), _encoder(64, dtype=torch.float64)
    for block, other in zip(encoder.blocks, bare.blocks, strict=True):
        other.load_state_dict(block.state_dict())
    rows = features.flatten(0, 1) @ encoder.map.weight.T
    normed = (rows - rows.mean(0)) / (rows.var(0, correction=0) + encoder.map_norm.eps).sqrt()
    assert torch.equal(encoder(features).spikes, bare(normed.unflatten(0, (6, 2))).spikes)
    assert torch.allclose(encoder.map_norm.running_mean, 0.1 * rows.mean(0))


def test_masked_segments_are_never_seen() -> None:
    encoder = _encoder(64).eval()
    features = _features(4, 5, 64)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()
    out = encoder(features, mask)
    for row, keep in enumerate(([0, 1, 2, 3, 4], [0, 1], [1, 3, 4], [0])):
        assert torch.equal(out.spikes[row], encoder(features[row : row + 1, keep]).spikes[0])
    poisoned = features.clone()
    poisoned[:3][~mask[:3]] = float("nan")
    assert torch.equal(encoder(poisoned, mask).spikes, out.spikes)


def test_sizes_of_the_default_network() -> None:
    encoder = _encoder(512, SpikingConfig())
    out = encoder(_features(2, 1, 512))
    assert encoder.width == 512
    assert out.summary.shape == (2, 512)
    assert out.spikes.shape == (2, 8, 512)
    assert out.weights.shape == (2, 8)
    assert [rate.shape for rate in out.rates] == [(8,)] * BLOCKS
    assert sum(p.numel() for p in encoder.parameters()) < 1000


@pytest.mark.parametrize(("positions", "channels", "width"), [(128, 8, 128), (64, 4, 32), (16, 2, 4)])
def test_small_networks_have_the_width_they_say(positions: int, channels: int, width: int) -> None:
    encoder = _encoder(40, SpikingConfig(positions=positions, channels=channels))
    assert encoder.width == encoder(_features(3, 2, 40)).summary.shape[1] == width


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("kind", ["normal", "rectified", "unit length"])
def test_every_block_is_alive_at_the_start_and_spikes_are_bits(kind: str, dynamic: bool) -> None:
    features = _features(64, 1, 512)
    if kind == "rectified":
        features = features.relu()
    if kind == "unit length":
        features = nn.functional.normalize(features.abs(), dim=-1)
    out = _encoder(512, SpikingConfig(dynamic_threshold=dynamic))(features)
    assert all(0.05 < rate.mean() < 0.45 for rate in out.rates), [r.mean() for r in out.rates]
    assert torch.all((out.spikes == 0) | (out.spikes == 1))
    assert out.spikes.flatten(0, 1).any(dim=0).float().mean() > 0.9  # few neurons never fire


@pytest.mark.parametrize("dimension", [64, 40])
def test_gradients_reach_every_parameter_and_the_features(dimension: int) -> None:
    encoder, features = _encoder(dimension), _features(8, 3, dimension).requires_grad_()
    (encoder(features).summary * _features(8, 64, seed=3)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    assert (features.grad.abs().sum(dim=2) > 0).all()


def test_rate_falls_when_the_fixed_threshold_rises() -> None:
    rates = [
        _encoder(64, dataclasses.replace(SMALL, dynamic_threshold=False, threshold=level))(_features(16, 1, 64))
        .rates[0].mean().item()
        for level in (0.2, 0.4, 0.6, 0.8)
    ]  # fmt: skip
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1] + 0.1


def test_nothing_is_remembered_and_the_split_of_a_batch_is_free() -> None:
    encoder, features = _encoder(64).eval(), _features(7, 2, 64)
    whole = encoder(features)
    assert torch.equal(encoder(features).spikes, whole.spikes)
    parts = [encoder(part) for part in features.split(3)]
    assert torch.equal(torch.cat([part.spikes for part in parts]), whole.spikes)
    assert torch.allclose(torch.cat([part.summary for part in parts]), whole.summary)


def test_mean_over_time_without_the_time_step_factor() -> None:
    out = _encoder(64, dataclasses.replace(SMALL, time_step_factor=False))(_features(3, 1, 64))
    assert torch.equal(out.weights, torch.full((3, 8), 1 / 8))
    assert torch.allclose(out.summary, out.spikes.mean(dim=1))


@pytest.mark.parametrize("dimension", [64, 40])
def test_one_clip_can_be_trained_on(dimension: int) -> None:
    encoder = _encoder(dimension)
    encoder(_features(1, 1, dimension)).summary.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
    assert encoder.training and all(m.training for m in encoder.modules())


def test_a_silent_network_has_finite_gradients() -> None:
    encoder = _encoder(64, dataclasses.replace(SMALL, threshold=5.0, threshold_clamp=1.0))
    out = encoder(_features(4, 1, 64))
    assert out.spikes.sum() == 0
    out.summary.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_trace_is_the_first_clip_in_eval_mode_and_changes_nothing() -> None:
    encoder, features = _encoder(40), _features(4, 3, 40)
    encoder(features)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    traces = encoder.trace(features)
    assert encoder.training
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert [t.spikes.shape for t in traces] == [(8, 4 * 32), (8, 8 * 16), (8, 8 * 8)]
    assert [t.threshold.shape for t in traces] == [(8, 4), (8, 8), (8, 8)]
    out: SpikingOutput = encoder.eval()(features)
    assert torch.equal(traces[-1].spikes.float(), out.spikes[0])
    for trace, channels in zip(traces, (4, 8, 8), strict=True):
        against = trace.threshold.repeat_interleave(trace.spikes.shape[1] // channels, dim=1)
        assert torch.equal(trace.spikes, trace.membrane >= against)


def test_impossible_settings_are_refused() -> None:
    for wrong, message in (
        ({"time_steps": 0}, "time_steps"),
        ({"positions": 100}, "positions"),
        ({"channels": 1}, "channels"),
        ({"tau": 0.0}, "tau"),
        ({"threshold": -1.0}, "positive"),
    ):
        with pytest.raises(ValueError, match=message):
            SpikingConfig(**wrong)
    with pytest.raises(ValueError, match=r"\[B, L, d\]"):
        _encoder(64)(torch.zeros(3, 64))
