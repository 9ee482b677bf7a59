"""Beyond the paper (its future work, Sec. IV-H): what the adaptive rank costs and scores against fixed ranks.

One training with `rank=adaptive` serves at every smaller rank, or at the rank that each clip's spikes ask for; beside
it stand models that were trained at a fixed rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from avzsl.data.tables import EvaluationSet
from avzsl.evaluation.protocol import judge, score_evaluation_set
from avzsl.experiments.evaluate import load_as_trained
from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import SCORES, heading
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.space import about
from avzsl.experiments.result import percent
from avzsl.experiments.settings import assemble
from avzsl.methods._base import METHODS, Method
from avzsl.methods._checkpoint import ModelCard, load_model
from avzsl.methods._profile import count_flops

# Shares of the largest rank that the adaptive model is served at, and that fixed models are trained at.
SERVED = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
TRAINED = (1 / 4, 1 / 2, 1.0)
ADAPTIVE, SERVING = "adaptive", "serving_rank"
_CHUNK = 512


@dataclass(frozen=True)
class RankStudy:
    """Rows of three kinds: served at a rank, by clip, trained at a rank."""

    name: str = "rank"

    def trainings(self, context: Context) -> Sequence[Training]:
        """One adaptive and some fixed ranks, all seeds; a quick run has the largest fixed one alone."""
        return [
            training
            for place in context.places(published(self.name))
            for own in (adaptive(context, place), *fixed(context, place).values())
            for training in own
        ]

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """Serve the trained models and count their operations."""
        item = published(self.name)
        panels = [self._panel(context, found, place) for place in context.places(item)]
        return {"kind": "rank", "panels": panels} | heading(item, context)

    def _panel(self, context: Context, found: Found, place: Place) -> dict[str, Any]:
        own = adaptive(context, place)
        done = [t for t in own if found.result(t) is not None]
        panel = about(place, found) | {
            "method": SUBJECT, "largest": largest_rank(context, place), "rows": [], "used": {},
            "reason": next((found.reason(t) for t in own if found.result(t) is None), ""),
        }  # fmt: skip
        served: dict[int, list[dict[str, Any]]] = {}
        used: dict[str, dict[str, float]] = {}
        for training in done:
            method, card = load_model(context.run_folder(training), "cpu")
            test = load_as_trained(card, place.path, trust=context.request.trust).evaluation(2)
            for rank in (*shares(panel["largest"], SERVED), 0):
                served.setdefault(rank, []).append(serve(method, card, test, rank) | {"seed": training.seed})
            used[str(training.seed)] = ranks_used(method, test)
        rows = [_row("served" if rank else "clip", rank, results) for rank, results in served.items()]
        for row in rows:
            if row["kind"] == "clip":
                row["rank"] = sum(u["mean"] for u in used.values()) / len(used)
        for rank, trainings in fixed(context, place).items():
            results = [self._trained(context, found, t) for t in trainings if found.result(t) is not None]
            if results:
                rows.append(_row("trained", rank, results))
        return panel | {"rows": rows, "used": used}

    def _trained(self, context: Context, found: Found, training: Training) -> dict[str, Any]:
        result = found.result(training)
        assert result is not None
        method, _ = load_model(context.run_folder(training), "cpu")
        benchmark = training.place.benchmark
        scores = {name: result[name] for name in SCORES}
        return {"seed": training.seed, "scores": scores, "operations": operations(method, benchmark.evaluation(2))}


def largest_rank(context: Context, place: Place) -> int:
    """The rank of the model as the settings have it."""
    choice = context.choice(context.trainings(place, SUBJECT)[0])
    if choice.reason:
        return 0
    settings = assemble(SUBJECT, preset=choice.preset, assignments=choice.assignments, options=choice.options)
    return int(settings.config.core_rank)


def adaptive(context: Context, place: Place) -> tuple[Training, ...]:
    """The training that serves at every rank, one per seed."""
    return context.trainings(place, SUBJECT, f"rank={ADAPTIVE}", f"largest_rank={largest_rank(context, place)}")


def fixed(context: Context, place: Place) -> dict[int, tuple[Training, ...]]:
    """Trainings at a fixed rank; the largest is the model of the tables, and is shared with them."""
    largest = largest_rank(context, place)
    ranks = shares(largest, TRAINED[-1:] if context.quick else TRAINED)
    return {rank: context.trainings(place, SUBJECT, *([] if rank == largest else [f"rank={rank}"])) for rank in ranks}


def shares(largest: int, parts: Sequence[float]) -> list[int]:
    """Ranks from 1 upwards, each once."""
    return sorted({max(1, round(part * largest)) for part in parts})


def serve(method: Method, card: ModelCard, test: EvaluationSet, rank: int) -> dict[str, Any]:
    """Scores in percent and operations per clip of an adaptive model at one rank; 0 = at the rank of each clip.

    The bias is that of the run, chosen with the ranks of the clips.
    """
    served = METHODS.get(card.method)(replace(method.config, **{SERVING: rank}), card.dimensions)
    served.load_state_dict(method.state_dict())
    served.eval()
    gzsl = judge(score_evaluation_set(served, test, chunk=_CHUNK), test.labels, test.seen, card.bias)
    counted: dict[str, float] = {**operations(served, test)}
    if rank == 0:
        counted |= by_clip(served, test)
    return {"scores": {name: percent(getattr(gzsl, name)) for name in SCORES}, "operations": counted}


def operations(method: Any, test: EvaluationSet) -> dict[str, int]:
    """FLOPs of one clip: of the fusion and of everything, counted while the model runs."""
    method.eval()
    one = test.features.clips(torch.tensor([0]))
    with torch.no_grad():
        counts, _ = count_flops(method, lambda: method.embed_clips(one))
    return {"fusion": counts.get("fusion", 0), "whole": sum(counts.values())}


def by_clip(method: Any, test: EvaluationSet) -> dict[str, float]:
    """What a clip costs where each is fused at its own rank, and what finding that rank costs.

    The model itself masks components, so that clips of different ranks share a batch; that saves nothing. What could
    be saved is counted from the ranks: `own_fusion`. `judging` is the projection of every time step and the matrix
    whose eigenvalues are looked at (the eigenvalues themselves are not counted).
    """
    largest = replace(method.config, **{SERVING: method.config.core_rank})
    plain = type(method)(largest, method.dimensions)
    judging = operations(method, test)["whole"] - operations(plain, test)["whole"]
    per_rank: dict[int, int] = {}
    total, clips = 0, 0
    for kept in _kept(method, test):
        for rank in kept:
            if rank not in per_rank:
                fusion = next(iter(method.fusion.values()))
                per_rank[rank] = _fusion_flops(fusion, rank)
            total += per_rank[rank]
        clips += len(kept)
    return {"judging": judging, "own_fusion": total * len(method.fusion) / clips}


def _fusion_flops(fusion: Any, rank: int) -> int:
    """Closed form: three projections, the core as a matrix product, the second product with it."""
    factors = (fusion.semantic_factor, fusion.temporal_factor, fusion.output_factor)
    return 2 * (rank * sum(int(factor.shape[0]) for factor in factors) + rank**3 + rank**2)


def _kept(method: Any, test: EvaluationSet) -> list[list[int]]:
    """Components that each modality of each clip uses."""
    found: list[list[int]] = []
    with torch.inference_mode():
        for start in range(0, len(test), _CHUNK):
            block = test.features.span(start, min(start + _CHUNK, len(test))).clips()
            for modality in ("audio", "visual"):
                if getattr(block, modality) is not None:
                    found.append([round(v) for v in method.components_used(block.only(modality)).tolist()])
    return found


def ranks_used(method: Any, test: EvaluationSet) -> dict[str, float]:
    """Mean, least and most components that the clips ask for, over modalities and clips."""
    method.eval()
    values = [rank for kept in _kept(method, test) for rank in kept]
    return {"mean": sum(values) / len(values), "least": min(values), "most": max(values)}


def _row(kind: str, rank: float, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    keys = results[0]["operations"]
    return {
        "kind": kind, "rank": rank,
        "scores": {name: {str(r["seed"]): r["scores"][name] for r in results} for name in SCORES},
        "operations": {key: sum(r["operations"][key] for r in results) / len(results) for key in keys},
    }  # fmt: skip


ITEMS.register("rank")(RankStudy())
