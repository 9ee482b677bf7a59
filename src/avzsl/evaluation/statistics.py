"""How far the numbers of a result can be trusted: bootstrap intervals over classes, and over the clips within them.

All scores are means over classes, so the class is the unit that is drawn again. An interval answers: what would these
trained models have scored on other classes (or clips) of the same kind? The spread between seeds is another question
and stands beside it as a standard deviation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avzsl.decision import decide
from avzsl.errors import DataError, SettingError, nearest_name
from avzsl.evaluation.metrics import _EPSILON

Array = NDArray[Any]
Level = Literal["classes", "clips", "both"]
SCORES = ("seen", "unseen", "hm", "zsl")
DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Decisions:
    """What M runs got right on the same N clips of C classes.

    Attributes:
        labels: [N] int64, column of each clip's class.
        seen: [C] bool.
        right: [M, N] bool, decided right with all classes as candidates.
        zsl_right: [M, N] bool, decided right among unseen classes; False for clips of seen classes.
    """

    labels: Array
    seen: Array
    right: Array
    zsl_right: Array

    @property
    def runs(self) -> int:
        """M."""
        return len(self.right)

    def classes(self, seen: bool) -> Array:
        """Columns of the seen (or unseen) classes that have clips, [C_part] int64."""
        there = np.bincount(self.labels, minlength=len(self.seen)) > 0
        return np.flatnonzero(there & (self.seen == seen))


@dataclass(frozen=True)
class Interval:
    """A number with the range that `confidence` of the resampled values fall into (percentiles)."""

    value: float
    low: float
    high: float


def decisions_of(
    scores: Tensor, labels: Tensor, seen: Tensor, bias: float, zero_shot: Tensor | None = None
) -> Decisions:
    """The decisions of one run, by the rule of `evaluate_scores`.

    Args:
        scores: [N, C], higher is better.
        labels: [N] int64.
        seen: [C] bool.
        bias: taken off the scores of seen classes.
        zero_shot: [N, C], scores that decide among unseen classes; None = `scores`.

    Raises:
        DataError: no clip of a seen class, or none of an unseen one.
        ModelError: a score is not a number.
    """
    of_unseen = ~seen[labels]
    if not of_unseen.any() or of_unseen.all():
        raise DataError("clips of seen and of unseen classes are needed for intervals")
    right = decide(scores, seen, bias) == labels
    among = scores if zero_shot is None else zero_shot
    alone = decide(among, seen, 0.0, candidates=~seen) == labels  # never so for a clip of a seen class
    return Decisions(labels.numpy(), seen.numpy(), right.numpy()[None], alone.numpy()[None])


def join(decisions: Sequence[Decisions]) -> Decisions:
    """Runs on the same clips, in the same order, as one record.

    Raises:
        DataError: the clips or classes differ.
    """
    first = decisions[0]
    for other in decisions[1:]:
        if not (np.array_equal(first.labels, other.labels) and np.array_equal(first.seen, other.seen)):
            raise DataError("runs on different clips or classes cannot be joined")
    right = np.concatenate([d.right for d in decisions])
    return Decisions(first.labels, first.seen, right, np.concatenate([d.zsl_right for d in decisions]))


def recalls(decisions: Decisions) -> tuple[Array, Array]:
    """Recall per run and class, [M, C] float64: with all classes, and with unseen ones alone; NaN where undefined."""
    counts = np.bincount(decisions.labels, minlength=len(decisions.seen)).astype(float)
    member = np.eye(len(decisions.seen))[decisions.labels]  # [N, C]
    with np.errstate(invalid="ignore"):
        every = decisions.right @ member / counts
        unseen = decisions.zsl_right @ member / counts
    return every, np.where(decisions.seen, np.nan, unseen)


def harmonic(seen: Array, unseen: Array) -> Array:
    """HM as `metrics.harmonic_mean` defines it, on arrays."""
    return 2 * seen * unseen / (seen + unseen + _EPSILON)


def scores_of(decisions: Decisions) -> dict[str, Array]:
    """S, U, HM and ZSL of each run as fractions, [M] float64 each."""
    every, alone = recalls(decisions)
    seen, unseen = decisions.classes(True), decisions.classes(False)
    s, u = every[:, seen].mean(1), every[:, unseen].mean(1)
    return {"seen": s, "unseen": u, "hm": harmonic(s, u), "zsl": alone[:, unseen].mean(1)}


def resample(
    decisions: Decisions, generator: np.random.Generator, draws: int = DRAWS, level: Level = "classes"
) -> dict[str, Array]:
    """The four scores of each run on resampled test sets, [draws, M] float64 each.

    All runs meet the same resampled set, so differences between them are paired. Seen and unseen classes are drawn
    apart, each as many as there are.

    Args:
        decisions: of M runs.
        generator: source of randomness.
        draws: how many test sets.
        level: `"classes"` draws classes with all their clips; `"clips"` keeps the classes and draws clips within each;
            `"both"` draws classes, then clips within each (wider than either: the recalls of the classes carry the
            chance of their clips already).

    Raises:
        SettingError: unknown level, or no draws.
    """
    if level not in get_args(Level):
        raise SettingError(f"unknown level '{level}'{nearest_name(level, get_args(Level))}")
    if draws < 1:
        raise SettingError(f"draws is {draws}; it must be at least 1")
    runs = decisions.runs
    s = _resample_part(decisions, decisions.right, True, generator, draws, level)
    both = np.concatenate([decisions.right, decisions.zsl_right])
    unseen = _resample_part(decisions, both, False, generator, draws, level)
    u, zsl = unseen[:, :runs], unseen[:, runs:]
    return {"seen": s, "unseen": u, "hm": harmonic(s, u), "zsl": zsl}


def _resample_part(
    decisions: Decisions, values: Array, seen: bool, generator: np.random.Generator, draws: int, level: Level
) -> Array:
    """Mean recall of seen or unseen classes, [draws, K], for values [K, N]."""
    classes = decisions.classes(seen)
    count = len(classes)
    times = np.ones((draws, count), dtype=np.int64)
    if level != "clips":
        times = generator.multinomial(count, np.full(count, 1 / count), size=draws)
    total = np.zeros((draws, len(values)))
    for place, column in enumerate(classes):
        own = values[:, decisions.labels == column]
        clips = own.shape[1]
        if level == "classes":
            total += np.outer(times[:, place], own.mean(1))
            continue
        # Clips with the same row of rights and wrongs are interchangeable: how often each pattern comes is multinomial.
        patterns, sizes = np.unique(own, axis=1, return_counts=True)
        drawn = generator.multinomial(times[:, place] * clips, sizes / clips)  # [draws, patterns]
        total += drawn @ patterns.T / clips
    return total / count


def intervals(
    decisions: Decisions,
    generator: np.random.Generator,
    draws: int = DRAWS,
    level: Level = "classes",
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Each score, as the mean over the runs, with its percentile interval.

    Args:
        decisions: of M runs, such as the seeds of one method.
        generator: source of randomness.
        draws: resampled test sets.
        level: what is drawn, see `resample`.
        confidence: share of resampled values inside.
    """
    drawn = resample(decisions, generator, draws, level)
    return {
        name: interval_of(values.mean(), drawn[name].mean(1), confidence)
        for name, values in scores_of(decisions).items()
    }


def interval_of(value: float, drawn: Array, confidence: float = CONFIDENCE) -> Interval:
    """The percentile interval of resampled values [draws]."""
    if not 0 < confidence < 1:
        raise SettingError(f"confidence is {confidence}; it must lie between 0 and 1")
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(value), float(low), float(high))


def as_percent(found: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """For JSON: `value`, `low` and `high` in percent."""
    return {
        name: {key: round(100 * getattr(i, key), 4) for key in ("value", "low", "high")} for name, i in found.items()
    }
