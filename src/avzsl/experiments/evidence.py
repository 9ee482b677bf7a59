"""What the scores of a run can be checked and drawn from: evaluation.safetensors and evaluation.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avzsl.data.tables import EvaluationSet
from avzsl.errors import DataError, ModelError
from avzsl.evaluation.protocol import REPORTED, ZERO_SHOT
from avzsl.evaluation.statistics import Decisions, decisions_of
from avzsl.experiments.result import finite_or_none
from avzsl.files import read_json, write_json, write_tensors
from avzsl.methods._base import EmbeddingMethod
from avzsl.training.stages import Fitted
from avzsl.types import Gzsl

TENSORS = "evaluation.safetensors"
NAMES = "evaluation.json"


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a finished run stored of its test.

    Attributes:
        scores: [N, C] float32, higher is better, without the bias.
        labels: [N] int64, column of each clip's class.
        seen: [C] bool.
        class_names, clip_names: C and N names.
        bias: taken off the scores of seen classes.
        zsl_scores: [N, C], scores that decide among unseen classes; None = `scores` do.
        embeddings, class_embeddings: [N, D] and [C, D]; None where the method has no common space.
    """

    scores: Tensor
    labels: Tensor
    seen: Tensor
    class_names: tuple[str, ...]
    clip_names: tuple[str, ...]
    bias: float
    zsl_scores: Tensor | None = None
    embeddings: Tensor | None = None
    class_embeddings: Tensor | None = None

    def decisions(self) -> Decisions:
        """What was decided right, clips and classes in the order of their names, so that two runs line up."""
        found = decisions_of(self.scores, self.labels, self.seen, self.bias, self.zsl_scores)
        clips = np.argsort(np.array(self.clip_names), kind="stable")
        classes = np.argsort(np.array(self.class_names), kind="stable")
        place = np.argsort(classes)  # where a column went
        return Decisions(
            place[found.labels[clips]], found.seen[classes], found.right[:, clips], found.zsl_right[:, clips]
        )


def read_evidence(folder: Path) -> Evidence:
    """Read back what `write_evidence` stored.

    Raises:
        ModelError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        names, tensors = read_json(folder / NAMES), load_file(str(folder / TENSORS))
        scores, labels, seen = (tensors[key] for key in ("scores", "labels", "seen"))
        found = Evidence(
            scores, labels.long(), seen.bool(), tuple(map(str, names["class_names"])),
            tuple(map(str, names["clip_names"])), float(names["bias"]), tensors.get("zsl_scores"),
            tensors.get("embeddings"), tensors.get("class_embeddings"),
        )  # fmt: skip
        shape = (len(found.clip_names), len(found.class_names))
        fits = scores.shape == shape and labels.shape == shape[:1] and seen.shape == shape[1:]
        if not fits or not 0 <= int(labels.min()) <= int(labels.max()) < shape[1]:
            raise ValueError("scores, labels and names do not fit together")
    except (DataError, SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the stored evaluation in {folder} is missing or damaged ({error}); train again with --fresh"
        ) from error
    return found


def write_evidence(
    folder: Path,
    fitted: Fitted,
    test: EvaluationSet,
    scores: Mapping[str, Tensor],
    gzsl: Gzsl,
    device: torch.device,
    chunk: int,
) -> None:
    """Store test scores [N, C], labels, embeddings, names, recalls and the validation curve of the bias.

    Of the outputs in `scores`, the reported one is stored, and the one for the zero-shot number where it is there.

    Raises:
        OutputError: the folder cannot be written to.
    """
    tensors = {"scores": scores[REPORTED], "labels": test.labels, "seen": test.seen}
    if ZERO_SHOT in scores:
        tensors["zsl_scores"] = scores[ZERO_SHOT]
    if isinstance(fitted.method, EmbeddingMethod):
        tensors["embeddings"], tensors["class_embeddings"] = _embed(fitted.method, test, device, chunk)
    write_tensors(folder / TENSORS, tensors)
    write_json(
        folder / NAMES,
        {
            "class_names": list(test.class_names),
            "clip_names": list(test.clip_names),
            "bias": gzsl.bias,
            "recall": finite_or_none(gzsl.recall),
            "zsl_recall": finite_or_none(gzsl.zsl_recall),
            "curve": dict(fitted.record["curve"]),
        },
    )


def _embed(method: EmbeddingMethod, test: EvaluationSet, device: torch.device, chunk: int) -> tuple[Tensor, Tensor]:
    blocks = []
    with torch.inference_mode():
        for start in range(0, len(test), chunk):
            block = test.features.span(start, min(start + chunk, len(test)))
            blocks.append(method.embed_clips(block.clips().to(device)).float().cpu())
        return torch.cat(blocks), method.embed_classes(test.classes.to(device)).float().cpu()
