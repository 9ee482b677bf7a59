"""What every method promises, asked of each one in the registry."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

import avzsl.methods
from avzsl.config import fill, load_preset, preset_names
from avzsl.methods._base import METHODS, EmbeddingMethod, Method
from avzsl.types import Batch, Clips, Dimensions

assert avzsl.methods
DIMENSIONS = Dimensions(audio=24, visual=20, text=12)
CLASSES = 6
every_method = pytest.mark.parametrize("name", METHODS.names())
SEGMENTS = {"averaged": (1, 1), "temporal": (5, 3)}


def toy_classes() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.nn.functional.normalize(torch.randn(CLASSES, 12, generator=generator), dim=1)


def toy_clips(labels: Tensor, lengths: tuple[int, int] = (1, 1), seed: int = 0) -> Clips:
    """Clips of a linear world: features are a map of the class vector, plus noise; ragged where there are segments."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.Generator().manual_seed(7)
    parts: list[Tensor] = []
    masks: list[Tensor | None] = []
    for size, length in zip((24, 20), lengths, strict=True):
        signal = toy_classes()[labels] @ torch.randn(12, size, generator=maps)
        noise = torch.randn(len(labels), length, size, generator=generator)
        parts.append(signal.unsqueeze(1) + 0.2 * noise)
        real = torch.randint(1, length + 1, (len(labels), 1), generator=generator)
        masks.append(None if length == 1 else torch.arange(length) < real)
    return Clips(parts[0], parts[1], masks[0], masks[1])


def toy_batch(pairs: int = 24, kind: str = "averaged", seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (pairs,), generator=generator)
    others = (labels + torch.randint(1, CLASSES, (pairs,), generator=generator)) % CLASSES
    lengths = SEGMENTS[kind]
    return Batch(
        toy_clips(labels, lengths, seed + 1), labels, toy_clips(others, lengths, seed + 2), others, toy_classes()
    )


def kinds(name: str) -> list[str]:
    return [kind for kind in SEGMENTS if kind in METHODS.get(name).inputs]


def make(name: str, seed: int = 0, dimensions: Dimensions = DIMENSIONS) -> Method:
    """A method with the settings of its demo preset where it has one."""
    method = METHODS.get(name)
    settings = load_preset(name, "demo")["method"] if "demo" in preset_names(name) else {}
    torch.manual_seed(seed)
    return method(fill(method.Config, settings, "[method]"), dimensions)


def train(method: Method, steps: int, kind: str = "averaged", rate: float = 3e-3) -> list[float]:
    """Loss of each step."""
    method.train()
    optimizer = torch.optim.Adam(method.parameters(), rate, fused=True)
    losses = []
    torch.manual_seed(1)
    for step in range(steps):
        loss = method.fit_step(toy_batch(kind=kind, seed=3 * step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@every_method
def test_method_says_what_it_is(name: str) -> None:
    method = METHODS.get(name)
    assert method.name == name
    for field in ("title", "venue", "citation"):
        assert isinstance(getattr(method, field), str) and getattr(method, field), field
    assert 1900 < method.year < 2100
    assert method.inputs in ("averaged", "temporal", "averaged or temporal")
    assert dataclasses.is_dataclass(method.Config)
    assert method.Config.__dataclass_params__.frozen
    assert method.__doc__
    method.Config()  # all settings have defaults


@every_method
def test_method_has_presets_and_a_test(name: str) -> None:
    method = METHODS.get(name)
    presets = preset_names(name)
    assert presets
    for preset in presets:
        fill(method.Config, load_preset(name, preset).get("method", {}), preset)
    module = method.__module__.rpartition(".")[2]
    assert (Path(__file__).parent / f"test_{module}.py").exists()


@every_method
def test_step_returns_finite_scalars(name: str) -> None:
    for kind in kinds(name):
        terms = make(name).train().fit_step(toy_batch(kind=kind))
        assert "loss" in terms
        assert terms["loss"].requires_grad
        for term, value in terms.items():
            assert value.dim() == 0 and value.isfinite(), term


@every_method
def test_gradients_reach_every_parameter(name: str) -> None:
    for kind in kinds(name):
        method = make(name).train()
        method.fit_step(toy_batch(kind=kind))["loss"].backward()
        for parameter_name, parameter in method.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
            # what precedes a batch norm or a softmax as a constant cancels there
            if not parameter_name.endswith("bias"):
                assert parameter.grad.abs().max() > 1e-9, parameter_name


@every_method
def test_same_seed_gives_the_same_numbers(name: str) -> None:
    runs = [(train(method := make(name), 3), method.state_dict()) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    for key, value in runs[0][1].items():
        assert torch.equal(value, runs[1][1][key]), key
    other = make(name, seed=1)
    if any(p.abs().sum() > 0 for p in other.parameters()):
        assert train(other, 1) != runs[0][0][:1]


@every_method
def test_batch_split_and_class_order_change_nothing(name: str) -> None:
    for kind in kinds(name):
        method = make(name)
        train(method, 3, kind)
        method.eval()
        clips, classes = toy_clips(torch.arange(CLASSES), SEGMENTS[kind], seed=9), toy_classes()
        with torch.inference_mode():
            whole = method.class_scores(clips, classes)
            parts = torch.cat([method.class_scores(clips.rows(torch.tensor([i])), classes) for i in range(CLASSES)])
            order = torch.tensor([3, 1, 5, 0, 4, 2])
            shuffled = method.class_scores(clips, classes[order])
            some = method.class_scores(clips, classes[:2])
        assert whole.shape == (CLASSES, CLASSES)
        assert whole.std() > 0
        for given, expected in ((parts, whole), (shuffled, whole[:, order]), (some, whole[:, :2])):
            assert torch.allclose(given, expected, atol=1e-4), kind


@every_method
def test_scores_keep_no_state_and_draw_no_numbers(name: str) -> None:
    method = make(name)
    train(method, 2)
    method.eval()
    before = {key: value.clone() for key, value in method.state_dict().items()}
    random_state = torch.get_rng_state()
    clips, classes = toy_clips(torch.arange(CLASSES)), toy_classes()
    assert clips.audio is not None
    copy = clips.audio.clone()
    with torch.inference_mode():
        first = method.class_scores(clips, classes)
        second = method.class_scores(clips, classes)
        modes = method.mode_scores(clips, classes)
    assert torch.equal(first, second)
    assert torch.equal(modes["both"], first)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(clips.audio, copy)
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())


@every_method
def test_padding_is_never_looked_at(name: str) -> None:
    if "temporal" not in kinds(name):
        pytest.skip("averaged features have no padding")
    method = make(name)
    train(method, 2, "temporal")
    method.eval()
    clips, classes = toy_clips(torch.arange(CLASSES), (5, 3)), toy_classes()
    filled = {}
    for part in ("audio", "visual"):
        values, mask = getattr(clips, part), getattr(clips, f"{part}_mask")
        assert not mask.all()
        filled[part] = torch.where(mask.unsqueeze(2), values, torch.tensor(1e4))
    other = Clips(filled["audio"], filled["visual"], clips.audio_mask, clips.visual_mask)
    with torch.inference_mode():
        assert torch.allclose(method.class_scores(clips, classes), method.class_scores(other, classes), atol=1e-4)


@every_method
def test_weights_survive_a_round_trip(name: str) -> None:
    method = make(name)
    train(method, 2)
    stored = save({key: value.contiguous() for key, value in method.state_dict().items()})
    other = make(name, seed=1)
    other.load_state_dict(load(stored))
    clips, classes = toy_clips(torch.arange(CLASSES)), toy_classes()
    with torch.inference_mode():
        assert torch.equal(method.eval().class_scores(clips, classes), other.eval().class_scores(clips, classes))


@every_method
def test_loss_falls_and_classes_are_told_apart(name: str) -> None:
    for kind in kinds(name):
        method = make(name)
        labels = torch.arange(CLASSES).repeat(6)
        clips = toy_clips(labels, SEGMENTS[kind], seed=11)
        if not method.solve(clips, labels, toy_classes()):
            losses = train(method, 60, kind)
            assert sum(losses[-5:]) / 5 < 0.7 * losses[0], kind
            method.end_of_stage(clips, labels, toy_classes())
        test = toy_clips(labels, SEGMENTS[kind], seed=12)
        with torch.inference_mode():
            right = method.eval().class_scores(test, toy_classes()).argmax(1) == labels
        assert right.float().mean() > 0.8, kind


@every_method
def test_embeddings_decide_by_distance(name: str) -> None:
    method = make(name).eval()
    if not isinstance(method, EmbeddingMethod):
        pytest.skip("scores are not distances")
    clips, classes = toy_clips(torch.arange(CLASSES)), toy_classes()
    with torch.inference_mode():
        c, k = method.embed_clips(clips), method.embed_classes(classes)
        expected = -torch.stack([(c[i] - k).norm(dim=1) for i in range(CLASSES)])
        assert torch.allclose(method.class_scores(clips, classes), expected, atol=1e-5)
