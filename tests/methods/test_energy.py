"""Prices worked out by hand."""

from __future__ import annotations

import pytest

from avzsl.errors import SettingError
from avzsl.methods._energy import Effort, EnergyModel, energy_model, total


def test_the_constants_are_those_of_the_published_table() -> None:
    model = energy_model("fp32")
    assert (model.mac, model.add) == (pytest.approx(4.6), 0.9)
    assert energy_model("fp16").mac == pytest.approx(1.5)
    assert energy_model("int8").mac == pytest.approx(0.23)
    with pytest.raises(SettingError, match="did you mean 'int8'"):
        energy_model("int9")


@pytest.mark.parametrize(
    ("kilobytes", "per_64_bits"), [(1, 10), (8, 10), (20, 15), (32, 20), (528, 60), (1024, 100), (9000, 100)]
)
def test_a_larger_memory_costs_more_up_to_the_size_of_a_bank(kilobytes: float, per_64_bits: float) -> None:
    assert EnergyModel().access(kilobytes * 1024 / 4) == pytest.approx(per_64_bits / 2)
    assert EnergyModel(bits=16).access(kilobytes * 1024 / 2) == pytest.approx(per_64_bits / 4)


def test_two_layers_by_hand() -> None:
    """10 inputs -> 8 neurons -> 4 neurons; 3 steps; the first layer is fed floats once, 6 spikes reach the second."""
    efforts = [
        Effort(
            "net", "first", "linear", "floats", macs=80, weight_reads=80, weight_words=80, value_reads=80,
            value_writes=8, value_words=10,
        ),
        Effort("net", "first", "neurons", "upkeep", macs=24, adds=48, state_reads=48, state_writes=24, state_words=8),
        Effort(
            "net", "second", "linear", "spikes", adds=24, weight_reads=24, weight_words=32, state_reads=24,
            state_writes=24, state_words=4, value_reads=6, value_writes=6, value_words=8,
        ),
        Effort("net", "second", "gate", "upkeep", special=2),
    ]  # fmt: skip
    price = total(efforts, EnergyModel())
    assert price.arithmetic == pytest.approx(80 * 4.6 + 24 * 4.6 + 48 * 0.9 + 24 * 0.9 + 2 * 5 * 4.6)
    # everything fits into 8 KB, where 32 bits cost 5 pJ
    assert price.memory == pytest.approx(5 * ((80 + 88) + 72 + (24 + 48 + 12)))
    assert price.both == price.arithmetic + price.memory


def test_nothing_costs_nothing() -> None:
    assert total([], EnergyModel()).both == 0
    assert Effort("net", "", "products", "float module").price(EnergyModel()).both == 0
