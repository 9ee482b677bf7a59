"""Counted operations against closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avzsl.methods._profile import REST, count_flops, profile, random_batch
from avzsl.methods.ridge import Ridge, RidgeConfig
from avzsl.methods.stft import Stft, StftConfig
from avzsl.types import Dimensions


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
        self.convolution = nn.Conv1d(1, 3, kernel_size=4, stride=2)
        self.extra = nn.Parameter(torch.ones(4, 2))


def test_matrix_products_and_convolutions_count_two_for_each_multiply_add() -> None:
    made = Small()

    def run() -> torch.Tensor:
        made.convolution(torch.ones(7, 1, 10))  # 4 positions
        return made.body(torch.ones(7, 6)) @ made.extra

    counts, result = count_flops(made, run)
    assert result.shape == (7, 2)
    assert counts == {"body": 2 * 7 * (6 * 5 + 5 * 4), "convolution": 2 * 7 * 4 * 3 * 4, REST: 2 * 7 * 4 * 2}


def test_parts_reached_without_their_parent_count_for_it_once() -> None:
    made = Small()
    counts, _ = count_flops(made, lambda: (made.body[0](torch.ones(1, 6)), made.body(torch.ones(1, 6))))
    assert counts["body"] == 2 * (30 + 50)


def test_ridge_costs_one_matrix() -> None:
    costs = profile(Ridge(RidgeConfig(), Dimensions(5, 7, 3)), random_batch(Dimensions(5, 7, 3), 10))
    assert costs.parameters == 12 * 3 + 3
    assert costs.training == 2 * 10 * 12 * 3
    assert costs.inference == 2 * 12 * 3


def test_stft_costs_what_its_equations_say() -> None:
    """Averaged features, h = d = 16, transformer path alone: every product written out."""
    h, n, p, w, b = 16, 3, 4, 6, 8
    config = StftConfig(
        paths="transformer", hidden=h, heads=2, head_width=8, attention_hidden=5, head_hidden=7, embedding=p, slots=n
    )
    costs = profile(Stft(config, Dimensions(h, h, w)), random_batch(Dimensions(h, h, w), b))
    by_name = {module.name: module for module in costs.modules}
    clips = 2 * b  # positives and negatives
    rows = 2 * clips  # in each of two modalities
    assert by_name["encoders"].training == 2 * rows * 2 * h * h
    # slots, the gate of Eq. 2, and for each target the dot products with two readings and the sum of two vectors
    assert by_name["latent"].training == 2 * rows * (n * h * h + h * h + 4 * h)
    # one segment: value and output; two modalities: all four maps, scores and mixing; each time the MLP
    attention = (2 * h * h) + (4 * h * h + 2 * 2 * h) + 2 * (2 * h * 5)
    assert by_name["attention"].training == 2 * rows * attention
    assert by_name["clip_head"].training == 2 * clips * (h * 7 + 7 * p)
    assert by_name["text_head"].training == 2 * clips * (w * 7 + 7 * p)
    assert by_name["reconstruction_head"].training == 2 * clips * (p * 7 + 7 * w)
    assert by_name[REST].training == 0
    assert by_name["text_head"].inference == 0
    assert by_name["encoders"].inference * clips == by_name["encoders"].training


def test_profiling_leaves_the_method_as_it_was() -> None:
    torch.manual_seed(0)
    method = Stft(StftConfig(hidden=16, heads=2, head_width=8, rank=4), Dimensions(5, 7, 6)).eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    state = torch.get_rng_state()
    costs = profile(method, random_batch(method.dimensions, 8, segments=3))
    assert not method.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert set(costs.rates) == {"audio", "visual"}
    assert all(0 < rate < 1 for rate in costs.rates.values())
    assert costs.segments == 3
    assert costs.parameters == sum(p.numel() for p in method.parameters())


def test_random_batch_pairs_different_classes() -> None:
    batch = random_batch(Dimensions(None, 7, 6), 300, classes=3)
    assert (batch.labels != batch.negative_labels).all()
    assert batch.clips.audio is None


def test_table_rule_on_the_published_sizes() -> None:
    costs = profile(Stft(StftConfig(), Dimensions(512, 512, 300)))
    assert costs.pairs == 256
    # about twice the printed 4.27 G; as multiply-adds 4.31 G
    assert costs.training == pytest.approx(8.61e9, rel=0.01)
