"""Fixtures that more than one room's tests need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Two threads on a busy machine are slower than one, and the tests run in parallel processes.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def avca() -> Path:
    """The real class splits and word vectors, when they lie beside the project; tests skip without them."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "avca"
    folder = Path(os.environ.get("AVZSL_AVCA", default))
    if not folder.is_dir():
        pytest.skip("the real class splits are not here; set AVZSL_AVCA to their folder")
    return folder
