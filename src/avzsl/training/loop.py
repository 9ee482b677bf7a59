"""One training step, and the randomness behind it.

Everything random is a function of (seed, stage, epoch, step): the batch comes from a sampler with that contract, and
dropout draws from a generator seeded with a hash of the four. So a run that is stopped anywhere and continued ends
in the same weights as one that never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from avzsl.errors import AvzslError
from avzsl.methods._base import Method
from avzsl.types import Batch


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train.

    Attributes:
        epochs: of stage 1; stage 2 stops at the epoch that stage 1 chose.
        batches: per epoch (docs/protocol.md section 7.2).
        batch_size: pairs per batch.
        learning_rate: of Adam with betas (0.9, 0.999) and eps 1e-8.
        weight_decay: of Adam.
        schedule: `"constant"`, or `"plateau"` as in docs/protocol.md section 7.4.
    """

    epochs: int = 60
    batches: int = 500
    batch_size: int = 256
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: Literal["constant", "plateau"] = "constant"

    def __post_init__(self) -> None:
        for name in ("epochs", "batches", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError("learning_rate must be above 0 and finite")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError("weight_decay must be 0 or more, and finite")


@dataclass(frozen=True)
class Position:
    """Where in a run a step stands; all counts start at 0."""

    seed: int
    stage: int
    epoch: int = 0
    step: int = 0

    def __str__(self) -> str:
        return f"stage {self.stage}, epoch {self.epoch + 1}, step {self.step + 1}"

    @property
    def torch_seed(self) -> int:
        """A number in [0, 2^63) that differs for every position."""
        digest = hashlib.sha256(f"{self.seed}/{self.stage}/{self.epoch}/{self.step}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's global generators start from `seed` inside the block and are put back after it."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def build_method(build: Callable[[], Method], seed: int, device: torch.device) -> Method:
    """A fresh method; the weights depend on the seed alone, so both stages start from the same ones."""
    with seeded(seed, torch.device("cpu")):
        return build().to(device)


def build_optimiser(method: Method, config: TrainConfig) -> torch.optim.Adam | None:
    """Adam in one fused kernel; None for a method without trainable weights."""
    groups = [group for group in method.parameter_groups() if group["params"]]
    if not groups:
        return None
    return torch.optim.Adam(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def train_step(
    method: Method, optimiser: torch.optim.Adam, batch: Batch, rate: float, at: Position
) -> dict[str, float]:
    """One batch: a step of gradient descent, or as many as the method wants.

    Args:
        method: in training mode.
        optimiser: of its weights.
        batch: on the method's device.
        rate: learning rate of this batch.
        at: where the run stands; decides all random draws.

    Returns:
        The loss terms as numbers; `"loss"` is the sum over the steps.

    Raises:
        AvzslError: a loss is not finite.
    """
    for group in optimiser.param_groups:
        group["lr"] = rate
    values: dict[str, float] = {}
    with seeded(at.torch_seed, batch.labels.device):
        for terms in method.updates(batch):
            optimiser.zero_grad(set_to_none=True)
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            found = _numbers(terms)
            _check(found, rate, at)
            optimiser.step()
            values |= found | {"loss": found["loss"] + values.get("loss", 0.0)}
    return values


def _check(values: dict[str, float], rate: float, at: Position) -> None:
    broken = [name for name, value in values.items() if value != value or abs(value) == float("inf")]
    if broken:
        raise AvzslError(
            f"the loss '{broken[0]}' is {values[broken[0]]} in {at}: training diverged;"
            f" try a lower learning rate in another folder (--set learning_rate={rate / 10:g})"
        )


def _numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    # One transfer for all terms, not one each.
    stacked = torch.stack([t.detach().double().reshape(()) for t in terms.values()]).tolist()
    return dict(zip(terms, stacked, strict=True))
