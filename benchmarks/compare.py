"""A comparison: see that the variants compute the same thing, then time them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from avzsl.errors import AvzslError
from benchmarks.clock import Call, Plan, interleave
from benchmarks.record import Comparison, Floor, Kind, Row

# Gradients and other sums may be added up in another order; spikes and decisions may not.
LIMIT = 1e-5


class DisagreementError(AvzslError):
    """Two variants of a comparison do not compute the same thing."""


@dataclass(frozen=True)
class Outcome:
    """What a variant computed, for the check.

    Attributes:
        exact: must be equal in every variant of a group.
        close: may differ by `LIMIT` of the largest number in it.
    """

    exact: Mapping[str, Any] = field(default_factory=dict)
    close: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Variant:
    """One way to compute something.

    Attributes:
        name: unique in its comparison.
        call: what is timed.
        outcome: runs it once and says what came out; None where there is nothing to compare.
        group: variants of one group must agree.
        work, kind, floor, cells: as in `Row`.
    """

    name: str
    call: Call
    outcome: Callable[[], Outcome] | None = None
    group: str = ""
    work: float = 1.0
    kind: Kind = "ours"
    floor: Floor | None = None
    cells: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """A variant that does not run here, and why."""

    name: str
    why: str
    kind: Kind = "other"


def optional(name: str, build: Callable[[], Variant]) -> Variant | Missing:
    """A variant of foreign code: built and tried once; whatever it raises is the reason why it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            variant = build()
            variant.call()
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return Missing(name, f"{type(error).__name__}: {lines[0]}"[:200])
    return replace(variant, name=name)


def compare(name: str, variants: Sequence[Variant | Missing], plan: Plan, seed: int, **settings: Any) -> Comparison:
    """Check and time variants.

    Args:
        name: a heading.
        variants: in the order of the table.
        plan: how long to measure.
        seed: of the order of the measurements.
        settings: other fields of `Comparison`.

    Raises:
        DisagreementError: variants of one group do not compute the same thing.
    """
    there = [variant for variant in variants if isinstance(variant, Variant)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # foreign code warns of its own matters, once per call
        checked = agree(name, there)
        times = interleave({variant.name: variant.call for variant in there}, plan, seed)
    rows = tuple(
        Row(v.name, None, kind=v.kind, missing=v.why)
        if isinstance(v, Missing)
        else Row(v.name, times[v.name], v.work, v.kind, v.floor, cells=v.cells)
        for v in variants
    )
    return Comparison(name, rows, checked=checked, **settings)


def agree(name: str, variants: Sequence[Variant]) -> str:
    """Compare what the variants compute with the first of their group.

    Returns:
        A sentence on what was found.

    Raises:
        DisagreementError: with both names and the size of the difference.
    """
    worst: dict[str, float] = {}
    exact: set[str] = set()
    compared = 0
    for group in dict.fromkeys(variant.group for variant in variants):
        members = [(v.name, v.outcome()) for v in variants if v.group == group and v.outcome is not None]
        for other, outcome in members[1:]:
            first, found = members[0]
            compared += 1
            for key in found.exact.keys() & outcome.exact.keys():
                exact.add(key)
                if not _equal(found.exact[key], outcome.exact[key]):
                    raise DisagreementError(f"{name}: {key} of '{other}' is not that of '{first}'; nothing was timed")
            for key in found.close.keys() & outcome.close.keys():
                gap = distance(found.close[key], outcome.close[key])
                worst[key] = max(worst.get(key, 0.0), gap)
                if not gap <= LIMIT:
                    raise DisagreementError(
                        f"{name}: {key} of '{other}' differs from '{first}' by {gap:.1e} of the largest"
                        f" (allowed: {LIMIT:g}); nothing was timed"
                    )
    if not compared:
        return ""
    return "; ".join([*_few(sorted(exact), "equal"), *_close(worst)])


def _few(names: Sequence[str], said: str) -> list[str]:
    """Each by name, or their number."""
    return [f"{name} {said}" for name in names] if len(names) <= 4 else [f"{len(names)} results {said}"]


def _close(worst: Mapping[str, float]) -> list[str]:
    if len(worst) > 4:
        return [f"{len(worst)} tensors (gradients and others) within {max(worst.values()):.0e} of the largest in each"]
    return [f"{key} within {gap:.0e} of the largest" for key, gap in sorted(worst.items())]


def distance(first: Tensor, second: Tensor) -> float:
    """The largest difference over the largest number; infinite for different shapes."""
    if first.shape != second.shape:
        return float("inf")
    largest = float(first.abs().max()) if first.numel() else 0.0
    gap = float((first.double() - second.double()).abs().max()) if first.numel() else 0.0
    return gap / largest if largest else gap


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return bool(first == second)
