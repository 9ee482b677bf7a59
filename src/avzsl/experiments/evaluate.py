"""Judge a stored model again, on its own data or on other data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from avzsl.data.splits import Benchmark, load_benchmark
from avzsl.data.tables import EvaluationSet
from avzsl.errors import ModelError
from avzsl.evaluation.metrics import zsl_chance
from avzsl.evaluation.protocol import judge, score_evaluation_set
from avzsl.experiments.result import percent
from avzsl.experiments.run import choose_device, clip_hash
from avzsl.methods._base import Method
from avzsl.methods._checkpoint import ModelCard, check_extractor, load_model


@dataclass(frozen=True)
class Reevaluation:
    """A stored model judged again.

    Attributes:
        run: the run folder.
        benchmark: name of the data it was judged on.
        seen, unseen, hm, zsl, zsl_chance: in percent.
        bias: the stored one.
        fingerprint: of the data.
        same_data: whether these are the data it was trained on.
        evaluated: hash of the names of the judged clips.
        clips: how many were judged.
    """

    run: str
    method: str
    benchmark: str
    seen: float
    unseen: float
    hm: float
    zsl: float
    zsl_chance: float
    bias: float
    fingerprint: str
    same_data: bool
    evaluated: str
    clips: int


def load_as_trained(card: ModelCard, data: Path | str, *, trust: bool = False, trusted: bool = False) -> Benchmark:
    """Load a benchmark folder in the form a model was trained on: family, segments, text vectors.

    Raises:
        DataError: the benchmark is damaged, or lacks that form.
    """
    return load_benchmark(
        data,
        family=card.family,
        temporal=card.temporal,
        mode=card.mode,
        text_assignment="by_sorted_rank" if card.quirks.get("text_by_rank") else "by_name",
        text_lookup="by_set_order" if card.quirks.get("text_by_set_order") else "by_id",
        trust=trust,
        max_segments=card.max_segments,
        trusted=trusted,
    )


class Opened(NamedTuple):
    """A stored model, what it was trained on, and a test set that it can judge."""

    method: Method
    card: ModelCard
    benchmark: Benchmark
    test: EvaluationSet


def open_with_test_set(
    run: Path | str, data: Path | str, *, device: torch.device, trust: bool = False, trusted: bool = False
) -> Opened:
    """Load the model of a run and the test set of a benchmark folder, which must fit each other.

    `trust` and `trusted` as in `load_benchmark`.

    Raises:
        ModelError: no model there; or features, text vectors or classes that it cannot judge.
        DataError: the benchmark is damaged.
    """
    method, card = load_model(Path(run), device)
    benchmark = load_as_trained(card, data, trust=trust, trusted=trusted)
    _check_fits(card, benchmark)
    return Opened(method, card, benchmark, _with_seen_of(card, benchmark.evaluation(2)))


def evaluate_run(
    run: Path | str, data: Path | str, *, device: str = "auto", trust: bool = False, trusted: bool = False
) -> Reevaluation:
    """Judge the model of a run on the test set of a benchmark folder, with the bias stored in it.

    `trust` and `trusted` as in `load_benchmark`.

    Raises:
        ModelError: no model there; or features, text vectors or classes that it cannot judge.
        DataError: the benchmark is damaged.
    """
    where = choose_device(device)
    method, card, benchmark, test = open_with_test_set(run, data, device=where, trust=trust, trusted=trusted)
    scores = score_evaluation_set(method, test, device=where)
    gzsl = judge(scores, test.labels, test.seen, card.bias)
    return Reevaluation(
        run=str(run),
        method=card.method,
        benchmark=benchmark.name,
        seen=percent(gzsl.seen),
        unseen=percent(gzsl.unseen),
        hm=percent(gzsl.hm),
        zsl=percent(gzsl.zsl),
        zsl_chance=percent(zsl_chance(test.seen)),
        bias=card.bias,
        fingerprint=benchmark.fingerprint,
        same_data=benchmark.fingerprint == card.fingerprint,
        evaluated=clip_hash(test),
        clips=len(test),
    )


def _check_fits(card: ModelCard, benchmark: Benchmark) -> None:
    check_extractor(card, benchmark.identity, str(benchmark.root))
    if benchmark.classes.encoder != card.classes.encoder:
        raise ModelError(
            f"{benchmark.root}: class names were encoded by '{benchmark.classes.encoder}', the model was trained on "
            f"'{card.classes.encoder}'; extract the data with the model's text encoder"
        )
    if benchmark.dimensions != card.dimensions:
        raise ModelError(
            f"{benchmark.root} has {benchmark.dimensions}, the model was built for {card.dimensions};"
            " extract the data in the same way or train a model on them"
        )


def _with_seen_of(card: ModelCard, test: EvaluationSet) -> EvaluationSet:
    """Which classes the *model* was trained on; another benchmark may call other ones seen."""
    trained = {name for name, seen in zip(card.classes.names, card.seen, strict=True) if seen}
    seen = torch.tensor([name in trained for name in test.class_names])
    if not torch.equal(seen, test.seen):
        changed = int((seen != test.seen).sum())
        warnings.warn(
            f"{changed} class(es) count as seen or unseen by what the model was trained on, not by these data",
            stacklevel=4,
        )
    return replace(test, seen=seen)
