"""The recurrent joint learning unit against the formulas, one clip and one head at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avzsl.nn.joint_learning import JointLearningUnit, SplitAttention


def _attend(part: SplitAttention, asking: list[Tensor], seen: list[Tensor]) -> list[Tensor]:
    """Softmax attention of single vectors, head by head."""
    width = part.queries.weight.shape[0] // part.heads
    answers = []
    for x in asking:
        mixed = []
        for head in range(part.heads):
            rows = slice(head * width, (head + 1) * width)
            q = part.queries.weight[rows] @ x
            scores = torch.stack([q @ (part.keys.weight[rows] @ y) / math.sqrt(width) for y in seen])
            shares = scores.exp() / scores.exp().sum()
            mixed.append(sum(s * (part.values.weight[rows] @ y) for s, y in zip(shares, seen, strict=True)))
        answers.append(part.output.weight @ torch.cat(mixed) + part.output.bias)  # type: ignore[arg-type]
    return answers


def _run(unit: JointLearningUnit, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One clip, [T, width] of each modality."""
    h = torch.zeros_like(audio[0])
    knowledge = [h]
    for a, v in zip(audio, visual, strict=True):
        (c_a,), (c_v,) = _attend(unit.cross, [a], [a, h]), _attend(unit.cross, [v], [v, h])
        s = []
        for x in _attend(unit.self_attention, [a, h, v], [a, h, v]):
            normed = (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt() * unit.norm.weight + unit.norm.bias
            inner = unit.expand.weight @ normed + unit.expand.bias
            inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
            s.append(unit.shrink.weight @ inner + unit.shrink.bias + x)
        u = s[1] + 0.5 * (c_a + c_v)
        g = 1 / (1 + (-(unit.gate.weight @ u + unit.gate.bias)).exp())
        h = (1 - g) * h + g * u.tanh()
        knowledge.append(h)
    return s[0] + c_a, s[2] + c_v, torch.stack(knowledge)


def _unit() -> JointLearningUnit:
    torch.manual_seed(0)
    unit = JointLearningUnit(6, 2, 4, 5).double()
    for parameter in unit.parameters():
        torch.nn.init.normal_(parameter, 0.2, 0.5)
    return unit


def test_the_unit_is_its_formulas() -> None:
    unit = _unit()
    audio, visual = torch.randn(4, 3, 6).double(), torch.randn(4, 3, 6).double()
    with torch.no_grad():
        run = unit(audio, visual, 4)
        for clip in range(3):
            a, v, knowledge = _run(unit, audio[:, clip], visual[:, clip])
            assert torch.allclose(run.audio[clip], a, atol=1e-12)
            assert torch.allclose(run.visual[clip], v, atol=1e-12)
            assert torch.allclose(run.knowledge[:, clip], knowledge, atol=1e-12)
    assert run.knowledge.shape == (5, 3, 6)
    assert (run.knowledge[2:] - run.knowledge[1:-1]).abs().max() > 0.05


def test_one_distinct_step_is_the_same_at_every_step() -> None:
    unit = _unit()
    audio, visual = torch.randn(1, 3, 6).double(), torch.randn(5, 3, 6).double()
    for a, v in ((audio, visual), (audio, visual[:1])):
        once, repeated = unit(a, v, 5), unit(a.expand(5, -1, -1), v.expand(5, -1, -1), 5)
        for first, second in zip(once, repeated, strict=True):
            assert torch.allclose(first, second, atol=1e-12)


def test_knowledge_stays_between_minus_one_and_one() -> None:
    unit = _unit()
    run = unit(50 * torch.randn(6, 3, 6).double(), 50 * torch.randn(6, 3, 6).double(), 6)
    assert run.knowledge.abs().max() <= 1


def test_sizes_of_the_parts() -> None:
    unit = JointLearningUnit(512, 8, 64, 128)
    assert sum(p.numel() for p in unit.cross.parameters()) == 1_049_088
    assert sum(p.numel() for p in unit.self_attention.parameters()) == 1_049_088
    assert sum(p.numel() for p in unit.parameters()) == 2 * 1_049_088 + 395_392


def test_gradients_reach_every_weight() -> None:
    unit = _unit()
    run = unit(torch.randn(3, 4, 6).double(), torch.randn(3, 4, 6).double(), 3)
    (run.audio.square().sum() + run.visual.square().sum()).backward()
    for name, parameter in unit.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-6, name
