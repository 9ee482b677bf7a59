"""The functions of `spiking.c` for tensors. Callers see to it that all of them lie on the CPU in one precision."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from avzsl.nn.lif import LifParameters
    from avzsl.nn.threshold import ThresholdRule

SUFFIX = {torch.float32: "_f32", torch.float64: "_f64"}
RESETS = ("hard", "soft", "none")
# Their derivatives are a few multiplications; those that need an exponential stay with PyTorch.
SURROGATE_KINDS = ("atan", "fast_sigmoid", "rectangle", "straight_through")
# Neurons of one tile of `plain_forward`: long enough runs through memory for 16 steps side by side (measured).
TILE = 2048


class Neurons(ctypes.Structure):
    """`neurons` of the C source."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("steps", "rows", "channels", "positions")),
        *((name, ctypes.c_int64) for name in ("reset", "detach_reset", "surrogate", "dynamic", "threads")),
        *((name, ctypes.c_double) for name in ("rate", "v_rest", "v_reset", "alpha", "start", "direction")),
        *((name, ctypes.c_double) for name in ("low", "high")),
    )


def neurons(
    params: LifParameters,
    alpha: float,
    shape: tuple[int, int, int, int],
    rule: ThresholdRule | None = None,
    start: float = 0.0,
) -> Neurons:
    """What the C source wants to know of the neurons.

    Args:
        params: their constants.
        alpha: sharpness of the surrogate.
        shape: T, B, C, P.
        rule: how the threshold moves; None = it stays at `start`.
        start: the fixed threshold.
    """
    dynamic, direction, low, high = False, 1.0, 0.0, 0.0
    if rule is not None:
        dynamic, direction, start = rule.dynamic, rule.direction, rule.start
        low, high = rule.bounds
    kind = SURROGATE_KINDS.index(params.surrogate)
    how = (RESETS.index(params.reset), params.detach_reset, kind, dynamic, torch.get_num_threads())
    return Neurons(*shape, *how, 1 / params.tau, params.v_rest, params.v_reset, alpha, start, direction, low, high)


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """Where a contiguous tensor lies; null for None."""
    if tensor is None:
        return ctypes.c_void_p(None)
    assert tensor.is_contiguous(), "a gap in a tensor that C code walks through"
    return ctypes.c_void_p(tensor.data_ptr())


def sizes(*values: int) -> tuple[ctypes.c_int64, ...]:
    """Whole numbers as the C source wants them."""
    return tuple(ctypes.c_int64(int(value)) for value in values)


def threads() -> ctypes.c_int64:
    """How many threads the library may use: as many as PyTorch does."""
    return ctypes.c_int64(torch.get_num_threads())


def numbers(*values: float) -> tuple[ctypes.c_double, ...]:
    """Real numbers as the C source wants them."""
    return tuple(ctypes.c_double(value) for value in values)


def reference(settings: Neurons) -> object:
    """Where the settings lie, for one call."""
    return ctypes.byref(settings)


def call(library: ctypes.CDLL, name: str, dtype: torch.dtype, *arguments: object) -> None:
    """Call one function of the library.

    Raises:
        MemoryError: it found no room for its own arrays.
    """
    if getattr(library, name + SUFFIX[dtype])(*arguments):
        raise MemoryError(f"no memory for the working arrays of {name}")
