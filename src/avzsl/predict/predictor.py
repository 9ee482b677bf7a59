"""From video files to class names, with the same features, the same text encoder and the same rule as in the test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.decision import top_k
from avzsl.errors import AvzslError, MediaError, ModelError, SettingError
from avzsl.features._base import EXTRACTORS, Extractor, extractor_for
from avzsl.features.clips import extract_clips, media_files
from avzsl.methods._base import EmbeddingMethod, Method
from avzsl.methods._checkpoint import ModelCard, load_model
from avzsl.predict.classes import Candidates, choose_candidates, own_candidates
from avzsl.types import ClipFeatures, Clips

Scorer = Callable[[Clips], dict[str, Tensor]]


@dataclass(frozen=True)
class Guess:
    """One class and how well it fits.

    Attributes:
        name: class name.
        score: what classes are ranked by: higher is better, the bias taken off for a seen class. It is relative, not
            a probability.
        distance: from the clip to the class in the joint space, without the bias; None for a method without one.
        seen: whether the model was trained on clips of this class.
    """

    name: str
    score: float
    distance: float | None
    seen: bool


@dataclass(frozen=True)
class Prediction:
    """What the model says about one file.

    Attributes:
        path: the file.
        guesses: best first; empty when the file could not be read.
        margin: score of the best class minus score of the second; None with a single candidate.
        used: the modalities that were there.
        warnings: what a reader should know.
        error: why there are no guesses, or None.
    """

    path: Path
    guesses: tuple[Guess, ...] = ()
    margin: float | None = None
    used: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None

    @property
    def labels(self) -> list[tuple[str, float]]:
        """Names and scores, best first."""
        return [(guess.name, guess.score) for guess in self.guesses]

    @property
    def name(self) -> str | None:
        """The best class, None when the file could not be read."""
        return self.guesses[0].name if self.guesses else None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        guesses = [{"name": g.name, "score": g.score, "distance": g.distance, "seen": g.seen} for g in self.guesses]
        return {
            "path": str(self.path),
            "guesses": guesses,
            "margin": self.margin,
            "used": list(self.used),
            "warnings": list(self.warnings),
            "error": self.error,
        }


class Predictor:
    """A trained model that names videos.

    Args:
        method: in evaluation mode.
        card: its card.
        device: where the method lies.
        vectors: file of word vectors for class names that a model trained on such a file does not know.
    """

    def __init__(
        self, method: Method, card: ModelCard, device: torch.device | str = "cpu", vectors: Path | None = None
    ) -> None:
        self.method, self.card, self.device, self.vectors = method, card, torch.device(device), vectors

    @staticmethod
    def open(run: Path | str, *, device: torch.device | str = "cpu", vectors: Path | None = None) -> Predictor:
        """Load the model of a run folder.

        Raises:
            ModelError: no model there, or a damaged one.
        """
        method, card = load_model(Path(run), device)
        return Predictor(method, card, device, vectors)

    @cached_property
    def extractor(self) -> Extractor:
        """The extractor that made the features the model was trained on.

        Raises:
            ModelError: nobody knows it, or this installation does not have it.
        """
        if self.card.extractor.name == "unknown":
            raise ModelError(
                "the model was trained on features that do not say which extractor made them, so it cannot read videos;"
                " judge feature folders with 'avzsl evaluate', or train on features of 'avzsl extract'"
            )
        return extractor_for(self.card.extractor)

    def candidates(self, classes: Sequence[str] | None = None, *, unseen_only: bool = False) -> Candidates:
        """The classes to choose from; None = the model's own.

        Raises:
            SettingError: no names, an empty one, one twice, or none left.
            ModelError: a new name that the model's text encoder cannot encode here.
        """
        if classes is None:
            return own_candidates(self.card, unseen_only=unseen_only)
        return choose_candidates(self.card, classes, unseen_only=unseen_only, vectors=self.vectors)

    def predict(
        self,
        paths: Sequence[Path | str] | Path | str,
        classes: Sequence[str] | None = None,
        *,
        k: int = 5,
        unseen_only: bool = False,
        bias: float | None = None,
        workers: int = 1,
        timeout: float = 120.0,
        trusted: bool = False,
    ) -> list[Prediction]:
        """Name the class of every file; a broken file is reported in its prediction and the others go on.

        Args:
            paths: files, or folders of files.
            classes: names to choose from, known to the model or not; None = the classes of its benchmark.
            k: how many guesses per file.
            unseen_only: choose among classes it was not trained on.
            bias: taken off the scores of seen classes; None = the one chosen on validation data.
            workers: child processes that read the files; 0 reads them in this process, without limits.
            timeout: seconds one file may take.
            trusted: the files are known to be sound: no limit on memory, and no child process for one worker.

        Raises:
            SettingError: an argument is wrong.
            DataError: no files.
            ModelError: the model cannot read videos, or not encode these class names.
        """
        given = [paths] if isinstance(paths, (str, Path)) else list(paths)
        files = media_files([Path(path) for path in given])
        chosen = self.candidates(classes, unseen_only=unseen_only)
        self._check(k, bias)
        outcomes = extract_clips(files, self.extractor, workers=workers, timeout=timeout, trusted=trusted)
        scorer = self._scorer(chosen)
        return [
            Prediction(path, error=str(outcome))
            if isinstance(outcome, MediaError)
            else self._judge(path, outcome, chosen, k, bias, scorer)
            for path, outcome in outcomes
        ]

    def predict_features(
        self,
        features: ClipFeatures,
        classes: Sequence[str] | None = None,
        *,
        name: str = "clip",
        k: int = 5,
        unseen_only: bool = False,
        bias: float | None = None,
    ) -> Prediction:
        """The same from the features of one clip, as the model's extractor makes them."""
        self._check(k, bias)
        chosen = self.candidates(classes, unseen_only=unseen_only)
        return self._judge(Path(name), features, chosen, k, bias, self._scorer(chosen))

    def scores(self, features: ClipFeatures, candidates: Candidates) -> Tensor:
        """Scores [1, C] of one clip without the bias.

        Raises:
            ModelError: the features do not fit the model.
        """
        return self._score(features, self._scorer(candidates))

    def _scorer(self, candidates: Candidates) -> Scorer:
        # Once for all clips: a method may have work to do for a set of classes.
        with torch.inference_mode():
            return self.method.scorer(candidates.vectors.to(self.device))

    def _score(self, features: ClipFeatures, scorer: Scorer) -> Tensor:
        clips = self._clips(features).to(self.device)
        with torch.inference_mode():
            return scorer(clips)["both"].float().cpu()

    def _check(self, k: int, bias: float | None) -> None:
        if k < 1:
            raise SettingError(f"k is {k}; ask for at least one class")
        if bias is not None and not math.isfinite(bias):
            raise SettingError(f"bias is {bias}; it must be a finite number")

    def _judge(
        self, path: Path, features: ClipFeatures, chosen: Candidates, k: int, bias: float | None, scorer: Scorer
    ) -> Prediction:
        used = tuple(n for n in ("audio", "visual") if getattr(features, n) is not None)
        try:
            scores = self._score(features, scorer)
        except (AvzslError, ValueError) as error:
            return Prediction(path, error=f"{path}: {error}", used=used, warnings=features.warnings)
        taken = self.card.bias if bias is None else bias
        columns, values = top_k(scores, chosen.seen, taken, max(k, 2))
        has_distance = isinstance(self.method, EmbeddingMethod)
        guesses = tuple(
            Guess(chosen.names[c], value, -float(scores[0, c]) if has_distance else None, bool(chosen.seen[c]))
            for c, value in zip(columns[0].tolist(), values[0].tolist(), strict=True)
        )
        margin = guesses[0].score - guesses[1].score if len(guesses) > 1 else None
        return Prediction(path, guesses[:k], margin, used, features.warnings)

    def _clips(self, features: ClipFeatures) -> Clips:
        tensors: dict[str, Tensor | None] = {"audio": None, "visual": None}
        for name, values in self._rows(features).items():
            wanted = getattr(self.card.dimensions, name)
            if values is None or wanted is None:
                continue
            if values.shape[1] != wanted:
                raise ModelError(f"{name} has {values.shape[1]} columns, the model was trained on {wanted}")
            tensors[name] = torch.from_numpy(np.ascontiguousarray(values, np.float32)).unsqueeze(0)  # [1, L, d]
        if all(values is None for values in tensors.values()):
            raise MediaError("it has neither the sound nor the picture that the model looks at")
        return Clips(tensors["audio"], tensors["visual"])

    def _rows(self, features: ClipFeatures) -> dict[str, Any]:
        """Rows [L, d] per modality, averaged as the training data were."""
        rows = {"audio": features.audio, "visual": features.visual}
        if self.card.temporal:
            most = self.card.max_segments
            return rows if most is None else {n: None if r is None else average_rows(r, most) for n, r in rows.items()}
        if self.card.extractor.name in EXTRACTORS:
            rows = dict(zip(rows, self.extractor.average(features), strict=True))
            return {n: None if r is None else r[None] for n, r in rows.items()}
        return {n: None if r is None else average_rows(r, 1) for n, r in rows.items()}


def average_rows(rows: Any, most: int) -> Any:
    """Shorten [T, d] to at most `most` rows, each the mean of neighbours, exactly as data loading does.

    Row i goes into mean floor(i * most / T); shorter clips stay as they are.
    """
    values = np.asarray(rows, np.float64)
    if len(values) <= most:
        return values
    target = np.arange(len(values)) * most // len(values)
    return np.stack([values[target == part].mean(0) for part in range(most)])
