"""The classifier's training against autograd with PyTorch's Adam, and against numbers of the public code."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.methods._softmax import Softmax, SoftmaxTraining, equal_weights, train_softmax


def data(rows: int = 50, width: int = 6, classes: int = 4) -> tuple[Softmax, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % classes
    centres = torch.rand(classes, width, generator=generator)
    inputs = centres[labels] + 0.1 * torch.randn(rows, width, generator=generator)
    start = Softmax.drawn(classes, width, generator, torch.device("cpu"))
    return start, inputs, labels, torch.randperm(rows, generator=generator)


@pytest.mark.parametrize("batch", [50, 16, 7, 1000])
def test_training_equals_autograd(batch: int) -> None:
    start, inputs, labels, order = data()
    layer = nn.Linear(6, 4)
    layer.load_state_dict({"weight": start.weight, "bias": start.bias})
    adam = torch.optim.Adam(layer.parameters(), 0.01, betas=(0.5, 0.999))
    for _ in range(5):
        for first in range(0, 50, batch):  # the last batch of a pass is short
            index = order[first : first + batch]
            adam.zero_grad()
            loss = nn.functional.nll_loss(layer(inputs[index]).log_softmax(1), labels[index])
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
    found = train_softmax(start, inputs, labels, order, SoftmaxTraining(5, batch, 0.01))
    assert torch.allclose(found.weight, layer.weight, atol=1e-6)
    assert torch.allclose(found.bias, layer.bias, atol=1e-6)
    assert torch.allclose(found.log_probabilities(inputs), layer(inputs).log_softmax(1), atol=1e-5)


def test_weights_let_every_class_count_alike() -> None:
    labels = torch.tensor([0, 0, 0, 2, 2, 2, 2, 2, 2, 4])  # 3, 6 and 1 rows of three classes
    weights = equal_weights(labels)
    assert weights.tolist() == pytest.approx([10 / 9] * 3 + [10 / 18] * 6 + [10 / 3])
    start, inputs, _, _ = data(10, classes=5)
    layer = nn.Linear(6, 5)
    layer.load_state_dict({"weight": start.weight, "bias": start.bias})
    adam = torch.optim.Adam(layer.parameters(), 0.01, betas=(0.5, 0.999))
    for _ in range(4):
        for index in (torch.arange(0, 6), torch.arange(6, 10)):
            adam.zero_grad()
            losses = nn.functional.nll_loss(layer(inputs[index]).log_softmax(1), labels[index], reduction="none")
            (losses * weights[index]).mean().backward()
            adam.step()
    found = train_softmax(start, inputs, labels, torch.arange(10), SoftmaxTraining(4, 6, 0.01), weights)
    assert torch.allclose(found.weight, layer.weight, atol=1e-6) and torch.allclose(found.bias, layer.bias, atol=1e-6)
    plain = train_softmax(start, inputs, labels, torch.arange(10), SoftmaxTraining(4, 6, 0.01))
    assert not torch.allclose(found.weight, plain.weight, atol=1e-4)


def test_training_equals_the_public_code() -> None:
    """Weights of the public classifier (Mercea et al. 2022) after 30 epochs from the same weights and order."""
    rows = torch.sin(torch.arange(60.0)).reshape(12, 5).abs()
    start = Softmax(0.02 * torch.cos(torch.arange(15.0)).reshape(3, 5), torch.zeros(3))
    order = torch.tensor([3, 7, 0, 11, 5, 1, 9, 2, 10, 4, 8, 6])
    found = train_softmax(
        start, nn.functional.normalize(rows, dim=1), torch.arange(12) % 3, order, SoftmaxTraining(30, 5, 1e-3)
    )
    assert found.bias.tolist() == pytest.approx(PUBLIC_BIAS, abs=1e-6)
    assert found.weight.flatten().tolist() == pytest.approx(PUBLIC_WEIGHT, abs=1e-6)


PUBLIC_BIAS = [0.0202978, -0.0203119, 0.0203256]
PUBLIC_WEIGHT = [
    0.043949, 0.0228093, -0.0077587, 0.0103562, 0.003412, -0.0162581, 0.0185313, -0.0134568, -0.0269757, -0.0109844,
    -0.001454, -0.024945, 0.0569508, 0.0359062, -0.0393782,
]  # fmt: skip


def test_the_first_loss_is_that_of_guessing() -> None:
    """Rows of length 1 and weights of 0.02 leave all classes nearly equal."""
    generator = torch.Generator().manual_seed(0)
    for classes in (51, 276):
        start = Softmax.drawn(classes, 1024, generator, torch.device("cpu"))
        assert start.weight.std().item() == pytest.approx(0.02, rel=0.02) and not start.bias.any()
        rows = nn.functional.normalize(torch.rand(200, 1024, generator=generator), dim=1)
        labels = torch.randint(classes, (200,), generator=generator)
        loss = nn.functional.nll_loss(start.log_probabilities(rows), labels).item()
        assert loss == pytest.approx(math.log(classes), abs=0.01)


def test_training_works_in_inference_mode_and_leaves_its_start_alone() -> None:
    start, inputs, labels, order = data()
    before = start.weight.clone()
    plain = train_softmax(start, inputs, labels, order, SoftmaxTraining(3, 16, 0.01))
    with torch.inference_mode():
        inside = train_softmax(start, inputs * 1, labels, order, SoftmaxTraining(3, 16, 0.01))
    assert torch.equal(inside.weight, plain.weight) and not inside.weight.is_inference()
    assert torch.equal(start.weight, before) and not start.bias.any() and plain.bias.any()


def test_the_order_of_rows_counts() -> None:
    start, inputs, labels, order = data()
    found = [
        train_softmax(start, inputs, labels, o, SoftmaxTraining(2, 16, 0.01)).weight for o in (order, order.flip(0))
    ]
    assert not torch.allclose(found[0], found[1], atol=1e-5)
