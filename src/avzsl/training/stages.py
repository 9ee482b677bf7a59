"""The two stages of the benchmark (docs/protocol.md section 7.1), stoppable and continuable at any step.

Stage 1 trains on its own classes and validates after every epoch; the first epoch e* with the best HM is chosen.
Stage 2 starts afresh from the same weights on all training classes and trains for e* + 1 epochs. That is the same
model as "store every epoch of a full stage 2 and take number e*", without the epochs nobody looks at.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from avzsl import progress
from avzsl.data.batches import BatchSampler
from avzsl.data.tables import Pool
from avzsl.errors import AvzslError
from avzsl.files import write_text
from avzsl.methods._base import Method
from avzsl.training.interrupt import Interrupted, stop_requests
from avzsl.training.loop import Position, TrainConfig, build_method, build_optimiser, seeded, train_step
from avzsl.training.schedule import Plateau
from avzsl.training.state import State, load_state, restore, save_state

EPOCHS = "epochs.jsonl"


@dataclass(frozen=True)
class Score:
    """What validation says about a model.

    Attributes:
        hm: harmonic mean of seen and unseen, a fraction; higher is better.
        log: numbers for the line of this epoch in `epochs.jsonl`.
        record: what stage 2 and the test need of the chosen epoch, as plain JSON values.
    """

    hm: float
    log: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageOptions:
    """How to run the stages.

    Attributes:
        train: epochs, batches, rates.
        seed: of everything random.
        device: where to compute.
        folder: the run folder; `epochs.jsonl` and `state/` are written there.
        live_plateau: feed the plateau rule of stage 2 with the HM on the stage-1 validation set, on which stage 2
            trains (P4); otherwise stage 2 repeats the learning rates of stage 1.
        is_better: (HM of an epoch, best HM so far or None) to whether the epoch becomes the chosen one (P5).
        save_seconds: also save within an epoch when the last save is this long ago; changes no result.
    """

    train: TrainConfig
    seed: int
    device: torch.device
    folder: Path
    live_plateau: bool = False
    is_better: Callable[[float, float | None], bool] = lambda hm, best: best is None or hm > best
    save_seconds: float = 60.0


@dataclass(frozen=True)
class Fitted:
    """A trained method and how it came about.

    Attributes:
        method: after stage 2, in evaluation mode.
        epochs: how many epochs stage 2 trained, e* + 1.
        hm: validation HM of the chosen epoch, a fraction.
        record: what validation said about the chosen epoch.
        history: one mapping per epoch of both stages.
    """

    method: Method
    epochs: int
    hm: float
    record: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]


def fit_stages(
    build: Callable[[], Method],
    training: Callable[[int], Pool],
    validate: Callable[[Method], Score],
    options: StageOptions,
) -> Fitted:
    """Run both stages, or what is left of them.

    Args:
        build: makes the untrained method; its weights come from torch's global generator.
        training: the pool of training clips of a stage.
        validate: scores a method on the stage-1 validation set; must not depend on anything but the method.
        options: see there.

    Raises:
        Interrupted: a stop was asked for; everything done is saved.
        AvzslError: the loss is not finite.
        OutputError: the folder cannot be written to.
    """
    stored = load_state(options.folder)
    state, tensors = stored if stored is not None else (State(), {})
    _note_threads(state)
    with stop_requests() as stop:
        if state.stage == 1:
            stage = _Stage(build, training(1), validate, options, state, tensors, stop)
            stage.run(options.train.epochs)
            # Stage 2 begins without weights on disk: they follow from the seed.
            state.stage, state.epoch, state.plateau, tensors = 2, 0, {}, {}
            save_state(options.folder, state, None, None)
        if state.best_epoch is None:
            raise AvzslError(f"{options.folder}: stage 1 validated no epoch; start again with --fresh")
        stage = _Stage(build, training(2), validate, options, state, tensors, stop)
        stage.run(state.best_epoch + 1)
    return Fitted(
        stage.method.eval(), state.best_epoch + 1, state.best_hm, dict(state.best_record), tuple(state.history)
    )


def _note_threads(state: State) -> None:
    """Sums are split among threads, so another number of them rounds otherwise."""
    threads = torch.get_num_threads()
    if state.threads not in (0, threads):
        warnings.warn(
            f"this run was begun with {state.threads} threads and goes on with {threads}; its last digits, and what"
            " follows from them, may differ from those of a run that was never stopped"
            f" (OMP_NUM_THREADS={state.threads} keeps the number)",
            stacklevel=3,
        )
    state.threads = threads


class _Stage:
    """One stage under way: the method, its optimiser and the counters."""

    def __init__(
        self,
        build: Callable[[], Method],
        pool: Pool,
        validate: Callable[[Method], Score],
        options: StageOptions,
        state: State,
        tensors: dict[str, torch.Tensor],
        stop: Callable[[], bool],
    ) -> None:
        train = options.train
        self.validate, self.options, self.state, self.stop = validate, options, state, stop
        self.pool = pool.to(options.device)
        self.method = build_method(build, options.seed, options.device)
        self.optimiser = build_optimiser(self.method, train)
        restore(self.method, self.optimiser, tensors, options.folder)
        self.sampler = BatchSampler(self.pool, train.batch_size, train.batches, options.seed)
        self.saved = time.monotonic()

    def run(self, epochs: int) -> None:
        """Train up to `epochs` epochs; a method that solves in closed form needs one."""
        state, batches = self.state, self.options.train.batches
        if type(self.method).solve is not Method.solve and self._solve():
            epochs, batches = 1, 0
        with progress.task(f"stage {state.stage}", epochs * max(batches, 1)) as bar:
            bar.advance(state.epoch * max(batches, 1) + state.step)
            while state.epoch < epochs:
                self._epoch(batches, bar)

    def _solve(self) -> bool:
        if self.state.epoch > 0 or self.state.step > 0:
            # Continued: an epoch without a loss was solved, not trained.
            return self.state.epoch > 0 and "loss" not in self.state.history[-1]
        with seeded(self._here().torch_seed, self.options.device):
            return self.method.solve(*self._everything())

    def _epoch(self, batches: int, bar: progress.Task) -> None:
        state, started = self.state, time.monotonic()
        spent, rate = state.seconds, self._rate()
        self.method.train()
        for step in range(state.step, batches):
            batch = self.sampler.batch(state.stage, state.epoch, step)
            if self.optimiser is None:
                raise AvzslError(f"method '{self.method.name}' has no weights to train and no closed form")
            terms = train_step(self.method, self.optimiser, batch, rate, self._here())
            for name, value in terms.items():
                state.sums[name] = state.sums.get(name, 0.0) + value
                state.counts[name] = state.counts.get(name, 0) + 1
            state.step += 1
            state.seconds = spent + time.monotonic() - started
            bar.advance(1, f"epoch {state.epoch + 1}, loss {terms['loss']:.3f}{self._best()}")
            self._save_or_stop()
        if type(self.method).end_of_epoch is not Method.end_of_epoch:
            with seeded(self._here().torch_seed, self.options.device):
                self.method.end_of_epoch(*self._everything())
        score = self.validate(self.method.eval()) if self._validates() else None
        state.seconds = spent + time.monotonic() - started
        self._finish(score, rate)
        if batches == 0:
            bar.advance(1)

    def _finish(self, score: Score | None, rate: float) -> None:
        """Book a finished epoch and save everything."""
        state = self.state
        line: dict[str, Any] = {"stage": state.stage, "epoch": state.epoch + 1, "learning_rate": rate}
        # A method may update some of its parts in some batches only.
        line |= {name: total / state.counts[name] for name, total in state.sums.items()}
        if score is not None:
            line |= score.log
            if self.options.train.schedule == "plateau":
                state.plateau = self._plateau().after(score.hm).as_dict()
        line["seconds"] = round(state.seconds, 3)
        state.history.append(line)
        if state.stage == 1 and score is not None:
            state.rates.append(rate)
            if self.options.is_better(score.hm, None if state.best_epoch is None else state.best_hm):
                state.best_epoch, state.best_hm, state.best_record = state.epoch, score.hm, dict(score.record)
        state.epoch, state.step, state.sums, state.counts, state.seconds = state.epoch + 1, 0, {}, {}, 0.0
        write_text(self.options.folder / EPOCHS, "".join(json.dumps(h, allow_nan=False) + "\n" for h in state.history))
        self._save_or_stop(always=True)

    def _save_or_stop(self, *, always: bool = False) -> None:
        stopping = self.stop()
        if always or stopping or time.monotonic() - self.saved > self.options.save_seconds:
            save_state(self.options.folder, self.state, self.method, self.optimiser)
            self.saved = time.monotonic()
        if stopping:
            raise Interrupted(
                f"stopped before {self._here()}; everything is saved in {self.options.folder};"
                " give the same command again to continue"
            )

    def _rate(self) -> float:
        state, train = self.state, self.options.train
        if train.schedule == "constant":
            return train.learning_rate
        if state.stage == 2 and not self.options.live_plateau:
            return state.rates[state.epoch]
        return self._plateau().rate

    def _plateau(self) -> Plateau:
        return Plateau(**self.state.plateau) if self.state.plateau else Plateau(self.options.train.learning_rate)

    def _validates(self) -> bool:
        return self.state.stage == 1 or (self.options.live_plateau and self.options.train.schedule == "plateau")

    def _here(self) -> Position:
        return Position(self.options.seed, self.state.stage, self.state.epoch, self.state.step)

    def _everything(self) -> tuple[Any, torch.Tensor, torch.Tensor]:
        return self.pool.features.clips(None), self.pool.labels, self.pool.classes

    def _best(self) -> str:
        return "" if self.state.best_epoch is None else f", best HM {100 * self.state.best_hm:.1f} %"
