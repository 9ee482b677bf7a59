"""One step: what it computes, what it draws, what it refuses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from avzsl.config import fill
from avzsl.data.batches import BatchSampler
from avzsl.data.splits import load_benchmark
from avzsl.errors import AvzslError, SettingError
from avzsl.methods._base import Method
from avzsl.training.loop import Position, TrainConfig, build_method, build_optimiser, seeded, train_step
from avzsl.types import Batch

CPU = torch.device("cpu")


@pytest.fixture
def batch(toy_benchmark: Path) -> Batch:
    return BatchSampler(load_benchmark(toy_benchmark).training(1), 16, 10, seed=0).batch(1, 0, 0)


def _fresh(toy: type[Method], config: TrainConfig, seed: int = 5) -> tuple[Method, torch.optim.Adam]:
    from avzsl.types import Dimensions

    method = build_method(lambda: toy(toy.Config(), Dimensions(5, 7, 6)), seed, CPU).train()
    optimiser = build_optimiser(method, config)
    assert optimiser is not None
    return method, optimiser


def test_one_step_equals_adam_written_out(toy: type[Method], batch: Batch) -> None:
    rate, decay, steps = 0.01, 0.1, 3
    config = TrainConfig(learning_rate=rate, weight_decay=decay)
    method, optimiser = _fresh(toy, config)
    plain, _ = _fresh(toy, config)
    weights = list(plain.parameters())
    first = [torch.zeros_like(w) for w in weights]
    second = [torch.zeros_like(w) for w in weights]
    for step in range(steps):
        at = Position(5, 1, 0, step)
        train_step(method, optimiser, batch, rate, at)
        with seeded(at.torch_seed, CPU):
            gradients = torch.autograd.grad(plain.fit_step(batch)["loss"], weights)
        with torch.no_grad():
            for w, g, m, v in zip(weights, gradients, first, second, strict=True):
                g = g + decay * w
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                w -= rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    for mine, expected in zip(method.parameters(), weights, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-6)


def test_the_same_position_draws_the_same_dropout_and_another_one_does_not(toy: type[Method], batch: Batch) -> None:
    def loss(at: Position) -> float:
        method, optimiser = _fresh(toy, TrainConfig())
        return train_step(method, optimiser, batch, 1e-3, at)["loss"]

    here = loss(Position(5, 1, 2, 3))
    assert loss(Position(5, 1, 2, 3)) == here
    others = [Position(6, 1, 2, 3), Position(5, 2, 2, 3), Position(5, 1, 3, 3), Position(5, 1, 2, 4)]
    assert here not in [loss(at) for at in others]


def test_positions_do_not_share_seeds() -> None:
    seeds = {Position(s, t, e, b).torch_seed for s in range(3) for t in (1, 2) for e in range(20) for b in range(20)}
    assert len(seeds) == 3 * 2 * 20 * 20
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_callers_random_stream_is_left_alone(toy: type[Method], batch: Batch) -> None:
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    method, optimiser = _fresh(toy, TrainConfig())
    train_step(method, optimiser, batch, 1e-3, Position(0, 1))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(
    toy: type[Method], batch: Batch, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, optimiser = _fresh(toy, TrainConfig())
    before = [p.clone() for p in method.parameters()]
    real = toy.fit_step
    monkeypatch.setattr(toy, "fit_step", lambda self, b: {n: t * value for n, t in real(self, b).items()})
    with pytest.raises(AvzslError, match=r"in stage 2, epoch 4, step 8: training diverged; .*learning_rate=0.0001"):
        train_step(method, optimiser, batch, 1e-3, Position(0, 2, 3, 7))
    assert all(torch.equal(p, b) for p, b in zip(method.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batches", -1), ("batch_size", 0), ("learning_rate", 0), ("learning_rate", math.nan),
     ("weight_decay", -1e-9), ("schedule", "cosine")],
)  # fmt: skip
def test_settings_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        fill(TrainConfig, {name: value}, "[train]")


def test_a_method_may_take_several_steps_in_a_batch_each_for_some_of_its_weights(
    toy: type[Method], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two losses in turn: the first for the text weights, the second for the audio weights as the first left them."""
    seen: list[float] = []

    def updates(self: Method, batch: Batch) -> Iterator[dict[str, torch.Tensor]]:
        text, audio = self.get_submodule("text").weight, self.get_submodule("audio").weight
        yield {"loss": 3 * text.sum(), "first": text.sum()}
        seen.append(float(text.detach().sum()))
        yield {"loss": (audio * text.sum().detach()).sum(), "second": audio.sum()}
        seen.append(float(audio.detach().sum()))

    monkeypatch.setattr(toy, "updates", updates)
    method, optimiser = _fresh(toy, TrainConfig())
    before = {name: value.detach().clone() for name, value in method.named_parameters()}
    terms = train_step(method, optimiser, batch, 0.01, Position(5, 1))
    after = {name: value.detach() for name, value in method.named_parameters()}
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"text.weight", "audio.weight"}
    # The first step of Adam moves every weight by the rate against the sign of its gradient.
    torch.testing.assert_close(after["text.weight"], before["text.weight"] - 0.01, atol=1e-6, rtol=0)
    middle = float(after["text.weight"].sum())
    sign = 1 if middle > 0 else -1
    torch.testing.assert_close(after["audio.weight"], before["audio.weight"] - 0.01 * sign, atol=1e-6, rtol=0)
    assert seen == pytest.approx([middle, float(after["audio.weight"].sum())])
    first, second = 3 * float(before["text.weight"].sum()), middle * float(before["audio.weight"].sum())
    assert terms["loss"] == pytest.approx(first + second, abs=1e-4)
    assert terms["first"] == pytest.approx(first / 3, abs=1e-5)
    assert terms["second"] == pytest.approx(float(before["audio.weight"].sum()), abs=1e-5)


def test_a_method_chooses_what_adam_trains_and_how(
    toy: type[Method], batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(self: Method) -> list[dict[str, Any]]:
        return [{"params": list(self.get_submodule("text").parameters()), "betas": (0.5, 0.9)}]

    monkeypatch.setattr(toy, "parameter_groups", groups)
    method, optimiser = _fresh(toy, TrainConfig())
    assert optimiser.param_groups[0]["betas"] == (0.5, 0.9)
    before = {name: value.detach().clone() for name, value in method.named_parameters()}
    train_step(method, optimiser, batch, 0.01, Position(5, 1))
    changed = {name for name, value in method.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"text.weight", "text.bias"}
