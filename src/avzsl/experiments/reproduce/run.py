"""Run what the items need and is missing, then record each item.

<out>/reproduce-settings.json        what belongs in the folder
<out>/runs/<method>-<key>/seed-<n>/  run folders as `avzsl train` writes them; the key is a hash of settings and data
<out>/<item>/<item>.json             the record of each item, from which the report writes its pages
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import avzsl
from avzsl import progress
from avzsl.errors import AvzslError, SettingError, nearest_name
from avzsl.experiments.cells import Cell, Outcome
from avzsl.experiments.choice import check_preset
from avzsl.experiments.folder import Kind, check_folder, claim_folder
from avzsl.experiments.reproduce.all import item_names
from avzsl.experiments.reproduce.context import SUBJECT, Context, Request, Training
from avzsl.experiments.reproduce.estimate import Estimate
from avzsl.experiments.reproduce.items import ITEMS, Found, Item
from avzsl.experiments.reproduce.panels import heading
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.sweeps import PANELS
from avzsl.experiments.result import RESULT
from avzsl.experiments.workers import run_cells
from avzsl.files import lock_folder, write_json
from avzsl.training.interrupt import Interrupted

FORMAT = 1
ALL = "all"
INDEX = "reproduce.json"


def folder_kind() -> Kind:
    """The kind of folder that is written: pieces are what `--fresh` removes."""
    settings = "reproduce-settings.json"
    return Kind("reproduction", settings, (settings, "runs", INDEX, "index.html", "index.md", *item_names()))


@dataclass
class Plan:
    """What a request comes to.

    Attributes:
        items: those that can be worked out.
        cells: run folder to cell, each once, in the order in which they are run.
        wanted: item to how many trainings it takes; of two items that share some, both count them.
        refused: item to why it cannot be worked out on these data.
        impossible: item to how many of its trainings cannot be run on these data.
    """

    items: list[Item] = field(default_factory=list)
    cells: dict[Path, Cell] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    impossible: dict[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> list[Cell]:
        """Trainings that are not finished yet."""
        return [cell for cell in self.cells.values() if not (cell.run / RESULT).is_file()]

    def as_dict(self, estimate: Estimate) -> dict[str, Any]:
        """Plain JSON values."""
        left = self.missing
        return {
            "items": self.wanted, "refused": self.refused, "cannot_run": self.impossible,
            "trainings": len(self.cells), "finished": len(self.cells) - len(left), "left": len(left),
            "seconds_left": estimate.seconds(left), "estimate": estimate.words(left),
        }  # fmt: skip


def chosen_items(names: Sequence[str]) -> tuple[str, ...]:
    """Names of items in the order of the paper; `all` is every one.

    Raises:
        SettingError: one is unknown.
    """
    known = item_names()
    for name in names:
        if name != ALL and name not in known:
            raise SettingError(f"unknown item '{name}'{nearest_name(name, (*known, ALL))}")
    return tuple(name for name in known if name in names or (ALL in names and name not in PANELS))


def plan_reproduction(request: Request, out: Path | str) -> dict[str, Any]:
    """What would be run, and about how long it would take; nothing is written.

    Raises:
        SettingError: wrong settings or a folder of something else.
        DataError: the data do not fit the items.
    """
    folder = Path(out)
    check_folder(folder, fresh=False, kind=folder_kind())
    plan = _plan(request, Context(request, folder))
    return plan.as_dict(_estimate(plan, request))


def run_reproduction(request: Request, out: Path | str, *, fresh: bool = False) -> dict[str, Any]:
    """Run every training that is missing and record every item.

    Args:
        request: what to reproduce.
        out: folder; a stopped reproduction in it is continued, and more items, seeds or data may join it.
        fresh: forget what is in it.

    Returns:
        What `reproduce.json` holds: the items with their records, and why others were left out.

    Raises:
        SettingError: wrong settings, or a folder of another reproduction.
        DataError: the data do not fit what is asked for.
        OutputError: the folder cannot be written to.
        Interrupted: a stop was asked for; everything done is kept and recorded.
    """
    folder, kind = Path(out), folder_kind()
    check_folder(folder, fresh=fresh, kind=kind)
    context = Context(request, folder)
    plan = _plan(request, context)
    with lock_folder(folder):
        claim_folder(folder, _belongs(request, context), fresh=fresh, kind=kind)
        found = Found(context)
        try:
            _run(plan, request, context, found)
        except KeyboardInterrupt as stop:
            _store(plan, request, context, found, folder)
            raise Interrupted(
                f"stopped with {len(found.outcomes)} of {len(plan.cells)} trainings finished; all are kept in {folder};"
                " the same command goes on where it was"
            ) from stop
        return _store(plan, request, context, found, folder)


def _plan(request: Request, context: Context) -> Plan:
    plan = Plan()
    alone = len(request.items) == 1
    by_seed: dict[int, dict[Path, Cell]] = {seed: {} for seed in request.seeds}
    for name in request.items:
        item = ITEMS.get(name)
        try:
            trainings = item.trainings(context)
        except AvzslError as error:
            if alone or isinstance(error, SettingError):
                raise
            plan.refused[name] = " ".join(str(error).split())
            continue
        check_preset([t.method for t in trainings] or [SUBJECT], request.preset)
        plan.items.append(item)
        runs = {context.run_folder(t): t for t in trainings if not context.choice(t).reason}
        _check_any_runs(context, name, trainings, bool(runs))
        plan.wanted[name] = len(runs)
        lost = sum(bool(context.choice(t).reason) for t in trainings)
        if lost:
            plan.impossible[name] = lost
        for run, training in runs.items():
            by_seed.setdefault(training.seed, {})[run] = context.cell(training)
    # Seed by seed, so that whoever stops early has all rows with fewer seeds.
    for cells in by_seed.values():
        plan.cells |= cells
    return plan


def _check_any_runs(context: Context, name: str, trainings: Sequence[Training], any_runs: bool) -> None:
    """A misspelt setting fails every training with one sentence; better to say it at once."""
    if trainings and not any_runs:
        raise SettingError(f"nothing of {name} can run on these data: {context.choice(trainings[0]).reason}")


def _belongs(request: Request, context: Context) -> dict[str, Any]:
    """What must stay the same in a folder; items, seeds and data may join."""
    return {
        "preset": request.preset, "settings": list(request.assignments), "mode": request.mode,
        "family": request.family, "quick": request.quick, "device": context.device,
    }  # fmt: skip


def _run(plan: Plan, request: Request, context: Context, found: Found) -> None:
    estimate = _estimate(plan, request)
    left = {cell.run for cell in plan.missing}
    with progress.task("reproduce", len(plan.cells)) as bar:
        for cell, outcome in run_cells(list(plan.cells.values()), request.jobs, context.load):
            found.outcomes[cell.run] = outcome
            if cell.run in left and outcome.result is not None:
                estimate.add(cell.method, float(outcome.result["seconds"]))
            left.discard(cell.run)
            rest = [other for other in plan.cells.values() if other.run in left]
            told = f"HM {outcome.result['hm']:.1f} %" if outcome.result is not None else "failed"
            about = f"; {estimate.words(rest)}" if rest else ""
            bar.advance(1, f"{cell}: {told}{about}")


def _estimate(plan: Plan, request: Request) -> Estimate:
    estimate = Estimate(request.jobs)
    for cell in plan.cells.values():
        estimate.learn(cell)
    return estimate


def _store(plan: Plan, request: Request, context: Context, found: Found, folder: Path) -> dict[str, Any]:
    """Record every item from what is there."""
    entries: list[dict[str, Any]] = []
    for name in request.items:
        item = next((item for item in plan.items if item.name == name), None)
        if item is None:
            about = heading(published(name), context) | {"kind": "refused", "reason": plan.refused[name]}
        else:
            about = item.collect(context, found)
        record = {"format": FORMAT, "package": avzsl.__version__, "jobs": request.jobs} | about
        write_json(folder / name / f"{name}.json", record)
        entries.append(record)
    failed = [_failure(cell, outcome) for cell, outcome in _failures(plan, found)]
    index = {
        "format": FORMAT, "package": avzsl.__version__, "items": [entry["item"] for entry in entries],
        "trainings": len(plan.cells), "failed": failed, "refused": plan.refused, "quick": request.quick,
    }  # fmt: skip
    write_json(folder / INDEX, index)
    return {**index, "records": entries}


def _failures(plan: Plan, found: Found) -> list[tuple[Cell, Outcome]]:
    pairs = [(cell, found.outcomes.get(run)) for run, cell in plan.cells.items()]
    return [(cell, outcome) for cell, outcome in pairs if outcome is not None and outcome.state == "failed"]


def _failure(cell: Cell, outcome: Outcome) -> Mapping[str, Any]:
    return {"run": cell.run.parent.name, "method": cell.method, "seed": cell.seed, "reason": outcome.reason}
