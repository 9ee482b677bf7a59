"""What a survey of spikes says, in sentences: above all, whether spikes save anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Two energies that differ by less are called the same.
SAME = 0.01

Record = Mapping[str, Any]


def energy(pj: float | None) -> str:
    """Picojoules as people write them."""
    if pj is None:
        return "-"
    for size, unit in ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if abs(pj) >= size:
            return f"{pj / size:.4g} {unit}"
    return f"{pj:.3g} pJ"


def percent(share: float | None, digits: int = 1) -> str:
    """A share; what is more than nothing never reads as nothing."""
    if share is None:
        return "-"
    least = 10.0**-digits
    return f"< {least:g} %" if 0 < 100 * share < least else f"{100 * share:.{digits}f} %"


def amount(value: float | None) -> str:
    """A count per clip."""
    return "-" if value is None else f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"


def findings(record: Record) -> list[str]:
    """The answer in sentences, the first of them whether spikes save energy."""
    whole, twin = record["totals"], record["twin"]
    ratios = [
        whole["arithmetic"] / twin["arithmetic"] - 1,
        (whole["arithmetic"] + whole["memory"]) / (twin["arithmetic"] + twin["memory"]) - 1,
    ]
    said = [_verdict(ratios), *_shares(record), *_balance(record), *_variant(record), *_agreement(record)]
    for key, what in (("silent", "Silent on the whole test set"), ("saturated", "Firing at every step of every clip")):
        said.append(f"{what}: {_neurons(record['layers'], key)}.")
    return said


def _neurons(layers: Sequence[Record], key: str) -> str:
    """How many neurons of which layers, the layers with the largest shares by name."""
    found = sorted((layer for layer in layers if layer[key]), key=lambda layer: -layer[key] / layer["neurons"])
    if not found:
        return "no neuron"
    count, whole = sum(layer[key] for layer in found), sum(layer["neurons"] for layer in layers)
    named = ", ".join(f"{layer[key]} of {layer['neurons']} in {layer['name']}" for layer in found[:3])
    more = f" and others in {len(found) - 3} layers more" if len(found) > 3 else ""
    return f"{count} of {whole} neurons ({named}{more})"


def _verdict(ratios: Sequence[float]) -> str:
    arithmetic, memory = (_against(ratio) for ratio in ratios)
    if min(ratios) >= -SAME:
        start = "Spikes save nothing overall"
    elif max(ratios) < -SAME:
        start = "Spikes save energy under both ways of counting"
    else:
        start = "Whether spikes save energy depends on what is counted"
    return (
        f"{start}: per clip the method costs {arithmetic} the same network without spikes and time steps by its"
        f" arithmetic, and {memory} it when memory traffic counts, too."
    )


def _against(ratio: float) -> str:
    if abs(ratio) < SAME:
        return "about as much as"
    return f"{abs(100 * ratio):.0f} % {'more' if ratio > 0 else 'less'} than"


def _shares(record: Record) -> list[str]:
    whole = record["totals"]
    parts = whole["arithmetic_by_kind"]
    both = {kind: parts[kind] + whole["memory_by_kind"][kind] for kind in parts}
    sums = (whole["arithmetic"], whole["arithmetic"] + whole["memory"])
    driven, rest = ([shares[kind] / of for shares, of in zip((parts, both), sums, strict=True)] for kind in
                    ("spikes", "float module"))  # fmt: skip
    text = (
        f"Of its arithmetic energy {percent(driven[0])} is driven by spikes and {percent(rest[0])} is spent in modules"
        f" without spiking neurons; with memory traffic {percent(driven[1])} and {percent(rest[1])}."
    )
    if record["balance"]["rate"] is None:
        text += " No spike meets a weight at all: the spiking layers are fed floats, and their spikes are averaged."
    return [text]


def _balance(record: Record) -> list[str]:
    found, said = record["balance"], []
    for key, how in (
        ("synapses", "Weights alone, as papers count"), ("arithmetic", "With neurons and norms"),
        ("plain", "The same with exponentials and divisions for free"),
        ("memory", "With memory traffic, too"),
    ):  # fmt: skip
        column = found[key]
        prices = energy(column["spiking"]), energy(column["twin"])
        text = f"{how}, the spiking layers cost {prices[0]} per clip and their twin {prices[1]}"
        if found["rate"] is not None:
            level = column["break_even"]
            if level is None:
                text += "; even without a single spike they would cost more"
            else:
                meet = "at any rate" if level > 1 else f"below a rate of {percent(level)}"
                text += f"; they cost less {meet}, and fire at {percent(found['rate'])}"
        said.append(f"{text}.")
    return said


def _variant(record: Record) -> list[str]:
    variant = record["variant"]
    if variant is None:
        return []
    whole = record["totals"]
    arithmetic = whole["arithmetic"] / variant["arithmetic"] - 1
    memory = (whole["arithmetic"] + whole["memory"]) / (variant["arithmetic"] + variant["memory"]) - 1
    return [
        "Against the method's own variant with other networks in the place of the spiking ones, it costs"
        f" {_against(arithmetic)} it by arithmetic and {_against(memory)} it with memory traffic."
    ]


def _agreement(record: Record) -> list[str]:
    driven = [part for part in record["synapses"] if part["arrives"] != "floats" and part["difference"] is not None]
    weighted = [part for part in driven if part["weights"]]
    said = []
    if weighted:
        plain = max(weighted, key=lambda part: abs(part["difference"]))
        padded = max(weighted, key=lambda part: abs(part["difference_padded"]))
        said.append(
            "Rate x steps x synapses differs from the count of real spikes by at most"
            f" {percent(abs(plain['difference']), 2)} ({plain['layer']});"
            f" with taps over padding counted, as papers do, by {percent(abs(padded['difference_padded']), 2)}"
            f" ({padded['layer']}), because spikes at a border reach fewer neurons."
        )
    products = [part for part in driven if not part["weights"]]
    if products:
        worst = max(products, key=lambda part: abs(part["difference"]))
        said.append(
            f"Where spikes meet spikes it may be far off ({worst['layer']}, {worst['name']}:"
            f" {100 * worst['difference']:+.0f} %), because rates of different heads and tokens do not multiply like"
            " independent ones."
        )
    return said
