"""How long what is left may take, from the trainings that are finished."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from avzsl.errors import AvzslError
from avzsl.experiments.cells import Cell
from avzsl.experiments.result import RESULT, read_result


class Estimate:
    """Mean seconds of finished trainings by method; a method without any counts as the mean of all.

    Args:
        jobs: processes that share what is left.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._seconds: dict[str, list[float]] = {}

    def learn(self, cell: Cell) -> None:
        """Take the seconds of a training that was finished before."""
        if (cell.run / RESULT).is_file():
            try:
                self.add(cell.method, read_result(cell.run).seconds)
            except AvzslError:
                return  # damaged: the run itself will say so

    def add(self, method: str, seconds: float) -> None:
        """Take the seconds of a training."""
        self._seconds.setdefault(method, []).append(seconds)

    def seconds(self, left: Sequence[Cell]) -> float | None:
        """Of the clock, for what is left; None as long as nothing is known."""
        if not left:
            return 0.0
        if not self._seconds:
            return None
        overall = statistics.fmean([s for values in self._seconds.values() for s in values])
        each = [statistics.fmean(self._seconds.get(cell.method, [overall])) for cell in left]
        return round(max(sum(each) / self.jobs, max(each)), 1)

    def words(self, left: Sequence[Cell]) -> str:
        """The same for people."""
        seconds = self.seconds(left)
        if seconds is None:
            return "no estimate before the first training is finished"
        if not left:
            return "nothing left to train"
        return f"about {duration(seconds)} left, from the trainings so far"


def duration(seconds: float) -> str:
    """`"40 s"`, `"12 min"`, `"3.5 h"`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
