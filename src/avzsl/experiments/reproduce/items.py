"""What an item of the paper (a table or a figure) must say of itself, and the list of all items.

A new item is a class with a `name`, filed with `ITEMS.register(name)`, and an import line in `reproduce/all.py`. The
runner knows nothing of single items: it asks each for its trainings, runs what is missing, and hands the results back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from avzsl.experiments.cells import Outcome
from avzsl.experiments.reproduce.context import Context, Training
from avzsl.registry import Registry


@dataclass
class Found:
    """What became of the trainings: those that are missing were stopped before their turn.

    Attributes:
        context: settles what a training's run folder is.
        outcomes: run folder to outcome.
    """

    context: Context
    outcomes: dict[Path, Outcome] = field(default_factory=dict)

    def of(self, training: Training) -> Outcome | None:
        """What became of a training; None when it has not run yet or cannot run at all."""
        choice = self.context.choice(training)
        return None if choice.reason else self.outcomes.get(self.context.run_folder(training))

    def result(self, training: Training) -> Mapping[str, Any] | None:
        """The result of a finished training."""
        outcome = self.of(training)
        return None if outcome is None else outcome.result

    def reason(self, training: Training) -> str:
        """Why there is no result; empty when there is one."""
        outcome, choice = self.of(training), self.context.choice(training)
        if choice.reason:
            return choice.reason
        return "not run yet" if outcome is None else outcome.reason


class Item(Protocol):
    """A table or a figure of the paper."""

    @property
    def name(self) -> str:
        """As the user writes it, `"table4"`."""

    def trainings(self, context: Context) -> Sequence[Training]:
        """What must be trained for it, seeds included; trainings that items share are run once.

        Raises:
            DataError: the data lack what it needs; the message says what to do.
        """

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """The item's record: plain JSON values, with `kind`, which says how the report writes it.

        Called when everything has run, failed or was stopped; what is missing is left out with its reason.
        """


ITEMS: Registry[Item] = Registry("item")
