"""What the scores of a run can be checked and drawn from: evaluation.safetensors and evaluation.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from avzsl.data.tables import EvaluationSet
from avzsl.evaluation.protocol import REPORTED, ZERO_SHOT
from avzsl.experiments.result import finite_or_none
from avzsl.files import write_json, write_tensors
from avzsl.methods._base import EmbeddingMethod
from avzsl.training.stages import Fitted
from avzsl.types import Gzsl

TENSORS = "evaluation.safetensors"
NAMES = "evaluation.json"


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
