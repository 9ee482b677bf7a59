"""Read feature files that others made: in a child process, unless their origin is trusted.

The HDF5 library loops for ever over some damaged files and crashes over others. So the child opens the file and hands
its numbers over; they are checked here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from avzsl.errors import DataError
from avzsl.features.store.class_files import (
    ClassFile,
    check_class_file,
    load_class_file,
    open_hdf5,
    read_array,
    read_names,
)
from avzsl.features.store.temporal import TemporalFile, check_temporal_file, load_temporal_file
from avzsl.isolation import Helper, Parcel, allowance
from avzsl.types import ExtractorIdentity

R = TypeVar("R")

# Seconds a file may take, and bytes that are worth one second more (a slow network disk).
SECONDS, BYTES_PER_SECOND = 30.0, 2_000_000
# Bytes of memory a file may take, and how often its own size more (float64 is read whole and made float32).
MEMORY, TIMES_SIZE = 2 * 1024**3, 4


class Glance(NamedTuple):
    """What can be told of a file whose rows the loader may refuse.

    Attributes:
        names: clip names; none when they cannot be read.
        finite: whether all numbers are finite, as far as can be told.
    """

    names: tuple[str, ...]
    finite: bool


class FeatureReader:
    """Reads feature files; a context manager, because it may keep a child process.

    Args:
        trusted: open files in this process, which saves starting a child and copying from it.
        seconds: that a small file may take.
    """

    def __init__(self, *, trusted: bool = False, seconds: float | None = None) -> None:
        self.trusted = trusted
        self.seconds = SECONDS if seconds is None else seconds
        # Files that hung or crashed a child, and how; they are not tried again.
        self.dangerous: dict[Path, str] = {}
        self._helper = Helper(_read, trouble=_DangerError)

    def __enter__(self) -> FeatureReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.close()

    def averaged(self, path: Path) -> ClassFile:
        """As `read_class_file`.

        Raises:
            DataError: likewise; or the file hangs or crashes the library, or needs too much memory.
        """
        return check_class_file(path, self._ask("averaged", path, load_class_file, _open_averaged))

    def temporal(self, path: Path) -> TemporalFile:
        """As `read_temporal_file`.

        Raises:
            DataError: likewise; or the file hangs or crashes the library, or needs too much memory.
        """
        return check_temporal_file(path, self._ask("temporal", path, load_temporal_file, _open_temporal))

    def glance(self, path: Path) -> Glance:
        """What can be read of a file, whatever is wrong with it."""
        try:
            return self._ask("glance", path, _glance, lambda parcel: Glance(**_tupled(parcel.about)))
        except DataError:
            return Glance((), True)

    def stored_type(self, path: Path) -> str:
        """Type of the rows as stored, such as `float64`.

        Raises:
            DataError: as `averaged`.
        """
        return self._ask("type", path, _stored_type, lambda parcel: str(parcel.about["type"]))

    def _ask(self, kind: str, path: Path, here: Callable[[Path], R], unpack: Callable[[Parcel], R]) -> R:
        path = Path(path)
        if self.trusted:
            return here(path)
        if path in self.dangerous:
            raise self._refusal(path)
        size = path.stat().st_size if path.is_file() else 0
        try:
            parcel = self._helper(
                (kind, str(path)),
                timeout=self.seconds + size / BYTES_PER_SECOND,
                memory=allowance(MEMORY + TIMES_SIZE * size),
            )
        except _DangerError as error:
            self.dangerous[path] = str(error)
            raise self._refusal(path) from None
        try:
            return unpack(parcel)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"{path} is damaged: what was read of it makes no sense ({error!r})") from error

    def _refusal(self, path: Path) -> DataError:
        return DataError(f"{path} is damaged: {self.dangerous[path]}; download or extract it again")


class _DangerError(DataError):
    """The child did not survive the file."""


def _read(item: tuple[str, str]) -> Parcel:
    """What the child does."""
    kind, path = item[0], Path(item[1])
    if kind == "glance":
        return Parcel({}, _glance(path)._asdict())
    if kind == "type":
        return Parcel({}, {"type": _stored_type(path)})
    file = load_class_file(path) if kind == "averaged" else load_temporal_file(path)
    about: dict[str, Any] = {"names": file.names, "identity": file.identity and file.identity.as_dict()}
    if isinstance(file, ClassFile):
        return Parcel({"data": file.data}, about)
    return Parcel({"data": file.data, "offsets": file.offsets}, about | {"step_seconds": file.step_seconds})


def _glance(path: Path) -> Glance:
    names: tuple[str, ...] = ()
    finite = True
    try:
        with open_hdf5(path) as file:
            names = read_names(file, path)
            finite = bool(np.isfinite(read_array(file, "data", path)).all())
    except DataError:
        pass  # what was read until then is all there is
    return Glance(names, finite)


def _stored_type(path: Path) -> str:
    with open_hdf5(path) as file:
        return str(file["data"].dtype)


def _open_averaged(parcel: Parcel) -> ClassFile:
    about = _tupled(parcel.about)
    return ClassFile(_floats(parcel), about["names"], _identity(about["identity"]))


def _open_temporal(parcel: Parcel) -> TemporalFile:
    about, offsets = _tupled(parcel.about), parcel.arrays["offsets"]
    if offsets.dtype != np.int64:
        raise ValueError(f"offsets are {offsets.dtype}")
    return TemporalFile(
        _floats(parcel), offsets, about["names"], _identity(about["identity"]), float(about["step_seconds"])
    )


def _floats(parcel: Parcel) -> Any:
    data = parcel.arrays["data"]
    if data.dtype != np.float32:
        raise ValueError(f"numbers are {data.dtype}")
    return data


def _tupled(about: Any) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {**about, "names": tuple(str(name) for name in about["names"])}


def _identity(values: Any) -> ExtractorIdentity | None:
    return None if values is None else ExtractorIdentity.from_dict(values)
