"""Damaged feature files, read by loading the benchmark folder they lie in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import avzsl.api  # now, not when the first input is there: each part of a run has a process of its own
from avzsl.data.splits import Benchmark
from avzsl.errors import DataError
from avzsl.features.store import reader
from avzsl.isolation import Helper
from trials.hostile import attempt as attempts
from trials.hostile.attempt import Attempt, WrongResultError
from trials.hostile.benchmark import other_shapes, write_benchmark
from trials.hostile.hdf5_rewrite import rewrite
from trials.hostile.mutate import mutate_bytes

# Seconds that a file may take in the child; the package's own limit would make hangs cost half a minute each.
SECONDS = 2.0


class _Shared(Helper):
    """A child that outlives the loading of a folder."""

    def close(self) -> None:
        """Not yet."""


class Subject:
    """A benchmark folder of 20 feature files, one of which is damaged at a time."""

    limit = 60.0

    def __init__(self, base: Path) -> None:
        torch.set_num_threads(1)
        reader.SECONDS = SECONDS
        self.shared = _Shared(reader._read, trouble=reader._DangerError)
        self.writer = Helper(rewrite, trouble=DataError)
        self.base, self.root = base, base / "Tiny"
        write_benchmark(self.root)
        self.files = {
            temporal: sorted(p for p in self.root.rglob("*.h5") if ("non_averaged" in str(p)) == temporal)
            for temporal in (False, True)
        }
        every = itertools.chain(*self.files.values())
        self.shapes = {path: [path.read_bytes(), *other_shapes(path)] for path in every}
        self.sound = {temporal: avzsl.load(self.root, temporal=temporal).fingerprint for temporal in (False, True)}

    def attempts(self, numbers: range, seed: int) -> Iterator[Attempt]:
        """One damaged file each."""
        for number in numbers:
            self._reuse_child(number)
            random = np.random.default_rng([seed, 1, number])
            temporal = bool(random.random() < 0.3)
            path = self.files[temporal][int(random.integers(0, len(self.files[temporal])))]
            good = self.shapes[path][int(random.integers(0, 4))]
            attempts.tell(self.base, path)
            if random.random() < 0.005:
                mutation = attempts.put_oddity(path, number)
            elif random.random() < 0.35:
                mutation, content = self._rewritten(good, (seed, 4, number))
                attempts.put(path, content)
            else:
                mutation, content = mutate_bytes(good, random, self.shapes[path][int(random.integers(0, 4))])
                attempts.put(path, content)
            what = f"{mutation} of {'a temporal' if temporal else 'an averaged'} file"
            found = attempts.run(number, what, lambda temporal=temporal: self._load(temporal), self.root)  # type: ignore[misc]
            attempts.keep_fault(self.base, path, found)
            attempts.put(path, self.shapes[path][0])
            yield found

    def _rewritten(self, content: bytes, seed: tuple[int, ...]) -> tuple[str, bytes]:
        try:
            return self.writer((content, seed, self.base / "scratch"), timeout=20.0)  # type: ignore[no-any-return]
        except DataError:  # the library does not survive writing that
            return mutate_bytes(content, np.random.default_rng(seed))

    def _reuse_child(self, number: int) -> None:
        """Starting a child for every folder would take most of the time; every 20th input has one of its own."""
        reader.Helper = Helper if number % 20 == 0 else lambda *_, **__: self.shared  # type: ignore[assignment,misc]

    def _load(self, temporal: bool) -> bool:
        benchmark = avzsl.load(self.root, temporal=temporal)
        _check(benchmark)
        return benchmark.fingerprint == self.sound[temporal]


def _check(benchmark: Benchmark) -> None:
    """Whatever the file holds: numbers are finite, and rows, names and labels belong together."""
    for table in (benchmark.features.audio, benchmark.features.visual):
        if table is None or not bool(torch.isfinite(table.data).all()):
            raise WrongResultError("features that are not finite")
        if len(table) != len(benchmark.labels) or len(table) != len(benchmark.clip_names):
            raise WrongResultError(f"{len(table)} rows, {len(benchmark.labels)} labels")
