"""Five lines of Python from a data folder to named videos.

import avzsl
run = avzsl.fit("stft", "data/World", preset="demo", out="runs/world")
print(run.result.hm, run.result.zsl)
for found in run.predict("clip.mp4", ["red ball", "barking dog"]):
    print(found.path, found.labels)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from avzsl.data.splits import Benchmark, load_benchmark
from avzsl.experiments.evaluate import Reevaluation, evaluate_run
from avzsl.experiments.result import Result, read_result
from avzsl.experiments.run import choose_device, run_training
from avzsl.experiments.spikes import SpikeSurvey, survey_spikes
from avzsl.methods._checkpoint import ModelCard, load_card
from avzsl.methods._own import use as use
from avzsl.predict.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Run:
    """A finished training: its folder, its numbers and its model.

    Attributes:
        folder: where everything is stored.
        result: scores on the test set, in percent, and their origin.
        device: where predictions are computed.
    """

    folder: Path
    result: Result
    device: str = "auto"
    # Keeps the folder of a run without `out` until the run is forgotten.
    _temporary: Any = field(default=None, repr=False, compare=False)

    @cached_property
    def predictor(self) -> Predictor:
        """The model, loaded on first use."""
        return Predictor.open(self.folder, device=choose_device(self.device))

    @property
    def card(self) -> ModelCard:
        """What the model was trained on."""
        return load_card(self.folder)

    def evaluate(self, data: Benchmark | Path | str, *, trust: bool = False, trusted: bool = False) -> Reevaluation:
        """Judge the model on the test set of a benchmark folder (or a loaded one's folder), with its stored bias.

        `trust` and `trusted` as in `load`.
        """
        folder = data.root if isinstance(data, Benchmark) else data
        return evaluate_run(self.folder, folder, device=self.device, trust=trust, trusted=trusted)

    def spikes(self, data: Benchmark | Path | str, **options: Any) -> SpikeSurvey:
        """Count spikes, synaptic operations and energy on the test set; `options` are those of `survey_spikes`."""
        return survey_spikes(
            self.folder, data.root if isinstance(data, Benchmark) else data, device=self.device, **options
        )

    def predict(
        self, videos: Sequence[Path | str] | Path | str, classes: Sequence[str] | None = None, **options: Any
    ) -> list[Prediction]:
        """Name videos; `options` are those of `Predictor.predict` (k, unseen_only, bias, workers, timeout, trusted)."""
        return self.predictor.predict(videos, classes, **options)


def load(
    data: Path | str,
    *,
    family: str | None = None,
    temporal: bool = False,
    mode: str = "clean",
    trust: bool = False,
    max_segments: int | None = None,
    trusted: bool = False,
) -> Benchmark:
    """Load a benchmark folder; see `avzsl.data.splits.load_benchmark`.

    Two kinds of trust: `trust` reads public pickles, `trusted` opens feature files in this process, without limits on
    time and memory.
    """
    return load_benchmark(
        data, family=family, temporal=temporal, mode=mode, trust=trust, max_segments=max_segments, trusted=trusted
    )


def fit(
    method: str,
    data: Benchmark | Path | str,
    *,
    out: Path | str | None = None,
    preset: Path | str | None = None,
    seed: int = 42,
    device: str = "auto",
    fresh: bool = False,
    trusted: bool = False,
    **settings: Any,
) -> Run:
    """Train a method in two stages and judge it once.

    Args:
        method: registered name; `avzsl methods` lists them.
        data: benchmark folder, or a loaded benchmark (then its family and form are used).
        out: run folder; a stopped run in it is continued. None = a temporary one that goes with the returned object.
        preset: one of the method's presets, or the path of a TOML file.
        seed: of everything random.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        fresh: forget what is in `out`.
        trusted: open feature files in this process, which is faster; a damaged one may then hang or crash it.
        settings: any setting by name (`epochs=5`, `mode="reference"`, `family="cls"`); where two sections have the
            name, write `**{"train.epochs": 5}`.

    Raises:
        AvzslError: a wrong setting, damaged data, a folder that cannot be written.
    """
    options: dict[str, dict[str, Any]] = {}
    if isinstance(data, Benchmark):
        options = {
            "data": {
                "family": data.family,
                "temporal": data.temporal,
                "max_segments": data.max_segments,
                "text_assignment": data.text_assignment,
                "text_lookup": data.text_lookup,
            },
            "protocol": {"mode": data.mode},
        }
        data = data.root
    temporary = None
    if out is None:
        temporary = tempfile.TemporaryDirectory(prefix="avzsl-")
        out = temporary.name
    folder = Path(out)
    result = run_training(
        data,
        method,
        out=folder,
        preset=None if preset is None else str(preset),
        assignments=[f"{name}={_as_text(value)}" for name, value in settings.items()],
        options=options,
        seed=seed,
        device=device,
        fresh=fresh,
        trusted=trusted,
    )
    return Run(folder, result, device, temporary)


def open_run(folder: Path | str, *, device: str = "auto") -> Run:
    """A finished run from its folder.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    return Run(Path(folder), read_result(Path(folder)), device)


def _as_text(value: Any) -> str:
    # JSON and TOML write numbers, texts, booleans and lists alike; the names of infinity differ, and nobody needs them.
    return json.dumps(str(value) if isinstance(value, Path) else value)
