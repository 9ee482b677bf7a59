"""Arrays from a child to its parent: as shared memory where the system has it, as plain bytes elsewhere."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this, opening shared memory costs more than it saves.
_SMALL = 2**19
# Types of numbers that are accepted from a child.
_TYPES = ("float32", "int64")
_STEP = 4096


@dataclass(frozen=True)
class Parcel:
    """What a function in a child returns when it has large arrays to hand over.

    Attributes:
        arrays: name to float32 or int64 array.
        about: plain JSON values.
    """

    arrays: Mapping[str, NDArray[Any]]
    about: Mapping[str, Any] = field(default_factory=dict)


def send_parcel(pipe: Any, parcel: Parcel) -> None:
    """Write a parcel to a pipe: a header as JSON, then the numbers."""
    arrays = {name: np.ascontiguousarray(array) for name, array in parcel.arrays.items()}
    shapes = [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()]
    places, size = _places(arrays)
    handle = _shared(size) if size >= _SMALL else None
    try:
        header = {"arrays": shapes, "about": parcel.about, "shared": handle is not None}
        pipe.send(("parcel", json.dumps(header)))
        if handle is None:
            for array in arrays.values():
                pipe.send_bytes(_bytes_of(array))
            return
        from multiprocessing.reduction import send_handle

        for name, array in arrays.items():
            _write(handle, _bytes_of(array), places[name])
        send_handle(pipe, handle, os.getppid())
    finally:
        if handle is not None:
            os.close(handle)


def receive_parcel(pipe: Any, header: str, most: int | None) -> Parcel:
    """Read the rest of a parcel; nothing that the child claims is believed before it is checked.

    Args:
        pipe: where the header came from.
        header: as `send_parcel` wrote it.
        most: bytes that are accepted; None = any number.

    Raises:
        ValueError: the numbers are not what the header says, or too many.
    """
    said = json.loads(header)
    empty = {}
    for name, kind, shape in said["arrays"]:
        if kind not in _TYPES or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise ValueError(f"it sent an array of {kind} {shape}")
        if most is not None and prod(shape) * np.dtype(kind).itemsize > most:
            raise ValueError(f"it sent an array of shape {shape}, more than {most} bytes")
        empty[str(name)] = (np.dtype(kind), tuple(shape))
    take = _from_memory if said["shared"] else _from_bytes
    return Parcel(take(pipe, empty), said["about"])


def _from_bytes(pipe: Any, wanted: Mapping[str, tuple[Any, tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    found = {}
    for name, (dtype, shape) in wanted.items():
        content = bytearray(pipe.recv_bytes())  # arrays over it can be written to
        if len(content) != prod(shape) * dtype.itemsize:
            raise ValueError(f"it sent {len(content)} bytes for '{name}' of shape {list(shape)}")
        found[name] = np.frombuffer(content, dtype).reshape(shape)
    return found


def _from_memory(pipe: Any, wanted: Mapping[str, tuple[Any, tuple[int, ...]]]) -> dict[str, NDArray[Any]]:
    from multiprocessing.reduction import recv_handle

    handle = recv_handle(pipe)
    try:
        memory = mmap.mmap(handle, 0)  # as long as the file is
    finally:
        os.close(handle)
    places, size = _places({name: np.broadcast_to(np.zeros((), d), shape) for name, (d, shape) in wanted.items()})
    if len(memory) != size:
        raise ValueError(f"it sent {len(memory)} bytes instead of {size}")
    return {
        name: np.frombuffer(memory, dtype, prod(shape), places[name]).reshape(shape)
        for name, (dtype, shape) in wanted.items()
    }


def _bytes_of(array: NDArray[Any]) -> memoryview:
    view: Any = array
    return memoryview(view).cast("B") if array.size else memoryview(b"")


def _write(handle: int, content: memoryview, place: int) -> None:
    """Write all of it; a file takes its pages without the faults that a mapping costs, and says when memory is full."""
    while content:
        written = os.pwrite(handle, content, place)
        content, place = content[written:], place + written


def _places(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, int], int]:
    """Where each array begins, and the length of all."""
    places, size = {}, 0
    for name, array in arrays.items():
        places[name] = size
        size += -(-array.nbytes // _STEP) * _STEP
    return places, size


def _shared(size: int) -> int | None:
    """Memory without a name, gone with the last process that has it open; None where the system has none left."""
    if sys.platform == "win32":
        return None  # pipes carry no handles of this kind there
    handle: int | None = None
    with contextlib.suppress(OSError):
        if sys.platform == "linux":
            handle = os.memfd_create("avzsl")
        else:
            with tempfile.TemporaryFile() as file:
                handle = os.dup(file.fileno())
        os.truncate(handle, size)
        return handle
    if handle is not None:
        os.close(handle)
    return None
