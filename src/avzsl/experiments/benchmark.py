"""Many methods with several seeds on the same test videos: run, resume, rank.

<out>/benchmark-settings.json                 what belongs in the folder
<out>/benchmark.json                          every table and every cell
<out>/runs/[<data>/]<method>/seed-<n>/        run folders as `avzsl train` writes them
<out>/runs/[<data>/]<method>/seed-<n>.json    what became of each, failures too
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import avzsl
from avzsl import progress
from avzsl.data.splits import Benchmark
from avzsl.errors import AvzslError, DataError, SettingError
from avzsl.experiments.cells import Cell, Loader, Outcome
from avzsl.experiments.choice import assignments_of, check_preset, choose, own_preset
from avzsl.experiments.folder import Kind, check_folder, claim_folder
from avzsl.experiments.run import choose_device
from avzsl.experiments.settings import assemble
from avzsl.experiments.tables import Place, build_table, describe
from avzsl.experiments.workers import run_cells
from avzsl.files import lock_folder, write_json
from avzsl.methods._base import METHODS
from avzsl.training.interrupt import Interrupted

FORMAT = 1
RESULTS = "benchmark.json"
BENCHMARK = Kind(
    "benchmark",
    "benchmark-settings.json",
    ("benchmark-settings.json", "runs", RESULTS, "benchmark.md", "benchmark.csv", "benchmark.html"),
)
ALL = "all"


@dataclass(frozen=True)
class Request:
    """What to compare.

    Attributes:
        data: benchmark folders; each is ranked by itself, and several also together.
        methods: registered names, or `("all",)`.
        seeds: of everything random, one run each.
        preset: for all methods; None = chosen for each.
        assignments: `key=value` for every method, `method:key=value` for one.
        mode: `"clean"` or `"reference"`; None = as presets say.
        family: feature family; None = the one that is there.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        jobs: processes.
        trust: read temporal features from public pickles.
        trusted: open feature files without a child process; as in `load_benchmark`.
    """

    data: tuple[Path, ...]
    methods: tuple[str, ...] = (ALL,)
    seeds: tuple[int, ...] = (0, 1, 2)
    preset: str | None = None
    assignments: tuple[str, ...] = ()
    mode: str | None = None
    family: str | None = None
    device: str = "auto"
    jobs: int = 1
    trust: bool = False
    trusted: bool = False

    def __post_init__(self) -> None:
        if not self.data or not self.seeds or not self.methods:
            raise SettingError("a benchmark needs at least one data folder, one method and one seed")
        if min(self.seeds) < 0:
            raise SettingError(f"seed is {min(self.seeds)}; it must be at least 0")
        if self.jobs < 1:
            raise SettingError(f"jobs is {self.jobs}; it must be at least 1")
        for what, values in (("seed", self.seeds), ("method", self.methods), ("data folder", self.data)):
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise SettingError(f"{what} {twice[0]} is given twice; give each once")

    @property
    def names(self) -> tuple[str, ...]:
        """The methods by name.

        Raises:
            SettingError: one of them is unknown.
        """
        if self.methods == (ALL,):
            return METHODS.names()
        return tuple(METHODS.get(name).name for name in self.methods)

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """For `run_training`."""
        return {
            "data": {"family": self.family, "trust": self.trust or None},
            "protocol": {"mode": self.mode},
        }


def run_benchmark(request: Request, out: Path | str, *, fresh: bool = False) -> dict[str, Any]:
    """Run every cell that is not finished yet, rank, and store everything in `<out>/benchmark.json`.

    Args:
        request: what to compare.
        out: folder; a stopped benchmark in it is continued, and more methods or seeds may join it.
        fresh: forget what is in it.

    Returns:
        What `benchmark.json` holds (docs/benchmark.md).

    Raises:
        SettingError: wrong settings, or a folder of another benchmark.
        DataError: a data folder cannot be loaded.
        OutputError: the folder cannot be written to.
        Interrupted: a stop was asked for; finished cells are stored and ranked, a cell under way is saved.
    """
    folder, load = Path(out), Loader(trusted=request.trusted)
    device = choose_device(request.device).type
    names = request.names
    check_preset(names, request.preset)
    check_folder(folder, fresh=fresh, kind=BENCHMARK)
    places = [_look(request, label, path, load) for label, path in label_folders(request.data).items()]
    with lock_folder(folder):
        claim_folder(folder, _belongs(request, places, device), fresh=fresh, kind=BENCHMARK)
        cells = _cells(request, places, folder)
        outcomes: dict[tuple[str, str, int], Outcome] = {}
        try:
            _run_all(cells, request.jobs, load, outcomes)
        except KeyboardInterrupt as stop:
            _store(folder, request, places, cells, outcomes, device)
            raise Interrupted(
                f"stopped with {len(outcomes)} of {len(cells)} runs finished; all are kept in {folder} and ranked in"
                f" {RESULTS}; the same command goes on where it was"
            ) from stop
        return _store(folder, request, places, cells, outcomes, device)


def label_folders(paths: Sequence[Path]) -> dict[str, Path]:
    """A short name for each folder, different from the others': its own, with those above it where needed."""
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise SettingError("a data folder is given twice; give each once")
    for depth in range(1, max(len(path.parts) for path in resolved)):
        labels = ["-".join(path.parts[-depth:]) for path in resolved]
        if len(set(labels)) == len(labels):
            return dict(zip(labels, paths, strict=True))
    return {f"data-{number}": path for number, path in enumerate(paths, start=1)}


def _look(request: Request, label: str, path: Path, load: Loader) -> Place:
    """Load a folder once, and settle how each method takes part in it."""
    benchmark = _describe(request, path, load)
    choices = tuple(
        choose(method, path, benchmark, request.preset, request.assignments, request.options, load)
        for method in request.names
    )
    if all(choice.reason for choice in choices):
        # One sentence for all of them: a misspelt setting, or data that fit no method.
        raise SettingError(f"no method can run on {path}: {choices[0].method}: {choices[0].reason}")
    return Place(label, path, describe(label, path, benchmark), choices)


def _describe(request: Request, path: Path, load: Loader) -> Benchmark:
    """The features of a folder that are used where a method does not say, or the others where those are missing."""
    problem: AvzslError | None = None
    for method in request.names:
        preset = None if request.preset is None else own_preset(method, request.preset)
        try:
            settings = assemble(
                method, preset=preset, assignments=assignments_of(method, request.assignments), options=request.options
            )
            break
        except AvzslError as error:
            problem = problem or error
    else:
        assert problem is not None
        raise problem
    try:
        return load(settings, path)
    except DataError:
        other = replace(settings.data, temporal=not settings.data.temporal, max_segments=None)
        with contextlib.suppress(DataError):
            return load(replace(settings, data=other), path)
        raise


def _belongs(request: Request, places: Sequence[Place], device: str) -> dict[str, Any]:
    """What must stay the same in a folder; methods and seeds may join."""
    return {
        "data": {place.label: place.about["fingerprints"] for place in places},
        "preset": request.preset,
        "settings": list(request.assignments),
        "mode": request.mode,
        "family": request.family,
        "device": device,
    }


def _cells(request: Request, places: Sequence[Place], folder: Path) -> list[Cell]:
    """Seed by seed, so that a benchmark that is stopped early has numbers of every method."""
    return [
        Cell(
            data=place.path, label=place.label, method=choice.method, seed=seed,
            run=folder / "runs" / (place.label if len(places) > 1 else "") / choice.method / f"seed-{seed}",
            preset=choice.preset, assignments=choice.assignments, options=choice.options, device=request.device,
        )
        for seed in request.seeds for place in places for choice in place.choices if not choice.reason
    ]  # fmt: skip


def _run_all(cells: Sequence[Cell], jobs: int, load: Loader, outcomes: dict[tuple[str, str, int], Outcome]) -> None:
    with progress.task("benchmark", len(cells)) as bar:
        for cell, outcome in run_cells(cells, jobs, load):
            outcomes[cell.label, cell.method, cell.seed] = outcome
            told = f"HM {outcome.result['hm']:.1f} %" if outcome.result is not None else "failed"
            bar.advance(1, f"{cell}: {told}")


def _store(
    folder: Path, request: Request, places: Sequence[Place], cells: Sequence[Cell],
    outcomes: Mapping[tuple[str, str, int], Outcome], device: str,
) -> dict[str, Any]:  # fmt: skip
    """Rank what is there and write it."""
    records = []
    for cell in cells:
        outcome = outcomes.get((cell.label, cell.method, cell.seed))
        if outcome is not None:
            about = {"block": f"{cell.label}, seed {cell.seed}", "run": str(cell.run.relative_to(folder))}
            records.append(outcome.as_dict(cell) | about)
    tables = [build_table([place], request.names, request.seeds, records) for place in places]
    if len(places) > 1:
        tables.append(build_table(places, request.names, request.seeds, records))
    record = {
        "format": FORMAT, "package": avzsl.__version__, "device": device, "jobs": request.jobs,
        "preset": request.preset, "settings": list(request.assignments), "tables": tables, "cells": records,
    }  # fmt: skip
    write_json(folder / RESULTS, record)
    return record
