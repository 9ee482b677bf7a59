"""Prices of a spiking method beside those of the same network without spikes, and where the two meet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from avzsl.methods._energy import Effort, EnergyModel, Price, total

KINDS = ("spikes", "floats", "upkeep", "float module")


@dataclass(frozen=True)
class Part:
    """One part of a network: what it does for a clip, and what that costs in pJ, without and with memory traffic."""

    module: str
    layer: str
    part: str
    kind: str
    counts: dict[str, float]
    arithmetic: float
    memory: float


@dataclass(frozen=True)
class Totals:
    """Energy per clip in pJ: `arithmetic` alone, and `memory` traffic beside it, in all and by kind of effort."""

    arithmetic: float
    memory: float
    arithmetic_by_kind: dict[str, float]
    memory_by_kind: dict[str, float]


@dataclass(frozen=True)
class Column:
    """The spiking layers against their twin, under one way of counting.

    Attributes:
        spiking: energy per clip of the spiking layers, in pJ.
        driven: the share of it that spikes cause; the rest is spent whether or not anything fires.
        twin: energy of the same layers without spikes and time steps.
        break_even: the rate at which both cost the same; None where it would be negative: then the spiking layers
            cost more than the twin even if nothing fires.
    """

    spiking: float
    driven: float
    twin: float
    break_even: float | None


@dataclass(frozen=True)
class Balance:
    """Spiking layers against their twin.

    Attributes:
        rate: share of the neurons in front of weights that fire at a step; None where no spike meets a weight.
        synapses: arithmetic of weights alone, what papers on spiking networks publish.
        arithmetic: with neurons, norms, pooling and thresholds.
        plain: the same with exponentials, logarithms and divisions for free, whose price is the least certain.
        memory: with memory traffic, too.
    """

    rate: float | None
    synapses: Column
    arithmetic: Column
    plain: Column
    memory: Column


def price_parts(efforts: Iterable[Effort], model: EnergyModel) -> tuple[Part, ...]:
    """Every effort with its price."""
    found = []
    for effort in efforts:
        counts = effort.counts()
        price = effort.price(model)
        found.append(
            Part(effort.module, effort.layer, effort.part, effort.kind, counts, price.arithmetic, price.memory)
        )
    return tuple(found)


def totals(efforts: Sequence[Effort], model: EnergyModel) -> Totals:
    """Sums over parts."""
    by_kind = {kind: total((e for e in efforts if e.kind == kind), model) for kind in KINDS}
    everything = total(efforts, model)
    return Totals(
        everything.arithmetic, everything.memory,
        {kind: price.arithmetic for kind, price in by_kind.items()},
        {kind: price.memory for kind, price in by_kind.items()},
    )  # fmt: skip


def balance(spiking: Sequence[Effort], twin: Sequence[Effort], rate: float | None, model: EnergyModel) -> Balance:
    """Compare the spiking layers' efforts with those of their twin."""
    weights = [e for e in spiking if e.kind in ("spikes", "floats")], [e for e in twin if e.kind == "floats"]

    def column(mine: Sequence[Effort], other: Sequence[Effort], prices: EnergyModel, memory: bool = False) -> Column:
        def energy(price: Price) -> float:
            return price.both if memory else price.arithmetic

        whole, theirs = energy(total(mine, prices)), energy(total(other, prices))
        driven = energy(total((e for e in mine if e.kind == "spikes"), prices))
        break_even = None
        if rate is not None and driven > 0:
            # all that spikes cause grows with their number; the rest stays
            level = rate * (theirs - (whole - driven)) / driven
            break_even = level if level >= 0 else None
        return Column(whole, driven / whole if whole else 0.0, theirs, break_even)

    return Balance(
        rate,
        synapses=column(*weights, model),
        arithmetic=column(spiking, twin, model),
        plain=column(spiking, twin, replace(model, special=0.0)),
        memory=column(spiking, twin, model, memory=True),
    )
