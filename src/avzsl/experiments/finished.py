"""Find finished runs in folders, whoever wrote them, and say what may be compared with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.errors import AvzslError, DataError, ModelError
from avzsl.evaluation.statistics import Decisions, scores_of
from avzsl.experiments.evidence import Evidence, read_evidence
from avzsl.experiments.folder import SETTINGS
from avzsl.experiments.result import RESULT, Result, read_result
from avzsl.files import hash_bytes, hash_settings, read_json

# Percent: stored numbers are rounded to six digits.
_TOLERANCE = 1e-3
_NAMED = 3
_DIGITS = 8


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished run and what its test can be judged by again.

    Attributes:
        path: the run folder.
        result: its numbers.
        settings: all settings, as plain values by section; empty when they are not stored.
        evidence: scores, labels and names of the test.
    """

    path: Path
    result: Result
    settings: Mapping[str, Any]
    evidence: Evidence

    @property
    def group(self) -> str:
        """Equal for runs that differ in nothing but the seed."""
        return f"{self.result.method} {hash_settings(self.settings)}"

    @property
    def split(self) -> str:
        """Equal for runs with the same seen and unseen classes."""
        pairs = zip(self.evidence.class_names, self.evidence.seen.tolist(), strict=True)
        return hash_bytes(*(f"{int(seen)}{name}".encode() for name, seen in sorted(pairs)))[:_DIGITS]

    def decisions(self) -> Decisions:
        """What it got right, in an order that all runs on these clips share."""
        return self.evidence.decisions()


def find_runs(places: Iterable[Path]) -> tuple[list[FinishedRun], list[str]]:
    """All finished runs in or below some folders, and a sentence for each one that cannot be used.

    Raises:
        DataError: a folder is not there, or holds no run at all.
    """
    runs, problems = {}, []
    for place in places:
        if not place.is_dir():
            raise DataError(f"there is no folder {place}; give folders that 'avzsl train' or 'avzsl benchmark' wrote")
        folders = sorted({path.parent for name in (RESULT, SETTINGS) for path in place.rglob(name)})
        if not folders:
            raise DataError(f"{place} holds no run; give folders that 'avzsl train' or 'avzsl benchmark' wrote")
        for folder in folders:
            if not (folder / RESULT).is_file():
                problems.append(f"{folder}: not finished")
                continue
            try:
                runs[folder.resolve()] = read_run(folder)
            except AvzslError as error:
                problems.append(f"{folder}: {error}")
    return list(runs.values()), problems


def read_run(folder: Path) -> FinishedRun:
    """A finished run, its stored numbers checked against its stored scores.

    Raises:
        ModelError: something is missing, damaged or contradicts the rest.
    """
    result, evidence = read_result(folder), read_evidence(folder)
    clips = hash_bytes(*(name.encode() for name in sorted(evidence.clip_names)))[:16]
    if clips != result.evaluated:
        raise ModelError(f"{folder}: {RESULT} is about other clips than the scores beside it; one of them was replaced")
    again = {name: 100 * float(values[0]) for name, values in scores_of(evidence.decisions()).items()}
    wrong = [name for name, value in again.items() if abs(value - getattr(result, name)) > _TOLERANCE]
    if wrong:
        name = wrong[0]
        raise ModelError(
            f"{folder}: {RESULT} says {name} {getattr(result, name):.2f}, its scores give {again[name]:.2f};"
            " train again with --fresh"
        )
    return FinishedRun(folder, result, _settings(folder), evidence)


def _settings(folder: Path) -> dict[str, Any]:
    try:
        stored = read_json(folder / SETTINGS)["settings"]
        return dict(stored)
    except (DataError, KeyError, TypeError, ValueError):
        return {}


def key_of(run: FinishedRun) -> dict[str, str]:
    """What must be the same for two numbers to be comparable at all: benchmark, split, features, text, mode, protocol.

    Averaged or temporal, and how the bias is searched on validation, are a method's own choices and stand in its row.
    """
    result = run.result
    extractor = result.extractor
    on = [name for name, switched in result.quirks.items() if switched]
    seen, unseen = int(run.evidence.seen.sum()), int((~run.evidence.seen).sum())
    details = hash_settings({k: extractor.get(k) for k in ("settings", "version")})[:_DIGITS]
    return {
        "benchmark": result.benchmark,
        "split": f"{seen} seen and {unseen} unseen classes ({run.split})",
        "features": f"{result.family}, by {extractor.get('name')} {extractor.get('profile')} ({details})",
        "text": f"{result.text_encoder}, {result.text_assignment}",
        "mode": result.mode,
        "protocol": f"two stages, quirks: {', '.join(on) or 'none'}",
    }


def changed_settings(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """For groups of one method: the settings in which each differs from the first one that it could be told by."""
    flat = [dict(_flatten(group)) for group in groups]
    varying = [key for key in sorted({k for one in flat for k in one}) if len({str(one.get(key)) for one in flat}) > 1]
    return [", ".join(f"{key.split('.', 1)[-1]}={one.get(key)}" for key in varying) for one in flat]


def _flatten(values: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping):
            yield from _flatten(value, name)
        else:
            yield name, value


def clip_difference(one: Evidence, other: Evidence) -> str:
    """Which test clips two runs do not share, in words; empty when they share all."""
    first, second = set(one.clip_names), set(other.clip_names)
    parts = [
        f"{len(only)} {where} (such as {', '.join(sorted(only)[:_NAMED])})"
        for only, where in ((first - second, "only in the first"), (second - first, "only in the second"))
        if only
    ]
    return " and ".join(parts)
