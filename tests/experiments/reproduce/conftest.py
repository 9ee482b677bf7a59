"""A method small enough to train ten times in a second, and a benchmark for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avzsl.experiments.reproduce.context import Context, Request

# STFT at a size at which nothing is learned and everything runs.
TINY = (
    "stft:hidden=16", "stft:heads=2", "stft:head_width=4", "stft:attention_hidden=4", "stft:head_hidden=8",
    "stft:embedding=8", "stft:rank=3", "stft:time_steps=2", "epochs=1", "batches=2", "batch_size=8",
)  # fmt: skip


@pytest.fixture
def request_for(toy_benchmark: Path) -> Callable[..., Request]:
    """Makes requests on the toy benchmark."""

    def make(*items: str, **changes: Any) -> Request:
        values = {"data": (toy_benchmark,), "seeds": (0, 1), "assignments": TINY, "device": "cpu", "quick": True}
        return Request(items=items, **(values | changes))

    return make


@pytest.fixture
def context_for(request_for: Callable[..., Request], tmp_path: Path) -> Callable[..., Context]:
    """Makes contexts on the toy benchmark."""
    return lambda *items, **changes: Context(request_for(*items, **changes), tmp_path / "out")
