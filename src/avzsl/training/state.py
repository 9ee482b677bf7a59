"""Where a run stands, in one file that is replaced as a whole, so that no crash can leave half of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avzsl.errors import ModelError
from avzsl.files import write_tensors
from avzsl.methods._base import Method

STATE = "state/state.safetensors"
_MODEL = "model."
_ADAM = "adam."


@dataclass
class State:
    """Counters of a run; all start at 0 except `stage`.

    Attributes:
        stage: 1 or 2.
        epoch: the epoch under way.
        step: the next step in it.
        sums: sums of the loss terms over the steps done in this epoch.
        counts: how many of these steps had each term.
        seconds: spent in this epoch so far.
        plateau: state of the plateau rule; empty before its first use.
        rates: learning rate of every epoch of stage 1.
        best_epoch: epoch of stage 1 with the best validation HM so far; None before the first.
        best_hm: that HM, a fraction.
        best_record: what validation said of it (bias, curve).
        history: one line per finished epoch, of both stages.
        threads: that computed so far; 0 where nobody noted it.
    """

    stage: int = 1
    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    plateau: dict[str, Any] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    best_hm: float = 0.0
    best_record: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    threads: int = 0


def save_state(folder: Path, state: State, method: Method | None, optimiser: torch.optim.Adam | None) -> None:
    """Write counters, weights and the optimiser's moments; without a method, the stage has not begun.

    Raises:
        OutputError: the folder cannot be written to.
    """
    tensors: dict[str, Tensor] = {}
    if method is not None:
        tensors |= {_MODEL + name: value for name, value in method.state_dict().items()}
    if optimiser is not None:
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{_ADAM}{index}.{name}": value for name, value in moments.items()}
    # Floats survive as text, digit for digit, so sums continue exactly.
    write_tensors(folder / STATE, tensors, {"state": json.dumps(asdict(state))})


def load_state(folder: Path) -> tuple[State, dict[str, Tensor]] | None:
    """Read the counters and tensors back; None when there is no state.

    Raises:
        ModelError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            state = State(**json.loads(stored.metadata()["state"]))
            return state, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error}); start again with --fresh") from error


def restore(method: Method, optimiser: torch.optim.Adam | None, tensors: dict[str, Tensor], path: Path) -> None:
    """Put stored tensors back into a freshly built method and its optimiser; nothing stored means nothing to do.

    Raises:
        ModelError: they do not fit the method.
    """
    if not tensors:
        return
    try:
        weights = {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
        method.make_room({name: tuple(value.shape) for name, value in weights.items()})
        method.load_state_dict(weights)
        if optimiser is not None:
            moments: dict[int, dict[str, Tensor]] = {}
            for name, value in tensors.items():
                if name.startswith(_ADAM):
                    index, key = name.removeprefix(_ADAM).split(".")
                    moments.setdefault(int(index), {})[key] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{path / STATE} does not fit the method ({error}); start again with --fresh") from error
