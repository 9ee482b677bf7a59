"""Bytes and FLOPs by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from avzsl.nn.spiking import SpikingConfig, SpikingEncoder
from avzsl.nn.tucker import TuckerFusion
from benchmarks.context import plain_products
from benchmarks.floors import (
    bilinear_flops,
    block_bytes,
    count_flops,
    dynamic_bytes,
    neuron_bytes,
    plainly,
    product_flops,
    tucker_flops,
)


def test_a_neuron_moves_twenty_bytes_each_step() -> None:
    # T = 8 steps of 256 x 512 neurons: 1,048,576 neuron-steps, 5 numbers of 4 bytes each
    assert neuron_bytes(8, 256 * 512) == 20_971_520
    # 256 clips x 8 channels: gate read, read again, gradient written, each step
    assert dynamic_bytes(8, 256 * 512, 256 * 8) == 20_971_520 + 8 * 2048 * 12


def test_a_block_moves_its_inputs_and_spikes() -> None:
    # the first: one input of 2 x 10 numbers read twice, 3 steps of 2 x 4 x 5 neurons written and their gradient read
    assert block_bytes(1, 3, 20, 40, first=True) == 4 * (2 * 20 + 2 * 3 * 40)
    # a later one sees a new input at each step and writes its gradient
    assert block_bytes(3, 3, 40, 80, first=False) == 4 * (3 * 3 * 40 + 2 * 3 * 80)


def test_products() -> None:
    assert product_flops(512, 512, 60) == 31_457_280


def test_tucker_at_the_published_size() -> None:
    # 256 x (512 x 64 + 512 x 64 + 64^3 + 64^2 + 64 x 512) multiply-adds forward; 6 FLOPs for each in all
    assert tucker_flops(256, 512, 512, 512, 64) == 6 * 256 * (3 * 32768 + 262144 + 4096)
    assert bilinear_flops(2, 3, 5, 7) == 6 * 2 * (3 * 5 * 7 + 5 * 7)


def test_the_formula_for_tucker_is_what_pytorch_counts() -> None:
    fusion = TuckerFusion(24, 16, 12, 5)
    inputs = [torch.randn(6, size, requires_grad=True) for size in (24, 16)]
    assert count_flops(lambda: fusion(*inputs).sum().backward()) == tucker_flops(6, 24, 16, 12, 5)


def test_flops_of_a_linear_map_forward_and_backward() -> None:
    layer, rows = nn.Linear(10, 3, bias=False), torch.randn(4, 10)
    assert count_flops(lambda: layer(rows)) == 2 * 4 * 10 * 3
    # features need no gradient: forward and weights
    assert count_flops(lambda: layer(rows).sum().backward()) == 2 * 2 * 4 * 10 * 3
    rows.requires_grad_()
    assert count_flops(lambda: layer(rows).sum().backward()) == 3 * 2 * 4 * 10 * 3


def test_flops_of_attention_forward_and_backward() -> None:
    query, key, value = (torch.randn(2, 3, 5, 4, requires_grad=True) for _ in range(3))
    forward = 2 * (2 * 3 * 5 * 5 * 4) * 2  # scores, and mixing
    assert count_flops(lambda: functional.scaled_dot_product_attention(query, key, value)) == forward

    def both() -> None:
        functional.scaled_dot_product_attention(query, key, value).sum().backward()

    assert count_flops(both) == 3 * forward


def test_a_plain_copy_has_every_fast_path_off_and_leaves_the_original() -> None:
    encoder = SpikingEncoder(16, SpikingConfig(positions=16, time_steps=2))
    plain = plainly(encoder)
    switches = [part.fast for part in plain.modules() if hasattr(part, "fast")]
    assert len(switches) >= 3
    assert not any(switches)
    assert plain.config.fast is False
    assert encoder.config.fast is True
    assert all(part.fast for part in encoder.modules() if hasattr(part, "fast"))


def test_the_plain_copy_shows_the_convolutions_that_fast_forms_may_hide() -> None:
    encoder = SpikingEncoder(16, SpikingConfig(positions=16, time_steps=2))
    features = torch.randn(4, 1, 16)
    plain = plainly(encoder)
    # forward: 4 taps; 1 input seen once by 4 channels, then 4 -> 8 and 8 -> 8 channels at 2 steps
    forward = 2 * 4 * 4 * (1 * 4 * 8 + 2 * 4 * 8 * 4 + 2 * 8 * 8 * 2)
    first = 2 * 4 * 4 * (1 * 4 * 8)
    with plain_products():
        assert count_flops(lambda: plain(features)) == forward
        # backward: weights and inputs, but no gradient for the features
        assert count_flops(lambda: plain(features).summary.sum().backward()) == 3 * forward - first
