"""Encoder, generator and critic against layers written out, and the sizes of the published model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.nn.generative import Critic, FeatureEncoder, FeatureGenerator


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(("width", "sizes"), [
    (1024, (578_100, 833_024, 678_913, 525_313)),
    (4224, (1_538_100, 2_474_624, 2_317_313, 2_163_713)),
])  # fmt: skip
def test_parameters_are_those_of_the_published_model(width: int, sizes: tuple[int, ...]) -> None:
    parts = (
        FeatureEncoder(width, 300, 300, 300), FeatureGenerator(width, 300, 512, 300),
        Critic(width, 300, 512), Critic(width, 0, 512),
    )  # fmt: skip
    assert tuple(map(count, parts)) == sizes


def row_times(layer: nn.Linear, row: list[float]) -> list[float]:
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * x for w, x in zip(line, row, strict=True)) + b for line, b in zip(weight, bias, strict=True)]


@pytest.fixture
def rows() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(3, 5), torch.randn(3, 4), torch.randn(3, 2)


def test_encoder_is_two_heads_on_one_hidden_layer(rows: tuple[Tensor, Tensor, Tensor]) -> None:
    features, words, _ = rows
    encoder = FeatureEncoder(5, 4, 6, 2)
    mean, log_variance = encoder(features, words)
    for n in range(3):
        hidden = [max(0.0, h) for h in row_times(encoder.hidden, features[n].tolist() + words[n].tolist())]
        assert mean[n].tolist() == pytest.approx(row_times(encoder.mean, hidden), abs=1e-5)
        assert log_variance[n].tolist() == pytest.approx(row_times(encoder.log_variance, hidden), abs=1e-5)


def test_generator_takes_noise_then_words_and_stays_between_0_and_1(rows: tuple[Tensor, Tensor, Tensor]) -> None:
    _, words, noise = rows
    generator = FeatureGenerator(5, 4, 6, 2)
    made = generator(noise, words)
    for n in range(3):
        hidden = [max(0.0, h) for h in row_times(generator.hidden, noise[n].tolist() + words[n].tolist())]
        wanted = [1 / (1 + math.exp(-x)) for x in row_times(generator.output, hidden)]
        assert made[n].tolist() == pytest.approx(wanted, abs=1e-5)
    far = generator(10 * torch.randn(500, 2), torch.randn(500, 4))
    assert far.min() > 0 and far.max() < 1


def test_critic_leaks_a_fifth_and_may_be_told_no_words(rows: tuple[Tensor, Tensor, Tensor]) -> None:
    features, words, _ = rows
    for critic, given in ((Critic(5, 4, 6), words), (Critic(5, 0, 6), None)):
        nn.init.normal_(critic.hidden.weight)
        found = critic(features, given)
        assert found.shape == (3,)
        for n in range(3):
            row = features[n].tolist() + ([] if given is None else given[n].tolist())
            hidden = [h if h > 0 else 0.2 * h for h in row_times(critic.hidden, row)]
            assert found[n].item() == pytest.approx(row_times(critic.output, hidden)[0], abs=1e-5)


def test_critic_starts_from_narrow_weights_and_no_bias() -> None:
    torch.manual_seed(0)
    critic = Critic(600, 100, 200)
    assert float(critic.hidden.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert float(critic.hidden.weight.detach().mean()) == pytest.approx(0, abs=3e-4)
    assert not critic.hidden.bias.any() and not critic.output.bias.any()
