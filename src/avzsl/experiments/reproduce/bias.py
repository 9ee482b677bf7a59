"""Beyond the paper: HM against the bias, with the point that validation chose and the one the test would choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from avzsl.evaluation.metrics import bias_curve, evaluate_scores, exact_best_bias
from avzsl.experiments.evidence import Evidence, read_evidence
from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import heading
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.space import about
from avzsl.experiments.result import percent

POINTS = 201
# Beyond the outermost of the two marked points, as a share of their distance from 0.
_MARGIN = 0.4


@dataclass(frozen=True)
class BiasStudy:
    """The curve of every seed."""

    name: str = "bias"

    def trainings(self, context: Context) -> Sequence[Training]:
        """All seeds."""
        return [t for place in context.places(published(self.name)) for t in context.trainings(place, SUBJECT)]

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """Curves on the test set, only to be looked at: nothing is chosen on them."""
        item = published(self.name)
        panels = [self._panel(context, found, place) for place in context.places(item)]
        return {"kind": "bias", "panels": panels} | heading(item, context)

    def _panel(self, context: Context, found: Found, place: Place) -> dict[str, Any]:
        trainings = context.trainings(place, SUBJECT)
        done = [t for t in trainings if found.result(t) is not None]
        reason = next((found.reason(t) for t in trainings if found.result(t) is None), "")
        runs = [{"seed": t.seed, **curve_of(read_evidence(context.run_folder(t)))} for t in done]
        return about(place, found) | {"method": SUBJECT, "reason": reason, "runs": runs}


def curve_of(evidence: Evidence) -> dict[str, Any]:
    """S, U and HM in percent at evenly spaced biases and at the two marked ones; what stands at those and at 0."""
    scores, labels, seen = evidence.scores, evidence.labels, evidence.seen
    best, _ = exact_best_bias(scores, labels, seen)
    low, high = min(0.0, evidence.bias, best), max(0.0, evidence.bias, best)
    margin = _MARGIN * (high - low or 1.0)
    grid = torch.cat([torch.linspace(low - margin, high + margin, POINTS).double(), _exact([evidence.bias, best, 0.0])])
    curve = bias_curve(scores, labels, seen, torch.unique(grid))
    marks = {"chosen": evidence.bias, "best": best, "none": 0.0}
    return {
        "curve": {
            "bias": curve.grid.tolist(),
            **{name: [percent(v) for v in getattr(curve, name).tolist()] for name in ("seen", "unseen", "hm")},
        },
        "marks": {name: _at(evidence, bias) for name, bias in marks.items()},
    }  # fmt: skip


def _exact(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _at(evidence: Evidence, bias: float) -> dict[str, float]:
    found = evaluate_scores(evidence.scores, evidence.labels, evidence.seen, bias, evidence.zsl_scores)
    return {"bias": bias} | {name: percent(getattr(found, name)) for name in ("seen", "unseen", "hm")}


ITEMS.register("bias")(BiasStudy())
