"""Averaged features: one HDF5 file per class, split and modality, in the layout the field shares."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.errors import DataError
from avzsl.files import atomic_path
from avzsl.types import ExtractorIdentity

FloatArray = NDArray[np.float32]
# The densest compression of HDF5 (deflate) makes 1032 bytes out of one; what claims more was never written.
_DENSEST, _SMALL = 1100, 2**26


@dataclass(frozen=True)
class ClassFile:
    """The clips of one class in one split and modality.

    Attributes:
        data: [n, d] float32, one row per clip.
        names: n clip names.
        identity: who made the rows; None when the file does not say (public files do not).
    """

    data: FloatArray
    names: tuple[str, ...]
    identity: ExtractorIdentity | None


def write_class_file(path: Path, data: Any, names: Sequence[str], identity: ExtractorIdentity) -> None:
    """Write `data` [n, d] as float32 with its clip names and the extractor that made it.

    Raises:
        DataError: names and rows differ in number, or a row is not finite.
        OutputError: the file cannot be written.
    """
    rows = np.ascontiguousarray(data, dtype=np.float32)
    _check_rows(Path(path), rows, names)
    with new_hdf5(path) as file:
        file.create_dataset("data", data=rows)
        write_names(file, names)
        write_identity(file, identity)


def read_class_file(path: Path) -> ClassFile:
    """Read one class; float64 and uint8 data are cast to float32, names of both string kinds are decoded.

    This opens the file in this process; for files from others there is `FeatureReader`.

    Raises:
        DataError: missing or damaged file, wrong shape, no rows, unequal rows, NaN or infinity (with the row's name).
    """
    return check_class_file(path, load_class_file(path))


def load_class_file(path: Path) -> ClassFile:
    """What the file holds, before anybody has looked at its rows.

    Raises:
        DataError: missing or damaged file, not numbers.
    """
    with open_hdf5(path) as file:
        return ClassFile(read_array(file, "data", path), read_names(file, path), read_identity(file, path))


def check_class_file(path: Path, file: ClassFile) -> ClassFile:
    """The same file, if its rows are in order.

    Raises:
        DataError: wrong shape, no rows, unequal rows, NaN or infinity (with the row's name).
    """
    _check_rows(Path(path), file.data, file.names)
    return file


def check_same_clips(audio: Path, audio_names: Sequence[str], visual: Path, visual_names: Sequence[str]) -> None:
    """Refuse an audio and a visual file that do not list the same clips in the same order.

    Raises:
        DataError: names the first clip that differs.
    """
    if len(audio_names) != len(visual_names):
        only = sorted(set(audio_names) ^ set(visual_names))
        example = f", for example '{only[0]}' is in one of them only" if only else ""
        raise DataError(f"{audio} has {len(audio_names)} clips but {visual} has {len(visual_names)}{example}")
    for row, (heard, seen) in enumerate(zip(audio_names, visual_names, strict=True)):
        if heard != seen:
            raise DataError(f"row {row} is '{heard}' in {audio} but '{seen}' in {visual}; extract both again")


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[Any]:
    """An HDF5 file that appears at `path` when the block ends well.

    It is made in memory: when the disk is full, HDF5 cannot close its own file and crashes the process later.
    """
    import h5py

    with h5py.File(Path(path).name, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        content = file.id.get_file_image()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """An HDF5 file for reading.

    Raises:
        DataError: missing, not HDF5, cut off or damaged inside.
    """
    import h5py

    if not Path(path).is_file():
        raise DataError(f"there is no file {path}; check the folder or extract the features again")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
    ) as error:  # what h5py raises depends on where the damage is
        raise DataError(f"{path} is damaged or not HDF5 ({error}); extract or download it again") from error


def write_names(file: Any, names: Sequence[str]) -> None:
    """Store clip names as variable-length UTF-8, under the field's name for them."""
    import h5py

    file.create_dataset("video_urls", data=list(names), dtype=h5py.string_dtype("utf-8"))


def write_identity(file: Any, identity: ExtractorIdentity) -> None:
    """Store who made the rows as attributes; other readers ignore them."""
    file.attrs["extractor"] = json.dumps(identity.as_dict(), sort_keys=True, ensure_ascii=False)
    file.attrs["profile"] = identity.profile


def read_array(file: Any, name: str, path: Path) -> FloatArray:
    """A numeric dataset as float32.

    Raises:
        DataError: absent, or not numbers.
    """
    dataset = get_dataset(file, name, path)
    if dataset is None:
        raise DataError(f"{path} has no dataset '{name}' (it has: {_contents(file)}); see docs/data-format.md")
    if dataset.dtype.kind not in "fiu":
        raise DataError(f"{path}: '{name}' holds {dataset.dtype} instead of numbers")
    check_size(dataset, name, path)
    with np.errstate(over="ignore"):
        return np.asarray(dataset[()]).astype(np.float32, copy=False)


def get_dataset(file: Any, name: str, path: Path) -> Any:
    """A dataset that lies in the file itself; None when there is none of that name.

    Raises:
        DataError: it only points to another file, which nobody asked to read.
    """
    import h5py

    link = file.get(name, getlink=True)
    dataset = None if isinstance(link, h5py.ExternalLink) else file.get(name)
    if isinstance(link, h5py.ExternalLink) or (
        isinstance(dataset, h5py.Dataset) and (dataset.external or dataset.is_virtual)
    ):
        raise DataError(f"{path}: '{name}' lies in another file; download or extract the features as whole files")
    return dataset if isinstance(dataset, h5py.Dataset) else None


def _contents(file: Any) -> str:
    """What else is in it, as far as a message can hold."""
    names = list(itertools.islice(file, 6))
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"


def read_names(file: Any, path: Path) -> tuple[str, ...]:
    """Clip names, fixed width or variable length.

    Raises:
        DataError: absent or not UTF-8.
    """
    dataset = get_dataset(file, "video_urls", path)
    if dataset is None:
        raise DataError(f"{path} has no dataset 'video_urls' with the clip names; see docs/data-format.md")
    check_size(dataset, "video_urls", path)
    values = np.asarray(dataset[()]).reshape(-1)
    try:
        return tuple(v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in values)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: a clip name is not UTF-8 ({error})") from error


def check_size(dataset: Any, name: str, path: Path) -> None:
    """Refuse a dataset that claims far more than its file can hold, before memory is asked for it.

    Raises:
        DataError: it does, or it has no shape at all.
    """
    if dataset.shape is None:
        raise DataError(f"{path}: '{name}' is empty; download or extract it again")
    claimed, stored = int(dataset.nbytes), Path(path).stat().st_size
    if claimed > _SMALL and claimed > _DENSEST * stored:
        raise DataError(f"{path}: '{name}' claims {claimed} bytes in a file of {stored}; download or extract it again")


def read_identity(file: Any, path: Path) -> ExtractorIdentity | None:
    """Who made the rows, or None for a file of another origin.

    Raises:
        DataError: the attribute is there and cannot be understood.
    """
    text = file.attrs.get("extractor")
    if text is None:
        return None
    try:
        return ExtractorIdentity.from_dict(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: attribute 'extractor' is damaged ({error!r}); extract the features again") from error


def _check_rows(path: Path, data: FloatArray, names: Sequence[str]) -> None:
    if data.ndim != 2:
        raise DataError(f"{path}: 'data' must be [clips, columns], got shape {data.shape}")
    if data.shape[0] == 0 or data.shape[1] == 0:
        raise DataError(f"{path}: 'data' is empty (shape {data.shape}); remove the file or extract it again")
    if len(names) != len(data):
        raise DataError(f"{path}: {len(data)} rows but {len(names)} clip names; extract it again")
    check_finite(path, data, names)


def check_finite(path: Path, data: FloatArray, names: Sequence[str], offsets: Any = None) -> None:
    """Refuse NaN and infinity, naming the row and clip (public files contain some).

    Args:
        path: for the message.
        data: [rows, d].
        names: clip names.
        offsets: [n + 1] first row of each clip, when a clip has several rows.

    Raises:
        DataError: a value is not finite.
    """
    bad = ~np.isfinite(data).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        clip = row if offsets is None else int(np.searchsorted(offsets, row, side="right")) - 1
        raise DataError(
            f"{path}: row {row} (clip '{names[clip]}') holds NaN or infinity, {int(bad.sum())} such rows in all; "
            "extract these clips again or leave them out"
        )
