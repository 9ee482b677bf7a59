"""The sections of the page: each takes the records and gives what its template shows, or says why it cannot."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.errors import AvzslError
from avzsl.report import analysis, charts, space, spikes
from avzsl.report.records import RunRecords, StoredScores

SHOWN_CLASSES = 60
"""A part with more classes shows its best and its worst; the rest is folded away."""
EXTREMES = 15
MOST_CONFUSIONS = 12
SHOWN_GUESSES = 3
MOST_TERMS = 7
MOST_THUMBNAIL = 200_000
"""Bytes of one picture; a larger one is left out so that the page stays small."""
_NOT_LOSSES = {"stage", "epoch", "lr", "learning_rate", "seconds", "bias", "seen", "unseen", "hm", "zsl"}


@dataclass(frozen=True)
class Section:
    """One section: `content` for its template, or None and the reason in `missing`."""

    key: str
    title: str
    content: Mapping[str, Any] | None
    missing: str = ""


def build(key: str, title: str, make: Callable[[RunRecords], Mapping[str, Any]], records: RunRecords) -> Section:
    """Make a section; whatever a damaged or missing part makes impossible becomes a sentence."""
    try:
        return Section(key, title, make(records))
    except AvzslError as error:
        return Section(key, title, None, f"{error}.")
    except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
        reason = f"{error}" if isinstance(error, ValueError) else f"the stored records are not as expected ({error!r})"
        return Section(key, title, None, f"Left out: {reason}.")


def all_sections(records: RunRecords) -> list[Section]:
    """Every section after the summary, in the order of the page."""
    makers: Sequence[tuple[str, str, Callable[[RunRecords], Mapping[str, Any]]]] = (
        ("bias", "Seen against unseen: the bias", bias),
        ("classes", "Accuracy of every class", classes),
        ("confusion", "What is taken for what", confusion),
        ("training", "Training", training),
        ("space", "The joint space", joint_space),
        ("spikes", "Spikes for one clip", spiking),
        ("predictions", "Predictions on unseen classes", predictions),
    )
    return [build(key, title, make, records) for key, title, make in makers]


def number(value: Any, digits: int = 2) -> str:
    """A number for reading; a dash for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        return "–"
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def _test(records: RunRecords) -> StoredScores:
    if records.test is None:
        raise ValueError(records.problems.get("test", "the test scores are missing"))
    return records.test


def _bias(records: RunRecords) -> float:
    value = records.result.get("bias")
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    if records.curve is not None and math.isfinite(records.curve.best):
        return records.curve.best
    raise ValueError("no bias is stored, neither in result.json nor with the validation curve")


def bias(records: RunRecords) -> Mapping[str, Any]:
    """Validation curve, and the test curve beside it."""
    if records.curve is None and records.test is None:
        raise ValueError(records.problems.get("curve", "the validation curve is missing"))
    pictures, notes = [], []
    chosen = None
    if records.curve is not None:
        chosen = records.curve.best
        pictures.append(charts.bias_picture(records.curve, "validation", "Validation set", False, chosen))
        if len(records.curve.grid) > 1 and chosen >= records.curve.grid.max():
            notes.append("The chosen bias is the largest of the grid: the best one may lie beyond it.")
    else:
        notes.append(f"No validation curve: {records.problems.get('curve', 'it was not stored')}.")
    used = _bias(records)
    if records.test is not None:
        grid = records.curve.grid if records.curve is not None else np.linspace(0.0, 3.0, 16)
        curve = analysis.curve_of(records.test, grid, used)
        pictures.append(charts.bias_picture(curve, "test", "Test set, not used for choosing", True, used))
    if chosen is not None and abs(chosen - used) > 1e-9:
        notes.append(
            f"The test scores use bias {used:.3g}, not the {chosen:.3g} of this curve; the protocol switches say why."
        )
    return {"pictures": pictures, "notes": notes, "chosen": used}


def classes(records: RunRecords) -> Mapping[str, Any]:
    """Recall of every class, best first."""
    test = _test(records)
    count = len(test.class_names)
    used = _bias(records)
    joint = analysis.recall(test.labels, analysis.decide(test, used), count)
    alone = np.full(count, np.nan)
    if (~test.seen).any():
        alone = analysis.recall(test.labels, analysis.decide(test, used, unseen_only=True), count)
        alone[test.seen] = np.nan
    clips = np.bincount(test.labels, minlength=count)
    groups = []
    for part, chosen in (("seen", test.seen), ("unseen", ~test.seen)):
        rows: list[dict[str, Any]] = [
            {"name": test.class_names[c], "recall": float(joint[c]), "zsl": float(alone[c]), "clips": int(clips[c])}
            for c in np.nonzero(chosen)[0]
        ]
        rows.sort(key=lambda r: (-r["recall"] if math.isfinite(r["recall"]) else 1.0, r["name"]))
        groups.append(
            {
                "part": part,
                "rows": rows,
                "mean": analysis.mean_of(joint, chosen),
                "zsl": analysis.mean_of(alone, chosen),
            }
            | _folded(rows)
        )
    return {"groups": groups, "differs": _difference(records, groups)}


def _folded(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows that are always visible, and whether there are more."""
    if len(rows) <= SHOWN_CLASSES:
        return {"top": rows, "bottom": [], "folded": False}
    return {"top": rows[:EXTREMES], "bottom": rows[-EXTREMES:], "folded": True}


def _difference(records: RunRecords, groups: list[dict[str, Any]]) -> str:
    """A sentence when the stored result and the stored scores do not agree."""
    for group in groups:
        stored = records.result.get(group["part"])
        mean = 100 * group["mean"]
        if isinstance(stored, int | float) and math.isfinite(mean) and abs(stored - mean) > 0.02:
            return (
                f"result.json says {stored:.2f} % for {group['part']} classes, the stored test scores give "
                f"{mean:.2f} %: the two files are not of the same run."
            )
    return ""


def confusion(records: RunRecords) -> Mapping[str, Any]:
    """Matrix, most frequent mistakes, and where clips of each part went."""
    test = _test(records)
    if len(test.labels) == 0:
        raise ValueError("the test set holds no clip")
    decisions = analysis.decide(test, _bias(records))
    counts = analysis.confusion_counts(test.labels, decisions, len(test.class_names))
    picture, note = None, ""
    try:
        picture = charts.confusion_picture(test, counts)
    except AvzslError as error:
        note = f"{error}."
    return {
        "picture": picture,
        "note": note,
        "pairs": analysis.confusions(test, counts, MOST_CONFUSIONS),
        "destinations": analysis.destinations(test, decisions),
    }


def training(records: RunRecords) -> Mapping[str, Any]:
    """Loss terms and validation scores by epoch, one row of figures per stage."""
    if not records.epochs:
        raise ValueError(
            f"{records.problems.get('epochs', 'no epoch is stored')}; a method solved in one step has none"
        )
    selected = records.result.get("epoch")
    mark = float(selected) if isinstance(selected, int | float) and not isinstance(selected, bool) else None
    stages = []
    for stage in sorted({str(e.get("stage", 1)) for e in records.epochs}):
        chosen = [flat(e) for e in records.epochs if str(e.get("stage", 1)) == stage]
        stages.append({"stage": stage, "pictures": _stage_pictures(stage, chosen, mark), "epochs": len(chosen)})
    return {"stages": stages, "mark": selected}


def _stage_pictures(stage: str, chosen: list[dict[str, Any]], mark: float | None) -> list[Any]:
    epochs = charts.number_columns(chosen, ["epoch"]).get("epoch", np.arange(len(chosen), dtype=float))
    inside = mark if mark is not None and np.nanmin(epochs) <= mark <= np.nanmax(epochs) else None
    terms = [key for key in dict.fromkeys(k for record in chosen for k in record) if key not in _NOT_LOSSES]
    rates = [key for key in terms if key.startswith("rate_")]
    losses = sorted(set(terms) - set(rates) - {"rank"}, key=lambda key: (key != "loss", key))[:MOST_TERMS]
    # Name of the figure, unit of its axis, factor, columns.
    groups = (
        ("loss", "loss", 1, losses),
        ("validation", "%", 100, ["hm", "seen", "unseen", "zsl"]),
        ("firing rate", "neurons that fire, %", 100, rates),
        ("rank", "components used", 1, ["rank"]),
    )
    pictures = []
    for name, unit, factor, keys in groups:
        series = {key: factor * values for key, values in charts.number_columns(chosen, keys).items()}
        if series:
            known, title = name == "validation", f"Stage {stage}: {name}"
            slug = f"epochs-{_slug(name)}-{_slug(stage)}"
            pictures.append(charts.series_picture(slug, title, unit, epochs, series, inside, scores=known))
    return pictures


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """One epoch with its nested parts (`losses`, `validation`) brought to the top."""
    values: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            values |= {str(k): v for k, v in value.items() if not isinstance(v, Mapping)}
        else:
            values[str(key)] = value
    return values


def _slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text)


def joint_space(records: RunRecords) -> Mapping[str, Any]:
    """t-SNE picture and its legend."""
    seed = records.result.get("seed")
    picture, marks = space.space_picture(_test(records), seed if isinstance(seed, int) and 0 <= seed < 2**32 else 0)
    return {"picture": picture, "marks": marks}


def spiking(records: RunRecords) -> Mapping[str, Any]:
    """Raster, firing rates and thresholds of one clip."""
    if not records.arrays and "arrays" in records.problems:
        raise ValueError(f"{records.problems['arrays']}; the inspection of the run writes it")
    blocks = spikes.read_blocks(records.arrays)
    stored = records.extra.get("spikes")
    about = stored if isinstance(stored, Mapping) else {}
    clips = about.get("rate_clips")
    lines = [spikes.rate_picture(blocks), spikes.threshold_picture(blocks)]
    lines.append(spikes.mean_rate_picture(blocks, clips if isinstance(clips, int) else 0))
    return {
        "rasters": spikes.raster_pictures(blocks),
        "lines": [p for p in lines if p is not None],
        "clip": about.get("clip"),
        "class_name": about.get("class_name"),
        "neurons": sum(b.spikes.shape[1] for b in blocks),
        "rate": 100 * float(np.concatenate([b.spikes.ravel() for b in blocks]).mean()),
    }


def predictions(records: RunRecords) -> Mapping[str, Any]:
    """Examples with their pictures."""
    examples = records.extra.get("examples")
    if not isinstance(examples, list) or not examples:
        raise ValueError(
            f"{records.problems.get('extra', 'report.json names no examples')}; inspect the run to add them"
        )
    test, used = _test(records), _bias(records)
    rows = {name: row for row, name in reversed(list(enumerate(test.clip_names)))}
    cards = []
    for example in examples:
        row = rows.get(example["clip"])
        if row is None:
            continue  # an inspection of other data
        top = [
            {"name": test.class_names[c], "score": score, "seen": bool(test.seen[c]), "true": c == test.labels[row]}
            for c, score in analysis.ranking(test, row, used, SHOWN_GUESSES)
        ]
        cards.append(
            {
                "clip": test.clip_names[row],
                "true": test.class_names[test.labels[row]],
                "right": top[0]["true"],
                "top": top,
                "frames": picture_data(records.run, example.get("frames")),
                "sound": picture_data(records.run, example.get("sound")),
            }
        )
    if not cards:
        raise ValueError("the clips of report.json are not in the test set; inspect the run again")
    return {
        "cards": cards,
        "right": sum(c["right"] for c in cards),
        "pictures": any(c["frames"] for c in cards),
        "note": str(records.extra.get("pictures_note", "")),
    }


def picture_data(run: Path, name: Any) -> str:
    """A picture of the run folder as a data address; empty when it is missing, too large or outside the folder."""
    if not isinstance(name, str):
        return ""
    path = (run / name).resolve()
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}.get(path.suffix.lower())
    if kind is None or not path.is_relative_to(run.resolve()) or not path.is_file():
        return ""
    if path.stat().st_size > MOST_THUMBNAIL:
        return ""
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
