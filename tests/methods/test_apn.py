"""APN against numbers worked out by hand, numbers frozen from the public code and its own quirks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from avzsl.errors import ModelError, SettingError
from avzsl.methods.apn import Apn, ApnConfig
from avzsl.types import Batch, Clips, Dimensions

REFERENCE: dict[str, Any] = {"euclidean_decision": True, "double_softmax": True, "local_branch": True}


def wave(*shape: int, start: float, scale: float = 1.0) -> Tensor:
    """Numbers in [-scale, scale] that need no generator."""
    steps = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(start + 1.7 * steps + 0.37 * steps**2)).float().reshape(shape)


def make(weight: Tensor, prototypes: Tensor | None = None, audio: int = 1, **settings: Any) -> Apn:
    """A method with these maps [d_w, d_v + d_a]."""
    width = weight.shape[1]
    method = Apn(ApnConfig(**settings), Dimensions(audio, width - audio, len(weight)))
    with torch.no_grad():
        method.map.copy_(weight)
        if prototypes is not None:
            method.prototypes.copy_(prototypes)
    return method


def one_batch(rows: Tensor, labels: Tensor, classes: Tensor, audio: int = 1) -> Batch:
    """Rows [visual, audio] as a batch."""
    clips = Clips(rows[:, -audio:].unsqueeze(1), rows[:, :-audio].unsqueeze(1))
    return Batch(clips, labels, clips, labels, classes)


def by_hand(**settings: Any) -> dict[str, float]:
    """T = [[1, 0], [0, 1], [-1, 0]], y = 0, g = (0.5, 1), l = (1, -1): x = (1, 0), the first columns are g and l."""
    weight, prototypes = torch.tensor([[0.5, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    method = make(weight, prototypes if settings.get("local_branch") else None, **settings)
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    terms = method.fit_step(one_batch(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), texts))
    return {name: value.item() for name, value in terms.items()}


def random_batch(seed: int = 0, classes: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    texts = torch.nn.functional.normalize(torch.randn(classes, 8, generator=generator), dim=1)
    labels = torch.arange(2 * classes) % classes
    maps = torch.randn(8, 9, generator=torch.Generator().manual_seed(99))
    return one_batch(texts[labels] @ maps + 0.1 * torch.randn(2 * classes, 9, generator=generator), labels, texts, 4)


def test_terms_by_hand() -> None:
    assert by_hand() == pytest.approx(
        {"loss": 1.729131, "classes": 1.104131, "regression": 0.625, "wrong": 1}, abs=1e-6
    )


def test_q10_the_local_branch_adds_terms_of_its_own() -> None:
    found = by_hand(local_branch=True)
    wanted = {"loss": 2.468675, "classes": 1.104131, "regression": 0.625, "local_classes": 0.239545}
    assert found == pytest.approx(wanted | {"local_regression": 0.5, "wrong": 1}, abs=1e-6)


def test_q9_softmax_is_taken_twice() -> None:
    found = by_hand(double_softmax=True, local_branch=True)
    wanted = {"loss": 2.939930, "classes": 1.115429, "regression": 0.625, "local_classes": 0.699501}
    assert found == pytest.approx(wanted | {"local_regression": 0.5, "wrong": 1}, abs=1e-6)


@pytest.mark.parametrize(
    ("classes", "loss"),
    [(30, 6.809061), (42, 7.482006), (99, 9.196906), (138, 9.861174), (150, 10.027937), (207, 10.672104)],
)
def test_maps_of_zeros_cost_the_logarithm_of_the_number_of_classes(classes: int, loss: float) -> None:
    texts = torch.nn.functional.normalize(torch.randn(classes, 300, generator=torch.Generator().manual_seed(0)), dim=1)
    batch = one_batch(torch.rand(classes, 3), torch.arange(classes), texts)
    for double in (False, True):
        zeros = torch.zeros(300, 3)
        found = make(zeros, zeros, local_branch=True, double_softmax=double).fit_step(batch)["loss"].item()
        assert found == pytest.approx(loss, abs=1e-5)
        assert found == pytest.approx(2 * math.log(classes) + 2 / 300, abs=1e-5)
        assert make(zeros, double_softmax=double).fit_step(batch)["loss"].item() == pytest.approx(loss / 2, abs=1e-5)


@pytest.mark.parametrize(
    ("classes", "floor"),
    [(30, 2.456893), (42, 2.777766), (99, 3.612327), (138, 3.939628), (150, 4.022025), (207, 4.340985)],
)
def test_q9_the_cross_entropy_has_a_floor(classes: int, floor: float) -> None:
    """A perfect map costs log(e + K - 1) - 1 with softmax twice and nothing with softmax once."""
    texts = torch.eye(classes)
    batch = one_batch(torch.eye(classes), torch.arange(classes), texts)
    last = math.inf
    for scale in (1.0, 4.0, 30.0):
        terms = make(scale * torch.eye(classes), double_softmax=True).fit_step(batch)
        assert floor - 1e-5 < terms["classes"].item() < last
        last = terms["classes"].item()
    assert last == pytest.approx(floor, abs=1e-5)
    assert make(30 * torch.eye(classes)).fit_step(batch)["classes"].item() < 1e-6


def test_q9_gradients_start_at_a_share_of_one_class() -> None:
    batch = random_batch(classes=6)
    found = []
    for double in (False, True):
        method = make(torch.zeros(8, 9), audio=4, double_softmax=double)
        (gradient,) = torch.autograd.grad(method.fit_step(batch)["classes"], [method.map])
        found.append(gradient)
    assert torch.allclose(found[1], found[0] / 6, atol=1e-7)
    assert found[0].abs().max() > 1e-2


def test_q10_the_local_branch_moves_nothing_that_decides() -> None:
    start, prototypes = wave(8, 9, start=1, scale=0.1), wave(8, 9, start=2, scale=0.1)
    methods = [make(start, audio=4), make(start, prototypes, audio=4, local_branch=True)]
    optimisers = [torch.optim.Adam(m.parameter_groups(), 1e-2) for m in methods]
    for step in range(5):
        batch = random_batch(step)
        for method, optimiser in zip(methods, optimisers, strict=True):
            optimiser.zero_grad()
            method.fit_step(batch)["loss"].backward()
            optimiser.step()
        assert torch.allclose(methods[0].map, methods[1].map, atol=1e-7), step
    assert not torch.allclose(methods[1].prototypes, prototypes, atol=1e-3)
    clips = batch.clips
    assert torch.allclose(methods[0].class_scores(clips, batch.classes), methods[1].class_scores(clips, batch.classes))


def test_q1_decides_by_distance_in_reference_mode() -> None:
    weight = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    clips = one_batch(torch.tensor([[1.0, 1.0]]), torch.tensor([0]), torch.eye(2)).clips
    texts = torch.tensor([[1.0, 0.0], [-0.6, 0.8]])
    # g = (2, 1): dot products 2 and -0.4, distances √2 and √(2.6² + 0.2²)
    assert make(weight).class_scores(clips, texts)[0].tolist() == pytest.approx([2, -0.4])
    found = make(weight, euclidean_decision=True).class_scores(clips, texts)[0].tolist()
    assert found == pytest.approx([-math.sqrt(2), -math.sqrt(6.8)])


def test_normalised_clips_count_by_their_direction_in_training_and_decision() -> None:
    batch = random_batch()
    method = make(wave(8, 9, start=1), audio=4, normalise=True)
    assert batch.clips.audio is not None and batch.clips.visual is not None
    louder = Clips(3 * batch.clips.audio, 3 * batch.clips.visual)
    again = Batch(louder, batch.labels, louder, batch.labels, batch.classes)
    scores = [method.class_scores(clips, batch.classes) for clips in (batch.clips, louder)]
    assert torch.allclose(*scores, atol=1e-5)
    assert method.fit_step(again)["loss"].item() == pytest.approx(method.fit_step(batch)["loss"].item())
    plain = make(wave(8, 9, start=1), audio=4)
    assert not torch.allclose(plain.class_scores(louder, batch.classes), plain.class_scores(batch.clips, batch.classes))


# Loss, three entries and the norm of each gradient: once from the public code, with these inputs.
PUBLIC = {
    False: (4.947705, (-0.0019231, 0.0012553, 0.0003466), 0.142412, (-0.0030059, -0.0010919, 0.0024753), 0.145724),
    True: (4.504656, (-0.0007433, 0.0003845, 0.0002666), 0.038539, (-0.000894, 3.65e-05, 0.0006346), 0.039910),
}


@pytest.mark.parametrize("normalise", [False, True])
def test_loss_and_gradients_of_the_public_code(normalise: bool) -> None:
    loss, *wanted = PUBLIC[normalise]
    maps = wave(300, 11, start=4, scale=0.3), wave(300, 11, start=5, scale=0.3)
    method = make(*maps, audio=6, normalise=normalise, **REFERENCE)
    rows = torch.cat([wave(7, 5, start=2), wave(7, 6, start=1)], 1).abs()
    texts = torch.nn.functional.normalize(wave(9, 300, start=3), dim=1)
    found = method.fit_step(one_batch(rows, torch.tensor([0, 3, 8, 2, 2, 5, 7]), texts, 6))["loss"]
    found.backward()
    assert found.item() == pytest.approx(loss, abs=2e-6)
    for gradient, (entries, norm) in zip(
        (method.map.grad, method.prototypes.grad), (wanted[:2], wanted[2:]), strict=True
    ):
        assert gradient is not None
        some = [gradient[0, 0].item(), gradient[17, 10].item(), gradient[299, 4].item()]
        assert some == pytest.approx(entries, abs=2e-7)
        assert gradient.norm().item() == pytest.approx(norm, abs=1e-6)


@pytest.mark.parametrize(("dimensions", "count"), [((512, 512), 614_400), ((128, 4096), 2_534_400)])
def test_both_branches_have_as_many_weights_as_the_public_ones(dimensions: tuple[int, int], count: int) -> None:
    both = Apn(ApnConfig(**REFERENCE), Dimensions(*dimensions, 300))
    assert sum(p.numel() for p in both.parameters()) == count
    assert sum(p.numel() for p in Apn(ApnConfig(), Dimensions(*dimensions, 300)).parameters()) == count // 2
    for weights in both.parameters():
        assert weights.min().item() >= 0 and 1.99e-4 < weights.max().item() < 2e-4
    assert not torch.equal(both.map, both.prototypes)


def test_it_learns_in_both_modes() -> None:
    for settings in ({}, REFERENCE):
        torch.manual_seed(0)
        method = Apn(ApnConfig(**settings), Dimensions(4, 5, 8))
        optimiser = torch.optim.Adam(method.parameter_groups(), 1e-2)
        log = []
        for _ in range(40):
            terms = method.fit_step(random_batch())
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            log.append({name: value.item() for name, value in terms.items()})
        assert log[-1]["wrong"] < 0.1 < log[0]["wrong"]
        assert all(log[-1][name] < log[0][name] for name in ("loss", "classes"))


def test_input_is_checked() -> None:
    batch = random_batch()
    method = make(torch.zeros(8, 9), audio=4)
    with pytest.raises(ModelError, match="no visual features"):
        method.class_scores(batch.clips.only("audio"), batch.classes)
    with pytest.raises(SettingError, match="APN needs sound and picture"):
        Apn(ApnConfig(), Dimensions(4, None, 8))
