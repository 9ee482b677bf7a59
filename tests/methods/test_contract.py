"""Every promise of the contract, asked of every method in the registry; and that a broken promise is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import avzsl.methods
from avzsl.config import fill, load_preset, preset_names, quirk, quirk_names
from avzsl.methods._base import METHODS, EmbeddingMethod, Method
from avzsl.methods._contract import CHECKS, BrokenPromiseError, Case, Check, cases
from avzsl.types import Batch, Clips, Dimensions

assert avzsl.methods
every_method = pytest.mark.parametrize("name", METHODS.names())
QUIRKS = Path(__file__).resolve().parents[2] / "docs" / "quirks.md"


@pytest.fixture(autouse=True)
def _same_random_stream() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@every_method
def test_promise(name: str, check: Check) -> None:
    reasons = [check.run(case) for case in cases(METHODS.get(name))]
    if all(reasons):
        pytest.skip(str(reasons[0]))


@every_method
def test_method_has_presets_and_a_test(name: str) -> None:
    method = METHODS.get(name)
    assert method.name == name
    presets = preset_names(name)
    assert presets
    for preset in presets:
        loaded = load_preset(name, preset)
        fill(method.Config, loaded.get("method", {}) | loaded.get("reference", {}).get("method", {}), preset)
        # A quirk that a preset switches on would be on in clean mode.
        assert not set(loaded.get("method", {})) & set(quirk_names(method.Config)), preset
    module = method.__module__.rpartition(".")[2]
    assert (Path(__file__).parent / f"test_{module}.py").exists()


@every_method
def test_quirks_of_a_method_stand_in_the_docs(name: str) -> None:
    page = QUIRKS.read_text(encoding="utf-8")
    for field, number in quirk_names(METHODS.get(name).Config).items():
        assert f"| {number} |" in page and f"`{field}`" in page, (number, field)


@dataclass(frozen=True)
class LinearConfig:
    """Settings of a method that keeps every promise, with a switch for each way to break one."""

    fault: str = ""
    doubled: bool = quirk("X1", clean=False, reference=True)


class Linear(EmbeddingMethod):
    """Two linear maps of padded means into the space of text vectors."""

    Config = LinearConfig
    name = "linear"
    title, year, venue, citation = "Linear", 2026, "tests", "none"
    config: LinearConfig

    def __init__(self, config: LinearConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.audio = torch.nn.Linear(dimensions.audio or 1, dimensions.text)
        self.visual = torch.nn.Linear(dimensions.visual or 1, dimensions.text)
        self.idle = torch.nn.Linear(2, 2) if config.fault == "idle" else None
        self.calls = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        self.seen_before = 0.0

    def embed_clips(self, clips: Clips) -> Tensor:
        assert clips.audio is not None and clips.visual is not None
        if self.config.fault == "changes input":
            clips.audio.mul_(2)
        if self.config.fault == "random":
            torch.rand(1)
        if self.config.fault == "counts":
            self.calls += 1
        if self.config.fault == "remembers":
            self.seen_before += 1
        rows: Tensor = self.audio(self._mean(clips.audio, clips.audio_mask))
        rows = rows + self.visual(self._mean(clips.visual, clips.visual_mask)) + self.seen_before
        if self.config.fault == "batch":
            rows = rows - rows.mean(0)
        return 2 * rows if self.config.doubled else rows

    def _mean(self, values: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None or self.config.fault == "padding":
            return values.mean(1)
        return (values * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)

    def embed_classes(self, classes: Tensor) -> Tensor:
        if self.config.fault == "order":
            return classes * torch.arange(1, len(classes) + 1).unsqueeze(1)
        return classes

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        scores = super().class_scores(clips, classes)
        if self.config.fault == "one number":
            return torch.zeros_like(scores)
        if self.config.fault == "offset":
            return scores + 100 * torch.arange(len(classes))
        if self.config.fault == "candidates":
            return scores.softmax(1)
        return scores.square() if self.config.fault == "squared" else scores

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        error = (self.embed_clips(batch.clips) - batch.classes[batch.labels]).square().mean()
        if self.config.fault == "detached":
            return {"loss": error.detach()}
        if self.config.fault == "infinite":
            return {"loss": error, "other": error / 0}
        if self.config.fault == "drifts":
            error = error + self.audio.weight.sum() * 0 + torch.rand(1).squeeze() + next(_drift)
        return {"loss": -error if self.config.fault == "climbs" else error}


def _numbers() -> Iterator[float]:
    value = 0.0
    while True:
        value += 1
        yield value


_drift = _numbers()


def _faulty(name: str) -> type[Linear]:
    @dataclass(frozen=True)
    class FaultyConfig(LinearConfig):
        fault: str = name

    return type("Faulty", (Linear,), {"Config": FaultyConfig, "__doc__": "A method with a fault."})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_plain_method_keeps_every_promise_in_both_modes(check: Check) -> None:
    found = cases(Linear)
    assert [str(case) for case in found] == [
        "clean, averaged", "clean, temporal", "reference, averaged", "reference, temporal",
    ]  # fmt: skip
    assert [case.make().config.doubled for case in found] == [False, False, True, True]
    for case in found:
        check.run(case)


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        ("infinite", "finite_scalars", "'other' is not one finite number"),
        ("detached", "finite_scalars", "leads to no weights"),
        ("idle", "gradients_everywhere", "no gradient reaches 'idle.weight'"),
        ("drifts", "same_seed_same_numbers", "the same seed gave other losses"),
        ("batch", "split_and_order", "one by one"),
        ("order", "split_and_order", "another order"),
        ("candidates", "split_and_order", "fewer candidate"),
        ("one number", "split_and_order", "the same number"),
        ("random", "no_trace", "draws random numbers"),
        ("changes input", "no_trace", "(second call|changes its input)"),
        ("counts", "no_trace", "changes weights"),
        ("remembers", "no_trace", "second call"),
        ("padding", "padding", "padded segments"),
        ("climbs", "learns", "(fell from|named right)"),
        ("squared", "distances", "negative distances"),
    ],
)
def test_a_broken_promise_is_noticed(fault: str, check: str, words: str) -> None:
    features = "temporal" if fault == "padding" else "averaged"
    run = {c.name: c.run for c in CHECKS}[check]
    with pytest.raises(BrokenPromiseError, match=words):
        run(Case(_faulty(fault), features=features))


def test_one_sided_method_must_find_clips_of_a_class_and_need_not_name_them() -> None:
    run = {c.name: c.run for c in CHECKS}["learns"]
    offset = _faulty("offset")
    with pytest.raises(BrokenPromiseError, match="named right"):
        run(Case(offset))
    run(Case(type("Offset", (offset,), {"one_sided": True})))
    solved = type("Solved", (Linear,), {"one_sided": True, "solve": lambda *_: True})
    with pytest.raises(BrokenPromiseError, match="are found"):
        run(Case(solved))


def test_a_method_that_does_not_say_what_it_is_is_noticed() -> None:
    run = CHECKS[0].run
    for attribute, value in {"title": "", "year": 26, "inputs": "pictures", "__doc__": None, "venue": 3}.items():
        kind = type("Silent", (Linear,), {"__doc__": "Text.", attribute: value})
        with pytest.raises(BrokenPromiseError):
            run(Case(kind))


class Compare(Method):
    """Compares features with text vectors of their own size; there is nothing to learn."""

    Config = LinearConfig
    name = "compare"
    title, year, venue, citation = "Compare", 2026, "tests", "none"
    checked_with = Dimensions(9, 9, 9)

    def solve(self, clips: Clips, labels: Tensor, classes: Tensor) -> bool:
        return True

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": -self.class_scores(batch.clips, batch.classes).mean()}

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        assert clips.audio is not None
        mask = torch.ones(clips.audio.shape[:2]) if clips.audio_mask is None else clips.audio_mask
        return (clips.audio * mask.unsqueeze(2)).sum(1) @ classes.T


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_method_without_weights_is_checked_with_sizes_of_its_own(check: Check) -> None:
    for case in cases(Compare):
        check.run(case)
    labels = torch.arange(6)
    case = cases(Compare)[0]
    assert case.dimensions == Dimensions(9, 9, 9)
    clips, texts = case.clips(labels, 0), case.classes()
    assert clips.audio is not None and clips.visual is not None
    assert texts.shape == (6, 9)
    for part in (clips.audio, clips.visual):
        assert 0.15 < float((part.squeeze(1) - texts).std()) < 0.25


def test_sizes_of_one_modality_alone_cannot_be_checked() -> None:
    kind = type("Deaf", (Compare,), {"checked_with": Dimensions(None, 9, 9), "__doc__": "Text."})
    with pytest.raises(BrokenPromiseError, match="needs sizes of sound and of pictures"):
        cases(kind)[0].clips(torch.arange(6), 0)
