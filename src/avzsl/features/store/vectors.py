"""Text vectors of class names on disk: safetensors (ours) and the benchmarks' pickled `.npy` (docs/protocol.md 3)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from avzsl.errors import DataError
from avzsl.features.store.unpickle import check_spread, read_npy
from avzsl.files import write_bytes
from avzsl.types import TextVectors

# Names of encoders that only exist as a file of vectors start with this.
FILE_ENCODER = "vectors:"


def write_word_vectors(path: Path, vectors: TextVectors) -> None:
    """Write named vectors and the name of their encoder as safetensors.

    Raises:
        DataError: names repeat, or a vector is not finite or zero.
        OutputError: the file cannot be written.
    """
    from safetensors.torch import save

    _check(Path(path), vectors)
    # One entry only: safetensors does not keep the order of several, and equal vectors shall give equal files.
    about = json.dumps({"names": list(vectors.names), "encoder": vectors.encoder}, ensure_ascii=False)
    write_bytes(path, save({"vectors": vectors.vectors.to(torch.float32).contiguous()}, {"avzsl": about}))


def read_word_vectors(path: Path) -> TextVectors:
    """Read named text vectors, in the order of the file.

    A `.npy` file is the benchmarks' pickled dict (read without running code); its encoder is called `vectors:<stem>`.

    Returns:
        Vectors [C, d_w] float32 with their names (for a `.npy`, the `manual` names of the class-name csv).

    Raises:
        DataError: missing, damaged, not named vectors of one size, not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there are no word vectors at {path}; check the path or extract the data set again")
    vectors = _read_npy(path) if path.suffix == ".npy" else _read_safetensors(path)
    _check(path, vectors)
    return vectors


def _read_npy(path: Path) -> TextVectors:
    content = read_npy(path)
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise DataError(f"{path}: expected a dict of class names and vectors, got {type(content).__name__}")
    for name, vector in content.items():
        if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype.kind not in "fiu":
            raise DataError(f"{path}: the vector of '{name}' is not one row of numbers")
    sizes = {len(vector) for vector in content.values()}
    if len(sizes) != 1:
        raise DataError(f"{path}: vectors of different sizes: {sorted(sizes)}")
    check_spread(list(content.values()), path)
    rows = torch.from_numpy(np.stack([v.astype(np.float32) for v in content.values()]))
    return TextVectors(tuple(content), rows, FILE_ENCODER + path.stem)


def _read_safetensors(path: Path) -> TextVectors:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["avzsl"])
            vectors = file.get_tensor("vectors").to(torch.float32)
        return TextVectors(tuple(str(name) for name in about["names"]), vectors, str(about["encoder"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise DataError(f"{path} is damaged or holds no word vectors ({error}); extract it again") from error


def _check(path: Path, vectors: TextVectors) -> None:
    if vectors.vectors.dim() != 2 or len(vectors.vectors) != len(vectors.names):
        raise DataError(f"{path}: {len(vectors.names)} names but vectors of shape {tuple(vectors.vectors.shape)}")
    if len(set(vectors.names)) != len(vectors.names):
        twice = next(name for name in vectors.names if vectors.names.count(name) > 1)
        raise DataError(f"{path}: two vectors are called '{twice}'")
    lengths = vectors.vectors.norm(dim=1)
    bad = ~(torch.isfinite(lengths) & (lengths > 0))
    if bad.any():
        raise DataError(f"{path}: the vector of '{vectors.names[int(bad.int().argmax())]}' is zero, NaN or infinite")
