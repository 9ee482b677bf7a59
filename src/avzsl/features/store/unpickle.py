"""Read the two public pickle forms without letting a file run code.

The field hands out word vectors as `.npy` files that hold a pickled dict and temporal features as plain pickles. Both
need nothing but containers, strings, numbers and numpy arrays. So only those names resolve here, and they resolve to
stand-ins that check what they are given; no callable of numpy is ever reachable from the file. Anything else is
refused by name.

A small file must not fill the memory either. What is read is looked through before it is loaded, every array is built
once from bytes that lie in the file, and what is mentioned many times stays one object.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from avzsl.errors import DataError

_CODE = re.compile(r"([fiubSU])(\d+)")
_NPY_MAGIC = b"\x93NUMPY"
# Objects that are mentioned again become copies where a table is made of them. Honest files hardly do that.
_SPREAD, _SPREAD_FREE = 16, 2**26


def read_pickle(path: Path) -> Any:
    """The content of a pickle made of plain containers, strings, numbers and numpy arrays.

    Raises:
        DataError: the file is missing or damaged, or asks for any other object.
    """
    return _load(_read(path), path)


def read_npy(path: Path) -> Any:
    """The content of a `.npy` file that holds one Python object (written by numpy 1 or 2) or a plain array.

    Raises:
        DataError: as for `read_pickle`, or the header is not one of numpy's.
    """
    data = _read(path)
    if not data.startswith(_NPY_MAGIC):
        raise DataError(f"{path} is not a .npy file; download it again")
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(stream)
        if not dtype.hasobject:
            values = np.frombuffer(data[stream.tell() :], dtype, count=math.prod(shape))
            return values.reshape(shape, order="F" if fortran else "C").copy()
    except Exception as error:  # the header is parsed as Python text, so damage shows in many ways
        raise DataError(f"{path} is damaged ({error}); download it again") from error
    value = _load(data[stream.tell() :], path)
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def check_spread(arrays: Sequence[NDArray[Any]], path: Path) -> None:
    """Refuse arrays that together are far larger than their file: a few, each mentioned very often.

    Raises:
        DataError: joining them would fill the memory.
    """
    size = sum(array.nbytes for array in arrays)
    if size > _SPREAD_FREE + _SPREAD * path.stat().st_size:
        raise DataError(f"{path} has {path.stat().st_size} bytes and unfolds to arrays of {size}; do not trust it")


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error


def _load(data: bytes, path: Path) -> Any:
    try:
        _look_through(data)
        return _resolve(_Unpickler(io.BytesIO(data)).load(), {})
    except _RefusedError as error:
        raise DataError(f"{path} wants {error}, which features and word vectors never need; do not trust it") from None
    except RecursionError as error:
        raise DataError(f"{path} is nested without end; do not trust it") from error
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{path} is damaged or not a pickle of arrays ({error}); download it again") from error


def _look_through(data: bytes) -> None:
    """Refuse what makes the standard unpickler itself ask for memory: numbered places and sizes beyond the file."""
    for code, argument, _ in pickletools.genops(data):
        number = argument if isinstance(argument, int) else 0
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and number > len(data):
            raise _RefusedError(f"{number} places to remember things in")
        if code.name.startswith("EXT"):
            raise _RefusedError("a registered extension")


class _RefusedError(Exception):
    """The file asked for something outside the list."""


class _Array:
    """An array as the file describes it; becomes a real one in `_resolve`, after all checks."""

    __slots__ = ("dtype", "order", "raw", "shape")

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.dtype: _Dtype | None = None
        self.raw: Any = b""
        self.order = "C"

    def __setstate__(self, state: Any) -> None:
        *_, shape, dtype, fortran, raw = state
        self.shape, self.dtype, self.raw = tuple(shape), dtype, raw
        self.order = "F" if fortran else "C"

    def build(self, memo: dict[int, Any]) -> Any:
        shape = tuple(int(size) for size in self.shape)
        if self.dtype is None:
            return np.zeros(0)
        if self.dtype.code == "O":
            objects = np.empty(len(self.raw), dtype=object)
            for place, value in enumerate(self.raw):  # one by one: a slice would unpack arrays of equal shape
                objects[place] = _resolve(value, memo)
            return objects.reshape(shape, order=self.order)  # type: ignore[call-overload]
        values = np.frombuffer(self.raw, self.dtype.build(), count=math.prod(shape))
        return values.reshape(shape, order=self.order).copy()  # type: ignore[call-overload]


class _Dtype:
    """The type of an array: numbers, strings or plain objects."""

    __slots__ = ("code", "endian")

    def __init__(self, code: str) -> None:
        if code in ("O", "O8"):
            code = "O"
        elif not isinstance(code, str) or not _CODE.fullmatch(code):
            raise _RefusedError(f"an array of type {code!r}")
        self.code, self.endian = code, "<"

    def __setstate__(self, state: Any) -> None:
        if state[2:5] != (None, None, None):
            raise _RefusedError("a structured array")
        if state[1] not in ("<", ">", "=", "|"):
            raise _RefusedError(f"an array of type {state[1]!r}")
        self.endian = state[1]

    def build(self) -> np.dtype[Any]:
        if self.code[0] == "U":  # the code counts characters, `<U5`
            return np.dtype(f"{self.endian}{self.code}")
        return np.dtype(("" if self.endian == "|" else self.endian) + self.code)


class _Scalar:
    """One number."""

    __slots__ = ("dtype", "raw")

    def __init__(self, dtype: _Dtype, raw: bytes) -> None:
        self.dtype, self.raw = dtype, raw

    def __setstate__(self, state: Any) -> NoReturn:
        raise _RefusedError("a changed number")


class _Maker:
    """A callable that the file may call and cannot alter."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _RefusedError("a changed function")


def _from_buffer(raw: Any, dtype: _Dtype, shape: Any, order: Any = "C") -> _Array:
    if not isinstance(raw, (bytes, bytearray)):
        raise _RefusedError("an array without content")  # bytes(10**12) would be made of a mere number
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", bytes(raw)))
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"the encoding {encoding}")
    return text.encode("latin1")


def _refuse_call(*arguments: Any) -> NoReturn:
    raise _RefusedError("numpy.ndarray called directly")


# Names that the pickles of numpy 1 and 2, protocols 2 to 5, use for arrays, types, numbers and byte strings.
_STAND_INS: dict[tuple[str, str], _Maker] = {
    ("numpy", "ndarray"): _Maker(_refuse_call),
    ("numpy", "dtype"): _Maker(lambda code, *_: _Dtype(code)),
    ("_codecs", "encode"): _Maker(_encode),
    ("__builtin__", "bytes"): _Maker(lambda: b""),  # how protocol 2 spells the empty byte string
    ("collections", "OrderedDict"): _Maker(lambda pairs=(): dict(pairs)),
    **{
        (f"numpy.{core}.{module}", name): maker
        for core in ("core", "_core")
        for module, name, maker in (
            ("multiarray", "_reconstruct", _Maker(lambda *_: _Array())),
            ("multiarray", "scalar", _Maker(_Scalar)),
            ("numeric", "_frombuffer", _Maker(_from_buffer)),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        maker = _STAND_INS.get((module, name))
        if maker is None:
            raise _RefusedError(f"'{module}.{name}'")
        return maker

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _RefusedError("an object outside the file")


def _resolve(value: Any, memo: dict[int, Any]) -> Any:
    """Replace stand-ins by arrays and numbers, through plain containers.

    Args:
        value: what the unpickler made.
        memo: identity of what is done to its result, so that nesting lists in lists ten times each stays small.
    """
    if isinstance(value, (_Dtype, _Maker)):
        raise _RefusedError("a bare function or type")
    if not isinstance(value, (_Array, _Scalar, dict, list, tuple)):
        return value
    if id(value) not in memo:
        memo[id(value)] = _replaced(value, memo)
    return memo[id(value)]


def _replaced(value: Any, memo: dict[int, Any]) -> Any:
    if isinstance(value, _Array):
        return value.build(memo)
    if isinstance(value, _Scalar):
        return np.frombuffer(value.raw, value.dtype.build(), count=1)[0]
    if isinstance(value, dict):
        return {_resolve(key, memo): _resolve(entry, memo) for key, entry in value.items()}
    return type(value)(_resolve(entry, memo) for entry in value)
