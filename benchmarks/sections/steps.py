"""A whole training step and a whole epoch of every method that trains by steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor

from avzsl.config import preset_names
from avzsl.data.batches import BatchSampler
from avzsl.evaluation.protocol import validate
from avzsl.experiments.settings import Settings, assemble
from avzsl.methods import METHODS, Method
from avzsl.training.loop import Position, build_method, build_optimiser, seeded, train_step
from benchmarks.clock import Plan, Times, interleave
from benchmarks.compare import Missing, Outcome, Variant, compare
from benchmarks.context import Context, kernels, own_products, plain_products, without_kernels
from benchmarks.floors import count_flops, plainly
from benchmarks.record import Comparison, Floor, Row
from benchmarks.sections.rates import REFERENCE_NAME, REFERENCE_SIZE, reference_flops, reference_product
from benchmarks.simulated import Simulated, ucf_like

T = TypeVar("T")
CPU = torch.device("cpu")
PRESET = "ucf"
FLOOR = (
    "FLOPs of the step's matrix products, convolutions and attentions, forward and backward, counted by PyTorch while"
    f" the plain form of the method takes the step / rate of a {REFERENCE_NAME} ({REFERENCE_SIZE}) in the same rounds"
)
# Batches of which the number of optimiser steps is looked up, to find out after how many they repeat.
_PROBED = 12


@dataclass(eq=False)
class Trainee:
    """A method under training, as the training loop holds it."""

    settings: Settings
    method: Method
    optimiser: torch.optim.Adam
    sampler: BatchSampler
    data: Simulated
    span: int = 1
    done: int = 0

    @staticmethod
    def of(name: str, data: Simulated, context: Context, *, pairs: int | None = None) -> Trainee:
        """A fresh one with the settings of its preset for UCF.

        Args:
            name: registered name of a method that trains by steps.
            data: what it trains on.
            context: seed and size.
            pairs: per batch; None = as the preset says.
        """
        settings = assemble(name, preset=PRESET if PRESET in preset_names(name) else None, seed=context.seed)
        kind = METHODS.get(name)
        method = build_method(lambda: kind(settings.config, data.dimensions), context.seed, CPU)
        with seeded(context.seed, CPU):
            method.solve(data.pool.features.clips(None), data.pool.labels, data.pool.classes)
        size = pairs or context.pick(settings.train.batch_size, settings.train.batch_size, 4)
        sampler = BatchSampler(data.pool, size, settings.train.batches, context.seed)
        optimiser = build_optimiser(method, settings.train)
        assert optimiser is not None
        trainee = Trainee(settings, method.train(), optimiser, sampler, data)
        trainee.span = trainee._period()
        return trainee

    def step(self) -> None:
        """Fetch a batch and take its optimiser steps."""
        at = Position(self.settings.seed, 1, 0, self.done)
        batch = self.sampler.batch(1, 0, self.done)
        train_step(self.method, self.optimiser, batch, self.settings.train.learning_rate, at)
        self.done += 1

    def spell(self) -> None:
        """As many steps as it takes until the kinds of optimiser steps repeat: one for nearly all methods."""
        for _ in range(self.span):
            self.step()

    def copy(self, *, plain: bool = False) -> Trainee:
        """Another one with the same weights and a fresh optimiser; its plain loops where asked for."""
        method = plainly(self.method) if plain else copy.deepcopy(self.method)
        optimiser = build_optimiser(method, self.settings.train)
        assert optimiser is not None
        return Trainee(self.settings, method.train(), optimiser, self.sampler, self.data, self.span)

    def flops(self) -> int:
        """Of one spell, by the plain form."""
        with without_kernels():
            return count_flops(self.copy(plain=True).spell)

    def validate(self) -> None:
        """What an epoch ends with."""
        pool = self.data.pool
        with seeded(0, CPU):
            self.method.end_of_epoch(pool.features.clips(None), pool.labels, pool.classes)
        validate(self.method.eval(), self.data.validation, self.settings.protocol)
        self.method.train()

    def outcome(self) -> Outcome:
        """Losses and gradients of the first batch from the present weights; the weights stay."""
        other = self.copy()
        batch = self.sampler.batch(1, 0, 0)
        close: dict[str, Tensor] = {}
        with seeded(1, CPU):
            for number, terms in enumerate(other.method.updates(batch)):
                other.optimiser.zero_grad()
                terms["loss"].backward()  # type: ignore[no-untyped-call]
                close |= {f"losses {number}": torch.stack([v.detach().float().reshape(()) for v in terms.values()])}
                gradients = [p.grad.flatten() for p in other.method.parameters() if p.grad is not None]
                close |= {f"gradients {number}": torch.cat(gradients)}
        return Outcome(close=close)

    def _period(self) -> int:
        """After how many batches the number of optimiser steps repeats, seen on batches of 4 pairs."""
        if type(self.method).updates is Method.updates:
            return 1
        probe = self.copy()
        small = BatchSampler(self.data.pool, 4, _PROBED, 0)
        counts = [sum(1 for _ in probe.method.updates(batch)) for batch in small.epoch(1, 0)]
        periods = (p for p in range(1, _PROBED) if all(counts[i] == counts[i + p] for i in range(_PROBED - p)))
        return next(periods, 1)


def trained_by_steps() -> list[str]:
    """Names of all methods that learn by gradient steps."""
    return [name for name in METHODS.names() if not METHODS.get(name).yardstick]


def run(context: Context) -> list[Comparison]:
    """STFT's fast and plain step, the steps of all methods, their epochs."""
    data = {
        temporal: ucf_like(context.generator(), temporal=temporal, share=context.pick(1.0, 1.0, 0.01))
        for temporal in (False, True)
    }
    names = trained_by_steps()
    trainees = {}
    for name in names:
        settings = assemble(name, preset=PRESET if PRESET in preset_names(name) else None)
        trainees[name] = Trainee.of(name, data[settings.data.temporal], context)
    steps = _steps(context, trainees)
    return [_forms(context, Trainee.of("stft", data[False], context)), steps, _epochs(context, trainees, steps)]


def _forms(context: Context, stft: Trainee) -> Comparison:
    """STFT's step with its fast paths and without."""
    plain = stft.copy(plain=True)
    floor = Floor(REFERENCE_NAME, stft.flops() / reference_flops(context))
    variants: list[Variant | Missing] = [
        Variant("plain loops", _off(plain.step), _off(plain.outcome), kind="ours, plain", floor=floor),
        Variant("fast", stft.step, stft.outcome, floor=floor),
    ]
    there, why = kernels()
    if there:
        off = stft.copy()
        variants.append(
            Variant("fast, kernels off", _off(off.step), _off(off.outcome), kind="ours, plain", floor=floor)
        )
    else:
        variants.append(Missing("fast, compiled kernels", why, "ours"))
    if own_products()[0]:
        own = stft.copy()
        step, outcome = _inside(plain_products, own.step), _inside(plain_products, own.outcome)
        variants.append(Variant("fast, PyTorch's own products", step, outcome, kind="ours, plain", floor=floor))
    return compare(
        f"a training step of STFT, {stft.sampler.batch_size} pairs", [*variants, reference_product(context)],
        context.plan, context.seed, reference="plain loops", floor=FLOOR,
    )  # fmt: skip


def _steps(context: Context, trainees: dict[str, Trainee]) -> Comparison:
    """All methods in turns."""
    base = reference_flops(context)
    variants: list[Variant | Missing] = []
    for name, trainee in trainees.items():
        flops = trainee.flops()
        cells = {"pairs": trainee.sampler.batch_size, "GFLOP": flops / trainee.span / 1e9}
        variants.append(
            Variant(
                name,
                trainee.spell,
                work=trainee.span,
                kind="ours",
                floor=Floor(REFERENCE_NAME, flops / base),
                cells=cells,
            )
        )
    plan = replace(context.plan, seconds=context.pick(120.0, 10.0, 1.0), rounds=context.pick(11, 2, 2))
    periods = [
        f"{name} repeats after {t.span} batches, all of them timed" for name, t in trainees.items() if t.span > 1
    ]
    return compare(
        "a training step of every method", [*variants, reference_product(context)], plan, context.seed, floor=FLOOR,
        notes=(
            "Settings of each method's preset for UCF; fetching the batch and Adam's step are part of it.",
            *(f"{line}." for line in periods),
        ),
    )  # fmt: skip


def _epochs(context: Context, trainees: dict[str, Trainee], steps: Comparison) -> Comparison:
    """Epochs, put together from the steps above and the measured work at their end; short ones also as a whole."""
    rows = []
    ends = {name: trainee.validate for name, trainee in trainees.items()}
    # A method that learns a classifier before it can score takes minutes; two rounds must do.
    plan = replace(context.plan, rounds=context.pick(3, 1, 1), fewest=1, warmups=0, seconds=60.0)
    if context.size != "full":
        ends = {name: call for name, call in ends.items() if not trainees[name].method.candidates_matter}
    timed = interleave(ends, plan, context.seed)
    for name, trainee in trainees.items():
        taken, end = steps.row(name).times, timed.get(name)
        if taken is None or end is None:
            rows.append(Row(name, None, missing="its classifier is learned anew in every validation; full size only"))
            continue
        batches = trainee.settings.train.batches
        step, cpu = taken.median / trainee.span, taken.cpu_median / trainee.span
        whole = Times((batches * step + end.median,), (batches * cpu + end.cpu_median,))
        cells: dict[str, float | str] = {"batches": batches, "end of epoch, s": end.median}
        if whole.median < context.pick(15.0, 0.0, 0.0):
            cells["one measured as a whole, s"] = median(_whole(trainee, batches, context.seed).wall)
        rows.append(Row(name, whole, 1.0, "ours", cells=cells))
    return Comparison(
        "an epoch of every method", tuple(rows), unit="s", scale=1.0,
        notes=(
            "Extrapolated: the preset's number of batches times the median step above, plus the measured end of an"
            " epoch (validation, and whatever the method does there) on 353 + 1,467 clips of 42 classes.",
        ),
    )  # fmt: skip


def _whole(trainee: Trainee, batches: int, seed: int) -> Times:
    def epoch() -> None:
        for _ in range(batches):
            trainee.step()
        trainee.validate()

    return interleave({"epoch": epoch}, Plan(rounds=1, fewest=1, seconds=0.0, warmups=0), seed)["epoch"]


def _off(call: Callable[[], T]) -> Callable[[], T]:
    return _inside(without_kernels, call)


def _inside(context: Callable[[], AbstractContextManager[None]], call: Callable[[], T]) -> Callable[[], T]:
    def run_it() -> T:
        with context():
            return call()

    return run_it
