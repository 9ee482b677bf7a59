"""`avzsl demo`: the whole way once, from videos that it renders to the names of classes it never saw."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avzsl.cli._options import Json, Quiet
from avzsl.cli._output import print_json, print_table
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from avzsl.experiments.result import Result
    from avzsl.predict.predictor import Prediction

# Clips of unseen classes that are named from their video files.
_SHOWN = 8


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("runs/demo"),
    classes: Annotated[int, typer.Option(help="Classes of the generated world.")] = 80,
    clips: Annotated[int, typer.Option(help="Videos per class.")] = 12,
    seed: Annotated[int, typer.Option(help="Of the world and of the training.")] = 0,
    text: Annotated[str, typer.Option(help="Encoder of the class names: minilm or hash-ngram.")] = "minilm",
    workers: Annotated[int | None, typer.Option(help="Processes; the number of cores when absent.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of STFT's training. Repeatable.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Render a small world, train STFT on it, name videos of classes it never saw, and write a report.

    Takes a few minutes on two CPU cores. A stopped demo is continued by the same command, a finished one
    is shown again.

    \b
    Examples:
      avzsl demo
      avzsl demo --out runs/other --seed 1
    """
    shown = not (quiet or json)
    stages = _Stages(shown)
    with show_progress(quiet=quiet):
        made = _make_data(out, classes, clips, seed, text, _cores() if workers is None else workers, stages)
        found = _learn(out, made, seed, settings or (), stages)
    if json:
        print_json(found["json"])
        return
    _show(found, out)


def _make_data(
    out: Path, classes: int, clips: int, seed: int, text: str, workers: int, stages: _Stages
) -> tuple[Path, Path]:
    """Videos and features; returns their folders."""
    from avzsl.features._base import create_extractor
    from avzsl.features.pipeline import extract_dataset
    from avzsl.features.text import create_text_encoder
    from avzsl.world.render import generate_world

    videos, data = out / "world", out / "data" / "DemoWorld"
    with stages.stage("render", f"{classes * clips} videos of {classes} classes"):
        generate_world(videos, classes=classes, clips=clips, seed=seed, workers=workers)
    with stages.stage("extract", "features"):
        extract_dataset(
            videos, data, extractor=create_extractor("builtin"), text_encoder=create_text_encoder(text), workers=workers
        )
    return videos, data


def _learn(out: Path, made: tuple[Path, Path], seed: int, settings: Sequence[str], stages: _Stages) -> dict[str, Any]:
    """Baselines, STFT, names for unseen videos, report, and `result.json`."""
    from avzsl.cli.report import inspect
    from avzsl.experiments.run import run_training
    from avzsl.files import write_json
    from avzsl.report import write_report
    from avzsl.types import MODALITIES

    videos, data = made
    run = out / "stft"
    with stages.stage("baselines", "ridge regression from audio, from pictures, from both"):
        ridge = {
            modality: run_training(
                data, "ridge", out=out / f"ridge-{modality}", assignments=[f"method.modality={modality}"], seed=seed
            )
            for modality in MODALITIES
        }
    with stages.stage("train", "STFT in two stages"), _one_thread():
        result = run_training(data, "stft", preset="demo", out=run, assignments=settings, seed=seed)
    with stages.stage("predict", "names of videos of unseen classes"):
        named = _name_unseen(run, videos)
    baselines = {f"ridge, {name}": _four(r) for name, r in ridge.items()}
    with stages.stage("report", "scores, curves, spikes, pictures"):
        inspect(run, data, videos, baselines)
        report = write_report(run, out / "report.html")
    record = result.as_dict() | {
        "baselines": baselines,
        "predictions": [{"true": true} | prediction.as_dict() for true, prediction in named],
        "stage_seconds": stages.seconds,
        "report": str(report),
        "run": str(run),
    }
    write_json(out / "result.json", record)
    return {"json": record, "result": result, "ridge": ridge, "named": named, "report": report, "data": data}


def _name_unseen(run: Path, videos: Path) -> list[tuple[str, Prediction]]:
    """The model's names for video files of unseen classes, class by class; the unseen names are the candidates."""
    from avzsl.features.catalog import list_videos
    from avzsl.predict.predictor import Predictor

    clips: dict[str, list[Path]] = {}
    for item in list_videos(videos):
        if item.split == "stage_2_test_unseen":
            clips.setdefault(item.class_name, []).append(item.path)
    names = sorted(clips)
    rounds = [(name, clips[name][turn]) for turn in range(min(map(len, clips.values()))) for name in names]
    chosen = rounds[:_SHOWN]
    found = Predictor.open(run).predict([path for _, path in chosen], names, k=3)
    return [(name, prediction) for (name, _), prediction in zip(chosen, found, strict=True)]


def _four(result: Result) -> dict[str, float]:
    return {key: getattr(result, key) for key in ("seen", "unseen", "hm", "zsl")}


def _show(found: dict[str, Any], out: Path) -> None:
    result: Result = found["result"]
    rows = [("STFT", result), *((f"ridge, {name}", r) for name, r in found["ridge"].items())]
    print("\nscores on the generated world, in percent (simulated data)")
    print_table(
        ("method", "seen S", "unseen U", "HM", "ZSL"),
        [(name, *(f"{value:.1f}" for value in _four(r).values())) for name, r in rows],
    )
    print(f"ZSL by guessing: {result.zsl_chance:.1f}")
    print("\nvideos of classes that nobody trained on")
    for true, prediction in found["named"]:
        if prediction.error is not None:
            print(f"  ?      {true}: {prediction.error}")
        elif prediction.name == true:
            print(f"  right  {true}")
        else:
            print(f"  wrong  {true}; the model says {prediction.name}")
    seconds = found["json"]["stage_seconds"]
    print(f"\n{sum(seconds.values()):.0f} s: " + ", ".join(f"{name} {spent:.0f} s" for name, spent in seconds.items()))
    print("written:")
    for path in (found["report"], out / "result.json", out / "world", found["data"], out / "stft"):
        print(f"  {path}")
    video = found["named"][0][1].path
    print("next:")
    stft, ablation = out / "stft", out / "no-spikes"
    for words in (
        ("predict", stft, video, "--classes", f"{found['named'][0][0]}, barking dog"),
        ("train", "stft", "--preset", "demo", "--data", found["data"], "--out", ablation, "--set", "paths=transformer"),
    ):
        print(f"  avzsl {shlex.join(str(word) for word in words)}")
    print("  avzsl extract YOUR_VIDEOS --out data/mine      (one folder per class)")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A model this small gains little from a second thread, and loses much where another program wants that core."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class _Stages:
    """Names each stage as it begins and keeps its seconds."""

    def __init__(self, shown: bool) -> None:
        self.shown, self.seconds = shown, dict[str, float]()

    @contextlib.contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        """One stage; its time counts only when it ends well."""
        if self.shown:
            print(f"{len(self.seconds) + 1}/6 {name}: {what}", flush=True)
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)
