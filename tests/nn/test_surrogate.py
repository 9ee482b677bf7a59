from __future__ import annotations

import pytest
import torch

from avzsl.errors import SettingError
from avzsl.nn.surrogate import SURROGATES, derivative, spike


@pytest.mark.parametrize("name", SURROGATES.names())
@pytest.mark.parametrize("alpha", [None, 0.7, 5.0])
def test_derivative_is_the_finite_difference_of_the_primitive(name: str, alpha: float | None) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, generator=generator, dtype=torch.float64)
    sharpness = SURROGATES.get(name).alpha if alpha is None else alpha
    # away from the kinks of fast_sigmoid (0) and rectangle (1 / 2 alpha), where no difference quotient holds
    x = x[(x.abs() > 1e-3) & ((x.abs() - 0.5 / sharpness).abs() > 1e-3)]
    primitive, h = SURROGATES.get(name).primitive, 1e-6
    difference = (primitive(x + h, sharpness) - primitive(x - h, sharpness)) / (2 * h)
    assert torch.allclose(derivative(x, name, alpha), difference, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("name", SURROGATES.names())
def test_derivative_is_positive_at_the_threshold_and_leaves_its_argument_alone(name: str) -> None:
    x = torch.linspace(-1, 1, 5)
    before = x.clone()
    slope = derivative(x, name)
    assert slope[2] > 0
    assert slope.argmax() == 2 or torch.all(slope == slope[2])
    assert torch.equal(x, before)


def test_atan_has_the_formula_of_the_paper_trail() -> None:
    # s'(x) = (a / 2) / (1 + (pi a x / 2)^2) with a = 2: 1 at 0, and 1 / (1 + pi^2 / 4) at one half
    assert derivative(torch.tensor([0.0, 0.5]), "atan").tolist() == pytest.approx([1.0, 1 / (1 + 2.4674011)])


@pytest.mark.parametrize("name", SURROGATES.names())
def test_spike_is_a_step_forward_and_the_surrogate_backward(name: str) -> None:
    x = torch.tensor([-0.3, -1e-9, 0.0, 0.2], requires_grad=True)
    spikes = spike(x, name)
    assert spikes.tolist() == [0, 0, 1, 1]
    (spikes * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert torch.allclose(x.grad, derivative(x, name) * torch.tensor([1.0, 2.0, 3.0, 4.0]))


def test_unknown_surrogate_names_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'sigmoid'"):
        spike(torch.zeros(1), "sigmoide")


def test_spike_agrees_with_spikingjelly() -> None:
    surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate")
    for name, oracle in (("atan", surrogate.ATan(alpha=3.0)), ("sigmoid", surrogate.Sigmoid(alpha=3.0))):
        x = torch.linspace(-2, 2, 41, requires_grad=True)
        theirs = torch.autograd.grad(oracle(x).sum(), x)[0]
        assert torch.allclose(derivative(x, name, 3.0), theirs, atol=1e-6)
