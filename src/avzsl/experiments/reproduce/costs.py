"""Table X: parameters and operations, counted on the sizes of the paper's features; nothing is trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from avzsl.data.family import PUBLISHED_SIZES
from avzsl.experiments.reproduce.context import Context, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.numbers import judge
from avzsl.experiments.reproduce.panels import heading
from avzsl.experiments.reproduce.published import Published, PublishedRow, benchmark_title, published
from avzsl.experiments.settings import assemble
from avzsl.methods._base import METHODS
from avzsl.methods._profile import TABLE_PAIRS, profile, random_batch
from avzsl.types import Dimensions

BENCHMARK = "vggsound"
# word2vec, the text vectors of the paper.
TEXT = 300
# Share of the paper's count within which ours counts as the same model: sizes that the paper leaves open fit in it.
BAND = 0.10
RULE = (
    f"A count is within the band when it differs from the paper's by at most {BAND:.0%}. Parameters are trainable"
    " numbers. Operations are those of matrix products, convolutions and attention in one training forward pass,"
    f" positives and negatives, over {TABLE_PAIRS} pairs, at 2 for each multiply-add: the rule under which AVCA's"
    " public code costs what the table prints. The paper states no rule."
)
_MILLION, _BILLION = 1e6, 1e9


@dataclass(frozen=True)
class CostTable:
    """Parameters and operations of the paper's methods."""

    name: str = "table10"

    def trainings(self, context: Context) -> Sequence[Training]:
        """None: counting needs no data."""
        return ()

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """Count every row, in the sizes of the paper's features."""
        item = published(self.name)
        columns = ("parameters", "gflops", "clip")
        panel = {
            "label": benchmark_title(BENCHMARK), "title": "", "paper": benchmark_title(BENCHMARK),
            "comparable": True, "reasons": [], "columns": list(columns),
            "rows": [self._row(item, row, context) for row in item.rows],
            "facts": [
                ["sizes", f"{PUBLISHED_SIZES['main'][0]} audio, {PUBLISHED_SIZES['main'][1]} visual, {TEXT} text"],
                ["preset", BENCHMARK], ["mode", context.request.mode or "as presets say"],
                ["batch", f"{TABLE_PAIRS} random pairs of one segment"],
            ],
            "chance": None, "orders": [], "pairs": {},
            "notes": [
                "S, U, HM and ZSL of this table are those of Table II on VGGSound; table2 works them out.",
                *(f"{METHODS.get(row.key).title}: {METHODS.get(row.key).note}" for row in item.rows
                  if METHODS.get(row.key).note),
            ],
        }  # fmt: skip
        # Nothing is trained, so what is quick about a run does not touch it.
        return {"kind": "results", "panels": [panel], "rules": [RULE]} | heading(item, context) | {"quick": False}

    def _row(self, item: Published, row: PublishedRow, context: Context) -> dict[str, Any]:
        counted = count(row.key, context.request.mode)
        scale = {"parameters": _MILLION, "gflops": 1.0}
        scores = {}
        for name, ours in counted.items():
            printed = item.number_of(row.key, BENCHMARK, name)
            printed = None if printed is None else printed / scale[name]
            scores[name] = cost(ours, printed)
        return {
            "key": row.key, "label": row.label, "method": row.key, "settings": [], "preset": BENCHMARK,
            "reference": row.key == item.full[BENCHMARK], "reason": "", "done": 1, "scores": scores,
        }  # fmt: skip


def cost(ours: float, printed: float | None) -> dict[str, Any]:
    """A count beside the paper's."""
    difference = band = None
    verdict = ""
    if printed is not None:
        difference, band = round(ours - printed, 6), round(BAND * printed, 6)
        verdict = judge(difference, band)
    return {
        "published": printed, "mean": round(ours, 6), "sd": None, "values": {}, "difference": difference, "band": band,
        "verdict": verdict,
    }  # fmt: skip


def count(method: str, mode: str | None = None) -> dict[str, float]:
    """Parameters in millions, training operations in billions, and operations for one clip in millions."""
    chosen = assemble(method, preset=BENCHMARK, options={"protocol": {"mode": mode}})
    dimensions = Dimensions(*PUBLISHED_SIZES["main"], TEXT)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = profile(METHODS.get(method)(chosen.config, dimensions), random_batch(dimensions))
    return {
        "parameters": found.parameters / _MILLION,
        "gflops": found.training / _BILLION,
        "clip": found.inference / _MILLION,
    }


ITEMS.register("table10")(CostTable())
