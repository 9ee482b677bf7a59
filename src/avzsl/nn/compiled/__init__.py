"""Compiled forms of the spiking block, used where they work.

Nothing depends on them: without a C compiler, with `AVZSL_KERNELS=off`, or where the compiled code does not repeat the
plain form, PyTorch does the work with the same spikes and the same gradients but for rounding, in about twice the time.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from avzsl.nn.compiled._build import Build, build
from avzsl.nn.compiled._calls import (
    SUFFIX,
    SURROGATE_KINDS,
    TILE,
    call,
    neurons,
    numbers,
    pointer,
    reference,
    sizes,
    threads,
)
from avzsl.nn.eager import plainly

__all__ = [
    "SURROGATE_KINDS",
    "TILE",
    "call",
    "library_for",
    "neurons",
    "numbers",
    "pointer",
    "reference",
    "sizes",
    "status",
    "threads",
    "using",
    "without",
]

_switched_off = 0
_tested = threading.local()  # of this thread alone: the others wait until it has passed
_testing = threading.RLock()


def _built() -> Build:
    with _testing:
        return _built_once()


@functools.cache
def _built_once() -> Build:
    from avzsl.nn.compiled._check import differences

    found = build()
    if found.library is not None and (wrong := differences(found.library)):
        return Build(None, f"{found.said}, but not used: {wrong}")
    return found


def status() -> tuple[bool, str]:
    """Whether compiled forms are used, and a sentence about it."""
    found = _built()
    return found.library is not None, found.said + ("" if found.library is None or found.threads else ", one thread")


def library_for(*tensors: Tensor) -> ctypes.CDLL | None:
    """The compiled library, or None where these tensors are for PyTorch."""
    first = tensors[0]
    if _switched_off or first.dtype not in SUFFIX or first.numel() == 0:
        return None
    if any(tensor.device.type != "cpu" or tensor.dtype != first.dtype for tensor in tensors) or not plainly(*tensors):
        return None
    return getattr(_tested, "library", None) or _built().library


@contextmanager
def using(library: ctypes.CDLL) -> Iterator[None]:
    """This library inside the block, whether it has been checked or not."""
    before, _tested.library = getattr(_tested, "library", None), library
    try:
        yield
    finally:
        _tested.library = before


@contextmanager
def without() -> Iterator[None]:
    """PyTorch alone inside the block."""
    global _switched_off
    _switched_off += 1
    try:
        yield
    finally:
        _switched_off -= 1
