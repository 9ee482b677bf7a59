"""f-VAEGAN-D2 against numbers of the public code, its step counts, its memory and its classifiers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avzsl.config import load_preset
from avzsl.errors import ModelError, SettingError
from avzsl.experiments import run as experiment
from avzsl.experiments.evaluate import evaluate_run
from avzsl.experiments.run import run_training
from avzsl.experiments.settings import assemble
from avzsl.methods import vaegan
from avzsl.methods._checkpoint import load_model
from avzsl.methods._profile import profile
from avzsl.methods._softmax import Softmax, SoftmaxTraining, train_softmax
from avzsl.methods.vaegan import Vaegan, VaeganConfig
from avzsl.nn.generative import Critic
from avzsl.training import stages
from avzsl.types import Batch, Clips, Dimensions

TINY = VaeganConfig(latent=2, encoder_hidden=3, generator_hidden=3, critic_hidden=4, synthetic=20, classifier_epochs=5)
REFERENCE = replace(TINY, second_critic=True, summed=True, scaling="length", rows_as_prior=True)
SIZES = Dimensions(2, 3, 4)


def ramp(*shape: int, k: float) -> Tensor:
    return 0.5 * torch.sin(k + torch.arange(float(torch.tensor(shape).prod()))).reshape(shape)


def clips_of(rows: Tensor, audio: int = 2) -> Clips:
    return Clips(rows[:, None, :audio], rows[:, None, audio:])


def words(count: int, k: float = 50.0) -> Tensor:
    return nn.functional.normalize(ramp(count, 4, k=k), dim=1)


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What training draws next, instead of random numbers."""
    waiting: list[Tensor] = []

    def draw(*sizes: Any, **_: Any) -> Tensor:
        value = waiting.pop(0)
        assert value.shape == (sizes[0].shape if isinstance(sizes[0], Tensor) else sizes)
        return value

    for name in ("rand", "randn", "randn_like"):
        monkeypatch.setattr(torch, name, draw)
    return waiting


def ramped(config: VaeganConfig = REFERENCE) -> Vaegan:
    """A model whose weights are waves."""
    method = Vaegan(config, SIZES).train()
    parts: list[nn.Module | None] = [method.generator, method.critic, method.second_critic, method.encoder]
    with torch.no_grad():
        for k, part in enumerate(parts):
            for j, parameter in enumerate(() if part is None else part.parameters()):
                parameter.copy_(ramp(*parameter.shape, k=10.0 * k + j))
    return method


def wave_batch(step: int) -> Batch:
    clips = clips_of(torch.cat([ramp(3, 2, k=60.0 + step).abs(), ramp(3, 3, k=70.0 + step).abs()], 1))
    return Batch(clips, torch.arange(3), clips, torch.arange(3), words(3))


def wave_draws(step: int) -> list[Tensor]:
    shares = [ramp(3, 1, k=k + step) + 0.5 for k in (90.0, 91.5)]
    return [ramp(3, 2, k=80.0 + step), *shares, ramp(3, 2, k=95.0 + step)]


def gradients(*parts: nn.Module) -> list[float]:
    return [float(p.grad.abs().sum()) for part in parts for p in part.parameters() if p.grad is not None]


# The public code (Mercea et al. 2022) in three steps from the same weights, batches and draws: losses, and sums of
# absolute gradients of G, D, D2 and E in the first step and of their weights after the third.
LOSSES = [
    {"critic": 0.597841 - 0.638729, "penalty": 5.161977, "penalty2": 4.732691, "second": 4.812842, "gan": -1.200761,
     "vae": 12.594686, "loss": -120063.546875},
    {"critic": 0.598503 - 0.638735, "penalty": 5.135655, "penalty2": 4.704344, "second": 4.773607, "gan": -1.204308,
     "vae": 12.12079, "loss": -120418.640625},
    {"critic": 0.600487 - 0.552657, "penalty": 5.109332, "penalty2": 4.6759, "second": 4.656616, "gan": -1.208019,
     "vae": 11.56682, "loss": -120790.328125},
]  # fmt: skip
GRADIENTS = {
    "generator": [8933.113281, 2489.764893, 18955.400391, 11842.833008],
    "critic": [13.367149, 0.086705, 13.554869, 0.0],
    "second_critic": [14.791717, 0.0, 12.824706, 0.0],
    "encoder": [1469.886597, 267.06015, 718.047546, 654.685303, 131.228424, 73.500122],
}
WEIGHTS = {
    "generator": [5.68028, 0.938517, 4.775909, 1.381573],
    "critic": [11.476365, 1.476671, 1.310789, 0.210084],
    "second_critic": [6.558045, 1.297664, 0.952538, 0.42311],
    "encoder": [8.744175, 0.977702, 2.079242, 0.765507, 1.928208, 0.712219],
}


def test_three_steps_are_those_of_the_public_code(draws: list[Tensor]) -> None:
    method = ramped()
    adam = torch.optim.Adam(method.parameter_groups(), 1e-3)
    for step, wanted in enumerate(LOSSES):
        draws += wave_draws(step)
        method.end_of_epoch(wave_batch(0).clips, torch.arange(3), words(3))
        found: dict[str, Tensor] = {}
        seen: dict[str, list[float]] = {}
        for number, terms in enumerate(method.updates(wave_batch(step))):
            adam.zero_grad(set_to_none=True)
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            learning = (("critic", "second_critic"), ("generator", "encoder"))[number]
            for name in GRADIENTS:
                seen |= {name: gradients(getattr(method, name))} if name in learning else {}
                assert name in learning or gradients(getattr(method, name)) == []
            adam.step()
            found |= terms
        assert draws == []
        found["second"] = found["critic2"] + found["penalty2"]
        assert {n: float(found[n].detach()) for n in wanted} == pytest.approx(wanted, rel=1e-5, abs=2e-6)
        if step == 0:
            for name, values in GRADIENTS.items():
                assert seen[name] == pytest.approx(values, rel=1e-5, abs=1e-5), name
    for name, values in WEIGHTS.items():
        sums = [float(p.detach().abs().sum()) for p in getattr(method, name).parameters()]
        assert sums == pytest.approx(values, abs=2e-5), name


@pytest.mark.parametrize(
    ("sizes", "counts"), [((512, 512), (2_090_037, 2_615_350)), ((128, 4096), (6_330_037, 8_493_750))]
)
def test_parameters_are_those_of_the_published_model(sizes: tuple[int, int], counts: tuple[int, int]) -> None:
    for config, wanted in zip((VaeganConfig(), VaeganConfig(second_critic=True)), counts, strict=True):
        method = Vaegan(config, Dimensions(*sizes, 300))
        assert sum(p.numel() for p in method.parameters()) == wanted


def test_the_objective_weighs_critic_and_autoencoder_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """-(0.3 - 0.1) · 1e5 + 2.354595."""
    judged = iter([torch.tensor([0.2, 0.4]), torch.tensor([-0.3, 0.1])])
    monkeypatch.setattr(vaegan, "functional_call", lambda *_: next(judged))
    monkeypatch.setattr(vaegan, "bernoulli_loss", lambda *_: torch.tensor(1.576169, dtype=torch.float64))
    monkeypatch.setattr(vaegan, "normal_divergence", lambda *_: torch.tensor(0.778426, dtype=torch.float64))
    method = ramped()
    terms = method._generator_terms(torch.rand(2, 5), words(2), torch.zeros(2, 2))
    assert terms["loss"].item() == pytest.approx(-19997.645405, abs=1e-3)
    assert terms["gan"].item() == pytest.approx(-0.2) and terms["vae"].item() == pytest.approx(2.354595)


@pytest.mark.parametrize(("batches", "critic", "generator"), [(500, 25_000, 5_000), (1, 50, 50), (7, 350, 100)])
def test_the_generator_steps_in_the_first_of_five_batches_of_every_epoch(
    batches: int, critic: int, generator: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q12: with one batch per epoch both step 50 times in 50 epochs."""
    monkeypatch.setattr(Vaegan, "_features", lambda self, clips: torch.zeros(1, 5))
    monkeypatch.setattr(Vaegan, "_critic_terms", lambda *_: "critic")
    monkeypatch.setattr(Vaegan, "_generator_terms", lambda *_: "generator")
    method, steps, batch = Vaegan(TINY, SIZES), {"critic": 0, "generator": 0}, wave_batch(0)
    for _ in range(50):
        for _ in range(batches):
            for who in method.updates(batch):
                steps[str(who)] += 1
        method.end_of_epoch(batch.clips, batch.labels, batch.classes)
    assert steps == {"critic": critic, "generator": generator}


def test_the_place_within_five_batches_is_stored(draws: list[Tensor]) -> None:
    first = ramped(TINY)
    draws += [t for k in range(3) for t in (*wave_draws(k)[:2], *(wave_draws(k)[3:] if k == 0 else ()))]
    assert [len(list(first.updates(wave_batch(k)))) for k in range(3)] == [2, 1, 1]
    second = Vaegan(TINY, SIZES)
    second.load_state_dict(first.state_dict())
    assert int(second.batches) == 3


def test_q13_the_second_critic_is_trained_and_moves_nothing(draws: list[Tensor]) -> None:
    found = []
    for config in (TINY, replace(TINY, second_critic=True)):
        method = ramped(config)
        first, second, *rest = wave_draws(0)
        draws += [first, second, *(rest if config.second_critic else rest[1:])]
        terms: dict[str, Tensor] = {}
        for number, step in enumerate(method.updates(wave_batch(0))):
            method.zero_grad(set_to_none=True)
            step["loss"].backward()  # type: ignore[no-untyped-call]
            if method.second_critic is not None:
                assert bool(gradients(method.second_critic)) == (number == 0)
            terms |= {f"{name} {number}": value for name, value in step.items()}
        found.append({n: float(terms[n].detach()) for n in ("critic 0", "penalty 0", "loss 1", "vae 1")})
        found[-1]["gradients"] = sum(gradients(method.generator, method.encoder))
        assert ("critic2 0" in terms) == config.second_critic
    assert found[0] == found[1]


def test_q14_the_published_balance_moves_with_the_batch_size_and_the_clean_one_does_not() -> None:
    def terms(config: VaeganConfig, copies: int) -> dict[str, float]:
        method = ramped(config)
        method._features = lambda clips: torch.rand(4, 5, generator=torch.Generator().manual_seed(0)).repeat(copies, 1)  # type: ignore[method-assign]
        method.encoder.log_variance.bias.data.fill_(-60.0)  # σ = 0, so that draws do not matter
        method.encoder.log_variance.weight.data.zero_()
        labels = torch.arange(4).repeat(copies)
        batch = Batch(clips_of(torch.zeros(4 * copies, 5)), labels, clips_of(torch.zeros(1, 5)), labels[:1], words(4))
        return {name: float(value.detach()) for name, value in method.fit_step(batch).items()}

    clean, summed = replace(REFERENCE, summed=False), REFERENCE
    assert terms(clean, 16)["vae"] == pytest.approx(terms(summed, 16)["vae"])  # 64 clips
    assert terms(clean, 1)["vae"] == pytest.approx(terms(clean, 16)["vae"], rel=1e-5)
    assert terms(summed, 1)["vae"] == pytest.approx(terms(summed, 16)["vae"] / 16, rel=1e-5)


def test_clips_are_sound_then_picture_of_length_1_in_reference_mode() -> None:
    method = Vaegan(replace(REFERENCE), Dimensions(1, 2, 4))
    found = method._features(Clips(torch.tensor([[[12.0]]]), torch.tensor([[[3.0, 4.0]]])))
    assert torch.allclose(found, torch.tensor([[12.0, 3, 4]]) / 13)


def test_q15_columns_are_scaled_by_training_values_or_negative_ones_are_cut_from_the_target(
    draws: list[Tensor],
) -> None:
    rows = torch.tensor([[-2.0, 1, 5, 0, 7], [2, 1, 6, -1, 9], [0, 1, 5.5, -0.5, 7]])
    clean, reference = ramped(TINY), ramped()
    for method in (clean, reference):
        assert method.solve(clips_of(rows), torch.tensor([0, 1, 1]), words(2)) is False
    wanted = torch.tensor([[0, 0, 0, 1, 0], [1, 0, 1, 0, 1], [0.5, 0, 0.5, 0.5, 0]])  # a constant column is 0
    assert torch.equal(clean._features(clips_of(rows)), wanted)
    beyond = torch.tensor([[-9.0, 9, 9, 9, 8]])
    assert clean._features(clips_of(beyond)).tolist() == [[0, 1, 1, 1, 0.5]]
    assert torch.allclose(reference._features(clips_of(rows)), nn.functional.normalize(rows, dim=1))
    assert float(reference._features(clips_of(rows)).min()) < 0
    draws += [torch.zeros(3, 2)] * 2
    zero = reference._generator_terms(reference._features(clips_of(rows)), words(3), torch.zeros(3, 2))
    cut = reference._generator_terms(reference._features(clips_of(rows)).clamp(0), words(3), torch.zeros(3, 2))
    assert zero["reconstruction"].isfinite()
    # The encoder and the critic still see negative values; the target alone is cut.
    assert zero["divergence"] != cut["divergence"]


def test_the_memory_keeps_evenly_spaced_clips_of_every_class() -> None:
    labels = torch.tensor([1, 0, 1, 1, 2, 1, 1, 0])
    rows = torch.rand(8, 5, generator=torch.Generator().manual_seed(0))
    wanted = {0: list(range(8)), 2: [0, 1, 4, 6, 7], 3: [0, 1, 3, 4, 6, 7], 9: list(range(8))}
    for most, kept in wanted.items():
        method = Vaegan(replace(TINY, memory=most), SIZES)
        method.solve(clips_of(rows), labels, words(3))
        assert method.memory_labels.tolist() == labels[kept].tolist()
        assert torch.equal(method.memory_rows, method._features(clips_of(rows[kept])))
        assert torch.equal(method.memory_classes, words(3))


def test_a_half_precision_memory_halves_the_file_and_hardly_moves_scores() -> None:
    scores = {}
    for kind in ("float32", "float16"):
        method = trained(replace(TINY, memory_type=kind))  # type: ignore[arg-type]
        assert method.memory_rows.dtype == getattr(torch, kind)
        assert method.memory_rows.element_size() * 2 == (8 if kind == "float32" else 4)
        scores[kind] = method.class_scores(clips_of(torch.rand(6, 5)), words(5))
    assert not torch.equal(*scores.values())
    assert torch.allclose(*scores.values(), atol=0.1)


def trained(config: VaeganConfig = TINY, classes: int = 3) -> Vaegan:
    """A model that has seen 12 clips of the first classes of `words`; its generator is a wave."""
    torch.manual_seed(0)
    method = ramped(config)
    labels = torch.arange(12) % classes
    rows = torch.rand(12, 5) + labels[:, None] * torch.tensor([0.5, -0.3, 0.0, 0.2, 0.1])
    method.solve(clips_of(rows), labels, words(classes))
    return method.eval()


def test_the_classifier_learns_real_features_of_trained_classes_and_made_ones_of_others() -> None:
    method = trained()
    candidates = words(5)[[4, 0, 1, 3]]  # two new classes, two of the three trained ones
    place = {tuple(row): k for k, row in enumerate(sorted(candidates.tolist()))}
    order = [place[tuple(row)] for row in candidates.tolist()]
    rows, labels, made = method._classifier_data(torch.tensor(sorted(candidates.tolist())))
    assert torch.bincount(labels)[order].tolist() == [20, 4, 4, 20]
    assert made[order].tolist() == [True, False, False, True]
    assert torch.allclose(rows.norm(dim=1), torch.ones(len(rows)))
    real = nn.functional.normalize(method.memory_rows[method.memory_labels == 1], dim=1)
    assert torch.allclose(rows[labels == order[2]], real)
    # The made ones come out of the generator: its noise depends on the class alone.
    again, again_labels, _ = method._classifier_data(words(5)[3:4])
    assert torch.equal(again[again_labels == 0], rows[labels == order[3]])
    other, _, _ = trained(replace(TINY, draws=1))._classifier_data(words(5)[3:4])
    assert not torch.allclose(other, again)


def test_made_features_are_drawn_from_the_generator() -> None:
    method = trained(replace(TINY, synthetic=4000))
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        rows, _, _ = method._classifier_data(words(5)[4:])
        wanted = nn.functional.normalize(method.generator(noise, words(5)[4:].expand(4000, -1)), dim=1)
    assert torch.allclose(rows.mean(0), wanted.mean(0), atol=0.01)
    assert torch.allclose(rows.std(0), wanted.std(0), atol=0.01) and float(rows.std(0).min()) > 0.01


@pytest.mark.parametrize("candidates", [[0, 1, 2, 3, 4], [0, 1, 2], [3, 4], [2, 4]])
def test_scores_follow_the_candidates_whatever_their_order(candidates: list[int]) -> None:
    method, clips, classes = trained(), clips_of(torch.rand(6, 5)), words(5)[candidates]
    state = torch.get_rng_state()
    found = method.mode_scores(clips, classes)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.allclose(found["both"].exp().sum(1), torch.ones(6))
    with torch.inference_mode():
        again = method.scorer(classes.flip(0).clone())(clips)
    twice = method.mode_scores(clips, torch.cat([classes, classes]))
    mixed = {c < 3 for c in candidates} == {True, False}
    assert set(found) == set(again) == set(twice) == ({"both", "zsl"} if mixed else {"both"})
    for name, scores in found.items():
        assert torch.equal(again[name].flip(1), scores)
        assert torch.equal(twice[name], torch.cat([scores, scores], 1))


def test_among_new_classes_a_classifier_of_made_features_alone_decides() -> None:
    method, clips = trained(), clips_of(torch.rand(6, 5))
    found = method.mode_scores(clips, words(5))["zsl"]
    assert torch.equal(found.isneginf(), torch.tensor([True, True, True, False, False]).expand(6, 5))
    alone = method.mode_scores(clips, words(5)[3:])["both"]
    assert torch.equal(found[:, 3:], alone)
    assert not torch.allclose(alone, method.mode_scores(clips, words(5))["both"][:, 3:].log_softmax(1), atol=1e-3)


def test_the_classifier_is_trained_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[SoftmaxTraining] = []

    def spy(
        start: Softmax, rows: Tensor, labels: Tensor, order: Tensor, training: SoftmaxTraining, weights: Tensor | None
    ) -> Softmax:
        told.append(training)
        assert sorted(order.tolist()) == list(range(len(rows))) != order.tolist()
        return train_softmax(start, rows, labels, order, training, weights)

    monkeypatch.setattr(vaegan, "train_softmax", spy)
    for batch in (0, 7):
        trained(replace(TINY, classifier_batch=batch, classifier_rate=0.01)).mode_scores(
            clips_of(torch.rand(2, 5)), words(5)
        )
    assert told == [SoftmaxTraining(5, 20, 0.01)] * 2 + [SoftmaxTraining(5, 7, 0.01)] * 2


def test_clips_meet_the_classifier_with_length_1(monkeypatch: pytest.MonkeyPatch) -> None:
    fixed = Softmax(ramp(4, 5, k=3.0), ramp(4, k=7.0))
    monkeypatch.setattr(vaegan, "train_softmax", lambda start, *_: fixed if len(start.bias) == 4 else start)
    method, rows = trained(), torch.rand(6, 5)
    candidates = torch.tensor(sorted(words(4).tolist()))
    wanted = nn.functional.normalize(method._features(clips_of(rows)), dim=1) @ fixed.weight.T + fixed.bias
    assert torch.allclose(method.class_scores(clips_of(rows), candidates), wanted.log_softmax(1), atol=1e-6)


def test_q19_rows_are_the_prior_of_a_class_or_all_classes_count_alike() -> None:
    """Made features of a class outnumber its real ones; with a wide classifier their number decides or does not."""
    shares = {}
    for on in (True, False):
        for synthetic in (20, 400):
            config = replace(
                TINY,
                synthetic=synthetic,
                classifier_batch=20,
                classifier_epochs=40,
                classifier_rate=0.01,
                rows_as_prior=on,
            )
            scores = trained(config).mode_scores(clips_of(torch.rand(50, 5)), words(5))
            shares[on, synthetic] = float(scores["both"][:, 3:].exp().sum(1).mean())
    assert shares[True, 20] > 0.6 and shares[True, 400] > 0.9
    assert shares[False, 20] < 0.55 and shares[False, 400] < 0.55


@pytest.mark.parametrize(("noise", "recognised"), [(1e-6, True), (1e-3, False)])
def test_trained_classes_are_recognised_by_their_text_vectors(noise: float, recognised: bool) -> None:
    method = trained()
    _, _, made = method._classifier_data(words(3) + noise)
    assert (~made).tolist() == [recognised] * 3


def test_the_memory_is_loaded_back_whatever_its_size() -> None:
    method = trained()
    other = Vaegan(TINY, SIZES).eval()
    stored = method.state_dict()
    other.make_room({name: tuple(value.shape) for name, value in stored.items()})
    other.load_state_dict(stored)
    clips = clips_of(torch.rand(6, 5))
    assert torch.equal(other.class_scores(clips, words(5)), method.class_scores(clips, words(5)))


def test_an_untrained_model_answers_without_training_a_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vaegan, "train_softmax", None)
    found = profile(Vaegan(VaeganConfig(synthetic=10_000), Dimensions(512, 512, 300)))
    assert found.parameters == 2_090_037
    assert found.inference == 2 * 1024 * 51


def test_both_modalities_are_needed() -> None:
    with pytest.raises(SettingError, match="f-VAEGAN-D2 needs sound and picture"):
        Vaegan(TINY, Dimensions(None, 3, 4))
    with pytest.raises(ModelError, match="no audio features"):
        trained().class_scores(Clips(None, torch.zeros(1, 1, 3)), words(2))


@pytest.mark.parametrize(("field", "value"), [
    ("latent", 0), ("critic_steps", 0), ("synthetic", 0), ("classifier_epochs", 0), ("memory", -1), ("penalty", -1.0),
    ("gan_weight", float("nan")), ("classifier_rate", 0.0), ("draws", -1),
])  # fmt: skip
def test_wrong_settings_are_named(field: str, value: float) -> None:
    with pytest.raises(SettingError, match=field):
        VaeganConfig(**{field: value})  # type: ignore[arg-type]


def world(classes: int, clips: int, seed: int) -> tuple[Clips, Tensor, Tensor]:
    """Clips whose features, none negative, follow from the text vectors of their classes."""
    generator = torch.Generator().manual_seed(seed)
    vectors = nn.functional.normalize(torch.randn(classes, 6, generator=generator), dim=1)
    labels = torch.arange(classes).repeat(clips)
    signal = vectors[labels] @ torch.randn(6, 30, generator=torch.Generator().manual_seed(9))
    rows = (signal + 0.1 * torch.randn(len(labels), 30, generator=generator)).relu()
    return clips_of(rows, 12), labels, vectors


def test_classes_without_clips_are_named_in_a_simple_world() -> None:
    method = Vaegan(
        VaeganConfig(latent=8, encoder_hidden=32, generator_hidden=64, critic_hidden=64, synthetic=100, gan_weight=100),
        Dimensions(12, 18, 6),
    )
    clips, labels, vectors = world(40, 5, seed=0)
    torch.manual_seed(0)
    method.solve(clips, labels, vectors)
    adam = torch.optim.Adam(method.parameter_groups(), 3e-3, fused=True)
    for _ in range(300):
        rows = torch.randint(len(labels), (64,))
        for terms in method.updates(Batch(clips.rows(rows), labels[rows], clips, labels, vectors)):
            adam.zero_grad()
            terms["loss"].backward()  # type: ignore[no-untyped-call]
            adam.step()
    unseen, unseen_labels, unseen_vectors = world(8, 10, seed=1)
    method.eval()
    scores = method.mode_scores(unseen, torch.cat([vectors, unseen_vectors]))
    alone = (scores["zsl"].argmax(1) - 40 == unseen_labels).float().mean()
    assert alone > 0.6  # guessing: 0.125
    trained_scores = method.class_scores(world(40, 3, seed=0)[0], vectors)
    assert (trained_scores.argmax(1) == torch.arange(40).repeat(3)).float().mean() > 0.6  # guessing: 0.025


SMALL = [
    "latent=4", "encoder_hidden=8", "generator_hidden=8", "critic_hidden=8", "synthetic=20", "classifier_epochs=3",
    "epochs=3", "batches=6", "batch_size=16", "learning_rate=0.001",
]  # fmt: skip


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a training may end with an HM of 0
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", ["clean", "reference"])
def test_a_whole_run_stores_what_it_needs_to_be_judged_again(toy_benchmark: Path, tmp_path: Path, mode: str) -> None:
    result = run_training(
        toy_benchmark, "vaegan", out=tmp_path / "run", assignments=SMALL, options={"protocol": {"mode": mode}},
        device="cpu",
    )  # fmt: skip
    again = evaluate_run(tmp_path / "run", toy_benchmark, device="cpu")
    names = ("seen", "unseen", "hm", "zsl", "bias")
    assert [getattr(again, n) for n in names] == [getattr(result, n) for n in names]
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (tmp_path / "run" / "epochs.jsonl").read_text().split("\n") if line
    ]
    assert all(("critic2" in line) == (mode == "reference") and line["vae"] > 0 for line in lines)
    method, card = load_model(tmp_path / "run")
    assert isinstance(method, Vaegan)
    assert len(method.memory_rows) == sum(result.counts[f"stage_1_{n}"] for n in ("train", "val_seen", "val_unseen"))
    assert card.config["second_critic"] == (mode == "reference")


@pytest.mark.usefixtures("quiet")
def test_a_run_that_crashed_within_an_epoch_ends_in_the_same_numbers(
    toy_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved after every step, so that the place within five batches, the ranges and the memory come back too."""
    monkeypatch.setattr(experiment, "StageOptions", partial(experiment.StageOptions, save_seconds=0.0))
    whole = run_training(toy_benchmark, "vaegan", out=tmp_path / "whole", assignments=SMALL, device="cpu")
    real, calls = stages.train_step, iter(range(100))

    def step(*given: Any) -> dict[str, float]:
        if next(calls) == 18 + 3:  # the fourth batch of stage 2
            raise MemoryError
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(stages, "train_step", step)
        with pytest.raises(MemoryError):
            run_training(toy_benchmark, "vaegan", out=tmp_path / "run", assignments=SMALL, device="cpu")
    again = run_training(toy_benchmark, "vaegan", out=tmp_path / "run", assignments=SMALL, device="cpu")
    assert again.digest == whole.digest
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert models[0] == models[1]


PUBLISHED = {
    "ucf": (1000, 17.29, 8.47, 11.37, 11.11),
    "activitynet": (1000, 4.36, 2.14, 2.87, 2.40),
    "vggsound": (10_000, 12.77, 0.95, 1.77, 1.91),
}


@pytest.mark.parametrize("preset", ["ucf", "activitynet", "vggsound", "ucf_cls", "activitynet_cls", "vggsound_cls"])
def test_presets_hold_the_published_settings_and_numbers(preset: str) -> None:
    clean = assemble("vaegan", preset=preset)
    reference = assemble("vaegan", preset=preset, options={"protocol": {"mode": "reference"}})
    for settings in (clean, reference):
        train = settings.train
        assert (train.epochs, train.batch_size, train.learning_rate, train.schedule) == (50, 64, 1e-3, "constant")
        assert (settings.config.classifier_epochs, settings.config.classifier_rate) == (30, 1e-3)
        assert (settings.config.gan_weight, settings.config.penalty, settings.config.critic_steps) == (1e5, 10, 5)
    assert (clean.train.batches, reference.train.batches) == (500, 1)
    assert (clean.protocol.bias_search, reference.protocol.bias_search) == ("exact", "none")
    columns = (128, 4096) if preset.endswith("_cls") else (512, 512)
    assert (clean.data.audio_columns, clean.data.visual_columns) == columns
    assert clean.data.family == ("cls" if preset.endswith("_cls") else "main")
    if preset in PUBLISHED:
        made, *numbers = PUBLISHED[preset]
        assert clean.config.synthetic == made and clean.config.classifier_batch == 0
        assert [clean.published[n] for n in ("seen", "unseen", "hm", "zsl")] == numbers
    else:
        assert not clean.published and "paper" not in load_preset("vaegan", preset)


def test_the_second_critic_has_no_words() -> None:
    second = Vaegan(REFERENCE, SIZES).second_critic
    assert isinstance(second, Critic) and second.hidden.in_features == 5
