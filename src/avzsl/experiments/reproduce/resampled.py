"""How far a difference between two rows reaches beyond the classes it was measured on: a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avzsl.errors import AvzslError
from avzsl.evaluation.statistics import Decisions, interval_of, join, resample
from avzsl.experiments.evidence import read_evidence
from avzsl.experiments.reproduce.context import Training
from avzsl.experiments.reproduce.items import Found

# The same resampled classes for every pair of rows, so that the same command gives the same record.
_SEED = 0
Range = tuple[float, float]


class Resampled:
    """Differences of two rows on resampled test classes; what a run decided is read once.

    Args:
        found: what became of the trainings.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self._read: dict[Path, Decisions | None] = {}

    def difference(self, better: Sequence[Training], worse: Sequence[Training]) -> dict[str, Range]:
        """95 % interval of `better` minus `worse` in percent, mean over the seeds that both have, by score.

        Both sides meet the same classes, drawn again with replacement, seen and unseen ones apart. Empty where no seed
        has both, or the two were judged on different clips.
        """
        if not self.same_clips(better, worse):
            return {}
        pairs = [(self._decisions(one), self._decisions(two)) for one, two in zip(better, worse, strict=True)]
        both = [(one, two) for one, two in pairs if one is not None and two is not None]
        if not both:
            return {}
        try:
            joined = join([one for one, _ in both] + [two for _, two in both])
        except AvzslError:
            return {}
        drawn = resample(joined, np.random.default_rng(_SEED))
        found = {}
        for name, values in drawn.items():
            change = 100 * (values[:, : len(both)].mean(1) - values[:, len(both) :].mean(1))
            interval = interval_of(float(change.mean()), change)
            found[name] = (round(interval.low, 6), round(interval.high, 6))
        return found

    def same_clips(self, *sides: Sequence[Training]) -> bool:
        """Whether all finished trainings were judged on the same clips."""
        results = [self._found.result(training) for side in sides for training in side]
        return len({result["evaluated"] for result in results if result is not None}) < 2

    def _decisions(self, training: Training) -> Decisions | None:
        if self._found.result(training) is None:
            return None
        folder = self._found.context.run_folder(training)
        if folder not in self._read:
            try:
                self._read[folder] = read_evidence(folder).decisions()
            except AvzslError:
                self._read[folder] = None  # the numbers are there, what they rest on is not
        return self._read[folder]
