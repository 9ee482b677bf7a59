"""One cell of a benchmark: a method trained with one seed, whatever becomes of it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avzsl.config import plain
from avzsl.data.splits import Benchmark
from avzsl.errors import AvzslError, DataError
from avzsl.experiments.run import load_for, run_training
from avzsl.experiments.settings import Settings
from avzsl.files import read_json, write_json

# Loaded benchmark folders that are kept: averaged and temporal features of one.
_KEPT = 2


@dataclass(frozen=True)
class Cell:
    """What to run.

    Attributes:
        data: benchmark folder.
        label: its name in this benchmark.
        method: registered name.
        seed: of everything random.
        run: run folder; what became of the cell stands beside it as `<run>.json`.
        preset, assignments, options, device: as for `run_training`.
    """

    data: Path
    label: str
    method: str
    seed: int
    run: Path
    preset: str | None = None
    assignments: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str = "auto"

    def __str__(self) -> str:
        return f"{self.method}, seed {self.seed}"

    @property
    def file(self) -> Path:
        """Where the outcome is stored."""
        return self.run.with_name(f"{self.run.name}.json")


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes:
        state: `"done"` or `"failed"`.
        reason: why it failed, one sentence.
        warnings: what was said on the way.
        result: as `Result.as_dict` gives it; None when it failed.
    """

    state: Literal["done", "failed"]
    reason: str = ""
    warnings: tuple[str, ...] = ()
    result: Mapping[str, Any] | None = None

    def as_dict(self, cell: Cell) -> dict[str, Any]:
        """Plain JSON values, with what was run."""
        return {
            "data": cell.label, "method": cell.method, "seed": cell.seed, "preset": cell.preset, "state": self.state,
            "reason": self.reason, "warnings": list(self.warnings), "result": self.result,
        }  # fmt: skip


class Loader:
    """Loads benchmark folders and keeps the last two: most cells train on the same features.

    Args:
        trusted: as in `load_benchmark`.
    """

    def __init__(self, *, trusted: bool = False) -> None:
        self.trusted = trusted
        self._kept: dict[str, Benchmark] = {}

    def __call__(self, settings: Settings, data: Path) -> Benchmark:
        """The benchmark as the settings want it.

        Raises:
            DataError: the benchmark is damaged, or lacks what they want.
        """
        wanted = plain(settings.data) | {"audio_columns": 0, "visual_columns": 0}
        key = json.dumps([str(data), settings.protocol.mode, wanted])
        if key not in self._kept:
            loaded = load_for(settings, data, trusted=self.trusted)
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = loaded
        return self._kept[key]

    def forget(self) -> None:
        """Give the memory back."""
        self._kept.clear()


def run_cell(cell: Cell, load: Loader) -> Outcome:
    """Train and judge, or read back what is there; a failure is an outcome too, and is stored like one.

    Raises:
        OutputError: the outcome cannot be stored.
        Interrupted: a stop was asked for; everything done is saved.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        outcome = _attempt(cell, load)
    said = tuple(dict.fromkeys(" ".join(str(w.message).split()) for w in caught if issubclass(w.category, UserWarning)))
    outcome = Outcome(outcome.state, outcome.reason, said or _said_before(cell, outcome), outcome.result)
    write_json(cell.file, outcome.as_dict(cell))
    return outcome


def _attempt(cell: Cell, load: Loader) -> Outcome:
    try:
        result = run_training(
            cell.data, cell.method, out=cell.run, preset=cell.preset, assignments=cell.assignments,
            options=cell.options, seed=cell.seed, device=cell.device, load=load,
        )  # fmt: skip
    except AvzslError as error:
        return Outcome("failed", " ".join(str(error).split()))
    except Exception as error:  # one method's fault must not cost the others their numbers
        words = " ".join(str(error).split())
        return Outcome("failed", f"{type(error).__name__}{': ' if words else ''}{words}")
    return Outcome("done", result=result.as_dict())


def _said_before(cell: Cell, outcome: Outcome) -> tuple[str, ...]:
    """What was said when a result was made that is only read back now."""
    try:
        stored = read_json(cell.file)
        if outcome.result is not None and stored["result"]["digest"] == outcome.result["digest"]:
            return tuple(str(text) for text in stored["warnings"])
    except (DataError, KeyError, TypeError):
        pass
    return ()
