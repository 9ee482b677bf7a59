"""What arithmetic and memory traffic would cost in a chip: a model with constants of 45 nm, never a measurement.

Two prices are given. *Arithmetic* counts multiply-adds and additions alone, as papers on spiking networks do. *Memory*
counts, on top of it, every number fetched or stored on the way, with no reuse in registers but the running sum of a
dense product: weights, inputs, currents and membranes (the counting of Lemaire et al., "An Analytical Estimation of
Spiking Neural Networks Energy Efficiency", ICONIP 2022).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from avzsl.errors import SettingError, nearest_name

# Size in bytes of an on-chip memory and pJ of fetching 64 bits from it (Horowitz, ISSCC 2014, Fig. 1.1.9; 45 nm).
CACHES = ((8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))


@dataclass(frozen=True)
class EnergyModel:
    """Constants, in pJ. The defaults are of 32-bit floats at 45 nm (Horowitz, ISSCC 2014): 4.6 per MAC, 0.9 per AC.

    Attributes:
        name: of the number format.
        bits: of a stored number.
        multiply, add: one of each.
        special: price of an exponential, logarithm, division or root in multiply-adds; ours: a polynomial of degree 5.
        caches: size in bytes and pJ per 64 bits of on-chip memories, ascending. Between two sizes the price is a
            straight line; a larger memory is made of banks of the largest size.
    """

    name: str = "fp32"
    bits: int = 32
    multiply: float = 3.7
    add: float = 0.9
    special: float = 5.0
    caches: tuple[tuple[int, float], ...] = CACHES

    @property
    def mac(self) -> float:
        """A multiply-add (MAC)."""
        return self.multiply + self.add

    def access(self, words: float) -> float:
        """pJ of fetching or storing one number of a memory that holds `words` of them."""
        size = words * self.bits / 8
        price = self.caches[0][1] if size <= self.caches[0][0] else self.caches[-1][1]
        for (small, cheap), (large, dear) in pairwise(self.caches):
            if small < size <= large:
                price = cheap + (dear - cheap) * (size - small) / (large - small)
        return price * self.bits / 64

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"mac": self.mac}


MODELS = {
    "fp32": EnergyModel(),
    "fp16": EnergyModel("fp16", 16, 1.1, 0.4),
    "int8": EnergyModel("int8", 8, 0.2, 0.03),
}  # the other rows of the same table


def energy_model(name: str) -> EnergyModel:
    """The constants of a number format.

    Raises:
        SettingError: unknown name.
    """
    if name not in MODELS:
        raise SettingError(f"unknown number format '{name}'{nearest_name(name, MODELS)}")
    return MODELS[name]


@dataclass(frozen=True)
class Effort:
    """What one part of a network does for one clip, in the mean.

    Attributes:
        module: attribute of the method.
        layer: of spiking neurons, or empty for a module without any.
        part: such as `"convolution"` or `"neurons"`.
        kind: `"spikes"` arrive at weights; `"floats"` arrive at the weights of a spiking layer; `"upkeep"` of spiking
            neurons; `"float module"`: everything in a module without spiking neurons.
        macs, adds, special: multiply-adds, additions (comparisons among them), special functions.
        weight_reads, weight_words: weights fetched, and size of their memory.
        state_reads, state_writes, state_words: currents and membranes.
        value_reads, value_writes, value_words: inputs and outputs.
    """

    module: str
    layer: str
    part: str
    kind: str
    macs: float = 0.0
    adds: float = 0.0
    special: float = 0.0
    weight_reads: float = 0.0
    weight_words: float = 0.0
    state_reads: float = 0.0
    state_writes: float = 0.0
    state_words: float = 0.0
    value_reads: float = 0.0
    value_writes: float = 0.0
    value_words: float = 0.0

    def price(self, model: EnergyModel) -> Price:
        """Energy for one clip."""
        arithmetic = (self.macs + self.special * model.special) * model.mac + self.adds * model.add
        memory = (
            self.weight_reads * model.access(self.weight_words)
            + (self.state_reads + self.state_writes) * model.access(self.state_words)
            + (self.value_reads + self.value_writes) * model.access(self.value_words)
        )
        return Price(arithmetic, memory)

    def counts(self) -> dict[str, float]:
        """The numbers alone."""
        return {f.name: float(getattr(self, f.name)) for f in fields(self) if f.type == "float"}


@dataclass(frozen=True)
class Price:
    """Energy in pJ: of arithmetic, and of memory traffic beside it."""

    arithmetic: float
    memory: float

    @property
    def both(self) -> float:
        """Arithmetic and memory traffic."""
        return self.arithmetic + self.memory


def total(efforts: Iterable[Effort], model: EnergyModel) -> Price:
    """The sum of prices."""
    prices = [effort.price(model) for effort in efforts]
    return Price(sum((p.arithmetic for p in prices), 0.0), sum((p.memory for p in prices), 0.0))
