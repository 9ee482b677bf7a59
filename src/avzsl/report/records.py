"""What a RUN folder holds, read once and forgivingly: what is missing or damaged is named, not raised.

This is the only file of the room that knows the names of files and of keys in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.errors import DataError
from avzsl.files import read_json

Array = NDArray[Any]


@dataclass(frozen=True)
class StoredScores:
    """Scores of the test clips and what they belong to.

    Attributes:
        scores: [N, C] float, higher is better, without the bias.
        labels: [N] int, column of the true class.
        seen: [C] bool.
        class_names: C names.
        clip_names: N names.
        embeddings: [N, D] or None when the method has no common space.
        class_embeddings: [C, D] or None.
        zsl_scores: [N, C] scores that decide among unseen classes alone; None = `scores` do.
    """

    scores: Array
    labels: Array
    seen: Array
    class_names: tuple[str, ...]
    clip_names: tuple[str, ...]
    embeddings: Array | None = None
    class_embeddings: Array | None = None
    zsl_scores: Array | None = None


@dataclass(frozen=True)
class Curve:
    """Scores against the bias on the validation set, as fractions: [K] float each, and the chosen bias."""

    grid: Array
    seen: Array
    unseen: Array
    hm: Array
    best: float


@dataclass(frozen=True)
class RunRecords:
    """Everything the report is made of.

    Attributes:
        run: the folder.
        result: result.json, empty when missing.
        settings: settings.json, likewise.
        epochs: the lines of epochs.jsonl in order.
        test: test scores, None when missing.
        curve: validation curve, None when missing.
        extra: report.json.
        arrays: report.safetensors.
        problems: name of one of the fields above -> why it is empty.
    """

    run: Path
    result: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, Any], ...] = ()
    test: StoredScores | None = None
    curve: Curve | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)


def read_records(run: Path) -> RunRecords:
    """Read what is there.

    Raises:
        DataError: the folder does not exist or holds no file of a run at all.
    """
    if not run.is_dir():
        raise DataError(f"{run} is not a folder; give the folder that 'avzsl train' wrote")
    names = ("result.json", "settings.json", "epochs.jsonl", "evaluation.safetensors", "report.json")
    if not any((run / name).is_file() for name in names):
        raise DataError(f"{run} holds no finished or running training; give the folder that 'avzsl train' wrote")
    problems: dict[str, str] = {}
    evaluation = _mapping(run / "evaluation.json", "test", problems)
    arrays = _tensors(run / "evaluation.safetensors", "test", problems)
    test = None if "test" in problems else _part("test", problems, lambda: _test(evaluation, arrays))
    curve = None
    if not evaluation:
        problems["curve"] = problems["test"]
    else:
        curve = _part("curve", problems, lambda: _curve(evaluation, arrays))
    return RunRecords(
        run=run,
        result=_mapping(run / "result.json", "result", problems),
        settings=_mapping(run / "settings.json", "settings", problems),
        epochs=_lines(run / "epochs.jsonl", problems),
        test=test,
        curve=curve,
        extra=_mapping(run / "report.json", "extra", problems),
        arrays=_tensors(run / "report.safetensors", "arrays", problems),
        problems=problems,
    )


def _part(name: str, problems: dict[str, str], read: Any) -> Any:
    try:
        return read()
    except (KeyError, ValueError, TypeError, IndexError) as error:
        what = f"has no {error}" if isinstance(error, KeyError) else f"does not fit together ({error})"
        problems[name] = f"the stored evaluation {what}"
        return None


def _mapping(path: Path, part: str, problems: dict[str, str]) -> dict[str, Any]:
    if not path.is_file():
        problems.setdefault(part, f"{path.name} is not in the run folder")
        return {}
    try:
        value = read_json(path)
    except DataError:
        problems.setdefault(part, f"{path.name} is not valid JSON")
        return {}
    if not isinstance(value, dict):
        problems.setdefault(part, f"{path.name} does not hold an object")
        return {}
    return value


def _tensors(path: Path, part: str, problems: dict[str, str]) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        problems.setdefault(part, f"{path.name} is not in the run folder")
        return {}
    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError, ValueError, KeyError):
        problems.setdefault(part, f"{path.name} is damaged")
        return {}


def _lines(path: Path, problems: dict[str, str]) -> tuple[dict[str, Any], ...]:
    if not path.is_file():
        problems["epochs"] = f"{path.name} is not in the run folder"
        return ()
    records: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was cut off
        if isinstance(value, dict):
            records.append(value)
    if not records:
        problems["epochs"] = f"{path.name} holds no epoch"
    return tuple(records)


def _test(names: Mapping[str, Any], arrays: Mapping[str, Array]) -> StoredScores:
    scores = np.asarray(arrays["scores"], dtype=np.float64)
    labels = np.asarray(arrays["labels"], dtype=np.int64)
    seen = np.asarray(arrays["seen"]).astype(bool)
    classes = tuple(str(n) for n in names["class_names"])
    clips = tuple(str(n) for n in names["clip_names"])
    if scores.ndim != 2 or scores.shape != (len(clips), len(classes)) or len(labels) != len(clips):
        raise ValueError(f"scores {scores.shape}, {len(labels)} labels, {len(clips)} clips, {len(classes)} classes")
    if seen.shape != (len(classes),) or (len(labels) and not 0 <= labels.min() <= labels.max() < len(classes)):
        raise ValueError("the labels or the list of seen classes do not match the class names")
    embeddings, class_embeddings = arrays.get("embeddings"), arrays.get("class_embeddings")
    if embeddings is not None and len(embeddings) != len(clips):
        raise ValueError(f"{len(embeddings)} embeddings for {len(clips)} clips")
    zsl_scores = arrays.get("zsl_scores")
    if zsl_scores is not None and zsl_scores.shape != scores.shape:
        raise ValueError(f"scores {scores.shape}, but scores among unseen classes {zsl_scores.shape}")
    return StoredScores(scores, labels, seen, classes, clips, embeddings, class_embeddings, zsl_scores)


def _curve(names: Mapping[str, Any], arrays: Mapping[str, Array]) -> Curve:
    curve = names["curve"]
    grid, seen, unseen, hm = (np.asarray(curve[k], dtype=np.float64) for k in ("grid", "seen", "unseen", "hm"))
    if not len(grid) == len(seen) == len(unseen) == len(hm) or len(grid) == 0:
        raise ValueError("the columns of the validation curve differ in length")
    return Curve(grid, seen, unseen, hm, float(curve["best"]))
