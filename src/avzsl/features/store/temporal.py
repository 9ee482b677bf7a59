"""Temporal features: all segments of each clip, as HDF5 (ours) or as the public pickles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avzsl.errors import DataError
from avzsl.features.store.class_files import (
    FloatArray,
    check_finite,
    check_size,
    get_dataset,
    new_hdf5,
    open_hdf5,
    read_array,
    read_identity,
    read_names,
    write_identity,
    write_names,
)
from avzsl.features.store.unpickle import check_spread, read_pickle
from avzsl.types import ExtractorIdentity


class TemporalFile(NamedTuple):
    """The segments of all clips of one class in one split and modality.

    Attributes:
        data: [sum of T_i, d] float32, the clips one after the other.
        offsets: [n + 1] int64; clip i has the rows `offsets[i]` to `offsets[i + 1]`.
        names: n clip names.
        identity: who made the rows, or None.
        step_seconds: seconds between the starts of two rows.
    """

    data: FloatArray
    offsets: NDArray[np.int64]
    names: tuple[str, ...]
    identity: ExtractorIdentity | None
    step_seconds: float


def write_temporal_file(
    path: Path, clips: Sequence[Any], names: Sequence[str], identity: ExtractorIdentity, step_seconds: float
) -> None:
    """Write the segments of n clips, each [T_i, d].

    Raises:
        DataError: a clip without rows, unequal columns, a value that is not finite.
        OutputError: the file cannot be written.
    """
    joined = _join(Path(path), clips, names, identity, step_seconds)
    with new_hdf5(path) as file:
        file.create_dataset("data", data=joined.data)
        file.create_dataset("offsets", data=joined.offsets)
        write_names(file, names)
        write_identity(file, identity)
        file.attrs["step_seconds"] = float(step_seconds)


def read_temporal_file(path: Path) -> TemporalFile:
    """Read what `write_temporal_file` wrote.

    This opens the file in this process; for files from others there is `FeatureReader`.

    Raises:
        DataError: missing or damaged file, offsets that do not fit the rows, NaN or infinity.
    """
    return check_temporal_file(path, load_temporal_file(path))


def check_temporal_file(path: Path, file: TemporalFile) -> TemporalFile:
    """The same file, if its rows and offsets are in order.

    Raises:
        DataError: offsets that do not fit the rows, NaN or infinity.
    """
    _check(Path(path), file.data, file.offsets, file.names)
    return file


def load_temporal_file(path: Path) -> TemporalFile:
    """What the file holds, before anybody has looked at its rows and offsets.

    Raises:
        DataError: missing or damaged file, not numbers.
    """
    with open_hdf5(path) as file:
        data = read_array(file, "data", path)
        names = read_names(file, path)
        identity = read_identity(file, path)
        dataset = get_dataset(file, "offsets", path)
        if dataset is None:
            raise DataError(
                f"{path} has no dataset 'offsets'; it may be an averaged file, so leave out the temporal option"
            )
        check_size(dataset, "offsets", path)
        offsets = np.asarray(dataset[()])
        step = float(file.attrs.get("step_seconds", 1.0))
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1:
        raise DataError(f"{path}: 'offsets' must be one row of whole numbers, got {offsets.dtype} {offsets.shape}")
    return TemporalFile(data, offsets.astype(np.int64), names, identity, step)


def read_temporal_pickle(path: Path, *, trust: bool = False, step_seconds: float = 1.0) -> TemporalFile:
    """Read a public temporal pickle: a dict of `features` (list of [T_i, d]) and `video_names` (list of bytes).

    Args:
        path: the pickle.
        trust: the caller has decided to read it. Even then nothing but containers, strings and arrays is accepted.
        step_seconds: the file does not say; 1 for SeLaVi as TCaF uses it, 0.64 for C3D, 0.96 for VGGish.

    Raises:
        DataError: not trusted, damaged, or anything but the expected content.
    """
    if not trust:
        raise DataError(
            f"{path} is a pickle; read it only if you trust its origin, with --trust (trust=True in Python)"
        )
    content = read_pickle(path)
    if not isinstance(content, dict) or not {"features", "video_names"} <= set(content):
        raise DataError(f"{path}: expected a dict with 'features' and 'video_names'")
    clips, names = content["features"], content["video_names"]
    for what, kind, values in (("features", np.ndarray, clips), ("video_names", (bytes, str), names)):
        if not isinstance(values, (list, tuple, np.ndarray)) or not all(isinstance(v, kind) for v in values):
            raise DataError(f"{path}: '{what}' must be a list of {'arrays' if kind is np.ndarray else 'names'}")
    if any(clip.dtype.kind not in "fiu" for clip in clips):
        raise DataError(f"{path}: 'features' must hold numbers")
    check_spread(list(clips), Path(path))
    decoded = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in names]
    return _join(Path(path), clips, decoded, None, step_seconds)


def _join(
    path: Path, clips: Sequence[Any], names: Sequence[str], identity: ExtractorIdentity | None, step: float
) -> TemporalFile:
    blocks = [np.asarray(clip, dtype=np.float32) for clip in clips]
    if not blocks:
        raise DataError(f"{path}: there are no clips to write")
    if len(blocks) != len(names):
        raise DataError(f"{path}: {len(blocks)} clips but {len(names)} clip names")
    for block, name in zip(blocks, names, strict=True):
        if block.ndim != 2 or block.shape[1] != blocks[0].shape[-1]:
            raise DataError(f"{path}: clip '{name}' has shape {block.shape}, expected [rows, {blocks[0].shape[-1]}]")
    offsets = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64)
    data = np.concatenate(blocks)
    _check(path, data, offsets, names)
    return TemporalFile(data, offsets, tuple(names), identity, step)


def _check(path: Path, data: FloatArray, offsets: NDArray[np.int64], names: Sequence[str]) -> None:
    if data.ndim != 2 or data.shape[1] == 0:
        raise DataError(f"{path}: 'data' must be [rows, columns], got shape {data.shape}")
    if len(names) == 0:
        raise DataError(f"{path} lists no clips; remove the file or extract it again")
    if len(offsets) != len(names) + 1:
        raise DataError(f"{path}: {len(names)} clip names need {len(names) + 1} offsets, got {len(offsets)}")
    if offsets[0] != 0 or offsets[-1] != len(data):
        raise DataError(f"{path}: offsets run from {offsets[0]} to {offsets[-1]}, but there are {len(data)} rows")
    lengths = np.diff(offsets)
    if (lengths <= 0).any():
        raise DataError(f"{path}: clip '{names[int(np.argmax(lengths <= 0))]}' has no rows; leave it out")
    check_finite(path, data, names, offsets)
