"""How long one answer takes, and how many answers come in a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from avzsl.decision import decide
from avzsl.features.clips import media_files
from avzsl.predict.predictor import Prediction, Predictor
from avzsl.types import Clips
from benchmarks.compare import Missing, Outcome, Variant, compare
from benchmarks.context import Context
from benchmarks.footage import extractor, model, world
from benchmarks.record import Comparison


def run(context: Context) -> list[Comparison]:
    """Latency for one, throughput for many; from files and from features."""
    predictor = Predictor.open(model(context))
    files = media_files([world(context)[0]])[: context.pick(24, 12, 3)]
    features = [extractor().extract(path) for path in files]
    names = [found.name for found in predictor.predict(files)]
    one, clip = files[0], features[0]

    def from_features() -> list[Prediction]:
        return [predictor.predict_features(found) for found in features]

    def best(call: Callable[[], Sequence[Prediction]]) -> Outcome:
        return Outcome({"best classes": [found.name for found in call()]})

    latency: list[Variant | Missing] = [
        Variant("one video file", partial(predictor.predict, one), lambda: best(lambda: predictor.predict(one))),
        Variant(
            "one clip, features given", partial(predictor.predict_features, clip),
            lambda: best(lambda: [predictor.predict_features(clip)]),
        ),
    ]  # fmt: skip
    throughput: list[Variant | Missing] = [
        Variant(
            name, partial(predictor.predict, files, workers=workers),
            partial(best, partial(predictor.predict, files, workers=workers)), work=len(files),
        )
        for workers, name in ((0, "files, in this process"), (1, "files, 1 worker"), (2, "files, 2 workers"))
    ]  # fmt: skip
    throughput.append(
        Variant("features given, clip by clip", from_features, partial(best, from_features), work=len(files))
    )
    block = context.pick(512, 512, 8)
    throughput.append(_in_blocks(predictor, [features[n % len(features)] for n in range(block)], names))
    many = replace(context.plan, warmups=1, fewest=min(3, context.plan.fewest))
    return [
        compare("latency", latency, context.plan, context.seed, reference="one clip, features given"),
        compare(
            f"throughput, {len(files)} files", throughput, many, context.seed, unit="videos/s", scale=1.0, rate=True,
            notes=("Child processes start anew in every call.",),
        ),
    ]  # fmt: skip


def _in_blocks(predictor: Predictor, features: list, names: list[str | None]) -> Variant:  # type: ignore[type-arg]
    """Features of many clips as one block: what the model can do when nothing else costs time."""
    blocks = [predictor._clips(found) for found in features]
    audio, visual = ([getattr(b, m) for b in blocks] for m in ("audio", "visual"))
    clips = Clips(torch.cat(audio), torch.cat(visual))
    chosen = predictor.candidates()
    scorer = predictor._scorer(chosen)

    def call() -> torch.Tensor:
        with torch.inference_mode():
            return decide(scorer(clips)["both"], chosen.seen, predictor.card.bias)

    def outcome() -> Outcome:
        found = [chosen.names[int(c)] for c in call()]
        # The block repeats the files; compare them once.
        return Outcome({"best classes": found[: len(names)]} if len(found) >= len(names) else {})

    return Variant(f"features given, {len(features)} in one block", call, outcome, work=len(features))
