"""AVCA: numbers of the public code with weights and inputs given by formulas, its quirks one by one, its settings."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from avzsl.config import fill, load_preset, reference_values
from avzsl.errors import ModelError, SettingError
from avzsl.experiments.settings import assemble
from avzsl.methods._avca import AvcaConfig, Passes
from avzsl.methods._profile import profile, random_batch
from avzsl.methods.avca import Avca
from avzsl.types import Batch, Clips, Dimensions

FAMILIES = {"main": Dimensions(512, 512, 300), "cls": Dimensions(128, 4096, 300)}
QUIRKS = {"frozen_positions": True, "unused_passes": True, "extra_pass": True}
PLAIN = AvcaConfig(encoder_dropout=0, projection_dropout=0, decoder_dropout=0)
every_family = pytest.mark.parametrize("family", FAMILIES)


def numbers(*shape: int) -> list[Tensor]:
    """Indices from 1 of every axis, ready to broadcast."""
    return [
        torch.arange(1, size + 1, dtype=torch.float64).view([-1 if j == i else 1 for j in range(len(shape))])
        for i, size in enumerate(shape)
    ]


def fill_by_formula(method: Avca) -> Avca:
    """Weights sin(1 + 0.37 i j) / √inputs, biases 0.1 cos(i), positions 0.1 sin(p d), norms as they begin."""
    method.double()
    with torch.no_grad():
        for module in method.modules():
            if isinstance(module, nn.Linear):
                i, j = numbers(*module.weight.shape)
                module.weight.copy_(torch.sin(1 + 0.37 * i * j) / math.sqrt(module.in_features))
                if module.bias is not None:
                    module.bias.copy_(0.1 * torch.cos(i.flatten()))
        p, d = numbers(*method.position.shape)
        method.position.copy_(0.1 * torch.sin(p * d))
    return method


def make(family: str = "main", **changes: Any) -> Avca:
    return fill_by_formula(Avca(dataclasses.replace(PLAIN, **changes), FAMILIES[family]))


def fixed_batch(family: str = "main") -> Batch:
    """Four pairs; the classes are those of the positives, then those of the negatives."""
    sizes = FAMILIES[family]
    n = torch.arange(4, dtype=torch.float64).unsqueeze(1)

    def waves(wave: Any, rate: float, shift: int, size: int | None) -> Tensor:
        return wave(rate * (n + shift) * torch.arange(1, (size or 0) + 1, dtype=torch.float64))

    def unit(rows: Tensor) -> Tensor:
        return rows / rows.norm(dim=1, keepdim=True)

    audio, visual = waves(torch.sin, 0.11, 1, sizes.audio).abs(), waves(torch.cos, 0.07, 1, sizes.visual).abs()
    other_audio = waves(torch.sin, 0.13, 2, sizes.audio).abs()
    other_visual = waves(torch.cos, 0.17, 2, sizes.visual).abs()
    words = torch.cat([unit(waves(torch.sin, 0.19, 1, 300)), unit(waves(torch.sin, 0.23, 2, 300))])
    return Batch(
        Clips(audio.unsqueeze(1), visual.unsqueeze(1)),
        torch.arange(4),
        Clips(other_audio.unsqueeze(1), other_visual.unsqueeze(1)),
        torch.arange(4, 8),
        words,
    )


def steps(method: Avca, batch: Batch, count: int = 3, decay: float = 1e-5) -> list[float]:
    """Optimiser steps with the published settings; the losses before each."""
    optimiser = torch.optim.Adam(method.parameter_groups(), 1e-3, weight_decay=decay, fused=True)
    losses = []
    method.train()
    for _ in range(count):
        for terms in method.updates(batch):
            optimiser.zero_grad()
            terms["loss"].backward()
            optimiser.step()
            losses.append(terms["loss"].item())
    return losses


def sums(method: Avca, batch: Batch) -> list[float]:
    """Sums of θ_v, θ_a and θ_w in evaluation mode."""
    method.eval()
    with torch.no_grad():
        branches = method.branches(batch.clips)
        words = method.embed_classes(batch.classes[batch.labels])
    return [branches.visual.sum().item(), branches.audio.sum().item(), words.sum().item()]


def distances(method: Avca, batch: Batch) -> list[float]:
    """Of the first clip to the four classes, in evaluation mode."""
    with torch.no_grad():
        return (-method.eval().class_scores(batch.clips, batch.classes[:4])[0]).tolist()


# The public network

EVALUATION = {
    "main": (
        [9.984897, 9.568629, 9.940456, 10.536252],
        [10.332648, 8.972244, 9.915395, 11.082381],
        [10.129631, 10.022882, 10.118563, 10.148349],
    ),
    "cls": (
        [20.417082, 20.791925, 20.748270, 20.947712],
        [5.956729, 5.761473, 5.911355, 5.602101],
        [5.749692, 5.684074, 5.740945, 5.789647],
    ),
}


@every_family
def test_embeddings_are_those_of_the_public_code(family: str) -> None:
    method, batch = make(family).eval(), fixed_batch(family)
    branches = method.branches(batch.clips)
    audio, visual, apart = EVALUATION[family]
    assert branches.audio.norm(dim=1).tolist() == pytest.approx(audio, abs=1e-6)
    assert branches.visual.norm(dim=1).tolist() == pytest.approx(visual, abs=1e-6)
    words = method.embed_classes(batch.classes[:4]).norm(dim=1).tolist()
    assert words == pytest.approx([0.391635, 0.916290, 0.399668, 0.827295], abs=1e-6)
    assert distances(method, batch) == pytest.approx(apart, abs=1e-6)


LOSSES = {
    "main": [1.501294, 2.481643, 3.269871, 5.938590, 2.343924],
    "cls": [1.509171, 4.053171, 4.445330, 7.597125, 2.490818],
}
THREE_LOSSES = {"main": [15.535322, 8.000038, 4.086493], "cls": [20.095616, 9.775080, 3.930262]}


@every_family
def test_losses_are_those_of_the_public_code(family: str) -> None:
    terms = make(family).train().fit_step(fixed_batch(family))
    names = ("reconstruction", "decoded_triplet", "triplet", "own_triplet", "regulariser")
    assert [terms[name].item() for name in names] == pytest.approx(LOSSES[family], abs=1e-6)
    assert terms["loss"].item() == pytest.approx(THREE_LOSSES[family][0], abs=1e-6)


BAD = {"frozen_positions": True, "unused_passes": True}
CLEAN = {"frozen_positions": True}  # the numbers were taken with positions held still
AFTER_THREE_STEPS = [
    ("main", QUIRKS, 0.1, [135.78068, 117.23293, 8.21775]),
    ("main", QUIRKS, 0.99, [170.76627, 159.79825, 8.21775]),
    ("main", BAD, 0.1, [151.28862, 140.94826, 8.64648]),
    ("main", BAD, 0.99, [369.14253, 275.38194, 8.64648]),
    ("main", CLEAN, 0.1, [137.88260, 125.51461, 8.64648]),
    ("main", CLEAN, 0.99, [228.70704, 193.54034, 8.64648]),
    ("cls", QUIRKS, 0.1, [86.81326, 344.72212, 8.17572]),
    ("cls", QUIRKS, 0.99, [140.14625, 628.56613, 8.17572]),
    ("cls", BAD, 0.1, [117.08219, 406.09110, 8.60445]),
    ("cls", BAD, 0.99, [366.08952, 1355.83751, 8.60445]),
    ("cls", CLEAN, 0.1, [104.86998, 374.25192, 8.60445]),
    ("cls", CLEAN, 0.99, [239.92844, 741.69969, 8.60445]),
]


@pytest.mark.parametrize(("family", "switches", "momentum", "expected"), AFTER_THREE_STEPS)
def test_three_steps_end_where_the_public_code_does(
    family: str, switches: dict[str, bool], momentum: float, expected: list[float]
) -> None:
    method, batch = make(family, momentum=momentum, **switches), fixed_batch(family)
    # Statistics move no loss: the three are the same whatever the switches and the momentum.
    assert steps(method, batch) == pytest.approx(THREE_LOSSES[family], rel=1e-6)
    assert sums(method, batch) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("family", "switches", "expected"),
    [
        ("main", QUIRKS, [11.60124, 11.63843, 11.62668, 11.67579]),
        ("main", BAD, [27.22645, 27.17294, 27.22390, 27.25216]),
        ("cls", QUIRKS, [10.52253, 10.56120, 10.53765, 10.47285]),
        ("cls", BAD, [23.42735, 23.42543, 23.40769, 23.40776]),
    ],
)
def test_unused_passes_without_the_extra_one_ruin_the_distances(
    family: str, switches: dict[str, bool], expected: list[float]
) -> None:
    method, batch = make(family, momentum=0.99, **switches), fixed_batch(family)
    steps(method, batch)
    assert distances(method, batch) == pytest.approx(expected, abs=1e-5)


# M3 and M4: statistics


def tracked(method: Avca) -> dict[str, int]:
    """How often each part moved its statistics, by the parts of the public code."""
    parts = {
        "E_a": method.audio_encoder.second, "E_v": method.visual_encoder.second, "P_w": method.word_projection,
        "D": method.word_decoder, "P_a": method.audio_projection.second, "P_v": method.visual_projection.second,
        "R_a": method.audio_rebuilder, "R_v": method.visual_rebuilder,
    }  # fmt: skip
    return {name: int(part.norm.num_batches_tracked) for name, part in parts.items()}


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        (QUIRKS, {"E_a": 3, "E_v": 3, "P_w": 3, "D": 6, "P_a": 4, "P_v": 4, "R_a": 1, "R_v": 1}),
        (BAD, {"E_a": 2, "E_v": 2, "P_w": 2, "D": 6, "P_a": 3, "P_v": 3, "R_a": 1, "R_v": 1}),
        ({}, {"E_a": 2, "E_v": 2, "P_w": 2, "D": 5, "P_a": 2, "P_v": 2, "R_a": 1, "R_v": 1}),
    ],
)
def test_each_switch_moves_statistics_as_often_as_documented(
    switches: dict[str, bool], expected: dict[str, int]
) -> None:
    method = make(**switches)
    steps(method, fixed_batch(), 1)
    assert tracked(method) == expected


def test_statistics_after_one_reference_step_are_those_of_the_public_code() -> None:
    method = make(**QUIRKS)
    steps(method, fixed_batch(), 1)
    means = [
        method.audio_projection.second.norm.running_mean,
        method.audio_projection.first.norm.running_mean,
        method.word_projection.norm.running_mean,
        method.word_decoder.norm.running_mean,
    ]
    found = [m.sum().item() for m in means if m is not None]
    assert found == pytest.approx([0.918262, 7.755406, 0.113025, 4.909477], abs=1e-6)


def test_the_extra_pass_comes_after_the_step_and_sees_the_positives() -> None:
    method, batch = make(momentum=1.0, **QUIRKS), fixed_batch()
    steps(method, batch, 1)
    copy = make(momentum=1.0)
    copy.load_state_dict(method.state_dict())
    copy.train().branches(batch.clips)
    # Momentum 1 keeps the last batch alone: the positives through the weights after the step.
    for part in ("audio_projection", "visual_projection", "audio_encoder", "visual_encoder"):
        kept, again = getattr(method, part).second.norm, getattr(copy, part).second.norm
        assert torch.allclose(kept.running_mean, again.running_mean, atol=1e-12)


def test_unused_passes_change_no_loss_and_no_gradient() -> None:
    batch, found = fixed_batch(), []
    for unused in (False, True):
        method = make(unused_passes=unused).train()
        loss = method.fit_step(batch)["loss"]
        loss.backward()
        found.append((loss.item(), [p.grad for p in method.parameters()]))
    assert found[0][0] == found[1][0]
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True) if a is not None)


# M2: positions


def test_positions_are_trained_in_clean_mode_and_frozen_in_reference_mode() -> None:
    batch = fixed_batch()
    for frozen in (False, True):
        method = make(frozen_positions=frozen)
        before = method.position.detach().clone()
        steps(method, batch)
        assert torch.equal(method.position, before) == frozen
        trained = {id(p) for group in method.parameter_groups() for p in group["params"]}
        assert (id(method.position) in trained) is not frozen
        assert "position" in method.state_dict()


def test_reference_mode_turns_all_three_on() -> None:
    assert reference_values(AvcaConfig) == QUIRKS
    assert {name: getattr(AvcaConfig(), name) for name in QUIRKS} == dict.fromkeys(QUIRKS, False)


# What follows from the definition


def test_equal_negatives_leave_the_margins() -> None:
    method, batch = make().train(), fixed_batch()
    same = dataclasses.replace(batch, negatives=batch.clips, negative_labels=batch.labels)
    passes: Passes = method.training_passes(same)
    terms = passes.losses()
    joint = passes.joint
    apart = [(x - joint.words).norm(dim=1).mean().item() for x in (joint.audio, joint.visual)]
    assert terms["decoded_triplet"].item() == pytest.approx(2)
    assert terms["triplet"].item() == pytest.approx(4)
    assert terms["own_triplet"].item() == pytest.approx(4 + 2 * sum(apart), rel=1e-5)
    assert terms["loss"].item() == pytest.approx(36.5353, abs=1e-4)


def test_nothing_is_negative_and_sound_counts_through_the_attention() -> None:
    method, batch = make().eval(), fixed_batch()
    branches = method.branches(batch.clips)
    assert branches.audio.min() >= 0 and branches.visual.min() >= 0
    assert method.embed_classes(batch.classes).min() >= 0
    assert batch.clips.audio is not None
    other = Clips(batch.clips.audio.flip(0), batch.clips.visual)
    assert not torch.allclose(method.embed_clips(other), method.embed_clips(batch.clips))


def test_attention_gets_positions_and_a_residual_goes_around_it_without_them() -> None:
    method, batch = make().eval(), fixed_batch()
    with torch.no_grad():
        for weight in (method.attention.output.weight, method.attention.shrink.weight):
            weight.zero_()
        method.attention.output.bias.zero_()
        method.attention.shrink.bias.zero_()
    assert batch.clips.audio is not None and batch.clips.visual is not None
    # An attention that adds nothing returns token + position, so a projection sees twice the token, position once.
    tokens = method.audio_encoder(batch.clips.audio.squeeze(1)), method.visual_encoder(batch.clips.visual.squeeze(1))
    branches = method.branches(batch.clips)
    audio = method.audio_projection(2 * tokens[0] + method.position[0])
    visual = method.visual_projection(2 * tokens[1] + method.position[1])
    assert torch.allclose(branches.audio, audio) and torch.allclose(branches.visual, visual)
    assert method.position.abs().max() > 0.09


def test_the_reported_output_is_the_visual_branch_or_the_sum_of_both() -> None:
    batch = fixed_batch()
    visual, both = make().eval(), make(output="sum").eval()
    first, second = visual.mode_scores(batch.clips, batch.classes), both.mode_scores(batch.clips, batch.classes)
    assert set(first) == {"both"}  # sound alone and picture alone are the same result in the public evaluation (M6)
    assert set(second) == {"both", "audio", "visual"}
    assert torch.equal(second["visual"], first["both"])
    branches, words = both.branches(batch.clips), both.embed_classes(batch.classes)
    gaps = [-torch.stack([(row - words).norm(dim=1) for row in rows]) for rows in branches]
    assert torch.allclose(second["audio"], gaps[0]) and torch.allclose(second["both"], gaps[0] + gaps[1])
    assert torch.equal(both.class_scores(batch.clips, batch.classes), second["both"])


def test_temporal_clips_count_as_their_mean() -> None:
    method, batch = make().eval(), fixed_batch()
    assert batch.clips.audio is not None and batch.clips.visual is not None
    audio = torch.cat([batch.clips.audio - 1, batch.clips.audio + 1, torch.full_like(batch.clips.audio, 99)], 1)
    mask = torch.tensor([True, True, False]).expand(4, 3)
    ragged = Clips(audio, batch.clips.visual, mask)
    assert torch.allclose(method.embed_clips(ragged), method.embed_clips(batch.clips))


def test_a_missing_modality_and_wrong_settings_are_named() -> None:
    method, batch = make().eval(), fixed_batch()
    with pytest.raises(ModelError, match="no audio"):
        method.embed_clips(batch.clips.only("visual"))
    with pytest.raises(SettingError, match="AVCA needs sound and picture"):
        Avca(AvcaConfig(), Dimensions(None, 8, 6))
    for name, value in {"token": 0, "decoder_dropout": 1.0, "momentum": 0.0, "output": "audio"}.items():
        with pytest.raises(SettingError, match=name):
            AvcaConfig(**{name: value})


def test_rates_and_momentum_reach_the_parts_they_are_of() -> None:
    rates = AvcaConfig(encoder_dropout=0.1, projection_dropout=0.2, decoder_dropout=0.3, momentum=0.5)
    method = Avca(rates, Dimensions(4, 5, 6))
    expected = {
        "audio_encoder": 0.1, "visual_encoder": 0.1, "attention": 0.1, "audio_projection": 0.2,
        "visual_projection": 0.2, "word_projection": 0.3, "word_decoder": 0.3, "audio_rebuilder": 0.3,
        "visual_rebuilder": 0.3,
    }  # fmt: skip
    for name, rate in expected.items():
        found = {m.p for m in getattr(method, name).modules() if isinstance(m, nn.Dropout)}
        assert found == {rate}, name
    second = [name for name, m in method.named_modules() if isinstance(m, nn.BatchNorm1d) and m.momentum == 0.5]
    parts = ("audio_encoder", "visual_encoder", "audio_projection", "visual_projection")
    assert sorted(second) == sorted(f"{part}.second.norm" for part in parts)


def test_equal_seeds_give_the_weights_of_the_public_code() -> None:
    torch.manual_seed(42)
    method = Avca(AvcaConfig(), FAMILIES["main"])
    assert method.audio_encoder.first.linear.weight[0, :2].tolist() == pytest.approx([0.0337881, 0.0366815], abs=1e-6)
    assert method.visual_rebuilder.linear.weight[0, :2].tolist() == pytest.approx([-0.1135480, 0.1117472], abs=1e-6)
    assert method.position[0, :3].tolist() == pytest.approx([-0.6131640, -2.8430018, 0.1349002], abs=1e-6)


# Size and presets


@every_family
def test_parameters_are_those_of_the_public_code(family: str) -> None:
    method = Avca(AvcaConfig(frozen_positions=True), FAMILIES[family])
    total, encoders = {"main": (1_693_108, (418_180, 418_180)), "cls": (3_331_508, (221_572, 2_253_188))}[family]
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in method.named_children()}
    assert sum(p.numel() for p in method.parameters()) == total
    assert parts == {
        "audio_encoder": encoders[0], "visual_encoder": encoders[1], "attention": 400_264,
        "word_projection": 19_392, "word_decoder": 20_100, "audio_projection": 188_096, "visual_projection": 188_096,
        "audio_rebuilder": 20_100, "visual_rebuilder": 20_100,
    }  # fmt: skip
    assert method.position.numel() == 600
    assert sum(p.numel() for group in method.parameter_groups() for p in group["params"]) == total - 600


@every_family
def test_operations_are_those_of_table_x(family: str) -> None:
    clean, unused = {"main": (8_359_296, 9_143_168), "cls": (14_912_896, 15_696_768)}[family]
    batch = random_batch(FAMILIES[family], 8)
    for passes, expected in ((False, clean), (True, unused)):
        found = profile(Avca(AvcaConfig(unused_passes=passes), FAMILIES[family]), batch)
        assert found.training == 8 * expected
    # 256 pairs, with the unused passes: 2.34 G; the printed 2.36 counts a little besides matrix products.
    assert pytest.approx(256 * 9_143_168, rel=0.01) == 2.36e9


# encoder, projection, decoder dropout; momentum in reference mode; batch size; S, U, HM, ZSL
PRESETS = {
    "ucf": (0.2, 0.3, 0.5, 0.1, 256, (51.53, 18.43, 27.15, 20.01)),
    "ucf_cls": (0.2, 0.3, 0.5, 0.99, 256, (63.15, 30.72, 41.34, 37.72)),
    "activitynet": (0.2, 0.2, 0.1, 0.99, 256, (24.86, 8.02, 12.13, 9.13)),
    "activitynet_cls": (0.2, 0.2, 0.1, 0.99, 256, (16.77, 7.04, 9.92, 7.58)),
    "vggsound": (0.0, 0.0, 0.1, 0.1, 64, (14.90, 4.00, 6.31, 6.00)),
    "vggsound_cls": (0.0, 0.0, 0.0, 0.99, 256, (12.63, 6.19, 8.31, 6.91)),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_the_settings_and_results_of_the_tables(name: str) -> None:
    encoder, projection, decoder, momentum, batch_size, results = PRESETS[name]
    for mode in ("clean", "reference"):
        settings = assemble("avca", preset=name, options={"protocol": {"mode": mode}})
        config, train, paper = settings.config, settings.train, settings.published
        assert (config.encoder_dropout, config.projection_dropout) == (encoder, projection)
        assert config.decoder_dropout == decoder
        assert config.momentum == (momentum if mode == "reference" else 0.1)
        assert config.extra_pass is config.unused_passes is config.frozen_positions is (mode == "reference")
        assert (config.encoder_hidden, config.projection_hidden, config.token, config.embedding) == (512, 512, 300, 64)
        assert (train.epochs, train.batches, train.batch_size, train.schedule) == (50, 500, batch_size, "plateau")
        assert (train.learning_rate, train.weight_decay) == (1e-3, 1e-5)
        assert tuple(paper[key] for key in ("seen", "unseen", "hm", "zsl")) == results
        seen, unseen, hm, _ = results
        assert 2 * seen * unseen / (seen + unseen) == pytest.approx(hm, abs=0.01)
        sizes = (512, 512) if settings.data.family == "main" else (128, 4096)
        assert settings.data.family == ("cls" if name.endswith("_cls") else "main")
        assert (settings.data.audio_columns, settings.data.visual_columns) == sizes
        assert settings.protocol.bias_search == "grid"
    assert load_preset("avca", "vggsound")["paper"]["parameters"] == 1.69e6
    assert load_preset("avca", "vggsound")["paper"]["gflops"] == 2.36


def test_demo_is_narrower_and_otherwise_the_published_vggsound() -> None:
    demo = fill(AvcaConfig, load_preset("avca", "demo")["method"], "demo")
    published = fill(AvcaConfig, load_preset("avca", "vggsound")["method"], "vggsound")
    narrow = {"encoder_hidden": 128, "token": 96, "head_width": 32, "projection_hidden": 128}
    assert demo == dataclasses.replace(published, **narrow)  # type: ignore[arg-type]
