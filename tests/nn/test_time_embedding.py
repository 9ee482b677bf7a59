"""Fourier features of time stamps, against numbers worked out by hand."""

from __future__ import annotations

import math

import torch

from avzsl.nn.time_embedding import TimeEmbedding


def test_waves_by_hand() -> None:
    embedding = TimeEmbedding(4, 10.0).double()
    embedding.frequencies.copy_(torch.tensor([[0.25, 0.1], [0.125, -0.05]]))  # sum to 0.375 and 0.05
    expected = [
        [0.0, 0.0, 1.0, 1.0],
        [0.99802673, 0.19970998, 0.06279052, 0.97985505],
        [0.12533323, 0.39137367, -0.99211470, 0.92023185],
    ]
    found = embedding.waves(torch.tensor([0.0, 0.64, 1.28], dtype=torch.float64))
    # The frequencies above went through float32.
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=2e-7)
    angle = 2 * math.pi * 0.375 * 1.28
    assert math.isclose(float(found[2, 0]), math.sin(angle), abs_tol=1e-7)


def test_a_linear_map_follows() -> None:
    torch.manual_seed(0)
    embedding, times = TimeEmbedding(6, 1.0), torch.tensor([0.0, 0.5, 7.0])
    expected = embedding.waves(times) @ embedding.linear.weight.T + embedding.linear.bias
    assert torch.allclose(embedding(times), expected)


def test_frequencies_have_twice_the_variance_of_a_draw_and_are_not_trained() -> None:
    torch.manual_seed(0)
    embedding = TimeEmbedding(2000, 10.0)
    assert abs(float(embedding.frequencies.sum(0).var()) - 200) < 40
    assert [name for name, _ in embedding.named_parameters()] == ["linear.weight", "linear.bias"]
    assert "frequencies" in embedding.state_dict()
