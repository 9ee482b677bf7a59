"""Scoring in blocks, the bias search on validation, and the quirks of the published evaluation."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from avzsl.decision import embedding_scores
from avzsl.errors import DataError, SettingError
from avzsl.evaluation.metrics import bias_curve, evaluate_scores
from avzsl.evaluation.protocol import (
    ProtocolConfig,
    Quirks,
    choose_bias,
    evaluate,
    is_better,
    score_evaluation_set,
    validate,
    validate_scores,
)
from avzsl.methods._base import Method
from avzsl.types import BiasCurve, Clips, Dimensions

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark


@dataclass(frozen=True)
class NoConfig:
    """Nothing to set."""


class TwoEars(Method):
    """Scores by two linear maps; offers audio, visual and both, has dropout, and notes what it saw."""

    Config = NoConfig
    name, title, year, venue, citation = "two-ears", "Two ears", 2026, "tests", "none"

    def __init__(self, dimensions: Dimensions) -> None:
        super().__init__(NoConfig(), dimensions)
        generator = torch.Generator().manual_seed(2)
        self.audio = nn.Parameter(torch.randn(dimensions.audio or 1, dimensions.text, generator=generator))
        self.visual = nn.Parameter(torch.randn(dimensions.visual or 1, dimensions.text, generator=generator))
        self.dropout, self.frozen = nn.Dropout(0.5), nn.BatchNorm1d(2)
        self.sizes: list[int] = []
        self.fails = False

    def fit_step(self, batch: Any) -> dict[str, Tensor]:
        raise NotImplementedError

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        return self.mode_scores(clips, classes)["both"]

    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        assert not torch.is_grad_enabled() and not self.training
        if self.fails:
            raise RuntimeError("broken")
        self.sizes.append(len(clips))
        scores = {}
        for name in ("audio", "visual"):
            values, mask = getattr(clips, name), getattr(clips, f"{name}_mask")
            weights = torch.ones(values.shape[:2]) if mask is None else mask.float()
            mean = (values * weights.unsqueeze(2)).sum(1) / weights.sum(1, keepdim=True)
            scores[name] = embedding_scores(self.dropout(mean @ getattr(self, name)), classes)
        return {**scores, "both": scores["audio"] + scores["visual"]}


@pytest.fixture
def method(tiny_benchmark: TinyBenchmark) -> TwoEars:
    return TwoEars(tiny_benchmark.benchmark.dimensions)


@pytest.mark.parametrize("chunk", [1, 7, 54, 1000])
@pytest.mark.parametrize("kind", ["benchmark", "temporal"])
def test_scores_do_not_depend_on_the_chunk_size(
    tiny_benchmark: TinyBenchmark, method: TwoEars, chunk: int, kind: str
) -> None:
    evaluation = getattr(tiny_benchmark, kind).evaluation(1)
    scores = score_evaluation_set(method, evaluation, chunk=chunk)
    method.eval()
    with torch.inference_mode():
        whole = method.mode_scores(evaluation.features.clips(), evaluation.classes)
    assert set(scores) == {"audio", "visual", "both"}
    for name, values in scores.items():
        assert values.shape == (54, 9)
        assert torch.allclose(values, whole[name], atol=1e-5)
    assert max(method.sizes[:-1]) <= chunk and sum(method.sizes[:-1]) == 54


def test_every_part_gets_its_mode_back_also_after_an_error(tiny_benchmark: TinyBenchmark, method: TwoEars) -> None:
    method.train()
    method.frozen.eval()
    score_evaluation_set(method, tiny_benchmark.benchmark.evaluation(1))
    method.fails = True
    with pytest.raises(RuntimeError, match="broken"):
        score_evaluation_set(method, tiny_benchmark.benchmark.evaluation(1))
    assert method.training and method.dropout.training and not method.frozen.training


def test_validation_reports_every_output_and_chooses_by_the_reported_one(
    tiny_benchmark: TinyBenchmark, method: TwoEars
) -> None:
    evaluation = tiny_benchmark.benchmark.evaluation(1)
    scores = score_evaluation_set(method, evaluation)
    found = validate(method, evaluation)
    for name, values in scores.items():
        assert found.biases[name] == bias_curve(values, evaluation.labels, evaluation.seen).best
    assert found.bias == found.biases["both"] == found.gzsl.bias == found.curve.best
    assert found.gzsl.hm == float(found.curve.hm.max())


def test_work_for_a_set_of_classes_is_done_once_for_all_clips(
    tiny_benchmark: TinyBenchmark, method: TwoEars, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    plain = score_evaluation_set(method, tiny_benchmark.benchmark.evaluation(1))["both"]

    def scorer(self: TwoEars, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        made.append(len(classes))
        return lambda clips: {"both": 2 * self.class_scores(clips, classes)}

    monkeypatch.setattr(TwoEars, "scorer", scorer)
    found = score_evaluation_set(method, tiny_benchmark.benchmark.evaluation(1), chunk=7)
    assert made == [9]
    assert torch.allclose(found["both"], 2 * plain, atol=1e-5)


def test_without_a_bias_search_the_bias_is_zero() -> None:
    scores, labels, seen = worked_example(1.0)
    searched = validate_scores({"both": scores}, labels, seen)
    assert searched.bias > 0
    found = validate_scores({"both": scores}, labels, seen, ProtocolConfig(bias_search="none"))
    assert found.bias == 0 and found.gzsl.bias == 0
    assert found.gzsl.hm == pytest.approx(float(found.curve.hm[0]))
    assert found.gzsl.hm < searched.gzsl.hm


def test_an_output_for_the_zero_shot_number_has_no_bias_and_no_curve(
    tiny_benchmark: TinyBenchmark, method: TwoEars, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = tiny_benchmark.benchmark.evaluation(1)
    reference = ProtocolConfig(mode="reference")
    plain, averaged = validate(method, evaluation), validate(method, evaluation, reference)
    before = evaluate(method, evaluation, plain.bias)
    audio = score_evaluation_set(method, evaluation)["audio"]
    assert evaluate_scores(audio, evaluation.labels, evaluation.seen, 0.0).zsl != plain.gzsl.zsl

    def scorer(self: TwoEars, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        def score(clips: Clips) -> dict[str, Tensor]:
            scores = self.mode_scores(clips, classes)
            return scores | {"zsl": scores["audio"]}

        return score

    monkeypatch.setattr(TwoEars, "scorer", scorer)
    found = validate(method, evaluation)
    assert found.gzsl.zsl == evaluate_scores(audio, evaluation.labels, evaluation.seen, 0.0).zsl
    assert (found.gzsl.hm, found.bias, found.biases) == (plain.gzsl.hm, plain.bias, plain.biases)
    assert set(found.curves) == {"audio", "visual", "both"}
    assert validate(method, evaluation, reference).bias == averaged.bias
    after = evaluate(method, evaluation, plain.bias)
    assert after.zsl == found.gzsl.zsl != before.zsl and after.hm == before.hm


def curve(best: float) -> BiasCurve:
    empty = torch.zeros(1, dtype=torch.float64)
    return BiasCurve(empty, empty, empty, empty, best)


def worked_example(factor: float) -> tuple[Tensor, Tensor, Tensor]:
    classes = torch.tensor([0, 10, 1.5, 7.9], dtype=torch.float64)
    places = torch.tensor([0.2, -0.5, 0.6, 9.6, 10.3, 0.5, 1.4, -0.3, 9.2, 8.5, 9.9, 4.5], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3])
    return -factor * (places.unsqueeze(1) - classes).abs(), labels, torch.tensor([True, True, False, False])


def test_p3_averaging_biases_of_different_scales_costs_what_the_worked_example_says() -> None:
    single, labels, seen = worked_example(1.0)
    both, _, _ = worked_example(2.0)
    scores = {"audio": single, "visual": single, "both": both}
    clean = validate_scores(scores, labels, seen)
    assert clean.biases == {"audio": 0.6, "visual": 0.6, "both": 1.2}
    assert clean.bias == 1.2
    assert round(evaluate_scores(both, labels, seen, clean.bias).hm, 4) == 0.6863
    reference = validate_scores(scores, labels, seen, ProtocolConfig(mode="reference"))
    assert reference.bias == pytest.approx(0.8)
    assert round(evaluate_scores(both, labels, seen, reference.bias).hm, 4) == 0.4321


def test_p3_second_number_of_the_worked_example() -> None:
    bias = choose_bias({"audio": curve(0.4), "visual": curve(1.0), "both": curve(0.8)}, Quirks(average_biases=True))
    assert bias == pytest.approx(0.733333, abs=1e-6)
    result = evaluate_scores(*worked_example(1.0), bias=bias)
    assert [round(v, 4) for v in (result.seen, result.unseen, result.hm)] == [0.8333, 0.5833, 0.6863]


def test_p26_an_output_that_is_missing_counts_as_the_reported_one() -> None:
    assert choose_bias({"both": curve(0.8)}, Quirks.for_mode("reference")) == pytest.approx(0.8)


def test_p7_a_bias_of_zero_is_kept_in_clean_mode_and_replaced_in_reference_mode() -> None:
    assert choose_bias({"both": curve(0.0)}, Quirks()) == 0
    assert choose_bias({"both": curve(0.0)}, Quirks(zero_bias_replaced=True)) == 1e-10


def test_p5_an_all_zero_run_keeps_its_first_epoch_clean_and_its_last_in_reference_mode() -> None:
    def kept(hms: list[float], quirks: Quirks) -> int:
        best, epoch = None, -1
        for number, hm in enumerate(hms):
            if is_better(hm, best, quirks):
                best, epoch = hm, number
        return epoch

    assert kept([0.0, 0.0, 0.0], Quirks()) == 0
    assert kept([0.0, 0.0, 0.0], Quirks(zero_is_unset=True)) == 2
    for quirks in (Quirks(), Quirks(zero_is_unset=True)):
        assert kept([0.0, 0.3, 0.5, 0.5, 0.0], quirks) == 2


def test_quirks_are_all_off_in_clean_and_all_on_in_reference_mode() -> None:
    assert not any(vars(ProtocolConfig().quirks).values())
    assert all(vars(ProtocolConfig(mode="reference").quirks).values())
    one = ProtocolConfig(mode="reference", average_biases=False).quirks
    assert not one.average_biases and one.zero_is_unset and one.text_by_rank
    assert ProtocolConfig(zero_is_unset=True).quirks == Quirks(zero_is_unset=True)
    with pytest.raises(SettingError, match="did you mean 'reference'"):
        Quirks.for_mode("referense")


def test_the_exact_search_is_at_least_as_good_as_the_grid(tiny_benchmark: TinyBenchmark, method: TwoEars) -> None:
    evaluation = tiny_benchmark.benchmark.evaluation(1)
    grid = validate(method, evaluation)
    exact = validate(method, evaluation, ProtocolConfig(bias_search="exact"))
    assert exact.gzsl.hm >= grid.gzsl.hm
    assert torch.equal(exact.curve.hm, grid.curve.hm)
    assert exact.bias == exact.biases["both"] == exact.gzsl.bias
    scores = {"both": torch.tensor([[9.0, 0.0], [5.0, 1.0], [5.0, 0.0]])}  # all right between 4 and 5
    labels, seen = torch.tensor([0, 1, 0]), torch.tensor([True, False])
    found = {s: validate_scores(scores, labels, seen, ProtocolConfig(bias_search=s)) for s in ("grid", "exact")}
    assert found["grid"].gzsl.hm == 0 and 4 < found["exact"].bias < 5 and found["exact"].gzsl.hm == 1


def test_no_test_label_can_move_the_bias(tiny_benchmark: TinyBenchmark, method: TwoEars) -> None:
    benchmark = tiny_benchmark.benchmark
    order = torch.randperm(len(benchmark.labels), generator=torch.Generator().manual_seed(0))
    test = slice(benchmark.splits["stage_2_test_seen"].start, None)
    labels = benchmark.labels.clone()
    labels[test] = labels[test][order[order < len(labels[test])]]
    wrong = replace(benchmark, labels=labels)
    biases = [validate(method, b.evaluation(1)).bias for b in (benchmark, wrong)]
    assert biases[0] == biases[1]
    results = [evaluate(method, b.evaluation(2), biases[0]) for b in (benchmark, wrong)]
    assert results[0].zsl != results[1].zsl
    assert all(result.bias == biases[0] for result in results)


def test_an_evaluation_of_one_part_only_is_refused(tiny_benchmark: TinyBenchmark, method: TwoEars) -> None:
    whole = tiny_benchmark.benchmark.evaluation(1)
    part = replace(whole, features=whole.features.span(0, 36), labels=whole.labels[:36])
    with pytest.raises(DataError, match="unseen class"):
        validate(method, part)


def test_the_page_of_quirks_lists_every_quirk_and_every_switch() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "quirks.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| P(\d+) \|", page, flags=re.MULTILINE)
    assert sorted(map(int, listed)) == list(range(1, 27))
    described = Quirks.__doc__ or ""
    for name in vars(Quirks()):
        (row,) = (line for line in page.splitlines() if f"`{name}`" in line and line.startswith("| P"))
        number = row.split("|")[1].strip()
        assert re.search(rf"{name}: {number},", described)
