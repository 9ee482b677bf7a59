"""Look into a trained model for its report: spikes of one clip, firing rates, and clips to show with their pictures.

Writes `report.json`, `report.safetensors` and `thumbnails/` into the run folder. Scores are not written again: the
report takes them from the evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import avzsl.methods
from avzsl.data.splits import Benchmark
from avzsl.data.tables import EvaluationSet
from avzsl.errors import AvzslError, DataError
from avzsl.experiments.thumbnails import frame_strip, spectrogram
from avzsl.files import read_json, write_bytes, write_json, write_tensors
from avzsl.methods._base import Method
from avzsl.methods._checkpoint import load_model
from avzsl.progress import track
from avzsl.types import SpikeTrace

assert avzsl.methods  # imported for its registrations

RECORD = "report.json"
TENSORS = "report.safetensors"
PICTURES = "thumbnails"
RATE_CLIPS = 64
"""Clips whose firing rates are averaged; traces are made clip by clip."""

FramesOf = Callable[[str], "np.ndarray[Any, Any] | None"]
SoundOf = Callable[[str], "tuple[np.ndarray[Any, Any], int] | None"]


def inspect_run(
    run: Path,
    benchmark: Benchmark,
    *,
    videos: Path | None = None,
    examples: int = 12,
    frames_of: FramesOf | None = None,
    sound_of: SoundOf | None = None,
    baselines: Mapping[str, Mapping[str, float]] | None = None,
    device: torch.device | str = "cpu",
) -> Path:
    """Store what the report of a run needs and its other files do not hold.

    Args:
        run: a finished run.
        benchmark: the data it was trained on.
        videos: folder of the clips; generated ones are recognised by its `world.json`.
        examples: how many unseen clips to show.
        frames_of: clip name to its pictures [F, H, W, 3] uint8, or None when there are none.
        sound_of: clip name to its waveform [N] float32 and rate in Hz, or None.
        baselines: name to `seen`, `unseen`, `hm`, `zsl` in percent of simple methods on the same data; None keeps
            those that an earlier inspection stored.
        device: where to compute.

    Returns:
        Path of report.json.

    Raises:
        ModelError: the run holds no model.
        DataError: the benchmark is not the one of the run.
        OutputError: the run folder cannot be written to.
    """
    run = Path(run)
    method, card = load_model(run, device)
    if card.fingerprint and card.fingerprint != benchmark.fingerprint:
        raise DataError(f"{run} was trained on other data than {benchmark.root}; give the folder it was trained on")
    test = benchmark.evaluation(2)
    rows = example_rows(test, examples)
    record = _kept(run)
    if baselines is not None:
        record["baselines"] = [{"name": name, **scores} for name, scores in baselines.items()]
    if videos is not None:
        record["simulated"] = (videos / "world.json").is_file()
    tensors: dict[str, Tensor] = {}
    if rows:
        traces = _traces(method, test, rows[0], device)
        tensors = _as_tensors(traces)
        if traces:
            chosen = evenly(len(test), RATE_CLIPS)
            tensors |= _mean_rates(method, test, chosen, device)
            name = test.class_names[int(test.labels[rows[0]])]
            record["spikes"] = {"clip": test.clip_names[rows[0]], "class_name": name, "rate_clips": len(chosen)}
    record["examples"], record["pictures_note"] = _examples(run, test, rows, frames_of, sound_of)
    write_tensors(run / TENSORS, tensors)
    write_json(run / RECORD, record)
    return run / RECORD


def example_rows(test: EvaluationSet, examples: int) -> list[int]:
    """Rows of unseen clips to show: classes in turn, clips in their order, whatever was predicted for them.

    With more unseen classes than examples, evenly spaced classes are taken.
    """
    labels = test.labels.tolist()
    by_class: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        if not bool(test.seen[label]):
            by_class.setdefault(label, []).append(row)
    columns = sorted(by_class)
    columns = [columns[i] for i in evenly(len(columns), examples)]
    rounds = max((len(by_class[c]) for c in columns), default=0)
    rows = [by_class[c][turn] for turn in range(rounds) for c in columns if turn < len(by_class[c])]
    return rows[:examples]


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the indices 0..count-1, evenly spaced."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / max(most - 1, 1)) for i in range(most)})


def _kept(run: Path) -> dict[str, Any]:
    """Baselines of an earlier inspection, which cost a training each."""
    try:
        stored = read_json(run / RECORD)
    except DataError:
        return {}
    return {"baselines": stored["baselines"]} if isinstance(stored, dict) and "baselines" in stored else {}


def _traces(method: Method, test: EvaluationSet, row: int, device: torch.device | str) -> tuple[SpikeTrace, ...]:
    with torch.inference_mode():
        return method.spike_traces(test.features.clips(torch.tensor([row])).to(device))


def _as_tensors(traces: tuple[SpikeTrace, ...]) -> dict[str, Tensor]:
    tensors = {}
    for trace in traces:
        key = f"{trace.modality}.{trace.block}"
        tensors[f"spikes.{key}"] = trace.spikes.to(torch.uint8)
        tensors[f"threshold.{key}"] = trace.threshold.float()
    return tensors


def _mean_rates(method: Method, test: EvaluationSet, rows: list[int], device: torch.device | str) -> dict[str, Tensor]:
    """Share of neurons firing at each time step [T], mean over the clips that have the modality."""
    found: dict[str, list[Tensor]] = {}
    for row in track(rows, "firing rates"):
        for trace in _traces(method, test, row, device):
            rate = trace.spikes.float().mean(dim=1).cpu()
            found.setdefault(f"rates.{trace.modality}.{trace.block}", []).append(rate)
    return {key: torch.stack(values).mean(dim=0) for key, values in found.items()}


def _examples(
    run: Path, test: EvaluationSet, rows: list[int], frames_of: FramesOf | None, sound_of: SoundOf | None
) -> tuple[list[dict[str, Any]], str]:
    """One record per clip, with the names of the pictures that could be made; and a sentence when some could not."""
    for old in (*(run / PICTURES).glob("*.frames.jpg"), *(run / PICTURES).glob("*.sound.jpg")):
        old.unlink(missing_ok=True)
    records: list[dict[str, Any]] = []
    problems: list[str] = []
    for number, row in enumerate(track(rows, "pictures")):
        clip = test.clip_names[row]
        record: dict[str, Any] = {"clip": clip}
        for part, make in (("frames", _drawn(frames_of, frame_strip)), ("sound", _drawn(sound_of, spectrogram))):
            try:
                picture = make(clip)
            except AvzslError as error:
                problems.append(f"{clip}: {error}")
                continue
            if picture is not None:
                record[part] = f"{PICTURES}/{number:02d}.{part}.jpg"
                write_bytes(run / record[part], picture)
        records.append(record)
    if not problems:
        return records, ""
    return records, f"{len(problems)} pictures could not be made, the first because {problems[0]}"


def _drawn(data_of: Callable[[str], Any] | None, draw: Callable[[Any], bytes | None]) -> Callable[[str], bytes | None]:
    """Clip name to JPEG, None where there is no data."""

    def make(clip: str) -> bytes | None:
        data = None if data_of is None else data_of(clip)
        return None if data is None else draw(data)

    return make
