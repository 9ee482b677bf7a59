"""What every section is told."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

from benchmarks.clock import Plan

T = TypeVar("T")
Size = Literal["full", "quick", "tiny"]
PLANS: dict[Size, Plan] = {
    "full": Plan(rounds=15, fewest=5, seconds=12),
    "quick": Plan(rounds=5, fewest=2, seconds=1, warmups=1),
    "tiny": Plan(rounds=2, fewest=2, seconds=1, least=1e-4, warmups=1),
}


@dataclass(frozen=True)
class Context:
    """How large and how long.

    Attributes:
        size: `"full"`; `"quick"` with fewer rounds and cases; `"tiny"` measures nothing and is for tests.
        threads: of PyTorch.
        seed: of data and orders.
        folder: for files that nobody keeps.
    """

    size: Size
    threads: int
    seed: int
    folder: Path

    @property
    def plan(self) -> Plan:
        """How long to measure one comparison."""
        return PLANS[self.size]

    def pick(self, full: T, quick: T, tiny: T) -> T:
        """The value for this size."""
        values: dict[Size, T] = {"full": full, "quick": quick, "tiny": tiny}
        return values[self.size]

    def generator(self, stream: int = 0) -> torch.Generator:
        """A fresh generator; streams are independent."""
        return torch.Generator().manual_seed(1000 * self.seed + stream)

    def normal(self, *shape: int, stream: int = 0) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=self.generator(stream))


@contextlib.contextmanager
def using_threads(number: int) -> Iterator[None]:
    """PyTorch uses `number` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def kernels() -> tuple[bool, str]:
    """Whether avzsl's compiled kernels are at work, and a sentence about it."""
    return _status("avzsl.nn.compiled")


def own_products() -> tuple[bool, str]:
    """Whether avzsl sends matrix products elsewhere than PyTorch would, and a sentence about it."""
    return _status("avzsl.nn.products")


def without_kernels() -> contextlib.AbstractContextManager[None]:
    """Inside the block avzsl's spiking layers compute with PyTorch alone."""
    return _switch("avzsl.nn.compiled", "without")


def plain_products() -> contextlib.AbstractContextManager[None]:
    """Inside the block PyTorch chooses who multiplies matrices."""
    return _switch("avzsl.nn.products", "plain")


def _status(module: str) -> tuple[bool, str]:
    try:
        used, said = importlib.import_module(module).status()
        return bool(used), str(said)
    except (ImportError, AttributeError) as error:
        return False, f"this version has none ({error})"


def _switch(module: str, name: str) -> contextlib.AbstractContextManager[None]:
    if not _status(module)[0]:
        return contextlib.nullcontext()
    found: contextlib.AbstractContextManager[None] = getattr(importlib.import_module(module), name)()
    return found
