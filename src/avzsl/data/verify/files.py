"""One feature file: the loader's own reading of it, with a finding where the loader would stop."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avzsl.data.reading import PICKLES, Reading, read_file
from avzsl.data.tables import Ragged
from avzsl.data.verify.findings import Findings, count, some
from avzsl.errors import DataError
from avzsl.types import ExtractorIdentity


@dataclass(frozen=True)
class FeatureFile:
    """What one feature file holds.

    Attributes:
        path: the file.
        names: clip names.
        table: its rows; None when the loader would refuse them.
        identity: who made them.
        dtype: numbers as stored; None for a pickle.
    """

    path: Path
    names: tuple[str, ...]
    table: Ragged | None = None
    identity: ExtractorIdentity | None = None
    dtype: str | None = None


def read_leniently(path: Path, reading: Reading, findings: Findings) -> FeatureFile:
    """Read a file; one that the loader would refuse gives a finding and what names can still be read.

    Args:
        path: the file.
        reading: how the loader would read it.
        findings: takes what is wrong.
    """
    files = reading.files
    try:
        table, names, identity = read_file(path, reading)
    except DataError as error:
        if path in files.dangerous:
            what = f"is damaged: {files.dangerous[path]}"
            findings.add("error", "damaged-file", path, what, "extract or download it again; do not train on it")
            return FeatureFile(path, ())
        names, finite = ((), True) if path.suffix in PICKLES else files.glance(path)
        findings.failed("damaged-file" if finite else "not-finite", path, error)
        return FeatureFile(path, names)
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        what = f"holds {count(len(repeated), 'clip')} more than once: {some(repeated)}"
        findings.add("warning", "duplicate-clip", path, what, "remove the other rows")
    return FeatureFile(path, names, table, identity, None if path.suffix in PICKLES else files.stored_type(path))


def hash_clips(table: Ragged) -> list[bytes | None]:
    """A hash of the rows of each clip; None for a clip of nothing but zeros."""
    data = np.ascontiguousarray(table.data.numpy() + 0.0)  # -0 is 0
    offsets = range(len(data) + 1) if table.offsets is None else table.offsets.tolist()
    hashes: list[bytes | None] = []
    for start, stop in itertools.pairwise(offsets):
        rows = data[start:stop]
        hashes.append(hashlib.blake2b(rows.tobytes(), digest_size=16).digest() if rows.any() else None)
    return hashes


def tell_zeros(file: FeatureFile, hashes: Sequence[bytes | None], findings: Findings) -> None:
    """A warning for clips whose features are all zero."""
    zeros = [place for place, known in enumerate(hashes) if known is None]
    if zeros:
        findings.add(
            "warning", "zero-rows", f"{file.path}, row {zeros[0]}",
            f"{count(len(zeros), 'clip has', 'clips have')} zeros only, for example '{file.names[zeros[0]]}'",
            "leave the clips out, or extract them again: a row of zeros is usually a failed extraction",
        )  # fmt: skip


class ColumnRanges:
    """Smallest and largest value of every column, file by file."""

    def __init__(self) -> None:
        self.least: torch.Tensor | None = None
        self.most: torch.Tensor | None = None
        self.rows = 0

    def add(self, data: torch.Tensor) -> None:
        """Take in more rows [n, d]; rows of another width are left out."""
        least, most = data.min(dim=0).values, data.max(dim=0).values
        if self.least is None or self.most is None:
            self.least, self.most = least, most
        elif len(least) == len(self.least):
            self.least, self.most = torch.minimum(self.least, least), torch.maximum(self.most, most)
        else:
            return
        self.rows += len(data)

    @property
    def constant(self) -> list[int]:
        """Columns that hold one value throughout; none while there are fewer than two rows."""
        if self.least is None or self.most is None or self.rows < 2:
            return []
        return [int(column) for column in (self.least == self.most).nonzero().flatten()]
