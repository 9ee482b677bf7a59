"""Before compiled code is trusted: does it repeat the plain forms on this machine?"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

ROWS, STEPS, POSITIONS = 5, 3, 44  # neither fills whole vectors


def differences(library: ctypes.CDLL) -> str:
    """What the library does otherwise than the plain forms; empty when nothing was found.

    One small spiking block goes forward and backward both ways: values and spikes must be equal to the last bit,
    gradients to 1e-4 of their largest.
    """
    from avzsl.nn import compiled

    with compiled.using(library):
        fast = _run(fast=True)
    plain = _run(fast=False)
    for name, ours, theirs in zip(("values", "spikes"), fast[:2], plain[:2], strict=True):
        if not torch.equal(ours, theirs):
            return f"its {name} are not those of the plain form"
    for ours, theirs in zip(fast[2:], plain[2:], strict=True):
        if not torch.isfinite(ours).all() or (ours - theirs).abs().max() > 1e-4 * theirs.abs().max():
            return "its gradients are not those of the plain form"
    return ""


def _run(fast: bool) -> tuple[Tensor, ...]:
    from torch import nn

    from avzsl.nn.convolution import halving_convolution
    from avzsl.nn.gate import normalised_gate
    from avzsl.nn.lif import LifParameters
    from avzsl.nn.threshold import ThresholdRule, dynamic_lif

    # the first use may lie inside anybody's inference mode, or under another default device or type
    single, cpu = torch.float32, torch.device("cpu")
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]), cpu:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(STEPS * ROWS, 3, POSITIONS, generator=generator, dtype=single, requires_grad=True)
        weight = torch.randn(6, 3, 4, generator=generator, dtype=single, requires_grad=True)
        beta = torch.tensor(0.4, dtype=single, requires_grad=True)
        values = halving_convolution(inputs, weight, fast)
        current, pool = normalised_gate(values, nn.BatchNorm1d(6, dtype=single), beta, True, fast)
        current, gate = (part.view(STEPS, ROWS, *part.shape[1:]) for part in (current, torch.sigmoid(pool)))
        run = dynamic_lif(current, gate, tuple(range(STEPS)), LifParameters(), ThresholdRule(), fast)
        found = torch.autograd.grad(run.spikes.square().sum(), (inputs, weight, beta))
    return values.detach(), run.spikes.detach(), *found
