"""One file for each section; `SECTIONS` holds them in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.context import Context
from benchmarks.record import Comparison
from benchmarks.sections import (
    blocks,
    evaluation,
    extraction,
    growth,
    lif,
    prediction,
    rates,
    sampling,
    steps,
    tucker,
)

# Name to (what it measures, the function that does).
SECTIONS: Mapping[str, tuple[str, Callable[[Context], list[Comparison]]]] = {
    "machine": ("The machine's own rates", rates.run),
    "lif": ("LIF neurons, forward and backward", lif.run),
    "blocks": ("The three spiking blocks of STFT", blocks.run),
    "tucker": ("Tucker fusion", tucker.run),
    "sampling": ("Class-balanced pair sampling", sampling.run),
    "steps": ("Training steps and epochs of all methods", steps.run),
    "evaluation": ("Evaluation with the bias search", evaluation.run),
    "extraction": ("Feature extraction", extraction.run),
    "prediction": ("Prediction", prediction.run),
    "growth": ("Memory, and how time grows", growth.run),
}
