"""What SJE, DeViSE and ALE share, against numbers worked out by hand and numbers frozen from the public code."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from avzsl.config import fill, load_preset, preset_names
from avzsl.errors import ModelError, SettingError
from avzsl.evaluation.metrics import evaluate_scores
from avzsl.evaluation.protocol import ProtocolConfig, validate_scores
from avzsl.experiments.settings import assemble
from avzsl.methods._compatibility import CompatibilityConfig, CompatibilityMethod, compatibility
from avzsl.methods.ale import Ale
from avzsl.methods.devise import Devise
from avzsl.methods.sje import Sje
from avzsl.types import Batch, Clips, Dimensions

KINDS = {"sje": Sje, "devise": Devise, "ale": Ale}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
REFERENCE = CompatibilityConfig(dropout=0.0, euclidean_decision=True, text_dropout=True)
CLEAN = CompatibilityConfig(dropout=0.0)


def wave(*shape: int, start: float, scale: float = 1.0) -> Tensor:
    """Numbers in [-scale, scale] that need no generator."""
    steps = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (scale * torch.sin(start + 1.7 * steps + 0.37 * steps**2)).float().reshape(shape)


def by_hand(
    normalise: bool, kind: type[CompatibilityMethod] = Sje, **changes: Any
) -> tuple[CompatibilityMethod, Batch]:
    """v = (3, 4), a = (12), W = [[1, 0, 2], [0, -1, 1]], T = [[1, 0], [0.6, 0.8]], y = 1."""
    method = kind(dataclasses.replace(CLEAN, normalise=normalise, **changes), Dimensions(1, 2, 2))
    with torch.no_grad():
        method.map.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]]))
    clips = Clips(torch.tensor([[[12.0]]]), torch.tensor([[[3.0, 4.0]]]))
    return method, Batch(clips, torch.tensor([1]), clips, torch.tensor([0]), torch.tensor([[1.0, 0.0], [0.6, 0.8]]))


# Forward


@pytest.mark.parametrize(
    ("normalise", "projected", "scores", "distances"),
    [
        (False, (27, 8), (27, 22.6), (27.202942, 27.364210)),
        (True, (2.076923, 0.615385), (2.076923, 1.738462), (1.240347, 1.488417)),
    ],
)
def test_forward_by_hand(
    normalise: bool, projected: tuple[float, ...], scores: tuple[float, ...], distances: tuple[float, ...]
) -> None:
    """The picture comes first: with the sound first, W x would be another vector."""
    for euclidean, wanted in ((False, scores), (True, [-d for d in distances])):
        method, batch = by_hand(normalise, euclidean_decision=euclidean)
        assert method.project(batch.clips)[0].tolist() == pytest.approx(projected, abs=1e-5)
        assert method.training_scores(batch.clips, batch.classes)[0].tolist() == pytest.approx(scores, abs=1e-5)
        assert method.class_scores(batch.clips, batch.classes)[0].tolist() == pytest.approx(wanted, abs=1e-5)


@every_kind
def test_one_step_of_adam_by_hand(kind: type[CompatibilityMethod]) -> None:
    method, batch = by_hand(True, kind)
    optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3)
    loss = method.fit_step(batch)["loss"]
    assert loss.item() == pytest.approx(0.438462, abs=1e-6)
    loss.backward()
    wanted = [[0.092308, 0.123077, 0.369231], [-0.184615, -0.246154, -0.738462]]
    assert torch.allclose(method.map.weight.grad, torch.tensor(wanted), atol=1e-6)
    optimiser.step()
    moved = [[0.999, -0.001, 1.999], [0.001, -0.999, 1.001]]
    assert torch.allclose(method.map.weight, torch.tensor(moved), atol=1e-6)


# Loss, three entries and the norm of its gradient, and distances: once from the public code, with these inputs.
PUBLIC = {
    ("sje", False): (1.012880, (-0.030071, 0.021655, -0.022161), 1.500039, (7.43843, 7.48215, 7.49551)),
    ("devise", False): (3.903578, (-0.063057, 0.075033, -0.021315), 6.136568, (7.43843, 7.48215, 7.49551)),
    ("ale", False): (1.460456, (-0.029024, 0.029406, -0.001832), 2.333360, (7.43843, 7.48215, 7.49551)),
    ("sje", True): (0.487130, (-0.0126, 0.009351, -0.00938), 0.635747, (3.65722, 3.70002, 3.71305)),
    ("devise", True): (1.967936, (-0.030235, 0.030907, -0.002593), 2.653297, (3.65722, 3.70002, 3.71305)),
    ("ale", True): (0.736243, (-0.012707, 0.010071, 0.002109), 1.002686, (3.65722, 3.70002, 3.71305)),
}


@pytest.mark.parametrize(("name", "normalise"), PUBLIC)
def test_loss_gradient_and_distances_of_the_public_code(name: str, normalise: bool) -> None:
    loss, entries, norm, distances = PUBLIC[name, normalise]
    method = KINDS[name](dataclasses.replace(REFERENCE, normalise=normalise), Dimensions(6, 5, 300))
    with torch.no_grad():
        method.map.weight.copy_(wave(300, 11, start=4, scale=0.3))
    clips = Clips(wave(7, 6, start=1).abs().unsqueeze(1), wave(7, 5, start=2).abs().unsqueeze(1))
    classes = torch.nn.functional.normalize(wave(9, 300, start=3), dim=1)
    labels = torch.tensor([0, 3, 8, 2, 2, 5, 7])
    found = method.fit_step(Batch(clips, labels, clips, labels, classes))["loss"]
    found.backward()
    gradient = method.map.weight.grad
    assert gradient is not None
    assert found.item() == pytest.approx(loss, abs=2e-6)
    assert [gradient[0, 0].item(), gradient[17, 10].item(), gradient[299, 4].item()] == pytest.approx(entries, abs=2e-6)
    assert gradient.norm().item() == pytest.approx(norm, abs=5e-6)
    scores = method.eval().class_scores(clips, classes)
    assert (-scores[2, :3]).tolist() == pytest.approx(distances, abs=2e-5)


@pytest.mark.parametrize(("dimensions", "count"), [((512, 512), 307_200), ((128, 4096), 1_267_200)])
def test_the_map_has_as_many_weights_as_the_public_one(dimensions: tuple[int, int], count: int) -> None:
    method = Devise(CLEAN, Dimensions(*dimensions, 300))
    assert sum(p.numel() for p in method.parameters()) == count
    bound = sum(dimensions) ** -0.5
    assert 0.99 * bound < method.map.weight.abs().max().item() <= bound


def test_a_clip_is_ranked_among_the_classes_of_the_batch_and_no_others() -> None:
    method, batch = by_hand(True)
    assert method.training_scores(batch.clips, batch.classes).shape == (1, 2)
    more = dataclasses.replace(batch, classes=torch.cat([batch.classes, torch.tensor([[5.0, 5.0]])]))
    assert method.fit_step(more)["loss"] > method.fit_step(batch)["loss"]


# Dropout (Q8)


def test_without_dropout_training_and_deciding_see_the_same_scores() -> None:
    for config in (CLEAN, dataclasses.replace(CLEAN, text_dropout=True)):
        torch.manual_seed(0)
        method = Sje(config, Dimensions(4, 5, 6))
        clips, classes = Clips(torch.rand(3, 1, 4), torch.rand(3, 1, 5)), torch.rand(7, 6)
        assert torch.equal(
            method.train().training_scores(clips, classes), method.eval().training_scores(clips, classes)
        )
        assert torch.equal(method.class_scores(clips, classes), method.training_scores(clips, classes))


@pytest.mark.parametrize("text_dropout", [False, True])
def test_q8_dropout_scales_what_survives_of_the_features_and_of_the_text(text_dropout: bool) -> None:
    method = Sje(dataclasses.replace(CLEAN, dropout=0.2, text_dropout=text_dropout), Dimensions(60, 40, 100))
    with torch.no_grad():
        method.map.weight.copy_(torch.eye(100))  # p is x
    clips = Clips(torch.ones(50, 1, 60), torch.ones(50, 1, 40))
    torch.manual_seed(0)
    rows = method.train().project(clips)
    assert set(rows.unique().tolist()) == {0.0, 1.25}
    assert float((rows == 0).float().mean()) == pytest.approx(0.2, abs=0.03)
    # With the unit matrix as text, the score of class k is the entry of x at k, times what is left of the text's 1.
    torch.manual_seed(0)
    scores = method.training_scores(clips, torch.eye(100))
    text = (scores / rows)[:, (rows != 0).any(0)].nanmean(0)
    assert set(text.unique().tolist()) == ({0.0, 1.25} if text_dropout else {1.0})
    if text_dropout:
        assert float((text == 0).float().mean()) == pytest.approx(0.2, abs=0.12)
    assert torch.equal(method.eval().training_scores(clips, torch.eye(100)), torch.ones(50, 100))


# The decision (Q1)


P1_SAMPLES = [(2, 0), (0.2, 1.5), (0.1, 1.2), (0.7, 0.6), (-0.5, 0.9), (-0.4, 1.0)]
P1_LABELS = torch.tensor([0, 1, 2, 2, 3, 3])
P1_TEXTS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
P1_SEEN = torch.tensor([True, True, False, False])


def p1_scores(euclidean: bool) -> Tensor:
    """Scores of the worked example through a method whose map is the identity."""
    method = Sje(dataclasses.replace(CLEAN, euclidean_decision=euclidean), Dimensions(1, 1, 2)).eval()
    with torch.no_grad():
        method.map.weight.copy_(torch.eye(2))
        points = torch.tensor(P1_SAMPLES, dtype=torch.float32)
        return method.class_scores(Clips(points[:, 1:].unsqueeze(1), points[:, :1].unsqueeze(1)), P1_TEXTS)


@pytest.mark.parametrize(
    ("bias", "seen", "unseen", "hm"),
    [(0, 1, 0.25, 0.4), (0.2, 1, 0.25, 0.4), (0.4, 0.5, 0.25, 1 / 3), (0.6, 0.5, 0.75, 0.6), (0.8, 0, 0.75, 0)],
)
def test_q1_the_worked_example_of_calibrated_distances(bias: float, seen: float, unseen: float, hm: float) -> None:
    scores = p1_scores(True)
    assert (-scores[0]).tolist() == pytest.approx([1, 2.236068, 1.612452, 3], abs=1e-6)
    found = evaluate_scores(scores, P1_LABELS, P1_SEEN, bias)
    assert (found.seen, found.unseen, found.hm, found.zsl) == pytest.approx((seen, unseen, hm, 0.75), abs=1e-6)
    assert validate_scores({"both": scores}, P1_LABELS, P1_SEEN, ProtocolConfig()).bias == pytest.approx(0.6)


def test_q1_dot_products_decide_otherwise_at_the_same_bias() -> None:
    """p = (2, 0): distances 1 and 1.61, dot products 2 and 1.2. A bias of 0.7 turns the first decision alone."""
    distances, products = p1_scores(True), p1_scores(False)
    assert products[0].tolist() == pytest.approx([2, 0, 1.2, -2])
    assert evaluate_scores(distances, P1_LABELS, P1_SEEN, 0.7).recall[0] == 0
    assert evaluate_scores(products, P1_LABELS, P1_SEEN, 0.7).recall[0] == 1


def test_q1_without_a_bias_both_decide_alike_between_texts_of_length_1() -> None:
    generator = torch.Generator().manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(20, 6, generator=generator), dim=1)
    points = 3 * torch.randn(500, 6, generator=generator)
    assert torch.equal(compatibility(points, texts, True).argmax(1), compatibility(points, texts, False).argmax(1))
    long = 2 * texts
    long[0] *= 4
    assert not torch.equal(compatibility(points, long, True).argmax(1), compatibility(points, long, False).argmax(1))


def test_q1_a_bias_of_2_sends_every_clip_to_unseen_classes_by_distance_and_not_by_dot_product() -> None:
    generator = torch.Generator().manual_seed(1)
    texts = torch.nn.functional.normalize(torch.randn(12, 8, generator=generator), dim=1)
    labels = torch.arange(12).repeat(20)
    points = 30 * texts[labels] + 4 * torch.randn(240, 8, generator=generator)
    seen = torch.arange(12) < 8
    curves = {}
    for euclidean in (True, False):
        scores = compatibility(points, texts, euclidean)
        found = [evaluate_scores(scores, labels, seen, bias) for bias in (0.0, 0.5, 1.0, 2.0)]
        assert all(a.seen >= b.seen and a.unseen <= b.unseen for a, b in itertools.pairwise(found))
        assert all(f.unseen <= f.zsl for f in found)
        curves[euclidean] = found
    assert curves[True][0].seen > 0.8
    assert (curves[True][-1].seen, curves[True][-1].unseen) == (0, curves[True][-1].zsl)
    assert curves[False][-1].seen > 0.7


# Settings and input


SETTINGS = {
    "epochs": 50,
    "batches": 500,
    "batch_size": 256,
    "learning_rate": 1e-3,
    "weight_decay": 0,
    "schedule": "plateau",
}


@pytest.mark.parametrize("name", ["sje", "devise", "ale", "apn"])
def test_presets_have_the_settings_of_the_run_scripts(name: str) -> None:
    benchmarks = ("ucf", "activitynet", "vggsound")
    assert set(preset_names(name)) == {"demo", *benchmarks, *(f"{b}_cls" for b in benchmarks)}
    for benchmark in benchmarks:
        for suffix, columns in (("", (512, 512)), ("_cls", (128, 4096))):
            clean = assemble(name, preset=benchmark + suffix)
            assert {key: getattr(clean.train, key) for key in SETTINGS} == SETTINGS
            assert clean.config.normalise is (suffix == "_cls")
            if name != "apn":
                assert (clean.config.margin, clean.config.dropout) == (0.1, 0.0 if benchmark == "vggsound" else 0.2)
            assert (clean.data.audio_columns, clean.data.visual_columns) == columns
            assert clean.data.family == (suffix.removeprefix("_") or "main")
            assert clean.protocol.bias_search == "exact"
            assert not clean.config.euclidean_decision
            reference = assemble(name, preset=benchmark + suffix, options={"protocol": {"mode": "reference"}})
            assert reference.protocol.bias_search == "grid"
            assert reference.config.euclidean_decision


# seen, unseen, HM, ZSL in percent; - where nothing is published
PUBLISHED = """
sje    vggsound       48.33  1.10  2.15  4.06
sje    ucf            63.10 16.77 26.50 18.93
sje    activitynet     4.61  7.04  5.57  7.08
devise vggsound       36.22  1.07  2.08  5.59
devise ucf            55.59 14.94 23.56 16.09
devise activitynet     3.45  8.53  4.91  8.53
apn    vggsound        7.48  3.88  5.11  4.49
apn    ucf            28.46 16.16 20.61 16.44
apn    activitynet     9.84  5.76  7.27  6.34
ale    vggsound       -     -      0.53  5.48
ale    ucf            -     -     23.66 16.32
ale    activitynet    -     -      3.94  7.90
ale    vggsound_cls   26.13  1.72  3.23  4.97
ale    ucf_cls        45.42 29.09 35.47 32.30
ale    activitynet_cls 0.89  6.16  1.55  6.16
sje    vggsound_cls   16.94  2.72  4.69  3.22
sje    ucf_cls        19.39 32.47 24.28 32.47
sje    activitynet_cls 37.92 1.22  2.35  4.35
devise vggsound_cls   29.96  1.94  3.64  4.72
devise ucf_cls        29.58 34.80 31.98 35.48
devise activitynet_cls 0.17  5.84  0.33  5.84
apn    vggsound_cls    6.46  6.13  6.29  6.50
apn    ucf_cls        13.54 28.44 18.35 29.69
apn    activitynet_cls 3.79  3.39  3.58  3.97
"""


@pytest.mark.parametrize("line", PUBLISHED.strip().splitlines(), ids=lambda line: "-".join(line.split()[:2]))
def test_presets_carry_the_published_numbers(line: str) -> None:
    method, preset, *texts = line.split()
    wanted = {k: float(t) for k, t in zip(("seen", "unseen", "hm", "zsl"), texts, strict=True) if t != "-"}
    found = dict(load_preset(method, preset)["paper"])
    assert ("note" in found) == ("seen" not in wanted)
    found.pop("note", None)
    assert found == wanted
    if "seen" in wanted:
        mean = 2 * wanted["seen"] * wanted["unseen"] / (wanted["seen"] + wanted["unseen"])
        assert mean == pytest.approx(wanted["hm"], abs=0.021)


def test_segments_are_averaged_and_both_modalities_are_needed() -> None:
    method, batch = by_hand(False)
    audio = torch.tensor([[[10.0], [14.0], [1e6]]])
    ragged = Clips(audio, batch.clips.visual, torch.tensor([[True, True, False]]))
    assert torch.allclose(method.class_scores(ragged, batch.classes), method.class_scores(batch.clips, batch.classes))
    with pytest.raises(ModelError, match="no audio features"):
        method.class_scores(batch.clips.only("visual"), batch.classes)
    with pytest.raises(SettingError, match="SJE needs sound and picture"):
        Sje(CLEAN, Dimensions(None, 4, 6))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"margin": -1}, "margin is -1"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, float], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        fill(CompatibilityConfig, settings, "[method]")
