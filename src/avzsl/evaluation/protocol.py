"""Score a set of clips, search the bias on validation, judge the test set with it (docs/protocol.md 7.1, 8).

The bias comes from validation curves alone: nothing here that chooses sees a test label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from avzsl.data.tables import EvaluationSet
from avzsl.errors import SettingError, nearest_name
from avzsl.evaluation.metrics import bias_curve, evaluate_scores, exact_best_bias
from avzsl.methods._base import Method
from avzsl.types import MODALITIES, BiasCurve, Gzsl

MODES = ("clean", "reference")
# The output of a method whose numbers are reported.
REPORTED = "both"
# An output for the zero-shot number alone, where a method has one; no bias is searched for it.
ZERO_SHOT = "zsl"


@dataclass(frozen=True)
class Quirks:
    """What the published evaluation does and a correct one would not, one switch each; see docs/quirks.md.

    Attributes:
        text_by_rank: P1, word vectors go to classes by rank of the sorted key.
        text_by_set_order: P2, training looks word vectors up by place in a hash set.
        average_biases: P3, the test bias is the mean of the biases of the outputs audio, visual and both.
        schedule_on_validation: P4, stage 2 lets its schedule follow validation clips that it trains on.
        zero_is_unset: P5, a best HM of exactly 0 counts as none, so every epoch after it is better.
        zero_bias_replaced: P7, a bias of 0 becomes 1e-10.
    """

    text_by_rank: bool = False
    text_by_set_order: bool = False
    average_biases: bool = False
    schedule_on_validation: bool = False
    zero_is_unset: bool = False
    zero_bias_replaced: bool = False

    @staticmethod
    def for_mode(mode: str) -> Quirks:
        """All off in clean mode, all on in reference mode.

        Raises:
            SettingError: unknown mode.
        """
        if mode not in MODES:
            raise SettingError(f"unknown mode '{mode}'{nearest_name(mode, MODES)}")
        return Quirks(**{f.name: mode == "reference" for f in fields(Quirks)})


@dataclass(frozen=True)
class ProtocolConfig:
    """How a method is judged.

    Attributes:
        mode: `"clean"`, or `"reference"` to repeat what published numbers rest on.
        bias_search: `"grid"` = 16 values from 0 to 3 as published; `"exact"` = all real numbers; `"none"` = no bias.
        chunk: clips scored at once; changes memory, not results.
        average_biases, schedule_on_validation, zero_is_unset, zero_bias_replaced: single switches of `Quirks`; None =
            as the mode says.
    """

    mode: Literal["clean", "reference"] = "clean"
    bias_search: Literal["grid", "exact", "none"] = "grid"
    chunk: int = 512
    average_biases: bool | None = None
    schedule_on_validation: bool | None = None
    zero_is_unset: bool | None = None
    zero_bias_replaced: bool | None = None

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError("chunk must be at least 1")

    @property
    def quirks(self) -> Quirks:
        """The switches that follow from the mode, and those set one by one."""
        single = {f.name: getattr(self, f.name, None) for f in fields(Quirks)}
        return replace(Quirks.for_mode(self.mode), **{name: on for name, on in single.items() if on is not None})


@dataclass(frozen=True)
class Validation:
    """What validation found.

    Attributes:
        gzsl: numbers of the reported output at its own best bias (what epochs are compared by).
        curve: the bias curve of the reported output.
        curves: the curve of every output but `ZERO_SHOT`.
        biases: output to its own best bias.
        bias: the one to use on the test set.
    """

    gzsl: Gzsl
    curve: BiasCurve
    curves: Mapping[str, BiasCurve]
    biases: Mapping[str, float]
    bias: float


def score_evaluation_set(
    method: Method, evaluation: EvaluationSet, *, device: torch.device | str = "cpu", chunk: int = 512
) -> dict[str, Tensor]:
    """Scores of every output of a method, [N, C] float32 on the CPU.

    The method is put in evaluation mode for the time and gets its former mode back, also after an error.

    Args:
        method: lies on `device` already.
        evaluation: clips and candidate classes.
        device: where to compute.
        chunk: clips at once.
    """
    modes = {module: module.training for module in method.modules()}
    blocks: dict[str, list[Tensor]] = {}
    classes = evaluation.classes.to(device)
    method.eval()
    try:
        with torch.inference_mode():
            scorer = method.scorer(classes)
            for start in range(0, len(evaluation), chunk):
                block = evaluation.features.span(start, min(start + chunk, len(evaluation)))
                scores = scorer(block.clips().to(device))
                for name, values in scores.items():
                    blocks.setdefault(name, []).append(values.float().cpu())
    finally:
        for module, training in modes.items():
            module.training = training
    return {name: torch.cat(values) for name, values in blocks.items()}


def validate(
    method: Method,
    evaluation: EvaluationSet,
    config: ProtocolConfig = ProtocolConfig(),
    *,
    device: torch.device | str = "cpu",
) -> Validation:
    """Score the validation set and find the best bias of every output.

    Raises:
        DataError: the set lacks clips of seen or of unseen classes.
        ModelError: a score is not a number.
    """
    scores = score_evaluation_set(method, evaluation, device=device, chunk=config.chunk)
    return validate_scores(scores, evaluation.labels.cpu(), evaluation.seen.cpu(), config)


def validate_scores(
    scores: Mapping[str, Tensor],
    labels: Tensor,
    seen: Tensor,
    config: ProtocolConfig = ProtocolConfig(),
) -> Validation:
    """The same from scores that are there already: output name to [N, C]."""
    curves = {name: _search(values, labels, seen, config) for name, values in scores.items() if name != ZERO_SHOT}
    curve = curves[REPORTED]
    return Validation(
        gzsl=judge(scores, labels, seen, curve.best),
        curve=curve,
        curves=curves,
        biases={name: found.best for name, found in curves.items()},
        bias=choose_bias(curves, config.quirks),
    )


def choose_bias(curves: Mapping[str, BiasCurve], quirks: Quirks) -> float:
    """The bias for the test set, from validation curves.

    Clean: the best bias of the reported output. With `average_biases` (P3): the mean over the outputs audio, visual and
    both, an output that the method lacks counting as the reported one (P26), although their scales differ. With
    `zero_bias_replaced` (P7): 1e-10 instead of 0.

    Args:
        curves: output name to its curve on validation.
        quirks: switches.
    """
    reported = curves[REPORTED]
    bias = reported.best
    if quirks.average_biases:
        bias = sum(curves.get(name, reported).best for name in MODALITIES) / len(MODALITIES)
    return 1e-10 if quirks.zero_bias_replaced and bias == 0 else bias


def is_better(hm: float, best: float | None, quirks: Quirks) -> bool:
    """Whether an epoch's HM beats the best so far (None = there is none yet); equal is not better.

    With `zero_is_unset` (P5) a best of exactly 0 counts as none, so that an all-zero run keeps its last epoch.
    """
    if best is None or (quirks.zero_is_unset and best == 0):
        return True
    return hm > best


def judge(scores: Mapping[str, Tensor], labels: Tensor, seen: Tensor, bias: float) -> Gzsl:
    """All numbers of a method from the scores of its outputs, at one bias.

    Args:
        scores: output name to [N, C]; S, U and HM come from the reported one, ZSL from `ZERO_SHOT` where it is there.
        labels: [N] int64.
        seen: [C] bool.
        bias: taken off the scores of seen classes.

    Raises:
        DataError: no clip of a seen class, or none of an unseen one.
        ModelError: a score is not a number.
    """
    return evaluate_scores(scores[REPORTED], labels, seen, bias, scores.get(ZERO_SHOT))


def evaluate(
    method: Method,
    evaluation: EvaluationSet,
    bias: float,
    *,
    device: torch.device | str = "cpu",
    chunk: int = 512,
) -> Gzsl:
    """Judge a method on a set at a bias that was chosen elsewhere.

    Raises:
        DataError: the set lacks clips of seen or of unseen classes.
        ModelError: a score is not a number.
    """
    scores = score_evaluation_set(method, evaluation, device=device, chunk=chunk)
    return judge(scores, evaluation.labels.cpu(), evaluation.seen.cpu(), bias)


def _search(scores: Tensor, labels: Tensor, seen: Tensor, config: ProtocolConfig) -> BiasCurve:
    curve = bias_curve(scores, labels, seen)
    if config.bias_search == "grid":
        return curve
    best = 0.0 if config.bias_search == "none" else exact_best_bias(scores, labels, seen)[0]
    return BiasCurve(curve.grid, curve.seen, curve.unseen, curve.hm, best)
