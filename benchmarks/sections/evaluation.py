"""Judging 12,000 videos of 276 classes with the bias search, beside the way of the field's public code."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from avzsl.data.tables import EvaluationSet, FeatureTable, Ragged
from avzsl.decision import embedding_scores
from avzsl.evaluation.metrics import BIAS_GRID
from avzsl.evaluation.protocol import ProtocolConfig, Validation, validate, validate_scores
from avzsl.experiments.settings import assemble
from avzsl.methods import METHODS, EmbeddingMethod
from avzsl.training.loop import build_method
from avzsl.types import Dimensions
from benchmarks.compare import DisagreementError, Outcome, Variant, compare
from benchmarks.context import Context
from benchmarks.record import Comparison

CPU = torch.device("cpu")
PER_BIAS = "all clips at once, one pass for each bias, as public code does it"
# Methods whose embedding is measured along with the search: the one this package is about, and its usual rival.
EMBEDDING = ("stft", "avca")
WIDTH = 64


def run(context: Context) -> list[Comparison]:
    """With embeddings given; then with the embedding of all clips by a method."""
    clips, classes = context.pick((12000, 276), (12000, 276), (60, 8))
    evaluation = evaluation_set(context, clips, classes)
    # Embedding takes most of the time, so a quick run embeds fewer clips.
    embedded = evaluation if context.size != "quick" else evaluation_set(context, clips // 6, classes)
    return [_given(context, evaluation), *(_embedded(context, embedded, name) for name in EMBEDDING)]


def evaluation_set(context: Context, clips: int, classes: int) -> EvaluationSet:
    """Clips of VGGSound's numbers: three quarters of the classes were trained on; 512 columns, drawn."""
    columns = context.pick(512, 512, 16)
    labels = torch.arange(clips) % classes
    words = torch.nn.functional.normalize(context.normal(classes, 300, stream=3), dim=1)
    audio = words[labels] @ context.normal(300, columns, stream=4) + context.normal(clips, columns, stream=5)
    visual = words[labels] @ context.normal(300, columns, stream=6) + context.normal(clips, columns, stream=7)
    return EvaluationSet(
        FeatureTable(Ragged(audio), Ragged(visual)), labels, words, tuple(f"class {c}" for c in range(classes)),
        torch.arange(classes) < classes * 3 // 4, tuple(f"clip {n}" for n in range(clips)),
    )  # fmt: skip


def _given(context: Context, evaluation: EvaluationSet) -> Comparison:
    """From embeddings to the best bias and the numbers at it."""
    centres = context.normal(len(evaluation.seen), WIDTH, stream=1)
    rows = centres[evaluation.labels] + 2 * context.normal(len(evaluation), WIDTH, stream=2)
    # In float64 no form's rounding can move a decision, so that all of them must find the same curve.
    wide, wide_centres = rows.double(), centres.double()

    def ours(search: Literal["grid", "exact"], x: Tensor, c: Tensor) -> Validation:
        config = ProtocolConfig(bias_search=search)
        return validate_scores({"both": embedding_scores(x, c)}, evaluation.labels, evaluation.seen, config)

    def outcome() -> Outcome:
        found = ours("grid", wide, wide_centres)
        exact = ours("exact", wide, wide_centres)
        if not exact.gzsl.hm >= found.gzsl.hm - 1e-12:
            raise DisagreementError(f"the exact search found HM {exact.gzsl.hm}, the grid {found.gzsl.hm}")
        curve = {"seen": found.curve.seen, "unseen": found.curve.unseen, "HM": found.curve.hm}
        return Outcome({"best bias": found.curve.best}, curve)

    def plain_outcome() -> Outcome:
        seen, unseen, hm, best = curve_per_bias(wide, wide_centres, evaluation.labels, evaluation.seen)
        return Outcome({"best bias": best}, {"seen": seen, "unseen": unseen, "HM": hm})

    variants = [
        Variant("avzsl, grid", partial(ours, "grid", rows, centres), outcome),
        Variant("avzsl, exact", partial(ours, "exact", rows, centres)),
        Variant(
            PER_BIAS,
            partial(curve_per_bias, rows, centres, evaluation.labels, evaluation.seen),
            plain_outcome,
            kind="other",
        ),
    ]
    return compare(
        f"{len(evaluation):,} clips x {len(evaluation.seen)} classes, embeddings of {WIDTH} given", variants,
        context.plan, context.seed, reference="avzsl, grid",
    )  # fmt: skip


def _embedded(context: Context, evaluation: EvaluationSet, name: str) -> Comparison:
    """From features to the numbers, with a method that was not trained: its time does not depend on its weights."""
    features = evaluation.features
    assert features.audio is not None and features.visual is not None
    sizes = Dimensions(features.audio.data.shape[1], features.visual.data.shape[1], evaluation.classes.shape[1])
    kind, settings = METHODS.get(name), assemble(name, preset="ucf")
    method = build_method(lambda: kind(settings.config, sizes), context.seed, CPU).eval()
    assert isinstance(method, EmbeddingMethod)

    def per_bias() -> object:
        with torch.inference_mode():
            rows, classes = method.embed_clips(features.clips()), method.embed_classes(evaluation.classes)
            return curve_per_bias(rows, classes, evaluation.labels, evaluation.seen)

    def embeddings(blocks: int) -> Outcome:
        """Both ways embed alike: a few clips, in one block or in several."""
        few = features.span(0, min(len(evaluation), 600))
        with torch.inference_mode():
            rows = [method.embed_clips(few.span(s, s + blocks).clips()) for s in range(0, len(few), blocks)]
        return Outcome(close={"embeddings": torch.cat(rows)})

    variants = [
        Variant(f"avzsl, {search}", partial(validate, method, evaluation, ProtocolConfig(bias_search=search)),
                partial(embeddings, 100) if search == "grid" else None)
        for search in ("grid", "exact")
    ]  # fmt: skip
    variants.append(Variant(PER_BIAS, per_bias, partial(embeddings, 600), kind="other"))
    plan = replace(context.plan, fewest=min(3, context.plan.fewest))
    return compare(
        f"{len(evaluation):,} clips x {len(evaluation.seen)} classes, embedded by {name}", variants, plan, context.seed,
        reference="avzsl, grid",
    )  # fmt: skip


def curve_per_bias(
    clips: Tensor, classes: Tensor, labels: Tensor, seen: Tensor
) -> tuple[Tensor, Tensor, Tensor, float]:
    """The published grid the long way: distances, decisions and a loop over the classes, all of it for every bias.

    Returns:
        S, U and HM of each bias [16] float64, and the bias of the first best HM.
    """
    curve = []
    for bias in BIAS_GRID:
        distances = torch.cdist(clips, classes)
        decided = (distances + bias * seen).argmin(dim=1)
        recalls: dict[bool, list[float]] = {True: [], False: []}
        for c in range(len(classes)):
            of_class = labels == c
            if of_class.any():
                recalls[bool(seen[c])].append(float((decided[of_class] == c).double().mean()))
        s, u = (sum(recalls[part]) / len(recalls[part]) for part in (True, False))
        curve.append((s, u, 2 * s * u / (s + u + 2.2e-16)))
    found = torch.tensor(curve, dtype=torch.float64)
    return found[:, 0], found[:, 1], found[:, 2], BIAS_GRID[int(found[:, 2].argmax())]
