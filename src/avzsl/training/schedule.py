"""Learning rates, one per epoch: constant, reduced on a plateau, or replayed.

The plateau rule is the benchmark's (docs/protocol.md section 7.4): fed once per epoch with the validation HM; after
more than 3 epochs without a relative improvement of 1e-4 the rate is divided by 10.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

FACTOR = 0.1
PATIENCE = 3
THRESHOLD = 1e-4
# A change smaller than this is not made; keeps a long plateau from shrinking the rate for ever.
SMALLEST_CHANGE = 1e-8


@dataclass(frozen=True)
class Plateau:
    """State of the plateau rule.

    Attributes:
        rate: the learning rate of the next epoch.
        best: best value so far; None before the first.
        waited: epochs since then.
    """

    rate: float
    best: float | None = None
    waited: int = 0

    def after(self, value: float) -> Plateau:
        """The state once an epoch with this validation value (higher is better) is over."""
        if self.best is None or value > self.best * (1 + THRESHOLD):
            return replace(self, best=value, waited=0)
        if self.waited < PATIENCE:
            return replace(self, waited=self.waited + 1)
        lower = self.rate * FACTOR
        return replace(self, waited=0, rate=lower if self.rate - lower > SMALLEST_CHANGE else self.rate)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"rate": self.rate, "best": self.best, "waited": self.waited}
